/* SPDX-License-Identifier: Apache-2.0 */
/* Promises guarded here: a plan does what types, presets and rules say; the file written holds, for every type, codes
 * that the executor decodes bit for bit as types.h says, and that decode by types.h to within half a step of the
 * source, with zero padding and the error that is reported; neither the bytes nor the message of a failure depend on
 * threads or instruction set; and what cannot be quantized is refused by name. */
#include <math.h>

#include "quant/quantization_report.h"
#include "reference/ops/ops.h"
#include "tests/support/blocks.h"
#include "tests/support/check.h"
#include "tests/support/float_model.h"

static char folder[256];
static char *in, *out;

static fvlm_status quantize(const fvlm_quant_options *o, const char *to, fvlm_err *err)
{
    fvlm_quantization *q;
    fvlm_quant_options options = *o;
    options.force = true;
    fvlm_status st = fvlm_quantization_plan(&q, in, &options, err);
    if (st == FVLM_OK) st = fvlm_quantization_write(q, to, err);
    fvlm_quantization_free(&q);
    return st;
}

static int set_up(void **state)
{
    (void)state;
    fvlm_err err;
    test_folder(folder);
    in = test_path(folder, "in.fvlm");
    out = test_path(folder, "out.fvlm");
    return test_float_model(in, NULL, 0, &err);
}

static int tear_down(void **state)
{
    (void)state;
    free(in);
    free(out);
    return 0;
}

static void restore(void)
{
    fvlm_err err;
    must(test_float_model(in, NULL, 0, &err), &err);
}

/* ---- the plan ---- */

