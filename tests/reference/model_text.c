/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the prompt is split at the image marker and each side tokenized by itself; an answer is what the passes give
 * when called one by one, ends where it should, stops when told to, and is emitted as whole UTF-8 characters. */
#include "reference/text_stream.h"
#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"

typedef struct {
    char bytes[4096];
    size_t n;
    bool broken; /* a piece was not whole UTF-8 by itself */
} heard;

/* Keeps the text, and decodes each piece alone: a second reading of UTF-8, by code point. */
static void hear(void *ctx, const char *text, size_t n_bytes)
{
    heard *h = ctx;
    for (size_t i = 0; i < n_bytes;) {
        const unsigned char b = (unsigned char)text[i];
        const size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
        if ((b & 0xc0) == 0x80 || i + n > n_bytes) h->broken = true;
        i += n;
    }
    assert_true(h->n + n_bytes < sizeof h->bytes);
    memcpy(h->bytes + h->n, text, n_bytes);
    h->n += n_bytes;
}

/* ---- whole characters ---- */

/* Left: bytes. Right: bytes.decode("utf-8", errors="replace") as CPython 3.11 gives it. */
static const struct {
    const char *in, *out;
} decoded[] = {
    {"plain", "plain"},
    {"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\x80", "\xef\xbf\xbd"},
    {"\xc3", "\xef\xbf\xbd"},
    {"\xc3(", "\xef\xbf\xbd("},
    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe2\x82", "\xef\xbf\xbd"},
    {"\xe2\x82x", "\xef\xbf\xbdx"},
    {"\xe2\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"},
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x9f\x98", "\xef\xbf\xbd"},
    {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf5\xff", "\xef\xbf\xbd\xef\xbf\xbd"},
};

static void whole_characters_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decoded / sizeof decoded[0]; i++) {
        const size_t n = strlen(decoded[i].in);
        for (size_t a = 0; a <= n; a++)
            for (size_t b = a; b <= n; b++) {
                heard h = {.n = 0};
                fvlm_text_stream s = {.emit = hear, .ctx = &h};
                fvlm_text_stream_put(&s, decoded[i].in, a);
                fvlm_text_stream_put(&s, decoded[i].in + a, b - a);
                fvlm_text_stream_put(&s, decoded[i].in + b, n - b);
                fvlm_text_stream_end(&s);
                assert_false(h.broken);
                assert_string_equal(h.bytes, decoded[i].out);
            }
    }
}

/* ---- with a model ---- */

typedef struct {
    char path[512], picture[512];
    fvlm_model *m;
} fixture;

static fvlm_model *write_and_open(const random_model *r, const char *path)
{
    fvlm_err err = {0};
    if (random_model_write(r, path, &err) != FVLM_OK) fail_msg("%s", err.msg);
    const fvlm_model_options o = {.threads = 2, .act_by_file = true};
    return open_model(path, &o);
}

static int open_fixture(void **state)
{
    fixture *f = fvlm_alloc(1, sizeof *f);
    const random_model r = random_model_small();
    if (!test_write_picture(scratch_path(f->picture, "picture.png"), 90, 70)) return 1;
    f->m = write_and_open(&r, scratch_path(f->path, "text.fvlm"));
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    fvlm_model_close(&f->m);
    free(f);
    return 0;
}

static size_t tokenize(const fvlm_model *m, const char *text, uint32_t *out)
{
    uint32_t *ids;
    size_t n;
    fvlm_err err = {0};
    assert_int_equal(fvlm_tokenizer_encode(m->tokenizer, text, strlen(text), &ids, &n, &err), FVLM_OK);
    memcpy(out, ids, n * sizeof *ids);
    free(ids);
    return n;
}

