/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: damage never crashes a decoder. Every truncation is refused, every flipped bit of a PNG is, and random damage
 * ends in an image or in a message. Run under ASan and UBSan too. */
#include "reference/image/image.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

enum { N_MUTATIONS = 8000 };

/* On an exact block of its own, so that ASan sees a read past its end. */
static fvlm_status decode_copy(const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    test_rgb image;
    fvlm_err err = {0};
    memcpy(copy, bytes, n);
    const fvlm_status st = test_rgb_decode(&image, copy, n, &err);
    assert_true(st ? !image.rgb && err.msg[0] && err.code == st : image.rgb != NULL);
    test_rgb_free(&image);
    free(copy);
    return st;
}

static void every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++)
        for (size_t n = 0; n < image_cases[i].n_bytes; n++)
            if (!decode_copy(image_cases[i].bytes, n)) fail_msg("%s: read from %zu bytes", image_cases[i].name, n);
}

static void every_bit_of_a_png(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        uint8_t *bytes = malloc(c->n_bytes);
        memcpy(bytes, c->bytes, c->n_bytes);
        for (size_t bit = 0; strncmp(c->name, "png", 3) == 0 && bit < c->n_bytes * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!decode_copy(bytes, c->n_bytes)) fail_msg("%s: bit %zu flipped, and read", c->name, bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(bytes);
    }
}

/* One to four of: a byte changed, a run repeated, a run cut out, a run of 0xff. */
static size_t mutate(test_rng *r, uint8_t *b, size_t n)
{
    for (uint64_t k = 1 + test_below(r, 4); k; k--) {
        const size_t at = (size_t)test_below(r, n), len = 1 + (size_t)test_below(r, n - at < 24 ? n - at : 24);
        switch (test_below(r, 5)) {
        case 0:
            memmove(b + at + len, b + at, n - at), n += len;
            break;
        case 1:
            memmove(b + at, b + at + len, n - at - len), n -= n > len + 8 ? len : 0;
            break;
        case 2:
            memset(b + at, 0xff, len);
            break;
        default:
            b[at] = (uint8_t)test_u64(r);
            break;
        }
    }
    return n;
}

static void mutations(void **state)
{
    (void)state;
    test_rng r = {2026};
    size_t refused = 0;
    for (int i = 0; i < N_MUTATIONS; i++) {
        const image_case *c = &image_cases[test_below(&r, N_IMAGE_CASES)];
        uint8_t *bytes = malloc(c->n_bytes + 128);
        memcpy(bytes, c->bytes, c->n_bytes);
        refused += decode_copy(bytes, mutate(&r, bytes, c->n_bytes)) != FVLM_OK;
        free(bytes);
    }
    print_message("# %zu of %d mutations refused\n", refused, N_MUTATIONS);
    assert_true(refused > N_MUTATIONS / 4 && refused < N_MUTATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_bit_of_a_png),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
