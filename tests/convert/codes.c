/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: weights that a source stores as integers keep their codes. Scales that bf16 can hold: every value is bit for
 * bit what the source means; others: the values change by exactly the error that is reported. The layout is that of
 * decode.h. A filled layer scale folds nothing. */
#include <math.h>

#include "convert/pack.h"
#include "convert/source/views.h"
#include "format/decode.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

enum { MAX = 1 << 16 };

/* One quantized tensor. */
static struct {
    fvlm_type type;
    size_t rows, columns, groups, group;
    uint8_t codes[MAX];
    float scales[MAX], zeros[MAX];
    unsigned n_closed;
} q;

static float value(size_t row, size_t column)
{
    const size_t g = row * q.groups + column / q.group;
    return q.scales[g] * ((float)q.codes[row * q.columns + column] - q.zeros[g]);
}

static fvlm_status read_floats(const void *ctx, size_t view, uint64_t at, size_t n_bytes, void *out, fvlm_err *err)
{
    (void)ctx, (void)view, (void)err;
    assert_int_equal(at % 4, 0);
    for (size_t i = 0; i < n_bytes / 4; i++) {
        const size_t e = (size_t)at / 4 + i;
        ((float *)out)[i] = value(e / q.columns, e % q.columns);
    }
    return FVLM_OK;
}

static fvlm_status read_codes(const void *ctx, size_t view, uint64_t first, size_t n, fvlm_source_codes out,
                              fvlm_err *err)
{
    (void)ctx, (void)view, (void)err;
    memcpy(out.codes, q.codes + first * q.columns, n * q.columns);
    memcpy(out.scales, q.scales + first * q.groups, n * q.groups * sizeof(float));
    for (size_t i = first * q.groups; i < (first + n) * q.groups; i++)
        out.offsets[i - first * q.groups] = -(double)q.scales[i] * (double)q.zeros[i];
    return FVLM_OK;
}

static fvlm_status hash(const void *ctx, size_t file, fvlm_hash *out, const fvlm_stop *stop, fvlm_err *err)
{
    (void)ctx, (void)stop, (void)err;
    *out = fvlm_hash_of(&file, 1);
    return FVLM_OK;
}

static const char *path(const void *ctx, size_t file)
{
    (void)file;
    return ctx;
}

static fvlm_status unchanged(const void *ctx, fvlm_status st, fvlm_err *err)
{
    (void)ctx, (void)err;
    return st;
}

static void closed(void *ctx)
{
    (void)ctx;
    q.n_closed++;
}

static const fvlm_source_reader reader = {read_floats, read_codes, hash, path, unchanged, closed};

typedef struct {
    uint8_t bytes[1 << 20];
    size_t n;
} collected;

static fvlm_status collect(void *ctx, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err)
{
    collected *c = ctx;
    (void)err;
    if (id != 0) return FVLM_OK;
    assert_true(n_bytes <= sizeof c->bytes - c->n);
    memcpy(c->bytes + c->n, bytes, n_bytes);
    c->n += n_bytes;
    return FVLM_OK;
}

static char folder[256];

static fvlm_source *open_source(const fvlm_source_tensor *tensors, size_t n)
{
    fvlm_err err;
    fvlm_source *src;
    const fvlm_source_file files[] = {{.name = "x.onnx", .n_bytes = 7}};
    must(fvlm_source_open_bare(&src, folder, &err), &err);
    must(fvlm_source_add_views(src, &reader, folder, tensors, n, files, 1, &err), &err);
    return src;
}

static void set_codes(test_rng *r, fvlm_type type, size_t rows, size_t columns, bool exact)
{
    q.type = type;
    q.rows = rows;
    q.columns = columns;
    q.group = type.group ? type.group : columns;
    q.groups = (columns + q.group - 1) / q.group;
    for (size_t i = 0; i < rows * columns; i++) q.codes[i] = (uint8_t)test_below(r, 1u << type.bits);
    for (size_t i = 0; i < rows * q.groups; i++) {
        float s = test_normal(r) * 0.01f;
        if (exact) s = fvlm_bf16_to_f32(fvlm_f32_to_bf16(s));
        q.scales[i] = s;
        /* A power of two times a scale of bf16 is one, too. */
        q.zeros[i] = !type.asymmetric ? (float)(1 << (type.bits - 1))
                     : exact          ? (float)(1 << test_below(r, type.bits))
                                      : (float)test_below(r, 1u << type.bits);
    }
}

