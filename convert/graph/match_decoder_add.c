/* SPDX-License-Identifier: Apache-2.0 */
/* match_decoder_add.c - the tensors of a decoder that was found, under transformers' names for Qwen2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/match_decoder.h"

static fvlm_status add_layer(fvlm_match *m, const fvlm_decoder *d, size_t index)
{
    const fvlm_decoder_layer *l = &d->layers[d->n - 1 - index];
    const fvlm_net *net = d->frame.net;
    const fvlm_projection_rows o = {l->o, 0, l->o.n_out}, down = {l->down, 0, l->down.n_out};
    const struct {
        const char *name;
        const fvlm_projection_rows *rows; /* NULL: a norm */
        const fvlm_rms_norm *norm;
        bool biased;
    } parts[] = {
        {"input_layernorm", NULL, &l->attn_norm, false},
        {"self_attn.q_proj", &l->attention.q, NULL, true},
        {"self_attn.k_proj", &l->attention.k, NULL, true},
        {"self_attn.v_proj", &l->attention.v, NULL, true},
        {"self_attn.o_proj", &o, NULL, false},
        {"post_attention_layernorm", NULL, &l->ffn_norm, false},
        {"mlp.gate_proj", &l->gate, NULL, false},
        {"mlp.up_proj", &l->up, NULL, false},
        {"mlp.down_proj", &down, NULL, false},
    };
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !st; i++) {
        char *name = fvlm_asprintf("model.layers.%zu.%s", index, parts[i].name);
        if (!name) return fvlm_fail_nomem(d->err);
        st = parts[i].rows ? fvlm_projection_add(m, net, parts[i].rows, parts[i].biased, name, d->err)
                           : fvlm_rms_norm_add(m, net, parts[i].norm, name, d->err);
        free(name);
    }
    return st;
}

/* The shortest decimal number that rounds to x in this type: config.json's 1e-6, not what FLOAT16 makes of it. */
static double shortest(double x, int32_t type)
{
    for (int digits = 0; digits < 9; digits++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", digits, x);
        const double y = strtod(text, NULL);
        const float f = (float)y;
        if (f == (float)x || (type == FVLM_ONNX_F16 && fvlm_f16_to_f32(fvlm_f32_to_f16(f)) == (float)x)) return y;
    }
    return x;
}

fvlm_status fvlm_decoder_add(fvlm_match *m, const fvlm_decoder *d)
{
    const fvlm_decoder_attention *a = &d->layers[0].attention;
    fvlm_status st = d->embedding.weight ? fvlm_embedding_add(m, d->frame.net, &d->embedding, d->err) : FVLM_OK;
    for (size_t i = 0; i < d->n && !st; i++) st = add_layer(m, d, i);
    if (!st) st = fvlm_rms_norm_add(m, d->frame.net, &d->norm, "model.norm", d->err);
    const fvlm_projection_rows head = {d->head, 0, d->head.n_out};
    if (!st) st = fvlm_projection_add(m, d->frame.net, &head, false, "lm_head", d->err);
    if (st) return st;
    m->has_llm = m->has_head = true;
    m->has_embedding = m->has_embedding || d->embedding.weight;
    m->config.llm.hidden = (uint32_t)d->norm.width;
    m->config.llm.layers = (uint32_t)d->n;
    m->config.llm.heads = (uint32_t)a->heads;
    m->config.llm.kv_heads = (uint32_t)a->kv_heads;
    m->config.llm.head_dim = (uint32_t)a->dim;
    m->config.llm.intermediate = (uint32_t)d->layers[0].gate.n;
    m->config.llm.vocab = (uint32_t)d->head.n_out;
    m->config.llm.context = (uint32_t)(d->frame.window < UINT32_MAX ? d->frame.window : UINT32_MAX);
    m->config.llm.rope_theta = d->frame.rope.theta;
    m->config.llm.norm_eps = shortest(d->norm.eps, d->norm.eps_type);
    return FVLM_OK;
}

static bool same_part(const fvlm_match_part *a, const fvlm_match_part *b)
{
    const fvlm_packed *p = &a->weight.packed, *q = &b->weight.packed;
    return a->weight.tensor == b->weight.tensor && a->weight.transposed == b->weight.transposed && p->kind == q->kind &&
           p->scales == q->scales && p->zero_points == q->zero_points && a->transposed == b->transposed &&
           a->first_row == b->first_row && a->n_rows == b->n_rows;
}

fvlm_status fvlm_decoder_check_same(const fvlm_match *a, size_t from, const fvlm_match *b, fvlm_err *err)
{
    const char *name = NULL;
    if (a->n - from != b->n) name = "number of tensors";
    for (size_t i = 0; i < b->n && !name; i++) {
        const fvlm_match_tensor *x = &a->tensors[from + i], *y = &b->tensors[i];
        bool same = !strcmp(x->name, y->name) && x->n_parts == y->n_parts && x->node == y->node && x->fill == y->fill &&
                    !x->numbers == !y->numbers && x->dims[0] == y->dims[0] && x->dims[1] == y->dims[1];
        for (unsigned k = 0; k < x->n_parts && same; k++) same = same_part(&x->parts[k], &y->parts[k]);
        if (!same) name = x->name;
    }
    if (!name) return FVLM_OK;
    return fvlm_fail(err, FVLM_UNSUPPORTED, "decoder: \"%.200s\" is another one for another number of tokens", name);
}
