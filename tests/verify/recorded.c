/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: recorded activations are read as they were written, and differences from them are found where they begin;
 * recordings that lack a block, or hold what no model puts out, are refused by name. */
#include <math.h>

#include "tests/verify/parity_files.h"

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
        cmocka_unit_test(recorded_activations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
