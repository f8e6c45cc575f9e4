/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - a whole small model with any bytes changed and its hashes right again: refused with a message, or it
 * opens, encodes an image, and answers with tokens of its own, and no
 * block put out what is not finite.
 *
 * Input: u8 type of the matrices, then edits:
 *   u8 0..3 section (index, data, metadata, tokenizer), u32 offset, u64   these bytes xor that
 *   u8 4, 5, u16 n, n bytes                                               the whole metadata, tokenizer
 *   u8 6, u8 tensor, u32                                                  that tensor filled with this word
 *   u8 7, u16 offset, u64                                                 these bytes of the header xor that
 * Edits of the header come after the others, which need its section table. Metadata and tokenizer are stored as plain
 * JSON, so that edits reach them. */
#include <math.h>

#include "tests/fuzz/harness.h"
#include "tests/support/random_model.h"
#include "tests/support/repair.h"
#include "tests/support/support.h"
#include "reference/reference.h"

enum { N_TYPES = 4, N_PARTS = 3, ENTRY = 48, ENTRY_BYTES = 64, SIDE = 16 };

typedef struct {
    test_image image;
    size_t at[16], n_bytes[16], n_tensors; /* of the first tensors in the file */
} base_model;

/* parts: 0 a whole model, 1 without its language model, 2 without projector, too. */
static void make_base(base_model *b, fvlm_type type, unsigned parts)
{
    random_model r = random_model_small();
    fvlm_config *c = &r.config;
    fvlm_err err;
    char path[128];
    r.type = type;
    c->vision.image_size = SIDE;
    c->vision.stride = 8;
    c->vision.n_stages = 2;
    c->vision.stage[0] = (fvlm_stage){16, 1, 24, FVLM_REPMIXER, 0, false};
    c->vision.stage[1] = (fvlm_stage){32, 1, 40, FVLM_ATTENTION, 2, true};
    c->vision.out_dim = c->projector.in = 64;
    c->vision.se_dim = 4;
    c->llm.layers = 1;
    c->llm.context = 64;
    if (parts) random_model_without_llm(&r, parts == 1);
    snprintf(path, sizeof path, "%s/model.fvlm", fuzz_folder());
    MUST(!random_model_write(&r, path, &err));
    fvlm_reader *reader;
    const char *tokenizer;
    size_t n_tokenizer;
    MUST(!fvlm_reader_open(&reader, path, &err));
    MUST(!fvlm_reader_tokenizer(reader, &tokenizer, &n_tokenizer, &err));
    char *meta = json_dumps(fvlm_reader_meta(reader), JSON_COMPACT | JSON_SORT_KEYS);
    for (b->n_tensors = 0; b->n_tensors < 16; b->n_tensors++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(reader, b->n_tensors);
        b->at[b->n_tensors] = (size_t)t->offset;
        b->n_bytes[b->n_tensors] = (size_t)t->n_bytes;
    }
    b->image.bytes = test_read_file(path, &b->image.n_bytes);
    MUST(b->image.bytes && meta);
    for (size_t kind = FVLM_SECTION_META; kind <= FVLM_SECTION_TOKENIZER; kind++)
        fvlm_store_u32(b->image.bytes + ENTRY + ENTRY_BYTES * (kind - 1) + 4, 0);
    test_replace_section(&b->image, FVLM_SECTION_TOKENIZER, tokenizer, n_tokenizer, n_tokenizer);
    test_replace_section(&b->image, FVLM_SECTION_META, meta, strlen(meta), strlen(meta));
    free(meta);
    fvlm_reader_close(&reader);
    fuzz_remove("model.fvlm");
}

/* The next n bytes of the input, or NULL. */
static const uint8_t *take(const uint8_t **data, size_t *left, size_t n)
{
    if (*left < n) return NULL;
    const uint8_t *p = *data;
    *data += n, *left -= n;
    return p;
}

static void xor_bytes(test_image *x, size_t section_at, size_t section_bytes, uint64_t offset, const uint8_t *value)
{
    if (section_bytes < 8 || section_at > x->n_bytes || section_bytes > x->n_bytes - section_at) return;
    uint8_t *p = x->bytes + section_at + offset % (section_bytes - 7);
    fvlm_store_u64(p, fvlm_load_u64(p) ^ fvlm_load_u64(value));
}

enum { MAX_HEADER_EDITS = 8 };

typedef struct {
    const uint8_t *items[MAX_HEADER_EDITS];
    size_t n;
} header_edits;

