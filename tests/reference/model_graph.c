/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: tower, projector and language model compute FastViTHD and Qwen2: every block agrees with a second
 * implementation in f64, written from the formulas (tests/support/twin.c), at any image size that is a multiple of the
 * stride and at any position. */
#include <math.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/model_run.h"
#include "tests/support/twin.h"

/* Relative L2 that f32 rounding may cost over the whole depth of the small model; measured: 5e-7. */
#define BOUND 2e-6

static char path[512];
static kept seen;

static fvlm_model *open_seen(void)
{
    const fvlm_model_options o = {.threads = 2, .observer = keep, .observer_ctx = &seen};
    return open_model(path, &o);
}

static int write_tied(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.config.llm.tied = true;
    fvlm_err err = {0};
    if (random_model_write(&r, scratch_path(path, "tied.fvlm"), &err) == FVLM_OK) return 0;
    print_error("%s\n", err.msg);
    return 1;
}

static int write_untied(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.seed = 5;
    fvlm_err err = {0};
    if (random_model_write(&r, scratch_path(path, "untied.fvlm"), &err) == FVLM_OK) return 0;
    print_error("%s\n", err.msg);
    return 1;
}

static int clean(void **state)
{
    (void)state;
    kept_free(&seen);
    unlink(path);
    return 0;
}

static void compare(const kept_block *got, const twin_block *want)
{
    assert_int_equal(got->rows, want->rows);
    assert_int_equal(got->cols, want->cols);
    double difference = 0, size = 0;
    for (size_t i = 0; i < want->rows * want->cols; i++) {
        difference += pow(got->x[i] - want->x[i], 2);
        size += pow(want->x[i], 2);
    }
    const double relative = sqrt(difference / size);
    if (!(relative <= BOUND)) fail_msg("%s differs by %.3g", want->name, relative);
}

/* Every block of the twin was seen, once, in the same order, with the same numbers. */
static void compare_all(const twin *t)
{
    assert_int_equal(seen.n, t->n);
    for (size_t i = 0; i < t->n; i++) {
        assert_string_equal(seen.blocks[i].name, t->blocks[i].name);
        compare(&seen.blocks[i], &t->blocks[i]);
    }
}

static void look(fvlm_model *m, uint32_t side)
{
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, side);
    fvlm_pixels p = random_pixels(side, side);
    float *features = fvlm_alloc(tokens * c->vision.out_dim, sizeof *features);
    float *rows = fvlm_alloc(tokens * c->llm.hidden, sizeof *rows);
    fvlm_err err = {0};
    kept_free(&seen);
    assert_int_equal(fvlm_model_tower(m, &p, features, &err), FVLM_OK);
    assert_int_equal(fvlm_model_project(m, features, tokens, rows, &err), FVLM_OK);
    twin t = {.r = fvlm_model_reader(m)};
    twin_tower(&t, p.values, side);
    twin_project(&t, twin_find(&t, "vision.final")->x, tokens);
    assert_int_equal(t.blocks[t.n - 1].rows, side / 64 * (side / 64));
    compare_all(&t);
    twin_free(&t);
    fvlm_pixels_free(&p);
    free(features);
    free(rows);
}

static void tower_at_any_multiple_of_the_stride(void **state)
{
    (void)state;
    static const uint32_t sides[] = {128, 64, 192, 320, 128}; /* the memory grows, and is used again */
    fvlm_model *m = open_seen();
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) look(m, sides[i]);
    fvlm_model_close(&m);
}

static void language_model(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 7, 330, 600};
    fvlm_model *m = open_seen();
    const fvlm_config *c = fvlm_model_config(m);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const size_t n = lengths[i];
        float *x = random_rows(n * c->llm.hidden, n), *logits = fvlm_alloc(n * c->llm.vocab, sizeof *logits);
        fvlm_err err = {0};
        kept_free(&seen);
        fvlm_model_reset(m);
        assert_int_equal(fvlm_model_forward(m, x, n, true, logits, &err), FVLM_OK);
        assert_int_equal(m->llm_memory.position, n);
        twin t = {.r = fvlm_model_reader(m)};
        twin_llm(&t, x, n);
        compare_all(&t);
        assert_memory_equal(logits, kept_find(&seen, "logits")->x, n * c->llm.vocab * sizeof *logits);
        twin_free(&t);
        free(x);
        free(logits);
    }
    fvlm_model_close(&m);
}

