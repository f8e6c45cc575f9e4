/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a whole conversion. Same bytes at any thread count and a second time; the file read back holds what the
 * recipes pack, the configuration, the tokenizer and a true provenance; a conversion that fails leaves the folder as it
 * was and tells the same fault whatever the threads. */
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "convert/conversion_report.h"
#include "format/config.h"
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

static char folder[256], out_folder[256];
static fvlm_err err;

static void write_checkpoint(bool train_time, unsigned type)
{
    test_checkpoint c;
    test_checkpoint_make(&c, train_time, type);
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
}

static fvlm_status convert(const char *name, const fvlm_convert_options *o)
{
    fvlm_conversion *c;
    char *path = test_path(out_folder, name);
    err = (fvlm_err){0};
    fvlm_status st = fvlm_conversion_plan(&c, folder, o, &err);
    if (!st) st = fvlm_conversion_write(c, path, &err);
    if (c) fvlm_conversion_free(&c);
    free(path);
    return st;
}

static uint8_t *converted(const char *type, unsigned threads, size_t *n)
{
    fvlm_convert_options o = {.type = type, .threads = threads, .force = true};
    if (convert("m.fvlm", &o)) fail_msg("%s", err.msg);
    char *path = test_path(out_folder, "m.fvlm");
    uint8_t *bytes = test_read_file(path, n);
    free(path);
    assert_non_null(bytes);
    return bytes;
}

static void same_bytes(void **state)
{
    (void)state;
    static const char *const types[] = {NULL, "f32", "bf16", "f16"};
    for (int train_time = 0; train_time < 2; train_time++) {
        write_checkpoint(train_time, FVLM_SOURCE_BF16);
        for (size_t i = 0; i < 4; i++) {
            size_t n_one, n;
            uint8_t *one = converted(types[i], 1, &n_one);
            for (unsigned threads = 1; threads <= 5; threads++) {
                uint8_t *bytes = converted(types[i], threads, &n);
                assert_int_equal(n, n_one);
                assert_memory_equal(bytes, one, n);
                free(bytes);
            }
            free(one);
        }
    }
}

/* Every tensor, by the container's own reader, against the recipes packed apart. */
static void reads_back(void **state)
{
    (void)state;
    fvlm_reader *reader;
    test_recipes r;
    size_t n, n_tensors = 0;
    write_checkpoint(true, FVLM_SOURCE_BF16);
    free(converted(NULL, 2, &n));
    char *path = test_path(out_folder, "m.fvlm");
    if (fvlm_reader_open(&reader, path, &err)) fail_msg("%s", err.msg);
    if (fvlm_reader_check(reader, NULL, &err)) fail_msg("%s", err.msg);
    assert_int_equal(test_recipes_open(&r, folder, &err), FVLM_OK);
    const json_t *origins = json_object_get(fvlm_reader_meta(reader), "tensors");
    for (size_t i = 0; i < r.names.recipes.n; i++) {
        const fvlm_recipe *m = &r.names.recipes.items[i];
        test_packed p;
        assert_int_equal(test_pack(&p, &r, m, (fvlm_type){0}, &err), FVLM_OK);
        for (int bias = 0; bias <= m->has_bias; bias++, n_tensors++) {
            char name[300];
            snprintf(name, sizeof name, "%s.%s", m->name, bias ? "bias" : "weight");
            const fvlm_tensor *t = fvlm_reader_find(reader, name);
            assert_non_null(t);
            assert_int_equal(t->n_bytes, bias ? p.bias_bytes : p.weight_bytes);
            assert_memory_equal(fvlm_reader_bytes(reader, t), bias ? p.bias : p.weight, t->n_bytes);
            const json_t *origin = json_object_get(origins, name);
            assert_true(json_array_size(json_object_get(origin, "from")) > 0);
            assert_int_equal(m->fused, json_is_real(json_object_get(origin, "error")));
            assert_int_equal(m->fused, json_array_size(json_object_get(origin, "steps")) > 0 &&
                                           strcmp(m->name, "llm.embed") != 0);
        }
        test_packed_free(&p);
    }
    assert_int_equal(n_tensors, fvlm_reader_n_tensors(reader));
    assert_int_equal(json_object_size(origins), n_tensors);
    const char *tokenizer;
    size_t n_tokenizer;
    assert_int_equal(fvlm_reader_tokenizer(reader, &tokenizer, &n_tokenizer, &err), FVLM_OK);
    assert_int_equal(n_tokenizer, r.checkpoint.tokenizer_bytes);
    assert_memory_equal(tokenizer, r.checkpoint.tokenizer, n_tokenizer);
    json_t *want = fvlm_config_to_json(&r.names.config), *got = fvlm_config_to_json(fvlm_reader_config(reader));
    assert_true(json_equal(want, got));
    json_decref(want);
    json_decref(got);
    test_recipes_close(&r);
    fvlm_reader_close(&reader);
    free(path);
}

