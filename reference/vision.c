/* SPDX-License-Identifier: Apache-2.0 */
/* vision.c - the FastViTHD tower: stem, stages of RepMixer or attention blocks,
 * final convolution. Activations are channels-last, [height, width, channels].
 *
 * Everything the checkpoint leaves to be fused is fused in the file (format/config.h),
 * so that a block is two or three operations. Pictures are square, at any multiple
 * of the stride: convolutions do not care, and attention knows no positions. */
#include <stdio.h>
#include <stdlib.h>

#include "reference/model.h"
#include "reference/observe.h"
#include "reference/stem.h"

#define MAX_SIDE 4096 /* pixels: 64 x 64 image tokens */

/* Where a pass stands: x [side, side, dim] is the last layer's output, y is free. */
typedef struct {
    fvlm_model *m;
    float *x, *y, *wide;
    size_t side, dim;
} pass;

static void swap(pass *w)
{
    float *x = w->x;
    w->x = w->y;
    w->y = x;
}

static fvlm_status observe(pass *w, fvlm_err *err, const char *name)
{
    return fvlm_model_observe(w->m, name, w->x, w->side * w->side, w->dim, err);
}

/* ---- memory ---- */

void fvlm_tower_memory_free(fvlm_tower_memory *t)
{
    free(t->a);
    free(t->b);
    free(t->wide);
    *t = (fvlm_tower_memory){0};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

fvlm_tower_memory fvlm_tower_memory_for(const fvlm_config *c, size_t side)
{
    fvlm_tower_memory need = {0};
    const size_t se = 2 * (size_t)c->vision.out_dim + c->vision.se_dim;
    need.n_wide = larger(fvlm_stem_scratch(side, c->vision.stage[0].dim), se);
    for (unsigned i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        const size_t tokens = (side >> (2 + i)) * (side >> (2 + i));
        need.n_ab = larger(need.n_ab, tokens * s->dim);
        if (s->mixer == FVLM_ATTENTION) need.n_wide = larger(need.n_wide, tokens * 3 * s->dim);
    }
    return need;
}

size_t fvlm_tower_memory_bytes(const fvlm_tower_memory *t)
{
    return (2 * t->n_ab + t->n_wide) * sizeof(float);
}

static fvlm_status reserve(fvlm_model *m, size_t side, fvlm_err *err)
{
    fvlm_tower_memory need = fvlm_tower_memory_for(m->config, side), *t = &m->tower_memory;
    if (t->n_ab >= need.n_ab && t->n_wide >= need.n_wide) return FVLM_OK;
    need.n_ab = larger(need.n_ab, t->n_ab);
    need.n_wide = larger(need.n_wide, t->n_wide);
    fvlm_tower_memory_free(t);
    need.a = fvlm_alloc(need.n_ab, sizeof(float));
    need.b = fvlm_alloc(need.n_ab, sizeof(float));
    need.wide = fvlm_alloc(need.n_wide, sizeof(float));
    *t = need;
    if (t->a && t->b && t->wide) return FVLM_OK;
    fvlm_tower_memory_free(t);
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for a picture of %zu pixels a side", side);
}

/* ---- layers ---- */

static void downsample(pass *w, const fvlm_vision_stage *s)
{
    fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &s->down_dw, FVLM_GELU, w->y);
    w->side /= 2;
    w->dim = s->down_dw.out_c;
    fvlm_op_linear(w->m->exec, w->y, w->side * w->side, &s->down_pw.weight, s->down_pw.bias, FVLM_GELU, NULL, w->x);
}

/* x += proj(attention(qkv(norm(x)))) */
static void attention(pass *w, const fvlm_vision_block *b, size_t heads)
{
    fvlm_exec *e = w->m->exec;
    const size_t tokens = w->side * w->side, head_dim = w->dim / heads;
    fvlm_op_layer_norm(e, w->x, tokens, w->dim, (float)w->m->config->vision.norm_eps, w->y);
    fvlm_op_linear(e, w->y, tokens, &b->qkv.weight, b->qkv.bias, FVLM_NONE, NULL, w->wide);
    fvlm_op_attention(e, w->wide, tokens, heads, head_dim, w->y);
    fvlm_op_linear(e, w->y, tokens, &b->proj.weight, b->proj.bias, FVLM_NONE, w->x, w->x);
}

