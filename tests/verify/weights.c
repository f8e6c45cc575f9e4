/* SPDX-License-Identifier: Apache-2.0 */
/* Promises guarded here: verify's comparison of weights reports a changed float by one unit in the last place, and a
 * quantized group exactly when its squared error is above that of plain absmax or minmax, as a slow f64 twin written
 * here from types.h computes both; it names tensor and place; roundings that the file tells of are allowed for, and no
 * more; threads change nothing. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/random_model.h"
#include "tests/support/support.h"
#include "verify/weights.h"

static char folder[256];
static char *model, *rounded, *quantized, *edited;

static void write_model(const char *path, fvlm_kind kind)
{
    fvlm_err err;
    random_model r = random_model_small();
    r.type.kind = r.small.kind = (uint8_t)kind;
    must(random_model_write(&r, path, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    test_folder(folder);
    model = test_path(folder, "model.fvlm");
    rounded = test_path(folder, "rounded.fvlm");
    quantized = test_path(folder, "quantized.fvlm");
    edited = test_path(folder, "edited.fvlm");
    write_model(model, FVLM_F32);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(model);
    free(rounded);
    free(quantized);
    free(edited);
    return 0;
}

static fvlm_weights compare(const char *file, const char *source, unsigned threads)
{
    fvlm_err err;
    fvlm_weights w;
    fvlm_reader *a, *b;
    fvlm_pool *pool;
    must(fvlm_reader_open(&a, file, &err), &err);
    must(fvlm_reader_open(&b, source, &err), &err);
    must(fvlm_pool_create(&pool, threads, &err), &err);
    must(fvlm_weights_compare(&w, a, b, &(fvlm_check_options){.pool = pool}, &err), &err);
    fvlm_pool_destroy(&pool);
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
    return w;
}

static void quantize(const char *from, const char *type)
{
    fvlm_err err;
    must(test_quantize(from, quantized, type, &err), &err);
}

/* ---- floats ---- */

/* The first stored float, *ctx units in the last place away from zero. */
static void move_first(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    if (t->type.kind == FVLM_F32)
        fvlm_store_u32(bytes, fvlm_load_u32(bytes) + (uint32_t) * (int *)ctx);
    else
        fvlm_store_u16(bytes, (uint16_t)(fvlm_load_u16(bytes) + *(int *)ctx));
}

static void make_it_nan(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)t, (void)ctx;
    fvlm_store_u32(bytes, 0x7fc00000u);
}

static void floats(void **state)
{
    (void)state;
    fvlm_err err;
    int one = 1;
    fvlm_weights w = compare(model, model, 1);
    assert_int_equal(w.n_same, w.n_tensors);
    assert_int_equal(w.n_bad, 0);
    must(test_edit_model(model, edited, "llm.layer1.attn.k.weight", move_first, &one, &err), &err);
    w = compare(edited, model, 2);
    assert_int_equal(w.n_bad, 1);
    assert_int_equal(w.n_same, w.n_tensors - 1);
    assert_string_equal(w.first_bad, "llm.layer1.attn.k.weight[0,0]");
    must(test_edit_model(model, edited, "llm.norm.weight", make_it_nan, NULL, &err), &err);
    assert_string_equal(compare(edited, model, 2).first_bad, "llm.norm.weight[0]");
    assert_int_equal(compare(model, edited, 2).n_bad, 1); /* nor in the source */
}

/* A value that was rounded may be one unit off (f64 to bf16 is not f64 to f32 to bf16), a value that was not may not.
 */
static void rounded_floats(void **state)
{
    (void)state;
    static const fvlm_kind kinds[] = {FVLM_F16, FVLM_BF16};
    for (size_t i = 0; i < 2; i++) {
        fvlm_err err;
        write_model(rounded, kinds[i]);
        fvlm_weights w = compare(rounded, model, 2);
        assert_int_equal(w.n_rounded, w.n_tensors);
        assert_int_equal(w.n_bad, 0);
        for (int units = -2; units <= 2; units++) {
            must(test_edit_model(rounded, edited, "llm.layer0.ffn.up.weight", move_first, &units, &err), &err);
            assert_int_equal(compare(edited, model, 2).n_bad, units == 2 || units == -2);
            assert_int_equal(compare(edited, rounded, 2).n_bad, units != 0);
        }
    }
}

/* ---- integers ---- */

