/* SPDX-License-Identifier: Apache-2.0 */
/* Promises guarded here: a file is at no distance from itself; one changed weight, bias or block scale anywhere is
 * seen, in the very block it belongs to, and nothing before that block is blamed; a quantized model passes its bounds
 * and one with a wrong scale does not; models that are not the same are refused; recorded activations are read as they
 * were written. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"
#include "verify/verdict.h"

static char folder[256];
static char *model, *edited, *picture, *other;
static const char *images[1];

static int set_up(void **state)
{
    (void)state;
    fvlm_err err;
    const random_model r = random_model_small();
    test_folder(folder);
    model = test_path(folder, "model.fvlm");
    edited = test_path(folder, "edited.fvlm");
    other = test_path(folder, "other");
    images[0] = picture = test_path(folder, "picture.png");
    return random_model_write(&r, model, &err) || !test_write_picture(picture, 90, 60);
}

static int tear_down(void **state)
{
    (void)state;
    free(model);
    free(edited);
    free(other);
    free(picture);
    return 0;
}

static fvlm_parity_options options_for(const char *file)
{
    return (fvlm_parity_options){.model = file,
                                 .source = model,
                                 .acts = {FVLM_ACT_F32},
                                 .n_acts = 1,
                                 .images = images,
                                 .n_images = 1,
                                 .prompt = "abc",
                                 .tokens = 3,
                                 .threads = 2};
}

static fvlm_parity beside_source(const char *file)
{
    fvlm_parity p;
    fvlm_err err = {0};
    const fvlm_parity_options o = options_for(file);
    must(fvlm_parity_run(&p, &o, &err), &err);
    return p;
}

/* ---- f32 ---- */

static void a_file_beside_itself(void **state)
{
    (void)state;
    fvlm_parity p = beside_source(model);
    assert_int_equal(p.precision, FVLM_PRECISION_EXACT);
    assert_true(p.n_blocks > 15);
    for (size_t i = 0; i < p.n_blocks; i++) {
        assert_true(p.blocks[i].worst[0].relative_l2 == 0);
        assert_true(p.blocks[i].worst[0].max_error == 0);
    }
    assert_true(p.statistics[0].kl.value == 0 && p.statistics[0].rms_dp.value == 0);
    assert_int_equal(p.agreement[0].top1, p.agreement[0].positions);
    assert_true(fvlm_verdict_ok(&p));
    assert_int_equal(fvlm_verdict_first_bad(&p, 0), p.n_blocks);
    fvlm_parity_free(&p);
}

/* Adds 1 to the first stored float: never padding. */
static void add_one(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)ctx;
    float v;
    assert_int_equal(t->type.kind, FVLM_F32);
    memcpy(&v, bytes, sizeof v);
    v += 1;
    memcpy(bytes, &v, sizeof v);
}

static void one_changed_weight_is_found_where_it_is(void **state)
{
    (void)state;
    static const char *const planted[][2] = {
        {"vision.stem.0.weight", "vision.stem"},
        {"vision.stem.2.bias", "vision.stem"},
        {"vision.stage0.block0.mixer.weight", "vision.stage0.block0"},
        {"vision.stage1.downsample.dw.weight", "vision.stage1.downsample"},
        {"vision.stage1.downsample.pw.weight", "vision.stage1.downsample"},
        {"vision.stage2.block0.ffn.fc1.weight", "vision.stage2.block0"},
        {"vision.stage2.block0.ffn.fc2.bias", "vision.stage2.block0"},
        {"vision.stage3.block0.attn.qkv.weight", "vision.stage3.block0"},
        {"vision.stage4.block0.attn.proj.bias", "vision.stage4.block0"},
        {"vision.final.dw.weight", "vision.final"},
        {"vision.final.se.expand.bias", "vision.final"},
        {"projector.0.weight", "projector"},
        {"projector.2.bias", "projector"},
        {"llm.layer0.attn.q.weight", "llm.layer0"},
        {"llm.layer1.attn.v.bias", "llm.layer1"},
        {"llm.layer2.ffn.down.weight", "llm.layer2"},
        {"llm.layer1.ffn_norm.weight", "llm.layer1"},
        {"llm.norm.weight", "llm.norm"},
    };
    for (size_t k = 0; k < sizeof planted / sizeof planted[0]; k++) {
        fvlm_err err;
        must(test_edit_model(model, edited, planted[k][0], add_one, NULL, &err), &err);
        fvlm_parity p = beside_source(edited);
        const size_t bad = fvlm_verdict_first_bad(&p, 0);
        const char *found = bad < p.n_blocks ? p.blocks[bad].name : "no block";
        if (strcmp(found, planted[k][1])) fail_msg("%s: found in %s", planted[k][0], found);
        for (size_t i = 0; i < bad; i++) assert_true(p.blocks[i].worst[0].relative_l2 == 0);
        assert_false(fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);
    }
}

