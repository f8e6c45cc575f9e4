/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a config is read completely or refused with the name of the field; what is accepted
 * satisfies every rule the executor builds on. */
#include "format/config.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

/* The sample config as JSON with the value at a dotted path replaced (value NULL: removed). */
static json_t *altered(const char *path, json_t *value)
{
    fvlm_config c;
    test_config(&c);
    json_t *root = fvlm_config_to_json(&c), *at = root;
    char part[64];
    const char *dot;
    while ((dot = strchr(path, '.'))) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        at = json_is_array(at) ? json_array_get(at, (size_t)(part[0] - '0')) : json_object_get(at, part);
        assert_non_null(at);
        path = dot + 1;
    }
    if (json_is_array(at))
        value ? json_array_set_new(at, 0, value) : json_array_clear(at);
    else
        value ? json_object_set_new(at, path, value) : json_object_del(at, path);
    return root;
}

static void expect(const char *path, json_t *value, fvlm_status want, const char *message)
{
    json_t *j = altered(path, value);
    fvlm_config c;
    fvlm_err err = {0};
    fvlm_status st = fvlm_config_from_json(&c, j, &err);
    json_decref(j);
    if (st != want || (message && strcmp(err.msg, message) != 0))
        fail_msg("%s: status %d, \"%s\", expected %d, \"%s\"", path, st, err.msg, want, message ? message : "");
}

static void there_and_back(void **state)
{
    (void)state;
    fvlm_config a, b;
    fvlm_err err;
    test_config(&a);
    json_t *j = fvlm_config_to_json(&a);
    assert_int_equal(fvlm_config_from_json(&b, j, &err), FVLM_OK);
    json_t *k = fvlm_config_to_json(&b);
    assert_true(json_equal(j, k));
    json_decref(j);
    json_decref(k);
}

static const char *const whole_numbers[] = {
    "vision.image_size",
    "vision.stride",
    "vision.head_dim",
    "vision.out_dim",
    "vision.se_dim",
    "vision.stages.0.dim",
    "vision.stages.0.depth",
    "vision.stages.0.hidden",
    "vision.stages.1.heads",
    "projector.in",
    "projector.hidden",
    "projector.out",
    "llm.hidden",
    "llm.layers",
    "llm.heads",
    "llm.kv_heads",
    "llm.head_dim",
    "llm.intermediate",
    "llm.vocab",
    "llm.context",
};

static void every_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof whole_numbers / sizeof whole_numbers[0]; i++) {
        const char *p = whole_numbers[i];
        expect(p, NULL, FVLM_BAD_INPUT, NULL);
        expect(p, json_null(), FVLM_BAD_INPUT, NULL);
        expect(p, json_string("3"), FVLM_BAD_INPUT, NULL);
        expect(p, json_real(16.0), FVLM_BAD_INPUT, NULL);
        expect(p, json_integer(0), FVLM_BAD_INPUT, NULL);
        expect(p, json_integer(-1), FVLM_BAD_INPUT, NULL);
        expect(p, json_integer(1ll << 32), FVLM_LIMIT, NULL);
        expect(p, json_integer(INT64_MAX), FVLM_LIMIT, NULL);
        expect(p, json_integer(INT64_MIN), FVLM_BAD_INPUT, NULL);
    }
    static const char *const reals[] = {"vision.norm_eps", "llm.norm_eps", "llm.rope_theta"};
    for (size_t i = 0; i < 3; i++) {
        expect(reals[i], NULL, FVLM_BAD_INPUT, NULL);
        expect(reals[i], json_real(0), FVLM_BAD_INPUT, NULL);
        expect(reals[i], json_real(-1e-6), FVLM_BAD_INPUT, NULL);
        expect(reals[i], json_true(), FVLM_BAD_INPUT, NULL);
    }
    static const char *const parts[] = {"vision", "projector", "llm", "eos", "prompt", "vision.stages"};
    expect("llm", NULL, FVLM_BAD_INPUT, "config.llm is missing, but config.eos is given");
    expect("projector", NULL, FVLM_BAD_INPUT, "config.projector is missing, expected an object");
    for (size_t i = 0; i < 6; i++) {
        expect(parts[i], NULL, FVLM_BAD_INPUT, NULL);
        expect(parts[i], json_integer(1), FVLM_BAD_INPUT, NULL);
    }
}

