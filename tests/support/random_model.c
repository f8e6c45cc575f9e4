/* SPDX-License-Identifier: Apache-2.0 */
/* random_model.c - see random_model.h. The list of tensors here is a second opinion on
 * the one in reference/bind.c. */
#include "tests/support/random_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/config.h"
#include "format/writer.h"
#include "tests/support/support.h"

/* ---- what there is to write ---- */

enum { MAX_TENSORS = 256 };

typedef struct {
    char name[96];
    fvlm_layout layout;
    unsigned rank;
    uint64_t dims[4];
    double mean, spread; /* of the values */
} entry;

typedef struct {
    const random_model *r;
    entry entries[MAX_TENSORS];
    size_t n;
} list;

static entry *add(list *l, fvlm_layout layout, unsigned rank, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                  const char *name)
{
    entry *e = &l->entries[l->n];
    *e = (entry){.layout = layout, .rank = rank, .dims = {a, b, c, d}};
    snprintf(e->name, sizeof e->name, "%s", name);
    if (l->r->leave_out && strncmp(name, l->r->leave_out, strlen(l->r->leave_out)) == 0)
        return e; /* the next one takes its place */
    if (l->r->reshape && strcmp(name, l->r->reshape) == 0) e->dims[0]++;
    if (l->r->transpose && strcmp(name, l->r->transpose) == 0) e->layout = FVLM_ROWS;
    l->n++;
    return e;
}

static void add_vector(list *l, uint64_t n, double mean, double spread, const char *name)
{
    entry *e = add(l, FVLM_ROWS, 1, n, 0, 0, 0, name);
    e->mean = mean;
    e->spread = spread;
}

/* Weights that neither fade nor grow through many layers; biases that matter. */
static void add_linear(list *l, uint64_t n, uint64_t k, bool bias, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    add(l, FVLM_PANELS, 2, n, k, 0, 0, full)->spread = 1 / sqrt((double)k);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) add_vector(l, n, 0, 0.3, full);
}

static void add_depthwise(list *l, uint64_t c, uint64_t side, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    add(l, FVLM_TAPS, 4, c, 1, side, side, full)->spread = 1 / (double)side;
    snprintf(full, sizeof full, "%s.bias", name);
    add_vector(l, c, 0, 0.3, full);
}

static void list_vision(list *l)
{
    const fvlm_config *c = &l->r->config;
    char n[72];
    const uint64_t first = c->vision.stage[0].dim;
    add(l, FVLM_PANELS, 4, first, 3, 3, 3, "vision.stem.0.weight")->spread = 0.4;
    add_vector(l, first, 0, 0.3, "vision.stem.0.bias");
    add_depthwise(l, first, 3, "vision.stem.1");
    add_linear(l, first, first, true, "vision.stem.2");
    for (unsigned i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
#define NAME(...) (snprintf(n, sizeof n, __VA_ARGS__), n)
        if (i > 0) add_depthwise(l, s->dim, 7, NAME("vision.stage%u.downsample.dw", i));
        if (i > 0) add_linear(l, s->dim, s->dim, true, NAME("vision.stage%u.downsample.pw", i));
        if (s->pos) add_depthwise(l, s->dim, 7, NAME("vision.stage%u.pos", i));
        for (unsigned k = 0; k < s->depth; k++) {
            if (s->mixer == FVLM_REPMIXER) add_depthwise(l, s->dim, 3, NAME("vision.stage%u.block%u.mixer", i, k));
            if (s->mixer == FVLM_ATTENTION) {
                add_linear(l, 3 * (uint64_t)s->dim, s->dim, true, NAME("vision.stage%u.block%u.attn.qkv", i, k));
                add_linear(l, s->dim, s->dim, true, NAME("vision.stage%u.block%u.attn.proj", i, k));
            }
            add_depthwise(l, s->dim, 7, NAME("vision.stage%u.block%u.ffn.dw", i, k));
            add_linear(l, s->hidden, s->dim, true, NAME("vision.stage%u.block%u.ffn.fc1", i, k));
            add_linear(l, s->dim, s->hidden, true, NAME("vision.stage%u.block%u.ffn.fc2", i, k));
        }
    }
    add_depthwise(l, c->vision.out_dim, 3, "vision.final.dw");
    add_linear(l, c->vision.se_dim, c->vision.out_dim, true, "vision.final.se.reduce");
    add_linear(l, c->vision.out_dim, c->vision.se_dim, true, "vision.final.se.expand");
}

