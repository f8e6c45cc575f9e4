/* SPDX-License-Identifier: Apache-2.0 */
/* net_store.c - memory of a net, and its values. */
#include "convert/graph/net_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 65536

struct fvlm_net_chunk {
    fvlm_net_chunk *next;
    size_t used, n_bytes;
    _Alignas(16) uint8_t bytes[];
};

void *fvlm_net_take(fvlm_net *net, size_t n, size_t size, fvlm_err *err)
{
    uint64_t need;
    if (!fvlm_checked_mul(n, size, &need) || need > FVLM_NET_MAX_BYTES - net->n_bytes) {
        fvlm_fail(err, FVLM_LIMIT, "the graph's values need more than %u MB", FVLM_NET_MAX_BYTES >> 20);
        return NULL;
    }
    need = (need + 15) / 16 * 16;
    fvlm_net_chunk *c = net->chunks;
    if (!c || need > c->n_bytes - c->used) {
        size_t n_bytes = need > CHUNK / 4 ? (size_t)need : CHUNK;
        fvlm_net_chunk *fresh = calloc(1, sizeof *fresh + n_bytes);
        if (!fresh) {
            fvlm_fail_nomem(err);
            return NULL;
        }
        fresh->n_bytes = n_bytes;
        if (c && n_bytes == need) { /* the chunk in use stays in front */
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            net->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->bytes + c->used;
    c->used += (size_t)need;
    net->n_bytes += need < FVLM_NET_MAX_BYTES - net->n_bytes ? need : FVLM_NET_MAX_BYTES - net->n_bytes;
    return p;
}

void fvlm_net_free_chunks(fvlm_net *net)
{
    while (net->chunks) {
        fvlm_net_chunk *next = net->chunks->next;
        free(net->chunks);
        net->chunks = next;
    }
}

fvlm_status fvlm_net_spend(fvlm_net *net, uint64_t work, fvlm_err *err)
{
    if (work > FVLM_NET_MAX_WORK - net->work)
        return fvlm_fail(err, FVLM_LIMIT, "the graph's constants take too long to compute");
    net->work += work;
    return FVLM_OK;
}

fvlm_status fvlm_net_count(uint64_t *out, unsigned rank, const uint64_t *dims, fvlm_err *err)
{
    char text[200];
    uint64_t n = 1; /* of the dimensions other than 0, so that no product of some of them overflows */
    bool empty = false;
    for (unsigned i = 0; i < rank; i++)
        if (dims[i] == 0)
            empty = true;
        else if (!fvlm_checked_mul(n, dims[i], &n) || n > FVLM_NET_MAX_ELEMS)
            return fvlm_fail(err, FVLM_LIMIT, "a value of shape %s is too large",
                             fvlm_net_shape_text(rank, dims, text));
    *out = empty ? 0 : n;
    return FVLM_OK;
}

fvlm_net_shape fvlm_net_shape_of(const fvlm_net_value *v)
{
    fvlm_net_shape s = {.rank = v->rank};
    memcpy(s.dims, v->dims, sizeof s.dims);
    return s;
}

bool fvlm_net_same_shape(const fvlm_net_value *v, const fvlm_net_shape *shape)
{
    return v->rank == shape->rank && memcmp(v->dims, shape->dims, v->rank * sizeof *v->dims) == 0;
}

const char *fvlm_net_shape_text(unsigned rank, const uint64_t *dims, char out[200])
{
    int at = snprintf(out, 200, "[");
    for (unsigned i = 0; i < rank; i++)
        at += snprintf(out + at, (size_t)(200 - at), "%s%" PRIu64, i ? ", " : "", dims[i]);
    snprintf(out + at, (size_t)(200 - at), "]");
    return out;
}

fvlm_status fvlm_net_new_value(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                               fvlm_err *err)
{
    uint64_t n = 0; /* gcc 13 warns otherwise */
    fvlm_status st = fvlm_net_count(&n, shape->rank, shape->dims, err);
    if (st) return st;
    fvlm_net_value *v = fvlm_net_take(net, 1, sizeof *v, err);
    if (!v) return err->code;
    *v = (fvlm_net_value){.name = net->name, .type = type, .rank = shape->rank, .n_elems = n};
    memcpy(v->dims, shape->dims, shape->rank * sizeof *v->dims);
    *out = v;
    return FVLM_OK;
}

fvlm_status fvlm_net_new_const(fvlm_net_value **out, double **numbers, fvlm_net *net, int32_t type,
                               const fvlm_net_shape *shape, fvlm_err *err)
{
    fvlm_status st = fvlm_net_new_value(out, net, type, shape, err);
    if (st) return st;
    if ((*out)->n_elems > FVLM_NET_COMPUTED)
        return fvlm_fail(err, FVLM_LIMIT, "a computed constant of %" PRIu64 " elements, at most %d are supported",
                         (*out)->n_elems, FVLM_NET_COMPUTED);
    *numbers = fvlm_net_take(net, (size_t)(*out)->n_elems + 1, sizeof **numbers, err); /* + 1: never NULL */
    if (!*numbers) return err->code;
    (*out)->is_const = true;
    (*out)->numbers = *numbers;
    return FVLM_OK;
}

fvlm_status fvlm_net_new_scalar(fvlm_net_value **out, fvlm_net *net, int32_t type, double x, fvlm_err *err)
{
    return fvlm_net_new_uniform(out, net, type, &(fvlm_net_shape){0}, x, err);
}

fvlm_status fvlm_net_new_uniform(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                                 double x, fvlm_err *err)
{
    uint64_t n = 0; /* gcc 13 warns otherwise */
    fvlm_status st = fvlm_net_count(&n, shape->rank, shape->dims, err);
    if (!st) st = fvlm_net_spend(net, n <= FVLM_NET_COMPUTED ? n : 1, err);
    double *numbers = NULL;
    if (!st && n <= FVLM_NET_COMPUTED) {
        st = fvlm_net_new_const(out, &numbers, net, type, shape, err);
        for (uint64_t i = 0; i < n && !st; i++) numbers[i] = x;
        return st;
    }
    if (!st) st = fvlm_net_new_value(out, net, type, shape, err);
    if (st) return st;
    numbers = fvlm_net_take(net, 1, sizeof *numbers, err);
    if (!numbers) return err->code;
    *numbers = x;
    (*out)->is_const = true;
    (*out)->uniform = numbers;
    return FVLM_OK;
}

fvlm_status fvlm_net_new_stored(fvlm_net_value **out, fvlm_net *net, const fvlm_graph_tensor *t, fvlm_err *err)
{
    fvlm_net_shape shape = {.rank = t->rank};
    memcpy(shape.dims, t->dims, sizeof shape.dims);
    double *numbers;
    fvlm_status st;
    if (t->n_elems <= FVLM_NET_SMALL) {
        st = fvlm_net_new_const(out, &numbers, net, t->type, &shape, err);
        if (!st) st = fvlm_net_spend(net, t->n_elems, err);
        for (uint64_t i = 0; i < t->n_elems && !st; i++) numbers[i] = fvlm_net_stored_number(t, i);
    } else {
        st = fvlm_net_new_value(out, net, t->type, &shape, err);
    }
    if (st) return st;
    (*out)->is_const = true;
    (*out)->weight.tensor = t;
    return FVLM_OK;
}

fvlm_status fvlm_net_new_quantized(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                                   const fvlm_net_quantized *q, fvlm_err *err)
{
    fvlm_status st = fvlm_net_new_value(out, net, type, shape, err);
    if (st) return st;
    fvlm_net_quantized *copy = fvlm_net_take(net, 1, sizeof *copy, err);
    if (!copy) return err->code;
    *copy = *q;
    (*out)->quantized = copy;
    return FVLM_OK;
}
