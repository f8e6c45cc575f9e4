/* SPDX-License-Identifier: Apache-2.0 */
/* match.c - see match.h: the list of matched tensors, their contents, and the one form of refusals. */
#include "convert/graph/match.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

fvlm_match_tensor *fvlm_match_add(fvlm_match *m, fvlm_err *err, const char *fmt, ...)
{
    char name[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    char *kept = fvlm_strdup(name);
    if (!kept || !fvlm_grow(&m->tensors, &m->capacity, m->n + 1, sizeof *m->tensors)) {
        free(kept);
        fvlm_fail_nomem(err);
        return NULL;
    }
    fvlm_match_tensor *t = &m->tensors[m->n++];
    *t = (fvlm_match_tensor){.name = kept};
    return t;
}

void fvlm_match_free(fvlm_match *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->tensors[i].name);
        free(m->tensors[i].numbers);
    }
    free(m->tensors);
    *m = (fvlm_match){0};
}

fvlm_status fvlm_match_expected(const fvlm_net *net, const fvlm_net_value *v, const char *found, fvlm_err *err,
                                const char *fmt, ...)
{
    char expected[512], where[192];
    va_list args;
    va_start(args, fmt);
    vsnprintf(expected, sizeof expected, fmt, args);
    va_end(args);
    if (v->producer)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: expected %s, found %s",
                         fvlm_graph_node_text(fvlm_net_graph(net), v->producer->node, where), expected,
                         found ? found : v->producer->node->op);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "value \"%s\": expected %s, found %s", v->name, expected,
                     found         ? found
                     : v->is_const ? "a constant"
                                   : "an input of the graph");
}

fvlm_status fvlm_match_known_attrs(const fvlm_net *net, const fvlm_net_node *n, const char *const *known, fvlm_err *err)
{
    for (size_t i = 0; i < n->node->n_attrs; i++) {
        size_t k = 0;
        while (known[k] && strcmp(known[k], n->node->attrs[i].name) != 0) k++;
        if (!known[k])
            return fvlm_match_expected(net, n->outputs[0], n->node->attrs[i].name, err, "attributes that are known");
    }
    return FVLM_OK;
}

/* n rows of a small constant, each of 'width' numbers. */
static void copy_rows(double *out, const fvlm_match_rows *r, uint64_t width)
{
    const uint64_t all = r->v->n_elems / width;
    for (uint64_t i = 0; i < r->n_rows; i++)
        for (uint64_t k = 0; k < width; k++)
            *out++ = (r->twice ? 2 : 1) * (r->transposed ? r->v->numbers[k * all + r->first_row + i]
                                                         : r->v->numbers[(r->first_row + i) * width + k]);
}

fvlm_status fvlm_match_set_rows(fvlm_match_tensor *t, const fvlm_net *net, const fvlm_match_rows *rows, unsigned n,
                                const fvlm_net_node *user, fvlm_err *err)
{
    uint64_t total = 0, n_rows = 0;
    bool stored = true, small = true;
    for (unsigned i = 0; i < n; i++) {
        if (!rows[i].v->is_const)
            return fvlm_match_expected(net, rows[i].v, NULL, err, "a constant for \"%s\"", t->name);
        stored = stored && rows[i].v->weight.tensor;
        small = small && rows[i].v->numbers;
        n_rows += rows[i].n_rows; /* each is at most the elements of a tensor that was checked */
    }
    t->node = user->node;
    if (stored) {
        t->n_parts = n;
        for (unsigned i = 0; i < n; i++)
            t->parts[i] = (fvlm_match_part){.weight = rows[i].v->weight,
                                            .transposed = rows[i].transposed,
                                            .first_row = rows[i].first_row,
                                            .n_rows = rows[i].n_rows,
                                            .twice = rows[i].twice};
        return FVLM_OK;
    }
    for (unsigned i = 0; i < t->rank; i++) total = i ? total * t->dims[i] : t->dims[0];
    if (!small || !n_rows)
        return fvlm_match_expected(net, user->outputs[0], "one that other nodes compute", err,
                                   "a stored weight for \"%s\"", t->name);
    t->numbers = fvlm_alloc(total, sizeof *t->numbers);
    if (!t->numbers) return fvlm_fail_nomem(err);
    double *at = t->numbers;
    for (unsigned i = 0; i < n; at += rows[i++].n_rows * (total / n_rows)) copy_rows(at, &rows[i], total / n_rows);
    return FVLM_OK;
}