/* Packs a [out, in, k, k] weight of q's codes and compares it with q, value by value. */
static void check_packed(uint64_t out, uint64_t in, uint32_t k, bool exact)
{
    static collected got;
    static float row[MAX];
    fvlm_err err;
    fvlm_source_tensor t = {.name = "w",
                            .type = FVLM_SOURCE_F32,
                            .rank = 4,
                            .dims = {q.rows, in, k, k},
                            .n_elems = q.rows * q.columns,
                            .n_bytes = 4 * q.rows * q.columns,
                            .origin = "file",
                            .codes = q.type};
    fvlm_source *src = open_source(&t, 1);
    fvlm_recipe m = {.name = "m",
                     .layout = FVLM_PANELS,
                     .rank = 4,
                     .dims = {out, in, k, k},
                     .out = out,
                     .in = in,
                     .groups = 1,
                     .k = k,
                     .branch = {{.kernel = fvlm_source_find(src, "w"), .sign = 1, .k = k}},
                     .n_branches = 1};
    fvlm_packing p = {.weight = q.type};
    const fvlm_sink sink = {collect, &got};
    atomic_ullong done = 0;
    got.n = 0;
    must(fvlm_pack_recipe(&m, src, &p, &sink, &done, NULL, &err), &err);
    assert_int_equal(done, fvlm_pack_source_bytes(&m));
    const fvlm_tensor stored = {.name = "m.weight",
                                .type = q.type,
                                .layout = FVLM_PANELS,
                                .rank = 4,
                                .dims = {out, in, k, k},
                                .n_bytes = got.n};
    fvlm_weight w;
    must(fvlm_weight_bind(&w, &stored, got.bytes, &err), &err);
    double wrong = 0, all = 0;
    for (size_t o = 0; o < out; o++) {
        fvlm_weight_row(&w, o, row);
        for (size_t j = 0; j < q.columns; j++) {
            const size_t taps = (size_t)k * k, at = j % taps * (size_t)in + j / taps;
            const size_t g = o * q.groups + j / q.group;
            const double want = (double)q.scales[g] * ((double)q.codes[o * q.columns + j] - (double)q.zeros[g]);
            if (exact && fvlm_f32_bits(row[at] + 0.0f) != fvlm_f32_bits(value(o, j) + 0.0f))
                fail_msg("row %zu, column %zu: %a, expected %a", o, j, (double)row[at], (double)value(o, j));
            wrong += ((double)row[at] - want) * ((double)row[at] - want);
            all += want * want;
        }
    }
    if (exact) assert_true(p.wrong == 0);
    if (!exact) { /* the decoder rounds each value once more, to f32 */
        assert_true(fabs(sqrt(p.wrong / p.all) - sqrt(wrong / all)) < 1e-7);
        assert_true(p.wrong > 0 && (q.type.asymmetric || sqrt(p.wrong / p.all) <= 1.0 / 512)); /* of a bf16 */
    }
    fvlm_source_close(&src);
}

static void every_type(void **state)
{
    (void)state;
    test_rng r = {7};
    static const uint16_t groups[] = {0, 32, 64, 128};
    for (unsigned bits = 4; bits <= 8; bits += 4)
        for (unsigned asymmetric = 0; asymmetric < 2; asymmetric++)
            for (size_t g = 0; g < 4; g++)
                for (int exact = 0; exact < 2; exact++) {
                    const fvlm_type type = {FVLM_INT, (uint8_t)bits, (uint8_t)asymmetric, groups[g]};
                    set_codes(&r, type, 37, 150, exact); /* the last group is short, so is the last panel */
                    check_packed(37, 150, 1, exact);
                    check_packed(21, 150, 1, exact); /* rows that no token reaches */
                }
    set_codes(&r, (fvlm_type){FVLM_INT, 8, 0, 0}, 18, 27, true); /* a convolution: its inputs are reordered */
    check_packed(18, 3, 3, true);
    set_codes(&r, (fvlm_type){FVLM_INT, 4, 0, 0}, 16, 4 * 49, false);
    check_packed(16, 4, 7, false);
}

static void damaged_scales(void **state)
{
    (void)state;
    test_rng r = {11};
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3.4028235e38f};
    for (size_t i = 0; i < 4; i++) {
        fvlm_err err = {0};
        set_codes(&r, (fvlm_type){FVLM_INT, 4, 0, 32}, 20, 64, true);
        q.scales[2 * 17 + 1] = bad[i];
        fvlm_source_tensor t = {.name = "w",
                                .type = FVLM_SOURCE_F32,
                                .rank = 2,
                                .dims = {20, 64},
                                .n_elems = 20 * 64,
                                .n_bytes = 4 * 20 * 64,
                                .codes = q.type};
        fvlm_source *src = open_source(&t, 1);
        fvlm_recipe m = {.name = "m",
                         .layout = FVLM_PANELS,
                         .rank = 2,
                         .dims = {20, 64},
                         .out = 20,
                         .in = 64,
                         .groups = 1,
                         .k = 1,
                         .branch = {{.kernel = fvlm_source_find(src, "w"), .sign = 1, .k = 1}},
                         .n_branches = 1};
        static collected got;
        got.n = 0;
        fvlm_packing p = {.weight = q.type};
        atomic_ullong done = 0;
        assert_int_equal(fvlm_pack_recipe(&m, src, &p, &(fvlm_sink){collect, &got}, &done, NULL, &err), FVLM_BAD_INPUT);
        assert_string_equal(err.msg, "tensor \"w\": the scale of row 17, group 1 is not a finite number, or too large; "
                                     "the file is damaged");
        fvlm_source_close(&src);
    }
}

