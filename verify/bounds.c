/* bounds.c - see bounds.h. */
#include <string.h>

#include "verify/bounds.h"

const char *fvlm_grade_name(fvlm_grade g)
{
    static const char *const names[] = {"f32", "f16", "bf16", "int8", "int4"};
    return names[g];
}

/* Exact: design, the numeric contract. The others were measured (README, "What verify promises") on the small trained
 * model and on a full-size random one, then rounded up to about twice the worst seen: wide enough for another
 * model, narrow enough that a wrong scale, a swapped row or a lost bias anywhere stands out. */
fvlm_bound fvlm_bound_for(fvlm_grade g, fvlm_act_mode act)
{
    static const fvlm_bound bounds[][2] = {
        /* --act f32               --act int8 (weights that are floats stay with f32 activations) */
        {{2e-5, 1e-6, 1.0}, {2e-5, 1e-6, 1.0}},   {{0.01, 0.001, 0.98}, {0.01, 0.001, 0.98}},
        {{0.05, 0.01, 0.95}, {0.05, 0.01, 0.95}}, {{0.10, 0.02, 0.90}, {0.15, 0.05, 0.90}},
        {{0.80, 0.50, 0.60}, {0.80, 0.50, 0.60}},
    };
    return bounds[g][act == FVLM_ACT_INT8];
}

static fvlm_grade grade_of_tensor(fvlm_type t, const fvlm_tensor *source)
{
    if (t.kind == FVLM_INT) return t.bits == 4 ? FVLM_GRADE_INT4 : FVLM_GRADE_INT8;
    if (t.kind == FVLM_F32 || (source && fvlm_type_equal(t, source->type))) return FVLM_GRADE_EXACT;
    return t.kind == FVLM_F16 ? FVLM_GRADE_F16 : FVLM_GRADE_BF16;
}

/* Whether convert kept the checkpoint's types, so that floats are what they were. */
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
