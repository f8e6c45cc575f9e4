/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any numbers as weights that are quantized: refused with a message, or every value that was written is
 * what its type allows (fvlm_weights_compare, which uses no code of quant).
 *
 * Input: u8 type, then the f32 values of two rows of a matrix, as many as there are; the other weights repeat the first
 * ones or 0.01. */
#include "format/writer.h"
#include "quant/quant.h"
#include "tests/fuzz/harness.h"
#include "tests/support/support.h"
#include "verify/weights.h"

static const char *const types[] = {"int8", "int4", "int8-asym-g32", "int4-sym-g32", "int4-sym-row", "int4-asym-g128"};
static const struct {
    const char *name;
    uint8_t kind, layout, rank;
    uint64_t dims[4];
} tensors[] = {{"llm.layer0.attn.q.weight", FVLM_F32, FVLM_PANELS, 2, {18, 70}},
               {"vision.stage0.block0.mixer.weight", FVLM_F32, FVLM_TAPS, 4, {16, 1, 3, 3}},
               {"llm.layer0.attn.q.bias", FVLM_BF16, FVLM_ROWS, 1, {18}}};
enum { N_TENSORS = sizeof tensors / sizeof *tensors, MATRIX = 0 };

/* Value i of a tensor as it is stored; padding of panels (rows 18 to 31) is zero. */
static float value(size_t tensor, size_t i, const uint8_t *data, size_t n_values)
{
    size_t from = i;
    if (tensor == MATRIX) {
        const size_t panel = i / (16 * 70), row = panel * 16 + i % 16, k = i / 16 % 70;
        if (row >= 18) return 0;
        from = row * 70 + k;
        if (row >= 2) from = n_values ? from % n_values : n_values;
    }
    float x = 0.01f;
    if (from < n_values) memcpy(&x, data + 4 * from, 4);
    return x;
}

static void write_source(const char *path, const uint8_t *data, size_t size)
{
    static uint8_t bytes[32 * 70 * 4];
    static const char tokenizer[] =
        "{\"tokens\":[\"a\"],\"merges\":[],\"added\":[],\"pattern\":\"x\",\"normalizer\":null}";
    fvlm_err err;
    fvlm_writer *w;
    fvlm_config config;
    size_t id;
    uint64_t n_bytes;
    MUST(!fvlm_writer_create(&w, path, true, &err));
    for (size_t t = 0; t < N_TENSORS; t++)
        MUST(!fvlm_writer_declare(w, tensors[t].name, (fvlm_type){.kind = tensors[t].kind}, tensors[t].layout,
                                  tensors[t].rank, tensors[t].dims, &id, &err));
    MUST(!fvlm_writer_begin(w, &n_bytes, &err));
    for (size_t t = 0; t < N_TENSORS; t++) {
        const size_t n = (size_t)fvlm_writer_tensor(w, t)->n_bytes, width = tensors[t].kind == FVLM_F32 ? 4 : 2;
        MUST(n <= sizeof bytes);
        for (size_t i = 0; i < n / width; i++) {
            const float x = value(t, i, data, size / 4);
            const uint16_t half = fvlm_f32_to_bf16(x);
            memcpy(bytes + width * i, width == 4 ? (const void *)&x : &half, width);
        }
        MUST(!fvlm_writer_append(w, t, bytes, n, &err));
    }
    test_config(&config);
    json_t *meta = json_pack("{s:o}", "config", fvlm_config_to_json(&config));
    MUST(!fvlm_writer_publish(&w, meta, tokenizer, sizeof tokenizer - 1, &err));
    json_decref(meta);
}

static void compare(const char *quantized, const char *source)
{
    fvlm_err err = {0};
    fvlm_reader *a, *b;
    fvlm_weights w;
    MUST(!fvlm_reader_open(&a, quantized, &err) && !fvlm_reader_open(&b, source, &err));
    MUST(!fvlm_weights_compare(&w, a, b, NULL, &err));
    if (w.n_bad) fprintf(stderr, "%s\n", w.first_bad);
    MUST(w.n_bad == 0);
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char source[128], quantized[128];
    fvlm_err err = {0};
    if (size < 1) return 0;
    snprintf(source, sizeof source, "%s/model.fvlm", fuzz_folder());
    snprintf(quantized, sizeof quantized, "%s/quantized.fvlm", fuzz_folder());
    write_source(source, data + 1, size - 1);
    const fvlm_quant_options o = {.type = types[data[0] % (sizeof types / sizeof *types)], .threads = 1, .force = true};
    fvlm_quantization *q;
    fvlm_status st = fvlm_quantization_plan(&q, source, &o, &err);
    if (!st) st = fvlm_quantization_write(q, quantized, &err);
    must_explain(st, &err);
    fvlm_quantization_free(&q);
    if (!st) compare(quantized, source);
    return 0;
}
