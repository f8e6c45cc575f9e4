/* SPDX-License-Identifier: Apache-2.0 */
/* net_probe.c - see net_probe.h. */
#include "tests/support/net_probe.h"

#include <stdlib.h>
#include <string.h>

#include "convert/graph/net_internal.h"

#define MAX_ELEMS (1u << 22) /* of each value on the way */

typedef struct {
    const fvlm_net *net;
    const test_net_given *given;
    size_t n_given;
    double **numbers; /* by node: of its output, once computed */
    bool *needed;     /* by node */
} probe;

static const double *given_numbers(const probe *p, const fvlm_net_value *v)
{
    for (size_t i = 0; i < p->n_given; i++)
        if (p->given[i].value == v) return p->given[i].numbers;
    return NULL;
}

/* A value that is needed, by v's user: given, constant, or from a node that is needed, too. */
static fvlm_status need(probe *p, const fvlm_net_value *v, fvlm_err *err)
{
    if (!v || given_numbers(p, v) || v->numbers || v->uniform) return FVLM_OK;
    if (!v->producer)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "it depends on \"%.200s\", whose contents are not known", v->name);
    p->needed[v->producer->index] = true;
    return FVLM_OK;
}

static fvlm_net_operand operand_of(const probe *p, const fvlm_net_value *v)
{
    if (!v) return (fvlm_net_operand){0};
    const double *given = given_numbers(p, v);
    if (!given && v->producer) given = p->numbers[v->producer->index];
    return (fvlm_net_operand){v, given ? given : v->numbers, v->uniform};
}

static fvlm_status run(probe *p, const fvlm_net_node *n, fvlm_err *err)
{
    const fvlm_net_value *y = n->outputs[0];
    fvlm_net_operand *in = fvlm_alloc(n->n_inputs + 1, sizeof *in);
    double *out = fvlm_alloc((size_t)y->n_elems + 1, sizeof *out);
    fvlm_status st = in && out ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t i = 0; i < n->n_inputs && !st; i++) in[i] = operand_of(p, n->inputs[i]);
    if (!st) st = fvlm_net_compute(n, in, out, false, err);
    p->numbers[n->index] = out;
    free(in);
    return st;
}

/* Marks what v needs, from v's node back to the first. */
static fvlm_status plan(probe *p, const fvlm_net_value *v, uint64_t *work, fvlm_err *err)
{
    fvlm_kernel_kind kind;
    fvlm_status st = need(p, v, err);
    for (size_t i = v->producer ? v->producer->index + 1 : 0; i-- > 0 && !st;) {
        const fvlm_net_node *n = p->net->nodes[i];
        if (!p->needed[i]) continue;
        if (!fvlm_net_kernel_of(n->op, &kind))
            return fvlm_net_expected(p->net, n, err, "an operator that can be probed");
        const fvlm_net_value *y = n->outputs[0];
        if (y->n_elems > MAX_ELEMS) st = fvlm_net_expected(p->net, n, err, "at most %u elements to probe", MAX_ELEMS);
        for (size_t k = 0; k < n->n_inputs && !st; k++) st = need(p, n->inputs[k], err);
        *work += y->n_elems * (strcmp(n->op, "MatMul") == 0 ? n->inputs[0]->dims[n->inputs[0]->rank - 1] : 1);
        if (!st && *work > FVLM_NET_MAX_WORK)
            st = fvlm_net_expected(p->net, n, err, "less to compute in order to probe it");
    }
    return st;
}

static fvlm_status run_all(probe *p, const fvlm_net_value *v, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i <= v->producer->index && !st; i++)
        if (p->needed[i]) {
            st = run(p, p->net->nodes[i], err);
            char node[192];
            if (st && st != FVLM_NOMEM)
                st = fvlm_err_prefix(err, "%s", fvlm_graph_node_text(p->net->g, p->net->nodes[i]->node, node));
        }
    return st;
}

fvlm_status test_net_probe(double **out, const fvlm_net *net, const fvlm_net_value *v, const test_net_given *given,
                           size_t n_given, fvlm_err *err)
{
    probe p = {.net = net, .given = given, .n_given = n_given};
    *out = NULL;
    const double *known = given_numbers(&p, v) ? given_numbers(&p, v) : v->numbers;
    if (known) {
        *out = fvlm_alloc((size_t)v->n_elems + 1, sizeof **out);
        if (!*out) return fvlm_fail_nomem(err);
        memcpy(*out, known, (size_t)v->n_elems * sizeof **out);
        return FVLM_OK;
    }
    uint64_t work = 0;
    p.numbers = fvlm_alloc(net->n_nodes + 1, sizeof *p.numbers);
    p.needed = fvlm_alloc(net->n_nodes + 1, sizeof *p.needed);
    fvlm_status st = p.numbers && p.needed ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = plan(&p, v, &work, err);
    if (!st && !v->producer) st = fvlm_fail(err, FVLM_LIMIT, "\"%.200s\" is too large to probe", v->name);
    if (!st) st = run_all(&p, v, err);
    for (size_t i = 0; p.numbers && i < net->n_nodes; i++) {
        if (!st && v->producer->index == i)
            *out = p.numbers[i];
        else
            free(p.numbers[i]);
    }
    free(p.numbers);
    free(p.needed);
    return st;
}
