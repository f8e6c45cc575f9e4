/* SPDX-License-Identifier: Apache-2.0 */
/* packed_folder.c - see packed_folder.h. */
#include "tests/support/packed_folder.h"

#include <math.h>

#include "convert/source/views.h"
#include "tests/support/check.h"

#define X PACKED_MODULE

struct packed_folder packed_folder = {.rng = {88172645463325252u}};
struct packed_weight packed_weight;

static struct packed_folder *const f = &packed_folder;
static struct packed_weight *const w = &packed_weight;

/* ---- a folder ---- */

packed_part *packed_find(const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->parts[i].name, name)) return &f->parts[i];
    fail_msg("no part %s", name);
    return NULL;
}

void packed_clear(void)
{
    for (size_t i = 0; i < f->n; i++) free(f->parts[i].bytes);
    f->n = 0;
    f->config[0] = 0;
}

uint8_t *packed_add(const char *name, const char *type, size_t size, uint64_t d0, uint64_t d1)
{
    packed_part *p = &f->parts[f->n++];
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->type, sizeof p->type, "%s", type);
    p->rank = d1 ? 2 : 1;
    p->dims[0] = d0, p->dims[1] = d1;
    p->n_bytes = size * (size_t)(d0 * (d1 ? d1 : 1));
    p->bytes = calloc(p->n_bytes + 1, 1);
    return p->bytes;
}