static void messages(void **state)
{
    (void)state;
    expect("llm.heads", NULL, FVLM_BAD_INPUT, "config.llm.heads is missing, expected a whole number");
    expect("llm.heads", json_string("x"), FVLM_BAD_INPUT, "config.llm.heads is a string, expected a whole number");
    expect("llm.tied", json_integer(1), FVLM_BAD_INPUT, "config.llm.tied is a whole number, expected true or false");
    expect("llm.vocab", json_integer(1ll << 40), FVLM_LIMIT,
           "config.llm.vocab is 1099511627776, expected 1 to 2097152");
    expect("vision.stages.0.mixer", json_string("conv"), FVLM_UNSUPPORTED,
           "config.vision.stages[0].mixer is \"conv\", expected \"repmixer\" or \"attention\"");
    expect("vision.stages.0", json_integer(1), FVLM_BAD_INPUT,
           "config.vision.stages[0] is a whole number, expected an object");
    expect("vision.norm_eps", json_string("x"), FVLM_BAD_INPUT,
           "config.vision.norm_eps is a string, expected a number");
}

/* No value that f32 turns into 0 or infinity, and none that no training has. */
static void ranges(void **state)
{
    (void)state;
    expect("llm.rope_theta", json_real(1e-308), FVLM_BAD_INPUT,
           "config.llm.rope_theta is 1e-308, expected 100 to 1e+12");
    expect("llm.rope_theta", json_real(1e39), FVLM_BAD_INPUT, "config.llm.rope_theta is 1e+39, expected 100 to 1e+12");
    expect("llm.rope_theta", json_integer(99), FVLM_BAD_INPUT, "config.llm.rope_theta is 99, expected 100 to 1e+12");
    expect("llm.rope_theta", json_integer(100), FVLM_OK, NULL);
    expect("llm.rope_theta", json_real(1e12), FVLM_OK, NULL);
    static const char *const eps[] = {"llm.norm_eps", "vision.norm_eps"};
    for (size_t i = 0; i < 2; i++) {
        char message[100];
        snprintf(message, sizeof message, "config.%s is 1e+50, expected 1e-12 to 0.1", eps[i]);
        expect(eps[i], json_real(1e50), FVLM_BAD_INPUT, message);
        expect(eps[i], json_real(1e-50), FVLM_BAD_INPUT, NULL);
        expect(eps[i], json_real(0.11), FVLM_BAD_INPUT, NULL);
        expect(eps[i], json_real(1e-12), FVLM_OK, NULL);
        expect(eps[i], json_real(0.1), FVLM_OK, NULL);
    }
    expect("vision.image_size", json_integer(4096), FVLM_OK, NULL);
    expect("vision.image_size", json_integer(4104), FVLM_LIMIT, "config.vision.image_size is 4104, expected 1 to 4096");
    expect("llm.vocab", json_real(1e30), FVLM_LIMIT, "config.llm.vocab is 1e+30, which is too large");
}

/* As many end tokens as there are ids, up to 1024; files of 0.1.0 have at most four. */
static void end_tokens(void **state)
{
    (void)state;
    fvlm_config c;
    fvlm_err err;
    for (uint32_t n = 1; n <= FVLM_MAX_EOS + 1; n += n == 8 ? FVLM_MAX_EOS - 8 : 1) {
        json_t *list = json_array();
        for (uint32_t i = 0; i < n; i++) json_array_append_new(list, json_integer(i % 128));
        json_t *j = altered("eos", list);
        assert_int_equal(fvlm_config_from_json(&c, j, &err), n <= FVLM_MAX_EOS ? FVLM_OK : FVLM_LIMIT);
        json_decref(j);
        if (n > FVLM_MAX_EOS) continue;
        assert_int_equal(c.n_eos, n);
        for (uint32_t id = 0; id < 128; id++) assert_int_equal(fvlm_config_is_eos(&c, id), id < n);
        j = fvlm_config_to_json(&c);
        assert_int_equal(json_array_size(json_object_get(j, "eos")), n);
        json_decref(j);
    }
}

