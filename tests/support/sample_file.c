/* SPDX-License-Identifier: Apache-2.0 */
/* sample_file.c - a small .fvlm file that has every type in every layout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/config.h"
#include "format/writer.h"
#include "tests/support/support.h"

#define N_FLOATS 3
#define N_INTS 16

void test_config(fvlm_config *out)
{
    memset(out, 0, sizeof *out);
    out->vision.image_size = 64;
    out->vision.stride = 8;
    out->vision.n_stages = 2;
    out->vision.stage[0] = (fvlm_stage){.dim = 16, .depth = 1, .hidden = 64, .mixer = FVLM_REPMIXER};
    out->vision.stage[1] =
        (fvlm_stage){.dim = 32, .depth = 1, .hidden = 128, .mixer = FVLM_ATTENTION, .heads = 2, .pos = true};
    out->vision.head_dim = 16;
    out->vision.out_dim = 64;
    out->vision.se_dim = 4;
    out->vision.norm_eps = 1e-5;
    out->projector.in = 64;
    out->projector.hidden = out->projector.out = 32;
    out->llm.hidden = 32;
    out->llm.layers = 1;
    out->llm.heads = 2;
    out->llm.kv_heads = 1;
    out->llm.head_dim = 16;
    out->llm.intermediate = 64;
    out->llm.vocab = 128;
    out->llm.context = 256;
    out->llm.rope_theta = 1e6;
    out->llm.norm_eps = 1e-6;
    out->llm.tied = true;
    out->eos[0] = 7;
    out->n_eos = 1;
    snprintf(out->prompt, sizeof out->prompt, "user\n<image>\n{prompt}\nassistant\n");
}

size_t test_sample_n(void)
{
    return 3 * N_FLOATS + N_INTS;
}

/* Shapes that end inside a panel, a group and a tile: rows 18 = 16 + 2, inputs 70 = 64 + 6. */
void test_sample_tensor(size_t i, char name[64], fvlm_tensor *t)
{
    static const uint16_t groups[] = {32, 64, 128, 0};
    static const uint64_t shape[3][4] = {{37}, {18, 7, 3, 3}, {20, 1, 3, 3}};
    static const uint8_t rank[3] = {1, 4, 4};
    char type[24];
    memset(t, 0, sizeof *t);
    if (i < 3 * N_FLOATS) {
        t->type.kind = (uint8_t)(FVLM_F32 + i % N_FLOATS);
        t->layout = (uint8_t)(FVLM_ROWS + i / N_FLOATS);
        t->rank = rank[i / N_FLOATS];
        memcpy(t->dims, shape[i / N_FLOATS], sizeof t->dims);
    } else {
        size_t k = i - 3 * N_FLOATS;
        t->type = (fvlm_type){FVLM_INT, k & 1 ? 4 : 8, k >> 1 & 1, groups[k >> 2]};
        t->layout = FVLM_PANELS;
        t->rank = 2;
        t->dims[0] = 18;
        t->dims[1] = 70;
    }
    snprintf(name, 64, "%s.%s.%zu",
             t->layout == FVLM_ROWS   ? "rows"
             : t->layout == FVLM_TAPS ? "taps"
                                      : "panels",
             fvlm_type_name(t->type, type), i);
    t->name = name;
    fvlm_err err;
    if (fvlm_type_tensor_bytes(&t->n_bytes, t->type, (fvlm_layout)t->layout, t->rank, t->dims, &err)) {
        fprintf(stderr, "sample: %s\n", err.msg);
        exit(1);
    }
}

uint8_t *test_sample_bytes(const fvlm_tensor *t)
{
    test_rng rng = {1};
    for (const char *p = t->name; *p; p++) rng.state = rng.state * 131 + (uint8_t)*p;
    uint8_t *bytes = fvlm_alloc((size_t)t->n_bytes, 1);
    if (bytes) test_fill(&rng, bytes, (size_t)t->n_bytes);
    return bytes;
}

static fvlm_status append(fvlm_writer *w, size_t id, bool in_pieces, fvlm_err *err)
{
    const fvlm_tensor *t = fvlm_writer_tensor(w, id);
    uint8_t *bytes = test_sample_bytes(t);
    size_t n = (size_t)t->n_bytes, piece = in_pieces ? 37 : n;
    fvlm_status st = bytes ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "out of memory for the sample");
    for (size_t at = 0; at < n && !st; at += piece)
        st = fvlm_writer_append(w, id, bytes + at, piece < n - at ? piece : n - at, err);
    free(bytes);
    return st;
}

typedef struct {
    fvlm_writer *w;
    fvlm_err err[64];
} work;

static void append_task(void *ctx, size_t i, unsigned thread)
{
    work *k = ctx;
    (void)thread;
    k->err[i].code = FVLM_OK;
    append(k->w, i, true, &k->err[i]);
}

static fvlm_status append_all(fvlm_writer *w, bool reverse, fvlm_pool *pool, fvlm_err *err)
{
    size_t n = test_sample_n();
    fvlm_status st = FVLM_OK;
    if (pool) {
        work k = {.w = w};
        fvlm_pool_run(pool, n, append_task, &k);
        for (size_t i = 0; i < n && !st; i++)
            if (k.err[i].code) *err = k.err[i], st = k.err[i].code;
        return st;
    }
    for (size_t i = 0; i < n && !st; i++) st = append(w, reverse ? n - 1 - i : i, reverse, err);
    return st;
}

fvlm_status test_sample(const char *path, bool force, bool reverse, fvlm_pool *pool, fvlm_err *err)
{
    static const char tokenizer[] =
        "{\"tokens\":[\"a\",\"b\"],\"merges\":[],\"added\":[],\"pattern\":\"x\",\"normalizer\":null}";
    fvlm_writer *w;
    uint64_t n_bytes;
    fvlm_config config;
    fvlm_status st = fvlm_writer_create(&w, path, force, err);
    for (size_t i = 0, id; i < test_sample_n() && !st; i++) {
        char name[64];
        fvlm_tensor t;
        test_sample_tensor(i, name, &t);
        st = fvlm_writer_declare(w, name, t.type, (fvlm_layout)t.layout, t.rank, t.dims, &id, err);
    }
    if (!st) st = fvlm_writer_begin(w, &n_bytes, err);
    if (!st) st = append_all(w, reverse, pool, err);
    if (st) {
        fvlm_writer_discard(&w);
        return st;
    }
    test_config(&config);
    fvlm_writer_use_pool(w, pool, NULL);
    json_t *meta = json_pack("{s:o, s:{s:s}}", "config", fvlm_config_to_json(&config), "provenance", "tool", "a test");
    st = fvlm_writer_publish(&w, meta, tokenizer, sizeof tokenizer - 1, err);
    json_decref(meta);
    return st;
}
