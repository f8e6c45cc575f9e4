/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the tower and the projector are found in graphs however exporters spell them, each weight under the name that
 * it has in Apple's checkpoint and with its own bytes; and a graph that computes anything else is refused by the name
 * of the node, with what was expected there. The graphs are made from a checkpoint whose tensors' names are those of
 * the initializers, which the matcher does not read. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_tower.h"
#include "tests/support/support.h"

static char folder[256];
static test_checkpoint checkpoints[2]; /* fused, as trained */

/* The graph in this style, matched. */
static fvlm_status match(fvlm_match *m, fvlm_graph **g, bool train_time, const tower_style *style, fvlm_err *err)
{
    char *path = test_path(folder, "m.onnx");
    onnx_model model = onnx_tower(&checkpoints[train_time], style);
    onnx_save(&model, path);
    *m = (fvlm_match){0};
    *g = NULL;
    fvlm_status st = fvlm_graph_open(g, path, err);
    if (!st) st = fvlm_match_vision(m, *g, TEST_TOWER_SIDE, err);
    free(path);
    return st;
}

static const fvlm_match_tensor *find(const fvlm_match *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->tensors[i].name, name)) return &m->tensors[i];
    return NULL;
}

static bool is_wanted(const char *name, const tower_style *style)
{
    const size_t n = strlen(name);
    if (strstr(name, "num_batches_tracked") || strstr(name, "head.proj")) return false;
    if (n > 11 && style->without_scale && strstr(name, ".layer_scale") && !strstr(name, "token_mixer")) return false;
    if (!strncmp(name, "model.mm_projector", 18)) return !style->without_projector && !style->map_output;
    return !strncmp(name, TEST_TOWER, strlen(TEST_TOWER));
}

/* The stored part of a matched tensor is the checkpoint's tensor. */
static void check_tensor(const fvlm_match_tensor *t, const test_tensor *want, bool apart)
{
    assert_int_equal(t->rank, want->rank);
    for (unsigned i = 0; i < t->rank; i++) assert_int_equal(t->dims[i], want->dims[i]);
    if (t->n_parts == 3) {
        assert_true(apart);
        for (unsigned i = 0; i < 3; i++) {
            char name[256];
            snprintf(name, sizeof name, "%s.%c", want->name, "qkv"[i]);
            assert_string_equal(t->parts[i].weight.tensor->name, name);
            assert_true(t->parts[i].transposed && t->parts[i].first_row == 0 && t->parts[i].n_rows == 64);
        }
        return;
    }
    assert_int_equal(t->n_parts, 1);
    const fvlm_match_part *p = &t->parts[0];
    assert_string_equal(p->weight.tensor->name, want->name);
    assert_int_equal(p->first_row, 0);
    assert_int_equal(p->n_rows, want->dims[0]);
    const size_t rows = (size_t)want->dims[0], columns = want->n / rows;
    const float *v = (const float *)(const void *)p->weight.tensor->bytes;
    const bool transposed = p->transposed != p->weight.transposed;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < columns; k++)
            if ((double)v[transposed ? k * rows + r : r * columns + k] != want->values[r * columns + k])
                fail_msg("%s: element %zu, %zu", want->name, r, k);
}

static void check_style(bool train_time, const tower_style *style)
{
    fvlm_match m;
    fvlm_graph *g;
    fvlm_err err = {0};
    const test_checkpoint *c = &checkpoints[train_time];
    must(match(&m, &g, train_time, style, &err), &err);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!is_wanted(c->items[i].name, style)) continue;
        const fvlm_match_tensor *t = find(&m, c->items[i].name);
        if (!t) fail_msg("%s is missing", c->items[i].name);
        check_tensor(t, &c->items[i], style->qkv == QKV_APART);
        n++;
    }
    for (size_t i = 0; i < m.n && style->without_scale; i++) { /* folded into the layer before it */
        if (m.tensors[i].n_parts) continue;
        assert_non_null(strstr(m.tensors[i].name, ".layer_scale"));
        assert_true(m.tensors[i].fill == 1 && !m.tensors[i].numbers);
        n++;
    }
    assert_int_equal(m.n, n); /* nothing else */
    assert_true(m.has_tower && m.has_projector == !(style->without_projector || style->map_output));
    assert_int_equal(m.image_size, TEST_TOWER_SIDE);
    assert_int_equal(m.vision_width, m.has_projector ? 32 : 128);
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
}

static void every_spelling(void **state)
{
    (void)state;
    unsigned n = 0;
    for (int train_time = 0; train_time < 2; train_time++) {
        for (int i = 0; i < GELU_KINDS; i++, n++) check_style(train_time, &(tower_style){.gelu = (tower_gelu)i});
        for (int i = 0; i < NORM_KINDS; i++, n++) check_style(train_time, &(tower_style){.norm = (tower_norm)i});
        for (int i = 0; i < LINEAR_KINDS; i++, n++) check_style(train_time, &(tower_style){.linear = (tower_linear)i});
        for (int i = 0; i < QKV_KINDS; i++, n++) check_style(train_time, &(tower_style){.qkv = (tower_qkv)i});
        for (int i = 0; i < SCALE_KINDS; i++, n++) check_style(train_time, &(tower_style){.scale = (tower_scale)i});
        for (int i = 0; i < POOL_KINDS; i++, n++) check_style(train_time, &(tower_style){.pool = (tower_pool)i});
        check_style(train_time, &(tower_style){.dynamic = true});
        check_style(train_time, &(tower_style){.without_scale = true});
        check_style(train_time, &(tower_style){.without_projector = true});
        check_style(train_time, &(tower_style){.map_output = true});
        n += 4;
    }
    print_message("# %u spellings, one at a time\n", n);
}

/* Spellings do not disturb one another. */
static void mixed_spellings(void **state)
{
    (void)state;
    test_rng r = {7};
    for (int i = 0; i < 200; i++) {
        const tower_style style = {.gelu = (tower_gelu)test_below(&r, GELU_KINDS),
                                   .norm = (tower_norm)test_below(&r, NORM_KINDS),
                                   .linear = (tower_linear)test_below(&r, LINEAR_KINDS),
                                   .qkv = (tower_qkv)test_below(&r, QKV_KINDS),
                                   .scale = (tower_scale)test_below(&r, SCALE_KINDS),
                                   .pool = (tower_pool)test_below(&r, POOL_KINDS),
                                   .swap = test_below(&r, 2),
                                   .dynamic = test_below(&r, 2),
                                   .without_scale = test_below(&r, 4) == 0,
                                   .without_projector = test_below(&r, 4) == 0};
        check_style(test_below(&r, 2), &style);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling),
        cmocka_unit_test(mixed_spellings),
    };
    test_folder(folder);
    for (int i = 0; i < 2; i++) test_checkpoint_make(&checkpoints[i], i, FVLM_SOURCE_F32);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < 2; i++) test_checkpoint_free(&checkpoints[i]);
    return failed;
}
