/* SPDX-License-Identifier: Apache-2.0 */
/* branches.h - private to graph/: a value as a sum of branches that read one map: convolutions, each perhaps with
 * BatchNorm, the map itself, and others. That is all of a module before its branches are fused, and all of a residual
 * block but its inner layers. */
#ifndef FVLM_CONVERT_GRAPH_BRANCHES_H
#define FVLM_CONVERT_GRAPH_BRANCHES_H

#include "convert/graph/map.h"

typedef enum {
    FVLM_BRANCH_IDENTITY, /* the map itself, perhaps normalized */
    FVLM_BRANCH_CONV,     /* a convolution of the map */
    FVLM_BRANCH_OTHER     /* anything else */
} fvlm_branch_kind;

typedef struct {
    fvlm_branch_kind kind;
    int sign;                            /* +1 or -1 in the sum */
    fvlm_net_value *scale;               /* a number for each channel, or one, that multiplies the branch; NULL: 1 */
    fvlm_map top;                        /* what is added, before scale */
    fvlm_net_node *conv;                 /* FVLM_BRANCH_CONV */
    fvlm_net_node *bn;                   /* BatchNormalization after it; NULL */
    fvlm_net_value *gain, *shift;        /* the same spelled as Mul and Add, a number for each channel; NULL */
    uint64_t k, stride, groups, in, out; /* of the convolution, a square one with padding k / 2 */
} fvlm_net_branch;

#define FVLM_NET_BRANCHES 12

typedef struct {
    fvlm_net_branch branch[FVLM_NET_BRANCHES];
    unsigned n;
} fvlm_net_sum;

/* Takes sums apart, from y back to x. A convolution of x that is not square, dilated or padded otherwise is
 * FVLM_BRANCH_OTHER. Refuses more branches than FVLM_NET_BRANCHES. */
fvlm_status fvlm_net_sum_match(fvlm_net_sum *out, const fvlm_net *net, fvlm_map y, const fvlm_map *x, fvlm_err *err);

/* Whether BatchNorm, in either spelling, is applied to the branch. */
bool fvlm_net_branch_is_normalized(const fvlm_net_branch *b);
/* Whether the branch is x itself: not normalized, not scaled, added. */
bool fvlm_net_branch_is_input(const fvlm_net_branch *b);
/* The largest k among the convolutions; 0 if there is none. */
uint64_t fvlm_net_sum_widest(const fvlm_net_sum *s);

/* What a node is, for messages: "a 3x3 convolution, stride 2x2, padding 1,1,1,1, dilation 1x1, 96 groups, 96 -> 192
 * channels"; of other operators than Conv and BatchNormalization the name. */
const char *fvlm_net_layer_text(const fvlm_net_node *n, char out[160]);

#endif
