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

#define MAX_SIDE 4096 /* pixels: 64 x 64 image tokens */
#define BAND 16       /* output rows of the stem's second convolution that are made at once */

/* Where a pass stands: x [side, side, dim] is the last layer's output, y is free. */
typedef struct {
    fvlm_model *m;
    float *x, *y, *wide;
    size_t side, dim;
} walk;

static void swap(walk *w)
{
    float *x = w->x;
    w->x = w->y;
    w->y = x;
}

static fvlm_status observe(walk *w, fvlm_err *err, const char *name)
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

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows of the stem's first convolution that a band needs: two to a row, one above, one more above
 * that is made from padding and thrown away, and one at the end when the band is cut short. */
static size_t band_rows(void)
{
    return 2 * BAND + 3;
}

/* Sizes only. */
static fvlm_tower_memory needed(const fvlm_config *c, size_t side)
{
    fvlm_tower_memory need = {0};
    need.n_wide =
        largest(band_rows() * (side / 2) * c->vision.stage[0].dim, 2 * (size_t)c->vision.out_dim + c->vision.se_dim);
    for (unsigned i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        const size_t tokens = (side >> (2 + i)) * (side >> (2 + i));
        need.n_ab = largest(need.n_ab, tokens * s->dim);
        if (s->mixer == FVLM_ATTENTION) need.n_wide = largest(need.n_wide, tokens * 3 * s->dim);
    }
    return need;
}

size_t fvlm_tower_bytes(const fvlm_config *c, uint32_t side)
{
    const fvlm_tower_memory need = needed(c, side);
    return (2 * need.n_ab + need.n_wide) * sizeof(float);
}

static fvlm_status reserve(fvlm_model *m, size_t side, fvlm_err *err)
{
    fvlm_tower_memory need = needed(m->config, side), *t = &m->tower;
    if (t->n_ab >= need.n_ab && t->n_wide >= need.n_wide) return FVLM_OK;
    need.n_ab = largest(need.n_ab, t->n_ab);
    need.n_wide = largest(need.n_wide, t->n_wide);
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

/* Both stride-2 convolutions, a band of rows at a time: the first one's output, at 1024 pixels
 * 100 MB, exists only as a band of a few rows.
 *
 * A band is cut out of the picture with the rows above it that its convolutions reach; the kernels
 * pad at the cut as if it were the picture's edge, which spoils exactly one row above the band in each
 * convolution. Of the first convolution that row is skipped. Of the second it lands on the last row
 * of the band above, so bands go from the bottom up, and that row is made again. */
static void stem(walk *w, const fvlm_pixels *p)
{
    const fvlm_vision_weights *v = &w->m->vision;
    fvlm_exec *e = w->m->exec;
    const size_t dim = w->dim, rows = p->side / 4; /* of the second convolution */
    const size_t image_row = (size_t)p->side * 3, half_row = (size_t)p->side / 2 * dim, out_row = p->side / 4 * dim;
    for (size_t bands = (rows + BAND - 1) / BAND; bands-- > 0;) {
        const size_t begin = bands * BAND, end = begin + BAND < rows ? begin + BAND : rows;
        const size_t cut = begin > 0;                             /* is there anything above? */
        const size_t out = begin - cut;                           /* first row written, spoiled when cut */
        const size_t half = 2 * out, half_end = 2 * end;          /* rows the second convolution gets */
        const size_t half_cut = half > 0, from = half - half_cut; /* first row of the first one, spoiled when cut */
        const size_t pixel = 2 * from, pixel_end = 2 * half_end;
        fvlm_op_stem(e, p->values + pixel * image_row, pixel_end - pixel, p->side, &v->stem0.weight, v->stem0.bias,
                     w->wide);
        fvlm_op_depthwise(e, w->wide + half_cut * half_row, half_end - half, p->side / 2, &v->stem1, FVLM_GELU,
                          w->y + out * out_row);
    }
    w->side = rows;
    fvlm_op_linear(e, w->y, rows * rows, &v->stem2.weight, v->stem2.bias, FVLM_GELU, NULL, w->x);
}

static void downsample(walk *w, const fvlm_vision_stage *s)
{
    fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &s->down_dw, FVLM_GELU, w->y);
    w->side /= 2;
    w->dim = s->down_dw.out_c;
    fvlm_op_linear(w->m->exec, w->y, w->side * w->side, &s->down_pw.weight, s->down_pw.bias, FVLM_GELU, NULL, w->x);
}

/* x += proj(attention(qkv(norm(x)))) */
static void attention(walk *w, const fvlm_vision_block *b, size_t heads)
{
    fvlm_exec *e = w->m->exec;
    const size_t tokens = w->side * w->side, head_dim = w->dim / heads;
    fvlm_op_layer_norm(e, w->x, tokens, w->dim, (float)w->m->config->vision.norm_eps, w->y);
    fvlm_op_linear(e, w->y, tokens, &b->qkv.weight, b->qkv.bias, FVLM_NONE, NULL, w->wide);
    fvlm_op_attention(e, w->wide, tokens, heads, head_dim, w->y);
    fvlm_op_linear(e, w->y, tokens, &b->proj.weight, b->proj.bias, FVLM_NONE, w->x, w->x);
}

static void block(walk *w, const fvlm_vision_block *b, const fvlm_stage *s)
{
    if (s->mixer == FVLM_ATTENTION) {
        attention(w, b, s->heads);
    } else {
        fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &b->mixer, FVLM_NONE, w->y);
        swap(w);
    }
    fvlm_op_conv_ffn(w->m->exec, w->x, w->side, w->side, &b->dw, &b->fc1.weight, b->fc1.bias, &b->fc2.weight,
                     b->fc2.bias, w->y);
    swap(w);
}

static fvlm_status stage(walk *w, unsigned i, fvlm_err *err)
{
    const fvlm_stage *s = &w->m->config->vision.stage[i];
    const fvlm_vision_stage *v = &w->m->vision.stage[i];
    char name[48];
    fvlm_status st = FVLM_OK;
    if (i > 0) {
        downsample(w, v);
        snprintf(name, sizeof name, "vision.stage%u.downsample", i);
        st = observe(w, err, name);
    }
    if (s->pos && st == FVLM_OK) {
        fvlm_op_depthwise(w->m->exec, w->x, w->side, w->side, &v->pos, FVLM_NONE, w->y);
        swap(w);
        snprintf(name, sizeof name, "vision.stage%u.pos", i);
        st = observe(w, err, name);
    }
    for (unsigned k = 0; k < s->depth && st == FVLM_OK; k++) {
        block(w, &v->blocks[k], s);
        snprintf(name, sizeof name, "vision.stage%u.block%u", i, k);
        st = observe(w, err, name);
    }
    return st;
}

/* gelu(se(dw(x))): squeeze-and-excitation scales every channel by what the whole picture's mean says. */
static void final(walk *w, float *features)
{
    const fvlm_vision_weights *v = &w->m->vision;
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
    if (st == FVLM_OK) st = reserve(m, pixels->side, err);
    if (st != FVLM_OK) return st;

    walk w = {.m = m, .x = m->tower.a, .y = m->tower.b, .wide = m->tower.wide, .dim = m->config->vision.stage[0].dim};
    stem(&w, pixels);
    st = observe(&w, err, "vision.stem");
    for (unsigned i = 0; i < m->config->vision.n_stages && st == FVLM_OK; i++) st = stage(&w, i, err);
    if (st != FVLM_OK) return st;
    final(&w, features);
    return fvlm_model_observe(m, "vision.final", features, w.side * w.side, m->config->vision.out_dim, err);
}