uint8_t *packed_file(size_t *n_bytes)
{
    char *header = malloc(8192);
    size_t n = 0, at = 0;
    header[n++] = '{';
    for (size_t i = 0; i < f->n; i++) {
        const packed_part *p = &f->parts[i];
        n += (size_t)sprintf(header + n, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", p->name, p->type);
        for (unsigned d = 0; d < p->rank; d++) n += (size_t)sprintf(header + n, d ? ",%d" : "%d", (int)p->dims[d]);
        n += (size_t)sprintf(header + n, "],\"data_offsets\":[%zu,%zu]}", at, at + p->n_bytes);
        at += p->n_bytes;
    }
    header[n++] = '}';
    uint8_t *all = malloc(8 + n + at), *to = all + 8 + n;
    fvlm_store_u64(all, n);
    memcpy(all + 8, header, n);
    free(header);
    for (size_t i = 0; i < f->n; i++) {
        memcpy(to, f->parts[i].bytes, f->parts[i].n_bytes);
        to += f->parts[i].n_bytes;
    }
    *n_bytes = (size_t)(to - all);
    return all;
}

void packed_write_as(const char *name, const void *bytes, size_t n)
{
    char *path = test_path(f->path, name);
    assert_true(test_write_file(path, bytes, n));
    free(path);
}

void packed_write(void)
{
    size_t n;
    uint8_t *bytes = packed_file(&n);
    packed_write_as("model.safetensors", bytes, n);
    packed_write_as("config.json", f->config, strlen(f->config));
    free(bytes);
}

fvlm_status packed_open(fvlm_source **src, fvlm_err *err)
{
    packed_write();
    *err = (fvlm_err){0};
    return fvlm_source_open(src, f->path, err);
}

/* ---- forms, written by formulas one bit at a time ---- */

void packed_put_bits(uint8_t *stream, size_t first_bit, unsigned bits, unsigned value)
{
    for (unsigned b = 0; b < bits; b++)
        if (value >> b & 1) stream[(first_bit + b) / 8] |= (uint8_t)(1u << (first_bit + b) % 8);
}

static float rounded(float x, const char *type)
{
    return !strcmp(type, "F16")    ? fvlm_f16_to_f32(fvlm_f32_to_f16(x))
           : !strcmp(type, "BF16") ? fvlm_bf16_to_f32(fvlm_f32_to_bf16(x))
                                   : x;
}

static size_t float_size(const char *type)
{
    return strcmp(type, "F32") ? 2 : 4;
}

static void put_float(uint8_t *to, const char *type, float x)
{
    if (!strcmp(type, "F32")) fvlm_store_u32(to, fvlm_f32_bits(x));
    if (!strcmp(type, "F16")) fvlm_store_u16(to, fvlm_f32_to_f16(x));
    if (!strcmp(type, "BF16")) fvlm_store_u16(to, fvlm_f32_to_bf16(x));
}

void packed_start(void)
{
    packed_clear();
    packed_add("a.vision_tower.b", "F32", 4, 1, 0);
    packed_add("model.layers.0.c", "F32", 4, 1, 0);
}

void packed_set(size_t out, size_t in, size_t group, unsigned bits, const char *type, unsigned n_zeros)
{
    w->out = out, w->in = in, w->bits = bits;
    w->group = group ? group : in;
    w->groups = (in + w->group - 1) / w->group;
    assert_true(out * in <= PACKED_MAX);
    for (size_t i = 0; i < out * in; i++) w->codes[i] = (uint8_t)test_below(&f->rng, 1u << bits);
    for (size_t i = 0; i < out * w->groups; i++) {
        w->scales[i] = rounded(0.01f * test_normal(&f->rng), type);
        w->zeros[i] = n_zeros ? (float)(1 + test_below(&f->rng, n_zeros)) : rounded(0.1f * test_normal(&f->rng), type);
    }
    for (size_t j = 0; j < in; j++) w->g_idx[j] = (uint32_t)(j / w->group);
}

void packed_make_mlx(size_t out, size_t in, size_t group, unsigned bits, const char *type)
{
    packed_start();
    packed_set(out, in, group, bits, type, 0);
    const size_t size = float_size(type), row = in * bits / 8;
    uint8_t *q = packed_add(X ".weight", "U32", 4, out, row / 4),
            *s = packed_add(X ".scales", type, size, out, w->groups);
    uint8_t *b = packed_add(X ".biases", type, size, out, w->groups);
    for (size_t i = 0; i < out * in; i++) packed_put_bits(q + i / in * row, i % in * bits, bits, w->codes[i]);
    for (size_t i = 0; i < out * w->groups; i++) {
        put_float(s + i * size, type, w->scales[i]);
        put_float(b + i * size, type, w->zeros[i]);
    }
    for (size_t i = 0; i < out * in; i++) {
        const size_t g = i / in * w->groups + i % in / w->group;
        const float product = w->scales[g] * (float)w->codes[i];
        w->want[i] = product + w->zeros[g];
    }
    snprintf(f->config, sizeof f->config, "{\"quantization\": {\"bits\": %u, \"group_size\": %zu}}", bits, group);
}

void packed_make_columns(size_t out, size_t in, size_t group, unsigned bits, const char *type, packed_columns form)
{
    static const unsigned order[] = {0, 2, 4, 6, 1, 3, 5, 7};
    packed_start();
    packed_set(out, in, group, bits, type, (1u << bits) - 1);
    const size_t size = float_size(type), columns = out * bits / 32;
    if (form.symmetric)
        for (size_t i = 0; i < out * w->groups; i++) w->zeros[i] = (float)(1u << (bits - 1));
    if (form.mixed)
        for (size_t j = in; j-- > 1;) {
            const size_t k = test_below(&f->rng, j + 1);
            const uint32_t swap = w->g_idx[j];
            w->g_idx[j] = w->g_idx[k], w->g_idx[k] = swap;
        }
    uint8_t *q = form.awq ? packed_add(X ".qweight", "I32", 4, in, columns)
                          : packed_add(X ".qweight", "I32", 4, in * bits / 32, out);
    uint8_t *s = packed_add(X ".scales", type, size, w->groups, out),
            *z = packed_add(X ".qzeros", "I32", 4, w->groups, columns);
    uint8_t *g = form.awq ? NULL : packed_add(X ".g_idx", "I32", 4, in, 0);
    for (size_t j = 0; g && j < in; j++) fvlm_store_u32(g + 4 * j, w->g_idx[j]);
    for (size_t o = 0; o < out; o++) {
        size_t nibble = 0;
        while (order[nibble] != o % 8) nibble++;
        const size_t at = form.awq ? o / 8 * 32 + 4 * nibble : o * bits; /* of zero points: a bit of a row */
        for (size_t j = 0; j < in; j++) {
            const unsigned code = w->codes[o * in + j];
            if (form.awq) packed_put_bits(q + j * columns * 4, at, 4, code);
            for (unsigned b = 0; b < bits && !form.awq; b++)
                packed_put_bits(q, ((j * bits + b) / 32 * out + o) * 32 + (j * bits + b) % 32, 1, code >> b & 1);
            const size_t k = o * w->groups + w->g_idx[j];
            w->want[o * in + j] = w->scales[k] * ((float)code - w->zeros[k]);
        }
        for (size_t k = 0; k < w->groups; k++) {
            put_float(s + (k * out + o) * size, type, w->scales[o * w->groups + k]);
            packed_put_bits(z + k * columns * 4, at, bits, (unsigned)w->zeros[o * w->groups + k] - form.plus);
        }
    }
    snprintf(
        f->config, sizeof f->config,
        "{\"quantization_config\": {\"quant_method\": \"%s\", \"bits\": %u, \"group_size\": %d, \"desc_act\": %s%s}}",
        form.awq ? "awq" : "gptq", bits, group ? (int)group : -1, form.mixed ? "true" : "false",
        form.awq || form.plus ? "" : ", \"checkpoint_format\": \"gptq_v2\"");
}

/* ---- reading ---- */

void packed_same_floats(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t first, size_t n)
{
    float *got = malloc(n * 4 + 1);
    fvlm_err e = {0};
    const fvlm_status st = fvlm_source_read(src, t, 4 * first, 4 * n, got, &e);
    if (st) fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        if (fvlm_f32_bits(got[i]) != fvlm_f32_bits(w->want[first + i]))
            fail_msg("%s: element %zu is %a, expected %a", t->origin, (size_t)first + i, (double)got[i],
                     (double)w->want[first + i]);
    free(got);
}

static void same_codes(const fvlm_source *src, const fvlm_source_tensor *t)
{
    const size_t group = t->codes.group ? t->codes.group : w->in, groups = (w->in + group - 1) / group;
    uint8_t *codes = malloc(w->out * w->in);
    float *scales = malloc(w->out * groups * 4);
    double *offsets = malloc(w->out * groups * 8);
    fvlm_err err;
    must(fvlm_source_read_codes(src, t, 0, w->out, (fvlm_source_codes){codes, scales, offsets}, &err), &err);
    for (size_t i = 0; i < w->out * w->in; i++) {
        const size_t g = i / w->in * groups + i % w->in / group;
        const double x = (double)scales[g] * codes[i] + offsets[g], off = fabs(x - (double)w->want[i]);
        if (codes[i] >> t->codes.bits) fail_msg("%s: a code beyond %u bits", t->origin, t->codes.bits);
        if (!t->codes.asymmetric) assert_true(offsets[g] == -(double)scales[g] * (1 << (t->codes.bits - 1)));
        /* in f32, product and sum are rounded */
        if (!(off <= (fabs((double)scales[g]) * codes[i] + fabs(offsets[g])) * 0x1p-23))
            fail_msg("%s: code %zu: %a", t->origin, i, x);
    }
    free(codes);
    free(scales);
    free(offsets);
}

void packed_check(const char *type, bool fits)
{
    fvlm_source *src;
    fvlm_err err;
    char name[24] = "none";
    must(packed_open(&src, &err), &err);
    const fvlm_source_tensor *t = fvlm_source_find(src, X ".weight");
    assert_non_null(t);
    assert_int_equal(fvlm_source_n_tensors(src), 3);
    assert_true(t->packed && t->rank == 2 && t->dims[0] == w->out && t->dims[1] == w->in);
    assert_true(t->type == FVLM_SOURCE_F32 && t->n_bytes == 4 * t->n_elems);
    if (t->codes.kind) fvlm_type_name(t->codes, name);
    assert_string_equal(name, type);
    assert_int_equal(t->dequantized, !fits);
    packed_same_floats(src, t, 0, w->out * w->in);
    for (int i = 0; i < 12; i++) {
        const uint64_t first = test_below(&f->rng, w->out * w->in);
        packed_same_floats(src, t, first, 1 + test_below(&f->rng, w->out * w->in - first));
    }
    if (fits) same_codes(src, t);
    fvlm_source_close(&src);
}
