/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a vision encoder is matched, the result is "out of memory", or the
 * same match, and nothing that could be taken for a verdict on the graph. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/onnx_tower.h"
#include "tests/support/support.h"

static fvlm_graph *graph;
static size_t n_tensors; /* of a match without faults */

static fvlm_status match_once(size_t at, bool all_after, size_t *n)
{
    fvlm_err err = {0};
    fvlm_match m = {0};
    test_arm(at, all_after);
    const fvlm_status st = fvlm_match_vision(&m, graph, TEST_TOWER_SIDE, &err);
    armed = false;
    if (st && (st != FVLM_NOMEM || strcmp(err.msg, "out of memory") != 0)) fail_msg("fault %zu: \"%s\"", at, err.msg);
    *n = m.n;
    fvlm_match_free(&m);
    return st;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    size_t n, points = 0, unseen = 0;
    assert_int_equal(match_once(SIZE_MAX, false, &n_tensors), FVLM_OK);
    assert_true(n_tensors > 80);
    const size_t total = count;
    for (int all_after = 0; all_after < 2; all_after++)
        for (size_t k = 1; k <= total; k += k < 50 || total - k < 200 ? 1 : 1 + total / 300, points++)
            if (!match_once(k, all_after, &n)) {
                assert_int_equal(n, n_tensors);
                unseen++;
            }
    print_message("# %zu failing allocations, of %zu; without %zu it went on\n", points, total, unseen);
    assert_true(unseen <= 2); /* qsort's own, which it can do without */
}

int main(void)
{
    char folder[256];
    test_checkpoint c;
    fvlm_err err = {0};
    test_checkpoint_make(&c, true, FVLM_SOURCE_F32);
    onnx_model m = onnx_tower(&c, &(tower_style){.qkv = QKV_SLICE});
    char *path = test_path(test_folder(folder), "m.onnx");
    onnx_save(&m, path);
    must(fvlm_graph_open(&graph, path, &err), &err);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    const int failed = cmocka_run_group_tests_name("match_faults", tests, NULL, NULL);
    fvlm_graph_close(&graph);
    test_checkpoint_free(&c);
    free(path);
    return failed;
}
