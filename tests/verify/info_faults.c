/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while `fvlm info --json` is made, the result is all of it or nothing, which the
 * command reports as out of memory. FVLM_FULL=1: every single one, else some. */
#include "convert/convert.h"
#include "format/base/json.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/support.h"
#include "verify/info/info.h"

/* Converted, so that it says of each tensor what that was made of. */
static fvlm_reader *make_model(void)
{
    char folder[256];
    test_checkpoint c;
    fvlm_conversion *x;
    fvlm_reader *r;
    fvlm_err err = {0};
    const fvlm_convert_options o = {.threads = 1};
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, test_folder(folder));
    test_checkpoint_free(&c);
    char *path = test_path(folder, "m.fvlm");
    must(fvlm_conversion_plan(&x, folder, &o, &err), &err);
    must(fvlm_conversion_write(x, path, &err), &err);
    fvlm_conversion_free(&x);
    must(fvlm_reader_open(&r, path, &err), &err);
    free(path);
    return r;
}

static json_t *make_json(const fvlm_info *x, const fvlm_reader *r, size_t k)
{
    test_arm(k, false);
    json_t *j = fvlm_info_json(x, r, true);
    armed = false;
    return j;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    const bool full = getenv("FVLM_FULL") != NULL;
    fvlm_reader *r = make_model();
    fvlm_info x;
    fvlm_err err = {0};
    must(fvlm_info_gather(&x, r, &err), &err);
    x.sentencepiece = true; /* which adds a member */
    json_t *whole = make_json(&x, r, SIZE_MAX);
    assert_non_null(whole);
    const size_t total = count;
    size_t points = 0, went_on = 0;
    for (size_t k = 1; k <= total; k += full || k < 300 ? 1 : 1 + total / 300, points++) {
        json_t *j = make_json(&x, r, k);
        if (j && !json_equal(j, whole)) fail_msg("allocation %zu of %zu: a part is missing", k, total);
        went_on += j != NULL;
        json_decref(j);
    }
    print_message("# %zu failing allocations of %zu; without %zu it went on\n", points, total, went_on);
    assert_true(points > 400 && went_on < points / 10);
    json_decref(whole);
    fvlm_reader_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests_name("info_faults", tests, NULL, NULL);
}
