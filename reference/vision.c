/* SPDX-License-Identifier: Apache-2.0 */
/* vision.c - the FastViTHD tower: stem, stages of RepMixer or attention blocks, final convolution. Activations are
 * channels-last, [height, width, channels].
 *
 * convert has fused all that can be fused (SPEC.md, section 6), so a block is two or three operations. Images are
 * square, with any multiple of the stride as their side: convolutions fit any size, and the attention has no
 * positions. */
#include "reference/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference/stem.h"

/* The state of a pass: x [side, side, dim] is the last layer's output, y is free for the next one's. */
typedef struct {
    fvlm_model *m;
    float *x, *y, *wide;
    size_t side, dim;
} pass;

static void swap(pass *p)
{
    float *x = p->x;
    p->x = p->y;
    p->y = x;
}

static fvlm_status observe(pass *p, fvlm_err *err, const char *name)
{
    return fvlm_model_observe(p->m, name, p->x, p->side * p->side, p->dim, err);
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
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for an image of side %zu", side);
}

/* ---- layers ---- */

static void downsample(pass *p, const fvlm_vision_stage *s)
{
    fvlm_op_depthwise(p->m->exec, p->x, p->side, p->side, &s->down_dw, FVLM_GELU, p->y);
    p->side /= 2;
    p->dim = s->down_dw.out_c;
    fvlm_op_linear(p->m->exec, p->y, p->side * p->side, &s->down_pw.weight, s->down_pw.bias, FVLM_GELU, NULL, p->x);
}

/* x += proj(attention(qkv(norm(x)))) */
static void attention(pass *p, const fvlm_vision_block *b, size_t heads)
{
    fvlm_exec *e = p->m->exec;
    const size_t tokens = p->side * p->side, head_dim = p->dim / heads;
    fvlm_op_layer_norm(e, p->x, tokens, p->dim, (float)p->m->config->vision.norm_eps, p->y);
    fvlm_op_linear(e, p->y, tokens, &b->qkv.weight, b->qkv.bias, FVLM_NONE, NULL, p->wide);
    fvlm_op_attention(e, p->wide, tokens, heads, head_dim, p->y);
    fvlm_op_linear(e, p->y, tokens, &b->proj.weight, b->proj.bias, FVLM_NONE, p->x, p->x);
}

static void block(pass *p, const fvlm_vision_block *b, const fvlm_stage *s)
{
    if (s->mixer == FVLM_ATTENTION) {
        attention(p, b, s->heads);
    } else {
        fvlm_op_depthwise(p->m->exec, p->x, p->side, p->side, &b->mixer, FVLM_NONE, p->y);
        swap(p);
    }
    const fvlm_conv_ffn f = {
        .dw = &b->dw, .fc1 = &b->fc1.weight, .b1 = b->fc1.bias, .fc2 = &b->fc2.weight, .b2 = b->fc2.bias};
    fvlm_op_conv_ffn(p->m->exec, p->x, p->side, p->side, &f, p->y);
    swap(p);
}

static fvlm_status stage(pass *p, unsigned i, fvlm_err *err)
{
    const fvlm_stage *s = &p->m->config->vision.stage[i];
    const fvlm_vision_stage *v = &p->m->weights.vision.stage[i];
    char name[48];
    fvlm_status st = FVLM_OK;
    if (i > 0) {
        downsample(p, v);
        snprintf(name, sizeof name, "vision.stage%u.downsample", i);
        st = observe(p, err, name);
    }
    if (s->pos && !st) {
        fvlm_op_depthwise(p->m->exec, p->x, p->side, p->side, &v->pos, FVLM_NONE, p->y);
        swap(p);
        snprintf(name, sizeof name, "vision.stage%u.pos", i);
        st = fvlm_model_observe_checked(p->m, name, p->x, p->side * p->side, p->dim, err);
    }
    for (unsigned k = 0; k < s->depth && !st; k++) {
        block(p, &v->blocks[k], s);
        snprintf(name, sizeof name, "vision.stage%u.block%u", i, k);
        st = observe(p, err, name);
    }
    return st;
}

/* gelu(se(dw(x))): squeeze-and-excitation scales every channel by a function of all channels' means over the image. */
static void final(pass *p, float *features)
{
    const fvlm_vision_weights *v = &p->m->weights.vision;
    fvlm_exec *e = p->m->exec;
    const size_t tokens = p->side * p->side, n = p->m->config->vision.out_dim;
    float *mean = p->wide, *gate = mean + n, *squeezed = gate + n;
    fvlm_op_depthwise(e, p->x, p->side, p->side, &v->final_dw, FVLM_NONE, features);
    fvlm_op_channel_mean(e, features, tokens, n, mean);
    fvlm_op_linear(e, mean, 1, &v->se_reduce.weight, v->se_reduce.bias, FVLM_RELU, NULL, squeezed);
    fvlm_op_linear(e, squeezed, 1, &v->se_expand.weight, v->se_expand.bias, FVLM_NONE, NULL, gate);
    fvlm_op_gate_gelu(e, features, tokens, n, gate); /* finite if the means are, and those were checked */
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
        return fvlm_fail(err, FVLM_USAGE, "image side %u: should be a multiple of %u", side, stride);
    if (side > FVLM_MAX_SIDE)
        return fvlm_fail(err, FVLM_LIMIT, "image side %u: should be at most %d", side, FVLM_MAX_SIDE);
    return FVLM_OK;
}

fvlm_status fvlm_model_tower(fvlm_model *m, const fvlm_pixels *pixels, float *features, fvlm_err *err)
{
    fvlm_status st = fvlm_model_check_side(m, pixels->side, err);
    if (!st) st = reserve(m, pixels->side, err);
    if (st) return st;
    fvlm_op_check_finite(m->exec, pixels->values, (size_t)pixels->side * pixels->side * 3);
    if (!fvlm_exec_take_finite(m->exec))
        return fvlm_fail(err, FVLM_BAD_INPUT, "the pixels given to the tower are not finite");

    const fvlm_vision_weights *v = &m->weights.vision;
    const fvlm_tower_memory *t = &m->tower_memory;
    pass p = {.m = m, .x = t->a, .y = t->b, .wide = t->wide, .dim = m->config->vision.stage[0].dim};
    fvlm_stem_run(m->exec, v, pixels, p.wide, p.y);
    p.side = pixels->side / 4;
    fvlm_op_linear(m->exec, p.y, p.side * p.side, &v->stem2.weight, v->stem2.bias, FVLM_GELU, NULL, p.x);
    st = observe(&p, err, "vision.stem");
    for (unsigned i = 0; i < m->config->vision.n_stages && !st; i++) st = stage(&p, i, err);
    if (st) return st;
    final(&p, features);
    return fvlm_model_observe(m, "vision.final", features, p.side * p.side, m->config->vision.out_dim, err);
}
