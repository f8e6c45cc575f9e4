/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_header.c - what stands before the tensors of a GGUF file: keys with values, then the table of tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/gguf.h"

/* GGUF's numbers of types of values. */
enum { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9 };

/* llama.cpp's numbers of types of tokens. */
enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

typedef struct {
    FILE *to;
    const char *architecture; /* the prefix of its keys */
    uint64_t n_keys;
} writer;

static void put_u32(FILE *to, uint32_t v)
{
    uint8_t b[4];
    fvlm_store_u32(b, v);
    fwrite(b, 1, sizeof b, to);
}

static void put_u64(FILE *to, uint64_t v)
{
    uint8_t b[8];
    fvlm_store_u64(b, v);
    fwrite(b, 1, sizeof b, to);
}

static void put_string(FILE *to, const char *text)
{
    put_u64(to, strlen(text));
    fputs(text, to);
}

/* A key that begins with a dot is the architecture's. */
static void put_key(writer *w, const char *key, uint32_t type)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", key[0] == '.' ? w->architecture : "", key);
    put_string(w->to, full);
    put_u32(w->to, type);
    w->n_keys++;
}

static void text(writer *w, const char *key, const char *value)
{
    put_key(w, key, STRING);
    put_string(w->to, value);
}

static void number(writer *w, const char *key, uint32_t value)
{
    put_key(w, key, U32);
    put_u32(w->to, value);
}

static void real(writer *w, const char *key, double value)
{
    put_key(w, key, F32);
    put_u32(w->to, fvlm_f32_bits((float)value));
}

static void flag(writer *w, const char *key, bool value)
{
    put_key(w, key, BOOL);
    fputc(value, w->to);
}

static void begin_array(writer *w, const char *key, uint32_t type, uint64_t n)
{
    put_key(w, key, ARRAY);
    put_u32(w->to, type);
    put_u64(w->to, n);
}

/* ---- what llama.cpp reads ---- */

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

static void put_model(writer *w, const fvlm_export *x)
{
    const fvlm_config *c = x->config;
    char identity[33];
    fvlm_hash_text(fvlm_reader_identity(x->reader), identity);
    text(w, "general.architecture", w->architecture);
    text(w, "general.type", "model");
    text(w, "general.name", "FastVLM language model");
    number(w, "general.alignment", FVLM_GGUF_ALIGNMENT);
    number(w, "general.file_type", file_type(x->plan));
    number(w, "general.quantization_version", 2);
    number(w, ".block_count", c->llm.layers);
    number(w, ".context_length", c->llm.context);
    number(w, ".embedding_length", c->llm.hidden);
    number(w, ".feed_forward_length", c->llm.intermediate);
    number(w, ".attention.head_count", c->llm.heads);
    number(w, ".attention.head_count_kv", c->llm.kv_heads);
    number(w, ".vocab_size", c->llm.vocab);
    number(w, ".rope.dimension_count", c->llm.head_dim);
    real(w, ".rope.freq_base", c->llm.rope_theta);
    real(w, ".attention.layer_norm_rms_epsilon", c->llm.norm_eps);
    text(w, "fvlm.version", FVLM_VERSION);
    text(w, "fvlm.identity", identity);
}

/* The array of one text or type for each row of the embedding: added tokens as they are, others in GPT-2's letters. */
typedef struct {
    const char **text;
    int32_t *type;
    size_t n;
} vocabulary;

static fvlm_status collect(vocabulary *v, const fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    fvlm_added_token a;
    v->n = x->config->llm.vocab;
    v->text = fvlm_alloc(v->n, sizeof *v->text);
    v->type = fvlm_alloc(v->n, sizeof *v->type);
    if (!v->text || !v->type) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < v->n; i++) {
        v->text[i] = json_string_value(json_array_get(t->tokens, i));
        v->type[i] = v->text[i] ? NORMAL : UNUSED;
    }
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++) {
        if (a.id >= v->n) continue;
        v->text[a.id] = a.text;
        v->type[a.id] = a.special ? CONTROL : USER_DEFINED;
    }
    return FVLM_OK;
}

static void put_tokenizer(writer *w, const fvlm_export *x, const fvlm_tokens *t, const vocabulary *v)
{
    char unused[32];
    uint32_t id;
    text(w, "tokenizer.ggml.model", "gpt2");
    text(w, "tokenizer.ggml.pre", fvlm_tokens_form(t)->pre);
    begin_array(w, "tokenizer.ggml.tokens", STRING, v->n);
    for (size_t i = 0; i < v->n; i++) {
        snprintf(unused, sizeof unused, "[PAD%zu]", i);
        put_string(w->to, v->text[i] ? v->text[i] : unused);
    }
    begin_array(w, "tokenizer.ggml.token_type", I32, v->n);
    for (size_t i = 0; i < v->n; i++) put_u32(w->to, (uint32_t)v->type[i]);
    begin_array(w, "tokenizer.ggml.merges", STRING, json_array_size(t->merges));
    for (size_t i = 0; i < json_array_size(t->merges); i++)
        put_string(w->to, json_string_value(json_array_get(t->merges, i)));
    number(w, "tokenizer.ggml.eos_token_id", x->config->eos[0]);
    if (fvlm_tokens_find_added(t, "<|endoftext|>", &id)) {
        number(w, "tokenizer.ggml.bos_token_id", id);
        number(w, "tokenizer.ggml.padding_token_id", id);
    }
    flag(w, "tokenizer.ggml.add_bos_token", false);
    const char *chat = fvlm_export_chat_template(x->config);
    if (chat) text(w, "tokenizer.chat_template", chat);
}

static void put_table(FILE *to, const fvlm_export *x)
{
    const fvlm_gguf_plan *p = x->plan;
    for (size_t i = 0; i < p->n; i++) {
        const fvlm_gguf_tensor *t = &p->tensors[i];
        put_string(to, x->tensors[i].name);
        put_u32(to, t->values.tensor->rank == 1 ? 1 : 2);
        put_u64(to, t->values.cols); /* innermost first */
        if (t->values.tensor->rank > 1) put_u64(to, t->values.rows);
        put_u32(to, t->type);
        put_u64(to, t->at);
    }
}

static void put_all(writer *w, const fvlm_export *x, const fvlm_tokens *t, const vocabulary *v)
{
    const fvlm_gguf_plan *p = x->plan;
    fputs("GGUF", w->to);
    put_u32(w->to, 3);
    put_u64(w->to, p->n);
    put_u64(w->to, 0); /* the number of keys, below */
    put_model(w, x);
    put_tokenizer(w, x, t, v);
    put_table(w->to, x);
    while (!ferror(w->to) && ftell(w->to) % FVLM_GGUF_ALIGNMENT != 0) fputc(0, w->to);
}

fvlm_status fvlm_gguf_header(fvlm_export *x, char **bytes, size_t *n_bytes, fvlm_err *err)
{
    fvlm_tokens t;
    vocabulary v = {0};
    *bytes = NULL;
    fvlm_status st = fvlm_tokens_read(&t, x->reader, err);
    if (st) return st;
    st = collect(&v, x, &t, err);
    writer w = {.to = st ? NULL : open_memstream(bytes, n_bytes), .architecture = "qwen2"};
    if (w.to) put_all(&w, x, &t, &v);
    if (!st) st = fvlm_export_close_text(w.to, bytes, err);
    if (!st) fvlm_store_u64((uint8_t *)*bytes + 16, w.n_keys);
    free(v.text);
    free(v.type);
    fvlm_tokens_free(&t);
    return st;
}