static void make_it_nan(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)t, (void)ctx;
    const float nan = NAN;
    memcpy(bytes, &nan, sizeof nan);
}

static void not_a_number_never_passes(void **state)
{
    (void)state;
    fvlm_err err;
    must(test_edit_model(model, edited, "llm.layer1.ffn.down.weight", make_it_nan, NULL, &err), &err);
    char want[1024];
    snprintf(want, sizeof want,
             "\"%s\": llm.layer1 gives values that are not finite: llm.layer1.ffn.down.weight[0,0] is NaN; convert the "
             "model again from undamaged weights",
             edited);
    fvlm_parity p;
    fvlm_parity_options o = options_for(edited);
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, want);
    o = options_for(model);
    o.source = edited;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_BAD_INPUT); /* nor in the source */
    char source[1100];
    snprintf(source, sizeof source, "the source: %s", want);
    assert_string_equal(err.msg, source);
}

/* ---- quantized ---- */

static void quantize(const char *type)
{
    fvlm_err err;
    must(test_quantize(model, other, type, &err), &err);
}

/* Multiplies the scale of the first row's first group by *ctx. */
static void change_scale(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    const fvlm_matrix m = test_matrix(t);
    assert_int_equal(t->type.kind, FVLM_INT);
    const float scale = fvlm_bf16_to_f32(fvlm_load_u16(bytes + m.scales_at));
    fvlm_store_u16(bytes + m.scales_at, fvlm_f32_to_bf16(scale * *(float *)ctx));
}

static void quantized_models_pass_and_wrong_scales_do_not(void **state)
{
    (void)state;
    static const char *const where[][2] = {{"vision.stage2.block0.ffn.fc2.weight", "vision.stage2.block0"},
                                           {"llm.layer1.attn.o.weight", "llm.layer1"}};
    quantize("int8");
    fvlm_parity good = beside_source(other);
    assert_int_equal(good.precision, FVLM_PRECISION_INT8);
    assert_int_equal(fvlm_verdict_first_bad(&good, 0), good.n_blocks);
    assert_int_equal(fvlm_verdict_predictions(&good, 0), FVLM_FAILURE_NOT_JUDGED); /* three positions */
    assert_false(fvlm_verdict_ok(&good));
    for (size_t k = 0; k < 2; k++) {
        fvlm_err err;
        float once = 2, much = 300;
        /* A scale twice too large: the first block that differs from the sound int8 file is the one it is in. */
        must(test_edit_model(other, edited, where[k][0], change_scale, &once, &err), &err);
        fvlm_parity p = beside_source(edited);
        size_t i = 0;
        while (i < p.n_blocks && p.blocks[i].worst[0].relative_l2 == good.blocks[i].worst[0].relative_l2) i++;
        assert_true(i < p.n_blocks);
        assert_string_equal(p.blocks[i].name, where[k][1]);
        fvlm_parity_free(&p);
        /* One row quite wrong: out of bounds, there. */
        must(test_edit_model(other, edited, where[k][0], change_scale, &much, &err), &err);
        p = beside_source(edited);
        assert_false(fvlm_verdict_ok(&p));
        double step;
        assert_string_equal(p.blocks[fvlm_verdict_first_bad(&p, 0)].name, where[k][1]);
        assert_string_equal(p.blocks[fvlm_verdict_largest_step(&p, 0, &step)].name, where[k][1]);
        fvlm_parity_free(&p);
    }
    fvlm_parity_free(&good);
}

