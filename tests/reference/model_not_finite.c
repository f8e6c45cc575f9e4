/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a value that is not finite ends the pass with one line that names the block where it began and the damaged
 * weight, the same on every instruction set, in both activation modes and at every thread count: NaN, infinity and
 * overflow planted in every kind of tensor. And that huge values which fit into f32 raise no alarm. */
#include <math.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"

enum { SIDE = 128, N_IDS = 9, TEXT = sizeof((fvlm_err *)0)->msg };
static const uint32_t ids[N_IDS] = {72, 101, 108, 108, 111, 33, 260, 10, 261};

/* ---- planting ---- */

typedef enum {
    ELEMENT, /* [n, k] of a matrix, [n] of a vector, tap k of channel n */
    ROW,     /* row n of a matrix or all channels of a vector, with alternating signs if k */
    SCALE,   /* of row n, group k */
    OFFSET,
    SCALES, /* of row n, all groups */
} where;

typedef struct {
    const char *type; /* of the matrices */
    const char *tensor;
    where where;
    size_t n, k;
    float value;
    const char *block;
} plant;

static void put_float(const fvlm_tensor *t, uint8_t *bytes, size_t at, float x)
{
    if (t->type.kind == FVLM_F32)
        fvlm_store_u32(bytes + 4 * at, fvlm_f32_bits(x));
    else
        fvlm_store_u16(bytes + 2 * at, t->type.kind == FVLM_F16 ? fvlm_f32_to_f16(x) : fvlm_f32_to_bf16(x));
}

static void edit_matrix(const fvlm_tensor *t, uint8_t *bytes, const plant *p)
{
    const fvlm_matrix m = test_matrix(t);
    const uint16_t h = fvlm_f32_to_bf16(p->value);
    const size_t scale = fvlm_matrix_scale_at(&m, p->n, p->k);
    if (p->where == ELEMENT) put_float(t, bytes, fvlm_matrix_float_at(&m, p->n, p->k), p->value);
    if (p->where == SCALE) fvlm_store_u16(bytes + m.scales_at + 2 * scale, h);
    if (p->where == OFFSET) fvlm_store_u16(bytes + m.offsets_at + 2 * scale, h);
    for (size_t g = 0; p->where == SCALES && g < m.n_groups; g++)
        fvlm_store_u16(bytes + m.scales_at + 2 * fvlm_matrix_scale_at(&m, p->n, g), h);
    for (size_t k = 0; p->where == ROW && k < m.k; k++)
        put_float(t, bytes, fvlm_matrix_float_at(&m, p->n, k), p->k && k % 2 ? -p->value : p->value);
}

/* A test_edit. */
static void edit(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    const plant *p = ctx;
    const size_t channels = (size_t)t->dims[0];
    if (t->layout == FVLM_PANELS)
        edit_matrix(t, bytes, p);
    else if (p->where == ELEMENT)
        put_float(t, bytes, p->k * channels + p->n, p->value);
    else
        for (size_t i = 0; i < channels; i++) put_float(t, bytes, i, p->k && i % 2 ? -p->value : p->value);
}

/* ---- running ---- */

static fvlm_status run_passes(fvlm_model *m, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, SIDE), n = tokens + N_IDS;
    float *features = fvlm_alloc(tokens * c->vision.out_dim, sizeof *features);
    float *rows = fvlm_alloc(n * c->llm.hidden, sizeof *rows), *logits = fvlm_alloc(c->llm.vocab, sizeof *logits);
    fvlm_pixels p = random_pixels(SIDE, 3);
    fvlm_status st = fvlm_model_tower(m, &p, features, err);
    if (!st) st = fvlm_model_project(m, features, tokens, rows, err);
    if (!st) st = fvlm_model_embed(m, ids, N_IDS, rows + tokens * c->llm.hidden, err);
    if (!st) st = fvlm_model_forward(m, rows, n, false, logits, err);
    for (size_t i = 0; !st && i < c->llm.vocab; i++) assert_true(isfinite(logits[i]));
    fvlm_pixels_free(&p);
    free(features);
    free(rows);
    free(logits);
    return st;
}

static bool can_run(const char *cpu)
{
    fvlm_exec *e;
    fvlm_err err;
    const bool yes = fvlm_exec_create(&e, 1, cpu, FVLM_ACT_F32, &err) == FVLM_OK;
    if (yes) fvlm_exec_destroy(&e);
    return yes;
}

/* Every level of this machine in both modes, on 1 and 3 threads by turns: they all fail with one text, which goes to
 * message, or all succeed, and message is "". */
