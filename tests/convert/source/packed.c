/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: packed weights are read as the floats of a slow twin, and their codes as the same values; whatever part of a
 * row is read, by however many threads. What does not fit is refused in exact words, and damage never crashes. Against
 * MLX, GPTQModel and AutoAWQ themselves: tests/oracle/test_packed.py. */
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "convert/source/views.h"
#include "tests/support/check.h"
#include "tests/support/own_malloc.h"
#include "tests/support/support.h"

/* ---- a folder ---- */

typedef struct {
    char name[64], type[8];
    unsigned rank;
    uint64_t dims[3];
    uint8_t *bytes;
    size_t n_bytes;
} part;

static struct {
    part parts[16];
    size_t n;
    char config[512];
} f;

static char folder[256];
static fvlm_err err;
static test_rng rng = {88172645463325252u};

static bool armed;
static size_t allocations, failing;

bool test_allocation_fails(void)
{
    return armed && ++allocations == failing;
}

static part *find_part(const char *name)
{
    for (size_t i = 0; i < f.n; i++)
        if (!strcmp(f.parts[i].name, name)) return &f.parts[i];
    fail_msg("no part %s", name);
    return NULL;
}

static void clear(void)
{
    for (size_t i = 0; i < f.n; i++) free(f.parts[i].bytes);
    memset(&f, 0, sizeof f);
}

/* A tensor of zeros. A dimension of 0 ends the shape. */
static uint8_t *add(const char *name, const char *type, size_t size, uint64_t d0, uint64_t d1)
{
    part *p = &f.parts[f.n++];
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->type, sizeof p->type, "%s", type);
    p->rank = d1 ? 2 : 1;
    p->dims[0] = d0, p->dims[1] = d1;
    p->n_bytes = size * (size_t)(d0 * (d1 ? d1 : 1));
    p->bytes = calloc(p->n_bytes + 1, 1);
    return p->bytes;
}

