/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: on every instruction set, the resizer, which works on tiles of transposed rows, equals the plain formula of
 * Pillow's Resample.c computed pixel by pixel, at any size; and an image as thin as a hair costs only its own pixels.
 */
#include <math.h>

#include "format/base/cpu.h"
#include "reference/image/resize.h"
#include "tests/support/check.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

static double keys(double x)
{
    if (x < 0) x = -x;
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/* Output sample o of n_in bytes, stride apart, resized to n_out. */
static uint8_t sample(const uint8_t *in, size_t stride, int n_in, int n_out, int o)
{
    const double scale = (double)n_in / n_out, wide = scale > 1 ? scale : 1, center = (o + 0.5) * scale;
    int lo = (int)(center - 2 * wide + 0.5), hi = (int)(center + 2 * wide + 0.5);
    if (lo < 0) lo = 0;
    if (hi > n_in) hi = n_in;
    double total = 0;
    for (int i = lo; i < hi; i++) total += keys((i - center + 0.5) * (1 / wide));
    int sum = 1 << 21;
    for (int i = lo; i < hi; i++) {
        const double w = keys((i - center + 0.5) * (1 / wide)) / total;
        sum += (int)(w * (1 << 22) + (w < 0 ? -0.5 : 0.5)) * in[(size_t)i * stride];
    }
    sum >>= 22;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void plain_resize(const uint8_t *in, int w, int h, uint8_t *out, int to_w, int to_h)
{
    uint8_t *across = malloc((size_t)to_w * (size_t)h * 3);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < to_w * 3; x++)
            across[y * to_w * 3 + x] = sample(in + (size_t)y * (size_t)w * 3 + x % 3, 3, w, to_w, x / 3);
    for (int y = 0; y < to_h; y++)
        for (int x = 0; x < to_w * 3; x++) out[y * to_w * 3 + x] = sample(across + x, (size_t)to_w * 3, h, to_h, y);
    free(across);
}

static void any_size_to_any_size(void **state)
{
    (void)state;
    test_rng r = {77};
    for (int n = 0; n < 250; n++) {
        const int w = (int)exp2(test_unit(&r) * 7), h = (int)exp2(test_unit(&r) * 7);
        const int to_w = (int)exp2(test_unit(&r) * 7), to_h = (int)exp2(test_unit(&r) * 7);
        const size_t n_out = (size_t)to_w * (size_t)to_h * 3;
        const size_t n_in = (size_t)w * (size_t)h * 3;
        uint8_t *in = malloc(n_in), *want = malloc(n_out);
        test_fill(&r, in, n_in);
        plain_resize(in, w, h, want, to_w, to_h);
        for (fvlm_cpu cpu = 0; cpu < FVLM_CPU_COUNT; cpu++) {
            if (!fvlm_cpu_runs(cpu)) continue;
            test_rgb image = {(uint32_t)w, (uint32_t)h, memcpy(malloc(n_in), in, n_in)};
            fvlm_err err = {0};
            must(test_rgb_resize(&image, (uint32_t)to_w, (uint32_t)to_h, fvlm_cpu_name(cpu), &err), &err);
            if (memcmp(image.rgb, want, n_out) != 0)
                fail_msg("%s: %d x %d to %d x %d differs", fvlm_cpu_name(cpu), w, h, to_w, to_h);
            test_rgb_free(&image);
        }
        free(in);
        free(want);
    }
}

/* A canvas that is only a number gives what a canvas of black bytes gives. */
static void padding_is_black(void **state)
{
    (void)state;
    test_rng r = {5};
    for (int n = 0; n < 60; n++) {
        const uint32_t w = 1 + (uint32_t)test_below(&r, 90), h = 1 + (uint32_t)test_below(&r, 90), side = 32;
        const uint32_t canvas = w > h ? w : h;
        const fvlm_resize_plan plan = {w, h, (canvas - w) / 2, (canvas - h) / 2, canvas, canvas, side, side};
        uint8_t *rgb = malloc((size_t)w * h * 3), got[32 * 32 * 3], want[32 * 32 * 3];
        uint8_t *black = calloc((size_t)canvas * canvas, 3);
        fvlm_resizer *z;
        fvlm_err err = {0};
        test_fill(&r, rgb, (size_t)w * h * 3);
        for (uint32_t y = 0; y < h; y++)
            memcpy(black + ((size_t)(plan.top + y) * canvas + plan.left) * 3, rgb + (size_t)y * w * 3, (size_t)w * 3);
        plain_resize(black, (int)canvas, (int)canvas, want, 32, 32);
        assert_int_equal(fvlm_resizer_create(&z, &plan, NULL, &err), FVLM_OK);
        for (uint32_t y = 0; y < h; y++) fvlm_resizer_push(z, rgb + (size_t)y * w * 3);
        fvlm_resizer_get(z, got);
        fvlm_resizer_destroy(&z);
        assert_memory_equal(got, want, sizeof got);
        free(rgb);
        free(black);
    }
}

/* 400,000 x 1: the square would be 160 gigapixels. White is white whichever way it is summed. */
static void a_hair(void **state)
{
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        const uint32_t n = 400000, w = turned ? 1 : n, h = turned ? n : 1;
        const fvlm_resize_plan plan = {w, h, (n - w) / 2, (n - h) / 2, n, n, 64, 64};
        fvlm_resizer *z;
        fvlm_err err = {0};
        uint8_t *row = malloc((size_t)w * 3), out[64 * 64 * 3];
        memset(row, 255, (size_t)w * 3);
        assert_int_equal(fvlm_resizer_create(&z, &plan, NULL, &err), FVLM_OK);
        for (uint32_t y = 0; y < h; y++) fvlm_resizer_push(z, row);
        fvlm_resizer_get(z, out);
        fvlm_resizer_destroy(&z);
        for (size_t i = 0; i < sizeof out; i++) assert_int_equal(out[i], 0); /* far less than half a level */
        free(row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size_to_any_size),
        cmocka_unit_test(padding_is_black),
        cmocka_unit_test(a_hair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