static void check_types(const fvlm_quant_options *o, const char *const expected[][2], size_t n)
{
    fvlm_err err;
    fvlm_reader *r;
    char name[24];
    must(quantize(o, out, &err), &err);
    must(fvlm_reader_open(&r, out, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const fvlm_tensor *t = fvlm_reader_find(r, expected[i][0]);
        assert_non_null(t);
        assert_string_equal(fvlm_type_name(t->type, name), expected[i][1]);
    }
    fvlm_reader_close(&r);
}

static void presets(void **state)
{
    (void)state;
    static const char *const int4[][2] = {
        {"vision.stem.0.weight", "f16"},
        {"vision.stem.0.bias", "f32"},
        {"vision.stem.2.weight", "int8-sym-g64"},
        {"vision.stage0.block0.mixer.weight", "f16"},
        {"vision.stage0.block0.ffn.fc1.weight", "int4-asym-g64"},
        {"vision.stage1.block0.attn.qkv.weight", "int4-asym-g64"},
        {"projector.0.weight", "int8-sym-g64"},
        {"llm.embed.weight", "int8-sym-g64"},
        {"llm.layer0.attn.q.weight", "int4-asym-g64"},
        {"llm.layer0.attn.q.bias", "bf16"},
        {"llm.norm.weight", "bf16"},
    };
    static const char *const int8[][2] = {{"llm.embed.weight", "int8-sym-g64"},
                                          {"llm.layer0.ffn.down.weight", "int8-sym-g64"},
                                          {"vision.stage0.block0.mixer.weight", "f16"}};
    static const char *const full[][2] = {{"llm.embed.weight", "int4-sym-g32"},
                                          {"vision.stem.2.weight", "int4-sym-g32"}};
    check_types(&(fvlm_quant_options){.type = "int4"}, int4, sizeof int4 / sizeof int4[0]);
    check_types(&(fvlm_quant_options){.type = "int8"}, int8, 3);
    check_types(&(fvlm_quant_options){.type = "int4-sym-g32"}, full, 2);
}

static void the_last_rule_that_matches_wins(void **state)
{
    (void)state;
    static const fvlm_quant_rule rules[] = {
        {"llm\\..*weight", "int8-asym-g128"},
        {"llm\\.embed.*", "int4"},
        {".*q\\.(weight|bias)", "f32"},
        {"llm\\.norm\\.weight", "keep"},
    };
    static const char *const expected[][2] = {
        {"llm.embed.weight", "int4-asym-g64"}, {"llm.layer0.ffn.down.weight", "int8-asym-g128"},
        {"llm.layer0.attn.q.weight", "f32"},   {"llm.layer0.attn.q.bias", "f32"},
        {"llm.norm.weight", "bf16"},           {"projector.0.weight", "int8-sym-g64"},
    };
    check_types(&(fvlm_quant_options){.type = "int4", .rules = rules, .n_rules = 4}, expected, 6);
}

/* Integers fit matrices only: for the rest an earlier rule, or the preset, stays in force. */
static void rules_apply_where_the_type_fits(void **state)
{
    (void)state;
    static const fvlm_quant_rule rules[] = {
        {"llm\\..*", "f32"},
        {"llm\\.layer.*", "int4-sym-g32"},
        {"vision\\.stage0\\..*", "int8-sym-row"},
    };
    static const char *const expected[][2] = {
        {"llm.embed.weight", "f32"},
        {"llm.norm.weight", "f32"},
        {"llm.layer0.attn.q.weight", "int4-sym-g32"},
        {"llm.layer0.attn.q.bias", "f32"},
        {"vision.stage0.block0.ffn.fc1.weight", "int8-sym-row"},
        {"vision.stage0.block0.mixer.weight", "f16"},
    };
    check_types(&(fvlm_quant_options){.type = "int8", .rules = rules, .n_rules = 3}, expected, 6);
}

/* ---- the bytes ---- */

/* Logical values of a float tensor in panels, read by the formula in types.h. */
static float source_value(const fvlm_reader *r, const fvlm_tensor *t, size_t n, size_t k)
{
    const fvlm_matrix m = test_matrix(t);
    const uint8_t *p = fvlm_reader_bytes(r, t) + fvlm_matrix_float_at(&m, n, k) * fvlm_type_float_bytes(t->type);
    if (t->type.kind == FVLM_BF16) return fvlm_bf16_to_f32(fvlm_load_u16(p));
    if (t->type.kind == FVLM_F16) return fvlm_f16_to_f32(fvlm_load_u16(p));
    return fvlm_f32_from_bits(fvlm_load_u32(p));
}

static size_t count_zero_bytes(const uint8_t *p, size_t from, size_t to)
{
    size_t zeros = 0;
    for (size_t i = from; i < to; i++) zeros += !p[i];
    return zeros;
}

/* Value (n, k) by the formulas of types.h; *q is its code. */
static float decode_element(const fvlm_matrix *m, const uint8_t *bytes, size_t n, size_t k, unsigned *q)
{
    unsigned shift;
    const size_t at = fvlm_matrix_q_at(m, n, k, &shift), s = 2 * fvlm_matrix_scale_at(m, n, k / m->group);
    const float scale = fvlm_bf16_to_f32(fvlm_load_u16(bytes + m->scales_at + s));
    const float offset = m->type.asymmetric ? fvlm_bf16_to_f32(fvlm_load_u16(bytes + m->offsets_at + s)) : 0;
    *q = bytes[at] >> shift & (m->type.bits == 4 ? 15u : 255u);
    return test_decode(m->type, *q, scale, offset);
}

/* Codes that no (n, k) reaches are zero: as many are not zero in all as there are reached ones that are not. */
static void check_padding(const fvlm_matrix *m, const uint8_t *bytes, size_t non_zero)
{
    for (size_t i = 0, end = m->n_panels * m->panel_bytes; i < end; i++)
        non_zero -= m->type.bits == 8 ? bytes[i] != 0 : (size_t)((bytes[i] & 15) != 0) + (size_t)(bytes[i] > 15);
    assert_int_equal(non_zero, 0);
    if (m->n % 16 == 0) return;
    /* and so are the scales of rows that are not there */
    const size_t last = (m->n_panels - 1) * m->n_groups * 16 * 2, dead = 16 - m->n % 16;
    for (size_t g = 0; g < m->n_groups; g++) {
        const size_t end = m->scales_at + last + (g + 1) * 32;
        assert_int_equal(count_zero_bytes(bytes, end - 2 * dead, end), 2 * dead);
    }
}

/* Decodes a quantized tensor of b, as the executor does and by the formulas, and compares with its source in a;
 * returns relative L2. */
static double compare_tensor(const fvlm_reader *a, const fvlm_reader *b, const fvlm_tensor *t)
{
    const fvlm_tensor *from = fvlm_reader_find(a, t->name);
    const uint8_t *bytes = fvlm_reader_bytes(b, t);
    const fvlm_matrix m = test_matrix(t);
    fvlm_weight w;
    fvlm_err err;
    double error = 0, norm = 0;
    size_t non_zero = 0;
    float *row = fvlm_alloc(m.k, sizeof *row);
    must(fvlm_weight_bind(&w, t, bytes, &err), &err);
    for (size_t n = 0; n < m.n; n++) {
        fvlm_weight_row(&w, n, row);
        for (size_t k = 0; k < m.k; k++) {
            unsigned q;
            const float value = decode_element(&m, bytes, n, k, &q);
            const double x = (double)source_value(a, from, n, k), d = x - (double)value;
            assert_memory_equal(&value, &row[k], sizeof value);
            error += d * d;
            norm += x * x;
            non_zero += q != 0;
        }
    }
    check_padding(&m, bytes, non_zero);
    free(row);
    return sqrt(error / norm);
}

static double reported_error(const fvlm_reader *r, const char *tensor)
{
    const json_t *chain = json_object_get(fvlm_reader_meta(r), "transforms");
    const json_t *step = json_array_get(chain, json_array_size(chain) - 1);
    return json_real_value(json_object_get(json_object_get(json_object_get(step, "tensors"), tensor), "error"));
}

static void every_type_decodes_to_its_source(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_reader *a, *b;
    must(fvlm_reader_open(&a, in, &err), &err);
    for (size_t i = 0; i < 16; i++) {
        char name[24];
        const fvlm_type type = test_int_type(i);
        must(quantize(&(fvlm_quant_options){.type = fvlm_type_name(type, name)}, out, &err), &err);
        must(fvlm_reader_open(&b, out, &err), &err);
        size_t n = 0;
        for (size_t k = 0; k < fvlm_reader_n_tensors(b); k++) {
            const fvlm_tensor *t = fvlm_reader_tensor(b, k);
            if (t->type.kind != FVLM_INT) continue;
            const double error = compare_tensor(a, b, t);
            assert_true(error < (type.bits == 8 ? 0.013 : 0.16)); /* normal weights */
            assert_true(fabs(error - reported_error(b, t->name)) < 1e-9);
            n++;
        }
        assert_int_equal(n, 7);
        fvlm_reader_close(&b);
    }
    fvlm_reader_close(&a);
}

static void same_bytes(void **state)
{
    (void)state;
    fvlm_err err;
    size_t n, m;
    const fvlm_quant_options o[] = {{.type = "int4", .threads = 1},
                                    {.type = "int4", .threads = 2},
                                    {.type = "int4", .threads = 5},
                                    {.type = "int4", .threads = 2, .cpu = "scalar"}};
    must(quantize(&o[0], out, &err), &err);
    uint8_t *first = test_read_file(out, &n);
    for (size_t i = 1; i < 4; i++) {
        must(quantize(&o[i], out, &err), &err);
        uint8_t *again = test_read_file(out, &m);
        assert_int_equal(n, m);
        assert_memory_equal(first, again, n);
        free(again);
    }
    free(first);
}

static void provenance_is_a_chain(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_reader *a, *b;
    char identity[33];
    must(quantize(&(fvlm_quant_options){.type = "int8"}, out, &err), &err);
    must(fvlm_reader_open(&a, in, &err), &err);
    must(fvlm_reader_open(&b, out, &err), &err);
    const json_t *meta = fvlm_reader_meta(b), *chain = json_object_get(meta, "transforms");
    assert_true(json_equal(json_object_get(meta, "provenance"), json_object_get(fvlm_reader_meta(a), "provenance")));
    assert_true(json_equal(json_object_get(meta, "config"), json_object_get(fvlm_reader_meta(a), "config")));
    assert_int_equal(json_array_size(chain), 1);
    fvlm_hash_text(fvlm_reader_identity(a), identity);
    assert_string_equal(json_string_value(json_object_get(json_array_get(chain, 0), "source_identity")), identity);
    must(fvlm_reader_check(b, NULL, &err), &err);
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
}

static void a_plan_knows_the_size(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_quantization *q;
    size_t n;
    const fvlm_quant_options o = {.type = "int4", .force = true};
    must(fvlm_quantization_plan(&q, in, &o, &err), &err);
    json_t *before = fvlm_quantization_report_json(q);
    must(fvlm_quantization_write(q, out, &err), &err);
    json_t *after = fvlm_quantization_report_json(q);
    uint8_t *bytes = test_read_file(out, &n);
    const double told = json_number_value(json_object_get(before, "bytes_after"));
    assert_true(fabs(told - (double)n) < 40000); /* two section alignments and the metadata */
    assert_int_equal(json_integer_value(json_object_get(after, "bytes_after")), n);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(before, "families"), 0), "error")));
    assert_true(json_is_real(json_object_get(json_array_get(json_object_get(after, "families"), 0), "error")));
    free(bytes);
    json_decref(before);
    json_decref(after);
    fvlm_quantization_free(&q);
}

