/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - opens and closes a model. */
#include "reference/model.h"

#include <stdlib.h>
#include <string.h>

static bool is_quantized(const fvlm_reader *r)
{
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++)
        if (fvlm_reader_tensor(r, i)->type.kind == FVLM_INT) return true;
    return false;
}

/* ---- checksums ---- */

/* Hashes the mapping that the passes will read, which also reads a cold file into memory sequentially. A
 * fvlm_fallible_task. */
static fvlm_status check_tensor(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    (void)thread;
    const fvlm_model *m = ctx;
    const fvlm_tensor *t = fvlm_reader_tensor(m->reader, i);
    const fvlm_status st = fvlm_stop_check(m->options.stop, err);
    if (st) return st;
    const fvlm_hash found = fvlm_hash_of(fvlm_reader_bytes(m->reader, t), (size_t)t->n_bytes);
    return fvlm_reader_compare_hash(m->reader, t, found, err);
}

/* ---- opening ---- */

static fvlm_status bind_parts(fvlm_model *m, const char *path, fvlm_err *err)
{
    const char *json;
    size_t n_bytes;
    fvlm_status st = fvlm_model_weights_bind(&m->weights, m->reader, err);
    const bool has_llm = fvlm_config_has_llm(m->config);
    if (!st && has_llm) st = fvlm_reader_tokenizer(m->reader, &json, &n_bytes, err);
    if (!st && has_llm) st = fvlm_tokenizer_create(&m->tokenizer, json, n_bytes, m->options.stop, err);
    return st ? fvlm_err_prefix(err, "\"%s\"", path) : FVLM_OK;
}

static fvlm_status open_parts(fvlm_model *m, const char *path, fvlm_err *err)
{
    fvlm_status st = fvlm_reader_open(&m->reader, path, err);
    if (st) return st;
    m->config = fvlm_reader_config(m->reader);
    if (m->options.act_by_file) m->options.act = is_quantized(m->reader) ? FVLM_ACT_INT8 : FVLM_ACT_F32;
    st = fvlm_exec_create(&m->exec, m->options.threads, m->options.cpu, m->options.act, err);
    if (st) return st;

    const size_t n = fvlm_reader_n_tensors(m->reader);
    st = m->options.check ? fvlm_pool_try(fvlm_exec_pool(m->exec), n, check_tensor, m, err) : FVLM_OK;
    if (!st) st = bind_parts(m, path, err);
    return fvlm_reader_check_unchanged(m->reader, st, err);
}

fvlm_status fvlm_model_open(fvlm_model **out, const char *path, const fvlm_model_options *options, fvlm_err *err)
{
    *out = NULL;
    fvlm_model *m = fvlm_alloc(1, sizeof *m);
    if (!m) return fvlm_fail_nomem(err);
    m->options = *options;
    const fvlm_status st = open_parts(m, path, err);
    if (st) fvlm_model_close(&m);
    *out = m;
    return st;
}

void fvlm_model_close(fvlm_model **model)
{
    fvlm_model *m = *model;
    *model = NULL;
    if (!m) return;
    fvlm_tower_memory_free(&m->tower_memory);
    free(m->projector_hidden);
    fvlm_llm_memory_free(&m->llm_memory);
    fvlm_model_weights_free(&m->weights);
    fvlm_tokenizer_destroy(&m->tokenizer);
    fvlm_exec_destroy(&m->exec);
    fvlm_reader_close(&m->reader);
    free(m);
}

const fvlm_config *fvlm_model_config(const fvlm_model *m)
{
    return m->config;
}

const fvlm_tokenizer *fvlm_model_tokenizer(const fvlm_model *m)
{
    return m->tokenizer;
}

const fvlm_reader *fvlm_model_reader(const fvlm_model *m)
{
    return m->reader;
}

fvlm_exec *fvlm_model_exec(fvlm_model *m)
{
    return m->exec;
}

size_t fvlm_model_count_blocks(const fvlm_config *c, size_t n_squares)
{
    size_t n = 2 + fvlm_config_has_projector(c); /* stem, final convolution */
    for (uint32_t i = 0; i < c->vision.n_stages; i++) n += c->vision.stage[i].depth + c->vision.stage[i].pos + (i > 0);
    return n_squares * n + (fvlm_config_has_llm(c) ? 3 + (size_t)c->llm.layers : 0); /* embedding, norm, logits */
}

size_t fvlm_model_memory_bytes(const fvlm_model *m)
{
    return fvlm_tower_memory_bytes(&m->tower_memory) +
           (m->n_projector_hidden + m->llm_memory.n_cache + m->llm_memory.n_rows) * sizeof(float);
}

fvlm_status fvlm_model_options_act(fvlm_model_options *o, const char *text, fvlm_err *err)
{
    o->act_by_file = text == NULL;
    if (!text) return FVLM_OK;
    o->act = strcmp(text, "int8") == 0 ? FVLM_ACT_INT8 : FVLM_ACT_F32;
    if (o->act == FVLM_ACT_INT8 || strcmp(text, "f32") == 0) return FVLM_OK;
    return fvlm_fail(err, FVLM_USAGE, "activations \"%s\": should be f32 or int8", text);
}
