/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: every kind of PNG and JPEG decodes to Pillow's RGB, and pads and resizes to Pillow's pixels
 * (image_cases.h). */
#include "reference/image/image.h"
#include "tests/reference/image/image_cases.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

static test_rgb decoded(const image_case *c)
{
    test_rgb image;
    fvlm_err err = {0};
    if (test_rgb_decode(&image, (const uint8_t *)c->bytes, c->n_bytes, &err)) fail_msg("%s: %s", c->name, err.msg);
    return image;
}

static void rgb_is_pillows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        test_rgb image = decoded(c);
        assert_int_equal(image.width, c->width);
        assert_int_equal(image.height, c->height);
        if (memcmp(image.rgb, c->rgb, (size_t)c->width * c->height * 3) != 0) fail_msg("%s: other pixels", c->name);
        test_rgb_free(&image);
    }
}

static void square_and_resize_are_pillows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IMAGE_CASES; i++) {
        const image_case *c = &image_cases[i];
        test_rgb image = decoded(c);
        fvlm_err err = {0};
        test_rgb_square(&image);
        assert_int_equal(image.width, image.height);
        assert_int_equal(test_rgb_resize(&image, IMAGE_SIDE, IMAGE_SIDE, NULL, &err), FVLM_OK);
        if (memcmp(image.rgb, c->small, IMAGE_SIDE * IMAGE_SIDE * 3) != 0) fail_msg("%s: other pixels", c->name);
        test_rgb_free(&image);
    }
}

/* The one-pass way, from a file: the same, as v * (1/255) in f64 rounded to f32. */
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
        fvlm_pixels_free(&p);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rgb_is_pillows),
        cmocka_unit_test(square_and_resize_are_pillows),
        cmocka_unit_test(pixels_are_upstreams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