static void run_everywhere(const char *path, const char *what, char message[TEXT])
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "neon", "dotprod"};
    static size_t turn;
    bool first = true;
    for (size_t i = turn++ % UNDER_SANITIZER(4); i < 2 * (sizeof levels / sizeof levels[0]); i += UNDER_SANITIZER(4)) {
        const fvlm_model_options o = {
            .threads = i / 2 % 2 == i % 2 ? 1 : 3, .cpu = levels[i / 2], .act = i % 2 ? FVLM_ACT_INT8 : FVLM_ACT_F32};
        if (!can_run(o.cpu)) continue;
        fvlm_err err = {0};
        fvlm_model *m = open_model(path, &o);
        const fvlm_status st = run_passes(m, &err);
        fvlm_model_close(&m);
        const char *text = st ? err.msg : "";
        if (st && st != FVLM_BAD_INPUT) fail_msg("%s: status %d, %s", what, st, text);
        if (first)
            snprintf(message, TEXT, "%s", text);
        else if (strcmp(message, text))
            fail_msg("%s: act %s on %s: \"%s\", before \"%s\"", what, fvlm_act_name(o.act), o.cpu, text, message);
        first = false;
    }
}

/* A sound model with matrices of that type; made once. */
static const char *sound(const char *type)
{
    static char paths[8][512], types[8][32];
    size_t i = 0;
    for (; types[i][0]; i++)
        if (!strcmp(types[i], type)) return paths[i];
    random_model r = random_model_small();
    fvlm_err err = {0};
    char name[48];
    snprintf(name, sizeof name, "%s.fvlm", type);
    must(fvlm_type_parse(&r.type, type, &err), &err);
    if (r.type.kind != FVLM_INT) r.small = r.type;
    must(random_model_write(&r, scratch_path(paths[i], name), &err), &err);
    snprintf(types[i], sizeof types[i], "%s", type);
    return paths[i];
}

static void run_planted(const plant *p, char path[512], char message[TEXT])
{
    fvlm_err err = {0};
    plant copy = *p;
    char what[128];
    snprintf(what, sizeof what, "%s %s %g", p->type, p->tensor, (double)p->value);
    must(test_edit_model(sound(p->type), scratch_path(path, "planted.fvlm"), p->tensor, edit, &copy, &err), &err);
    run_everywhere(path, what, message);
    unlink(path);
}

/* ---- not finite ---- */

