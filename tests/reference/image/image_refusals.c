/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: an image that cannot be read is refused with a message that helps, before memory is spent on it. */
#include <errno.h>
#include <sys/stat.h>

#include "reference/image/image.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

static void refuses(const void *bytes, size_t n, fvlm_status code, const char *message)
{
    test_rgb image;
    fvlm_err err = {0};
    assert_int_equal(test_rgb_decode(&image, bytes, n, FVLM_PICTURE_APPLE, &err), code);
    assert_string_equal(err.msg, message);
    assert_null(image.rgb);
}

#define REFUSES_TEXT(s, code, message) refuses(s, sizeof s - 1, code, message)

/* Every row of foreign.c's tables can be reached; tests/cases/pictures.sh has more. */
static void other_formats(void **state)
{
    (void)state;
    const fvlm_status u = FVLM_UNSUPPORTED;
#define NOT ", not JPEG, PNG or WebP; "
    REFUSES_TEXT("", FVLM_BAD_INPUT, "an empty file");
    REFUSES_TEXT("hello", u, "a text file" NOT "name a picture");
    REFUSES_TEXT("\1\2\3", u, "not a picture that fvlm knows; convert it to PNG first: magick in out.png");
    REFUSES_TEXT("GIF89a...", u, "a GIF image" NOT "convert it first: magick 'in.gif[0]' out.png");
    REFUSES_TEXT("\0\0\0\x18"
                 "ftypavif\0\0\0\0mif1miaf",
                 u, "an AVIF image" NOT "convert it first: avifdec in.avif out.png");
    REFUSES_TEXT("BM\1\2\3\0\0\0\0\0", u, "a BMP image" NOT "convert it first: magick in.bmp out.png");
    REFUSES_TEXT("BMW and other cars", u, "a text file" NOT "name a picture");
    REFUSES_TEXT("\xff\x0a....", u, "a JPEG XL image" NOT "convert it first: djxl in.jxl out.png");
    REFUSES_TEXT("RIFF\x04\0\0\0WEBP", FVLM_BAD_INPUT, "damaged WebP: no picture in it");
}

static void not_a_file(void **state)
{
    (void)state;
    char folder[256], want[400];
    fvlm_pixels p;
    fvlm_err err = {0};
    test_folder(folder);
    char *path = test_path(folder, "none.jpg");
    assert_int_equal(fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = 64}, &err), FVLM_IO);
    snprintf(want, sizeof want, "\"%s\": %s", path, strerror(ENOENT));
    assert_string_equal(err.msg, want);
    assert_int_equal(fvlm_pixels_load(&p, folder, &(fvlm_pixels_options){.side = 64}, &err), FVLM_BAD_INPUT);
    snprintf(want, sizeof want, "\"%s\" is a folder, expected a file", folder);
    assert_string_equal(err.msg, want);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer for long */
    assert_int_equal(fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = 64}, &err), FVLM_BAD_INPUT);
    snprintf(want, sizeof want, "\"%s\": a pipe to which nothing writes", path);
    assert_string_equal(err.msg, want);
    remove(path);
    assert_true(test_write_file(path, "GIF89a", 6)); /* a decoder's message gets the path in front */
    assert_int_equal(fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = 64}, &err), FVLM_UNSUPPORTED);
    snprintf(want, sizeof want, "\"%s\": a GIF image" NOT "convert it first: magick 'in.gif[0]' out.png", path);
    assert_string_equal(err.msg, want);
    free(path);
}

static const image_case *named(const char *name)
{
    for (size_t i = 0; i < N_IMAGE_CASES; i++)
        if (strcmp(image_cases[i].name, name) == 0) return &image_cases[i];
    fail_msg("no case %s", name);
    return NULL;
}

