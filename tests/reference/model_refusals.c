/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a file whose tensors and config disagree is refused when it is opened, by a message that names the tensor and
 * what is wrong with it. */
#include <inttypes.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/model_run.h"

/* Writes r, opens it, and expects refusal with 'want' after the quoted path. */
static void refuses(const random_model *r, const char *want)
{
    char path[512], all[1024];
    fvlm_err err = {0};
    scratch_path(path, "refused.fvlm");
    if (random_model_write(r, path, &err) != FVLM_OK) fail_msg("%s", err.msg);
    const fvlm_model_options o = {.threads = 1};
    fvlm_model *m;
    assert_int_equal(fvlm_model_open(&m, path, &o, &err), FVLM_BAD_INPUT);
    assert_null(m);
    snprintf(all, sizeof all, "\"%s\": %s", path, want);
    assert_string_equal(err.msg, all);
    unlink(path);
}

static void missing_tensors(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.leave_out = "vision.stage1.block1.ffn.fc1.weight";
    refuses(&r, "1 tensor is missing: vision.stage1.block1.ffn.fc1.weight");
    r.leave_out = "vision.final.se.reduce.bias";
    refuses(&r, "1 tensor is missing: vision.final.se.reduce.bias");
    r.leave_out = "llm.layer2.attn.k.bias";
    refuses(&r, "1 tensor is missing: llm.layer2.attn.k.bias");
    r.leave_out = "llm.head.weight";
    refuses(&r, "1 tensor is missing: llm.head.weight");
    r.leave_out = "vision.stage3.pos.weight";
    refuses(&r, "1 tensor is missing: vision.stage3.pos.weight");
}

/* A missing tensor is reported before a left-over one that may be the same, misspelled. Of many, four are named. */
static void many_missing_tensors(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.leave_out = "llm.layer1.ffn.up.weight";
    r.extra = "llm.layer1.ffn.upp.weight";
    refuses(&r, "1 tensor is missing: llm.layer1.ffn.up.weight");
    r.leave_out = "llm.layer1.";
    refuses(&r, "12 tensors are missing: llm.layer1.attn_norm.weight, llm.layer1.attn.q.weight, "
                "llm.layer1.attn.q.bias, llm.layer1.attn.k.weight, ...");
}

static void left_over_tensors(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.extra = "llm.layer3.attn_norm.weight";
    refuses(&r, "1 tensor is not part of the model: llm.layer3.attn_norm.weight");
    r.extra = "aaa";
    refuses(&r, "1 tensor is not part of the model: aaa");
}

static void wrong_shapes(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.reshape = "vision.stage0.block0.ffn.fc2.weight";
    refuses(&r, "tensor \"vision.stage0.block0.ffn.fc2.weight\" has shape [13, 48], expected [12, 48, 1, 1]");
    r.reshape = "vision.stem.0.weight";
    refuses(&r, "tensor \"vision.stem.0.weight\" has shape [13, 3, 3, 3], expected [12, 3, 3, 3]");
    r.reshape = "vision.stage2.downsample.dw.weight";
    refuses(&r, "tensor \"vision.stage2.downsample.dw.weight\" has shape [25, 1, 7, 7], expected [24, 1, k, k] "
                "with odd k");
    r.reshape = "llm.norm.weight";
    refuses(&r, "tensor \"llm.norm.weight\" has shape [49], expected [48]");
    r.reshape = "llm.embed.weight";
    refuses(&r, "tensor \"llm.embed.weight\" has shape [264, 48], expected [263, 48]");
}

static void wrong_layouts(void **state)
{
    (void)state;
    random_model r = random_model_small();
    r.transpose = "projector.0.weight";
    refuses(&r, "tensor \"projector.0.weight\" is stored in rows, expected panels");
    r.transpose = "vision.stage0.block0.mixer.weight";
    refuses(&r, "tensor \"vision.stage0.block0.mixer.weight\" is stored in rows, expected taps");
}

static void no_file(void **state)
{
    (void)state;
    const fvlm_model_options o = {.threads = 1};
    fvlm_model *m;
    fvlm_err err = {0};
    assert_int_equal(fvlm_model_open(&m, "/nowhere/model.fvlm", &o, &err), FVLM_IO);
    assert_null(m);
    assert_non_null(strstr(err.msg, "/nowhere/model.fvlm"));
    fvlm_model_close(&m);
}

/* One bit of a weight: nothing else is wrong with the file. Checked only when asked. */
static void damaged_tensor(void **state)
{
    (void)state;
    static const char *const names[] = {"llm.embed.weight", "vision.stem.0.bias",
                                        "vision.stage4.block1.attn.qkv.weight"};
    for (size_t i = 0; i < 3; i++) {
        char path[512], want[1024];
        random_model r = random_model_small();
        fvlm_err err = {0};
        assert_int_equal(random_model_write(&r, scratch_path(path, "damaged.fvlm"), &err), FVLM_OK);
        fvlm_model_options o = {.threads = 2, .check = true};
        fvlm_model *m = open_model(path, &o);
        const fvlm_tensor *t = fvlm_reader_find(fvlm_model_reader(m), names[i]);
        const uint64_t begin = t->offset, end = begin + t->n_bytes;
        fvlm_model_close(&m);
        FILE *f = fopen(path, "r+b");
        assert_int_equal(fseek(f, (long)end - 1, SEEK_SET), 0);
        const int byte = fgetc(f);
        assert_int_equal(fseek(f, (long)end - 1, SEEK_SET), 0);
        assert_int_equal(fputc(byte ^ 1, f), byte ^ 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(fvlm_model_open(&m, path, &o, &err), FVLM_MISMATCH);
        snprintf(want, sizeof want,
                 "\"%s\": tensor \"%s\" is damaged (its hash differs): bytes %" PRIu64 " to %" PRIu64, path, names[i],
                 begin, end);
        assert_string_equal(err.msg, want);
        o.check = false;
        m = open_model(path, &o);
        fvlm_model_close(&m);
    }
}

static void picture_sides(void **state)
{
    (void)state;
    char path[512];
    random_model r = random_model_small();
    const fvlm_model_options o = {.threads = 1};
    fvlm_err err = {0};
    assert_int_equal(random_model_write(&r, scratch_path(path, "sides.fvlm"), &err), FVLM_OK);
    fvlm_model *m = open_model(path, &o);
    fvlm_pixels p = {.side = 100};
    assert_int_equal(fvlm_model_tower(m, &p, NULL, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "image side 100: should be a multiple of 64");
    p.side = 0;
    assert_int_equal(fvlm_model_tower(m, &p, NULL, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "image side 0: should be a multiple of 64");
    p.side = 4160;
    assert_int_equal(fvlm_model_tower(m, &p, NULL, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "image side 4160: should be at most 4096");
    fvlm_model_close(&m);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_tensors), cmocka_unit_test(many_missing_tensors), cmocka_unit_test(left_over_tensors),
        cmocka_unit_test(wrong_shapes),    cmocka_unit_test(wrong_layouts),        cmocka_unit_test(no_file),
        cmocka_unit_test(damaged_tensor),  cmocka_unit_test(picture_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
