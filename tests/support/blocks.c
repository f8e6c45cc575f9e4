/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.c - see blocks.h. Written from types.h, apart from quant/. */
#include <math.h>

#include "tests/support/blocks.h"

const char *const test_shape_name[TEST_N_SHAPES] = {"normal",    "uniform",  "Laplace", "heavy tails",
                                                    "one-sided", "outliers", "offset",  "two values"};

static float draw(test_rng *r, int shape)
{
    const double u = test_unit(r) - 0.5;
    const float normal = test_normal(r);
    switch (shape) {
    case 0:
        return normal;
    case 1:
        return (float)(2 * u);
    case 2:
        return (float)((u < 0 ? 1 : -1) * log(1 - 2 * fabs(u) + 1e-12));
    case 3:
        return normal / (float)sqrt(fabs(u) + 0.01);
    case 4:
        return fabsf(normal);
    case 5:
        return test_below(r, 40) ? normal : 12 * normal;
    case 6:
        return 5 + normal;
    default:
        return test_below(r, 2) ? 1.0f : -0.37f;
    }
}

void test_block(test_rng *r, int shape, size_t n, float *x)
{
    float size[16];
    for (size_t l = 0; l < 16; l++) size[l] = (float)pow(10, 24 * test_unit(r) - 12);
    for (size_t i = 0; i < n * 16; i++) x[i] = draw(r, shape) * size[i % 16];
}

float test_decode(fvlm_type t, unsigned q, float scale, float offset)
{
    if (t.asymmetric) return scale * (float)q + offset;
    return scale * (float)((int)q - (1 << (t.bits - 1)));
}

double test_block_error(fvlm_type t, const float *x, size_t n, size_t lane, const uint8_t *q, float scale, float offset)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        double d = (double)x[k * 16 + lane] - (double)test_decode(t, q[k * 16 + lane], scale, offset);
        sum += d * d;
    }
    return sum;
}

fvlm_type test_int_type(size_t i)
{
    static const uint16_t groups[] = {32, 64, 128, 0};
    return (fvlm_type){FVLM_INT, i & 1 ? 4 : 8, i >> 1 & 1, groups[i >> 2 & 3]};
}