/* One code of one group, made anything else; and by the twin, what that is worth. */
typedef struct {
    test_rng rng;
    const fvlm_reader *source;
    double error, plain; /* squared */
    char place[300];
} change;

static unsigned code_at(const fvlm_matrix *m, const uint8_t *bytes, size_t n, size_t k)
{
    unsigned shift;
    const size_t at = fvlm_matrix_q_at(m, n, k, &shift);
    return m->type.bits == 8 ? bytes[at] : (unsigned)bytes[at] >> shift & 15;
}

static double bf16_at(const uint8_t *bytes, size_t at, size_t element)
{
    return (double)fvlm_bf16_to_f32(fvlm_load_u16(bytes + at + 2 * element));
}

static double bf16_of(double v)
{
    return (double)fvlm_bf16_to_f32(fvlm_f32_to_bf16((float)v));
}

static double plain_error(fvlm_type t, const double *x, size_t n)
{
    const double top = t.bits == 8 ? 255 : 15, middle = t.bits == 8 ? 128 : 8;
    double low = x[0], high = x[0], sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    const double scale = t.asymmetric ? bf16_of((high - low) / top) : bf16_of(fmax(high, -low) / (middle - 1));
    const double offset = t.asymmetric ? bf16_of(low) : -middle * scale;
    for (size_t i = 0; i < n; i++) {
        double q = scale == 0 ? 0 : rint((x[i] - offset) / scale);
        q = q < 0 ? 0 : q > top ? top : q;
        const double d = x[i] - (double)(float)(scale * q + offset);
        sum += d * d;
    }
    return sum;
}

static void twin(const fvlm_tensor *t, const uint8_t *bytes, const fvlm_matrix *m, size_t n, size_t g, change *c)
{
    const fvlm_tensor *from = fvlm_reader_find(c->source, t->name);
    const uint8_t *floats_of = fvlm_reader_bytes(c->source, from);
    const size_t begin = g * m->group, end = begin + m->group < m->k ? begin + m->group : m->k;
    const size_t at = fvlm_matrix_scale_at(m, n, g);
    const double scale = bf16_at(bytes, m->scales_at, at);
    const double offset =
        t->type.asymmetric ? bf16_at(bytes, m->offsets_at, at) : -(t->type.bits == 8 ? 128 : 8) * scale;
    const fvlm_matrix f = test_matrix(from);
    double x[512];
    assert_true(end - begin <= 512);
    c->error = 0;
    for (size_t k = begin; k < end; k++) {
        const float v = fvlm_f32_from_bits(fvlm_load_u32(floats_of + 4 * fvlm_matrix_float_at(&f, n, k)));
        x[k - begin] = (double)v;
        const double d = (double)v - (double)(float)(scale * code_at(m, bytes, n, k) + offset);
        c->error += d * d;
    }
    c->plain = plain_error(t->type, x, end - begin);
    snprintf(c->place, sizeof c->place, "%s row %zu, inputs %zu to %zu", t->name, n, begin, end - 1);
}

static void change_code(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    change *c = ctx;
    const fvlm_matrix m = test_matrix(t);
    unsigned shift;
    const size_t n = test_below(&c->rng, m.n), k = test_below(&c->rng, m.k), at = fvlm_matrix_q_at(&m, n, k, &shift);
    const int top = t->type.bits == 8 ? 255 : 15, old = (int)code_at(&m, bytes, n, k);
    const int steps = 1 + (int)test_below(&c->rng, t->type.bits == 8 ? 12 : 3);
    const int now = old + steps <= top ? old + steps : old - steps;
    bytes[at] = (uint8_t)(t->type.bits == 8 ? now : (bytes[at] & ~(15 << shift)) | now << shift);
    twin(t, bytes, &m, n, k / m.group, c);
}

