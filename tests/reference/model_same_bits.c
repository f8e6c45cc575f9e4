/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the same bits on every instruction set that this machine runs, at every thread count, for every weight type
 * and both activation modes, and however a text is split into calls. */
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"

enum { SIDE = 128, TEXT = 21 };

/* Picture rows and text rows through everything: what a run's bits come down to. */
typedef struct {
    float *features, *logits; /* [4, out_dim], [4 + TEXT, vocab] */
    size_t n_features, n_logits;
} result;

static result run_model(const char *path, unsigned threads, const char *cpu, fvlm_act_mode act)
{
    const fvlm_model_options o = {.threads = threads, .cpu = cpu, .act = act};
    fvlm_model *m = open_model(path, &o);
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, SIDE), n = tokens + TEXT;
    result r = {.n_features = tokens * c->vision.out_dim, .n_logits = n * c->llm.vocab};
    r.features = fvlm_alloc(r.n_features, sizeof(float));
    r.logits = fvlm_alloc(r.n_logits, sizeof(float));
    fvlm_pixels p = random_pixels(SIDE, 3);
    float *rows = random_rows(n * c->llm.hidden, 4);
    fvlm_err err = {0};
    assert_int_equal(fvlm_model_tower(m, &p, r.features, &err), FVLM_OK);
    assert_int_equal(fvlm_model_project(m, r.features, tokens, rows, &err), FVLM_OK);
    assert_int_equal(fvlm_model_forward(m, rows, n, true, r.logits, &err), FVLM_OK);
    fvlm_pixels_free(&p);
    free(rows);
    fvlm_model_close(&m);
    return r;
}

static void assert_same(const result *a, const result *b, const char *what)
{
    if (memcmp(a->features, b->features, a->n_features * sizeof(float)) != 0) fail_msg("%s: the tower differs", what);
    if (memcmp(a->logits, b->logits, a->n_logits * sizeof(float)) != 0) fail_msg("%s: the logits differ", what);
}

static void free_result(result *r)
{
    free(r->features);
    free(r->logits);
}

static bool can_run(const char *cpu)
{
    fvlm_exec *e;
    fvlm_err err;
    const bool yes = fvlm_exec_create(&e, 1, cpu, FVLM_ACT_F32, &err) == FVLM_OK;
    if (yes) fvlm_exec_destroy(&e);
    return yes;
}

/* Every level this machine has and 1 to 3 threads against scalar on one thread. */
static void one_answer(const char *path, const char *type, fvlm_act_mode act)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "neon", "dotprod"};
    result want = run_model(path, 1, "scalar", act);
    size_t compared = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (!can_run(levels[i])) continue;
        for (unsigned threads = 1; threads <= 3; threads += UNDER_SANITIZER(2)) {
            char what[96];
            snprintf(what, sizeof what, "%s, act %s, %s, %u threads", type, fvlm_act_name(act), levels[i], threads);
            result got = run_model(path, threads, levels[i], act);
            assert_same(&got, &want, what);
            free_result(&got);
            compared++;
        }
    }
    assert_true(compared >= 3);
    free_result(&want);
}

static void every_type_everywhere(void **state)
{
    (void)state;
    static const char *const types[] = {"f32",           "bf16",         "f16",
                                        "int8-sym-g64",  "int8-sym-row", "int8-asym-g32",
                                        "int4-asym-g64", "int4-sym-g32", "int4-sym-g128"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i += UNDER_SANITIZER(2)) {
        char path[512];
        random_model r = random_model_small();
        fvlm_err err = {0};
        assert_int_equal(fvlm_type_parse(&r.type, types[i], &err), FVLM_OK);
        if (r.type.kind != FVLM_INT) r.small = r.type;
        assert_int_equal(random_model_write(&r, scratch_path(path, "type.fvlm"), &err), FVLM_OK);
        one_answer(path, types[i], FVLM_ACT_F32);
        one_answer(path, types[i], FVLM_ACT_INT8);
        unlink(path);
    }
}