static void list_projector(list *l)
{
    const fvlm_config *c = &l->r->config;
    add_linear(l, c->projector.hidden, c->projector.in, true, "projector.0");
    add_linear(l, c->projector.out, c->projector.hidden, true, "projector.2");
    if (c->tiles.merge == FVLM_MERGE_UNPAD) add_vector(l, c->projector.out, 0, 1, "projector.newline.weight");
}

static void list_llm(list *l)
{
    const fvlm_config *c = &l->r->config;
    const uint64_t h = c->llm.hidden, q = (uint64_t)c->llm.heads * c->llm.head_dim,
                   kv = (uint64_t)c->llm.kv_heads * c->llm.head_dim, f = c->llm.intermediate;
    char n[72];
    add_linear(l, c->llm.vocab, h, false, "llm.embed");
    add_vector(l, h, 1, 0.3, "llm.norm.weight");
    if (!c->llm.tied) add_linear(l, c->llm.vocab, h, false, "llm.head");
    for (unsigned i = 0; i < c->llm.layers; i++) {
        add_vector(l, h, 1, 0.3, NAME("llm.layer%u.attn_norm.weight", i));
        add_linear(l, q, h, true, NAME("llm.layer%u.attn.q", i));
        add_linear(l, kv, h, true, NAME("llm.layer%u.attn.k", i));
        add_linear(l, kv, h, true, NAME("llm.layer%u.attn.v", i));
        add_linear(l, h, q, false, NAME("llm.layer%u.attn.o", i));
        add_vector(l, h, 1, 0.3, NAME("llm.layer%u.ffn_norm.weight", i));
        add_linear(l, f, h, false, NAME("llm.layer%u.ffn.gate", i));
        add_linear(l, f, h, false, NAME("llm.layer%u.ffn.up", i));
        add_linear(l, h, f, false, NAME("llm.layer%u.ffn.down", i));
    }
#undef NAME
}

/* ---- values to bytes ---- */

static void put_float(uint8_t *bytes, fvlm_type t, size_t i, float x)
{
    if (t.kind == FVLM_F16)
        fvlm_store_u16(bytes + 2 * i, fvlm_f32_to_f16(x));
    else if (t.kind == FVLM_BF16)
        fvlm_store_u16(bytes + 2 * i, fvlm_f32_to_bf16(x));
    else
        memcpy(bytes + 4 * i, &x, 4);
}

/* One group of a row, its scale chosen by the largest magnitude (symmetric) or the range. */
static void put_group(uint8_t *bytes, const fvlm_matrix *m, size_t n, size_t g, const float *row)
{
    const size_t begin = g * m->group, end = begin + m->group < m->k ? begin + m->group : m->k;
    const int levels = (1 << m->type.bits) - 1, middle = 1 << (m->type.bits - 1);
    float low = row[begin], high = row[begin];
    for (size_t k = begin; k < end; k++) {
        low = fminf(low, row[k]);
        high = fmaxf(high, row[k]);
    }
    const float most = fmaxf(fabsf(low), fabsf(high));
    const uint16_t scale =
        fvlm_f32_to_bf16(m->type.asymmetric ? (high - low) / (float)levels : most / (float)(middle - 1));
    const uint16_t offset = fvlm_f32_to_bf16(low);
    const float s = fvlm_bf16_to_f32(scale), o = fvlm_bf16_to_f32(offset);
    const size_t at = fvlm_matrix_scale_at(m, n, g);
    fvlm_store_u16(bytes + m->scales_at + 2 * at, scale);
    if (m->type.asymmetric) fvlm_store_u16(bytes + m->offsets_at + 2 * at, offset);
    for (size_t k = begin; k < end; k++) {
        const long q = m->type.asymmetric ? lrintf((row[k] - o) / s) : lrintf(row[k] / s) + middle;
        const long least = m->type.asymmetric ? 0 : 1;
        unsigned shift;
        uint8_t *byte = bytes + fvlm_matrix_q_at(m, n, k, &shift);
        *byte = (uint8_t)(*byte | (unsigned)(q < least ? least : q > levels ? levels : q) << shift);
    }
}

