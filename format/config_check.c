/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.c - see config_internal.h. */
#include "format/config_internal.h"

#include <inttypes.h>

static fvlm_status check_vision(const fvlm_config *c, fvlm_err *err)
{
    uint32_t stride = 4u << (c->vision.n_stages - 1); /* stem 4, each downsample 2 */
    if (c->vision.stride != stride)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.stride is %" PRIu32 ", but %" PRIu32 " stages need %" PRIu32, c->vision.stride,
                         c->vision.n_stages, stride);
    if (c->vision.image_size % stride)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.image_size %" PRIu32 " is not a multiple of the stride %" PRIu32,
                         c->vision.image_size, stride);
    for (uint32_t i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        if (i > 0 && s->dim % c->vision.stage[i - 1].dim)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "config.vision.stages[%" PRIu32 "].dim %" PRIu32
                             " is not a multiple of the previous stage's (%" PRIu32 ")",
                             i, s->dim, c->vision.stage[i - 1].dim);
        if (s->mixer == FVLM_ATTENTION && (uint64_t)s->heads * c->vision.head_dim != s->dim)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "config.vision.stages[%" PRIu32 "]: %" PRIu32 " heads of %" PRIu32 " are not dim %" PRIu32,
                             i, s->heads, c->vision.head_dim, s->dim);
    }
    if (c->vision.out_dim % c->vision.stage[c->vision.n_stages - 1].dim)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.out_dim %" PRIu32 " is not a multiple of the last stage's dim",
                         c->vision.out_dim);
    return FVLM_OK;
}

static fvlm_status check_llm(const fvlm_config *c, fvlm_err *err)
{
    if (c->llm.heads % c->llm.kv_heads)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm: %" PRIu32 " heads do not divide among %" PRIu32 " kv_heads",
                         c->llm.heads, c->llm.kv_heads);
    if (c->llm.head_dim % 2)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.head_dim %" PRIu32 " is odd; rotation works on pairs",
                         c->llm.head_dim);
    if ((uint64_t)c->llm.heads * c->llm.head_dim > FVLM_MAX_WIDTH)
        return fvlm_fail(err, FVLM_LIMIT, "config.llm: heads x head_dim is over %d", FVLM_MAX_WIDTH);
    if (c->projector.in != c->vision.out_dim || c->projector.out != c->llm.hidden)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.projector maps %" PRIu32 " to %" PRIu32 ", but the tower ends in %" PRIu32
                         " and the LLM begins with %" PRIu32,
                         c->projector.in, c->projector.out, c->vision.out_dim, c->llm.hidden);
    return FVLM_OK;
}

fvlm_status fvlm_config_check_sizes(const fvlm_config *c, fvlm_err *err)
{
    fvlm_status st = check_vision(c, err);
    if (st) return st;
    if (c->llm.layers) return check_llm(c, err);
    if (c->projector.in && c->projector.in != c->vision.out_dim)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.projector begins with %" PRIu32 " channels, but the tower ends in %" PRIu32,
                         c->projector.in, c->vision.out_dim);
    return FVLM_OK;
}
