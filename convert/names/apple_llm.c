/* SPDX-License-Identifier: Apache-2.0 */
/* apple_llm.c - projector and language model in Apple's names (those of transformers' Qwen2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/names/resolver.h"

#define COMPARE_BLOCK ((size_t)1 << 17)

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
}

static void resolve_layer(fvlm_resolver *r, unsigned layer)
{
    const fvlm_config *c = &r->out->config;
    uint64_t hidden = c->llm.hidden, kv = (uint64_t)c->llm.kv_heads * c->llm.head_dim, inner = c->llm.intermediate;
    const struct {
        const char *name, *source;
        bool biased;
        uint64_t out, in;
    } parts[] = {
        {"attn_norm", "input_layernorm", false, hidden, 0},
        {"attn.q", "self_attn.q_proj", true, hidden, hidden},
        {"attn.k", "self_attn.k_proj", true, kv, hidden},
        {"attn.v", "self_attn.v_proj", true, kv, hidden},
        {"attn.o", "self_attn.o_proj", false, hidden, hidden},
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

/* Whether the first 'rows' rows of two stored matrices are the same bytes. */
static fvlm_status compare_rows(fvlm_resolver *r, const fvlm_source_tensor *a, const fvlm_source_tensor *b,
                                uint64_t rows, bool *equal)
{
    *equal = a->type == b->type;
    uint64_t left = rows * a->dims[1] * fvlm_source_type_bytes(a->type);
    uint8_t *block = fvlm_alloc(2, COMPARE_BLOCK);
    if (!block) return fvlm_fail_nomem(r->err);
    fvlm_status st = FVLM_OK;
    for (uint64_t at = 0; !st && *equal && at < left;) {
        size_t n = left - at < COMPARE_BLOCK ? (size_t)(left - at) : COMPARE_BLOCK;
        st = fvlm_source_read(r->src, a, at, n, block, r->err);
        if (!st) st = fvlm_source_read(r->src, b, at, n, block + COMPARE_BLOCK, r->err);
        if (!st) *equal = memcmp(block, block + COMPARE_BLOCK, n) == 0;
        at += n;
    }
    free(block);
    return st;
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

/* Is the head tied to the embedding? If config.json says so, yes, even if a different head is stored: transformers does
 * the same. If it says no, or nothing and a head is stored, yes only if the two have the same bytes. */
static void resolve_head(fvlm_resolver *r, const fvlm_source_tensor *embed)
{
    static const char name[] = "lm_head.weight";
    const fvlm_checkpoint *k = r->checkpoint;
    bool stored = fvlm_resolver_has(r, "%s", name), equal = false;
    bool tied = k->tied_given ? k->tied : !stored;
    const fvlm_source_tensor *head = tied && !stored ? NULL : fvlm_resolver_require(r, "%s", name);
    const uint64_t shape[] = {k->embed_rows, k->config.llm.hidden};
    if (embed && head && fvlm_source_check_shape(embed, 2, shape, &r->shape) &&
        fvlm_source_check_shape(head, 2, shape, &r->shape) && !r->n_missing && !r->st)
        r->st = compare_rows(r, embed, head, r->out->config.llm.vocab, &equal);
    r->out->head_differs = tied && head && !equal;
    r->out->config.llm.tied = tied || equal;
    if (head && r->out->config.llm.tied)
        fvlm_resolver_drop(r, head, tied ? "head tied by config.json" : "head equal to the embedding");
    if (!r->out->config.llm.tied) embedding(r, "llm.head", head);
}

void fvlm_apple_llm_resolve(fvlm_resolver *r)
{
    const fvlm_config *c = &r->out->config;
    const fvlm_source_tensor *embed = fvlm_resolver_require(r, "model.embed_tokens.weight");
    embedding(r, "llm.embed", embed);
    for (unsigned i = 0; i < c->llm.layers && !r->st; i++) resolve_layer(r, i);
    plain(r, "llm.norm", "model.norm", false, c->llm.hidden, 0);
    resolve_head(r, embed);
    r->out->rows_dropped = r->checkpoint->embed_rows - c->llm.vocab;
}
