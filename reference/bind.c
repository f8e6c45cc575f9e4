/* SPDX-License-Identifier: Apache-2.0 */
/* bind.c - puts every tensor of a .fvlm file where the forward pass finds it: each tensor of the list that the config
 * demands (format/tensors.h), and no other. Missing, unfit and left-over tensors are refused by name.
 *
 * Matrices stay in the mapping. Vectors and depthwise kernels, one weight in a hundred, become f32 in one block of
 * memory. */
#include "reference/bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/decode.h"
#include "format/tensors.h"

#define LISTED 4 /* names in an error message */

/* Where a module's tensors go: one of the three. */
typedef struct {
    fvlm_linear *linear;
    fvlm_depthwise *depthwise;
    const float **vector;
} slot;

/* clang-format off */
static slot slot_of(fvlm_model_weights *w, const fvlm_tensors *x)
{
    fvlm_vision_stage *s = &w->vision.stage[x->stage];
    fvlm_vision_block *b = &s->blocks[x->block];
    fvlm_llm_layer *y = &w->llm.layers[x->layer];
    switch (x->module) {
    case FVLM_MODULE_STEM_0:      return (slot){.linear = &w->vision.stem0};
    case FVLM_MODULE_STEM_1:      return (slot){.depthwise = &w->vision.stem1};
    case FVLM_MODULE_STEM_2:      return (slot){.linear = &w->vision.stem2};
    case FVLM_MODULE_DOWN_DW:     return (slot){.depthwise = &s->down_dw};
    case FVLM_MODULE_DOWN_PW:     return (slot){.linear = &s->down_pw};
    case FVLM_MODULE_POS:         return (slot){.depthwise = &s->pos};
    case FVLM_MODULE_MIXER:       return (slot){.depthwise = &b->mixer};
    case FVLM_MODULE_QKV:         return (slot){.linear = &b->qkv};
    case FVLM_MODULE_PROJ:        return (slot){.linear = &b->proj};
    case FVLM_MODULE_DW:          return (slot){.depthwise = &b->dw};
    case FVLM_MODULE_FC1:         return (slot){.linear = &b->fc1};
    case FVLM_MODULE_FC2:         return (slot){.linear = &b->fc2};
    case FVLM_MODULE_FINAL_DW:    return (slot){.depthwise = &w->vision.final_dw};
    case FVLM_MODULE_SE_REDUCE:   return (slot){.linear = &w->vision.se_reduce};
    case FVLM_MODULE_SE_EXPAND:   return (slot){.linear = &w->vision.se_expand};
    case FVLM_MODULE_PROJECTOR_0: return (slot){.linear = &w->projector0};
    case FVLM_MODULE_PROJECTOR_2: return (slot){.linear = &w->projector2};
    case FVLM_MODULE_NEWLINE:     return (slot){.vector = &w->newline};
    case FVLM_MODULE_EMBED:       return (slot){.linear = &w->llm.embed};
    case FVLM_MODULE_ATTN_NORM:   return (slot){.vector = &y->attn_norm};
    case FVLM_MODULE_Q:           return (slot){.linear = &y->q};
    case FVLM_MODULE_K:           return (slot){.linear = &y->k};
    case FVLM_MODULE_V:           return (slot){.linear = &y->v};
    case FVLM_MODULE_O:           return (slot){.linear = &y->o};
    case FVLM_MODULE_FFN_NORM:    return (slot){.vector = &y->ffn_norm};
    case FVLM_MODULE_GATE:        return (slot){.linear = &y->gate};
    case FVLM_MODULE_UP:          return (slot){.linear = &y->up};
    case FVLM_MODULE_DOWN:        return (slot){.linear = &y->down};
    case FVLM_MODULE_NORM:        return (slot){.vector = &w->llm.norm};
    case FVLM_MODULE_HEAD:        return (slot){.linear = &w->llm.head};
    case FVLM_N_MODULES:          break;
    }
    return (slot){0};
}
/* clang-format on */

typedef struct {
    fvlm_model_weights *w;
    const fvlm_reader *reader;
    bool *used;    /* one flag per tensor of the file */
    size_t n_done; /* floats taken of w->small */
} binder;

/* A list of tensor names for an error message, cut after the first few. */
typedef struct {
    char text[LISTED * (FVLM_MAX_NAME + 2) + 4];
    size_t n;
} names;

static void add_name(names *list, const char *name)
{
    const size_t at = strlen(list->text), left = sizeof list->text - at;
    if (list->n < LISTED) snprintf(list->text + at, left, "%s%s", list->n ? ", " : "", name);
    if (list->n++ == LISTED) snprintf(list->text + at, left, ", ...");
}