static void prompt_is_cut_at_the_picture(void **state)
{
    fixture *f = *state;
    uint32_t want[256], *ids;
    size_t n, split, before, after;
    fvlm_err err = {0};
    assert_int_equal(fvlm_prompt_ids(f->m, "hello \xc3\xa9?", true, &ids, &n, &split, &err), FVLM_OK);
    before = tokenize(f->m, "<|im_start|>user\n", want);
    after = tokenize(f->m, "\nhello \xc3\xa9?<|im_end|>\n<|im_start|>assistant\n", want + before);
    assert_int_equal(ids[0], 261); /* <|im_start|> */
    assert_int_equal(split, before);
    assert_int_equal(n, before + after);
    assert_memory_equal(ids, want, n * sizeof *ids);
    free(ids);

    assert_int_equal(fvlm_prompt_ids(f->m, "hello", false, &ids, &n, &split, &err), FVLM_OK);
    before = tokenize(f->m, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", want);
    assert_int_equal(n, before);
    assert_int_equal(split, before);
    assert_memory_equal(ids, want, n * sizeof *ids);
    free(ids);
}

static void prompts_that_are_refused(void **state)
{
    fixture *f = *state;
    uint32_t *ids;
    size_t n, split;
    fvlm_err err = {0};
    static const char *const empty[] = {"", " ", "\n\t \r"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fvlm_prompt_ids(f->m, empty[i], true, &ids, &n, &split, &err), FVLM_USAGE);
        assert_string_equal(err.msg, "the prompt is empty");
        assert_null(ids);
    }
    assert_int_equal(fvlm_prompt_ids(f->m, "and <image>?", true, &ids, &n, &split, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "the prompt may not contain <image>: the model fixes where the image goes");
}

/* The same answer by hand: picture, splice, prefill, argmax, one token at a time. */
static size_t answer_by_hand(fixture *f, const char *question, uint32_t side, size_t most, uint32_t *out)
{
    const fvlm_config *c = fvlm_model_config(f->m);
    const size_t hidden = c->llm.hidden, tokens = fvlm_model_image_tokens(c, side);
    uint32_t *ids;
    size_t n, split;
    fvlm_err err = {0};
    fvlm_pixels p;
    assert_int_equal(fvlm_prompt_ids(f->m, question, true, &ids, &n, &split, &err), FVLM_OK);
    assert_int_equal(fvlm_pixels_load(&p, f->picture, &(fvlm_pixels_options){.side = side}, &err), FVLM_OK);
    float *features = fvlm_alloc(tokens * c->vision.out_dim, sizeof *features);
    float *rows = fvlm_alloc((n + tokens) * hidden, sizeof *rows), *logits = fvlm_alloc(c->llm.vocab, sizeof *logits);
    assert_int_equal(fvlm_model_tower(f->m, &p, features, &err), FVLM_OK);
    assert_int_equal(fvlm_model_project(f->m, features, tokens, rows + split * hidden, &err), FVLM_OK);
    assert_int_equal(fvlm_model_embed(f->m, ids, split, rows, &err), FVLM_OK);
    assert_int_equal(fvlm_model_embed(f->m, ids + split, n - split, rows + (split + tokens) * hidden, &err), FVLM_OK);
    fvlm_model_reset(f->m);
    assert_int_equal(fvlm_model_forward(f->m, rows, n + tokens, false, logits, &err), FVLM_OK);
    size_t made = 0;
    while (made < most) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < c->llm.vocab; i++)
            if (logits[i] > logits[best]) best = i;
        if (best == c->eos[0]) break;
        out[made++] = best;
        assert_int_equal(fvlm_model_embed(f->m, &best, 1, rows, &err), FVLM_OK);
        assert_int_equal(fvlm_model_forward(f->m, rows, 1, false, logits, &err), FVLM_OK);
    }
    free(ids);
    free(features);
    free(rows);
    free(logits);
    fvlm_pixels_free(&p);
    return made;
}

static fvlm_answer answer(fvlm_model *m, const fvlm_question *q)
{
    fvlm_answer a;
    fvlm_err err = {0};
    if (fvlm_model_answer(m, q, &a, &err)) fail_msg("%s", err.msg);
    return a;
}

