/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: when any one allocation fails while a picture is divided and encoded, the call says that memory is out,
 * leaves its output empty, and the next call gives the same rows as ever. */
#include <stdatomic.h>

#include "reference/reference.h"
#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/own_malloc.h"
#include "tests/support/random_model.h"
#include "tests/support/support.h"

static atomic_long left = -1; /* allocations until one fails; negative: none does */

bool test_allocation_fails(void)
{
    return left >= 0 && left-- == 0;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    char folder[256];
    char *path = test_path(test_folder(folder), "model.fvlm"), *picture = test_path(folder, "picture.png");
    random_model r = random_model_small();
    const uint32_t side = r.config.vision.image_size;
    fvlm_err err = {0};
    fvlm_model *m;
    fvlm_embedding want, got;
    long n = 0;
    r.config.tiles.merge = FVLM_MERGE_UNPAD;
    r.config.tiles.n_sizes = 1;
    r.config.tiles.size[0][0] = 2 * side, r.config.tiles.size[0][1] = side;
    assert_true(test_write_picture(picture, 90, 60));
    assert_int_equal(random_model_write(&r, path, &err), FVLM_OK);
    const fvlm_model_options o = {.threads = 1};
    const fvlm_image image = {.path = picture};
    assert_int_equal(fvlm_model_open(&m, path, &o, &err), FVLM_OK);
    assert_int_equal(fvlm_model_encode(m, &image, &want, &err), FVLM_OK);
    for (fvlm_status st = FVLM_NOMEM; st; n++) {
        left = n;
        st = fvlm_model_encode(m, &image, &got, &err);
        left = -1;
        if (!st) break;
        if (st != FVLM_NOMEM) fail_msg("allocation %ld: status %d, %s", n, st, err.msg);
        assert_null(got.values);
        assert_null(got.tiling.each);
        assert_true(n < 1000);
    }
    assert_true(n > 10);
    assert_int_equal(got.rows, want.rows);
    assert_memory_equal(got.values, want.values, want.rows * want.cols * sizeof(float));
    print_message("# %ld allocations failed, one at a time\n", n);
    fvlm_embedding_free(&want);
    fvlm_embedding_free(&got);
    fvlm_model_close(&m);
    free(path);
    free(picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