static fvlm_status refuse(const names *list, const char *what, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_BAD_INPUT, "%zu tensor%s %s: %s", list->n, list->n == 1 ? " is" : "s are", what,
                     list->text);
}

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* Allocates the blocks, the layers, and a float for every element of a vector or depthwise kernel: the reader has
 * checked that those elements are in the file. */
static fvlm_status reserve(binder *b, fvlm_err *err)
{
    const fvlm_config *c = fvlm_reader_config(b->reader);
    const size_t n_tensors = fvlm_reader_n_tensors(b->reader);
    fvlm_model_weights *w = b->w;
    size_t n_blocks = 0, n_small = 0;
    for (unsigned i = 0; i < c->vision.n_stages; i++) n_blocks += c->vision.stage[i].depth;
    for (size_t i = 0; i < n_tensors; i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(b->reader, i);
        const size_t width = fvlm_type_float_bytes(t->type);
        if (t->layout != FVLM_PANELS && width) n_small += padded((size_t)t->n_bytes / width);
    }
    w->small = fvlm_alloc(n_small, sizeof(float));
    w->vision.all_blocks = fvlm_alloc(n_blocks, sizeof *w->vision.all_blocks);
    w->llm.layers = fvlm_alloc(c->llm.layers, sizeof *w->llm.layers);
    b->used = fvlm_alloc(n_tensors, sizeof *b->used);
    if (!w->small || !w->vision.all_blocks || !w->llm.layers || !b->used) return fvlm_fail_nomem(err);
    fvlm_vision_block *blocks = w->vision.all_blocks;
    for (unsigned i = 0; i < c->vision.n_stages; i++) {
        w->vision.stage[i].blocks = blocks;
        blocks += c->vision.stage[i].depth;
    }
    return FVLM_OK;
}

/* A tensor's n floats of any width as f32, in memory that the weights own. */
static const float *widen(binder *b, const fvlm_tensor *t, size_t n)
{
    float *out = b->w->small + b->n_done;
    fvlm_decode_floats(t->type, fvlm_reader_bytes(b->reader, t), n, out);
    b->n_done += padded(n);
    return out;
}

static fvlm_status bind_tensor(binder *b, const fvlm_tensors *x, const fvlm_tensor *t, fvlm_err *err)
{
    const slot to = slot_of(b->w, x);
    const fvlm_status st = fvlm_tensors_fit(x, t, err);
    if (st) return st;
    if (x->layout == FVLM_PANELS) return fvlm_weight_bind(&to.linear->weight, t, fvlm_reader_bytes(b->reader, t), err);
    if (x->layout == FVLM_TAPS) {
        const uint32_t kernel = (uint32_t)t->dims[2], out_c = (uint32_t)t->dims[0];
        *to.depthwise = (fvlm_depthwise){.taps = widen(b, t, (size_t)kernel * kernel * out_c),
                                         .kernel = kernel,
                                         .stride = x->stride,
                                         .in_c = x->in,
                                         .out_c = out_c};
        return FVLM_OK;
    }
    const float **vector = to.linear ? &to.linear->bias : to.depthwise ? &to.depthwise->bias : to.vector;
    *vector = widen(b, t, (size_t)t->dims[0]);
    return FVLM_OK;
}

static fvlm_status bind_all(binder *b, fvlm_err *err)
{
    const fvlm_config *c = fvlm_reader_config(b->reader);
    names missing = {.n = 0}, others = {.n = 0};
    fvlm_tensors x = {.config = c};
    while (fvlm_tensors_next(&x)) {
        const fvlm_tensor *t = fvlm_reader_find(b->reader, x.name);
        if (!t) {
            add_name(&missing, x.name);
            continue;
        }
        b->used[t - fvlm_reader_tensor(b->reader, 0)] = true;
        const fvlm_status st = bind_tensor(b, &x, t, err);
        if (st) return st;
    }
    if (missing.n) return refuse(&missing, "missing", err);
    for (size_t i = 0; i < fvlm_reader_n_tensors(b->reader); i++)
        if (!b->used[i]) add_name(&others, fvlm_reader_tensor(b->reader, i)->name);
    if (others.n) return refuse(&others, "not part of the model", err);
    if (c->llm.tied) b->w->llm.head = b->w->llm.embed;
    return FVLM_OK;
}

fvlm_status fvlm_model_weights_bind(fvlm_model_weights *w, const fvlm_reader *r, fvlm_err *err)
{
    binder b = {.w = w, .reader = r};
    fvlm_status st = reserve(&b, err);
    if (!st) st = bind_all(&b, err);
    free(b.used);
    return st;
}

void fvlm_model_weights_free(fvlm_model_weights *w)
{
    free(w->vision.all_blocks);
    free(w->llm.layers);
    free(w->small);
    *w = (fvlm_model_weights){0};
}
