/* SPDX-License-Identifier: Apache-2.0 */
/* attend_heads.h - private to judge/: what MultiHeadAttention and Attention of com.microsoft have in common. Both read
 * attributes and masks alike, and differ in where queries, keys and values come from. */
#ifndef FVLM_VERIFY_JUDGE_ATTEND_HEADS_H
#define FVLM_VERIFY_JUDGE_ATTEND_HEADS_H

#include "verify/judge/attend.h"

typedef struct {
    uint64_t batch, heads, length, kv_length, past, width, v_width; /* kv_length: new keys */
    fvlm_attend_source source[3];                                   /* queries, keys, values */
    const fvlm_judge_value *past_k, *past_v;
    fvlm_judge_value made[3]; /* [batch, heads, positions, width], caches included */
    fvlm_judge_value mask;    /* additive, made from a mask of integers */
} fvlm_attend_heads;

/* hidden elements divide into n_heads heads of at least one element. */
fvlm_status fvlm_attend_heads_check_width(const fvlm_judge_call *c, uint64_t hidden, uint64_t n_heads);

/* The attribute num_heads. */
fvlm_status fvlm_attend_heads_read_number(fvlm_attend_heads *h, const fvlm_judge_call *c);

/* Elements of a query or key of [batch, length, hidden], or one of the parts of [batch, length, heads, parts, width].
 */
fvlm_attend_source fvlm_attend_heads_rows(const fvlm_attend_heads *h, const float *data, uint64_t length,
                                          uint64_t width, uint64_t parts);

/* A mask of integers [batch, keys] or [batch, queries, keys], of which 0 masks, or of [batch] valid keys; or none.
 * 'masked' is added to the scores of masked keys. */
fvlm_status fvlm_attend_heads_read_mask(fvlm_attend_heads *h, const fvlm_judge_call *c, size_t input, float masked);

/* Attention over h->made, into output 0 [batch, length, heads * v_width]. bias: added to the scores, or NULL. */
fvlm_status fvlm_attend_heads_run(fvlm_attend_heads *h, fvlm_judge_call *c, int32_t type, const fvlm_judge_value *bias);

void fvlm_attend_heads_free(fvlm_attend_heads *h);

#endif
