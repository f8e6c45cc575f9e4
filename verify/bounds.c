/* SPDX-License-Identifier: Apache-2.0 */
/* bounds.c - see bounds.h. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "verify/bounds.h"

const char *fvlm_precision_name(fvlm_precision p)
{
    static const char *const names[] = {"f32", "f16", "bf16", "int8", "int4"};
    return names[p];
}

/* Relative L2 of the worst block, mean KL and top-1, measured 2026-11 with tests/bench/bounds.py on the small trained
 * model and on a full-size 0.5B of random weights (256 pixels, 9 positions):
 *
 *                   small, trained            random 0.5B
 *   f16             0.0012  6e-9    1.00
 *   bf16            0.011   2e-7    1.00
 *   int8, f32       0.032                     0.065
 *   int8, int8      0.081                     0.099
 *
 * The bounds are two to four times the worst. Blocks of int4 models have none: a block may be far off (long groups,
 * symmetric codes in the stem) while predictions hold. What integers cost in predictions is graded (grade.h). Mistakes
 * such as a lost bias, swapped rows or wrong scales are found in the weights themselves (weights.h). */
fvlm_bound fvlm_bounds_for(fvlm_precision p, fvlm_act_mode act)
{
    static const fvlm_bound bounds[][2] = {
        /* f32 activations   int8 (float weights use f32 activations in both) */
        {{2e-5, 1e-6, 1.0}, {2e-5, 1e-6, 1.0}},       /* exact: sums of f32 in another order (reference/ops/ops.h) */
        {{0.005, 0.001, 0.98}, {0.005, 0.001, 0.98}}, /* f16 */
        {{0.05, 0.02, 0.95}, {0.05, 0.02, 0.95}},     /* bf16 */
        {{0.13, INFINITY, 0}, {0.20, INFINITY, 0}},   /* int8 */
        {{INFINITY, INFINITY, 0}, {INFINITY, INFINITY, 0}}, /* int4 */
    };
    return bounds[p][act == FVLM_ACT_INT8];
}

static fvlm_precision precision_of_tensor(fvlm_type t, const fvlm_tensor *source)
{
    if (t.kind == FVLM_INT) return t.bits == 4 ? FVLM_PRECISION_INT4 : FVLM_PRECISION_INT8;
    if (t.kind == FVLM_F32 || (source && fvlm_type_equal(t, source->type))) return FVLM_PRECISION_EXACT;
    return t.kind == FVLM_F16 ? FVLM_PRECISION_F16 : FVLM_PRECISION_BF16;
}

/* Whether convert kept the checkpoint's types, so that no float was rounded. */
static bool kept_types(const fvlm_reader *model)
{
    const json_t *provenance = json_object_get(fvlm_reader_meta(model), "provenance");
    const char *type = json_string_value(json_object_get(json_object_get(provenance, "options"), "type"));
    return type && !strcmp(type, "keep");
}

fvlm_precision fvlm_precision_of(const fvlm_reader *model, const fvlm_reader *source)
{
    fvlm_precision worst = FVLM_PRECISION_EXACT;
    const bool kept = !source && kept_types(model);
    for (size_t i = 0; i < fvlm_reader_n_tensors(model); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(model, i);
        const fvlm_tensor *from = source ? fvlm_reader_find(source, t->name) : kept ? t : NULL;
        const fvlm_precision p = precision_of_tensor(t->type, from);
        worst = p > worst ? p : worst;
    }
    return worst;
}
