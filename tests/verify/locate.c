/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: blocks are found among the values of a graph by numbers: in both orders of dimensions, with noise larger than
 * what a block adds, with copies and decoys out of order, with values missing; the output is the last block whatever
 * its numbers are; nothing is found where nothing agrees. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"
#include "verify/locate.h"

enum { ROWS = 24, COLS = 40, N = ROWS * COLS, N_VALUES = 12 };

/* A graph with N_VALUES values, one a node, but the last node has two outputs; values are what the tests say. */
static fvlm_graph *chain(const char *folder)
{
    onnx_model m = onnx_model_new();
    onnx_input(&m, "x", FVLM_ONNX_F32, "1");
    char from[16] = "x", to[16];
    for (int i = 1; i < N_VALUES - 1; i++) {
        snprintf(to, sizeof to, "v%d", i);
        onnx_node(&m, "Relu", from, to, "");
        snprintf(from, sizeof from, "%s", to);
    }
    onnx_node(&m, "Split", from, "norm,sum", "");
    onnx_output(&m, "norm", FVLM_ONNX_F32, "1");
    char *path = test_path(folder, "chain.onnx");
    onnx_save(&m, path);
    fvlm_graph *g;
    fvlm_err err = {0};
    if (fvlm_graph_open(&g, path, &err)) fail_msg("%s", err.msg);
    free(path);
    return g;
}

static uint32_t id_of(const fvlm_graph *g, const char *name)
{
    for (uint32_t i = 0; i < fvlm_graph_n_values(g); i++)
        if (!strcmp(fvlm_graph_value_at(g, i)->name, name)) return i;
    fail_msg("no value %s", name);
    return 0;
}

static fvlm_graph *graph;

/* x as [ROWS, COLS], or transposed as [1, COLS, 4, ROWS / 4]. */
static void add(fvlm_locator *l, const char *name, const float *x, bool transposed)
{
    float y[N];
    fvlm_err err = {0};
    for (size_t i = 0; i < N; i++) y[transposed ? i % COLS * ROWS + i / COLS : i] = x[i];
    fvlm_judge_tensor t = {.type = FVLM_ONNX_F32, .rank = 3, .dims = {1, ROWS, COLS}, .n_elems = N, .data = y};
    if (transposed) t.rank = 4, t.dims[1] = COLS, t.dims[2] = 4, t.dims[3] = ROWS / 4;
    assert_int_equal(fvlm_locator_add_value(l, id_of(graph, name), &t, &err), FVLM_OK);
}

/* base plus noise of relative size e */
static void noisy(float *out, const float *base, double e, uint64_t seed)
{
    test_rng r = {seed};
    double norm2 = 0;
    for (size_t i = 0; i < N; i++) norm2 += (double)base[i] * (double)base[i];
    for (size_t i = 0; i < N; i++) out[i] = base[i] + (float)(e * sqrt(norm2 / N) * (double)test_normal(&r));
}

static void expect(const fvlm_locator *l, size_t block, const char *want)
{
    const uint32_t id = l->blocks[block].value;
    const char *found = id == FVLM_GRAPH_NONE ? "none" : fvlm_graph_value_at(graph, id)->name;
    if (strcmp(found, want)) fail_msg("%s is %s, expected %s", l->blocks[block].name, found, want);
}

static void solve(fvlm_locator *l)
{
    fvlm_err err = {0};
    assert_int_equal(fvlm_locator_solve(l, graph, &err), FVLM_OK);
}

/* Four blocks of a residual stream, each adding 0.2 of the stream's size to it. */
static float stream[4][N];

