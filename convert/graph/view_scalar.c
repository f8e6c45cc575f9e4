/* SPDX-License-Identifier: Apache-2.0 */
/* view_scalar.c - see view.h: constants that are one number, and what rounding may have done to them. */
#include <math.h>
#include <string.h>

#include "convert/graph/view.h"

/* FLOAT16 has 11 bits, BFLOAT16 8. Eps of 1e-5 is a subnormal FLOAT16: 1.0014e-5. */
static double slack_of(const fvlm_net_value *v, double x)
{
    int e;
    if (frexp(fabs(x), &e) == 0.5) return 0; /* powers of two are exact */
    if (v->type == FVLM_ONNX_F16) return fabs(x) < 0x1p-14 ? 0x1p-25 / fabs(x) : 0x1p-11;
    return v->type == FVLM_ONNX_BF16 ? 0x1p-8 : 0;
}

bool fvlm_scalar_of(fvlm_scalar *out, const fvlm_net_value *v)
{
    if (!v || !v->is_const) return false;
    const double *first = v->numbers && v->n_elems ? v->numbers : v->uniform;
    if (!first || !isfinite(*first) || *first == 0) return false;
    for (uint64_t i = 1; v->numbers && i < v->n_elems; i++)
        if (v->numbers[i] != *first) return false;
    *out = (fvlm_scalar){.x = *first, .slack = slack_of(v, *first)};
    return true;
}

void fvlm_scalar_multiply(fvlm_scalar *a, fvlm_scalar b)
{
    a->x *= b.x;
    a->slack += b.slack;
}

bool fvlm_scalar_is(fvlm_scalar a, double x)
{
    return fabs(a.x - x) <= (1e-6 + a.slack) * fabs(x);
}

bool fvlm_scalar_step(fvlm_scalar *a, const fvlm_net_node *n, fvlm_net_value **other)
{
    fvlm_scalar s;
    const bool is_div = !strcmp(n->op, "Div");
    if (n->n_inputs != 2 || (!is_div && strcmp(n->op, "Mul") != 0)) return false;
    for (int k = is_div ? 1 : 0; k < 2; k++) {
        if (!fvlm_scalar_of(&s, n->inputs[k]) || n->inputs[1 - k]->is_const) continue;
        if (n->inputs[1 - k]->n_elems != n->outputs[0]->n_elems) return false; /* it broadcasts, too */
        if (is_div) s.x = 1 / s.x;
        fvlm_scalar_multiply(a, s);
        *other = n->inputs[1 - k];
        return true;
    }
    return false;
}
