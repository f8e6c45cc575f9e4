/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.c - the language model of a .fvlm file for llama.cpp. */
#include "convert/export/gguf.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/base/grow.h"

static const char *const names[FVLM_N_MODULES] = {
    [FVLM_MODULE_EMBED] = "token_embd",  [FVLM_MODULE_ATTN_NORM] = "attn_norm",
    [FVLM_MODULE_Q] = "attn_q",          [FVLM_MODULE_K] = "attn_k",
    [FVLM_MODULE_V] = "attn_v",          [FVLM_MODULE_O] = "attn_output",
    [FVLM_MODULE_FFN_NORM] = "ffn_norm", [FVLM_MODULE_GATE] = "ffn_gate",
    [FVLM_MODULE_UP] = "ffn_up",         [FVLM_MODULE_DOWN] = "ffn_down",
    [FVLM_MODULE_NORM] = "output_norm",  [FVLM_MODULE_HEAD] = "output",
};

/* Sets what depends on the type and row_bytes of the tensor. */
static fvlm_status append(fvlm_export *x, fvlm_gguf_tensor *t, fvlm_export_tensor *row, fvlm_err *err)
{
    fvlm_gguf_plan *p = x->plan;
    row->type = fvlm_gguf_type_name(t->type);
    row->n_bytes = t->values.rows * t->row_bytes;
    t->at = p->data_bytes;
    if (!fvlm_grow(&p->tensors, &p->capacity, p->n + 1, sizeof *p->tensors)) return fvlm_fail_nomem(err);
    p->tensors[p->n++] = *t;
    p->data_bytes += (row->n_bytes + FVLM_GGUF_ALIGNMENT - 1) / FVLM_GGUF_ALIGNMENT * FVLM_GGUF_ALIGNMENT;
    return fvlm_export_add_tensor(x, row, err);
}

static fvlm_status add(fvlm_export *x, const fvlm_tensors *at, fvlm_err *err)
{
    const bool layer = at->module >= FVLM_MODULE_ATTN_NORM && at->module <= FVLM_MODULE_DOWN;
    char name[64];
    const bool rotated = at->module == FVLM_MODULE_Q || at->module == FVLM_MODULE_K;
    fvlm_gguf_tensor t = {.rank = at->rank};
    if (rotated && x->config->llm.family == FVLM_LLAMA) t.head_dim = x->config->llm.head_dim;
    fvlm_export_tensor row = {.name = name};
    fvlm_status st = fvlm_export_values_open(&t.values, x->reader, at->name, err);
    if (st) return st;
    if (layer)
        snprintf(name, sizeof name, "blk.%u.%s.%s", at->layer, names[at->module], at->bias ? "bias" : "weight");
    else
        snprintf(name, sizeof name, "%s.weight", names[at->module]);
    fvlm_gguf_choose_type(&t, x->floats, at->rank == 1, &row.cause);
    row.from = t.values.tensor->name;
    return append(x, &t, &row, err);
}

/* llama3's scaling: what each base frequency is divided by. */
static fvlm_status add_rope_factors(fvlm_export *x, fvlm_err *err)
{
    fvlm_gguf_tensor t = {.plain = {.kind = FVLM_F32}, .rope = x->config, .rank = 1};
    fvlm_export_tensor row = {.name = "rope_freqs.weight", .cause = "the scaling of the rotary embedding"};
    if (x->config->llm.rope_scaling != FVLM_ROPE_LLAMA3) return FVLM_OK;
    t.values.rows = 1;
    t.values.cols = x->config->llm.head_dim / 2;
    t.row_bytes = t.values.cols * sizeof(float);
    return append(x, &t, &row, err);
}

/* What is quantized and becomes floats, by reason. */
static fvlm_status add_notes(fvlm_export *x, size_t n_left, fvlm_err *err)
{
    fvlm_status st = fvlm_export_note(
        x, err, "%zu tensors of the tower and the projector are not in the file: GGUF holds the language model",
        n_left);
    for (size_t i = 0; i < x->n_tensors && !st; i++) {
        const char *cause = x->tensors[i].cause;
        const fvlm_gguf_plan *p = x->plan;
        size_t n = 0;
        const fvlm_tensor *t = p->tensors[i].values.tensor;
        bool seen = !t || t->type.kind != FVLM_INT || !cause || x->floats.kind;
        for (size_t k = 0; k < i && !seen; k++) seen = x->tensors[k].cause == cause;
        for (size_t k = i; k < x->n_tensors; k++) n += x->tensors[k].cause == cause;
        if (!seen)
            st = fvlm_export_note(x, err, "%zu quantized weight%s written as F32: %s", n, n == 1 ? "" : "s", cause);
    }
    return st;
}

static fvlm_status plan(fvlm_export *x, fvlm_err *err)
{
    fvlm_gguf_plan *p = x->plan = calloc(1, sizeof *p);
    fvlm_tensors at = {.config = x->config};
    size_t n_left = 0;
    if (!p) return fvlm_fail_nomem(err);
    if (!fvlm_config_has_llm(x->config))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" has no language model, which is all that a GGUF file holds; use --to safetensors",
                         fvlm_reader_path(x->reader));
    fvlm_status st = fvlm_gguf_check_tokenizer(x, err);
    if (!st) st = add_rope_factors(x, err);
    while (!st && fvlm_tensors_next(&at)) {
        if (at.module >= FVLM_MODULE_EMBED)
            st = add(x, &at, err);
        else
            n_left++;
    }
    return st ? st : add_notes(x, n_left, err);
}

static fvlm_status write(fvlm_export *x, fvlm_err *err)
{
    const fvlm_gguf_plan *p = x->plan;
    char *header;
    size_t header_bytes;
    fvlm_export_stream *streams = fvlm_alloc(p->n, sizeof *streams);
    fvlm_status st = streams ? fvlm_gguf_header(x, &header, &header_bytes, err) : fvlm_fail_nomem(err);
    if (st) {
        free(streams);
        return st;
    }
    for (size_t i = 0; i < p->n; i++) {
        const fvlm_gguf_tensor *t = &p->tensors[i];
        streams[i] = (fvlm_export_stream){.fill = fvlm_gguf_fill,
                                          .ctx = t,
                                          .at = header_bytes + t->at,
                                          .rows = t->values.rows,
                                          .row_bytes = t->row_bytes,
                                          .scratch_bytes = 2 * t->values.cols * sizeof(float),
                                          .report = &x->tensors[i]};
        x->total += t->values.rows * t->row_bytes;
    }
    st = fvlm_export_write_streams(x, "", header, header_bytes, streams, p->n, header_bytes + p->data_bytes, err);
    free(header);
    free(streams);
    return st;
}

static void free_plan(void *plan)
{
    fvlm_gguf_plan *p = plan;
    free(p->tensors);
    free(p);
}

const fvlm_export_target fvlm_export_gguf = {.name = "gguf", .plan = plan, .write = write, .free = free_plan};
