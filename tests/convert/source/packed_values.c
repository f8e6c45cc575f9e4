/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: packed weights are read as the floats of a slow twin, and their codes as the same values; whatever part of a
 * row is read, by however many threads. Against MLX, GPTQModel and AutoAWQ themselves: tests/oracle/test_packed.py. */
#include <math.h>
#include <pthread.h>

#include "tests/support/check.h"
#include "tests/support/packed_folder.h"

#define X PACKED_MODULE

static struct packed_weight *const w = &packed_weight;

static void mlx(void **state)
{
    (void)state;
    static const unsigned bits[] = {2, 3, 4, 5, 6, 8};
    static const char *const types[] = {"F16", "BF16", "F32"};
    for (size_t i = 0; i < 18; i++) {
        const size_t group = (size_t)32 << i % 3;
        char type[64];
        packed_make_mlx(19, 384, group, bits[i / 3], types[(i + i / 3) % 3]);
        snprintf(type, sizeof type, "int%d-asym-g%zu", bits[i / 3] <= 4 ? 4 : 8, group);
        packed_check(type, true);
    }
}

/* Values of e2m1 and e4m3 from their definition. */
static float small_float(unsigned x, unsigned exponents, unsigned mantissas, int bias)
{
    const unsigned m = x & ((1u << mantissas) - 1), e = x >> mantissas & ((1u << exponents) - 1);
    const double v =
        e ? ldexp(1 + m / (double)(1u << mantissas), (int)e - bias) : ldexp(m / (double)(1u << mantissas), 1 - bias);
    return (float)(x >> (exponents + mantissas) & 1 ? -v : v);
}

static void mlx_floats(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *type;
        unsigned bits;
        size_t group;
    } modes[] = {{"mxfp4", "int8-sym-g32", 4, 32}, {"mxfp8", "none", 8, 32}, {"nvfp4", "none", 4, 16}};
    for (size_t m = 0; m < 3; m++) {
        packed_start();
        packed_set(5, 256, modes[m].group, modes[m].bits, "F32", 0);
        uint8_t *q = packed_add(X ".weight", "U32", 4, w->out, w->in * w->bits / 32),
                *s = packed_add(X ".scales", "U8", 1, w->out, w->groups);
        for (size_t i = 0; i < w->out * w->groups; i++)
            s[i] = (uint8_t)(m == 2 ? test_below(&packed_folder.rng, 127) : i < 4 ? i : 100 + i % 50);
        for (size_t i = 0; i < w->out * w->in; i++) {
            if (w->bits == 8 && (w->codes[i] & 127) == 127) w->codes[i] = 0;
            packed_put_bits(q + i / w->in * w->in * w->bits / 8, i % w->in * w->bits, w->bits, w->codes[i]);
            const unsigned x = s[i / w->in * w->groups + i % w->in / w->group];
            const float scale = m == 2 ? small_float(x, 4, 3, 7) : (float)ldexp(1, (int)x - 127);
            w->want[i] = scale * (w->bits == 4 ? small_float(w->codes[i], 2, 1, 1) : small_float(w->codes[i], 4, 3, 7));
        }
        snprintf(packed_folder.config, sizeof packed_folder.config, "{\"quantization\": {\"mode\": \"%s\"}}",
                 modes[m].mode);
        packed_check(modes[m].type, m == 0);
    }
}

static void gptq(void **state)
{
    (void)state;
    static const unsigned bits[] = {2, 3, 4, 8};
    static const char *const types[] = {"F16", "BF16", "F32"};
    for (size_t i = 0; i < 4 * 2 * 2 * 5; i++) {
        const size_t groups[] = {32, 64, 128, 0, 48}, group = groups[i % 5];
        const bool symmetric = i / 5 % 2, mixed = i / 10 % 2 && group;
        const unsigned b = bits[i / 20];
        char type[64], *end = type + sprintf(type, "int%d-%s", b <= 4 ? 4 : 8, symmetric ? "sym" : "asym");
        /* 160 columns: words end inside */
        packed_make_columns(160, 384, group, b, types[i % 3],
                            (packed_columns){.plus = i % 2 && b > 2, .mixed = mixed, .symmetric = symmetric});
        snprintf(end, 32, group ? "-g%zu" : "-row", group);
        packed_check(mixed || group == 48 ? "none" : type, !(mixed || group == 48));
    }
}

static void awq(void **state)
{
    (void)state;
    static const size_t groups[] = {32, 64, 128, 0};
    for (size_t i = 0; i < 4; i++) {
        char type[64] = "int4-asym-row";
        if (groups[i]) snprintf(type, sizeof type, "int4-asym-g%zu", groups[i]);
        packed_make_columns(72, 256, groups[i], 4, "F16", (packed_columns){.awq = true});
        packed_check(type, true);
    }
}

/* A slab of columns has 2^21 codes, here 2048 columns: the second begins inside. */
enum { SLAB_IN = 1024, SLAB_OUT = 2048 + 96 };

static void two_slabs(void **state)
{
    (void)state;
    for (int awq = 0; awq < 2; awq++) {
        packed_make_columns(SLAB_OUT, SLAB_IN, 128, 4, "F16", (packed_columns){.awq = awq, .plus = !awq});
        packed_check("int4-asym-g128", true);
    }
}

/* Several threads at once read a tensor wider than a slab. */
static void *read_rows(void *ctx)
{
    fvlm_source *src = ctx;
    const fvlm_source_tensor *t = fvlm_source_find(src, X ".weight");
    for (size_t i = 0; i < 6; i++) packed_same_floats(src, t, i % 4 * w->out / 4 * w->in, w->out / 4 * w->in);
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[20]; /* more than slabs are kept */
    fvlm_source *src;
    fvlm_err err;
    packed_make_columns(SLAB_OUT, SLAB_IN, 128, 4, "F16", (packed_columns){.plus = true});
    must(packed_open(&src, &err), &err);
    for (size_t i = 0; i < 20; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_rows, src), 0);
    for (size_t i = 0; i < 20; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    fvlm_source_close(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx), cmocka_unit_test(mlx_floats), cmocka_unit_test(gptq),
        cmocka_unit_test(awq), cmocka_unit_test(two_slabs),  cmocka_unit_test(many_threads),
    };
    test_folder(packed_folder.path);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    packed_clear();
    return failed;
}
