/* SPDX-License-Identifier: Apache-2.0 */
/* bind.c - puts every tensor of a .fvlm file where the forward pass finds it.
 *
 * The config says which tensors there must be and what shape they have; this file
 * holds the list (format/config.h has the same in prose). A tensor is bound, or
 * the model is refused: missing and left-over tensors alike are told by name.
 *
 * Matrices stay where they lie in the mapping. Vectors and depthwise kernels, one
 * in a hundred weights, become f32 in one block of memory. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/bind.h"

#define MAX_KERNEL FVLM_MAX_DW_KERNEL /* side of a depthwise kernel: what the operation has room for */
#define LISTED 4                      /* names an error message has room for */

typedef struct {
    fvlm_model_weights *w;
    const fvlm_reader *reader;
    const fvlm_config *config;
    bool *used;               /* a flag for every tensor of the file */
    size_t n_small, small_at; /* floats in w->small, and how many are taken */
    size_t n_missing;
    char missing[256];
    fvlm_status st; /* sticks: after a failure, binding does nothing */
    fvlm_err *err;
} binder;

static void list_name(char *list, size_t size, size_t i, const char *name)
{
    const size_t at = strlen(list);
    if (i < LISTED)
        snprintf(list + at, size - at, "%s%s", i ? ", " : "", name);
    else if (i == LISTED)
        snprintf(list + at, size - at, ", ...");
}

static const char *shape_text(unsigned rank, const uint64_t *dims, char out[96])
{
    size_t at = (size_t)snprintf(out, 96, "[");
    for (unsigned i = 0; i < rank && at < 96; i++)
        at += (size_t)snprintf(out + at, 96 - at, "%s%" PRIu64, i ? ", " : "", dims[i]);
    if (at < 96) snprintf(out + at, 96 - at, "]");
    return out;
}

static void refuse_shape(binder *b, const fvlm_tensor *t, const char *wanted)
{
    char found[96];
    b->st = fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%s\" has shape %s; the config wants %s", t->name,
                      shape_text(t->rank, t->dims, found), wanted);
}

/* The tensor of that name in that layout, or NULL: missing, or already refused. */
static const fvlm_tensor *take(binder *b, const char *name, fvlm_layout layout)
{
    static const char *const layouts[] = {"?", "rows", "panels", "taps"};
    if (b->st != FVLM_OK) return NULL;
    const fvlm_tensor *t = fvlm_reader_find(b->reader, name);
    if (!t) {
        list_name(b->missing, sizeof b->missing, b->n_missing++, name);
        return NULL;
    }
    b->used[t - fvlm_reader_tensor(b->reader, 0)] = true;
    if (t->layout == layout) return t;
    b->st = fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%s\" is laid out in %s; the executor reads it in %s", name,
                      layouts[t->layout <= FVLM_TAPS ? t->layout : 0], layouts[layout]);
    return NULL;
}

/* A tensor's n floats of any width as f32, in memory that the weights own. */
static const float *widen(binder *b, const fvlm_tensor *t, size_t n)
{
    float *out = b->w->small + b->small_at;
    fvlm_decode_floats(t->type, fvlm_reader_bytes(b->reader, t), n, out);
    b->small_at += (n + 15) / 16 * 16;
    return out;
}

static void bind_vector(binder *b, const float **out, size_t n, const char *name)
{
    const fvlm_tensor *t = take(b, name, FVLM_ROWS);
    if (!t) return;
    if (t->rank == 1 && t->dims[0] == n) {
        *out = widen(b, t, n);
        return;
    }
    char wanted[32];
    snprintf(wanted, sizeof wanted, "[%zu]", n);
    refuse_shape(b, t, wanted);
}

/* [n, inputs] for a linear layer, [n, inputs, side, side] for a convolution; 1x1 may be either. */
static void bind_matrix(binder *b, fvlm_weight *out, size_t n, size_t inputs, size_t side, const char *name)
{
    const fvlm_tensor *t = take(b, name, FVLM_PANELS);
    if (!t) return;
    const bool flat = t->rank == 2 && side == 1;
    const bool conv = t->rank == 4 && t->dims[2] == side && t->dims[3] == side;
    if ((flat || conv) && t->dims[0] == n && t->dims[1] == inputs) {
        b->st = fvlm_weight_bind(out, t, fvlm_reader_bytes(b->reader, t), b->err);
        return;
    }
    char wanted[96];
    if (side == 1)
        snprintf(wanted, sizeof wanted, "[%zu, %zu]", n, inputs);
    else
        snprintf(wanted, sizeof wanted, "[%zu, %zu, %zu, %zu]", n, inputs, side, side);
    refuse_shape(b, t, wanted);
}

static const char *join(char out[FVLM_MAX_NAME + 1], const char *name, const char *suffix)
{
    snprintf(out, FVLM_MAX_NAME + 1, "%s%s", name, suffix);
    return out;
}