static void answer_is_its_parts(void **state)
{
    fixture *f = *state;
    static const uint32_t sides[] = {64, 192, 0};
    for (size_t i = 0; i < 3; i++) {
        uint32_t want[40];
        const size_t n_want = answer_by_hand(f, "hello?", sides[i] ? sides[i] : 128, 40, want);
        heard h = {.n = 0};
        const fvlm_question q = {.image = f->picture,
                                 .side = sides[i],
                                 .text = "hello?",
                                 .sampling = {40, 0, 1, 0},
                                 .emit = hear,
                                 .emit_ctx = &h};
        fvlm_answer a = answer(f->m, &q);
        assert_int_equal(a.n_ids, n_want);
        assert_memory_equal(a.ids, want, n_want * sizeof *want);
        assert_int_equal(a.image_tokens, (sides[i] ? sides[i] : 128) / 64 * ((sides[i] ? sides[i] : 128) / 64));
        assert_int_equal(a.ended, n_want < 40);
        const fvlm_timing t = a.timing;
        assert_true(t.image > 0 && t.vision > 0 && t.projector > 0 && t.prefill > 0);
        assert_true(t.ttft >= t.image + t.vision + t.projector + t.prefill);

        char text[4096];
        size_t n_text = 0;
        fvlm_text_stream whole = {.emit = hear, .ctx = &(heard){.n = 0}};
        for (size_t k = 0; k < a.n_ids; k++) {
            size_t n_bytes = 0;
            const char *bytes = fvlm_tokenizer_bytes(f->m->tokenizer, a.ids[k], &n_bytes);
            if (!bytes || fvlm_tokenizer_is_special(f->m->tokenizer, a.ids[k])) continue;
            memcpy(text + n_text, bytes, n_bytes);
            n_text += n_bytes;
        }
        fvlm_text_stream_put(&whole, text, n_text);
        fvlm_text_stream_end(&whole);
        const heard *want_text = whole.ctx;
        assert_int_equal(h.n, want_text->n);
        assert_memory_equal(h.bytes, want_text->bytes, h.n);
        assert_false(h.broken);
        fvlm_answer_free(&a);
    }
}

/* Make the third token of a drawn answer the one that ends it: two are left. */
static void the_end_token_ends(void **state)
{
    fixture *f = *state;
    const fvlm_question q = {.text = "hello", .sampling = {8, 2, 1, 3}};
    fvlm_answer a = answer(f->m, &q);
    assert_true(a.n_ids >= 3 && a.ids[2] != a.ids[0] && a.ids[2] != a.ids[1]);
    random_model r = random_model_small();
    r.config.eos[1] = a.ids[2];
    r.config.n_eos = 2;
    char path[512];
    fvlm_model *m = write_and_open(&r, scratch_path(path, "eos.fvlm"));
    fvlm_answer shorter = answer(m, &q);
    assert_int_equal(shorter.n_ids, 2);
    assert_memory_equal(shorter.ids, a.ids, 2 * sizeof *a.ids);
    assert_true(shorter.ended);
    assert_int_equal(shorter.timing.decode_steps, 2);
    assert_int_equal(shorter.image_tokens, 0);
    fvlm_answer_free(&a);
    fvlm_answer_free(&shorter);
    fvlm_model_close(&m);
}

static void the_context_ends_it_too(void **state)
{
    fixture *f = *state;
    uint32_t *prompt;
    size_t n_prompt, split;
    fvlm_err err = {0};
    fvlm_question q = {.text = "hello", .sampling = {100, 0, 1, 0}};
    assert_int_equal(fvlm_prompt_ids(f->m, "hello", false, &prompt, &n_prompt, &split, &err), FVLM_OK);
    free(prompt);
    random_model r = random_model_small();
    r.config.llm.context = (uint32_t)n_prompt + 5;
    char path[512];
    fvlm_model *m = write_and_open(&r, scratch_path(path, "short.fvlm"));
    fvlm_answer a = answer(m, &q);
    assert_int_equal(a.n_ids, 5);
    assert_false(a.ended);
    fvlm_answer_free(&a);

    static const char longer[] = "hello, the prompt alone is too long";
    q.text = longer;
    assert_int_equal(fvlm_model_answer(m, &q, &a, &err), FVLM_LIMIT);
    assert_null(a.ids);
    size_t n_longer;
    assert_int_equal(fvlm_prompt_ids(f->m, longer, false, &prompt, &n_longer, &split, &(fvlm_err){0}), FVLM_OK);
    free(prompt);
    char want[96];
    snprintf(want, sizeof want, "the text takes %zu positions, the context holds %zu", n_longer + 1, n_prompt + 5);
    assert_string_equal(err.msg, want);
    fvlm_model_close(&m);
}

