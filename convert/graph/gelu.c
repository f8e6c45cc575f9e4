/* SPDX-License-Identifier: Apache-2.0 */
/* gelu.c - see map.h: x / 2 * (1 + erf(x / sqrt 2)), however its factors are ordered. */
#include <math.h>
#include <string.h>

#include "convert/graph/map.h"

#define MAX_FACTORS 8

/* A product of scalars and of values that are no products of their own. */
typedef struct {
    fvlm_scalar scalar;
    fvlm_net_value *factor[MAX_FACTORS];
    unsigned n, n_products;
} product;

/* Takes v apart. GELU's input has several users, so a value with several is left whole. */
static bool factorize(product *p, fvlm_net_value *v, bool top)
{
    while (v->producer && (top || v->n_users == 1) && fvlm_scalar_step(&p->scalar, v->producer, &v)) top = false;
    if (p->n == MAX_FACTORS) return false;
    const fvlm_net_node *n = v->producer;
    if (n && (top || v->n_users == 1) && !strcmp(n->op, "Mul") && n->inputs[0]->n_elems == n->inputs[1]->n_elems) {
        return ++p->n_products < MAX_FACTORS && factorize(p, n->inputs[0], false) && factorize(p, n->inputs[1], false);
    }
    p->factor[p->n++] = v;
    return true;
}

/* v = a + b * erf(c * x): scalars, and x. */
static bool match_erf(fvlm_net_value *v, fvlm_scalar *a, fvlm_scalar *b, fvlm_scalar *c, fvlm_net_value **x)
{
    fvlm_net_value *constant, *other;
    *b = *c = (fvlm_scalar){.x = 1};
    if (!fvlm_net_is(v, "Add") || !fvlm_net_split_const(v->producer, &constant, &other) || !fvlm_scalar_of(a, constant))
        return false;
    while (other->producer && fvlm_scalar_step(b, other->producer, &other)) {
    }
    if (!fvlm_net_is(other, "Erf")) return false;
    *x = other->producer->inputs[0];
    return true;
}

/* What is there instead, by the operators that lead to v: inner ones have one user. */
static const char *name_form(const fvlm_net_value *v)
{
    const char *found = NULL;
    for (unsigned depth = 0; v && v->producer && depth < 8; depth++) {
        const fvlm_net_node *n = v->producer;
        if (!strcmp(n->op, "Tanh") || !strcmp(n->op, "FastGelu")) return "its approximation by tanh";
        if (!strcmp(n->op, "Sigmoid") || !strcmp(n->op, "QuickGelu")) return "its approximation by a sigmoid, or SiLU";
        if (!strcmp(n->op, "Erf")) return "another product with Erf";
        if (!strcmp(n->op, "Mul") && depth == 0) found = "a product without Erf";
        const fvlm_net_value *next = NULL;
        for (size_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i] && !n->inputs[i]->is_const && n->inputs[i]->n_users == 1) next = n->inputs[i];
        v = next;
    }
    return found;
}

fvlm_status fvlm_gelu_match(bool *twice, const fvlm_net *net, fvlm_map *m, const char *what, fvlm_err *err)
{
    *twice = false;
    fvlm_map_back(m);
    fvlm_net_value *top = m->v, *x = NULL;
    fvlm_scalar a, b, c;
    if (fvlm_net_is(top, "Gelu")) {
        m->v = top->producer->inputs[0];
        return FVLM_OK;
    }
    product p = {.scalar.x = 1};
    bool ok = top->producer && factorize(&p, top, true) && p.n == 2;
    for (unsigned i = 0; ok && i < 2; i++) { /* either factor may be the one with Erf */
        fvlm_net_value *inner = NULL;
        if (!match_erf(p.factor[i], &a, &b, &c, &inner)) continue;
        while (inner != p.factor[1 - i] && inner->producer && fvlm_scalar_step(&c, inner->producer, &inner)) {
        }
        if (inner == p.factor[1 - i]) x = inner;
        break;
    }
    if (!x) return fvlm_match_expected(net, top, name_form(top), err, "the exact GELU (with Erf) %s", what);
    fvlm_scalar_multiply(&a, p.scalar);
    fvlm_scalar_multiply(&b, p.scalar);
    *twice = fvlm_scalar_is(a, 1);
    const double factor = *twice ? 1 : 0.5;
    if (!fvlm_scalar_is(a, factor) || !fvlm_scalar_is(b, factor) || !fvlm_scalar_is(c, sqrt(0.5)))
        return fvlm_match_expected(net, top, "other constants", err,
                                   "the exact GELU, x / 2 * (1 + erf(x / sqrt 2)), %s", what);
    m->v = x;
    return FVLM_OK;
}
