/* SPDX-License-Identifier: Apache-2.0 */
/* net_attr.c - attributes with their defaults, and axes counted from the front. */
#include "convert/graph/net_internal.h"

#include <inttypes.h>
#include <string.h>

fvlm_status fvlm_net_axis(unsigned *out, int64_t axis, unsigned rank, fvlm_err *err)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return fvlm_fail(err, FVLM_BAD_INPUT, "axis %" PRId64 " of a value of rank %u", axis, rank);
    *out = (unsigned)(axis < 0 ? axis + (int64_t)rank : axis);
    return FVLM_OK;
}

fvlm_status fvlm_net_attr_axis(unsigned *out, const fvlm_graph_node *n, const char *name, int64_t absent, unsigned rank,
                               fvlm_err *err)
{
    int64_t axis = 0;
    fvlm_status st = fvlm_graph_attr_int(&axis, n, name, absent, err);
    return st ? st : fvlm_net_axis(out, axis, rank, err);
}

fvlm_status fvlm_net_attr_double(double *out, const fvlm_graph_node *n, const char *name, float absent, fvlm_err *err)
{
    float f = absent;
    fvlm_status st = fvlm_graph_attr_float(&f, n, name, absent, err);
    *out = (double)f;
    return st;
}

fvlm_status fvlm_net_attr_bool(bool *out, const fvlm_graph_node *n, const char *name, bool absent, fvlm_err *err)
{
    int64_t i = absent;
    fvlm_status st = fvlm_graph_attr_int(&i, n, name, absent, err);
    *out = i != 0;
    return st;
}

fvlm_status fvlm_net_attr_count(uint64_t *out, const fvlm_graph_node *n, const char *name, int64_t absent,
                                fvlm_err *err)
{
    int64_t i = 0;
    fvlm_status st = fvlm_graph_attr_int(&i, n, name, absent, err);
    if (!st && (i < 1 || i > 1 << 30))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "attribute %s = %" PRId64 "; it must be from 1 to 2^30", name, i);
    *out = (uint64_t)i;
    return st;
}

fvlm_status fvlm_net_attr_text(const char **out, const fvlm_graph_node *n, const char *name, const char *absent,
                               fvlm_err *err)
{
    const fvlm_graph_attr *a = fvlm_graph_attr_find(n, name);
    *out = a && a->kind == FVLM_ATTR_STRING ? a->s : absent;
    if (a && a->kind != FVLM_ATTR_STRING)
        return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" must be a string", name);
    return FVLM_OK;
}

fvlm_status fvlm_net_attr_only(const fvlm_graph_node *n, const char *name, int64_t only, fvlm_err *err)
{
    int64_t i = only;
    fvlm_status st = fvlm_graph_attr_int(&i, n, name, only, err);
    if (!st && i != only)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "attribute %s = %" PRId64 " is not supported, only %" PRId64 " is", name,
                       i, only);
    return st;
}

fvlm_status fvlm_net_axes(uint32_t *out, const int64_t *axes, size_t n, unsigned rank, fvlm_err *err)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = 0;
        fvlm_status st = fvlm_net_axis(&d, axes[i], rank, err);
        if (st) return st;
        if (*out >> d & 1) return fvlm_fail(err, FVLM_BAD_INPUT, "axis %u is given more than once", d);
        *out |= 1u << d;
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_ints(const int64_t **out, size_t *n, fvlm_net *net, const fvlm_net_value *v, const char *what,
                          fvlm_err *err)
{
    if (!v->numbers)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its %s depends on values that are not known (\"%.200s\")", what,
                         v->name);
    int64_t *ints = fvlm_net_take(net, (size_t)v->n_elems + 1, sizeof *ints, err);
    if (!ints) return err->code;
    for (uint64_t i = 0; i < v->n_elems; i++) ints[i] = fvlm_net_to_int(v->numbers[i]);
    *out = ints;
    *n = (size_t)v->n_elems;
    return FVLM_OK;
}

fvlm_status fvlm_net_input_or_attr(const int64_t **out, size_t *n, fvlm_net *net, const fvlm_graph_node *node,
                                   const fvlm_net_value *input, const char *name, fvlm_err *err)
{
    if (input) return fvlm_net_ints(out, n, net, input, name, err);
    return fvlm_graph_attr_ints(out, n, node, name, err);
}