/* clang-format off */
static const plant damaged[] = {
    {"f32", "vision.stem.0.weight", ELEMENT, 3, 13, NAN, "vision.stem"},
    {"f32", "vision.stem.0.bias", ELEMENT, 11, 0, -INFINITY, "vision.stem"},
    {"f32", "vision.stem.1.weight", ELEMENT, 5, 4, INFINITY, "vision.stem"},
    {"f32", "vision.stem.1.bias", ELEMENT, 0, 0, NAN, "vision.stem"},
    {"f32", "vision.stem.2.weight", ELEMENT, 0, 7, -INFINITY, "vision.stem"},
    {"f32", "vision.stage0.block0.mixer.weight", ELEMENT, 2, 4, NAN, "vision.stage0.block0"},
    {"f32", "vision.stage0.block0.mixer.bias", ELEMENT, 3, 0, INFINITY, "vision.stage0.block0"},
    {"f32", "vision.stage0.block0.ffn.dw.weight", ELEMENT, 8, 24, INFINITY, "vision.stage0.block0"},
    {"f32", "vision.stage1.downsample.dw.weight", ELEMENT, 23, 24, NAN, "vision.stage1.downsample"},
    {"f32", "vision.stage1.downsample.pw.weight", ELEMENT, 23, 23, INFINITY, "vision.stage1.downsample"},
    {"f32", "vision.stage1.block1.ffn.fc1.bias", ELEMENT, 71, 0, -INFINITY, "vision.stage1.block1"},
    {"f32", "vision.stage1.block0.ffn.fc2.weight", ELEMENT, 5, 71, NAN, "vision.stage1.block0"},
    {"f32", "vision.stage2.downsample.dw.bias", ELEMENT, 1, 0, -INFINITY, "vision.stage2.downsample"},
    {"f32", "vision.stage2.block0.ffn.fc2.bias", ELEMENT, 23, 0, NAN, "vision.stage2.block0"},
    {"f32", "vision.stage3.pos.weight", ELEMENT, 40, 24, NAN, "vision.stage3.pos"},
    {"f32", "vision.stage3.pos.bias", ELEMENT, 47, 0, INFINITY, "vision.stage3.pos"},
    {"f32", "vision.stage3.block0.attn.qkv.weight", ELEMENT, 3, 3, NAN, "vision.stage3.block0"},
    {"f32", "vision.stage3.block0.attn.qkv.bias", ELEMENT, 50, 0, -INFINITY, "vision.stage3.block0"},
    {"f32", "vision.stage4.block1.attn.qkv.bias", ELEMENT, 287, 0, INFINITY, "vision.stage4.block1"},
    {"f32", "vision.stage4.block0.attn.proj.weight", ELEMENT, 95, 95, INFINITY, "vision.stage4.block0"},
    {"f32", "vision.final.dw.weight", ELEMENT, 191, 4, NAN, "vision.final"},
    {"f32", "vision.final.se.reduce.weight", ELEMENT, 11, 100, -INFINITY, "vision.final"},
    {"f32", "vision.final.se.reduce.bias", ELEMENT, 4, 0, -INFINITY, "vision.final"}, /* lost in the ReLU */
    {"f32", "vision.final.se.expand.bias", ELEMENT, 9, 0, -INFINITY, "vision.final"}, /* lost in the sigmoid */
    {"f32", "vision.final.se.expand.weight", ELEMENT, 0, 0, NAN, "vision.final"},
    {"bf16", "projector.0.weight", ELEMENT, 39, 191, NAN, "projector"},
    {"bf16", "projector.0.bias", ELEMENT, 39, 0, -INFINITY, "projector"},
    {"f16", "projector.2.weight", ELEMENT, 47, 39, INFINITY, "projector"},
    {"f32", "llm.embed.weight", ELEMENT, 108, 20, NAN, "llm.embed"},
    {"bf16", "llm.embed.weight", ELEMENT, 261, 47, -INFINITY, "llm.embed"},
    {"f32", "llm.layer0.attn_norm.weight", ELEMENT, 20, 0, NAN, "llm.layer0"},
    {"f16", "llm.layer1.ffn_norm.weight", ELEMENT, 0, 0, INFINITY, "llm.layer1"},
    {"f32", "llm.layer0.attn.q.weight", ELEMENT, 47, 0, INFINITY, "llm.layer0"},
    {"f32", "llm.layer2.attn.k.bias", ELEMENT, 15, 0, -INFINITY, "llm.layer2"},
    {"bf16", "llm.layer1.attn.v.bias", ELEMENT, 0, 0, NAN, "llm.layer1"},
    {"f16", "llm.layer0.attn.o.weight", ELEMENT, 13, 31, NAN, "llm.layer0"},
    {"bf16", "llm.layer2.ffn.gate.weight", ELEMENT, 111, 5, -INFINITY, "llm.layer2"},
    {"f32", "llm.layer1.ffn.up.weight", ELEMENT, 0, 47, INFINITY, "llm.layer1"},
    {"f32", "llm.layer2.ffn.down.weight", ELEMENT, 47, 111, NAN, "llm.layer2"},
    {"f32", "llm.norm.weight", ELEMENT, 30, 0, -INFINITY, "llm.norm"},
    {"f32", "llm.head.weight", ELEMENT, 262, 47, NAN, "logits"},
    {"int8-sym-g64", "vision.stem.2.weight", SCALE, 11, 0, NAN, "vision.stem"},
    {"int8-sym-g64", "vision.stage1.block0.ffn.fc2.weight", SCALE, 3, 1, INFINITY, "vision.stage1.block0"},
    {"int8-sym-g64", "llm.layer1.ffn.down.weight", SCALE, 0, 1, NAN, "llm.layer1"},
    {"int8-sym-g64", "llm.embed.weight", SCALE, 33, 0, INFINITY, "llm.embed"},
    {"int8-sym-g64", "llm.head.weight", SCALE, 0, 0, -INFINITY, "logits"},
    {"int8-sym-g64", "llm.layer0.attn.q.bias", ELEMENT, 3, 0, NAN, "llm.layer0"},
    {"int8-sym-g64", "vision.stage2.block0.ffn.dw.bias", ELEMENT, 3, 0, NAN, "vision.stage2.block0"},
    {"int8-sym-g64", "vision.stage2.block0.mixer.bias", ELEMENT, 3, 0, INFINITY, "vision.stage2.block0"},
    {"int8-sym-g64", "llm.layer2.attn_norm.weight", ELEMENT, 3, 0, NAN, "llm.layer2"},
    {"int4-asym-g64", "vision.stage4.block0.attn.proj.weight", SCALE, 95, 1, INFINITY, "vision.stage4.block0"},
    {"int4-asym-g64", "vision.stage3.block0.attn.qkv.weight", OFFSET, 1, 0, NAN, "vision.stage3.block0"},
    {"int4-asym-g64", "llm.layer2.attn.v.weight", OFFSET, 15, 0, -INFINITY, "llm.layer2"},
    {"int4-asym-g64", "projector.0.weight", SCALE, 0, 2, NAN, "projector"},
    {"int4-asym-g64", "llm.norm.weight", ELEMENT, 0, 0, NAN, "llm.norm"},
    /* Finite as stored, infinite as decoded. */
    {"int8-sym-g64", "llm.layer0.ffn.gate.weight", SCALES, 7, 0, 0x1.fep127f, "llm.layer0"},
    {"int4-asym-g64", "vision.stage1.block1.ffn.fc1.weight", SCALES, 7, 0, 0x1.fep127f, "vision.stage1.block1"},
};
/* clang-format on */

