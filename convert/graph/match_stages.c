/* SPDX-License-Identifier: Apache-2.0 */
/* match_stages.c - see match_tower.h: FastViTHD itself.
 *
 *   tower  = stem stage+ final                      stem: three convolutions, a GELU after each
 *   stage  = [downsample] [position] block+         final: convolution, squeeze-and-excitation, GELU
 *   block  = RepMixer | attention, then a ConvFFN */
#include <stdio.h>

#include "convert/graph/match_tower.h"

#define NAME 128

typedef enum { NO_BLOCKS, REPMIXER, ATTENTION } mixer;

/* Blocks of a stage share network.N. */
typedef struct {
    mixer mixer;
    unsigned n_blocks;
} stage;

static fvlm_status match_stem(fvlm_tower *t)
{
    static const fvlm_wanted_conv want[] = {
        {.k = 3, .stride = 2, .what = "the first convolution of FastViTHD's stem"},
        {.k = 3, .stride = 2, .depthwise = true, .same = true, .what = "the stem's second convolution"},
        {.k = 1, .stride = 1, .same = true, .what = "the stem's third convolution"}};
    fvlm_status st = FVLM_OK;
    for (unsigned i = 0; i < 3 && !st; i++) {
        char name[NAME];
        const fvlm_segment s = fvlm_tower_segment(t, &t->x, t->at);
        snprintf(name, sizeof name, FVLM_MATCH_TOWER "patch_embed.%u", i);
        st = fvlm_tower_check_conv(t, &s, want[i]);
        if (st) return fvlm_err_prefix(t->err, "not FastVLM's vision encoder");
        st = fvlm_emit_mobile_one(t, &s, name);
        if (!st) fvlm_tower_advance(t, &s);
        if (!st) st = fvlm_tower_pass_gelu(t, "after a convolution of FastViTHD's stem");
    }
    return st;
}

/* s is the depthwise convolution with stride 2. */
static fvlm_status match_downsample(fvlm_tower *t, const fvlm_segment *s)
{
    char name[NAME];
    const fvlm_wanted_conv depthwise = {.stride = 2, .depthwise = true, .what = "a downsample's first convolution"};
    const fvlm_wanted_conv pointwise = {.k = 1, .stride = 1, .same = true, .what = "a downsample's second convolution"};
    fvlm_status st = fvlm_tower_check_conv(t, s, depthwise);
    snprintf(name, sizeof name, FVLM_MATCH_TOWER "network.%u.proj.0", t->index);
    if (!st) st = fvlm_emit_downsample(t, s, name);
    if (!st) fvlm_tower_advance(t, s);
    if (!st) st = fvlm_tower_pass_gelu(t, "after a downsample's first convolution");
    if (st) return st;
    const fvlm_segment next = fvlm_tower_segment(t, &t->x, t->at);
    st = fvlm_tower_check_conv(t, &next, pointwise);
    snprintf(name, sizeof name, FVLM_MATCH_TOWER "network.%u.proj.1", t->index++);
    if (!st) st = fvlm_emit_mobile_one(t, &next, name);
    if (!st) fvlm_tower_advance(t, &next);
    return st ? st : fvlm_tower_pass_gelu(t, "after a downsample's second convolution");
}

/* Opens the stage's blocks, or goes on with them. Sets name to the block's. */
static fvlm_status open_block(fvlm_tower *t, stage *now, mixer found, const fvlm_segment *s, char name[NAME])
{
    static const char *const names[] = {"", "a RepMixer block", "an attention block"};
    if (now->mixer != NO_BLOCKS && now->mixer != found)
        return fvlm_match_expected(t->net, s->first, names[found], t->err, "%s, as before in this stage",
                                   names[now->mixer]);
    now->mixer = found;
    snprintf(name, NAME, FVLM_MATCH_TOWER "network.%u.%u", t->index, now->n_blocks++);
    return FVLM_OK;
}

/* s is the FFN that follows x. */
static fvlm_status match_ffn(fvlm_tower *t, const fvlm_segment *s, const char *block, const char *scale)
{
    fvlm_block ffn;
    if (s->kind != FVLM_SEGMENT_RESIDUAL) return fvlm_segment_expected(t, s, "a ConvFFN that is added to its input");
    fvlm_status st = fvlm_block_match(&ffn, t, &t->x, s);
    if (!st && ffn.is_attention)
        st = fvlm_match_expected(t->net, s->first, "attention", t->err, "a ConvFFN after the mixer");
    if (!st) st = fvlm_emit_ffn(t, &ffn, block, scale);
    if (!st) fvlm_tower_advance(t, s);
    return st;
}

static fvlm_status match_attention_block(fvlm_tower *t, stage *now, const fvlm_segment *s)
{
    char name[NAME];
    fvlm_block block;
    fvlm_status st = fvlm_block_match(&block, t, &t->x, s);
    if (!st && !block.is_attention)
        st = fvlm_match_expected(t->net, s->first, "a ConvFFN", t->err, "a RepMixer or attention before it");
    if (!st) st = open_block(t, now, ATTENTION, s, name);
    if (!st) st = fvlm_emit_attention(t, &block, name);
    if (st) return st;
    fvlm_tower_advance(t, s);
    const fvlm_segment next = fvlm_tower_segment(t, &t->x, t->at);
    return match_ffn(t, &next, name, ".layer_scale_2");
}