/* The two activation modes are two: for integer weights they differ, for float weights they cannot. */
static void the_mode_matters(void **state)
{
    (void)state;
    static const char *const types[] = {"bf16", "int8", "int4"};
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        random_model r = random_model_small();
        fvlm_err err = {0};
        assert_int_equal(fvlm_type_parse(&r.type, types[i], &err), FVLM_OK);
        assert_int_equal(random_model_write(&r, scratch_path(path, "mode.fvlm"), &err), FVLM_OK);
        result a = run_model(path, 1, NULL, FVLM_ACT_F32), b = run_model(path, 1, NULL, FVLM_ACT_INT8);
        assert_int_equal(memcmp(a.features, b.features, a.n_features * sizeof(float)) != 0, r.type.kind == FVLM_INT);
        assert_int_equal(memcmp(a.logits, b.logits, a.n_logits * sizeof(float)) != 0, r.type.kind == FVLM_INT);
        free_result(&a);
        free_result(&b);
    }
}

/* ---- splitting a text ---- */

typedef struct {
    fvlm_model *m;
    char path[512];
    float *rows;  /* [600, hidden] */
    float *whole; /* logits of all 600 at once */
    size_t hidden, vocab;
} text;

static int open_text(void **state)
{
    text *t = fvlm_alloc(1, sizeof *t);
    random_model r = random_model_small();
    fvlm_err err = {0};
    const fvlm_model_options o = {.threads = 2};
    if (random_model_write(&r, scratch_path(t->path, "text.fvlm"), &err) != FVLM_OK) return 1;
    t->m = open_model(t->path, &o);
    t->hidden = r.config.llm.hidden;
    t->vocab = r.config.llm.vocab;
    t->rows = random_rows(600 * t->hidden, 9);
    t->whole = fvlm_alloc(600 * t->vocab, sizeof(float));
    if (fvlm_model_forward(t->m, t->rows, 600, true, t->whole, &err) != FVLM_OK) return 1;
    *state = t;
    return 0;
}

static int close_text(void **state)
{
    text *t = *state;
    fvlm_model_close(&t->m);
    unlink(t->path);
    free(t->rows);
    free(t->whole);
    free(t);
    return 0;
}

static void assert_logits(const text *t, const float *logits, size_t row)
{
    if (memcmp(logits, t->whole + row * t->vocab, t->vocab * sizeof(float)) != 0) fail_msg("position %zu differs", row);
}

static void prefill_is_token_by_token(void **state)
{
    text *t = *state;
    float *logits = fvlm_alloc(t->vocab, sizeof *logits);
    fvlm_err err = {0};
    fvlm_model_reset(t->m);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(t->m->llm_memory.position, i);
        assert_int_equal(fvlm_model_forward(t->m, t->rows + i * t->hidden, 1, false, logits, &err), FVLM_OK);
        assert_logits(t, logits, i);
    }
    free(logits);
}

static void any_split_is_the_same_text(void **state)
{
    text *t = *state;
    float *logits = fvlm_alloc(t->vocab, sizeof *logits);
    fvlm_err err = {0};
    test_rng rng = {77};
    for (int round = 0; round < 5; round++) {
        fvlm_model_reset(t->m);
        for (size_t done = 0; done < 600;) {
            size_t n = 1 + (size_t)test_below(&rng, round == 0 ? 600 : 90);
            if (n > 600 - done) n = 600 - done;
            assert_int_equal(fvlm_model_forward(t->m, t->rows + done * t->hidden, n, false, logits, &err), FVLM_OK);
            done += n;
            assert_logits(t, logits, done - 1);
        }
    }
    free(logits);
}

