/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_header.c - what stands before the tensors of a GGUF file: keys with values, then the table of tensors. */
#include <stdio.h>
#include <stdlib.h>

#include "convert/export/export_folder.h"
#include "convert/export/gguf.h"

/* "mostly": the type of most weights, by the numbers of llama.cpp's files. */
static uint32_t file_type(const fvlm_gguf_plan *p)
{
    static const struct {
        fvlm_ggml type;
        uint32_t file;
    } types[] = {{FVLM_GGML_F32, 0},  {FVLM_GGML_F16, 1},  {FVLM_GGML_Q4_0, 2},
                 {FVLM_GGML_Q4_1, 3}, {FVLM_GGML_Q8_0, 7}, {FVLM_GGML_BF16, 32}};
    uint64_t most = 0;
    uint32_t found = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint64_t n = 0;
        for (size_t k = 0; k < p->n; k++)
            if (p->tensors[k].type == types[i].type) n += p->tensors[k].values.rows * p->tensors[k].values.cols;
        if (n > most) {
            most = n;
            found = types[i].file;
        }
    }
    return found;
}

static void put_model(fvlm_gguf_keys *w, const fvlm_export *x)
{
    const fvlm_config *c = x->config;
    char identity[33];
    fvlm_hash_text(fvlm_reader_identity(x->reader), identity);
    fvlm_gguf_key_text(w, "general.architecture", w->architecture);
    fvlm_gguf_key_text(w, "general.type", "model");
    fvlm_gguf_key_text(w, "general.name", "FastVLM language model");
    fvlm_gguf_key_number(w, "general.alignment", FVLM_GGUF_ALIGNMENT);
    fvlm_gguf_key_number(w, "general.file_type", file_type(x->plan));
    fvlm_gguf_key_number(w, "general.quantization_version", 2);
    fvlm_gguf_key_number(w, ".block_count", c->llm.layers);
    fvlm_gguf_key_number(w, ".context_length", c->llm.context);
    fvlm_gguf_key_number(w, ".embedding_length", c->llm.hidden);
    fvlm_gguf_key_number(w, ".feed_forward_length", c->llm.intermediate);
    fvlm_gguf_key_number(w, ".attention.head_count", c->llm.heads);
    fvlm_gguf_key_number(w, ".attention.head_count_kv", c->llm.kv_heads);
    fvlm_gguf_key_number(w, ".vocab_size", c->llm.vocab);
    if ((uint64_t)c->llm.heads * c->llm.head_dim != c->llm.hidden) {
        fvlm_gguf_key_number(w, ".attention.key_length", c->llm.head_dim);
        fvlm_gguf_key_number(w, ".attention.value_length", c->llm.head_dim);
    }
    fvlm_gguf_key_number(w, ".rope.dimension_count", c->llm.head_dim);
    fvlm_gguf_key_real(w, ".rope.freq_base", c->llm.rope_theta);
    if (c->llm.rope_scaling == FVLM_ROPE_LINEAR) { /* llama3's is the tensor rope_freqs */
        fvlm_gguf_key_text(w, ".rope.scaling.type", "linear");
        fvlm_gguf_key_real(w, ".rope.scaling.factor", c->llm.rope_factor);
    }
    fvlm_gguf_key_real(w, ".attention.layer_norm_rms_epsilon", c->llm.norm_eps);
    fvlm_gguf_key_text(w, "fvlm.version", FVLM_VERSION);
    fvlm_gguf_key_text(w, "fvlm.identity", identity);
}

static void put_table(FILE *to, const fvlm_export *x)
{
    const fvlm_gguf_plan *p = x->plan;
    for (size_t i = 0; i < p->n; i++) {
        const fvlm_gguf_tensor *t = &p->tensors[i];
        fvlm_gguf_put_string(to, x->tensors[i].name);
        fvlm_gguf_put_u32(to, t->rank == 1 ? 1 : 2);
        fvlm_gguf_put_u64(to, t->values.cols); /* innermost first */
        if (t->rank > 1) fvlm_gguf_put_u64(to, t->values.rows);
        fvlm_gguf_put_u32(to, t->type);
        fvlm_gguf_put_u64(to, t->at);
    }
}

static void put_all(fvlm_gguf_keys *w, const fvlm_export *x, const fvlm_tokens *t, const fvlm_gguf_vocabulary *v,
                    const char *chat)
{
    const fvlm_gguf_plan *p = x->plan;
    fputs("GGUF", w->to);
    fvlm_gguf_put_u32(w->to, 3);
    fvlm_gguf_put_u64(w->to, p->n);
    fvlm_gguf_put_u64(w->to, 0); /* the number of keys, below */
    put_model(w, x);
    fvlm_gguf_put_tokenizer(w, x, t, v, chat);
    put_table(w->to, x);
    while (!ferror(w->to) && ftell(w->to) % FVLM_GGUF_ALIGNMENT != 0) fputc(0, w->to);
}

fvlm_status fvlm_gguf_header(fvlm_export *x, char **bytes, size_t *n_bytes, fvlm_err *err)
{
    fvlm_tokens t;
    fvlm_gguf_vocabulary v = {0};
    char *chat = NULL;
    *bytes = NULL;
    fvlm_status st = fvlm_tokens_read(&t, x->reader, err);
    if (st) return st;
    st = fvlm_gguf_collect_vocabulary(&v, x, &t, err);
    if (!st) st = fvlm_export_chat_template(&chat, x->config, err);
    fvlm_gguf_keys w = {.to = st ? NULL : open_memstream(bytes, n_bytes),
                        .architecture = fvlm_family_name(x->config->llm.family)};
    if (w.to) put_all(&w, x, &t, &v, chat);
    if (!st) st = fvlm_export_close_text(w.to, bytes, err);
    if (!st) fvlm_store_u64((uint8_t *)*bytes + 16, w.n_keys);
    fvlm_gguf_free_vocabulary(&v);
    free(chat);
    fvlm_tokens_free(&t);
    return st;
}