static void one_changed_code(void **state)
{
    (void)state;
    static const char *const tensors[] = {"vision.stage2.block0.ffn.fc2.weight", "vision.stage3.block0.attn.qkv.weight",
                                          "projector.0.weight", "llm.embed.weight", "llm.layer2.ffn.down.weight"};
    fvlm_err err;
    change c = {.rng = {77}};
    size_t reported = 0, rounds = 0;
    fvlm_reader *source;
    must(fvlm_reader_open(&source, model, &err), &err);
    c.source = source;
    for (unsigned kind = 0; kind < 16; kind++) {
        static const uint16_t groups[] = {32, 64, 128, 0};
        const fvlm_type type = {FVLM_INT, kind & 1 ? 4 : 8, kind >> 1 & 1, groups[kind >> 2]};
        char name[24];
        quantize(model, fvlm_type_name(type, name));
        const fvlm_weights good = compare(quantized, model, 2);
        if (good.n_bad) fail_msg("%s: %s", name, good.first_bad);
        assert_true(good.n_quantized > 20 && good.n_groups > 1000 && good.share > 0.3 && good.share < 1);
        for (size_t i = 0; i < 10; i++, rounds++) {
            must(test_edit_model(quantized, edited, tensors[i % 5], change_code, &c, &err), &err);
            const fvlm_weights w = compare(edited, model, 2);
            const bool bad = c.error > c.plain;
            if (w.n_bad != bad || (bad && strcmp(w.first_bad, c.place)))
                fail_msg("%s, %s: error %g beside %g, but %llu reported: %s", name, c.place, c.error, c.plain,
                         (unsigned long long)w.n_bad, w.first_bad);
            reported += bad;
        }
    }
    print_message("# %zu changed codes, %zu of them above the bound and reported\n", rounds, reported);
    assert_true(reported > rounds / 4 && reported < rounds);
    fvlm_reader_close(&source);
}

/* Two rows' scales exchanged: a mistake of layout, which no single weight shows. */
static void swap_scales(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)ctx;
    const fvlm_matrix m = test_matrix(t);
    uint8_t *a = bytes + m.scales_at + 2 * fvlm_matrix_scale_at(&m, 1, 0), *b = a + 2, kept[2];
    memcpy(kept, a, 2);
    memcpy(a, b, 2);
    memcpy(b, kept, 2);
}

static void mistakes_of_layout(void **state)
{
    (void)state;
    fvlm_err err;
    quantize(model, "int4-asym-g32");
    must(test_edit_model(quantized, edited, "llm.layer0.attn.o.weight", swap_scales, NULL, &err), &err);
    const fvlm_weights one = compare(edited, model, 1), seven = compare(edited, model, 7);
    assert_in_range(one.n_bad, 1, 2);
    assert_non_null(strstr(one.first_bad, "llm.layer0.attn.o.weight row "));
    assert_int_equal(one.n_bad, seven.n_bad);
    assert_string_equal(one.first_bad, seven.first_bad);
    assert_true(one.share == seven.share);
}

/* From a bf16 file made of an f32 one: compared with the f32 source, the rounding in between is allowed for. */
static void quantized_from_rounded(void **state)
{
    (void)state;
    fvlm_err err;
    write_model(rounded, FVLM_BF16);
    quantize(rounded, "int8-sym-g64");
    assert_int_equal(compare(quantized, rounded, 2).n_bad, 0);
    assert_int_equal(compare(quantized, model, 2).n_bad, 0);
    must(test_edit_model(quantized, edited, "llm.layer0.attn.o.weight", swap_scales, NULL, &err), &err);
    assert_true(compare(edited, model, 2).n_bad > 0);
}

static void what_cannot_be_compared(void **state)
{
    (void)state;
    fvlm_err err;
    quantize(model, "int8");
    const fvlm_weights w = compare(model, quantized, 1);
    assert_true(w.n_skipped > 20);
    assert_int_equal(compare(quantized, quantized, 1).n_skipped, 0);
    fvlm_reader *a, *b;
    fvlm_weights none;
    random_model r = random_model_small();
    r.reshape = "llm.norm.weight";
    must(random_model_write(&r, edited, &err), &err);
    must(fvlm_reader_open(&a, edited, &err), &err);
    must(fvlm_reader_open(&b, model, &err), &err);
    assert_int_equal(fvlm_weights_compare(&none, a, b, NULL, &err), FVLM_MISMATCH);
    assert_non_null(strstr(err.msg, "tensor \"llm.norm.weight\" is missing or of another shape in \""));
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),
        cmocka_unit_test(rounded_floats),
        cmocka_unit_test(one_changed_code),
        cmocka_unit_test(mistakes_of_layout),
        cmocka_unit_test(quantized_from_rounded),
        cmocka_unit_test(what_cannot_be_compared),
    };
    return cmocka_run_group_tests_name("weights", tests, set_up, tear_down);
}
