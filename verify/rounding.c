/* SPDX-License-Identifier: Apache-2.0 */
/* rounding.c - see rounding.h. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/rounding.h"

static fvlm_status add_step(fvlm_rounding_history *h, fvlm_type t, const char *tensor, fvlm_err *err)
{
    if (h->n == FVLM_MAX_STEPS)
        return fvlm_fail(err, FVLM_LIMIT, "tensor \"%s\" was converted over %d times", tensor, FVLM_MAX_STEPS);
    h->step[h->n++] = t;
    return FVLM_OK;
}

fvlm_status fvlm_rounding_history_of(fvlm_rounding_history *out, const fvlm_reader *model, const fvlm_tensor *t,
                                     fvlm_err *err)
{
    size_t i;
    const json_t *transform;
    fvlm_status st = FVLM_OK;
    *out = (fvlm_rounding_history){0};
    json_array_foreach(json_object_get(fvlm_reader_meta(model), "transforms"), i, transform)
    {
        const json_t *of = json_object_get(json_object_get(transform, "tensors"), t->name);
        const char *from = json_string_value(json_object_get(of, "from"));
        fvlm_type type;
        if (!from) continue;
        if (fvlm_type_parse(&type, from, err) || type.kind == FVLM_INT)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": the metadata say that \"%s\" was made from \"%.24s\"",
                             fvlm_reader_path(model), t->name, from);
        st = add_step(out, type, t->name, err);
        if (st) return st;
    }
    return t->type.kind == FVLM_INT ? FVLM_OK : add_step(out, t->type, t->name, err);
}

static bool is_foreign(const fvlm_reader *model, const char *name, bool *norm_folded)
{
    size_t i;
    const json_t *step, *made = json_object_get(json_object_get(fvlm_reader_meta(model), "tensors"), name);
    json_array_foreach(json_object_get(made, "steps"), i, step)
    {
        const char *text = json_string_value(step);
        if (text && (strstr(text, "codes kept") || !strcmp(text, "dequantized"))) return true;
        *norm_folded |= text && !strcmp(text, "layer norm folded");
    }
    return false;
}

bool fvlm_rounding_is_foreign(const fvlm_reader *model, const fvlm_tensor *t)
{
    char weight[FVLM_MAX_NAME + 8];
    bool norm_folded = false;
    if (is_foreign(model, t->name, &norm_folded)) return true;
    const size_t n = strlen(t->name), end = sizeof ".bias" - 1;
    if (!norm_folded || n <= end || strcmp(t->name + n - end, ".bias") != 0) return false;
    snprintf(weight, sizeof weight, "%.*s.weight", (int)(n - end), t->name); /* the norm's shift times this */
    return is_foreign(model, weight, &norm_folded);
}

float fvlm_rounding_history_apply(const fvlm_rounding_history *h, float w, float *slack)
{
    *slack = 0;
    for (unsigned i = 0; i < h->n; i++) {
        const float before = w;
        if (h->step[i].kind == FVLM_BF16) w = fvlm_bf16_to_f32(fvlm_f32_to_bf16(w));
        if (h->step[i].kind == FVLM_F16) w = fvlm_f16_to_f32(fvlm_f32_to_f16(w));
        if (w == before) continue;
        /* A unit in the last place: at most this part of a normal number, plus that of subnormal ones. */
        *slack += h->step[i].kind == FVLM_BF16 ? fabsf(w) * 0x1p-7f + 0x1p-133f : fabsf(w) * 0x1p-10f + 0x1p-24f;
    }
    return w;
}

static float to_bf16(float v)
{
    return fvlm_bf16_to_f32(fvlm_f32_to_bf16(v));
}

/* Adding and subtracting this rounds to nearest, ties to even, like nearbyint(), but without a call per weight. */
#define ROUND 0x1.8p52

double fvlm_rounding_plain_error(fvlm_type t, const float *w, size_t n)
{
    const double top = t.bits == 8 ? 255 : 15, zero = t.bits == 8 ? 128 : 8;
    float low = w[0], high = w[0];
    double squares = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
        squares += (double)w[i] * (double)w[i];
    }
    const float largest = high > -low ? high : -low;
    if (largest < 0x1p-90f) return squares;
    const double scale = t.asymmetric ? to_bf16((high - low) / (float)top) : to_bf16(largest / (float)(zero - 1));
    const double offset = t.asymmetric ? to_bf16(low) : -zero * scale;
    for (size_t i = 0; i < n; i++) {
        double q = scale == 0 ? 0 : (((double)w[i] - offset) / scale + ROUND) - ROUND;
        q = q < 0 ? 0 : q > top ? top : q;
        const double d = (double)w[i] - (double)(float)(scale * q + offset);
        error += d * d;
    }
    return error;
}
