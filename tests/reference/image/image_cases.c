/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: every kind of JPEG, PNG and WebP decodes to Pillow's RGB, as seen and as upstream reads it, and pads and
 * resizes to Pillow's pixels (image_cases.h); notes tell what mattered; decoding can be stopped anywhere. */
#include "reference/image/image.h"
#include "reference/image/formats.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

enum { APPLE, SEEN, N_HOW };

static test_rgb decoded(const image_case *c, int how)
{
    test_rgb image;
    fvlm_err err = {0};
    if (test_rgb_decode(&image, (const uint8_t *)c->bytes, c->n_bytes,
                        how == SEEN ? FVLM_PICTURE_SEEN : FVLM_PICTURE_APPLE, &err))
        fail_msg("%s: %s", c->name, err.msg);
    return image;
}

static void rgb_is_pillows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_HOW * N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i / N_HOW];
        const int how = i % N_HOW;
        test_rgb image = decoded(c, how);
        const bool side = how == SEEN && c->on_its_side;
        assert_int_equal(image.width, side ? c->height : c->width);
        assert_int_equal(image.height, side ? c->width : c->height);
        if (memcmp(image.rgb, how == SEEN ? c->seen : c->apple, (size_t)c->width * c->height * 3) != 0)
            fail_msg("%s: other pixels, %s", c->name, how == SEEN ? "seen" : "apple");
        test_rgb_free(&image);
    }
}

static void square_and_resize_are_pillows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        test_rgb image = decoded(c, SEEN);
        fvlm_err err = {0};
        test_rgb_square(&image);
        assert_int_equal(image.width, image.height);
        assert_int_equal(test_rgb_resize(&image, IMAGE_SIDE, IMAGE_SIDE, NULL, &err), FVLM_OK);
        if (memcmp(image.rgb, c->small, IMAGE_SIDE * IMAGE_SIDE * 3) != 0) fail_msg("%s: other pixels", c->name);
        test_rgb_free(&image);
    }
}

/* The one-pass way, from a file: the same, as v * (1/255) in f64 rounded to f32. The notes tell what mattered. */
static void pixels_are_upstreams(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        char *path = test_path(folder, c->name);
        fvlm_pixels p;
        fvlm_err err = {0};
        assert_true(test_write_file(path, c->bytes, c->n_bytes));
        if (fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = IMAGE_SIDE}, &err)) fail_msg("%s", err.msg);
        for (size_t k = 0; k < IMAGE_SIDE * IMAGE_SIDE * 3; k++) {
            const float want = (float)((uint8_t)c->small[k] * (1 / 255.0));
            if (p.values[k] != want) fail_msg("%s: value %zu is %g, not %g", c->name, k, p.values[k], want);
        }
        if (p.notes != c->notes) fail_msg("%s: notes %u, not %u", c->name, p.notes, c->notes);
        fvlm_pixels_free(&p);
        const fvlm_pixels_options apple = {.side = IMAGE_SIDE, .picture = FVLM_PICTURE_APPLE};
        assert_int_equal(fvlm_pixels_load(&p, path, &apple, &err), FVLM_OK);
        assert_int_equal(p.notes, c->notes & FVLM_PIXELS_FIRST);
        fvlm_pixels_free(&p);
        free(path);
    }
}

static atomic_bool stop_now;
static size_t rows_until_stop;

static fvlm_status begin_any(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    (void)ctx, (void)width, (void)height, (void)err;
    return FVLM_OK;
}

static void row_then_stop(void *ctx, const uint8_t *rgb)
{
    (void)rgb;
    size_t *n_rows = ctx;
    if (++*n_rows == rows_until_stop) atomic_store(&stop_now, true);
}

/* Set before the file is read or while a row is taken, the flag ends decoding with the next row. */
static void stops(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        for (size_t until = 0; until < 3; until++) {
            size_t n_rows = 0;
            fvlm_err err = {0};
            fvlm_image_job job = {.stop = &stop_now, .begin = begin_any, .row = row_then_stop, .ctx = &n_rows};
            rows_until_stop = until;
            atomic_store(&stop_now, until == 0);
            assert_int_equal(fvlm_image_decode((const uint8_t *)c->bytes, c->n_bytes, &job, &err), FVLM_INTERRUPTED);
            assert_true(n_rows <= until + 15); /* of a picture on its side, 16 come together */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rgb_is_pillows),
        cmocka_unit_test(square_and_resize_are_pillows),
        cmocka_unit_test(pixels_are_upstreams),
        cmocka_unit_test(stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
