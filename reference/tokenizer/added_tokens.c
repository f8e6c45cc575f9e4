/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.c - Aho and Corasick's automaton ("Efficient string matching", 1975), run from the end of the text to
 * its beginning: then the longest token that ends where it stands is the longest one that begins there in the text. */
#include "reference/tokenizer/added_tokens.h"

#include <stdlib.h>

#include "format/base/grow.h"
#include "format/config.h"

/* Stands for the last bytes of a token; node 0 for none. */
struct fvlm_added_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t shorter;        /* the longest other node that is a prefix of this one's text */
    uint32_t token;          /* 1 + the index of the longest token that is a prefix of this one's text; 0: none */
    uint8_t byte;            /* which it has in front of its parent's text */
};

static uint32_t child_of(const fvlm_added_tokens *a, uint32_t node, uint8_t byte)
{
    uint32_t c = a->nodes[node].child;
    while (c && a->nodes[c].byte != byte) c = a->nodes[c].sibling;
    return c;
}

/* The node for one more byte in front; the longest one that there is. */
static uint32_t step(const fvlm_added_tokens *a, uint32_t node, uint8_t byte)
{
    uint32_t c;
    while (!(c = child_of(a, node, byte)) && node) node = a->nodes[node].shorter;
    return c;
}

static bool add_node(fvlm_added_tokens *a, uint32_t parent, uint8_t byte)
{
    if (!fvlm_grow(&a->nodes, &a->node_capacity, a->n_nodes + 1, sizeof *a->nodes)) return false;
    a->nodes[a->n_nodes] = (struct fvlm_added_node){.sibling = a->nodes[parent].child, .byte = byte};
    if (a->n_nodes) a->nodes[parent].child = (uint32_t)a->n_nodes;
    a->n_nodes++;
    return true;
}

fvlm_status fvlm_added_tokens_add(fvlm_added_tokens *a, const char *text, size_t n_bytes, uint32_t id, fvlm_err *err)
{
    if (!a->n_nodes && !add_node(a, 0, 0)) return fvlm_fail_nomem(err);
    if (n_bytes > FVLM_MAX_ADDED_BYTES || a->n_nodes + n_bytes > FVLM_MAX_ADDED_BYTES + (size_t)1)
        return fvlm_fail(err, FVLM_LIMIT, "the added tokens have more than %u bytes of text", FVLM_MAX_ADDED_BYTES);
    uint32_t node = 0;
    for (size_t i = n_bytes; i-- > 0;) {
        const uint32_t child = child_of(a, node, (uint8_t)text[i]);
        if (!child && !add_node(a, node, (uint8_t)text[i])) return fvlm_fail_nomem(err);
        node = child ? child : (uint32_t)a->n_nodes - 1;
    }
    if (a->nodes[node].token)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: added token \"%.*s\" is given twice",
                         n_bytes < 64 ? (int)n_bytes : 64, text);
    if (!fvlm_grow(&a->tokens, &a->capacity, a->n + 1, sizeof *a->tokens)) return fvlm_fail_nomem(err);
    a->tokens[a->n++] = (fvlm_added_token){id, (uint32_t)n_bytes};
    a->nodes[node].token = (uint32_t)a->n;
    return FVLM_OK;
}

/* Level by level, since the shorter node must be complete. */
fvlm_status fvlm_added_tokens_link(fvlm_added_tokens *a, fvlm_err *err)
{
    if (!a->n) return FVLM_OK;
    uint32_t *queue = fvlm_alloc(a->n_nodes, sizeof *queue);
    size_t n_queue = 1;
    if (!queue) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < n_queue; i++) {
        const uint32_t parent = queue[i];
        for (uint32_t c = a->nodes[parent].child; c; c = a->nodes[c].sibling) {
            struct fvlm_added_node *node = &a->nodes[c];
            node->shorter = parent ? step(a, a->nodes[parent].shorter, node->byte) : 0;
            if (!node->token) node->token = a->nodes[node->shorter].token;
            queue[n_queue++] = c;
        }
    }
    free(queue);
    return FVLM_OK;
}

void fvlm_added_tokens_free(fvlm_added_tokens *a)
{
    free(a->tokens);
    free(a->nodes);
    *a = (fvlm_added_tokens){0};
}

void fvlm_added_tokens_find(const fvlm_added_tokens *a, const char *s, size_t n_bytes, uint32_t *found)
{
    uint32_t node = 0;
    for (size_t i = n_bytes; i-- > 0;) {
        node = step(a, node, (uint8_t)s[i]);
        found[i] = a->nodes[node].token;
    }
}