static void put_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t png_checksum(const uint8_t *p, size_t n)
{
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

/* A PNG that says it is w x h, with its header's checksum right. */
static void png_claims(uint32_t w, uint32_t h, fvlm_status code, const char *message)
{
    const image_case *c = named("png-6-8.png");
    uint8_t b[1024];
    memcpy(b, c->bytes, c->n_bytes);
    put_be32(b + 16, w);
    put_be32(b + 20, h);
    put_be32(b + 29, png_checksum(b + 12, 17));
    refuses(b, c->n_bytes, code, message);
}

static void png_sizes(void **state)
{
    (void)state;
    png_claims(60000, 60000, FVLM_LIMIT, "60000 x 60000 pixels: the limits are 500000000 in all and 1000000 on a side");
    char want[200];
    snprintf(want, sizeof want, "damaged PNG: 20000 x 20000 pixels cannot fit in %zu bytes",
             named("png-6-8.png")->n_bytes);
    png_claims(20000, 20000, FVLM_BAD_INPUT, want);
    png_claims(0, 7, FVLM_BAD_INPUT, "damaged PNG: Invalid IHDR data");
    png_claims(2000000, 1, FVLM_LIMIT, "2000000 x 1 pixels: the limits are 500000000 in all and 1000000 on a side");
    png_claims(11, 8, FVLM_BAD_INPUT, "damaged PNG: Not enough image data");
}

static void png_damage(void **state)
{
    (void)state;
    const image_case *c = named("png-6-8.png");
    uint8_t b[1024];
    memcpy(b, c->bytes, c->n_bytes);
    refuses(b, c->n_bytes / 2, FVLM_BAD_INPUT, "truncated PNG: the file ends before the image does");
    b[c->n_bytes - 14] ^= 1; /* the checksum before the closing chunk */
    refuses(b, c->n_bytes, FVLM_BAD_INPUT, "damaged PNG: IDAT: CRC error: the pixels may be wrong; get the file again");
}

static uint8_t *find_marker(uint8_t *b, size_t n, uint8_t marker)
{
    for (size_t i = 2; i + 1 < n; i++)
        if (b[i] == 0xff && b[i + 1] == marker) return b + i;
    fail();
    return NULL;
}

/* Frame header: marker, length, precision [4], height [5], width [7], components [9], three bytes for each. */
static void jpeg_claims(uint16_t w, uint16_t h, fvlm_status code, const char *message)
{
    const image_case *c = named("jpeg-gray.jpg");
    uint8_t b[4096];
    memcpy(b, c->bytes, c->n_bytes);
    uint8_t *f = find_marker(b, c->n_bytes, 0xc0);
    f[5] = (uint8_t)(h >> 8), f[6] = (uint8_t)h, f[7] = (uint8_t)(w >> 8), f[8] = (uint8_t)w;
    refuses(b, c->n_bytes, code, message);
}

static void jpeg_sizes(void **state)
{
    (void)state;
    char want[200];
    jpeg_claims(65500, 65500, FVLM_LIMIT,
                "65500 x 65500 pixels: the limits are 500000000 in all and 1000000 on a side");
    snprintf(want, sizeof want, "damaged JPEG: 20000 x 20000 pixels cannot fit in %zu bytes",
             named("jpeg-gray.jpg")->n_bytes);
    jpeg_claims(20000, 20000, FVLM_BAD_INPUT, want);
    jpeg_claims(21, 0, FVLM_BAD_INPUT, "damaged JPEG: Empty JPEG image (DNL not supported)");
}

static void jpeg_damage(void **state)
{
    (void)state;
    const image_case *c = named("jpeg-444.jpg");
    uint8_t b[4096];
    memcpy(b, c->bytes, c->n_bytes);
    refuses(b, c->n_bytes - 1, FVLM_BAD_INPUT, "truncated JPEG: the file ends before the image does");
    uint8_t *f = find_marker(b, c->n_bytes, 0xc0);
    f[4] = 12;
    refuses(b, c->n_bytes, FVLM_UNSUPPORTED,
            "JPEG of a rare kind (Unsupported JPEG data precision 12): save it as an 8-bit baseline JPEG");
    f[4] = 8;
    f[1] = 0xc3;
    refuses(b, c->n_bytes, FVLM_UNSUPPORTED,
            "JPEG of a rare kind (Unsupported JPEG process: SOF type 0xc3): save it as an 8-bit baseline JPEG");
    f[1] = 0xc0;
    memmove(f + 16, f + 19, c->n_bytes - (size_t)(f + 19 - b)); /* the third component left out, here */
    f[3] = 14, f[9] = 2;
    uint8_t *scan = find_marker(b, c->n_bytes - 3, 0xda); /* and in the scan */
    memmove(scan + 9, scan + 11, c->n_bytes - 3 - (size_t)(scan + 11 - b));
    scan[3] = 10, scan[4] = 2;
    refuses(b, c->n_bytes - 5, FVLM_UNSUPPORTED, "JPEG with 2 components: only gray, color and CMYK are read");
}

/* The last scan of a progressive picture, six hundred times over. */
static void jpeg_of_many_scans(void **state)
{
    (void)state;
    const image_case *c = named("jpeg-420-progressive.jpg");
    const uint8_t *b = (const uint8_t *)c->bytes;
    size_t scan = c->n_bytes - 2;
    while (b[scan] != 0xff || b[scan + 1] != 0xda) scan--;
    const size_t len = c->n_bytes - 2 - scan;
    uint8_t *many = malloc(c->n_bytes + 600 * len);
    size_t n = scan;
    memcpy(many, b, scan);
    for (int i = 0; i < 600; i++, n += len) memcpy(many + n, b + scan, len);
    memcpy(many + n, b + c->n_bytes - 2, 2);
    refuses(many, n + 2, FVLM_LIMIT,
            "JPEG of 21 x 14 pixels in 501 or more scans, which takes too long: save it with fewer scans");
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_formats),      cmocka_unit_test(not_a_file), cmocka_unit_test(png_sizes),
        cmocka_unit_test(png_damage),         cmocka_unit_test(jpeg_sizes), cmocka_unit_test(jpeg_damage),
        cmocka_unit_test(jpeg_of_many_scans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