/* Names, sizes and hashes of all files that were read, nothing about where or when. */
static void provenance(void **state)
{
    (void)state;
    fvlm_reader *reader;
    size_t n, i;
    json_t *source;
    write_checkpoint(false, FVLM_SOURCE_BF16);
    free(converted("bf16", 2, &n));
    char *path = test_path(out_folder, "m.fvlm");
    assert_int_equal(fvlm_reader_open(&reader, path, &err), FVLM_OK);
    const json_t *p = json_object_get(fvlm_reader_meta(reader), "provenance"), *sources = json_object_get(p, "sources");
    assert_string_equal(json_string_value(json_object_get(p, "version")), FVLM_VERSION);
    assert_string_equal(json_string_value(json_object_get(json_object_get(p, "options"), "type")), "bf16");
    assert_int_equal(json_array_size(sources), 6);
    json_array_foreach(sources, i, source)
    {
        char *file = test_path(folder, json_string_value(json_object_get(source, "file"))), text[33];
        uint8_t *bytes = test_read_file(file, &n);
        assert_non_null(bytes);
        fvlm_hash h = fvlm_hash_of(bytes, n);
        fvlm_hash_text(&h, text);
        assert_string_equal(json_string_value(json_object_get(source, "xxh3_128")), text);
        assert_int_equal(json_integer_value(json_object_get(source, "bytes")), n);
        free(bytes);
        free(file);
    }
    char *meta = json_dumps(fvlm_reader_meta(reader), 0);
    assert_null(strstr(meta, folder));
    assert_null(strstr(meta, out_folder));
    free(meta);
    fvlm_reader_close(&reader);
    free(path);
}

static void failing(const char *message, const char *type)
{
    for (unsigned threads = 1; threads <= 4; threads++) {
        fvlm_convert_options o = {.type = type, .threads = threads};
        assert_int_not_equal(convert("never.fvlm", &o), FVLM_OK);
        assert_string_equal(err.msg, message);
        char *path = test_path(out_folder, "never.fvlm");
        assert_int_equal(access(path, F_OK), -1);
        free(path);
    }
    assert_int_equal(test_count_entries(out_folder), 1); /* m.fvlm of the tests before */
}