/* ---- refusals ---- */

/* Plants a value, quantizes to int4 and expects this code and text; the old output must be untouched. */
static void refuses(const char *tensor, size_t at, float value, const fvlm_quant_rule *rule, fvlm_status code,
                    const char *text)
{
    fvlm_err err;
    size_t n;
    const test_plant plant = {tensor, at, value};
    must(test_float_model(in, &plant, 1, &err), &err);
    assert_true(test_write_file(out, "old", 3));
    const fvlm_status st =
        quantize(&(fvlm_quant_options){.type = "int4", .rules = rule, .n_rules = rule ? 1 : 0}, out, &err);
    if (st != code || strcmp(err.msg, text)) fail_msg("status %d: %s\nexpected: %s", (int)st, err.msg, text);
    uint8_t *old = test_read_file(out, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(old, "old", 3);
    free(old);
    assert_int_equal(test_count_entries(folder), 2);
    restore();
}

static void hostile_values_are_named(void **state)
{
    (void)state;
    /* llm.embed is [300,192] in panels: element (n/16*192 + k)*16 + n%16; row 20 input 7 = (192 + 7)*16 + 4 */
    refuses("llm.embed.weight", (192 + 7) * 16 + 4, NAN, NULL, FVLM_BAD_INPUT,
            "llm.embed.weight[20,7] is not a number; a model with such a weight cannot be quantized");
    refuses("vision.stage1.block0.attn.qkv.weight", 31 * 16 + 15, INFINITY, NULL, FVLM_BAD_INPUT,
            "vision.stage1.block0.attn.qkv.weight[15,31] is infinite; a model with such a weight cannot be quantized");
    refuses("llm.norm.weight", 5, -INFINITY, NULL, FVLM_BAD_INPUT,
            "llm.norm.weight[5] is minus infinite; a model with such a weight cannot be quantized");
    /* taps [40,1,3,3] lie [kh][kw][C]: element 4*40 + 3 is channel 3, y 1, x 1 */
    refuses("vision.stage0.block0.mixer.weight", 4 * 40 + 3, 70000, NULL, FVLM_BAD_INPUT,
            "vision.stage0.block0.mixer.weight[3,0,1,1] is 70000: too large for f16; use the rule "
            "'vision.stage0.block0.mixer.weight=f32'");
    /* the stem [18,3,3,3] in panels, k = (y*3 + x)*3 + i: k 14 = y 1, x 1, i 2 */
    refuses("vision.stem.0.weight", 14 * 16 + 2, -1e5f, NULL, FVLM_BAD_INPUT,
            "vision.stem.0.weight[2,2,1,1] is -100000: too large for f16; use the rule 'vision.stem.0.weight=f32'");
    refuses("vision.stage0.block0.ffn.fc1.weight", 0, 1e38f, NULL, FVLM_BAD_INPUT,
            "vision.stage0.block0.ffn.fc1.weight[0,0,0,0] is 1e+38: too large to quantize");
    refuses("vision.stage0.block0.ffn.fc1.weight", 0, 3.4e38f,
            &(fvlm_quant_rule){"vision\\.stage0.*fc1.weight", "bf16"}, FVLM_BAD_INPUT,
            "vision.stage0.block0.ffn.fc1.weight[0,0,0,0] is 3.4e+38: too large for bf16; use the rule "
            "'vision.stage0.block0.ffn.fc1.weight=f32'");
}

static void a_way_out_of_f16(void **state)
{
    (void)state;
    fvlm_err err;
    const test_plant plant = {"vision.stage0.block0.mixer.weight", 163, 70000};
    const fvlm_quant_rule rule = {"vision.stage0.block0.mixer.weight", "f32"};
    must(test_float_model(in, &plant, 1, &err), &err);
    must(quantize(&(fvlm_quant_options){.type = "int4", .rules = &rule, .n_rules = 1}, out, &err), &err);
    restore();
}

/* Changes a bit of a tensor's stored bytes behind the index's back, and returns the message it leads to. */
static void damage(const char *tensor, char message[600])
{
    fvlm_err err;
    fvlm_reader *r;
    size_t n;
    must(fvlm_reader_open(&r, in, &err), &err);
    const fvlm_tensor *t = fvlm_reader_find(r, tensor);
    const size_t at = (size_t)t->offset, end = at + (size_t)t->n_bytes;
    fvlm_reader_close(&r);
    uint8_t *bytes = test_read_file(in, &n);
    bytes[at + 8] ^= 1;
    assert_true(test_write_file(in, bytes, n));
    free(bytes);
    snprintf(message, 600, "\"%s\": tensor \"%s\" is damaged (its hash differs): bytes %zu to %zu", in, tensor, at,
             end);
}

static void damaged_source(void **state)
{
    (void)state;
    fvlm_err err;
    char expected[600];
    damage("llm.norm.weight", expected);
    assert_int_equal(quantize(&(fvlm_quant_options){.type = "int8"}, out, &err), FVLM_MISMATCH);
    assert_string_equal(err.msg, expected);
    restore();
}

/* The embedding takes long, and its damage is found at its end; the NaN right after it is found at once. */
static void the_first_fault_of_two_is_told(void **state)
{
    (void)state;
    fvlm_err err;
    char expected[600];
    const test_plant plant = {"llm.layer0.attn.q.weight", 3, NAN};
    must(test_float_model(in, &plant, 1, &err), &err);
    damage("llm.embed.weight", expected);
    for (unsigned threads = 1; threads <= 8; threads++) {
        const fvlm_quant_options o = {.type = "int4", .threads = threads};
        assert_int_equal(quantize(&o, out, &err), FVLM_MISMATCH);
        assert_string_equal(err.msg, expected);
    }
    restore();
}

static void plan_refuses(const char *path, const fvlm_quant_options *o, fvlm_status code, const char *text)
{
    fvlm_quantization *q;
    fvlm_err err = {0};
    assert_int_equal(fvlm_quantization_plan(&q, path, o, &err), code);
    assert_null(q);
    assert_string_equal(err.msg, text);
}

static void plans_that_make_no_sense(void **state)
{
    (void)state;
    fvlm_err err;
    char expected[600];
    const fvlm_quant_rule taps = {".*mixer.*", "int8"}, bias = {".*bias", "int4"}, none = {"llm.embed", "int8"},
                          bad = {"(", "int8"}, type = {".*", "int5"};
    plan_refuses(in, &(fvlm_quant_options){.type = "f16"}, FVLM_USAGE,
                 "f16 is not an integer type; fvlm convert writes float types");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .rules = &taps, .n_rules = 1}, FVLM_USAGE,
                 "rule \".*mixer.*\" matches only vectors and depthwise taps, which cannot be int8-sym-g64; use f32, "
                 "bf16, f16 or keep");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .rules = &bias, .n_rules = 1}, FVLM_USAGE,
                 "rule \".*bias\" matches only vectors and depthwise taps, which cannot be int4-asym-g64; use f32, "
                 "bf16, f16 or keep");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .rules = &none, .n_rules = 1}, FVLM_USAGE,
                 "rule \"llm.embed\" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .rules = &bad, .n_rules = 1}, FVLM_USAGE,
                 "rule \"(\" is not a regular expression: missing closing parenthesis at position 1");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .rules = &type, .n_rules = 1}, FVLM_USAGE,
                 "rule '.*=int5': unknown type \"int5\"; use f32, bf16, f16, int8, int4 or "
                 "{int8,int4}-{sym,asym}-{g32,g64,g128,row}");
    plan_refuses(in, &(fvlm_quant_options){.type = "int8", .cpu = "mmx"}, FVLM_USAGE,
                 "CPU level \"mmx\" is unknown; use scalar, avx2, avx512, neon or dotprod");
    must(quantize(&(fvlm_quant_options){.type = "int8"}, out, &err), &err);
    snprintf(
        expected, sizeof expected,
        "\"%s\": quantized already (\"llm.embed.weight\" is int8-sym-g64); quantize the float file it was made from",
        out);
    plan_refuses(out, &(fvlm_quant_options){.type = "int4"}, FVLM_UNSUPPORTED, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),
        cmocka_unit_test(the_last_rule_that_matches_wins),
        cmocka_unit_test(rules_apply_where_the_type_fits),
        cmocka_unit_test(every_type_decodes_to_its_source),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(provenance_is_a_chain),
        cmocka_unit_test(a_plan_knows_the_size),
        cmocka_unit_test(hostile_values_are_named),
        cmocka_unit_test(a_way_out_of_f16),
        cmocka_unit_test(damaged_source),
        cmocka_unit_test(the_first_fault_of_two_is_told),
        cmocka_unit_test(plans_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
