/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_graph.c - see onnx_graph.h: nodes, inputs, outputs and initializers of a graph under construction. */
#include "convert/export/onnx_graph.h"

#include <stdarg.h>
#include <stdio.h>

#include "format/base/grow.h"

static void out_of_memory(fvlm_onnx_graph *g)
{
    if (!g->st) g->st = fvlm_fail_nomem(g->err);
}

/* ---- texts ---- */

const char *fvlm_onnx_text(fvlm_onnx_graph *g, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *copy = g->st ? NULL : fvlm_strdup(text);
    if (!copy || !fvlm_grow(&g->texts, &g->texts_capacity, g->n_texts + 1, sizeof *g->texts)) {
        free(copy);
        out_of_memory(g);
        return "";
    }
    return g->texts[g->n_texts++] = copy;
}

/* ---- inputs and outputs ---- */

/* ValueInfoProto: 1 name, 2 TypeProto { 1 Tensor { 1 elem_type, 2 shape { 1 dim { 1 dim_value, 2 dim_param } } } }. */
static void put_port(fvlm_onnx_graph *g, unsigned field, const char *name, fvlm_onnx_out_type type, unsigned rank,
                     const fvlm_onnx_dim *dims)
{
    fvlm_message shape = {0}, tensor = {0}, kind = {0}, value = {0};
    for (unsigned i = 0; i < rank; i++) {
        fvlm_message dim = {0};
        if (dims[i].symbol)
            fvlm_message_put_text(&dim, 2, dims[i].symbol);
        else
            fvlm_message_put_int(&dim, 1, (int64_t)dims[i].n);
        fvlm_message_put_message(&shape, 1, &dim);
        fvlm_message_free(&dim);
    }
    fvlm_message_put_int(&tensor, 1, type);
    fvlm_message_put_message(&tensor, 2, &shape);
    fvlm_message_put_message(&kind, 1, &tensor);
    fvlm_message_put_text(&value, 1, name);
    fvlm_message_put_message(&value, 2, &kind);
    fvlm_message_put_message(&g->ports, field, &value);
    fvlm_message_free(&shape);
    fvlm_message_free(&tensor);
    fvlm_message_free(&kind);
    fvlm_message_free(&value);
}

const char *fvlm_onnx_input(fvlm_onnx_graph *g, const char *name, fvlm_onnx_out_type type, unsigned rank,
                            const fvlm_onnx_dim *dims)
{
    put_port(g, 11, name, type, rank, dims);
    return name;
}

void fvlm_onnx_output(fvlm_onnx_graph *g, const char *name, fvlm_onnx_out_type type, unsigned rank,
                      const fvlm_onnx_dim *dims)
{
    put_port(g, 12, name, type, rank, dims);
}

/* ---- nodes ---- */

/* AttributeProto: 1 name, 2 f, 3 i, 8 ints, 20 type (1 FLOAT, 2 INT, 7 INTS). */
static void put_attr(fvlm_message *node, const fvlm_onnx_attr *a)
{
    fvlm_message m = {0};
    fvlm_message_put_text(&m, 1, a->name);
    if (a->is_float) fvlm_message_put_float(&m, 2, a->f);
    if (!a->is_float && !a->ints) fvlm_message_put_int(&m, 3, a->i);
    for (size_t i = 0; i < a->n; i++) fvlm_message_put_int(&m, 8, a->ints[i]);
    fvlm_message_put_int(&m, 20, a->is_float ? 1 : a->ints ? 7 : 2);
    fvlm_message_put_message(node, 5, &m);
    fvlm_message_free(&m);
}

/* NodeProto: 1 input, 2 output, 3 name, 4 op_type, 5 attribute, 7 domain. */
const char *fvlm_onnx_node(fvlm_onnx_graph *g, const fvlm_onnx_call *c)
{
    const char *first = c->out[0] ? c->out[0] : fvlm_onnx_text(g, "%s_output_0", c->name);
    fvlm_message m = {0};
    unsigned n = FVLM_ONNX_MAX_INPUTS;
    while (n && !c->in[n - 1]) n--;
    for (unsigned i = 0; i < n; i++) fvlm_message_put_text(&m, 1, c->in[i] ? c->in[i] : "");
    fvlm_message_put_text(&m, 2, first);
    for (unsigned i = 1; i < 3 && c->out[i]; i++) fvlm_message_put_text(&m, 2, c->out[i]);
    fvlm_message_put_text(&m, 3, c->name);
    fvlm_message_put_text(&m, 4, c->op);
    for (unsigned i = 0; i < FVLM_ONNX_MAX_ATTRS && c->attr[i].name; i++) put_attr(&m, &c->attr[i]);
    if (c->domain) fvlm_message_put_text(&m, 7, c->domain), g->contrib = true;
    fvlm_message_put_message(&g->nodes, 1, &m);
    fvlm_message_free(&m);
    return first;
}