static void damage_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        const plant *p = &damaged[i];
        char path[512], message[TEXT], want[1024];
        run_planted(p, path, message);
        snprintf(want, sizeof want, "\"%s\": %s gives values that are not finite: %s[", path, p->block, p->tensor);
        if (strncmp(message, want, strlen(want))) fail_msg("plant %zu: \"%s\", expected \"%s\"", i, message, want);
        const char *end = strchr(message + strlen(want), ']');
        const bool nan = p->where == ELEMENT && isnan(p->value), infinite = p->where == ELEMENT && isinf(p->value);
        if (!end || (nan && !strstr(end, "] is NaN; ")) || (infinite && !strstr(end, "] is infinite; ")))
            fail_msg("plant %zu: \"%s\"", i, message);
    }
    assert_true(sizeof damaged / sizeof damaged[0] >= 50);
}

/* ---- overflow: nothing in the file is damaged ---- */

/* clang-format off */
static const plant overflowing[] = {
    {"f32", "vision.stem.0.weight", ROW, 3, 0, 3e38f, "vision.stem"},
    {"bf16", "vision.stem.0.weight", ROW, 3, 0, 3e38f, "vision.stem"},
    {"f32", "vision.stage0.block0.ffn.dw.bias", ROW, 0, 0, 3e38f, "vision.stage0.block0"},
    /* The variance overflows, not the values: its reciprocal, 0, would hide it. */
    {"f32", "vision.stage3.pos.bias", ELEMENT, 0, 0, 1e20f, "vision.stage3.block0"},
    {"int8-sym-g64", "vision.stage3.pos.bias", ELEMENT, 0, 0, -1e20f, "vision.stage3.block0"},
    {"f32", "projector.2.bias", ELEMENT, 0, 0, 1e20f, "llm.layer0"},
    {"int4-asym-g64", "projector.2.bias", ELEMENT, 0, 0, 1e20f, "llm.layer0"},
    {"f32", "llm.embed.weight", ELEMENT, 33, 0, 1e20f, "llm.layer0"},
    {"f32", "llm.layer2.ffn.down.weight", ROW, 0, 0, 1e25f, "llm.norm"},
    /* Queries and keys fit, their products do not; scores of minus infinity would weigh nothing. */
    {"f32", "llm.layer1.attn_norm.weight", ROW, 0, 0, 1e25f, "llm.layer1"},
    {"int8-sym-g64", "llm.layer1.attn_norm.weight", ROW, 0, 0, 1e25f, "llm.layer1"},
    {"f32", "vision.stage4.block1.attn.qkv.bias", ROW, 0, 1, 1e25f, "vision.stage4.block1"},
    {"int8-sym-g64", "vision.stage4.block1.attn.qkv.bias", ROW, 0, 1, 1e25f, "vision.stage4.block1"},
    /* The hidden layer overflows between two products, and int8 activations would round it to anything. */
    {"f32", "llm.layer0.ffn_norm.weight", ROW, 0, 1, 1e30f, "llm.layer0"},
    {"int8-sym-g64", "llm.layer0.ffn_norm.weight", ROW, 0, 1, 1e30f, "llm.layer0"},
    {"int4-asym-g64", "llm.layer0.ffn_norm.weight", ROW, 0, 1, 1e30f, "llm.layer0"},
    {"f32", "llm.norm.weight", ROW, 0, 0, 3e38f, "llm.norm"},
    {"int8-sym-g64", "llm.norm.weight", ROW, 0, 0, 3e38f, "llm.norm"},
};
/* clang-format on */

