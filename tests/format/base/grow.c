/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a growable array keeps its contents, zeroes what is new, at least doubles, and is untouched when
 * the memory cannot be had. */
#include "format/base/grow.h"
#include "tests/support/check.h"

typedef struct {
    uint16_t a[5];
} odd;

static void grows(void **state)
{
    (void)state;
    odd *array = NULL;
    size_t capacity = 0, times = 0;
    assert_true(fvlm_grow(&array, &capacity, 0, sizeof *array));
    assert_null(array);
    for (size_t n = 0; n < 10000; n++) {
        const size_t before = capacity;
        assert_true(fvlm_grow(&array, &capacity, n + 1, sizeof *array));
        if (capacity != before) {
            assert_true(capacity >= 2 * before && capacity > n);
            for (size_t i = before; i < capacity; i++)
                for (size_t k = 0; k < 5; k++) assert_int_equal(array[i].a[k], 0);
            times++;
        }
        for (size_t k = 0; k < 5; k++) array[n].a[k] = (uint16_t)(n * 5 + k);
    }
    assert_true(times < 15);
    for (size_t n = 0; n < 10000; n++)
        for (size_t k = 0; k < 5; k++) assert_int_equal(array[n].a[k], (uint16_t)(n * 5 + k));
    const size_t before = capacity;
    assert_true(fvlm_grow(&array, &capacity, 3 * before, sizeof *array));
    assert_int_equal(capacity, 3 * before);
    free(array);
}

static void refuses(void **state)
{
    (void)state;
    uint64_t *array = NULL;
    size_t capacity = 0;
    assert_true(fvlm_grow(&array, &capacity, 3, sizeof *array));
    const uint64_t *const before = array;
    const size_t had = capacity;
    array[2] = 7;
    static const size_t too_many[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 8 + 1, (size_t)PTRDIFF_MAX / 8 + 1};
    for (size_t i = 0; i < sizeof too_many / sizeof *too_many; i++) {
        assert_false(fvlm_grow(&array, &capacity, too_many[i], sizeof *array));
        assert_ptr_equal(array, before);
        assert_int_equal(capacity, had);
        assert_int_equal(array[2], 7);
    }
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests_name("grow", tests, NULL, NULL);
}