/* 600 rows at once, seen whole or in pieces of 512 and 88: the same numbers. */
static void long_texts_in_pieces(void **state)
{
    (void)state;
    enum { N = 600 };
    kept pieces = {.n = 0};
    const fvlm_model_options o = {.threads = 1, .observer = keep, .observer_ctx = &pieces, .observe_chunks = true};
    fvlm_model *whole = open_seen(), *m = open_model(path, &o);
    const fvlm_config *c = fvlm_model_config(m);
    float *x = random_rows(N * c->llm.hidden, 8), *logits = fvlm_alloc(c->llm.vocab, sizeof *logits);
    fvlm_err err = {0};
    kept_free(&seen);
    assert_int_equal(fvlm_model_forward(whole, x, N, false, logits, &err), FVLM_OK);
    assert_int_equal(fvlm_model_forward(m, x, N, false, logits, &err), FVLM_OK);
    assert_int_equal(seen.n, 1 + c->llm.layers + 2);
    assert_int_equal(pieces.n, 2 * (1 + c->llm.layers) + 2);
    for (size_t i = 0; i < 1 + c->llm.layers; i++) {
        const kept_block *all = &seen.blocks[i], *first = &pieces.blocks[i],
                         *second = &pieces.blocks[i + 1 + c->llm.layers];
        assert_string_equal(first->name, all->name);
        assert_string_equal(second->name, all->name);
        assert_int_equal(first->rows, 512);
        assert_int_equal(first->rows + second->rows, all->rows);
        const size_t n_first = first->rows * all->cols;
        assert_memory_equal(first->x, all->x, n_first * sizeof(float));
        assert_memory_equal(second->x, all->x + n_first, second->rows * all->cols * sizeof(float));
    }
    assert_memory_equal(kept_find(&pieces, "logits")->x, kept_find(&seen, "logits")->x, c->llm.vocab * sizeof(float));
    kept_free(&pieces);
    free(x);
    free(logits);
    fvlm_model_close(&whole);
    fvlm_model_close(&m);
}

static void embedding_rows_are_the_matrix_rows(void **state)
{
    (void)state;
    fvlm_model *m = open_seen();
    const fvlm_config *c = fvlm_model_config(m);
    const uint32_t ids[] = {0, 262, 17, 17};
    float *rows = fvlm_alloc(4 * c->llm.hidden, sizeof *rows);
    fvlm_err err = {0};
    assert_int_equal(fvlm_model_embed(m, ids, 4, rows, &err), FVLM_OK);
    const fvlm_tensor *t = fvlm_reader_find(fvlm_model_reader(m), "llm.embed.weight");
    const float *stored = (const float *)(const void *)fvlm_reader_bytes(fvlm_model_reader(m), t);
    fvlm_matrix l;
    assert_int_equal(fvlm_matrix_layout(&l, t->type, c->llm.vocab, c->llm.hidden, &err), FVLM_OK);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < c->llm.hidden; k++)
            assert_true(rows[i * c->llm.hidden + k] == stored[fvlm_matrix_float_at(&l, ids[i], k)]);
    const uint32_t outside = 263;
    assert_int_equal(fvlm_model_embed(m, &outside, 1, rows, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "token 263 has no row in the embedding of 263");
    free(rows);
    fvlm_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tower_at_any_multiple_of_the_stride, write_tied, clean),
        cmocka_unit_test_setup_teardown(language_model, write_tied, clean),
        cmocka_unit_test_setup_teardown(language_model, write_untied, clean),
        cmocka_unit_test_setup_teardown(long_texts_in_pieces, write_tied, clean),
        cmocka_unit_test_setup_teardown(embedding_rows_are_the_matrix_rows, write_untied, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