static void both_modes_and_all_thread_counts(void **state)
{
    (void)state;
    quantize("int4");
    fvlm_parity first = {0};
    for (unsigned threads = 1; threads <= 6; threads += 5) {
        fvlm_parity p;
        fvlm_err err;
        fvlm_parity_options o = options_for(other);
        o.acts[1] = FVLM_ACT_INT8;
        o.n_acts = 2;
        o.threads = threads;
        must(fvlm_parity_run(&p, &o, &err), &err);
        assert_int_equal(p.precision, FVLM_PRECISION_INT4);
        for (size_t i = 0; threads > 1 && i < p.n_blocks; i++)
            assert_memory_equal(p.blocks[i].worst, first.blocks[i].worst, sizeof p.blocks[i].worst);
        bool differ = false;
        for (size_t i = 0; i < p.n_blocks; i++)
            differ |= p.blocks[i].worst[0].relative_l2 != p.blocks[i].worst[1].relative_l2;
        assert_true(differ); /* the modes are two */
        fvlm_parity_free(&first);
        first = p;
    }
    fvlm_parity_free(&first);
}

static void precisions(void **state)
{
    (void)state;
    fvlm_err err;
    random_model r = random_model_small();
    static const struct {
        fvlm_kind kind;
        fvlm_precision precision;
    } cases[] = {{FVLM_F16, FVLM_PRECISION_F16}, {FVLM_BF16, FVLM_PRECISION_BF16}};
    for (size_t i = 0; i < 2; i++) {
        r.type.kind = r.small.kind = (uint8_t)cases[i].kind;
        must(random_model_write(&r, other, &err), &err);
        fvlm_parity p = beside_source(other);
        assert_int_equal(p.precision, cases[i].precision);
        assert_true(fvlm_verdict_act_ok(&p, 0));
        assert_true(fvlm_verdict_first_bad(&p, 0) == p.n_blocks);
        for (size_t b = 0; b < p.n_blocks; b++) assert_true(p.blocks[b].worst[0].relative_l2 > 2e-5);
        fvlm_parity_free(&p);
        /* Beside itself it keeps the types, and must be exact. */
        fvlm_parity_options o = options_for(other);
        o.source = other;
        must(fvlm_parity_run(&p, &o, &err), &err);
        assert_int_equal(p.precision, FVLM_PRECISION_EXACT);
        assert_true(fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);
    }
}

/* ---- enough positions ---- */

/* One picture with one prompt becomes 256 positions: the same ones each time, the user's first. */
static void general_questions_fill_up(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_parity p[2];
    fvlm_parity_options o = options_for(model);
    o.positions = FVLM_MIN_POSITIONS;
    o.tokens = 7;
    for (int i = 0; i < 2; i++) must(fvlm_parity_run(&p[i], &o, &err), &err);
    assert_in_range(p[0].agreement[0].compared, FVLM_MIN_POSITIONS, FVLM_MIN_POSITIONS + 6);
    assert_int_equal(p[0].n_images, 1);
    assert_true(p[0].n_drawn >= 1);
    assert_true(p[0].grading[0].judged);
    assert_true(fvlm_verdict_ok(&p[0]));
    assert_ptr_equal(p[0].answers[0].image, picture);
    assert_string_equal(p[0].answers[0].prompt, "abc");
    assert_string_not_equal(p[0].answers[1].prompt, "abc");
    size_t sum = 0;
    assert_int_equal(p[1].n_answers, p[0].n_answers);
    for (size_t i = 0; i < p[0].n_answers; i++) {
        const fvlm_parity_answer *a = &p[0].answers[i], *b = &p[1].answers[i];
        assert_in_range(a->positions, 1, 7);
        assert_int_equal(a->positions, b->positions);
        assert_string_equal(a->prompt, b->prompt);
        assert_false(a->parting[0].parted);
        for (size_t k = 0; k < i; k++)
            assert_false(a->image == p[0].answers[k].image && a->image && !strcmp(a->prompt, p[0].answers[k].prompt));
        sum += a->positions;
    }
    assert_int_equal(sum, p[0].agreement[0].positions);
    for (int i = 0; i < 2; i++) fvlm_parity_free(&p[i]);
}

/* Two pictures: both are asked the user's prompt, and each gets a share of the general questions. */
static void every_picture_has_its_share(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_parity p;
    size_t of[2] = {0};
    char *second = test_path(folder, "second.png");
    assert_true(test_write_picture(second, 64, 64));
    const char *both[] = {picture, second};
    fvlm_parity_options o = options_for(model);
    o.images = both;
    o.n_images = 2;
    o.positions = 40;
    o.tokens = 4;
    must(fvlm_parity_run(&p, &o, &err), &err);
    for (size_t i = 0; i < p.n_answers; i++) of[p.answers[i].image == second] += p.answers[i].positions;
    assert_in_range(of[0], 20, 23);
    assert_in_range(of[0] + of[1], 40, 43);
    assert_int_equal(p.n_drawn, 0);
    fvlm_parity_free(&p);
    free(second);
}

