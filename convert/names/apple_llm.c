/* SPDX-License-Identifier: Apache-2.0 */
/* apple_llm.c - projector and language model in Apple's names (those of transformers' Qwen2 and Llama). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/names/head.h"
#include "convert/names/resolver.h"

#define EMBED "model.embed_tokens.weight"
#define HEAD "lm_head.weight"

static void plain(fvlm_resolver *r, const char *name, const char *source, bool biased, uint64_t out, uint64_t in)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s", name);
    const fvlm_source_tensor *weight = fvlm_resolver_require(r, "%s.weight", source);
    const fvlm_source_tensor *bias = biased ? fvlm_resolver_require(r, "%s.bias", source) : NULL;
    fvlm_recipe_set_linear(m, weight, bias, out, in, &r->shape);
}

void fvlm_apple_projector_resolve(fvlm_resolver *r)
{
    const fvlm_config *c = &r->out->config;
    plain(r, "projector.0", "model.mm_projector.0", true, c->projector.out, c->projector.in);
    plain(r, "projector.2", "model.mm_projector.2", true, c->projector.out, c->projector.hidden);
    if (c->tiles.merge != FVLM_MERGE_UNPAD) return;
    fvlm_recipe *newline = fvlm_resolver_new_recipe(r, "projector.newline");
    fvlm_recipe_set_linear(newline, fvlm_resolver_require(r, "model.image_newline"), NULL, c->llm.hidden, 0, &r->shape);
}

static void resolve_layer(fvlm_resolver *r, unsigned layer)
{
    const fvlm_config *c = &r->out->config;
    const uint64_t hidden = c->llm.hidden, inner = c->llm.intermediate;
    const uint64_t q = (uint64_t)c->llm.heads * c->llm.head_dim, kv = (uint64_t)c->llm.kv_heads * c->llm.head_dim;
    const bool qkv_biased = c->llm.bias != FVLM_BIAS_NONE, o_biased = c->llm.bias == FVLM_BIAS_QKVO;
    const struct {
        const char *name, *source;
        bool biased;
        uint64_t out, in;
    } parts[] = {
        {"attn_norm", "input_layernorm", false, hidden, 0},
        {"attn.q", "self_attn.q_proj", qkv_biased, q, hidden},
        {"attn.k", "self_attn.k_proj", qkv_biased, kv, hidden},
        {"attn.v", "self_attn.v_proj", qkv_biased, kv, hidden},
        {"attn.o", "self_attn.o_proj", o_biased, hidden, q},
        {"ffn_norm", "post_attention_layernorm", false, hidden, 0},
        {"ffn.gate", "mlp.gate_proj", false, inner, hidden},
        {"ffn.up", "mlp.up_proj", false, inner, hidden},
        {"ffn.down", "mlp.down_proj", false, hidden, inner},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64], source[64];
        snprintf(name, sizeof name, "llm.layer%u.%s", layer, parts[i].name);
        snprintf(source, sizeof source, "model.layers.%u.%s", layer, parts[i].source);
        plain(r, name, source, parts[i].biased, parts[i].out, parts[i].in);
    }
}

/* Keeps the rows that a token id can reach. */
static void embedding(fvlm_resolver *r, const char *name, const fvlm_source_tensor *t)
{
    const fvlm_config *c = &r->out->config;
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s", name);
    const uint64_t stored[] = {r->checkpoint->embed_rows, c->llm.hidden};
    fvlm_recipe_set_linear(m, NULL, NULL, c->llm.vocab, c->llm.hidden, &r->shape);
    m->branch[0].kernel = t;
    fvlm_source_check_shape(t, 2, stored, &r->shape);
}

/* The embedding may be stored under the head's name alone: then config.json must tie the two. */
static const fvlm_source_tensor *require_embedding(fvlm_resolver *r)
{
    const bool only_head = !fvlm_resolver_has(r, EMBED) && fvlm_resolver_has(r, HEAD) && r->checkpoint->tied;
    return fvlm_resolver_require(r, "%s", only_head ? HEAD : EMBED);
}