static void filled_folds_nothing(void **state)
{
    (void)state;
    const fvlm_source_tensor w = {.name = "w", .type = FVLM_SOURCE_F16, .rank = 2, .dims = {4, 4}};
    const fvlm_source_tensor one = {.filled = true, .fill = 1}, zero = {.filled = true}, own = {.fill = 1};
    const fvlm_recipe base = {
        .branch = {{.kernel = &w, .bias = &w, .sign = 1, .k = 1}}, .n_branches = 1, .fused = true, .has_bias = true};
    const struct {
        const fvlm_source_tensor *scale, *gain, *shift;
        uint64_t q_rows;
        bool residual, fused;
    } cases[] = {
        {&one, NULL, NULL, 0, false, false},  {&own, NULL, NULL, 0, false, true}, {&zero, NULL, NULL, 0, false, true},
        {NULL, &one, &zero, 0, false, false}, {NULL, &one, &one, 0, false, true}, {NULL, &one, &own, 0, false, true},
        {&one, &one, &zero, 4, false, true},  {&one, NULL, NULL, 0, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fvlm_recipe m = base;
        m.layer_scale = cases[i].scale, m.norm_gain = cases[i].gain, m.norm_shift = cases[i].shift;
        m.q_rows = cases[i].q_rows, m.residual = cases[i].residual;
        fvlm_recipe_simplify(&m);
        if (m.fused != cases[i].fused) fail_msg("case %zu", i);
    }
}

/* A source of views: sorted, found by name, hashed, closed once, its reader too if it is refused. */
static void views(void **state)
{
    (void)state;
    test_rng r = {3};
    fvlm_err err;
    set_codes(&r, (fvlm_type){FVLM_INT, 8, 0, 0}, 4, 8, true);
    const fvlm_source_tensor t[] = {
        {.name = "b", .type = FVLM_SOURCE_F32, .rank = 1, .dims = {32}, .n_elems = 32, .n_bytes = 128, .origin = "B"},
        {.name = "a",
         .type = FVLM_SOURCE_F32,
         .rank = 2,
         .dims = {4, 8},
         .n_elems = 32,
         .n_bytes = 128,
         .origin = "A",
         .codes = q.type},
    };
    q.n_closed = 0;
    fvlm_source *src = open_source(t, 2);
    assert_int_equal(fvlm_source_n_tensors(src), 2);
    assert_string_equal(fvlm_source_tensor_at(src, 0)->name, "a");
    float x[3];
    must(fvlm_source_read(src, fvlm_source_find(src, "b"), 4 * 9, sizeof x, x, &err), &err);
    for (size_t i = 0; i < 3; i++) assert_true(fvlm_f32_bits(x[i]) == fvlm_f32_bits(value(1, 1 + i)));
    assert_int_equal(fvlm_source_read(src, fvlm_source_find(src, "b"), 124, 8, x, &err), FVLM_BAD_INPUT);
    uint8_t codes[64];
    float scales[4];
    double offsets[4];
    const fvlm_source_codes to = {codes, scales, offsets};
    assert_int_equal(fvlm_source_read_codes(src, fvlm_source_find(src, "a"), 3, 2, to, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "tensor \"a\" has no 2 rows of integers at row 3");
    assert_int_equal(fvlm_source_read_codes(src, fvlm_source_find(src, "b"), 0, 1, to, &err), FVLM_BAD_INPUT);
    must(fvlm_source_read_codes(src, fvlm_source_find(src, "a"), 3, 1, to, &err), &err);
    assert_memory_equal(codes, q.codes + 24, 8);
    assert_int_equal(fvlm_source_n_files(src), 1);
    must(fvlm_source_hash(src, 0, NULL, &err), &err);
    const size_t zero = 0;
    const fvlm_hash want = fvlm_hash_of(&zero, 1), got = fvlm_source_file_at(src, 0).hash;
    assert_true(fvlm_hash_equal(&got, &want));
    assert_string_equal(fvlm_source_file_at(src, 0).name, "x.onnx");
    fvlm_source_close(&src);
    assert_int_equal(q.n_closed, 1);
    const fvlm_source_tensor twice[] = {t[0], t[0]};
    const fvlm_source_file files[] = {{.name = "x.onnx"}};
    must(fvlm_source_open_bare(&src, folder, &err), &err);
    assert_int_equal(fvlm_source_add_views(src, &reader, folder, twice, 2, files, 1, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "tensor \"b\" is in \"B\" and in \"B\"; download the folder again");
    assert_int_equal(q.n_closed, 2);
    fvlm_source_close(&src);
    assert_int_equal(q.n_closed, 2);
    fvlm_source_tensor nowhere[] = {t[0], t[0]};
    nowhere[0].origin = nowhere[1].origin = NULL;
    must(fvlm_source_open_bare(&src, folder, &err), &err);
    assert_int_equal(fvlm_source_add_views(src, &reader, folder, nowhere, 2, files, 1, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "tensor \"b\" is in \"b\" and in \"b\"; download the folder again");
    fvlm_source_close(&src);
}

int main(void)
{
    test_folder(folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type),
        cmocka_unit_test(damaged_scales),
        cmocka_unit_test(filled_folds_nothing),
        cmocka_unit_test(views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
