/* SPDX-License-Identifier: Apache-2.0 */
/* attend.h - private to judge/: scaled dot-product attention, which all attention operators come down to, and their
 * operands as [batch, heads, positions, width]. */
#ifndef FVLM_VERIFY_JUDGE_ATTEND_H
#define FVLM_VERIFY_JUDGE_ATTEND_H

#include "verify/judge/call.h"

#define FVLM_ATTEND_BIASES 2

typedef struct {
    uint64_t batch, heads, kv_heads, q_len, kv_len, width, v_width; /* heads divide by kv_heads */
    const float *q, *k, *v; /* [batch, heads, q_len, width], [batch, kv_heads, kv_len, width or v_width] */
    float *out;             /* [batch, q_len, heads, v_width], or [batch, heads, q_len, v_width] */
    bool heads_first;       /* the second */
    double scale, softcap;  /* softcap 0: none */
    /* Added to the scores; steps along batch, heads, queries and keys. NULL: none. */
    const float *bias[FVLM_ATTEND_BIASES];
    uint64_t bias_step[FVLM_ATTEND_BIASES][4];
    /* Query s is at position offset[batch] + s (NULL: s). It sees the keys of positions from its own - left to its own
     * + right (-1: without limit), of those below valid[batch] (NULL: kv_len). */
    const int64_t *offset, *valid;
    int64_t left, right;
    float *scores;  /* [batch, heads, q_len, kv_len], if they are wanted: */
    int score_mode; /* 0: scaled products, 1: after softcap, 2: after the biases, 3: after softmax */
} fvlm_attend;

/* On all threads. A query that sees no key has the result 0. */
fvlm_status fvlm_attend_run(const fvlm_judge_call *c, const fvlm_attend *a);

/* Steps of a bias of shape v, of rank 2 to 4, broadcast to [batch, heads, q_len, kv_len]; refuses others. */
fvlm_status fvlm_attend_bias(fvlm_attend *a, unsigned which, const fvlm_judge_call *c, const fvlm_judge_value *v);

/* Positions of a packed operand: element (b, s, n, h) is at data + b * batch + s * position + n * head + h. */
typedef struct {
    const float *data;
    uint64_t batch, position, head;
    uint64_t n_batch, n_positions, n_heads, width;
    const float *bias; /* [n_heads, width], added; or NULL */
} fvlm_attend_source;

/* Of [batch, positions, hidden], where data begins with head 0; and of [batch, heads, positions, width]. */
fvlm_attend_source fvlm_attend_source_rows(const float *data, uint64_t batch, uint64_t positions, uint64_t hidden,
                                           uint64_t heads, uint64_t width);
fvlm_attend_source fvlm_attend_source_heads(const float *data, uint64_t batch, uint64_t heads, uint64_t positions,
                                            uint64_t width);

/* A temporary [batch, heads, past + positions, width] of what past [batch, heads, *, width] has first (n_past of its
 * positions; NULL: none), then the source. */
fvlm_status fvlm_attend_gather(const fvlm_judge_call *c, fvlm_judge_value *out, int32_t type,
                               const fvlm_judge_value *past, uint64_t n_past, const fvlm_attend_source *from);

/* A past [batch, heads, positions, width] of this type, or none; refuses others. */
fvlm_status fvlm_attend_want_past(const fvlm_judge_call *c, size_t input, int32_t type, uint64_t batch, uint64_t heads,
                                  uint64_t width);

#endif