static void block(pass *w, const fvlm_vision_block *b, const fvlm_stage *s)
{
    if (s->mixer == FVLM_ATTENTION) {
        attention(w, b, s->heads);
    } else {
        fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &b->mixer, FVLM_NONE, w->y);
        swap(w);
    }
    const fvlm_conv_ffn f = {
        .dw = &b->dw, .fc1 = &b->fc1.weight, .b1 = b->fc1.bias, .fc2 = &b->fc2.weight, .b2 = b->fc2.bias};
    fvlm_op_conv_ffn(w->m->exec, w->x, w->side, w->side, &f, w->y);
    swap(w);
}

static fvlm_status stage(pass *w, unsigned i, fvlm_err *err)
{
    const fvlm_stage *s = &w->m->config->vision.stage[i];
    const fvlm_vision_stage *v = &w->m->weights.vision.stage[i];
    char name[48];
    fvlm_status st = FVLM_OK;
    if (i > 0) {
        downsample(w, v);
        snprintf(name, sizeof name, "vision.stage%u.downsample", i);
        st = observe(w, err, name);
    }
    if (s->pos && !st) {
        fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &v->pos, FVLM_NONE, w->y);
        swap(w);
        snprintf(name, sizeof name, "vision.stage%u.pos", i);
        st = observe(w, err, name);
    }
    for (unsigned k = 0; k < s->depth && !st; k++) {
        block(w, &v->blocks[k], s);
        snprintf(name, sizeof name, "vision.stage%u.block%u", i, k);
        st = observe(w, err, name);
    }
    return st;
}

/* gelu(se(dw(x))): squeeze-and-excitation scales every channel by what the whole picture's mean says. */
static void final(pass *w, float *features)
{
    const fvlm_vision_weights *v = &w->m->weights.vision;
    fvlm_exec *e = w->m->exec;
    const size_t tokens = w->side * w->side, n = w->m->config->vision.out_dim;
    float *mean = w->wide, *gate = mean + n, *squeezed = gate + n;
    fvlm_op_depthwise(e, w->x, w->side, w->side, &v->final_dw, FVLM_NONE, features);
    fvlm_op_channel_mean(e, features, tokens, n, mean);
    fvlm_op_linear(e, mean, 1, &v->se_reduce.weight, v->se_reduce.bias, FVLM_RELU, NULL, squeezed);
    fvlm_op_linear(e, squeezed, 1, &v->se_expand.weight, v->se_expand.bias, FVLM_NONE, NULL, gate);
    fvlm_op_gate_gelu(e, features, tokens, n, gate);
}

/* ---- the pass ---- */

size_t fvlm_model_image_tokens(const fvlm_config *c, uint32_t side)
{
    const size_t n = side / c->vision.stride;
    return n * n;
}

fvlm_status fvlm_model_check_side(const fvlm_model *m, uint32_t side, fvlm_err *err)
{
    const uint32_t stride = m->config->vision.stride;
    if (side == 0 || side % stride != 0)
        return fvlm_fail(err, FVLM_USAGE, "a picture of %u pixels a side: should be a multiple of %u", side, stride);
    if (side > MAX_SIDE)
        return fvlm_fail(err, FVLM_LIMIT, "a picture of %u pixels a side: should be at most %u", side, MAX_SIDE);
    return FVLM_OK;
}

fvlm_status fvlm_model_tower(fvlm_model *m, const fvlm_pixels *pixels, float *features, fvlm_err *err)
{
    fvlm_status st = fvlm_model_check_side(m, pixels->side, err);
    if (!st) st = reserve(m, pixels->side, err);
    if (st) return st;

    const fvlm_vision_weights *v = &m->weights.vision;
    const fvlm_tower_memory *t = &m->tower_memory;
    pass w = {.m = m, .x = t->a, .y = t->b, .wide = t->wide, .dim = m->config->vision.stage[0].dim};
    fvlm_stem_run(m->exec, v, pixels, w.wide, w.y);
    w.side = pixels->side / 4;
    fvlm_op_linear(m->exec, w.y, w.side * w.side, &v->stem2.weight, v->stem2.bias, FVLM_GELU, NULL, w.x);
    st = observe(&w, err, "vision.stem");
    for (unsigned i = 0; i < m->config->vision.n_stages && !st; i++) st = stage(&w, i, err);
    if (st) return st;
    final(&w, features);
    return fvlm_model_observe(m, "vision.final", features, w.side * w.side, m->config->vision.out_dim, err);
}