static int setup(void **state)
{
    static char folder[256];
    (void)state;
    graph = chain(test_folder(folder));
    test_rng r = {3};
    for (size_t i = 0; i < N; i++) stream[0][i] = test_normal(&r);
    for (int k = 1; k < 4; k++)
        for (size_t i = 0; i < N; i++) stream[k][i] = stream[k - 1][i] + 0.2f * test_normal(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fvlm_graph_close(&graph);
    return 0;
}

static void add_blocks(fvlm_locator *l, double noise, size_t n)
{
    static const char *const names[] = {"vision.stem", "b1", "b2", "b3"};
    float x[N];
    for (size_t k = 0; k < n; k++) {
        noisy(x, stream[k], noise, 100 + k);
        fvlm_locator_add_block(l, names[k], x, ROWS, COLS);
    }
}

static void finds_each(void **state)
{
    (void)state;
    /* Noise of half of what a block adds, and of nearly as much. */
    static const double noises[] = {0, 1e-6, 0.01, 0.1, 0.18};
    for (size_t i = 0; i < 5; i++)
        for (int transposed = 0; transposed < 2; transposed++) {
            fvlm_locator l = {0};
            add_blocks(&l, noises[i], 4);
            float other[N];
            noisy(other, stream[0], 3, 9);
            add(&l, "v1", other, false);
            add(&l, "v2", stream[0], transposed);
            add(&l, "v3", stream[0], !transposed); /* a copy: the first counts */
            add(&l, "v4", stream[1], transposed);
            add(&l, "v5", other, true);
            add(&l, "v6", stream[2], !transposed);
            add(&l, "v7", stream[3], transposed);
            add(&l, "v8", stream[1], transposed); /* again, too late */
            solve(&l);
            expect(&l, 0, "v2");
            expect(&l, 1, "v4");
            expect(&l, 2, "v6");
            expect(&l, 3, "v7");
            assert_int_equal(l.blocks[1].transposed, transposed);
            assert_true(fabs(l.blocks[2].error - noises[i]) < 0.1 * noises[i] + 1e-9);
            fvlm_locator_free(&l);
        }
}

static void missing_values(void **state)
{
    (void)state;
    fvlm_locator l = {0};
    add_blocks(&l, 1e-6, 4);
    add(&l, "v2", stream[0], false);
    add(&l, "v4", stream[3], true);
    solve(&l);
    expect(&l, 0, "v2");
    expect(&l, 1, "none");
    expect(&l, 2, "none");
    expect(&l, 3, "v4");
    assert_int_equal(l.blocks[1].nearest, id_of(graph, "v2")); /* 0.2 off, and taken */
    fvlm_locator_free(&l);

    /* Nothing agrees, other shapes, other types. */
    float other[N];
    fvlm_err err = {0};
    noisy(other, stream[0], 3, 9);
    add_blocks(&l, 0, 2);
    add(&l, "v1", other, false);
    int64_t whole[N] = {0};
    const fvlm_judge_tensor ids = {.type = FVLM_ONNX_I64, .rank = 2, .dims = {ROWS, COLS}, .n_elems = N, .data = whole};
    const fvlm_judge_tensor small = {
        .type = FVLM_ONNX_F32, .rank = 2, .dims = {ROWS - 1, COLS}, .n_elems = N - COLS, .data = stream};
    const fvlm_judge_tensor wide = {
        .type = FVLM_ONNX_F32, .rank = 2, .dims = {ROWS / 2, 2 * COLS}, .n_elems = N, .data = stream};
    assert_int_equal(fvlm_locator_add_value(&l, 2, &ids, &err), FVLM_OK);
    assert_int_equal(fvlm_locator_add_value(&l, 3, &small, &err), FVLM_OK);
    assert_int_equal(fvlm_locator_add_value(&l, 4, &wide, &err), FVLM_OK);
    solve(&l);
    expect(&l, 0, "none");
    expect(&l, 1, "none");
    assert_int_equal(l.blocks[0].nearest, id_of(graph, "v1"));
    assert_true(l.blocks[0].error > 0.5);
    fvlm_locator_free(&l);
}

/* The output is the last block's, however wrong, and no other's, however right. */
static void output_is_fixed(void **state)
{
    (void)state;
    fvlm_locator l = {0};
    float other[N];
    noisy(other, stream[0], 3, 9);
    add_blocks(&l, 0, 3);
    fvlm_locator_anchor(&l, id_of(graph, "norm"));
    add(&l, "v2", stream[0], false);
    add(&l, "v3", stream[2], false);
    add(&l, "norm", other, false);
    solve(&l);
    expect(&l, 0, "v2");
    expect(&l, 1, "v3"); /* 0.2 off, but the nearest that is left */
    expect(&l, 2, "norm");
    fvlm_locator_free(&l);
    add_blocks(&l, 0, 3);
    fvlm_locator_anchor(&l, id_of(graph, "norm"));
    add(&l, "norm", stream[0], false);
    solve(&l);
    expect(&l, 0, "none");
    expect(&l, 2, "norm");
    fvlm_locator_free(&l);
    for (size_t i = 0; i < N; i++) other[i] = i % 2 ? NAN : INFINITY;
    add_blocks(&l, 0, 2);
    fvlm_locator_anchor(&l, id_of(graph, "norm"));
    add(&l, "v2", other, false);
    add(&l, "norm", other, true);
    solve(&l);
    expect(&l, 0, "none");
    expect(&l, 1, "norm");
    fvlm_locator_free(&l);
    /* An output that cannot be the last block is no other one either. */
    add_blocks(&l, 0, 2);
    fvlm_locator_add_block(&l, "b2", stream[2], ROWS / 2, COLS);
    fvlm_locator_anchor(&l, id_of(graph, "norm"));
    add(&l, "norm", stream[0], false);
    solve(&l);
    expect(&l, 0, "none");
    expect(&l, 2, "none");
    fvlm_locator_free(&l);
}

/* A norm that puts out its sum behind its result: the sum comes first. */
static void outputs_of_one_node(void **state)
{
    (void)state;
    fvlm_locator l = {0};
    float norm[N];
    noisy(norm, stream[0], 5, 4);
    fvlm_locator_add_block(&l, "llm.layer0", stream[1], ROWS, COLS);
    fvlm_locator_add_block(&l, "llm.layer1", stream[2], ROWS, COLS);
    fvlm_locator_add_block(&l, "llm.norm", norm + N - COLS, 1, COLS); /* of the last position */
    add(&l, "v4", stream[1], false);
    add(&l, "norm", norm, false);
    add(&l, "sum", stream[2], false);
    solve(&l);
    expect(&l, 0, "v4");
    expect(&l, 1, "sum");
    expect(&l, 2, "norm");
    assert_true(l.blocks[2].error < 1e-6);
    fvlm_locator_free(&l);
}

static void copies(void **state)
{
    (void)state;
    float x[N], y[N];
    size_t first;
    for (size_t i = 0; i < N; i++) x[i] = (float)i;
    const fvlm_judge_tensor map = {
        .type = FVLM_ONNX_F32, .rank = 4, .dims = {1, COLS, 4, ROWS / 4}, .n_elems = N, .data = x};
    assert_true(fvlm_locate_fits(&map, ROWS, COLS, true, &first) && first == 0);
    assert_false(fvlm_locate_fits(&map, ROWS, COLS, false, &first));
    fvlm_locate_copy(y, &map, ROWS, COLS, true, first);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) assert_true(y[r * COLS + c] == (float)(c * ROWS + r));
    const fvlm_judge_tensor rows = {.type = FVLM_ONNX_F16, .rank = 3, .dims = {1, ROWS, COLS}, .n_elems = N, .data = x};
    assert_true(fvlm_locate_fits(&rows, 1, COLS, false, &first) && first == N - COLS);
    fvlm_locate_copy(y, &rows, 1, COLS, false, first);
    assert_true(y[0] == (float)(N - COLS) && y[COLS - 1] == (float)(N - 1));
    assert_false(fvlm_locate_fits(&rows, ROWS + 1, COLS, false, &first));
    const fvlm_judge_tensor empty = {.type = FVLM_ONNX_F32, .rank = 2, .dims = {0, COLS}, .data = x};
    assert_false(fvlm_locate_fits(&empty, 1, COLS, false, &first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_each), cmocka_unit_test(missing_values),
                                       cmocka_unit_test(output_is_fixed), cmocka_unit_test(outputs_of_one_node),
                                       cmocka_unit_test(copies)};
    return cmocka_run_group_tests_name("locate", tests, setup, teardown);
}