/* The file of all parts; malloc'd. */
static uint8_t *file_bytes(size_t *n_bytes)
{
    char *header = malloc(8192);
    size_t n = 0, at = 0;
    header[n++] = '{';
    for (size_t i = 0; i < f.n; i++) {
        const part *p = &f.parts[i];
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
    for (size_t i = 0; i < f.n; i++) {
        memcpy(to, f.parts[i].bytes, f.parts[i].n_bytes);
        to += f.parts[i].n_bytes;
    }
    *n_bytes = (size_t)(to - all);
    return all;
}

static void write_named(const char *name, const void *bytes, size_t n)
{
    char *path = test_path(folder, name);
    assert_true(test_write_file(path, bytes, n));
    free(path);
}

static void write_folder(void)
{
    size_t n;
    uint8_t *bytes = file_bytes(&n);
    write_named("model.safetensors", bytes, n);
    write_named("config.json", f.config, strlen(f.config));
    free(bytes);
}

static fvlm_status open_source(fvlm_source **src)
{
    write_folder();
    err = (fvlm_err){0};
    return fvlm_source_open(src, folder, &err);
}

/* ---- forms, written and read by formulas one bit at a time ---- */

enum { MAX = 1 << 16 };

/* A weight: what it means. */
static struct {
    size_t out, in, group, groups;
    unsigned bits;
    uint8_t codes[MAX];                       /* [out][in] */
    float scales[MAX], zeros[MAX], want[MAX]; /* [out][groups]; [out][in] */
    uint32_t g_idx[1024];
} w;

static void put_bits(uint8_t *stream, size_t first_bit, unsigned bits, unsigned value)
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

/* Every checkpoint has a tower and a language model. */
static void start(void)
{
    clear();
    add("a.vision_tower.b", "F32", 4, 1, 0);
    add("model.layers.0.c", "F32", 4, 1, 0);
}

#define X "model.layers.0.mlp.up_proj"

static void set_weight(size_t out, size_t in, size_t group, unsigned bits, const char *type, unsigned n_zeros)
{
    w.out = out, w.in = in, w.bits = bits;
    w.group = group ? group : in;
    w.groups = (in + w.group - 1) / w.group;
    assert_true(out * in <= MAX);
    for (size_t i = 0; i < out * in; i++) w.codes[i] = (uint8_t)test_below(&rng, 1u << bits);
    for (size_t i = 0; i < out * w.groups; i++) {
        w.scales[i] = rounded(0.01f * test_normal(&rng), type);
        w.zeros[i] = n_zeros ? (float)(1 + test_below(&rng, n_zeros)) : rounded(0.1f * test_normal(&rng), type);
    }
    for (size_t j = 0; j < in; j++) w.g_idx[j] = (uint32_t)(j / w.group);
}

static void make_mlx(size_t out, size_t in, size_t group, unsigned bits, const char *type)
{
    start();
    set_weight(out, in, group, bits, type, 0);
    const size_t size = float_size(type), row = in * bits / 8;
    uint8_t *q = add(X ".weight", "U32", 4, out, row / 4), *s = add(X ".scales", type, size, out, w.groups);
    uint8_t *b = add(X ".biases", type, size, out, w.groups);
    for (size_t i = 0; i < out * in; i++) put_bits(q + i / in * row, i % in * bits, bits, w.codes[i]);
    for (size_t i = 0; i < out * w.groups; i++) {
        put_float(s + i * size, type, w.scales[i]);
        put_float(b + i * size, type, w.zeros[i]);
    }
    for (size_t i = 0; i < out * in; i++) {
        const size_t g = i / in * w.groups + i % in / w.group;
        const float product = w.scales[g] * (float)w.codes[i];
        w.want[i] = product + w.zeros[g];
    }
    snprintf(f.config, sizeof f.config, "{\"quantization\": {\"bits\": %u, \"group_size\": %zu}}", bits, group);
}

typedef struct {
    bool awq, plus, mixed, symmetric;
} column_form;

static void make_columns(size_t out, size_t in, size_t group, unsigned bits, const char *type, column_form form)
{
    static const unsigned order[] = {0, 2, 4, 6, 1, 3, 5, 7};
    start();
    set_weight(out, in, group, bits, type, (1u << bits) - 1);
    const size_t size = float_size(type), columns = out * bits / 32;
    if (form.symmetric)
        for (size_t i = 0; i < out * w.groups; i++) w.zeros[i] = (float)(1u << (bits - 1));
    if (form.mixed)
        for (size_t j = in; j-- > 1;) {
            const size_t k = test_below(&rng, j + 1);
            const uint32_t swap = w.g_idx[j];
            w.g_idx[j] = w.g_idx[k], w.g_idx[k] = swap;
        }
    uint8_t *q = form.awq ? add(X ".qweight", "I32", 4, in, columns) : add(X ".qweight", "I32", 4, in * bits / 32, out);
    uint8_t *s = add(X ".scales", type, size, w.groups, out), *z = add(X ".qzeros", "I32", 4, w.groups, columns);
    uint8_t *g = form.awq ? NULL : add(X ".g_idx", "I32", 4, in, 0);
    for (size_t j = 0; g && j < in; j++) fvlm_store_u32(g + 4 * j, w.g_idx[j]);
    for (size_t o = 0; o < out; o++) {
        size_t nibble = 0;
        while (order[nibble] != o % 8) nibble++;
        const size_t at = form.awq ? o / 8 * 32 + 4 * nibble : o * bits; /* of zero points: a bit of a row */
        for (size_t j = 0; j < in; j++) {
            const unsigned code = w.codes[o * in + j];
            if (form.awq) put_bits(q + j * columns * 4, at, 4, code);
            for (unsigned b = 0; b < bits && !form.awq; b++)
                put_bits(q, ((j * bits + b) / 32 * out + o) * 32 + (j * bits + b) % 32, 1, code >> b & 1);
            const size_t k = o * w.groups + w.g_idx[j];
            w.want[o * in + j] = w.scales[k] * ((float)code - w.zeros[k]);
        }
        for (size_t k = 0; k < w.groups; k++) {
            put_float(s + (k * out + o) * size, type, w.scales[o * w.groups + k]);
            put_bits(z + k * columns * 4, at, bits, (unsigned)w.zeros[o * w.groups + k] - form.plus);
        }
    }
    snprintf(
        f.config, sizeof f.config,
        "{\"quantization_config\": {\"quant_method\": \"%s\", \"bits\": %u, \"group_size\": %d, \"desc_act\": %s%s}}",
        form.awq ? "awq" : "gptq", bits, group ? (int)group : -1, form.mixed ? "true" : "false",
        form.awq || form.plus ? "" : ", \"checkpoint_format\": \"gptq_v2\"");
}

/* ---- reading ---- */

static void same_floats(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t first, size_t n)
{
    float *got = malloc(n * 4 + 1);
    fvlm_err e = {0};
    const fvlm_status st = fvlm_source_read(src, t, 4 * first, 4 * n, got, &e);
    if (st) fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        if (fvlm_f32_bits(got[i]) != fvlm_f32_bits(w.want[first + i]))
            fail_msg("%s: element %zu is %a, expected %a", t->origin, (size_t)first + i, (double)got[i],
                     (double)w.want[first + i]);
    free(got);
}

static void same_codes(const fvlm_source *src, const fvlm_source_tensor *t)
{
    const size_t group = t->codes.group ? t->codes.group : w.in, groups = (w.in + group - 1) / group;
    uint8_t *codes = malloc(w.out * w.in);
    float *scales = malloc(w.out * groups * 4);
    double *offsets = malloc(w.out * groups * 8);
    must(fvlm_source_read_codes(src, t, 0, w.out, (fvlm_source_codes){codes, scales, offsets}, &err), &err);
    for (size_t i = 0; i < w.out * w.in; i++) {
        const size_t g = i / w.in * groups + i % w.in / group;
        const double x = (double)scales[g] * codes[i] + offsets[g], off = fabs(x - (double)w.want[i]);
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

static void check_weight(const char *type, bool fits)
{
    fvlm_source *src;
    char name[24] = "none";
    must(open_source(&src), &err);
    const fvlm_source_tensor *t = fvlm_source_find(src, X ".weight");
    assert_non_null(t);
    assert_int_equal(fvlm_source_n_tensors(src), 3);
    assert_true(t->packed && t->rank == 2 && t->dims[0] == w.out && t->dims[1] == w.in);
    assert_true(t->type == FVLM_SOURCE_F32 && t->n_bytes == 4 * t->n_elems);
    if (t->codes.kind) fvlm_type_name(t->codes, name);
    assert_string_equal(name, type);
    assert_int_equal(t->dequantized, !fits);
    same_floats(src, t, 0, w.out * w.in);
    for (int i = 0; i < 12; i++) {
        const uint64_t first = test_below(&rng, w.out * w.in);
        same_floats(src, t, first, 1 + test_below(&rng, w.out * w.in - first));
    }
    if (fits) same_codes(src, t);
    fvlm_source_close(&src);
}

static void mlx(void **state)
{
    (void)state;
    static const unsigned bits[] = {2, 3, 4, 5, 6, 8};
    static const char *const types[] = {"F16", "BF16", "F32"};
    for (size_t i = 0; i < 18; i++) {
        const size_t group = (size_t)32 << i % 3;
        char type[64];
        make_mlx(19, 384, group, bits[i / 3], types[(i + i / 3) % 3]);
        snprintf(type, sizeof type, "int%d-asym-g%zu", bits[i / 3] <= 4 ? 4 : 8, group);
        check_weight(type, true);
    }
}

/* Values of e2m1 and e4m3 from their definition. */
static float small_float(unsigned x, unsigned exponents, unsigned mantissas, int bias)
{
    const unsigned m = x & ((1u << mantissas) - 1), e = x >> mantissas & ((1u << exponents) - 1);
    const double v =
        e ? ldexp(1 + m / (double)(1u << mantissas), (int)e - bias) : ldexp(m / (double)(1u << mantissas), 1 - bias);
    return (float)(x >> (exponents + mantissas) & 1 ? -v : v);
}

static void mlx_floats(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *type;
        unsigned bits;
        size_t group;
    } modes[] = {{"mxfp4", "int8-sym-g32", 4, 32}, {"mxfp8", "none", 8, 32}, {"nvfp4", "none", 4, 16}};
    for (size_t m = 0; m < 3; m++) {
        start();
        set_weight(5, 256, modes[m].group, modes[m].bits, "F32", 0);
        uint8_t *q = add(X ".weight", "U32", 4, w.out, w.in * w.bits / 32),
                *s = add(X ".scales", "U8", 1, w.out, w.groups);
        for (size_t i = 0; i < w.out * w.groups; i++)
            s[i] = (uint8_t)(m == 2 ? test_below(&rng, 127) : i < 4 ? i : 100 + i % 50);
        for (size_t i = 0; i < w.out * w.in; i++) {
            if (w.bits == 8 && (w.codes[i] & 127) == 127) w.codes[i] = 0;
            put_bits(q + i / w.in * w.in * w.bits / 8, i % w.in * w.bits, w.bits, w.codes[i]);
            const unsigned x = s[i / w.in * w.groups + i % w.in / w.group];
            const float scale = m == 2 ? small_float(x, 4, 3, 7) : (float)ldexp(1, (int)x - 127);
            w.want[i] = scale * (w.bits == 4 ? small_float(w.codes[i], 2, 1, 1) : small_float(w.codes[i], 4, 3, 7));
        }
        snprintf(f.config, sizeof f.config, "{\"quantization\": {\"mode\": \"%s\"}}", modes[m].mode);
        check_weight(modes[m].type, m == 0);
    }
}

static void gptq(void **state)
{
    (void)state;
    static const unsigned bits[] = {2, 3, 4, 8};
    static const char *const types[] = {"F16", "BF16", "F32"};
    for (size_t i = 0; i < 4 * 2 * 2 * 5; i++) {
        const size_t groups[] = {32, 64, 128, 0, 48}, group = groups[i % 5];
        const bool symmetric = i / 5 % 2, mixed = i / 10 % 2 && group;
        const unsigned b = bits[i / 20];
        char type[64], *end = type + sprintf(type, "int%d-%s", b <= 4 ? 4 : 8, symmetric ? "sym" : "asym");
        /* 160 columns: slabs and words end inside */
        make_columns(160, 384, group, b, types[i % 3],
                     (column_form){.plus = i % 2 && b > 2, .mixed = mixed, .symmetric = symmetric});
        snprintf(end, 32, group ? "-g%zu" : "-row", group);
        check_weight(mixed || group == 48 ? "none" : type, !(mixed || group == 48));
    }
}

static void awq(void **state)
{
    (void)state;
    static const size_t groups[] = {32, 64, 128, 0};
    for (size_t i = 0; i < 4; i++) {
        char type[64] = "int4-asym-row";
        if (groups[i]) snprintf(type, sizeof type, "int4-asym-g%zu", groups[i]);
        make_columns(72, 256, groups[i], 4, "F16", (column_form){.awq = true});
        check_weight(type, true);
    }
}

/* Slabs of columns: a tensor wider than one, read by several threads at once. */
static void *read_rows(void *ctx)
{
    fvlm_source *src = ctx;
    const fvlm_source_tensor *t = fvlm_source_find(src, X ".weight");
    for (size_t i = 0; i < 6; i++) same_floats(src, t, i % 4 * w.out / 4 * w.in, w.out / 4 * w.in);
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[20]; /* more than slabs are kept */
    fvlm_source *src;
    make_columns(1024, 64, 32, 4, "F16", (column_form){.plus = true});
    must(open_source(&src), &err);
    for (size_t i = 0; i < 20; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_rows, src), 0);
    for (size_t i = 0; i < 20; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    fvlm_source_close(&src);
}

/* ---- refusals ---- */

/* The folder's verdict, with "F" for the folder. */
static const char *verdict(void)
{
    static char text[sizeof err.msg];
    fvlm_source *src;
    if (!open_source(&src)) {
        fvlm_source_close(&src);
        return "accepted";
    }
    char *to = text;
    for (const char *from = err.msg; *from;)
        if (!strncmp(from, folder, strlen(folder)))
            from += strlen(folder), *to++ = 'F';
        else
            *to++ = *from++;
    *to = 0;
    return text;
}

static void refused(const char *message)
{
    const char *got = verdict();
    if (strcmp(got, message)) fail_msg("\n got      %s\n expected %s", got, message);
}

static void drop(const char *name)
{
    part *p = find_part(name);
    free(p->bytes);
    memmove(p, p + 1, (size_t)(&f.parts[--f.n] - p) * sizeof *p);
}

static void reshape(const char *name, uint64_t d0, uint64_t d1, size_t size)
{
    part *p = find_part(name);
    p->rank = d1 ? 2 : 1;
    p->dims[0] = d0, p->dims[1] = d1;
    p->n_bytes = size * (size_t)(d0 * (d1 ? d1 : 1));
    p->bytes = realloc(p->bytes, p->n_bytes + 1);
    memset(p->bytes, 0, p->n_bytes);
}

static void retype(const char *name, const char *type)
{
    snprintf(find_part(name)->type, 8, "%s", type);
}

#define FLOAT "give the checkpoint it was made from (BF16, F16 or F32)"
#define AGAIN "; download the folder again"
#define WRONG "; config.json has the wrong bits or group size"

static void fresh_mlx(const char *config)
{
    make_mlx(8, 128, 64, 4, "F16");
    if (config) snprintf(f.config, sizeof f.config, "%s", config);
}

static void refused_mlx(const char *config, const char *message)
{
    fresh_mlx(config);
    refused(message);
}

static void mlx_refusals(void **state)
{
    (void)state;
    fresh_mlx(NULL);
    assert_string_equal(verdict(), "accepted");
    drop(X ".scales");
    refused("tensor \"" X ".weight\" is packed (U32), but has no scales beside it" AGAIN);
    fresh_mlx(NULL), drop(X ".biases");
    refused("tensor \"" X ".weight\" has scales, but no biases beside them");
    fresh_mlx(NULL), drop(X ".weight");
    refused("tensor \"" X ".biases\" belongs to no packed weight: neither \"" X ".weight\" of type U32 nor \"" X
            ".qweight\" is there" AGAIN);
    fresh_mlx(NULL), retype(X ".weight", "I32");
    refused("tensor \"" X ".biases\" belongs to no packed weight: neither \"" X ".weight\" of type U32 nor \"" X
            ".qweight\" is there" AGAIN);
    fresh_mlx(NULL), retype(X ".scales", "I16");
    refused("tensor \"" X ".scales\" is I16 [8, 2], expected a matrix of F16, BF16 or F32");
    fresh_mlx(NULL), reshape(X ".weight", 128, 0, 4);
    refused("tensor \"" X ".weight\" is U32 [128], expected a matrix of U32");
    fresh_mlx(NULL), reshape(X ".weight", 8, 15, 4);
    refused("tensor \"" X ".weight\", U32 [8, 15], holds 120 inputs of 4 bits; \"" X
            ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    fresh_mlx(NULL), reshape(X ".scales", 7, 2, 2);
    refused("tensor \"" X ".weight\", U32 [8, 16], holds 128 inputs of 4 bits; \"" X
            ".scales\", F16 [7, 2], does not fit them in groups of 64" WRONG);
    fresh_mlx(NULL), reshape(X ".biases", 8, 1, 2);
    refused("tensor \"" X ".biases\" is F16 [8, 1], expected [8, 2]");
    refused_mlx("{\"quantization\": {\"bits\": 8, \"group_size\": 64}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 64 inputs of 8 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    refused_mlx("{\"quantization\": {\"bits\": 3, \"group_size\": 64}}",
                "tensor \"" X ".weight\", U32 [8, 16], does not hold whole inputs of 3 bits");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 32}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 128 inputs of 4 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 32" WRONG);
    refused_mlx("{\"quantization\": {\"bits\": 7, \"group_size\": 64}}",
                "\"config.json\": \"quantization\": MLX has no affine of 7 bits in groups of 64");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 48}}",
                "\"config.json\": \"quantization\": MLX has no affine of 4 bits in groups of 48");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"mode\": \"mxfp4\"}}",
                "\"config.json\": \"quantization\": MLX has no mxfp4 of 4 bits in groups of 64");
    refused_mlx("{\"quantization\": {\"mode\": \"nvfp4\"}}",
                "tensor \"" X ".scales\" is F16 [8, 2], expected a matrix of U8");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"mode\": \"fp5\"}}",
                "\"config.json\": \"quantization\": \"mode\" is \"fp5\"; affine, mxfp4, mxfp8 and nvfp4 are read");
    refused_mlx("{\"quantization\": {\"group_size\": 64}}",
                "\"config.json\": \"quantization\": \"bits\" is missing, expected a whole number");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"planes\": 2}}",
                "\"config.json\": \"quantization\": \"planes\" is not known; " FLOAT);
    refused_mlx("{\"quantization\": 4}", "\"config.json\": \"quantization\" is not an object");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64}, \"quantization_config\": {\"bits\": 8}}",
                "\"config.json\": \"quantization\" and \"quantization_config\" differ; remove the wrong one");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"" X "\": false}}",
                "\"config.json\": \"quantization\": \"" X "\" is false, but tensor \"" X
                ".scales\" says that it is quantized");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"" X "\": {\"bits\": 8, \"group_size\": 64}}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 64 inputs of 8 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    refused_mlx("{}", "tensor \"" X ".weight\" is packed, but \"config.json\" is missing, damaged or without "
                      "\"quantization\": bits and group size are not known");
    /* "quantization_config" means the same, and a module's own setting goes first */
    fresh_mlx("{\"quantization_config\": {\"bits\": 2, \"group_size\": 32, \"" X
              "\": {\"bits\": 4, \"group_size\": 64}}}");
    assert_string_equal(verdict(), "accepted");
}

