/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_pack.c - weights of a test's checkpoint, packed; see checkpoint.h. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/support.h"

static test_tensor *add_part(test_checkpoint *c, const char *module, const char *ending, uint64_t out, uint64_t in)
{
    char name[256];
    snprintf(name, sizeof name, "%.200s%s", module, ending);
    return test_tensor_add(c, name, FVLM_SOURCE_BF16, 2, (const uint64_t[]){out, in});
}

void test_checkpoint_pack(test_checkpoint *c, const char *module, unsigned bits)
{
    char name[256];
    snprintf(name, sizeof name, "%.200s.weight", module);
    const test_tensor w = *test_tensor_find(c, name);
    const uint64_t out = w.dims[0], in = w.dims[1];
    const size_t n_scales = (size_t)(out * in / 32), per_word = 32 / bits;
    assert_true(in % 32 == 0 && 32 % bits == 0);
    test_tensor *t = add_part(c, module, ".scales", out, in / 32);
    for (size_t g = 0; g < n_scales; g++) {
        double low = w.values[32 * g], high = low;
        for (size_t j = 0; j < 32; j++) {
            const double x = w.values[32 * g + j];
            low = x < low ? x : low, high = x > high ? x : high;
        }
        t->values[g] = (high - low) / ((1u << bits) - 1) * 1.01;
    }
    test_tensor_round(t);
    t = add_part(c, module, ".biases", out, in / 32);
    for (size_t g = 0; g < n_scales; g++) {
        t->values[g] = w.values[32 * g];
        for (size_t j = 0; j < 32; j++)
            if (w.values[32 * g + j] < t->values[g]) t->values[g] = w.values[32 * g + j];
    }
    test_tensor_round(t);
    snprintf(name, sizeof name, "%.200s.scales", module);
    const double *scales = test_tensor_find(c, name)->values, *biases = t->values;
    snprintf(name, sizeof name, "%.200s.weight", module);
    t = test_tensor_find(c, name);
    for (size_t i = 0; i < w.n; i++) {
        const double q = floor((t->values[i] - biases[i / 32]) / scales[i / 32] + 0.5), most = (1u << bits) - 1;
        const double word = i % per_word ? t->values[i / per_word] : 0;
        t->values[i / per_word] = word + ldexp(q < 0 ? 0 : q > most ? most : q, (int)(bits * (i % per_word)));
    }
    t->type = fvlm_source_type_parse("U32");
    t->dims[1] = in / per_word;
    t->n = w.n / per_word;
}

static test_tensor *add_words(test_checkpoint *c, const char *module, const char *ending, unsigned rank, uint64_t d0,
                              uint64_t d1)
{
    char name[256];
    snprintf(name, sizeof name, "%.200s%s", module, ending);
    return test_tensor_add(c, name, fvlm_source_type_parse("I32"), rank, (const uint64_t[]){d0, d1});
}

/* GPTQ packs 8 inputs into a word and stores zero points less 1; AWQ packs 8 outputs, in this order. */
void test_checkpoint_pack_columns(test_checkpoint *c, const char *module, bool awq)
{
    static const unsigned order[] = {0, 2, 4, 6, 1, 3, 5, 7};
    char name[256];
    snprintf(name, sizeof name, "%.200s.weight", module);
    const test_tensor *w = test_tensor_find(c, name);
    const size_t out = (size_t)w->dims[0], in = (size_t)w->dims[1], groups = in / 32;
    assert_true(in % 32 == 0 && out % 8 == 0);
    double *values = malloc(w->n * sizeof *values);
    memcpy(values, w->values, w->n * sizeof *values);
    test_tensor_remove(c, name);
    snprintf(name, sizeof name, "%.200s.scales", module);
    test_tensor *t = test_tensor_add(c, name, FVLM_SOURCE_F16, 2, (const uint64_t[]){groups, out});
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            t->values[i / 32 * out + o] = fmax(t->values[i / 32 * out + o], fabs(values[o * in + i]) / 7);
    test_tensor_round(t);
    const double *scales = t->values;
    double *codes = add_words(c, module, ".qweight", 2, awq ? in : in / 8, awq ? out / 8 : out)->values;
    double *zeros = add_words(c, module, ".qzeros", 2, groups, out / 8)->values;
    for (size_t o = 0; o < out; o++) {
        const double zero = 7 + (double)(o % 3);
        unsigned nibble = awq ? 0 : (unsigned)(o % 8);
        while (awq && order[nibble] != o % 8) nibble++;
        for (size_t g = 0; g < groups; g++)
            zeros[g * (out / 8) + o / 8] += ldexp(awq ? zero : zero - 1, 4 * (int)nibble);
        for (size_t i = 0; i < in; i++) {
            const double q = floor(values[o * in + i] / scales[i / 32 * out + o] + zero + 0.5);
            const double code = q < 0 ? 0 : q > 15 ? 15 : q;
            if (awq)
                codes[i * (out / 8) + o / 8] += ldexp(code, 4 * (int)nibble);
            else
                codes[i / 8 * out + o] += ldexp(code, 4 * (int)(i % 8));
        }
    }
    if (!awq) {
        t = add_words(c, module, ".g_idx", 1, in, 0);
        for (size_t i = 0; i < in; i++) t->values[i] = (double)(i / 32);
    }
    free(values);
}