/* The parting that is reported is where free greedy decoding of both files parts. */
static void answers_part_where_free_answers_part(void **state)
{
    (void)state;
    enum { N = 24 };
    fvlm_err err;
    fvlm_parity p;
    fvlm_answer a[2];
    quantize("int4");
    const char *const paths[] = {model, other};
    for (int i = 0; i < 2; i++) {
        const fvlm_question q = {.image = picture, .text = "abc", .sampling = {.max_new_tokens = N, .top_p = 1}};
        fvlm_model *m = open_model(paths[i], &(fvlm_model_options){.threads = 1});
        must(fvlm_model_answer(m, &q, &a[i], &err), &err);
        fvlm_model_close(&m);
    }
    size_t same = 0;
    while (same < a[0].n_ids && same < a[1].n_ids && a[0].ids[same] == a[1].ids[same]) same++;
    fvlm_parity_options o = options_for(other);
    o.tokens = N;
    must(fvlm_parity_run(&p, &o, &err), &err);
    const bool parted = same < a[0].n_ids || same < a[1].n_ids;
    assert_true(parted); /* random weights in 4 bits; else the test shows nothing */
    assert_true(p.answers[0].parting[0].parted);
    assert_int_equal(p.answers[0].parting[0].position, same);
    assert_string_not_equal(p.answers[0].parting[0].source, p.answers[0].parting[0].model);
    fvlm_parity_free(&p);
    for (int i = 0; i < 2; i++) fvlm_answer_free(&a[i]);
}

/* The user's limits decide alone, for better and for worse; too few positions fail all the same. */
static void limits_of_the_user(void **state)
{
    (void)state;
    static const struct {
        fvlm_parity_limits limits;
        fvlm_failure want;
    } cases[] = {
        {{.by_kl = true, .kl = 1000}, FVLM_FAILURE_NONE},
        {{.by_kl = true, .kl = 0}, FVLM_FAILURE_MAX_KL},
        {{.by_top1 = true, .top1 = 0}, FVLM_FAILURE_NONE},
        {{.by_top1 = true, .top1 = 1}, FVLM_FAILURE_MIN_TOP1},
        {{.by_kl = true, .kl = 1000, .by_top1 = true, .top1 = 1}, FVLM_FAILURE_MIN_TOP1},
    };
    fvlm_err err;
    fvlm_parity p;
    quantize("int4");
    fvlm_parity_options o = options_for(other);
    o.positions = FVLM_MIN_POSITIONS;
    o.tokens = 32;
    must(fvlm_parity_run(&p, &o, &err), &err);
    assert_true(p.grading[0].judged);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p.limits = cases[i].limits;
        assert_int_equal(fvlm_verdict_predictions(&p, 0), cases[i].want);
        p.grading[0].judged = false;
        assert_int_equal(fvlm_verdict_predictions(&p, 0), FVLM_FAILURE_NOT_JUDGED);
        p.grading[0].judged = true;
    }
    p.limits = (fvlm_parity_limits){0};
    for (fvlm_grade g = 0; g < FVLM_N_GRADES; g++) {
        p.grading[0].grade = g;
        assert_int_equal(fvlm_verdict_predictions(&p, 0),
                         g <= FVLM_GRADE_CLOSE ? FVLM_FAILURE_NONE : FVLM_FAILURE_GRADE);
    }
    fvlm_parity_free(&p);
}

/* ---- refusals ---- */

static void refuses(const fvlm_parity_options *o, fvlm_status code, const char *text)
{
    fvlm_parity p;
    fvlm_err err = {0};
    const fvlm_status st = fvlm_parity_run(&p, o, &err);
    if (st != code || strcmp(err.msg, text)) fail_msg("status %d: %s\nexpected: %s", (int)st, err.msg, text);
}