/* Writes a GPTQ checkpoint, symmetric, of 4 bits, with this in place of the config's end. */
static void fresh_gptq(const char *more)
{
    make_columns(32, 128, 64, 4, "F16", (column_form){.plus = true});
    if (more) snprintf(f.config, sizeof f.config, "{\"quantization_config\": {\"quant_method\": \"gptq\", %s}}", more);
}

static void refused_gptq(const char *more, const char *message)
{
    fresh_gptq(more);
    refused(message);
}

#define Q "\"config.json\": \"quantization_config\": "

static void gptq_refusals(void **state)
{
    (void)state;
    fresh_gptq(NULL);
    assert_string_equal(verdict(), "accepted");
    fvlm_store_u32(find_part(X ".g_idx")->bytes + 4 * 77, 2);
    refused("tensor \"" X ".g_idx\": input 77 is in group 2, but there are 2 groups");
    fvlm_store_u32(find_part(X ".g_idx")->bytes + 4 * 77, (uint32_t)-1);
    refused("tensor \"" X ".g_idx\": input 77 is in group -1, but there are 2 groups");
    fresh_gptq(NULL), reshape(X ".g_idx", 127, 0, 4);
    refused("tensor \"" X ".g_idx\" is I32 [127], expected I32 [128]");
    fresh_gptq(NULL), drop(X ".scales");
    refused("tensor \"" X ".qweight\" has no scales beside it");
    fresh_gptq(NULL), drop(X ".qzeros");
    refused("tensor \"" X ".qweight\" has no qzeros beside it");
    fresh_gptq(NULL), drop(X ".qweight");
    refused("tensor \"" X ".g_idx\" belongs to no packed weight: neither \"" X ".weight\" of type U32 nor \"" X
            ".qweight\" is there" AGAIN);
    fresh_gptq(NULL), retype(X ".qweight", "F32");
    refused("tensor \"" X ".qweight\" is F32 [16, 32], expected a matrix of I32");
    fresh_gptq(NULL), reshape(X ".qzeros", 2, 5, 4);
    refused("tensor \"" X ".qzeros\" is I32 [2, 5], expected [2, 4]");
    fresh_gptq(NULL), reshape(X ".qweight", 16, 31, 4);
    refused("tensor \"" X ".qweight\" is I32 [16, 31], expected [any, 32]");
    fresh_gptq(NULL), reshape(X ".scales", 2, 33, 2);
    refused("tensor \"" X ".scales\": 33 outputs of 4 bits do not fill words of 32 bits");
    fresh_gptq(NULL), memset(find_part(X ".qzeros")->bytes, 0x77, 32), find_part(X ".qzeros")->bytes[17] = 0xf7;
    refused("tensor \"" X ".qzeros\": group 1, output 3: a zero point of 15, which version 1 of GPTQ means as 16 or 0, "
            "depending on the program; save it as gptq_v2");
    fresh_gptq(NULL), add(X ".weight", "F32", 4, 32, 128);
    refused("tensors \"" X ".qweight\" and \"" X ".weight\" are weights of one module");
    refused_gptq("\"bits\": 4, \"group_size\": 48",
                 "tensor \"" X ".qweight\", I32 [16, 32], holds 128 inputs of 4 bits; \"" X
                 ".scales\", F16 [2, 32], does not fit them in groups of 48" WRONG);
    refused_gptq("\"bits\": 8, \"group_size\": 64", "tensor \"" X ".qzeros\" is I32 [2, 4], expected [2, 8]");
    refused_gptq("\"bits\": 5, \"group_size\": 64", Q "\"bits\" must be 2, 3, 4 or 8; " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 0", Q "\"group_size\" must be a positive number, or -1");
    refused_gptq("\"bits\": 4", Q "\"group_size\" must be a positive number, or -1");
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"checkpoint_format\": \"marlin\"", Q
                 "\"checkpoint_format\" is \"marlin\"; of GPTQ only gptq and gptq_v2 is read; save it in that layout, "
                 "or " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"pack_dtype\": \"int64\"",
                 Q "\"pack_dtype\" must be \"int32\"; " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"is_marlin_format\": true",
                 Q "\"is_marlin_format\" is not supported; " FLOAT);
    fresh_gptq("\"bits\": 4, \"group_size\": 64, \"desc_act\": true"), drop(X ".g_idx");
    refused("tensor \"" X ".qweight\" has no g_idx beside it, although config.json says \"desc_act\"");
    fresh_gptq(NULL), snprintf(f.config, sizeof f.config, "{}");
    refused("tensor \"" X
            ".qweight\" is packed by GPTQ or AWQ, but \"config.json\" has no \"quantization_config\" with "
            "\"quant_method\" gptq or awq: how it is packed is not known");
    /* without g_idx the inputs are in order; "dynamic" lets the shapes tell bits and groups */
    fresh_gptq(NULL), drop(X ".g_idx");
    assert_string_equal(verdict(), "accepted");
    fresh_gptq("\"bits\": 8, \"group_size\": 128, \"dynamic\": {\"+:.*up_proj\": {\"bits\": 4, \"group_size\": 64}}");
    check_weight("int4-asym-g64", true);
}