static bool edit(test_image *x, const base_model *b, header_edits *header, const uint8_t **data, size_t *left)
{
    const uint8_t *kind = take(data, left, 1), *p, *q;
    if (!kind) return false;
    if (*kind % 8 < 4) {
        const uint8_t *e = x->bytes + ENTRY + ENTRY_BYTES * (*kind % 8);
        if (!(p = take(data, left, 12))) return false;
        xor_bytes(x, (size_t)fvlm_load_u64(e + 8), (size_t)fvlm_load_u64(e + 16), fvlm_load_u32(p), p + 4);
    } else if (*kind % 8 < 6) {
        if (!(p = take(data, left, 2)) || !(q = take(data, left, fvlm_load_u16(p)))) return false;
        test_replace_section(x, *kind % 8 - 1u, q, fvlm_load_u16(p), fvlm_load_u16(p));
    } else if (*kind % 8 == 6) {
        if (!(p = take(data, left, 5))) return false;
        const size_t t = *p % b->n_tensors;
        for (size_t i = 0; i + 4 <= b->n_bytes[t]; i += 4) memcpy(x->bytes + b->at[t] + i, p + 1, 4);
    } else {
        if (!(p = take(data, left, 10)) || header->n == MAX_HEADER_EDITS) return false;
        header->items[header->n++] = p;
    }
    return true;
}

static bool all_finite;

static void observe(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    (void)ctx, (void)name;
    for (size_t i = 0; i < rows * cols; i++) all_finite &= isfinite(x[i]) != 0;
}

static fvlm_status run(fvlm_model *m, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, SIDE);
    fvlm_pixels pixels = {.side = SIDE, .values = fvlm_alloc(SIDE * SIDE * 3, sizeof(float))};
    float *features = fvlm_alloc(tokens * c->vision.out_dim, sizeof(float));
    float *rows = fvlm_alloc(tokens * fvlm_config_image_width(c), sizeof(float));
    MUST(pixels.values && features && rows);
    for (size_t i = 0; i < SIDE * SIDE * 3; i++) pixels.values[i] = (float)(i % 256) / 255;
    fvlm_status st = fvlm_model_tower(m, &pixels, features, err);
    if (!st) st = fvlm_model_project(m, features, tokens, rows, err);
    const fvlm_question q = {
        .rows = rows, .n_rows = tokens, .text = "hello", .sampling = {.max_new_tokens = 2, .top_p = 1}};
    fvlm_answer a;
    if (!st && !(st = fvlm_model_answer(m, &q, &a, err))) {
        for (size_t i = 0; i < a.n_ids; i++) MUST(a.ids[i] < c->llm.vocab);
        fvlm_answer_free(&a);
    }
    fvlm_pixels_free(&pixels);
    free(features);
    free(rows);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fvlm_type types[N_TYPES] = {
        {.kind = FVLM_F32}, {.kind = FVLM_BF16}, {FVLM_INT, 8, 0, 32}, {FVLM_INT, 4, 1, 64}};
    static base_model bases[N_TYPES * N_PARTS];
    const uint8_t *type = take(&data, &size, 1);
    if (!type) return 0;
    base_model *b = &bases[*type % (N_TYPES * N_PARTS)];
    if (!b->image.bytes) make_base(b, types[*type % N_TYPES], *type / N_TYPES % N_PARTS);
    test_image x = {malloc(b->image.n_bytes), b->image.n_bytes};
    MUST(x.bytes);
    memcpy(x.bytes, b->image.bytes, x.n_bytes);
    header_edits header = {.n = 0};
    while (edit(&x, b, &header, &data, &size)) continue;
    for (size_t i = 0; i < header.n; i++)
        xor_bytes(&x, 0, FVLM_HEADER_BYTES - 16, fvlm_load_u16(header.items[i]), header.items[i] + 2);
    test_repair(&x);
    all_finite = true;
    const fvlm_model_options o = {.threads = 1, .act_by_file = true, .observer = observe};
    fvlm_model *m;
    fvlm_err err = {0};
    fvlm_status st = fvlm_model_open(&m, fuzz_file(x.bytes, x.n_bytes), &o, &err);
    if (!st && fvlm_model_config(m)->vision.stride == 8) st = run(m, &err);
    must_explain(st, &err);
    MUST(st || all_finite);
    fvlm_model_close(&m);
    free(x.bytes);
    return 0;
}
