/* SPDX-License-Identifier: Apache-2.0 */
/* onnx.c - the target --to onnx: a folder as onnx-community lays it out, onnx/{vision_encoder, embed_tokens,
 * decoder_model_merged}.onnx with tokenizer and configuration beside. A model without a language model gives the first
 * file only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/onnx_networks.h"
#include "format/base/json.h"

enum { VISION, EMBEDDING, DECODER, N_GRAPHS };

static const struct {
    const char *name;
    void (*build)(const fvlm_onnx_builder *b);
} parts[N_GRAPHS] = {
    {"vision_encoder", fvlm_onnx_build_vision},
    {"embed_tokens", fvlm_onnx_build_embedding},
    {"decoder_model_merged", fvlm_onnx_build_decoder},
};

typedef struct {
    fvlm_onnx_graph graph[N_GRAPHS];
    size_t n_graphs;
    const char *suffix; /* of the files' names */
} onnx_plan;

/* ---- the plan ---- */

/* The community's names of variants, by the smallest type of a matrix. */
static const char *suffix_of(const fvlm_export *x)
{
    unsigned bits = 0;
    bool half = true;
    for (size_t i = 0; i < fvlm_reader_n_tensors(x->reader); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(x->reader, i);
        if (t->layout != FVLM_PANELS) continue;
        if (t->type.kind == FVLM_INT && (!bits || t->type.bits < bits)) bits = t->type.bits;
        half = half && (x->floats.kind ? x->floats : t->type).kind == FVLM_F16;
    }
    return bits == 4 ? "_q4" : bits == 8 ? "_int8" : half ? "_fp16" : "";
}

static const char *type_name(fvlm_onnx_out_type type)
{
    switch (type) {
    case FVLM_OUT_F32:
        return "F32";
    case FVLM_OUT_U8:
        return "U8";
    case FVLM_OUT_I8:
        return "I8";
    case FVLM_OUT_I32:
        return "I32";
    case FVLM_OUT_I64:
        return "I64";
    case FVLM_OUT_F16:
        return "F16";
    case FVLM_OUT_BF16:
        return "BF16";
    case FVLM_OUT_U4:
        return "U4";
    case FVLM_OUT_I4:
        return "I4";
    }
    return "?";
}

static fvlm_status add_tensors(fvlm_export *x, const fvlm_onnx_graph *g, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < g->n_initializers && !st; i++) {
        const fvlm_onnx_initializer *t = &g->initializers[i];
        const fvlm_export_tensor row = {
            .name = t->name, .from = t->from, .type = type_name(t->type), .n_bytes = t->n_bytes};
        st = fvlm_export_add_tensor(x, &row, err);
    }
    return st;
}

static fvlm_status add_notes(fvlm_export *x, fvlm_err *err)
{
    const fvlm_config *c = x->config;
    bool bf16 = false;
    for (size_t i = 0; i < fvlm_reader_n_tensors(x->reader); i++)
        bf16 = bf16 || fvlm_reader_tensor(x->reader, i)->type.kind == FVLM_BF16;
    fvlm_status st = FVLM_OK;
    if (bf16 && !x->floats.kind)
        st = fvlm_export_note(x, err, "bf16 weights are stored as F32, exactly; --type bf16 takes half the space");
    if (!st && !fvlm_config_has_llm(c))
        st = fvlm_export_note(x, err, "the model has no language model: the vision encoder alone");
    if (!st && fvlm_config_has_llm(c)) st = fvlm_export_note_chat(x, err);
    if (!st && fvlm_config_has_llm(c))
        st = fvlm_export_note(x, err, "the token <image> has no row in embed_tokens: put image_features in its place");
    return st;
}

static fvlm_status plan(fvlm_export *x, fvlm_err *err)
{
    onnx_plan *p = x->plan = calloc(1, sizeof *p);
    if (!p) return fvlm_fail_nomem(err);
    fvlm_status st = fvlm_config_has_llm(x->config) ? fvlm_export_check_folder(x, err) : FVLM_OK;
    p->suffix = suffix_of(x);
    p->n_graphs = fvlm_config_has_llm(x->config) ? N_GRAPHS : 1;
    for (size_t i = 0; i < p->n_graphs && !st; i++) {
        fvlm_onnx_graph *g = &p->graph[i];
        g->name = parts[i].name;
        g->err = err;
        const fvlm_onnx_builder b = {.g = g, .r = x->reader, .type = x->floats};
        parts[i].build(&b);
        st = g->st;
        if (!st) st = add_tensors(x, g, err);
    }
    return st ? st : add_notes(x, err);
}

static void free_plan(void *plan)
{
    onnx_plan *p = plan;
    for (size_t i = 0; i < p->n_graphs; i++) fvlm_onnx_graph_free(&p->graph[i]);
    free(p);
}

/* ---- the files ---- */

static void count(void *ctx, size_t n_bytes)
{
    fvlm_export *x = ctx;
    x->done += n_bytes;
    if (x->options.progress) x->options.progress(x->options.progress_ctx, x->done, x->total);
}

static fvlm_status write_graph(fvlm_export *x, size_t i, const json_t *about, fvlm_err *err)
{
    onnx_plan *p = x->plan;
    fvlm_onnx_graph *g = &p->graph[i];
    char name[64], data[72];
    snprintf(name, sizeof name, "onnx/%s%s.onnx", parts[i].name, p->suffix);
    snprintf(data, sizeof data, "%s_data", name);
    fvlm_onnx_sink to = {.stop = x->options.stop, .wrote = count, .ctx = x};
    uint64_t n_bytes = fvlm_onnx_graph_place(g);
    fvlm_status st = FVLM_OK;
    if (n_bytes) {
        st = fvlm_export_open_file(x, data, &to.file, err);
        if (!st) st = fvlm_export_close_file(x, n_bytes, fvlm_onnx_graph_write_data(g, &to, err), err);
    }
    if (!st) st = fvlm_export_open_file(x, name, &to.file, err);
    if (st) return st;
    st = fvlm_onnx_graph_write_model(g, data + strlen("onnx/"), about, &to, &n_bytes, err);
    return fvlm_export_close_file(x, n_bytes, st, err);
}

static fvlm_status write_side_files(fvlm_export *x, fvlm_err *err)
{
    fvlm_tokens tokens;
    uint32_t id;
    fvlm_status st = fvlm_tokens_read(&tokens, x->reader, err);
    if (st) return st;
    const bool found = fvlm_tokens_find_added(&tokens, "<image>", &id);
    fvlm_tokens_free(&tokens);
    return fvlm_export_write_side_files(x, FVLM_EXPORT_APPLE, !found, x->config->llm.vocab, err);
}

static fvlm_status write_all(fvlm_export *x, fvlm_err *err)
{
    const onnx_plan *p = x->plan;
    json_t *about = fvlm_export_provenance(x);
    fvlm_status st = about ? FVLM_OK : fvlm_fail_nomem(err);
    x->total = 0;
    for (size_t i = 0; i < p->n_graphs; i++) x->total += fvlm_onnx_graph_bytes(&p->graph[i]);
    for (size_t i = 0; i < p->n_graphs && !st; i++) st = write_graph(x, i, about, err);
    json_decref(about);
    return st || !fvlm_config_has_llm(x->config) ? st : write_side_files(x, err);
}

const fvlm_export_target fvlm_export_onnx = {
    .name = "onnx",
    .folder = true,
    .plan = plan,
    .write = write_all,
    .free = free_plan,
};