static void refused_awq(const char *more, const char *message)
{
    make_columns(32, 128, 64, 4, "F16", (column_form){.awq = true});
    snprintf(f.config, sizeof f.config, "{\"quantization_config\": {\"quant_method\": \"awq\", %s}}", more);
    refused(message);
}

static void other_refusals(void **state)
{
    (void)state;
    refused_awq("\"bits\": 8, \"group_size\": 64", Q "\"bits\" must be 4; " FLOAT);
    refused_awq("\"bits\": 4, \"group_size\": 64, \"version\": \"gemv_fast\"",
                Q "\"version\" is \"gemv_fast\"; of AWQ only gemm is read; save it in that layout, or " FLOAT);
    refused_awq("\"bits\": 4, \"group_size\": 128",
                "tensor \"" X ".qweight\", I32 [128, 4], holds 128 inputs of 4 bits; \"" X
                ".scales\", F16 [2, 32], does not fit them in groups of 128" WRONG);
    refused_awq("\"w_bit\": 4, \"q_group_size\": 64", "accepted");
    make_columns(32, 128, 64, 4, "F16", (column_form){.awq = true});
    add(X ".g_idx", "I32", 4, 128, 0);
    refused("tensor \"" X ".g_idx\": AWQ has no g_idx; is \"quant_method\" gptq?");
    static const char *const advice[][2] = {
        {"bitsandbytes", "load it in transformers, call dequantize(), then save_pretrained, and give the result"},
        {"compressed-tensors", "load it in transformers with CompressedTensorsConfig(run_compressed=False), "
                               "save_pretrained, and give the result"},
        {"fp8",
         "load it in transformers with FineGrainedFP8Config(dequantize=True), save_pretrained, and give the result"},
        {"mxfp4", "load it in transformers with Mxfp4Config(dequantize=True), save_pretrained, and give the result"},
        {"auto-round", "export it again in the format auto_gptq or auto_awq, or " FLOAT},
        {"hqq", FLOAT},
        {"torchao", FLOAT},
    };
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
        char message[512];
        fresh_mlx(NULL);
        snprintf(f.config, sizeof f.config, "{\"quantization_config\": {\"quant_method\": \"%s\"}}", advice[i][0]);
        snprintf(
            message, sizeof message,
            "\"F\" is quantized by a method that is not read (config.json: \"quantization_config.quant_method\" is "
            "\"%s\"; MLX, gptq and awq are); %s",
            advice[i][0], advice[i][1]);
        refused(message);
    }
    start(); /* a setting without a packed weight is told, and changes nothing */
    snprintf(f.config, sizeof f.config, "{\"quantization\": {\"bits\": 4, \"group_size\": 64}}");
    fvlm_source *src;
    must(open_source(&src), &err);
    assert_string_equal(fvlm_source_warning_at(src, 0), "config.json says that the weights are quantized, but none is "
                                                        "packed; they are taken as they are");
    fvlm_source_close(&src);
}