/* Weights that cannot be stored: named, with their place, the same one first at any thread count. */
static void bad_weights(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
        double value;
        const char *type, *message;
    } cases[] = {
        {"model.embed_tokens.weight", 5 * 32 + 7, NAN, NULL,
         "tensor \"model.embed_tokens.weight\": element [5, 7] is not a finite number; the file is damaged or the "
         "training diverged"},
        {"model.layers.1.self_attn.q_proj.bias", 31, INFINITY, NULL,
         "tensor \"model.layers.1.self_attn.q_proj.bias\": element [31] is not a finite number; the file is damaged or "
         "the training "
         "diverged"},
        {TEST_TOWER "network.0.0.convffn.conv.bn.running_var", 2, -0.5, NULL,
         "tensor \"" TEST_TOWER
         "network.0.0.convffn.conv.bn.running_var\": element [2] is -0.5; a variance is 0 or more"},
        {TEST_TOWER "network.5.0.layer_scale_2", 63, -INFINITY, NULL,
         "tensor \"" TEST_TOWER
         "network.5.0.layer_scale_2\": element [63, 0, 0] is not a finite number; the file is damaged or the "
         "training diverged"},
        {TEST_TOWER "network.2.reparam_conv.weight", 49 * 3 + 50, NAN, NULL,
         "tensor \"" TEST_TOWER
         "network.2.reparam_conv.weight\": element [4, 0, 0, 1] is not a finite number; the file is damaged or the "
         "training diverged"},
        {"model.layers.0.mlp.up_proj.weight", 32 * 17 + 3, 65536, "f16",
         "tensor \"llm.layer0.ffn.up.weight\": the value in row 17, column 3 is beyond the largest f16, 65504; use "
         "bf16 or f32"},
        {"model.mm_projector.2.bias", 4, -70000, "f16",
         "tensor \"projector.2.bias\": the value in row 4, column 0 is beyond the largest f16, 65504; use bf16 "
         "or f32"},
        {TEST_TOWER "network.0.1.convffn.fc2.weight", 64 * 2 + 1, 1e30, "f16",
         "tensor \"vision.stage0.block1.ffn.fc2.weight\": the value in row 2, column 1 is beyond the largest f16, "
         "65504; use bf16 "
         "or f32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_checkpoint c;
        test_checkpoint_make(&c, false, FVLM_SOURCE_F32);
        test_tensor_find(&c, cases[i].name)->values[cases[i].at] = cases[i].value;
        test_checkpoint_write(&c, folder);
        test_checkpoint_free(&c);
        failing(cases[i].message, cases[i].type);
    }
}

static void two_faults_one_message(void **state)
{
    (void)state;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_F32);
    test_tensor_find(&c, "model.layers.0.mlp.up_proj.weight")->values[0] = NAN;
    test_tensor_find(&c, "model.layers.1.mlp.down_proj.weight")->values[9] = NAN;
    test_tensor_find(&c, "model.norm.weight")->values[9] = NAN;
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    failing("tensor \"model.layers.0.mlp.up_proj.weight\": element [0, 0] is not a finite number; the file is damaged "
            "or the training "
            "diverged",
            NULL);
}

/* A vector that no id can reach is not looked at. */
static void unreachable_rows_do_not_matter(void **state)
{
    (void)state;
    test_checkpoint c;
    size_t n;
    test_checkpoint_make(&c, false, FVLM_SOURCE_F32);
    test_tensor_find(&c, "model.embed_tokens.weight")->values[TEST_IDS * 32] = NAN;
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    free(converted(NULL, 2, &n));
}

static void existing_output(void **state)
{
    (void)state;
    size_t n_before, n_after;
    write_checkpoint(false, FVLM_SOURCE_BF16);
    uint8_t *before = converted(NULL, 2, &n_before);
    fvlm_convert_options o = {.threads = 2};
    assert_int_not_equal(convert("m.fvlm", &o), FVLM_OK); /* not without --force */
    char *path = test_path(out_folder, "m.fvlm");
    uint8_t *after = test_read_file(path, &n_after);
    assert_int_equal(n_before, n_after);
    assert_memory_equal(before, after, n_before);
    free(before);
    free(after);
    free(path);
}

/* The output must not be a file of the source, by any name: its own, or a hard link. */
static void output_is_input(void **state)
{
    (void)state;
    fvlm_convert_options o = {.force = true};
    char *model = test_path(folder, "model.safetensors"), *link_path = test_path(out_folder, "link"), want[400];
    size_t n;
    write_checkpoint(false, FVLM_SOURCE_BF16);
    assert_int_equal(link(model, link_path), 0);
    fvlm_conversion *c;
    assert_int_equal(fvlm_conversion_plan(&c, folder, &o, &err), FVLM_OK);
    for (int i = 0; i < 2; i++) {
        const char *path = i ? link_path : model;
        assert_int_equal(fvlm_conversion_write(c, path, &err), FVLM_BAD_INPUT);
        snprintf(want, sizeof want, "\"%s\" is a file of the checkpoint itself; write to another name", path);
        assert_string_equal(err.msg, want);
    }
    fvlm_conversion_free(&c);
    uint8_t *bytes = test_read_file(model, &n);
    assert_true(n > 100000);
    free(bytes);
    unlink(link_path);
    free(model);
    free(link_path);
}