static void bind_linear(binder *b, fvlm_linear *out, size_t n, size_t inputs, bool bias, const char *name)
{
    char full[FVLM_MAX_NAME + 1];
    bind_matrix(b, &out->weight, n, inputs, 1, join(full, name, ".weight"));
    if (bias) bind_vector(b, &out->bias, n, join(full, name, ".bias"));
}

/* The kernel's side comes from the tensor; channels and stride from the config. */
static void bind_depthwise(binder *b, fvlm_depthwise *out, uint32_t in_c, uint32_t out_c, uint32_t stride,
                           const char *name)
{
    char full[FVLM_MAX_NAME + 1];
    const fvlm_tensor *t = take(b, join(full, name, ".weight"), FVLM_TAPS);
    if (t) {
        const uint64_t side = t->rank == 4 ? t->dims[2] : 0;
        if (side % 2 == 1 && side <= MAX_KERNEL && t->dims[3] == side && t->dims[1] == 1 && t->dims[0] == out_c) {
            const float *taps = widen(b, t, (size_t)(side * side * out_c));
            *out = (fvlm_depthwise){
                .taps = taps, .kernel = (uint32_t)side, .stride = stride, .in_c = in_c, .out_c = out_c};
        } else {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "[%" PRIu32 ", 1, k, k] with odd k", out_c);
            refuse_shape(b, t, wanted);
        }
    }
    bind_vector(b, &out->bias, out_c, join(full, name, ".bias"));
}

/* printf into a buffer that outlives the call it is an argument of: names of the tables below. */
FVLM_PRINTF(2, 3) static const char *at(char out[FVLM_MAX_NAME + 1], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, FVLM_MAX_NAME + 1, fmt, args);
    va_end(args);
    return out;
}

static void bind_block(binder *b, fvlm_vision_block *block, const fvlm_stage *s, unsigned stage, unsigned i)
{
    char n[FVLM_MAX_NAME + 1];
    if (s->mixer == FVLM_REPMIXER) {
        bind_depthwise(b, &block->mixer, s->dim, s->dim, 1, at(n, "vision.stage%u.block%u.mixer", stage, i));
    } else {
        bind_linear(b, &block->qkv, 3 * (size_t)s->dim, s->dim, true,
                    at(n, "vision.stage%u.block%u.attn.qkv", stage, i));
        bind_linear(b, &block->proj, s->dim, s->dim, true, at(n, "vision.stage%u.block%u.attn.proj", stage, i));
    }
    bind_depthwise(b, &block->dw, s->dim, s->dim, 1, at(n, "vision.stage%u.block%u.ffn.dw", stage, i));
    bind_linear(b, &block->fc1, s->hidden, s->dim, true, at(n, "vision.stage%u.block%u.ffn.fc1", stage, i));
    bind_linear(b, &block->fc2, s->dim, s->hidden, true, at(n, "vision.stage%u.block%u.ffn.fc2", stage, i));
}

static void bind_vision(binder *b)
{
    const fvlm_config *c = b->config;
    fvlm_vision_weights *v = &b->w->vision;
    const uint32_t first = c->vision.stage[0].dim, last = c->vision.stage[c->vision.n_stages - 1].dim;
    fvlm_vision_block *block = v->all_blocks;
    char n[FVLM_MAX_NAME + 1];

    bind_matrix(b, &v->stem0.weight, first, 3, 3, "vision.stem.0.weight");
    bind_vector(b, &v->stem0.bias, first, "vision.stem.0.bias");
    bind_depthwise(b, &v->stem1, first, first, 2, "vision.stem.1");
    bind_linear(b, &v->stem2, first, first, true, "vision.stem.2");
    for (unsigned i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        if (i > 0) {
            bind_depthwise(b, &v->stage[i].down_dw, s[-1].dim, s->dim, 2, at(n, "vision.stage%u.downsample.dw", i));
            bind_linear(b, &v->stage[i].down_pw, s->dim, s->dim, true, at(n, "vision.stage%u.downsample.pw", i));
        }
        if (s->pos) bind_depthwise(b, &v->stage[i].pos, s->dim, s->dim, 1, at(n, "vision.stage%u.pos", i));
        v->stage[i].blocks = block;
        for (unsigned k = 0; k < s->depth; k++) bind_block(b, block++, s, i, k);
    }
    bind_depthwise(b, &v->final_dw, last, c->vision.out_dim, 1, "vision.final.dw");
    bind_linear(b, &v->se_reduce, c->vision.se_dim, c->vision.out_dim, true, "vision.final.se.reduce");
    bind_linear(b, &v->se_expand, c->vision.out_dim, c->vision.se_dim, true, "vision.final.se.expand");
}

