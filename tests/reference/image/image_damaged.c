/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: damage never crashes a decoder. Truncations and flipped bits of a PNG are refused, unless they lie behind the
 * last row: then the image is the undamaged one. Random damage ends in an image or in a message. Run under ASan and
 * UBSan too. */
#define _GNU_SOURCE 1 /* memmem */
#include "reference/image/image.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

enum { N_MUTATIONS = 8000 };

/* On an exact block of its own, so that ASan sees a read past its end. same: the pixels that it must have if it is
 * read; NULL: any. */
static fvlm_status decode_copy(const void *bytes, size_t n, const image_case *same)
{
    uint8_t *copy = malloc(n ? n : 1);
    test_rgb image;
    fvlm_err err = {0};
    memcpy(copy, bytes, n);
    const fvlm_status st = test_rgb_decode(&image, copy, n, FVLM_PICTURE_APPLE, &err);
    if (!st && same) {
        assert_int_equal(image.width, same->width);
        assert_int_equal(image.height, same->height);
        assert_memory_equal(image.rgb, same->apple, (size_t)same->width * same->height * 3);
    }
    assert_true(st ? !image.rgb && err.msg[0] && err.code == st : image.rgb != NULL);
    test_rgb_free(&image);
    free(copy);
    return st;
}

static bool is_png(const image_case *c)
{
    return strncmp(c->name, "png", 3) == 0;
}

/* The offset behind the data of a PNG's pixels, which these cases hold in one chunk. */
static size_t end_of_pixels(const image_case *c)
{
    const char *idat = memmem(c->bytes, c->n_bytes, "IDAT", 4);
    assert_non_null(idat);
    const uint8_t *n = (const uint8_t *)idat - 4;
    return (size_t)(idat - c->bytes) + 4 + ((size_t)n[2] << 8 | n[3]);
}

static void every_truncation(void **state)
{
    (void)state;
    size_t n_read = 0;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        for (size_t n = 0; n < c->n_bytes; n++) {
            const bool read = !decode_copy(c->bytes, n, c);
            /* the pixels' own checksum has 4 bytes, the rest of deflate's last byte may be padding */
            if (read && (!is_png(c) || n + 6 < end_of_pixels(c))) fail_msg("%s: read from %zu bytes", c->name, n);
            if (!read && is_png(c) && n >= end_of_pixels(c)) fail_msg("%s: refused %zu bytes", c->name, n);
            n_read += read;
        }
    }
    assert_true(n_read > 0);
}

/* A flipped bit of a length can make the file end inside the pixels, of which none is missing. */
static void every_bit_of_a_png(void **state)
{
    (void)state;
    size_t n_read = 0, n_bits = 0;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        uint8_t *bytes = malloc(c->n_bytes);
        memcpy(bytes, c->bytes, c->n_bytes);
        for (size_t bit = 0; is_png(c) && bit < end_of_pixels(c) * 8; bit++, n_bits++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            n_read += !decode_copy(bytes, c->n_bytes, c);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(bytes);
    }
    print_message("# %zu of %zu flipped bits did not matter\n", n_read, n_bits);
    assert_true(n_read * 50 < n_bits);
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
        refused += decode_copy(bytes, mutate(&r, bytes, c->n_bytes), NULL) != FVLM_OK;
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
