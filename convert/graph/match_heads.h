/* SPDX-License-Identifier: Apache-2.0 */
/* match_heads.h - private to graph/: queries, keys and values as heads, however they lie, and what they must be. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_HEADS_H
#define FVLM_CONVERT_GRAPH_MATCH_HEADS_H

#include "convert/graph/match.h"
#include "convert/graph/origin.h"

/* Where element (head, position, i) of a value lies: first[head] + position * position_step + i * element_step. The
 * number of its first position, for rotations, is start. */
typedef struct {
    uint64_t heads, positions, dim, start;
    uint64_t position_step, element_step;
    uint64_t first[FVLM_MAX_HEADS];
} fvlm_heads_layout;

/* The origins of [heads][positions][dim], whatever the layout was. */
typedef struct {
    const fvlm_net_value *value; /* that was traced, for messages */
    uint64_t heads, positions, dim;
    uint64_t start; /* the number of the first position */
    fvlm_origins origins;
} fvlm_heads;

fvlm_status fvlm_heads_trace(fvlm_heads *out, const fvlm_net *net, const fvlm_net_value *v,
                             const fvlm_heads_layout *layout, fvlm_err *err);
void fvlm_heads_free(fvlm_heads *h);

/* [1, positions, width] with the heads side by side from column 'from' on, or [1, heads, positions, dim] or
 * [heads, positions, dim]. False if the shape does not fit. */
bool fvlm_heads_lay_columns(fvlm_heads_layout *out, const fvlm_net_value *v, uint64_t from, uint64_t heads,
                            uint64_t dim);
bool fvlm_heads_lay_apart(fvlm_heads_layout *out, const fvlm_net_value *v);
/* An operand [.., rows, columns] of a MatMul with this result, which has a head at each of its leading indices; the
 * operand is broadcast to them. turned: its columns are the positions. */
bool fvlm_heads_lay_operand(fvlm_heads_layout *out, const fvlm_net_value *operand, const fvlm_net_value *result,
                            bool turned);

/* Positions 'from' to the end are columns of one projection's output at tokens 0, 1, ...: head h of them begins at
 * column first + h / group * dim. */
typedef struct {
    const fvlm_net_value *source;
    uint64_t first, group;
    double scale; /* that all elements are multiplied by */
} fvlm_heads_columns;

/* The angle of pair (i, i + dim / 2) at a position is position * theta^(-2i / dim), and theta is one for all layers. */
typedef struct {
    double theta;                                    /* 0: not known yet */
    const fvlm_net_value *checked_cos, *checked_sin; /* tables that were checked in full */
    bool refuted;                                    /* an angle was another one */
} fvlm_rope;

/* Unrotated (rope NULL) or rotated by their positions. from: an index, not a number. what: "query". */
fvlm_status fvlm_heads_check_columns(fvlm_heads_columns *out, const fvlm_heads *h, const fvlm_net *net, uint64_t from,
                                     fvlm_rope *rope, const char *what, fvlm_err *err);

/* The first n positions are an input of the graph, [1, heads / group, n, dim], times scale. *out: that input. */
fvlm_status fvlm_heads_check_cache(const fvlm_net_value **out, const fvlm_heads *h, const fvlm_net *net, uint64_t n,
                                   const fvlm_heads_columns *columns, const char *what, fvlm_err *err);

/* In match_rotary.c: whether e0 and e1 are a rotation of the elements i and i + dim / 2 of a head by a position, and
 * theta and the scale if they are not known. */
typedef struct {
    const fvlm_origin *first, *second;
    uint64_t position, i, dim;
    uint32_t index; /* of element i of the head in its source */
    bool coarse;
} fvlm_rope_pair;
fvlm_status fvlm_rope_estimate(fvlm_rope *rope, const fvlm_heads *h, uint64_t position, const fvlm_net *net,
                               fvlm_err *err);
bool fvlm_rope_check(const fvlm_rope *rope, const fvlm_rope_pair *p, double scale, double *angle, double *wanted);
/* Tables [positions, dim / 2] in full. */
fvlm_status fvlm_rope_check_tables(fvlm_rope *rope, const fvlm_net *net, const fvlm_net_node *n,
                                   const fvlm_net_value *cos, const fvlm_net_value *sin, fvlm_err *err);

#endif
