/* SPDX-License-Identifier: Apache-2.0 */
/* bounds.c - see bounds.h. */
#include <jansson.h>
#include <string.h>

#include "verify/bounds.h"

const char *fvlm_grade_name(fvlm_grade g)
{
    static const char *const names[] = {"f32", "f16", "bf16", "int8", "int4"};
    return names[g];
}

/* Relative L2 of the worst block, mean KL and top-1, measured 2026-11: the small trained model on 10 held-out pictures
 * with two questions (187 positions), the worst of all groups (tests/bench/bounds.py), and a full-size 0.5B of
 * random weights (256 pixels, 9 positions), presets only:
 *
 *                   small, trained            random 0.5B
 *   f16             0.0012  6e-9    1.00
 *   bf16            0.011   2e-7    1.00
 *   int8, f32       0.032   6e-6    1.00      0.065  0.030  0.89
 *   int8, int8      0.081   3e-5    1.00      0.099  0.10   0.89
 *   int4, f32       0.81    0.023   0.99      0.63   2.4    0
 *   int4, int8      0.81    0.023   0.99      0.63   2.4    0
 *   preset int4     0.22    5e-5    1.00
 *
 * The bounds are two to four times the worst, except for int4. There, a block may be far off (long groups, symmetric
 * codes in the stem) while predictions still hold; and a random model, which has nothing to predict, fails.
 * These bounds are wide: they judge the price of a type. Mistakes such as a lost bias, swapped rows or wrong scales
 * are found in the weights themselves (weights.h). */
fvlm_bound fvlm_bounds_for(fvlm_grade g, fvlm_act_mode act)
{
    static const fvlm_bound bounds[][2] = {
        /* f32 activations   int8 (float weights use f32 activations in both) */
        {{2e-5, 1e-6, 1.0}, {2e-5, 1e-6, 1.0}},       /* exact: sums of f32 in another order (reference/ops/ops.h) */
        {{0.005, 0.001, 0.98}, {0.005, 0.001, 0.98}}, /* f16 */
        {{0.05, 0.02, 0.95}, {0.05, 0.02, 0.95}},     /* bf16 */
        {{0.13, 0.06, 0.85}, {0.20, 0.20, 0.80}},     /* int8 */
        {{0.90, 0.50, 0.60}, {0.90, 0.50, 0.60}},     /* int4 */
    };
    return bounds[g][act == FVLM_ACT_INT8];
}

static fvlm_grade grade_of_tensor(fvlm_type t, const fvlm_tensor *source)
{
    if (t.kind == FVLM_INT) return t.bits == 4 ? FVLM_GRADE_INT4 : FVLM_GRADE_INT8;
    if (t.kind == FVLM_F32 || (source && fvlm_type_equal(t, source->type))) return FVLM_GRADE_EXACT;
    return t.kind == FVLM_F16 ? FVLM_GRADE_F16 : FVLM_GRADE_BF16;
}

/* Whether convert kept the checkpoint's types, so that no float was rounded. */
static bool kept_types(const fvlm_reader *model)
{
    const json_t *provenance = json_object_get(fvlm_reader_meta(model), "provenance");
    const char *type = json_string_value(json_object_get(json_object_get(provenance, "options"), "type"));
    return type && !strcmp(type, "keep");
}

fvlm_grade fvlm_grade_of(const fvlm_reader *model, const fvlm_reader *source)
{
    fvlm_grade worst = FVLM_GRADE_EXACT;
    const bool kept = !source && kept_types(model);
    for (size_t i = 0; i < fvlm_reader_n_tensors(model); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(model, i);
        const fvlm_tensor *from = source ? fvlm_reader_find(source, t->name) : kept ? t : NULL;
        const fvlm_grade g = grade_of_tensor(t->type, from);
        worst = g > worst ? g : worst;
    }
    return worst;
}