/* ---- damage ---- */

/* Opens the folder and reads all that it has: refused with a message, or read to the end. */
static bool reads_all(void)
{
    fvlm_source *src;
    err = (fvlm_err){0};
    fvlm_status st = fvlm_source_open(&src, folder, &err);
    for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(src, i);
        assert_true(t->n_bytes <= 1 << 22); /* of files this small */
        uint8_t *all = malloc((size_t)t->n_bytes + 1);
        if (all) st = fvlm_source_read(src, t, 0, (size_t)t->n_bytes, all, &err);
        free(all);
        if (!st && t->codes.kind) {
            const size_t rows = (size_t)t->dims[0], columns = (size_t)t->dims[1];
            uint8_t *codes = malloc(rows * columns);
            float *scales = malloc(rows * columns * 4);
            double *offsets = malloc(rows * columns * 8);
            if (codes && scales && offsets)
                st = fvlm_source_read_codes(src, t, 0, rows, (fvlm_source_codes){codes, scales, offsets}, &err);
            for (size_t k = 0; codes && !st && k < rows * columns; k++) assert_true(codes[k] >> t->codes.bits == 0);
            free(codes);
            free(scales);
            free(offsets);
        }
    }
    const bool opened = src != NULL;
    if (opened) fvlm_source_close(&src);
    if (st) assert_true(err.code == st && err.msg[0]);
    return !st;
}

