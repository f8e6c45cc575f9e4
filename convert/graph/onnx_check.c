/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_check.c - config.json against what the graphs show. */
#include <inttypes.h>

#include "convert/graph/onnx_source.h"

fvlm_status fvlm_onnx_check(const fvlm_onnx_facts *facts, const fvlm_config *config, uint32_t *rows, fvlm_err *err)
{
    const fvlm_config *g = &facts->config, *c = config;
    const struct {
        const char *file, *what, *key;
        double shown, said, tolerance;
    } pairs[] = {
        {facts->vision, "pictures of side", "mm_vision_tower", g->vision.image_size, c->vision.image_size, 0},
        {facts->vision, "a tower of width", "mm_hidden_size", g->projector.in, c->projector.in, 0},
        {facts->vision, "image tokens of width", "hidden_size", g->projector.out, c->projector.out, 0},
        {facts->decoder, "a width of", "hidden_size", g->llm.hidden, c->llm.hidden, 0},
        {facts->decoder, "layers:", "num_hidden_layers", g->llm.layers, c->llm.layers, 0},
        {facts->decoder, "attention heads:", "num_attention_heads", g->llm.heads, c->llm.heads, 0},
        {facts->decoder, "key-value heads:", "num_key_value_heads", g->llm.kv_heads, c->llm.kv_heads, 0},
        {facts->decoder, "heads of width", "head_dim", g->llm.head_dim, c->llm.head_dim, 0},
        {facts->decoder, "an inner width of", "intermediate_size", g->llm.intermediate, c->llm.intermediate, 0},
        {facts->decoder, "a rotary base of", "rope_theta", g->llm.rope_theta, c->llm.rope_theta, 1e-3},
        {facts->decoder, "an epsilon of", "rms_norm_eps", g->llm.norm_eps, c->llm.norm_eps, 0.05 /* 1e-6 in f16 */},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const double difference = pairs[i].shown - pairs[i].said;
        if (!(pairs[i].shown > 0) || !(pairs[i].said > 0) ||
            (difference <= pairs[i].tolerance * pairs[i].said && -difference <= pairs[i].tolerance * pairs[i].said))
            continue;
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\" has %s %.9g, but \"config.json\" says \"%s\" %.9g; they do not belong together",
                         pairs[i].file, pairs[i].what, pairs[i].shown, pairs[i].key, pairs[i].said);
    }
    if (g->llm.context && g->llm.context < c->llm.context)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": its attention sees %" PRIu32
                         " positions (local_window_size), fewer than the context of %" PRIu32
                         " that \"config.json\" has; sliding windows are not supported",
                         facts->decoder, g->llm.context, c->llm.context);
    if (facts->rows == 0 || facts->rows == *rows) return FVLM_OK;
    if (facts->rows < c->llm.vocab)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "the tokenizer has ids up to %" PRIu32 ", but the embedding has %" PRIu32
                         " rows; tokenizer and weights do not belong together",
                         c->llm.vocab - 1, facts->rows);
    *rows = facts->rows; /* exporters cut the embedding to the tokenizer */
    return FVLM_OK;
}
