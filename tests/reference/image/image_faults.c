/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a picture is decoded, in fvlm, libpng, zlib, libjpeg or libwebp, the result
 * is "out of memory" or the right pixels: never "damaged", and never a picture that is not turned because its metadata
 * could not be unpacked; and no memory leaks. */
#include <zlib.h>

#include "reference/image/image.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/own_malloc.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

static size_t count, fail_at; /* counted while armed, from 1 */
static bool armed, and_all_after;
static bool in_libwebp;

bool test_allocation_fails(void)
{
    if (!armed) return false;
    /* libwebp 1.2.4 (Debian 12) crashes without the table of the codes' lengths, 128 entries of 4 bytes, since it frees
     * what an uninitialized pointer points to: not ours to mend */
    if (in_libwebp && test_malloc_bytes == 512) return false;
    ++count;
    return count == fail_at || (and_all_after && count > fail_at);
}

static fvlm_status decode(test_rgb *out, const void *bytes, size_t n, size_t at, bool all_after, fvlm_err *err)
{
    *err = (fvlm_err){0};
    count = 0;
    fail_at = at;
    and_all_after = all_after;
    armed = true;
    const fvlm_status st = test_rgb_decode(out, bytes, n, FVLM_PICTURE_SEEN, err);
    armed = false;
    return st;
}

/* Fails each allocation of the file's decoding; returns their number. */
static size_t every_allocation(const char *name, const void *bytes, size_t n)
{
    test_rgb want, got;
    fvlm_err err;
    in_libwebp = !memcmp(bytes, "RIFF", 4);
    assert_int_equal(decode(&want, bytes, n, SIZE_MAX, false, &err), FVLM_OK);
    const size_t total = count;
    for (int all_after = 0; all_after < 2; all_after++)
        for (size_t k = 1; k <= total; k++) {
            const long live = test_n_live;
            const fvlm_status st = decode(&got, bytes, n, k, all_after, &err);
            if (test_n_live != live + !st) fail_msg("%s, allocation %zu of %zu: a leak", name, k, total);
            if (st && (st != FVLM_NOMEM || strcmp(err.msg, "out of memory") != 0))
                fail_msg("%s, allocation %zu of %zu: \"%s\"", name, k, total, err.msg);
            if (!st && (got.width != want.width || got.height != want.height ||
                        memcmp(got.rgb, want.rgb, (size_t)want.width * want.height * 3) != 0))
                fail_msg("%s, allocation %zu of %zu: other pixels", name, k, total);
            test_rgb_free(&got);
        }
    test_rgb_free(&want);
    assert_true(total > 3);
    return total;
}

static void formats(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    size_t n = 0;
    for (size_t i = 0; i < N_IMAGE_CASES; i++)
        n += every_allocation(image_cases[i].name, image_cases[i].bytes, image_cases[i].n_bytes);
    print_message("# %zu allocations of %d pictures\n", n, N_IMAGE_CASES);
}

static void put_be32(uint8_t *to, uint32_t x)
{
    for (size_t i = 0; i < 4; i++) to[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* A chunk before the pixels, behind the header; malloc'd. */
static uint8_t *with_chunk(const image_case *c, const char *type, const uint8_t *data, size_t n, size_t *n_out)
{
    enum { HEADER = 8 + 25 };
    uint8_t *file = malloc(c->n_bytes + n + 12), *chunk = file + HEADER;
    memcpy(file, c->bytes, HEADER);
    put_be32(chunk, (uint32_t)n);
    memcpy(chunk + 4, type, 4);
    memcpy(chunk + 8, data, n);
    put_be32(chunk + 8 + n, (uint32_t)crc32(0, chunk + 4, (uInt)n + 4));
    memcpy(chunk + 12 + n, c->bytes + HEADER, c->n_bytes - HEADER);
    *n_out = c->n_bytes + n + 12;
    return file;
}

/* Orientation 6 in the texts that are unpacked: an EXIF profile in hexadecimal, and compressed XMP. */
static void packed_metadata(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    static const char profile[] = "Raw profile type exif\0", xmp[] = "XML:com.adobe.xmp\0\1\0\0",
                      hex[] = "\nexif\n26\n4d4d002a00000008000101120003000000010006\n0000\n",
                      xml[] = "<x:xmpmeta><rdf:Description tiff:Orientation=\"6\"/></x:xmpmeta>";
    const struct {
        const char *type, *head;
        size_t n_head;
        const char *text;
    } cases[] = {{"zTXt", profile, sizeof profile, hex}, {"iTXt", xmp, sizeof xmp, xml}};
    const image_case *png = NULL;
    for (size_t i = 0; i < N_IMAGE_CASES; i++)
        if (!strcmp(image_cases[i].name, "png-4-8.png")) png = &image_cases[i];
    assert_non_null(png);
    for (size_t i = 0; i < 2; i++) {
        uint8_t data[512];
        uLongf n = sizeof data - cases[i].n_head;
        size_t n_file;
        test_rgb image;
        fvlm_err err;
        memcpy(data, cases[i].head, cases[i].n_head);
        assert_int_equal(compress(data + cases[i].n_head, &n, (const Bytef *)cases[i].text, strlen(cases[i].text)),
                         Z_OK);
        uint8_t *file = with_chunk(png, cases[i].type, data, cases[i].n_head + n, &n_file);
        assert_int_equal(decode(&image, file, n_file, SIZE_MAX, false, &err), FVLM_OK);
        assert_int_equal(image.width, png->height);
        test_rgb_free(&image);
        every_allocation(cases[i].type, file, n_file);
        free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(packed_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