static void make_form(size_t i)
{
    if (i == 0) make_mlx(8, 64, 32, 3, "BF16");
    if (i == 1) make_columns(32, 64, 32, 3, "F16", (column_form){.mixed = true});
    if (i == 2) make_columns(32, 64, 32, 4, "F16", (column_form){.awq = true});
}

static void damage(void **state)
{
    (void)state;
    for (size_t form = 0; form < 3; form++) {
        size_t n, accepted = 0, cuts = 0;
        make_form(form);
        write_folder();
        assert_true(reads_all());
        uint8_t *bytes = file_bytes(&n);
        for (size_t cut = 0; cut < n; cut += cut < 500 ? 1 : 29, cuts++) {
            write_named("model.safetensors", bytes, cut);
            if (reads_all()) fail_msg("cut to %zu of %zu bytes: accepted", cut, n);
        }
        for (size_t i = 0; i < 800; i++) {
            uint8_t *copy = malloc(n);
            memcpy(copy, bytes, n);
            const size_t end = i % 3 ? 8 + (size_t)fvlm_load_u64(bytes) : n; /* the header, mostly */
            for (size_t k = 0; k < 1 + i % 2; k++)
                copy[8 + test_below(&rng, end - 8)] ^= (uint8_t)(1u << test_below(&rng, 8));
            write_named("model.safetensors", copy, n);
            accepted += reads_all();
            free(copy);
        }
        write_named("model.safetensors", bytes, n);
        for (size_t i = 0; i < 300; i++) {
            char config[512];
            memcpy(config, f.config, sizeof config);
            config[test_below(&rng, strlen(config))] ^= (char)(1 << test_below(&rng, 7));
            write_named("config.json", config, strlen(config));
            accepted += reads_all();
        }
        free(bytes);
        print_message("# %zu truncations refused; %zu of 1100 changes accepted\n", cuts, accepted);
        assert_true(accepted > 40 && accepted < 800); /* of data, of names */
    }
}

