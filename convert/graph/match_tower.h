/* SPDX-License-Identifier: Apache-2.0 */
/* match_tower.h - private to match_*.c: matching FastViTHD layer by layer, from the image to the tokens. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_TOWER_H
#define FVLM_CONVERT_GRAPH_MATCH_TOWER_H

#include "convert/graph/branches.h"
#include "convert/graph/chain.h"

#define FVLM_MATCH_TOWER "model.vision_tower.vision_tower.model."
#define FVLM_MATCH_PROJECTOR "model.mm_projector."

/* Where the matcher is: x is what has been matched so far. */
typedef struct {
    const fvlm_net *net;
    fvlm_match *m;
    fvlm_err *err;
    fvlm_chain chain;
    size_t at; /* chain.link[at] is x.v */
    fvlm_map x;
    unsigned index; /* of the next network.N */
    bool twice;     /* x is twice what it should be: see fvlm_gelu_match */
} fvlm_tower;

/* What follows x, up to the next link: one layer with its affine parts, one block. */
typedef struct {
    enum { FVLM_SEGMENT_END, FVLM_SEGMENT_CONV, FVLM_SEGMENT_RESIDUAL, FVLM_SEGMENT_OTHER } kind;
    fvlm_net_value *first; /* the first link that is computed, not only rearranged; END: NULL */
    size_t end;            /* the link that is the segment's output */
    fvlm_map y;            /* that output; y.v is NULL if it is not a map */
    fvlm_net_sum sum;      /* CONV: convolutions and normalized identities, and perhaps x. RESIDUAL: x and one branch */
} fvlm_segment;

/* Reads the segment that follows x at chain.link[at]. */
fvlm_segment fvlm_tower_segment(const fvlm_tower *t, const fvlm_map *x, size_t at);
/* Makes the segment's output x. */
void fvlm_tower_advance(fvlm_tower *t, const fvlm_segment *s);

/* Refuses the segment: it was to be 'what'. Names the branch that is at fault, if one is. */
fvlm_status fvlm_segment_expected(const fvlm_tower *t, const fvlm_segment *s, const char *what);

/* What a convolution must be. 0: any. */
typedef struct {
    uint64_t k, stride;
    bool depthwise;   /* groups = input channels; else 1 */
    bool same;        /* as many outputs as inputs */
    const char *what; /* "the stem's first convolution" */
} fvlm_wanted_conv;
fvlm_status fvlm_tower_check_conv(const fvlm_tower *t, const fvlm_segment *s, fvlm_wanted_conv want);

/* Refuses a doubled x that more than one layer reads, or what is no layer. */
fvlm_status fvlm_tower_refuse_twice(const fvlm_tower *t);

/* The next segment is the exact GELU; advances. */
fvlm_status fvlm_tower_pass_gelu(fvlm_tower *t, const char *what);

/* The branch of a residual block that is not x, and what it is. */
typedef struct {
    const fvlm_net_branch *branch;
    fvlm_linear last; /* fc2 or proj */
    fvlm_linear fc1;  /* an FFN's */
    fvlm_net_sum conv;
    fvlm_attention attention;
    fvlm_layer_norm norm;
    bool is_attention;
} fvlm_block;
fvlm_status fvlm_block_match(fvlm_block *out, const fvlm_tower *t, const fvlm_map *x, const fvlm_segment *s);

/* Matches the whole tower, stem to final; advances. */
fvlm_status fvlm_tower_match(fvlm_tower *t);

/* ---- under which names (match_names*.c): PREFIX and NAME together ---- */

#define FVLM_TOWER_NAME 192 /* bytes of the longest name, its end included */

/* A new tensor of the match; NULL on failure, with *t->err set. */
fvlm_match_tensor *fvlm_emit_tensor(fvlm_tower *t, unsigned rank, const uint64_t *dims, const char *prefix,
                                    const char *name);
/* A vector of n numbers; v NULL: all are 'fill'; v of one element: all are that. */
fvlm_status fvlm_emit_vector(fvlm_tower *t, const fvlm_net_value *v, uint64_t n, float fill, unsigned rank,
                             const fvlm_net_node *user, const char *prefix, const char *name);
/* NAME.conv and NAME.bn. */
fvlm_status fvlm_emit_conv_bn(fvlm_tower *t, const fvlm_net_branch *branch, const char *name);

/* A weight [out, in, k, k] or, for rank 2, [out, in], and its bias [out], zeros if it has none: NAME.weight and
 * NAME.bias. */
fvlm_status fvlm_emit_linear(fvlm_tower *t, const fvlm_linear *l, unsigned rank, const char *name);
/* A whole module, fused (PREFIX.reparam_conv) or as branches (PREFIX.rbr_conv.K, .rbr_scale, .rbr_skip). */
fvlm_status fvlm_emit_mobile_one(fvlm_tower *t, const fvlm_segment *s, const char *prefix);
fvlm_status fvlm_emit_downsample(fvlm_tower *t, const fvlm_segment *s, const char *prefix);
fvlm_status fvlm_emit_position(fvlm_tower *t, const fvlm_segment *s, const char *prefix);
fvlm_status fvlm_emit_repmixer(fvlm_tower *t, const fvlm_segment *s, const char *prefix);
fvlm_status fvlm_emit_ffn(fvlm_tower *t, const fvlm_block *b, const char *prefix, const char *scale);
fvlm_status fvlm_emit_attention(fvlm_tower *t, const fvlm_block *b, const char *prefix);
fvlm_status fvlm_emit_squeeze(fvlm_tower *t, const fvlm_squeeze *s, const char *prefix);

#endif