/* ---- initializers ---- */

static unsigned bits_of(fvlm_onnx_out_type type)
{
    switch (type) {
    case FVLM_OUT_U4:
    case FVLM_OUT_I4:
        return 4;
    case FVLM_OUT_U8:
    case FVLM_OUT_I8:
        return 8;
    case FVLM_OUT_F16:
    case FVLM_OUT_BF16:
        return 16;
    case FVLM_OUT_I64:
        return 64;
    default:
        return 32;
    }
}

/* Dimensions are products of those of a tensor in a file, and none has more bytes than 8 times that tensor. */
static void measure(fvlm_onnx_initializer *t)
{
    t->n_elems = 1;
    for (unsigned i = 0; i < t->rank; i++) t->n_elems *= t->dims[i];
    t->bits = bits_of(t->type);
    t->n_bytes = (t->n_elems * t->bits + 7) / 8;
}

const char *fvlm_onnx_initialize(fvlm_onnx_graph *g, const char *name, const fvlm_onnx_contents *c)
{
    for (size_t i = 0; i < g->n_initializers; i++)
        if (!strcmp(g->initializers[i].name, name)) return g->initializers[i].name;
    char *copy = g->st ? NULL : fvlm_strdup(name);
    void *of = copy ? fvlm_alloc(1, c->of_bytes) : NULL;
    if (!of || !fvlm_grow(&g->initializers, &g->capacity, g->n_initializers + 1, sizeof *g->initializers)) {
        free(copy);
        free(of);
        out_of_memory(g);
        return "";
    }
    memcpy(of, c->of, c->of_bytes);
    fvlm_onnx_initializer *t = &g->initializers[g->n_initializers++];
    *t = (fvlm_onnx_initializer){
        .name = copy, .type = c->type, .rank = c->rank, .fill = c->fill, .of = of, .from = c->from};
    memcpy(t->dims, c->dims, sizeof t->dims);
    measure(t);
    return copy;
}

static bool fill_ints(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t x;
        memcpy(&x, (const uint8_t *)of + (first + i) * sizeof x, sizeof x);
        fvlm_store_u64(out + i * sizeof x, (uint64_t)x);
    }
    return true;
}

const char *fvlm_onnx_ints(fvlm_onnx_graph *g, const char *name, unsigned rank, size_t n, const int64_t *values)
{
    const fvlm_onnx_contents c = {.type = FVLM_OUT_I64,
                                  .rank = rank,
                                  .dims = {n},
                                  .fill = fill_ints,
                                  .of = values,
                                  .of_bytes = n * sizeof *values};
    return fvlm_onnx_initialize(g, name, &c);
}

static bool fill_scalar(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    float x;
    memcpy(&x, of, sizeof x);
    for (size_t i = 0; i < n; i++) fvlm_store_u32(out + 4 * i, fvlm_f32_bits(x));
    (void)first;
    return true;
}

const char *fvlm_onnx_scalar(fvlm_onnx_graph *g, const char *name, float value)
{
    return fvlm_onnx_initialize(
        g, name,
        &(fvlm_onnx_contents){.type = FVLM_OUT_F32, .fill = fill_scalar, .of = &value, .of_bytes = sizeof value});
}

const char *fvlm_onnx_ones(fvlm_onnx_graph *g, const char *name, uint64_t n)
{
    const float one = 1;
    const fvlm_onnx_contents c = {
        .type = FVLM_OUT_F32, .rank = 1, .dims = {n}, .fill = fill_scalar, .of = &one, .of_bytes = sizeof one};
    return fvlm_onnx_initialize(g, name, &c);
}

void fvlm_onnx_graph_free(fvlm_onnx_graph *g)
{
    fvlm_message_free(&g->nodes);
    fvlm_message_free(&g->ports);
    for (size_t i = 0; i < g->n_initializers; i++) {
        free(g->initializers[i].name);
        free(g->initializers[i].of);
    }
    for (size_t i = 0; i < g->n_texts; i++) free(g->texts[i]);
    free(g->initializers);
    free(g->texts);
    *g = (fvlm_onnx_graph){0};
}