/* Compares the head with the embedding, in the rows that a token id can reach. */
static fvlm_head_likeness compare_head(fvlm_resolver *r, const fvlm_source_tensor *embed,
                                       const fvlm_source_tensor *head)
{
    const fvlm_checkpoint *k = r->checkpoint;
    const uint64_t shape[] = {k->embed_rows, k->config.llm.hidden};
    fvlm_head_likeness found = {0};
    if (embed == head) return (fvlm_head_likeness){true, true, 0};
    if (fvlm_source_check_shape(embed, 2, shape, &r->shape) && fvlm_source_check_shape(head, 2, shape, &r->shape) &&
        embed->type < FVLM_SOURCE_I64 && head->type < FVLM_SOURCE_I64 && !r->n_missing && !r->st)
        r->st = fvlm_head_compare(&found, r->src, embed, head, r->out->config.llm.vocab, r->err);
    return found;
}

static void refuse_contradiction(fvlm_resolver *r, uint64_t row)
{
    r->st = fvlm_fail(r->err, FVLM_BAD_INPUT,
                      "\"config.json\" says \"tie_word_embeddings\", but " HEAD " differs from " EMBED
                      ", first in row %" PRIu64 "; choose --head own (the stored head) or --head tied (the embedding; "
                      "transformers before version 5)",
                      row);
}

/* Is the head tied to the embedding? It is if the two are the same, or if none is stored and config.json does not
 * object. Where config.json and the tensors disagree, the user decides; but a graph is what its exporter's program
 * computed, and decides itself: quantizers leave the embedding and change the head. */
static void resolve_head(fvlm_resolver *r, const fvlm_source_tensor *embed)
{
    const fvlm_checkpoint *k = r->checkpoint;
    const bool says_tied = k->tied_given && k->tied, says_own = k->tied_given && !k->tied;
    fvlm_names *out = r->out;
    const bool wants_tied = r->head && !strcmp(r->head, "tied");
    bool tied = true;
    out->head_stored = fvlm_resolver_has(r, HEAD);
    if (out->head_stored) {
        const fvlm_source_tensor *head = fvlm_resolver_require(r, HEAD);
        const fvlm_head_likeness like = compare_head(r, embed, head);
        tied = like.equal || (says_tied && like.equal_rounded);
        out->head_as_graph = !tied && says_tied && !r->head && head && head->origin && !head->packed;
        if (!tied && says_tied && !out->head_as_graph && !r->st && !r->n_missing && !r->shape.code) {
            if (!r->head) refuse_contradiction(r, like.first_row);
            out->head_chosen = true;
            tied = wants_tied;
        }
        out->head_stored = embed != head;
        if (tied && embed != head)
            fvlm_resolver_drop(r, head,
                               like.equal ? says_tied ? "head tied by config.json" : "head equal to the embedding"
                               : like.equal_rounded ? "head equal to the embedding, but for rounding"
                                                    : "head that differs from the embedding, by --head tied");
        if (!tied) embedding(r, "llm.head", head);
    } else if (says_own && wants_tied) {
        out->head_chosen = true;
    } else if (says_own) {
        fvlm_resolver_require(r, HEAD);
    }
    out->config.llm.tied = tied;
}

void fvlm_apple_llm_resolve(fvlm_resolver *r)
{
    const fvlm_config *c = &r->out->config;
    const fvlm_source_tensor *embed = require_embedding(r);
    embedding(r, "llm.embed", embed);
    for (unsigned i = 0; i < c->llm.layers && !r->st; i++) resolve_layer(r, i);
    plain(r, "llm.norm", "model.norm", false, c->llm.hidden, 0);
    resolve_head(r, embed);
    r->out->rows_dropped = r->checkpoint->embed_rows - c->llm.vocab;
}