static void failing_allocations(void **state)
{
    (void)state;
    for (size_t form = 0; TEST_OWNS_MALLOC && form < 3; form++) {
        make_form(form);
        write_folder();
        for (failing = 1;; failing++) {
            allocations = 0;
            armed = true;
            fvlm_source *src;
            err = (fvlm_err){0};
            fvlm_status st = fvlm_source_open(&src, folder, &err);
            float x[64];
            for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++)
                st = fvlm_source_read(src, fvlm_source_tensor_at(src, i), 0, 4, x, &err);
            armed = false;
            if (src) fvlm_source_close(&src);
            if (st) assert_true(err.code == st && err.msg[0]);
            if (allocations < failing) break; /* none failed */
            /* what cannot be told for lack of memory is left out: warnings */
        }
        print_message("# %zu allocations\n", failing - 1);
        assert_true(failing > 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx),           cmocka_unit_test(mlx_floats),
        cmocka_unit_test(gptq),          cmocka_unit_test(awq),
        cmocka_unit_test(many_threads),  cmocka_unit_test(mlx_refusals),
        cmocka_unit_test(gptq_refusals), cmocka_unit_test(other_refusals),
        cmocka_unit_test(damage),        cmocka_unit_test(failing_allocations),
    };
    test_folder(folder);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clear();
    return failed;
}