static void bind_llm(binder *b)
{
    const fvlm_config *c = b->config;
    fvlm_llm_weights *l = &b->w->llm;
    const size_t hidden = c->llm.hidden, inter = c->llm.intermediate;
    const size_t q = (size_t)c->llm.heads * c->llm.head_dim, kv = (size_t)c->llm.kv_heads * c->llm.head_dim;
    char n[FVLM_MAX_NAME + 1];

    bind_linear(b, &l->embed, c->llm.vocab, hidden, false, "llm.embed");
    bind_vector(b, &l->norm, hidden, "llm.norm.weight");
    if (c->llm.tied)
        l->head = l->embed;
    else
        bind_linear(b, &l->head, c->llm.vocab, hidden, false, "llm.head");
    for (unsigned i = 0; i < c->llm.layers; i++) {
        fvlm_llm_layer *y = &l->layers[i];
        bind_vector(b, &y->attn_norm, hidden, at(n, "llm.layer%u.attn_norm.weight", i));
        bind_linear(b, &y->q, q, hidden, true, at(n, "llm.layer%u.attn.q", i));
        bind_linear(b, &y->k, kv, hidden, true, at(n, "llm.layer%u.attn.k", i));
        bind_linear(b, &y->v, kv, hidden, true, at(n, "llm.layer%u.attn.v", i));
        bind_linear(b, &y->o, hidden, q, false, at(n, "llm.layer%u.attn.o", i));
        bind_vector(b, &y->ffn_norm, hidden, at(n, "llm.layer%u.ffn_norm.weight", i));
        bind_linear(b, &y->gate, inter, hidden, false, at(n, "llm.layer%u.ffn.gate", i));
        bind_linear(b, &y->up, inter, hidden, false, at(n, "llm.layer%u.ffn.up", i));
        bind_linear(b, &y->down, hidden, inter, false, at(n, "llm.layer%u.ffn.down", i));
    }
}

/* Memory for all that binding fills: the blocks, and a float for every element of a vector or
 * depthwise kernel. The reader has checked that those elements are in the file. */
static fvlm_status reserve(binder *b)
{
    fvlm_model_weights *w = b->w;
    size_t blocks = 0;
    for (unsigned i = 0; i < b->config->vision.n_stages; i++) blocks += b->config->vision.stage[i].depth;
    for (size_t i = 0; i < fvlm_reader_n_tensors(b->reader); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(b->reader, i);
        const size_t width = fvlm_type_float_bytes(t->type);
        if (t->layout != FVLM_PANELS && width) b->n_small += ((size_t)t->n_bytes / width + 15) / 16 * 16;
    }
    w->small = fvlm_alloc(b->n_small, sizeof(float));
    w->vision.all_blocks = fvlm_alloc(blocks, sizeof *w->vision.all_blocks);
    w->llm.layers = fvlm_alloc(b->config->llm.layers, sizeof *w->llm.layers);
    b->used = fvlm_alloc(fvlm_reader_n_tensors(b->reader), sizeof *b->used);
    if (w->small && w->vision.all_blocks && w->llm.layers && b->used) return FVLM_OK;
    return fvlm_fail(b->err, FVLM_NOMEM, "out of memory while opening the model");
}

static fvlm_status refuse_leftovers(const binder *b)
{
    char names[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < fvlm_reader_n_tensors(b->reader); i++)
        if (!b->used[i]) list_name(names, sizeof names, n++, fvlm_reader_tensor(b->reader, i)->name);
    if (n == 0) return FVLM_OK;
    return fvlm_fail(b->err, FVLM_BAD_INPUT, "%zu tensor%s the config does not ask for: %s", n, n == 1 ? "" : "s",
                     names);
}

fvlm_status fvlm_model_weights_bind(fvlm_model_weights *w, const fvlm_reader *r, fvlm_err *err)
{
    const fvlm_config *c = fvlm_reader_config(r);
    binder b = {.w = w, .reader = r, .config = c, .err = err};
    b.st = reserve(&b);
    if (!b.st) {
        bind_vision(&b);
        bind_linear(&b, &w->projector0, c->projector.hidden, c->projector.in, true, "projector.0");
        bind_linear(&b, &w->projector2, c->projector.out, c->projector.hidden, true, "projector.2");
        bind_llm(&b);
    }
    if (!b.st && b.n_missing)
        b.st = fvlm_fail(err, FVLM_BAD_INPUT, "%zu tensor%s missing: %s", b.n_missing,
                         b.n_missing == 1 ? " is" : "s are", b.missing);
    if (!b.st) b.st = refuse_leftovers(&b);
    free(b.used);
    return b.st;
}

void fvlm_model_weights_free(fvlm_model_weights *w)
{
    free(w->vision.all_blocks);
    free(w->llm.layers);
    free(w->small);
    *w = (fvlm_model_weights){0};
}