static void rules(void **state)
{
    (void)state;
    expect("vision.stride", json_integer(16), FVLM_BAD_INPUT, "config.vision.stride is 16, but 2 stages need 8");
    expect("vision.image_size", json_integer(60), FVLM_BAD_INPUT,
           "config.vision.image_size 60 is not a multiple of the stride 8");
    expect("vision.stages.0.dim", json_integer(15), FVLM_BAD_INPUT,
           "config.vision.stages[1].dim 32 is not a multiple of the previous stage's (15)");
    expect("vision.stages.1.heads", json_integer(3), FVLM_BAD_INPUT,
           "config.vision.stages[1]: 3 heads of 16 are not dim 32");
    expect("vision.stages.0.heads", json_integer(1), FVLM_LIMIT, "config.vision.stages[0].heads is 1, expected 0 to 0");
    expect("vision.out_dim", json_integer(63), FVLM_BAD_INPUT,
           "config.vision.out_dim 63 is not a multiple of the last stage's dim");
    expect("projector.in", json_integer(65), FVLM_BAD_INPUT,
           "config.projector maps 65 to 32, but the tower ends in 64 and the LLM begins with 32");
    expect("projector.out", json_integer(33), FVLM_BAD_INPUT,
           "config.projector maps 64 to 33, but the tower ends in 64 and the LLM begins with 32");
    expect("llm.kv_heads", json_integer(3), FVLM_BAD_INPUT, "config.llm: 2 heads do not divide among 3 kv_heads");
    expect("llm.head_dim", json_integer(15), FVLM_BAD_INPUT, "config.llm.head_dim 15 is odd; rotation works on pairs");
    expect("llm.head_dim", json_integer(262144), FVLM_LIMIT, "config.llm: heads x head_dim is over 262144");
    expect("eos.0", NULL, FVLM_LIMIT, "config.eos has 0 entries, expected 1 to 1024");
    expect("eos.0", json_integer(128), FVLM_BAD_INPUT, "config.eos[0] is not an id of the vocabulary (128 ids)");
    expect("eos.0", json_integer(-1), FVLM_BAD_INPUT, "config.eos[0] is not an id of the vocabulary (128 ids)");
    expect("eos.0", json_string("7"), FVLM_BAD_INPUT, "config.eos[0] is not an id of the vocabulary (128 ids)");
    static const char *const prompts[] = {
        "", "<image>", "{prompt}", "{prompt}<image>", "<image><image>{prompt}", "<image>{prompt}{prompt}"};
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++)
        expect("prompt", json_string(prompts[i]), FVLM_BAD_INPUT,
               "config.prompt must hold \"<image>\" once and then \"{prompt}\" once");
    char long_prompt[1100];
    memset(long_prompt, 'x', sizeof long_prompt);
    memcpy(long_prompt, "<image>{prompt}", 15);
    expect("prompt", json_stringn(long_prompt, 1023), FVLM_OK, NULL);
    expect("prompt", json_stringn(long_prompt, 1024), FVLM_LIMIT,
           "config.prompt has 1024 bytes, at most 1023 are allowed");
}

/* Every subset of the five parts: all, or the tower with or without the projector; everything else is refused. */
static void parts_missing(void **state)
{
    (void)state;
    static const char *const parts[] = {"vision", "projector", "llm", "eos", "prompt"};
    for (unsigned left_out = 0; left_out < 32; left_out++) {
        fvlm_config c;
        fvlm_err err = {0};
        test_config(&c);
        json_t *j = fvlm_config_to_json(&c);
        for (unsigned i = 0; i < 5; i++)
            if (left_out >> i & 1) json_object_del(j, parts[i]);
        const bool tower = left_out == 0x1c || left_out == 0x1e;
        const fvlm_status st = fvlm_config_from_json(&c, j, &err);
        if (st != (left_out == 0 || tower ? FVLM_OK : FVLM_BAD_INPUT)) fail_msg("%#x: %d %s", left_out, st, err.msg);
        json_t *again = st ? NULL : fvlm_config_to_json(&c);
        if (!st) {
            assert_true(json_equal(j, again));
            assert_int_equal(fvlm_config_has_llm(&c), !tower);
            assert_int_equal(fvlm_config_has_projector(&c), left_out != 0x1e);
            assert_int_equal(fvlm_config_image_width(&c), left_out == 0x1e ? c.vision.out_dim : c.projector.out);
        }
        json_decref(again);
        if (left_out == 0x1c) {
            json_object_set_new(json_object_get(j, "projector"), "in", json_integer(65));
            assert_int_equal(fvlm_config_from_json(&c, j, &err), FVLM_BAD_INPUT);
            assert_string_equal(err.msg, "config.projector begins with 65 channels, but the tower ends in 64");
        }
        json_decref(j);
    }
}

static void stage_count(void **state)
{
    (void)state;
    fvlm_config c;
    fvlm_err err;
    for (size_t n = 0; n <= FVLM_MAX_STAGES + 1; n++) {
        test_config(&c);
        json_t *j = fvlm_config_to_json(&c), *vision = json_object_get(j, "vision"), *stages = json_array();
        json_t *first = json_array_get(json_object_get(vision, "stages"), 0);
        for (size_t i = 0; i < n; i++) json_array_append_new(stages, json_deep_copy(first));
        json_object_set_new(vision, "stages", stages);
        json_int_t stride = n ? 4ll << (n - 1) : 8;
        json_object_set_new(vision, "stride", json_integer(stride));
        json_object_set_new(vision, "image_size", json_integer(4 * stride));
        assert_int_equal(fvlm_config_from_json(&c, j, &err), n >= 1 && n <= FVLM_MAX_STAGES ? FVLM_OK : FVLM_LIMIT);
        json_decref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(every_number),
                                       cmocka_unit_test(messages),       cmocka_unit_test(ranges),
                                       cmocka_unit_test(end_tokens),     cmocka_unit_test(rules),
                                       cmocka_unit_test(parts_missing),  cmocka_unit_test(stage_count)};
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
