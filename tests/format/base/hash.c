/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: fvlm_hash_of is XXH3-128 with seed 0 in canonical order (known answers of the xxhsum program), and a
 * stream gives the same value however it is cut. */
#include "format/base/hash.h"
#include "tests/support/check.h"

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hash;
    } cases[] = {
        {"", "99aa06d3014798d86001c324468d497f"},
        {"a", "a96faf705af16834e6c632b61e964e1f"},
        {"abc", "06b05ab6733a618578af5f94892f3950"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[33];
        const fvlm_hash h = fvlm_hash_of(cases[i].text, strlen(cases[i].text));
        fvlm_hash_text(&h, text);
        assert_string_equal(text, cases[i].hash);
    }
}

static void streams(void **state)
{
    (void)state;
    enum { N = 5000 };
    uint8_t bytes[N];
    for (size_t i = 0; i < N; i++) bytes[i] = (uint8_t)(i * 151 + i / 256);
    fvlm_err err;
    fvlm_hasher *h;
    assert_int_equal(fvlm_hasher_create(&h, &err), FVLM_OK);
    for (size_t step = 1; step < 1500; step = step * 3 + 1) {
        fvlm_hasher_reset(h);
        for (size_t at = 0; at < N; at += step) {
            const fvlm_hash so_far = fvlm_hash_of(bytes, at), got = fvlm_hasher_get(h);
            assert_true(fvlm_hash_equal(&got, &so_far));
            fvlm_hasher_add(h, bytes + at, step < N - at ? step : N - at);
        }
        const fvlm_hash all = fvlm_hash_of(bytes, N), less = fvlm_hash_of(bytes, N - 1), got = fvlm_hasher_get(h);
        assert_true(fvlm_hash_equal(&got, &all));
        assert_false(fvlm_hash_equal(&got, &less));
    }
    fvlm_hasher_destroy(&h);
    assert_null(h);
    fvlm_hasher_destroy(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(streams)};
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