/* Somebody writes to the weights while they are converted. */
static void touch(void *ctx, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    int fd = open(ctx, O_RDWR | O_APPEND);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
}

static void source_changes(void **state)
{
    (void)state;
    char *model = test_path(folder, "model.safetensors"), want[400];
    write_checkpoint(false, FVLM_SOURCE_BF16);
    fvlm_convert_options o = {.threads = 1, .progress = touch, .progress_ctx = model};
    assert_int_equal(convert("never.fvlm", &o), FVLM_CHANGED);
    snprintf(want, sizeof want,
             "\"%s\" became longer while it was in use; run the command again when nothing writes to it", model);
    assert_string_equal(err.msg, want);
    assert_int_equal(test_count_entries(out_folder), 1);
    free(model);
}

static json_t *report_json(const fvlm_conversion *c)
{
    fvlm_conversion_report r;
    fvlm_conversion_describe(c, &r);
    return fvlm_conversion_report_json(c, &r, true);
}

static void report(void **state)
{
    (void)state;
    fvlm_conversion *c;
    fvlm_convert_options o = {.type = "bf16", .threads = 2, .force = true};
    write_checkpoint(true, FVLM_SOURCE_BF16);
    assert_int_equal(fvlm_conversion_plan(&c, folder, &o, &err), FVLM_OK);
    json_t *plan = report_json(c);
    char *path = test_path(out_folder, "m.fvlm");
    assert_int_equal(fvlm_conversion_write(c, path, &err), FVLM_OK);
    json_t *done = report_json(c), *part;
    size_t i;
    json_int_t n_tensors = 0, n_bytes = 0;
    json_array_foreach(json_object_get(plan, "parts"), i, part)
    {
        n_tensors += json_integer_value(json_object_get(part, "tensors"));
        n_bytes += json_integer_value(json_object_get(part, "bytes"));
    }
    assert_int_equal(n_tensors, json_integer_value(json_object_get(plan, "tensors")));
    assert_int_equal(n_bytes, json_integer_value(json_object_get(plan, "tensor_bytes")));
    fvlm_reader *r;
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_n_tensors(r), n_tensors);
    uint64_t stored = 0;
    for (i = 0; i < (size_t)n_tensors; i++) stored += fvlm_reader_tensor(r, i)->n_bytes;
    assert_int_equal(stored, n_bytes);
    fvlm_reader_close(&r);
    assert_int_equal(json_integer_value(json_object_get(plan, "fused_modules")), 22);
    assert_false(json_is_true(json_object_get(plan, "written")));
    assert_null(json_object_get(plan, "worst_error"));
    assert_true(json_is_true(json_object_get(done, "written")));
    assert_true(json_real_value(json_object_get(done, "worst_error")) < 1e-13);
    assert_true(json_integer_value(json_object_get(done, "peak_anonymous_bytes")) > 0);
    json_decref(plan);
    json_decref(done);
    fvlm_conversion_free(&c);
    free(path);
}

static void wrong_types(void **state)
{
    (void)state;
    static const char *const types[] = {"int8", "int4-asym-g64", "f64", ""};
    write_checkpoint(false, FVLM_SOURCE_BF16);
    for (size_t i = 0; i < 4; i++) {
        char want[300];
        fvlm_convert_options o = {.type = types[i]};
        assert_int_equal(convert("never.fvlm", &o), FVLM_USAGE);
        snprintf(want, sizeof want,
                 "type \"%s\" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result", types[i]);
        assert_string_equal(err.msg, want);
    }
}

static int set_up(void **state)
{
    (void)state;
    test_folder(folder);
    test_folder(out_folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(reads_back),
        cmocka_unit_test(provenance),
        cmocka_unit_test(bad_weights),
        cmocka_unit_test(two_faults_one_message),
        cmocka_unit_test(unreachable_rows_do_not_matter),
        cmocka_unit_test(existing_output),
        cmocka_unit_test(output_is_input),
        cmocka_unit_test(source_changes),
        cmocka_unit_test(report),
        cmocka_unit_test(wrong_types),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