static void put_matrix(uint8_t *bytes, const fvlm_matrix *m, const float *x)
{
    for (size_t n = 0; n < m->n; n++)
        if (m->type.kind == FVLM_INT)
            for (size_t g = 0; g < m->n_groups; g++) put_group(bytes, m, n, g, x + n * m->k);
        else
            for (size_t k = 0; k < m->k; k++) put_float(bytes, m->type, fvlm_matrix_float_at(m, n, k), x[n * m->k + k]);
}

static fvlm_status write_entry(fvlm_writer *w, size_t id, const entry *e, test_rng *rng, fvlm_err *err)
{
    const fvlm_tensor *t = fvlm_writer_tensor(w, id);
    size_t n = 1;
    for (unsigned i = 0; i < e->rank; i++) n *= (size_t)e->dims[i];
    float *x = fvlm_alloc(n, sizeof *x);
    uint8_t *bytes = fvlm_alloc((size_t)t->n_bytes, 1);
    for (size_t i = 0; i < n; i++) x[i] = (float)(e->mean + e->spread * (double)test_normal(rng));
    fvlm_matrix m;
    fvlm_status st = FVLM_OK;
    if (e->layout == FVLM_PANELS) {
        st = fvlm_matrix_layout(&m, t->type, e->dims[0], n / e->dims[0], err);
        if (st == FVLM_OK) put_matrix(bytes, &m, x);
    } else {
        for (size_t i = 0; i < n; i++) put_float(bytes, t->type, i, x[i]);
    }
    if (st == FVLM_OK) st = fvlm_writer_append(w, id, bytes, (size_t)t->n_bytes, err);
    free(x);
    free(bytes);
    return st;
}

/* ---- tokenizer ---- */