static void drawing_repeats(void **state)
{
    fixture *f = *state;
    fvlm_question q = {.image = f->picture, .side = 64, .text = "hello", .sampling = {30, 1.5, 0.95, 11}};
    fvlm_answer a = answer(f->m, &q), b = answer(f->m, &q);
    q.sampling.seed = 12;
    fvlm_answer c = answer(f->m, &q);
    assert_int_equal(a.n_ids, b.n_ids);
    assert_memory_equal(a.ids, b.ids, a.n_ids * sizeof *a.ids);
    assert_true(a.n_ids != c.n_ids || memcmp(a.ids, c.ids, a.n_ids * sizeof *a.ids) != 0);
    fvlm_answer_free(&a);
    fvlm_answer_free(&b);
    fvlm_answer_free(&c);
}

static void bad_requests(void **state)
{
    fixture *f = *state;
    fvlm_err err = {0};
    fvlm_answer a;
    fvlm_question q = {.image = f->picture, .side = 100, .text = "hello", .sampling = {4, 0, 1, 0}};
    assert_int_equal(fvlm_model_answer(f->m, &q, &a, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "image side 100: should be a multiple of 64");
    q.image = "/nowhere.png", q.side = 0;
    assert_int_equal(fvlm_model_answer(f->m, &q, &a, &err), FVLM_IO);
    assert_non_null(strstr(err.msg, "/nowhere.png"));
}

static void set_flag(void *flag, const char *text, size_t n_bytes)
{
    (void)text, (void)n_bytes;
    atomic_store((fvlm_stop *)flag, true);
}

/* Set while the answer is generated, and before the model is opened. */
static void a_flag_stops_it(void **state)
{
    fixture *f = *state;
    fvlm_stop stop = false;
    fvlm_err err = {0};
    const fvlm_model_options o = {.threads = 2, .check = true, .stop = &stop};
    fvlm_model *m = open_model(f->path, &o);
    const fvlm_question q = {.text = "hello", .sampling = {30, 1.5, 0.95, 11}, .emit = set_flag, .emit_ctx = &stop};
    fvlm_answer a;
    assert_int_equal(fvlm_model_answer(m, &q, &a, &err), FVLM_INTERRUPTED);
    assert_string_equal(err.msg, "interrupted");
    assert_null(a.ids);
    assert_true(stop);
    fvlm_model_close(&m);
    assert_int_equal(fvlm_model_open(&m, f->path, &o, &err), FVLM_INTERRUPTED);
    assert_null(m);
}

static void activations_suit_the_file(void **state)
{
    fixture *f = *state;
    assert_int_equal(fvlm_exec_mode(fvlm_model_exec(f->m)), FVLM_ACT_F32);
    char path[512];
    random_model r = random_model_small();
    fvlm_err err = {0};
    assert_int_equal(fvlm_type_parse(&r.type, "int4", &err), FVLM_OK);
    fvlm_model *m = write_and_open(&r, scratch_path(path, "int4.fvlm"));
    assert_int_equal(fvlm_exec_mode(fvlm_model_exec(m)), FVLM_ACT_INT8);
    fvlm_model_close(&m);
    fvlm_model_options o = {0};
    assert_int_equal(fvlm_model_options_act(&o, "f16", &err), FVLM_USAGE);
    assert_string_equal(err.msg, "activations \"f16\": should be f32 or int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_characters_at_every_cut),
        cmocka_unit_test_setup_teardown(prompt_is_cut_at_the_picture, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(prompts_that_are_refused, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(answer_is_its_parts, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(the_end_token_ends, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(the_context_ends_it_too, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(drawing_repeats, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(bad_requests, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_flag_stops_it, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(activations_suit_the_file, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