static void overflow_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof overflowing / sizeof overflowing[0]; i++) {
        const plant *p = &overflowing[i];
        char path[512], message[TEXT], want[1024];
        run_planted(p, path, message);
        snprintf(want, sizeof want,
                 "\"%s\": %s gives values that are not finite: they exceed what f32 can hold; weights or scales of "
                 "this block, or of one before it, are out of range",
                 path, p->block);
        if (strcmp(message, want)) fail_msg("plant %zu: \"%s\", expected \"%s\"", i, message, want);
    }
}

/* ---- finite ---- */

/* clang-format off */
static const plant harmless[] = {
    {"f32", "vision.stage3.pos.bias", ELEMENT, 0, 0, 1e18f, NULL},
    {"int8-sym-g64", "vision.stage3.pos.bias", ELEMENT, 0, 0, -1e18f, NULL},
    {"f32", "vision.final.se.expand.bias", ROW, 0, 1, 3e38f, NULL},
    {"int4-asym-g64", "vision.final.se.expand.bias", ROW, 0, 1, 3e38f, NULL},
    {"f32", "llm.layer0.ffn_norm.weight", ROW, 0, 1, 1e7f, NULL},
    {"int8-sym-g64", "llm.layer0.ffn_norm.weight", ROW, 0, 1, 1e7f, NULL},
    {"f32", "llm.norm.weight", ROW, 0, 1, 1e35f, NULL},
    {"f32", "llm.layer1.ffn.down.weight", ELEMENT, 3, 3, 1e17f, NULL},
    {"f32", "llm.embed.weight", ELEMENT, 200, 0, NAN, NULL},            /* a token that is not in the text */
    {"int8-sym-g64", "llm.embed.weight", SCALE, 200, 0, INFINITY, NULL},
    {"f32", "llm.layer1.attn.k.weight", ELEMENT, 3, 3, 0x1p-140f, NULL}, /* subnormal */
    {"f32", "vision.stem.0.weight", ELEMENT, 15, 26, NAN, NULL},         /* padding: there are 12 rows */
    {"f32", "vision.stage0.block0.ffn.fc2.weight", ELEMENT, 12, 0, INFINITY, NULL},
    {"int8-sym-g64", "llm.head.weight", SCALE, 263, 0, NAN, NULL},
};
/* clang-format on */

static void what_is_finite_passes(void **state)
{
    (void)state;
    char path[512], message[TEXT];
    static const char *const types[] = {"f32", "bf16", "f16", "int8-sym-g64", "int4-asym-g64"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        run_everywhere(sound(types[i]), types[i], message);
        assert_string_equal(message, "");
    }
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        run_planted(&harmless[i], path, message);
        if (message[0]) fail_msg("plant %zu: \"%s\"", i, message);
    }
}

/* Inputs of a caller; and the error leaves nothing behind. */
static void inputs_are_checked(void **state)
{
    (void)state;
    const fvlm_model_options o = {.threads = 2};
    fvlm_model *m = open_model(sound("f32"), &o);
    const fvlm_config *c = fvlm_model_config(m);
    fvlm_err err = {0};
    fvlm_pixels p = random_pixels(SIDE, 3);
    float *features = fvlm_alloc(4 * c->vision.out_dim, sizeof *features), *logits = random_rows(c->llm.vocab, 1);
    float *rows = random_rows(4 * c->llm.hidden, 5);
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        const float pixel = p.values[777], row = rows[100];
        p.values[777] = values[i];
        rows[100] = values[i];
        assert_int_equal(fvlm_model_tower(m, &p, features, &err), FVLM_BAD_INPUT);
        assert_string_equal(err.msg, "the pixels given to the tower are not finite");
        assert_int_equal(fvlm_model_forward(m, rows, 4, false, logits, &err), FVLM_BAD_INPUT);
        assert_string_equal(err.msg, "the rows given to the language model are not finite");
        p.values[777] = pixel;
        rows[100] = row;
        fvlm_model_reset(m);
        must(run_passes(m, &err), &err);
        fvlm_model_reset(m);
    }
    fvlm_pixels_free(&p);
    free(features);
    free(logits);
    free(rows);
    fvlm_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(overflow_is_named),
        cmocka_unit_test(what_is_finite_passes),
        cmocka_unit_test(inputs_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