static void models_that_are_not_the_same(void **state)
{
    (void)state;
    fvlm_err err;
    char text[1200];
    random_model r = random_model_small();
    r.config.llm.rope_theta *= 2;
    must(random_model_write(&r, other, &err), &err);
    fvlm_parity_options o = options_for(other);
    snprintf(text, sizeof text, "\"%s\" and \"%s\" are not the same model: llm.rope_theta is 2000000.0 and 1000000.0",
             other, model);
    refuses(&o, FVLM_MISMATCH, text);
    o = options_for(model);
    o.side = 100;
    fvlm_parity p;
    assert_int_not_equal(fvlm_parity_run(&p, &o, &err), FVLM_OK);
    o.side = 0;
    o.tokens = 4000;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_LIMIT);
    o = options_for(model);
    const char *none[1] = {"/nonexistent.png"};
    o.images = none;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_IO);
}

/* ---- recorded activations ---- */

typedef struct {
    char json[16384];
    size_t n_json;
    uint8_t *data;
    size_t n_data;
} tensors;

static void put(tensors *t, const char *name, const char *dtype, size_t rows, size_t cols, const void *bytes,
                size_t n_bytes)
{
    char shape[64];
    if (cols)
        snprintf(shape, sizeof shape, "%zu,%zu", rows, cols);
    else
        snprintf(shape, sizeof shape, "%zu", rows);
    t->n_json += (size_t)snprintf(t->json + t->n_json, sizeof t->json - t->n_json,
                                  "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                  t->n_json ? "," : "{", name, dtype, shape, t->n_data, t->n_data + n_bytes);
    t->data = realloc(t->data, t->n_data + n_bytes);
    memcpy(t->data + t->n_data, bytes, n_bytes);
    t->n_data += n_bytes;
}

static void save(tensors *t, const char *path)
{
    t->n_json += (size_t)snprintf(t->json + t->n_json, sizeof t->json - t->n_json, "}");
    while (t->n_json % 8) t->json[t->n_json++] = ' ';
    uint8_t *file = malloc(8 + t->n_json + t->n_data);
    fvlm_store_u64(file, t->n_json);
    memcpy(file + 8, t->json, t->n_json);
    memcpy(file + 8 + t->n_json, t->data, t->n_data);
    assert_true(test_write_file(path, file, 8 + t->n_json + t->n_data));
    free(file);
    free(t->data);
}

static const int64_t recorded_ids[] = {65, 66, -200, 67, 68};
enum { N_IDS = 5, AFTER = 2 };

/* What the model puts out for recorded_ids, by the executor called one by one. */
static void record(kept *k, const fvlm_pixels *pixels, int64_t greedy[3])
{
    fvlm_err err;
    fvlm_model *m = open_model(model, &(fvlm_model_options){.threads = 1, .observer = keep, .observer_ctx = k});
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, pixels->side), hidden = c->llm.hidden;
    float *features = fvlm_alloc(tokens * c->vision.out_dim, sizeof(float));
    float *rows = fvlm_alloc((tokens + N_IDS) * hidden, sizeof(float)),
          *logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    const uint32_t before[AFTER] = {65, 66}, after[AFTER] = {67, 68};
    must(fvlm_model_tower(m, pixels, features, &err), &err);
    must(fvlm_model_project(m, features, tokens, rows + AFTER * hidden, &err), &err);
    must(fvlm_model_embed(m, before, AFTER, rows, &err), &err);
    must(fvlm_model_embed(m, after, AFTER, rows + (AFTER + tokens) * hidden, &err), &err);
    must(fvlm_model_forward(m, rows, tokens + N_IDS - 1, false, logits, &err), &err);
    const size_t n_blocks = k->n;
    for (size_t i = 0; i < 3; i++) {
        uint32_t top[5];
        fvlm_divergence_top5(logits, c->llm.vocab, top);
        greedy[i] = top[0];
        must(fvlm_model_embed(m, top, 1, rows, &err), &err);
        must(fvlm_model_forward(m, rows, 1, false, logits, &err), &err);
    }
    for (size_t i = n_blocks; i < k->n; i++) free(k->blocks[i].x);
    k->n = n_blocks; /* the prompt's pass only */
    free(features);
    free(rows);
    free(logits);
    fvlm_model_close(&m);
}

static void write_recording(const kept *k, const fvlm_pixels *pixels, const int64_t *greedy, const char *spoil)
{
    tensors t = {0};
    for (size_t i = 0; i < k->n; i++) {
        const kept_block *b = &k->blocks[i];
        if (spoil && !strcmp(b->name, spoil)) continue;
        put(&t, b->name, "F32", b->rows, b->cols, b->x, b->rows * b->cols * sizeof(float));
    }
    put(&t, "pixels", "F32", (size_t)pixels->side * pixels->side, 3, pixels->values,
        (size_t)pixels->side * pixels->side * 3 * sizeof(float));
    put(&t, "input_ids", "I64", N_IDS, 0, recorded_ids, sizeof recorded_ids);
    put(&t, "greedy", "I64", 3, 0, greedy, 3 * sizeof *greedy);
    save(&t, other);
}

static fvlm_status run_recorded(const char *file, fvlm_parity *p, fvlm_err *err)
{
    const fvlm_parity_options o = {.model = file, .recorded = other, .acts = {FVLM_ACT_F32}, .n_acts = 1, .threads = 2};
    return fvlm_parity_run(p, &o, err);
}

static void recorded_activations(void **state)
{
    (void)state;
    kept k = {0};
    int64_t greedy[3];
    fvlm_err err;
    fvlm_parity p;
    char text[600];
    fvlm_pixels pixels = random_pixels(128, 3);
    record(&k, &pixels, greedy);

    write_recording(&k, &pixels, greedy, NULL);
    must(run_recorded(model, &p, &err), &err);
    assert_int_equal(p.n_blocks, k.n);
    for (size_t i = 0; i < p.n_blocks; i++) assert_true(p.blocks[i].worst[0].relative_l2 == 0);
    assert_int_equal(p.agreement[0].positions, 3);
    assert_int_equal(p.agreement[0].compared, 1);
    assert_int_equal(p.agreement[0].top1, 3);
    assert_true(fvlm_verdict_ok(&p));
    fvlm_parity_free(&p);

    must(test_edit_model(model, edited, "llm.layer1.attn.k.weight", add_one, NULL, &err), &err);
    must(run_recorded(edited, &p, &err), &err);
    assert_string_equal(p.blocks[fvlm_verdict_first_bad(&p, 0)].name, "llm.layer1");
    fvlm_parity_free(&p);

    greedy[1] = (greedy[1] + 1) % 200; /* an answer that the model does not give */
    write_recording(&k, &pixels, greedy, NULL);
    must(run_recorded(model, &p, &err), &err);
    assert_true(p.agreement[0].top1 < 3);
    assert_false(fvlm_verdict_ok(&p));
    fvlm_parity_free(&p);

    write_recording(&k, &pixels, greedy, "llm.layer0");
    assert_int_equal(run_recorded(model, &p, &err), FVLM_BAD_INPUT);
    snprintf(text, sizeof text, "\"%s\": no tensor \"llm.layer0\"", other);
    assert_string_equal(err.msg, text);

    greedy[1] = 263;
    write_recording(&k, &pixels, greedy, NULL);
    assert_int_equal(run_recorded(model, &p, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "the recorded greedy ids hold 263, which is not a token of this model");

    greedy[1] = 7;
    k.blocks[5].x[3] = -INFINITY;
    write_recording(&k, &pixels, greedy, NULL);
    assert_int_equal(run_recorded(model, &p, &err), FVLM_BAD_INPUT);
    snprintf(text, sizeof text, "\"%s\": \"%s\" holds values that are not finite", other, k.blocks[5].name);
    assert_string_equal(err.msg, text);
    pixels.values[100] = NAN;
    write_recording(&k, &pixels, greedy, NULL);
    assert_int_equal(run_recorded(model, &p, &err), FVLM_BAD_INPUT);
    snprintf(text, sizeof text, "\"%s\": \"pixels\" holds values that are not finite", other);
    assert_string_equal(err.msg, text);

    fvlm_pixels_free(&pixels);
    kept_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_beside_itself),
        cmocka_unit_test(one_changed_weight_is_found_where_it_is),
        cmocka_unit_test(not_a_number_never_passes),
        cmocka_unit_test(quantized_models_pass_and_wrong_scales_do_not),
        cmocka_unit_test(both_modes_and_all_thread_counts),
        cmocka_unit_test(precisions),
        cmocka_unit_test(general_questions_fill_up),
        cmocka_unit_test(every_picture_has_its_share),
        cmocka_unit_test(answers_part_where_free_answers_part),
        cmocka_unit_test(limits_of_the_user),
        cmocka_unit_test(models_that_are_not_the_same),
        cmocka_unit_test(recorded_activations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
