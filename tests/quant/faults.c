/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a model is quantized, the result is "out of memory" or the whole file with
 * all of its metadata, nothing is left beside it, and no memory leaks. FVLM_FULL=1: every single one, else some. */
#include <unistd.h>

#include "quant/quantization_report.h"
#include "tests/support/check.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/float_model.h"
#include "tests/support/support.h"

static char folder[256];
static char *in, *out;
static fvlm_err err;

static fvlm_status quantize_once(size_t k, bool all_after)
{
    fvlm_quantization *q;
    const fvlm_quant_options o = {.type = "int4", .threads = 1, .force = true};
    unlink(out);
    memset(&err, 0, sizeof err);
    test_arm(k, all_after);
    fvlm_status st = fvlm_quantization_plan(&q, in, &o, &err);
    if (!st) st = fvlm_quantization_write(q, out, &err);
    fvlm_quantization_free(&q);
    const char *wrong = test_disarm(st, &err);
    if (wrong) fail_msg("fault %zu: %s", k, wrong);
    if (test_count_entries(folder) != 1 + (size_t)!st) fail_msg("fault %zu leaves something behind", k);
    return st;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    const bool full = getenv("FVLM_FULL") != NULL;
    size_t n_whole, points = 0, went_on = 0;
    must(quantize_once(SIZE_MAX, false), &err); /* what is allocated once for the process */
    must(quantize_once(SIZE_MAX, false), &err);
    uint8_t *whole = test_read_file(out, &n_whole);
    const size_t total = count;
    for (int all_after = 0; all_after < 2; all_after++)
        for (size_t k = 1; k <= total; k += full || total - k < 150 ? 1 : 1 + total / 100, points++) {
            size_t n;
            if (quantize_once(k, all_after)) continue;
            uint8_t *got = test_read_file(out, &n);
            if (n != n_whole || memcmp(got, whole, n) != 0) fail_msg("fault %zu: another file", k);
            free(got);
            went_on++;
        }
    free(whole);
    print_message("# %zu failing allocations of %zu; without %zu it went on\n", points, total, went_on);
    assert_true(points > 200 && went_on < points / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    in = test_path(test_folder(folder), "in.fvlm");
    out = test_path(folder, "out.fvlm");
    must(test_float_model(in, NULL, 0, &err), &err);
    const int failed = cmocka_run_group_tests_name("quant/faults", tests, NULL, NULL);
    free(in);
    free(out);
    return failed;
}
