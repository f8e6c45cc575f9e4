/* SPDX-License-Identifier: Apache-2.0 */
/* match_names_block.c - see match_tower.h: linear layers, residual blocks and squeeze-and-excitation under the names of
 * Apple's checkpoint. */
#include <stdio.h>

#include "convert/graph/match_tower.h"

fvlm_status fvlm_emit_linear(fvlm_tower *t, const fvlm_linear *l, unsigned rank, const char *name)
{
    const uint64_t dims[] = {l->out, l->in, 1, 1};
    fvlm_match_tensor *out = fvlm_emit_tensor(t, rank, dims, name, ".weight");
    if (!out) return FVLM_NOMEM;
    const fvlm_match_rows all = {.v = l->weight, .transposed = l->transposed, .n_rows = l->out, .twice = l->twice};
    fvlm_status st = fvlm_match_set_rows(out, t->net, &all, 1, l->node, t->err);
    if (!st) st = fvlm_emit_vector(t, l->bias, l->out, 0, 1, l->node, name, ".bias");
    return st;
}

fvlm_status fvlm_emit_ffn(fvlm_tower *t, const fvlm_block *b, const char *prefix, const char *scale)
{
    char at[FVLM_TOWER_NAME];
    snprintf(at, sizeof at, "%s.convffn.conv", prefix);
    fvlm_status st = fvlm_emit_conv_bn(t, &b->conv.branch[0], at);
    snprintf(at, sizeof at, "%s.convffn.fc1", prefix);
    if (!st) st = fvlm_emit_linear(t, &b->fc1, 4, at);
    snprintf(at, sizeof at, "%s.convffn.fc2", prefix);
    if (!st) st = fvlm_emit_linear(t, &b->last, 4, at);
    if (!st) st = fvlm_emit_vector(t, b->branch->scale, b->last.out, 1, 3, b->last.node, prefix, scale);
    return st;
}

/* Rows of q, k and v; from one layer as it is. */
static fvlm_status emit_qkv(fvlm_tower *t, const fvlm_attention *a, const char *prefix)
{
    fvlm_match_rows weight[3], bias[3];
    const uint64_t dims[] = {3 * a->channels, a->linear[0].in};
    unsigned n_biases = 0;
    const unsigned n = a->packed ? 1 : 3;
    for (unsigned k = 0; k < n; k++) {
        const fvlm_linear *l = &a->linear[k];
        const uint64_t rows = a->packed ? l->out : a->channels;
        weight[k] = (fvlm_match_rows){l->weight, l->transposed, a->first_row[k], rows, false};
        bias[k] = (fvlm_match_rows){l->bias, false, a->first_row[k], rows, false};
        n_biases += l->bias != NULL;
    }
    const fvlm_net_node *user = a->linear[0].node;
    fvlm_match_tensor *out = fvlm_emit_tensor(t, 2, dims, prefix, ".token_mixer.qkv.weight");
    fvlm_status st = out ? fvlm_match_set_rows(out, t->net, weight, n, user, t->err) : FVLM_NOMEM;
    if (st || (!n_biases && !a->packed_bias)) return st;
    if (a->packed_bias ? n_biases != 0 : n_biases != n)
        return fvlm_match_expected(t->net, user->outputs[0], "another number of them", t->err,
                                   "one bias for queries, keys and values, or none");
    if (a->packed_bias) bias[0] = (fvlm_match_rows){.v = a->packed_bias, .n_rows = dims[0]};
    out = fvlm_emit_tensor(t, 1, dims, prefix, ".token_mixer.qkv.bias");
    return out ? fvlm_match_set_rows(out, t->net, bias, a->packed_bias ? 1 : n, user, t->err) : FVLM_NOMEM;
}

fvlm_status fvlm_emit_attention(fvlm_tower *t, const fvlm_block *b, const char *prefix)
{
    const uint64_t c = b->attention.channels;
    char at[FVLM_TOWER_NAME];
    fvlm_status st = fvlm_emit_vector(t, b->norm.gain, c, 1, 1, b->norm.node, prefix, ".norm.weight");
    if (!st) st = fvlm_emit_vector(t, b->norm.shift, c, 0, 1, b->norm.node, prefix, ".norm.bias");
    if (!st) st = emit_qkv(t, &b->attention, prefix);
    if (!st && b->attention.scaled_weights)
        st = fvlm_emit_vector(t, NULL, 1, 1, 1, b->norm.node, prefix, ".token_mixer.scale");
    snprintf(at, sizeof at, "%s.token_mixer.proj", prefix);
    if (!st) st = fvlm_emit_linear(t, &b->last, 2, at);
    if (!st) st = fvlm_emit_vector(t, b->branch->scale, c, 1, 3, b->last.node, prefix, ".layer_scale_1");
    return st;
}

fvlm_status fvlm_emit_squeeze(fvlm_tower *t, const fvlm_squeeze *s, const char *prefix)
{
    char at[FVLM_TOWER_NAME];
    snprintf(at, sizeof at, "%s.se.reduce", prefix);
    fvlm_status st = fvlm_emit_linear(t, &s->reduce, 4, at);
    snprintf(at, sizeof at, "%s.se.expand", prefix);
    if (!st) st = fvlm_emit_linear(t, &s->expand, 4, at);
    return st;
}
