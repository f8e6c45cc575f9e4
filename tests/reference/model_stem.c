/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: at every size, the bands of the stem together compute each output row from the image rows that it depends
 * on, in no more scratch than is reserved. The twin follows every row through both convolutions. */
#include "reference/stem.h"
#include "tests/support/check.h"

enum { MAX_ROWS = 1024 }; /* a side of 4096 */

/* Whether row r of a 3x3 stride-2 convolution is right, when its input has n rows of which [first, end) are there
 * and right, and the kernel pads everywhere else: padding is right only outside the image. */
static bool row_is_right(size_t r, size_t n, size_t first, size_t end)
{
    for (size_t tap = 0; tap < 3; tap++) {
        const size_t in = 2 * r + tap; /* plus one, so that the row above the image is 0 */
        if (in == 0 || in > n) continue;
        if (in - 1 < first || in - 1 >= end) return false;
    }
    return true;
}

static void check_band(const fvlm_stem_band *b, size_t rows, bool *right)
{
    assert_true(b->pixel < b->pixel_end && b->pixel_end <= 4 * rows);
    assert_int_equal(b->half.first, b->pixel / 2); /* what the kernel makes of the rows it is given */
    assert_int_equal(b->half.end, b->pixel_end / 2);
    assert_int_equal(b->output.first, (b->half.first + b->half.halo) / 2);
    assert_int_equal(b->output.end, b->half.end / 2);
    for (size_t r = b->half.first; r < b->half.end; r++)
        assert_int_equal(row_is_right(r, 4 * rows, b->pixel, b->pixel_end), r >= b->half.first + b->half.halo);
    for (size_t r = b->output.first; r < b->output.end; r++)
        right[r] = row_is_right(r, 2 * rows, b->half.first + b->half.halo, b->half.end);
    for (size_t r = b->output.first; r < b->output.end; r++)
        assert_int_equal(right[r], r >= b->output.first + b->output.halo);
}

static void every_row_of_every_size(void **state)
{
    (void)state;
    size_t most = 0;
    for (size_t rows = 1; rows <= MAX_ROWS; rows++) {
        bool right[MAX_ROWS] = {false};
        for (size_t i = fvlm_stem_count_bands(rows); i-- > 0;) {
            const fvlm_stem_band b = fvlm_stem_band_at(rows, i);
            check_band(&b, rows, right);
            const size_t scratch = b.half.end - b.half.first;
            if (scratch > most) most = scratch;
        }
        for (size_t r = 0; r < rows; r++)
            if (!right[r]) fail_msg("row %zu of %zu is wrong", r, rows);
    }
    assert_int_equal(most * 2048 * 96, fvlm_stem_scratch(4096, 96));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