static fvlm_status match_repmixer_block(fvlm_tower *t, stage *now, const fvlm_segment *s)
{
    char name[NAME];
    fvlm_status st = open_block(t, now, REPMIXER, s, name);
    if (!st) st = fvlm_emit_repmixer(t, s, name);
    if (st) return st;
    fvlm_tower_advance(t, s);
    const fvlm_segment next = fvlm_tower_segment(t, &t->x, t->at);
    return match_ffn(t, &next, name, ".layer_scale");
}

static fvlm_status match_position(fvlm_tower *t, const stage *now, const fvlm_segment *s)
{
    char name[NAME];
    if (now->mixer != NO_BLOCKS)
        return fvlm_match_expected(t->net, s->first, "a position encoding", t->err, "another block or a downsample");
    snprintf(name, sizeof name, FVLM_MATCH_TOWER "network.%u", t->index++);
    fvlm_status st = fvlm_emit_position(t, s, name);
    if (!st) fvlm_tower_advance(t, s);
    return st;
}

static fvlm_status match_final(fvlm_tower *t, const fvlm_segment *s)
{
    const fvlm_wanted_conv want = {.stride = 1, .depthwise = true, .what = "the tower's last convolution"};
    fvlm_status st = fvlm_tower_check_conv(t, s, want);
    if (!st) st = fvlm_emit_mobile_one(t, s, FVLM_MATCH_TOWER "conv_exp");
    if (st) return st;
    fvlm_tower_advance(t, s);
    fvlm_squeeze squeeze;
    const fvlm_segment gate = fvlm_tower_segment(t, &t->x, t->at);
    if (!gate.first) return fvlm_match_expected(t->net, t->x.v, "the output", t->err, "squeeze-and-excitation");
    fvlm_map m = {gate.first, t->x.channels, t->x.pixels, t->x.channels_last};
    st = fvlm_squeeze_match(&squeeze, t->net, &m, t->err);
    if (!st && !fvlm_map_same(&m, &t->x))
        st = fvlm_match_expected(t->net, gate.first, NULL, t->err, "squeeze-and-excitation of the last convolution");
    if (!st) st = fvlm_emit_squeeze(t, &squeeze, FVLM_MATCH_TOWER "conv_exp");
    if (st) return st;
    while (t->chain.link[t->at] != gate.first) t->at++;
    t->x.v = gate.first;
    return fvlm_tower_pass_gelu(t, "after squeeze-and-excitation");
}

/* What follows a depthwise convolution with stride 1 decides what it is: before a ConvFFN a RepMixer; before another
 * convolution or attention a position encoding; else the last convolution. */
static fvlm_status match_depthwise(fvlm_tower *t, stage *now, const fvlm_segment *s, bool *final)
{
    const fvlm_wanted_conv want = {.stride = 1, .depthwise = true, .what = "a mixer, a position encoding or the end"};
    fvlm_status st = fvlm_tower_check_conv(t, s, want);
    if (st) return st;
    fvlm_block block;
    const fvlm_segment next = fvlm_tower_segment(t, &s->y, s->end);
    if (s->y.channels == t->x.channels && next.kind == FVLM_SEGMENT_RESIDUAL) {
        st = fvlm_block_match(&block, t, &s->y, &next);
        if (st) return st;
        return block.is_attention ? match_position(t, now, s) : match_repmixer_block(t, now, s);
    }
    if (s->y.channels == t->x.channels && next.kind == FVLM_SEGMENT_CONV) return match_position(t, now, s);
    if (next.first && !fvlm_net_is(next.first, "Mul"))
        return fvlm_match_expected(t->net, next.first, NULL, t->err,
                                   "a ConvFFN, attention, a convolution or squeeze-and-excitation after a depthwise "
                                   "convolution");
    *final = true;
    return match_final(t, s);
}

fvlm_status fvlm_tower_match(fvlm_tower *t)
{
    stage now = {0};
    bool final = false;
    fvlm_status st = match_stem(t);
    while (!st && !final) {
        const fvlm_segment s = fvlm_tower_segment(t, &t->x, t->at);
        if (t->twice && s.kind == FVLM_SEGMENT_RESIDUAL) {
            st = fvlm_tower_refuse_twice(t);
        } else if (s.kind == FVLM_SEGMENT_RESIDUAL) {
            st = match_attention_block(t, &now, &s);
        } else if (s.kind == FVLM_SEGMENT_CONV && s.sum.branch[0].stride != 1 &&
                   s.sum.branch[0].kind == FVLM_BRANCH_CONV) {
            if (now.mixer == NO_BLOCKS)
                return fvlm_match_expected(t->net, s.first, "a downsample", t->err, "the stage's first block");
            t->index++; /* after the blocks */
            now = (stage){0};
            st = match_downsample(t, &s);
        } else if (s.kind == FVLM_SEGMENT_CONV) {
            st = match_depthwise(t, &now, &s, &final);
        } else {
            st = fvlm_segment_expected(t, &s,
                                       "a RepMixer or attention block, a downsample or the tower's last convolution");
        }
    }
    return st;
}
