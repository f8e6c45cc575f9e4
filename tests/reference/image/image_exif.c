/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: an orientation counts in every type of number that Pillow takes, and when it lies in a second EXIF segment.
 * Expected values: PIL.ImageOps.exif_transpose of Pillow 13. */
#include "reference/image/exif.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

enum { HEAD = 10, ENTRY = 12, VALUE_AT = HEAD + ENTRY + 4, MAX_BLOCK = VALUE_AT + 8 };

typedef struct {
    uint8_t type, n; /* TIFF's number of the type, bytes of value */
    uint8_t value[8];
    unsigned want;
} orientation_case;

/* Big-endian. */
static const orientation_case cases[] = {
    {3, 2, {0, 6}, 6},
    {4, 4, {0, 0, 0, 6}, 6},
    {13, 4, {0, 0, 0, 6}, 6},
    {6, 1, {6}, 6},
    {6, 1, {0xfa}, 1}, /* -6 */
    {8, 2, {0, 8}, 8},
    {9, 4, {0, 0, 0, 3}, 3},
    {9, 4, {0xff, 0xff, 0xff, 0xfa}, 1},
    {16, 8, {0, 0, 0, 0, 0, 0, 0, 6}, 6},
    {16, 8, {0, 0, 0, 1, 0, 0, 0, 6}, 1},
    {1, 1, {6}, 1}, /* Pillow reads bytes, not a number */
    {2, 1, {'6'}, 1},
    {7, 1, {6}, 1},
    {5, 8, {0, 0, 0, 6, 0, 0, 0, 1}, 6},
    {5, 8, {0, 0, 0, 12, 0, 0, 0, 2}, 6},
    {5, 8, {0, 0, 0, 13, 0, 0, 0, 2}, 1},
    {5, 8, {0, 0, 0, 6, 0, 0, 0, 0}, 1},
    {10, 8, {0xff, 0xff, 0xff, 0xfa, 0xff, 0xff, 0xff, 0xff}, 6}, /* -6 over -1 */
    {10, 8, {0xff, 0xff, 0xff, 0xfa, 0, 0, 0, 1}, 1},
    {11, 4, {0x40, 0xc0, 0, 0}, 6},
    {11, 4, {0x40, 0xd0, 0, 0}, 1}, /* 6.5 */
    {11, 4, {0x7f, 0xc0, 0, 0}, 1}, /* not a number */
    {12, 8, {0x40, 0x18, 0, 0, 0, 0, 0, 0}, 6},
    {12, 8, {0x7f, 0xf0, 0, 0, 0, 0, 0, 0}, 1}, /* infinite */
    {3, 2, {0, 9}, 1},
    {14, 2, {0, 6}, 1}, /* no such type */
};

/* An EXIF block of one entry. */
static size_t make_block(const orientation_case *c, uint8_t out[MAX_BLOCK])
{
    const uint8_t head[] = {'M', 'M', 0, '*', 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, c->type, 0, 0, 0, 1};
    memset(out, 0, MAX_BLOCK);
    memcpy(out, head, sizeof head);
    if (c->n > 4) out[sizeof head + 3] = VALUE_AT;
    memcpy(out + (c->n > 4 ? VALUE_AT : sizeof head), c->value, c->n);
    return c->n > 4 ? VALUE_AT + c->n : VALUE_AT;
}

static void types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t block[MAX_BLOCK];
        const size_t n = make_block(&cases[i], block);
        const unsigned got = fvlm_exif_orientation(&(fvlm_image_metadata){.exif = block, .n_exif = n});
        if (got != cases[i].want) fail_msg("case %zu, type %u: %u, not %u", i, cases[i].type, got, cases[i].want);
    }
}

/* Writes an EXIF segment; returns its end. */
static uint8_t *put_segment(uint8_t *to, const uint8_t *data, size_t n)
{
    const uint8_t head[] = {0xff, 0xe1, 0, (uint8_t)(n + 8), 'E', 'x', 'i', 'f', 0, 0};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, data, n);
    return to + sizeof head + n;
}

/* The block of a double, in three segments, cut anywhere: Pillow joins them. */
static void segments(void **state)
{
    (void)state;
    const image_case *jpeg = NULL;
    for (size_t i = 0; i < N_IMAGE_CASES; i++)
        if (!strcmp(image_cases[i].name, "jpeg-420.jpg")) jpeg = &image_cases[i];
    assert_non_null(jpeg);
    uint8_t block[MAX_BLOCK], *file = malloc(jpeg->n_bytes + MAX_BLOCK + 30);
    const size_t n = make_block(&(orientation_case){12, 8, {0x40, 0x18}, 6}, block);
    for (size_t a = 0; a <= n; a++) {
        const size_t b = a + (n - a) / 2;
        memcpy(file, jpeg->bytes, 2);
        uint8_t *end = put_segment(put_segment(put_segment(file + 2, block, a), block + a, b - a), block + b, n - b);
        memcpy(end, jpeg->bytes + 2, jpeg->n_bytes - 2);
        test_rgb image;
        fvlm_err err = {0};
        const size_t n_file = (size_t)(end - file) + jpeg->n_bytes - 2;
        assert_int_equal(test_rgb_decode(&image, file, n_file, FVLM_PICTURE_SEEN, &err), FVLM_OK);
        assert_int_equal(image.width, jpeg->height);
        assert_int_equal(image.height, jpeg->width);
        test_rgb_free(&image);
    }
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
