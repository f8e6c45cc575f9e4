/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any config.json beside any header of packed weights: refused with a message, or all floats and codes are
 * read, the same floats in parts, and codes mean the floats.
 *
 * Input: config.json, a zero byte, the header's JSON. The tensors' data follow from the input's length. */
#include <math.h>

#include "convert/source/views.h"
#include "tests/fuzz/harness.h"

enum { MAX_DATA = 1 << 15, MAX_FLOATS = 1 << 20 };

/* As much data as the largest number of the header, so that most headers fit. */
static size_t data_length(const uint8_t *at, const uint8_t *end)
{
    size_t most = 0;
    for (size_t n = 0; at < end; at++) {
        const bool digit = *at >= '0' && *at <= '9';
        n = digit && n <= MAX_DATA ? 10 * n + (size_t)(*at - '0') : 0;
        if (n > most && n <= MAX_DATA) most = n;
    }
    return most;
}

static void write_weights(const uint8_t *header, const uint8_t *end, size_t seed)
{
    static uint8_t bytes[8 + (1 << 16) + MAX_DATA];
    const size_t n = (size_t)(end - header) < 1 << 16 ? (size_t)(end - header) : 1 << 16,
                 n_data = data_length(header, end);
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> 8 * i);
    memcpy(bytes + 8, header, n);
    /* small numbers: g_idx must be below the number of groups */
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n + i] = (uint8_t)(seed % 3 == 0 ? 0 : seed % 3 == 1 ? i % 4 == 0 : (i + seed) * 37 % 120);
    fuzz_write("model.safetensors", bytes, 8 + n + n_data);
}

static void read_codes(const fvlm_source *src, const fvlm_source_tensor *t, const float *floats)
{
    const size_t rows = (size_t)t->dims[0], columns = (size_t)t->dims[1],
                 group = t->codes.group ? t->codes.group : columns;
    const size_t groups = (columns + group - 1) / group;
    uint8_t *codes = malloc(rows * columns);
    float *scales = malloc(rows * groups * sizeof *scales);
    double *offsets = malloc(rows * groups * sizeof *offsets);
    fvlm_err err = {0};
    MUST(codes && scales && offsets && fvlm_type_valid(t->codes));
    MUST(!fvlm_source_read_codes(src, t, 0, rows, (fvlm_source_codes){codes, scales, offsets}, &err));
    for (size_t i = 0; i < rows * columns; i++) {
        const size_t g = i / columns * groups + i % columns / group;
        const double product = (double)scales[g] * codes[i], x = product + offsets[g],
                     off = fabs(x - (double)floats[i]);
        MUST(codes[i] >> t->codes.bits == 0);
        MUST(!isfinite(floats[i]) || off <= (fabs(product) + fabs(offsets[g])) * 0x1p-22 + 1e-44);
    }
    free(codes);
    free(scales);
    free(offsets);
}

static void read_tensor(const fvlm_source *src, const fvlm_source_tensor *t)
{
    fvlm_err err = {0};
    if (t->file != FVLM_SOURCE_NO_FILE || t->n_elems > MAX_FLOATS) return;
    float *floats = malloc((size_t)t->n_bytes), *part = malloc((size_t)t->n_bytes);
    MUST(floats && part && t->rank == 2 && t->n_elems == t->dims[0] * t->dims[1] && t->n_bytes == 4 * t->n_elems);
    fvlm_status st = fvlm_source_read(src, t, 0, (size_t)t->n_bytes, floats, &err);
    must_explain(st, &err);
    const uint64_t from = t->n_elems / 3 * 4, n = t->n_bytes - from;
    if (!st) MUST(!fvlm_source_read(src, t, from, (size_t)n, part, &err) && !memcmp((uint8_t *)floats + from, part, n));
    if (!st && t->codes.kind) read_codes(src, t, floats);
    free(floats);
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json"};
    const uint8_t *end = data + size, *header = fuzz_split(data, end, names, 1);
    write_weights(header, end, size);
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err);
    must_explain(st, &err);
    if (st) return 0;
    for (size_t i = 0; i < fvlm_source_n_tensors(src); i++) read_tensor(src, fvlm_source_tensor_at(src, i));
    fvlm_source_close(&src);
    return 0;
}