/* Every byte in the GPT-2 alphabet, then four merges, then the special tokens. */
static char *tokenizer_json(const char *pattern)
{
    static const char *const merges[4][3] = {
        {"h", "e", "he"}, {"l", "l", "ll"}, {"he", "ll", "hell"}, {"hell", "o", "hello"}};
    static const char *const special[3] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    json_t *tokens = json_array(), *merge_list = json_array(), *added = json_array();
    for (int b = 0, high = 0; b < 256; b++) {
        const bool plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        const int point = plain ? b : 256 + high++;
        char text[3] = {(char)point};
        if (point >= 0x80) {
            text[0] = (char)(0xc0 | point >> 6);
            text[1] = (char)(0x80 | (point & 0x3f));
        }
        json_array_append_new(tokens, json_string(text));
    }
    for (int i = 0; i < 4; i++) {
        char pair[16];
        snprintf(pair, sizeof pair, "%s %s", merges[i][0], merges[i][1]);
        json_array_append_new(merge_list, json_string(pair));
        json_array_append_new(tokens, json_string(merges[i][2]));
    }
    for (int i = 0; i < 3; i++)
        json_array_append_new(added, json_pack("{s:i, s:s, s:b}", "id", 260 + i, "text", special[i], "special", 1));
    json_t *all = json_pack("{s:o, s:o, s:o, s:s, s:s}", "tokens", tokens, "merges", merge_list, "added", added,
                            "pattern", pattern ? pattern : "[^\\s]+|\\s+", "normalizer", "NFC");
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

/* ---- the file ---- */

random_model random_model_small(void)
{
    random_model r = {.seed = 1, .type = {.kind = FVLM_F32}, .small = {.kind = FVLM_F32}};
    fvlm_config *c = &r.config;
    static const fvlm_stage stages[5] = {{12, 1, 48, FVLM_REPMIXER, 0, false},
                                         {24, 2, 72, FVLM_REPMIXER, 0, false},
                                         {24, 1, 96, FVLM_REPMIXER, 0, false},
                                         {48, 1, 192, FVLM_ATTENTION, 3, true},
                                         {96, 2, 200, FVLM_ATTENTION, 6, true}};
    c->vision.image_size = 128;
    c->vision.stride = 64;
    c->vision.n_stages = 5;
    memcpy(c->vision.stage, stages, sizeof stages);
    c->vision.head_dim = 16;
    c->vision.out_dim = 192;
    c->vision.se_dim = 12;
    c->vision.norm_eps = 1e-5;
    c->projector.in = 192;
    c->projector.hidden = 40;
    c->projector.out = c->llm.hidden = 48;
    c->llm.layers = 3;
    c->llm.heads = 6;
    c->llm.kv_heads = 2;
    c->llm.head_dim = 8;
    c->llm.intermediate = 112;
    c->llm.vocab = 263;
    c->llm.context = 640;
    c->llm.rope_theta = 1e6;
    c->llm.norm_eps = 1e-6;
    c->eos[0] = 262;
    c->n_eos = 1;
    strcpy(c->prompt, "<|im_start|>user\n<image>\n{prompt}<|im_end|>\n<|im_start|>assistant\n");
    return r;
}

void random_model_without_llm(random_model *r, bool projector)
{
    fvlm_config *c = &r->config;
    memset(&c->llm, 0, sizeof c->llm);
    c->n_eos = 0;
    c->prompt[0] = '\0';
    if (!projector) memset(&c->projector, 0, sizeof c->projector);
}

static fvlm_status declare(fvlm_writer *w, const list *l, fvlm_err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        const entry *e = &l->entries[i];
        size_t id;
        fvlm_type type = e->layout == FVLM_PANELS ? l->r->type : l->r->small;
        const fvlm_status st = fvlm_writer_declare(w, e->name, type, e->layout, e->rank, e->dims, &id, err);
        if (st != FVLM_OK) return st;
    }
    uint64_t n_bytes;
    return fvlm_writer_begin(w, &n_bytes, err);
}

fvlm_status random_model_write(const random_model *r, const char *path, fvlm_err *err)
{
    list *l = fvlm_alloc(1, sizeof *l);
    l->r = r;
    list_vision(l);
    if (r->config.projector.in) list_projector(l);
    if (r->config.llm.layers) list_llm(l);
    if (r->extra) add_vector(l, 4, 0, 1, r->extra);

    fvlm_writer *w = NULL;
    fvlm_status st = fvlm_writer_create(&w, path, true, err);
    if (st == FVLM_OK) st = declare(w, l, err);
    test_rng rng = {r->seed};
    for (size_t i = 0; i < l->n && st == FVLM_OK; i++) st = write_entry(w, i, &l->entries[i], &rng, err);
    if (st == FVLM_OK) {
        json_t *meta = json_pack("{s:o}", "config", fvlm_config_to_json(&r->config));
        char *tokenizer = r->config.llm.layers ? tokenizer_json(r->pattern) : fvlm_strdup("");
        st = fvlm_writer_publish(&w, meta, tokenizer, strlen(tokenizer), err);
        free(tokenizer);
        json_decref(meta);
    }
    fvlm_writer_discard(&w);
    free(l);
    return st;
}