/* A longer text before leaves nothing behind; and a cache that grows keeps what it holds. */
static void reset_forgets(void **state)
{
    text *t = *state;
    const fvlm_model_options o = {.threads = 1};
    fvlm_model *fresh = open_model(t->path, &o);
    float *logits = fvlm_alloc(t->vocab, sizeof *logits);
    fvlm_err err = {0};
    for (size_t n = 1; n <= 300; n *= 7) {
        fvlm_model_reset(t->m);
        assert_int_equal(fvlm_model_forward(t->m, t->rows, n, false, logits, &err), FVLM_OK);
        assert_logits(t, logits, n - 1);
        fvlm_model_reset(fresh);
        assert_int_equal(fvlm_model_forward(fresh, t->rows, n, false, logits, &err), FVLM_OK);
        assert_logits(t, logits, n - 1);
        assert_int_equal(fvlm_model_forward(fresh, t->rows + n * t->hidden, 3 * n, false, logits, &err), FVLM_OK);
        assert_logits(t, logits, 4 * n - 1);
    }
    free(logits);
    fvlm_model_close(&fresh);
}

/* What follows the positions that were kept is as if nothing else had been there. */
static void rewind_keeps_the_beginning(void **state)
{
    text *t = *state;
    float *logits = fvlm_alloc(t->vocab, sizeof *logits);
    fvlm_err err = {0};
    fvlm_model_reset(t->m);
    fvlm_model_rewind(t->m, 5);
    assert_int_equal(t->m->llm_memory.position, 0);
    for (size_t first = 150; first > 0; first /= 3) {
        fvlm_model_reset(t->m);
        assert_int_equal(fvlm_model_forward(t->m, t->rows, first, false, logits, &err), FVLM_OK);
        assert_int_equal(fvlm_model_forward(t->m, t->rows, 40, false, logits, &err), FVLM_OK); /* another text */
        fvlm_model_rewind(t->m, first);
        assert_int_equal(fvlm_model_forward(t->m, t->rows + first * t->hidden, 60, false, logits, &err), FVLM_OK);
        assert_logits(t, logits, first + 59);
    }
    free(logits);
}

static void context_is_a_limit(void **state)
{
    text *t = *state;
    float *logits = fvlm_alloc(t->vocab, sizeof *logits);
    fvlm_err err = {0};
    fvlm_model_reset(t->m);
    assert_int_equal(fvlm_model_context(t->m), 640);
    assert_int_equal(fvlm_model_forward(t->m, t->rows, 600, false, logits, &err), FVLM_OK);
    assert_int_equal(fvlm_model_forward(t->m, t->rows, 41, false, logits, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "the text takes 641 positions, the context holds 640");
    assert_int_equal(t->m->llm_memory.position, 600);
    assert_int_equal(fvlm_model_forward(t->m, t->rows, 40, false, logits, &err), FVLM_OK);
    assert_int_equal(fvlm_model_forward(t->m, t->rows, 1, false, logits, &err), FVLM_LIMIT);
    free(logits);

    random_model r = random_model_small();
    r.config.llm.context = 50;
    char path[512];
    assert_int_equal(random_model_write(&r, scratch_path(path, "small.fvlm"), &err), FVLM_OK);
    const fvlm_model_options o = {.threads = 1};
    fvlm_model *small = open_model(path, &o);
    assert_int_equal(fvlm_model_context(small), 50);
    assert_int_equal(fvlm_model_reserve(small, 51, 51, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "the text takes 51 positions, the context holds 50");
    fvlm_model_close(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_everywhere),
        cmocka_unit_test(the_mode_matters),
        cmocka_unit_test_setup_teardown(prefill_is_token_by_token, open_text, close_text),
        cmocka_unit_test_setup_teardown(any_split_is_the_same_text, open_text, close_text),
        cmocka_unit_test_setup_teardown(reset_forgets, open_text, close_text),
        cmocka_unit_test_setup_teardown(rewind_keeps_the_beginning, open_text, close_text),
        cmocka_unit_test_setup_teardown(context_is_a_limit, open_text, close_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
