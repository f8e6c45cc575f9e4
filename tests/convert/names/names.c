/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a source tensor is used, dropped by a named rule, or refused by name; what is missing is listed by name;
 * architecture comes from names and shapes and is held against config.json. Exact messages. */
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

#define T TEST_TOWER

static char folder[256];

/* What a folder with this checkpoint says; "" if it is fine. */
static const char *verdict(test_checkpoint *c)
{
    static fvlm_err err;
    test_recipes r;
    err = (fvlm_err){0};
    test_checkpoint_write(c, folder);
    test_checkpoint_free(c);
    if (!test_recipes_open(&r, folder, &err)) test_recipes_close(&r);
    return err.msg;
}

static test_checkpoint fresh(bool train_time)
{
    test_checkpoint c;
    test_checkpoint_make(&c, train_time, FVLM_SOURCE_BF16);
    return c;
}

static void rename_tensor(test_checkpoint *c, const char *from, const char *to)
{
    test_tensor *t = test_tensor_find(c, from);
    snprintf(t->name, sizeof t->name, "%s", to);
}

static size_t dropped_by(const test_recipes *r, const char *rule)
{
    for (unsigned i = 0; i < r->names.n_dropped; i++)
        if (!strcmp(r->names.dropped[i].rule, rule)) return r->names.dropped[i].n_tensors;
    return 0;
}

static void shapes_and_config(void **state)
{
    (void)state;
    for (int train_time = 0; train_time < 2; train_time++) {
        test_checkpoint c = fresh(train_time);
        test_recipes r;
        fvlm_err err = {0};
        test_checkpoint_write(&c, folder);
        test_checkpoint_free(&c);
        if (test_recipes_open(&r, folder, &err)) fail_msg("%s", err.msg);
        const fvlm_config *k = &r.names.config;
        assert_int_equal(k->vision.n_stages, 3);
        assert_int_equal(k->vision.stride, 16);
        assert_int_equal(k->vision.image_size, 256);
        const struct {
            uint32_t dim, depth, hidden, mixer, heads;
            bool pos;
        } want[] = {{16, 2, 64, FVLM_REPMIXER, 0, false},
                    {32, 1, 128, FVLM_REPMIXER, 0, true},
                    {64, 1, 256, FVLM_ATTENTION, 2, false}};
        for (unsigned i = 0; i < 3; i++) {
            const fvlm_stage *s = &k->vision.stage[i];
            assert_int_equal(s->dim, want[i].dim);
            assert_int_equal(s->depth, want[i].depth);
            assert_int_equal(s->hidden, want[i].hidden);
            assert_int_equal(s->mixer, want[i].mixer);
            assert_int_equal(s->heads, want[i].heads);
            assert_int_equal(s->pos, want[i].pos);
        }
        assert_int_equal(k->vision.out_dim, 128);
        assert_int_equal(k->vision.se_dim, 8);
        assert_int_equal(k->vision.head_dim, 32);
        assert_int_equal(k->llm.vocab, TEST_IDS);
        assert_int_equal(k->llm.context, 1024);
        assert_int_equal(k->llm.head_dim, 16);
        assert_int_equal(k->eos[0], 309);
        assert_int_equal(r.names.rows_dropped, TEST_ROWS - TEST_IDS);
        assert_true(k->llm.tied && !r.names.head_chosen);
        assert_int_equal(r.names.n_dropped, 3);
        assert_int_equal(dropped_by(&r, "head tied by config.json"), 1);
        assert_int_equal(dropped_by(&r, "BatchNorm counters"), train_time ? 31 : 4);
        assert_int_equal(dropped_by(&r, "CLIP head, which the language model never sees"), 1);
        test_recipes_close(&r);
    }
}

/* ---- missing and left over ---- */

static void one_missing(void **state)
{
    (void)state;
    static const char *const needed[] = {
        T "patch_embed.0.reparam_conv.weight",
        T "patch_embed.2.reparam_conv.bias",
        T "network.0.0.token_mixer.reparam_conv.bias",
        T "network.0.1.convffn.conv.conv.weight",
        T "network.0.1.convffn.conv.bn.running_var",
        T "network.0.0.layer_scale",
        T "network.1.proj.0.lkb_reparam.weight",
        T "network.1.proj.1.reparam_conv.bias",
        T "network.2.reparam_conv.bias",
        T "network.5.0.norm.weight",
        T "network.5.0.token_mixer.qkv.weight",
        T "network.5.0.token_mixer.proj.bias",
        T "network.5.0.layer_scale_1",
        T "network.5.0.layer_scale_2",
        T "network.5.0.convffn.fc1.weight",
        T "conv_exp.reparam_conv.bias",
        T "conv_exp.se.reduce.weight",
        "model.mm_projector.2.bias",
        "model.layers.1.self_attn.k_proj.bias",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.1.input_layernorm.weight",
        "model.norm.weight",
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        test_checkpoint c = fresh(false);
        char want[300];
        test_tensor_remove(&c, needed[i]);
        snprintf(want, sizeof want, "1 tensor is missing: \"%s\"", needed[i]);
        const char *said = verdict(&c);
        /* Without its qkv an attention block looks like a RepMixer: more is missing and left over then. */
        if (strstr(needed[i], "qkv"))
            assert_non_null(strstr(said, "5.0.token_mixer.reparam_conv.weight"));
        else
            assert_string_equal(said, want);
    }
}

static void train_time_missing(void **state)
{
    (void)state;
    static const char *const needed[] = {
        T "patch_embed.0.rbr_conv.0.bn.weight",
        T "patch_embed.2.rbr_conv.0.conv.weight",
        T "patch_embed.2.rbr_skip.running_mean",
        T "network.0.0.token_mixer.norm.rbr_skip.bias",
        T "network.0.1.token_mixer.mixer.rbr_scale.bn.running_var",
        T "network.0.1.token_mixer.mixer.rbr_skip.weight",
        T "network.3.0.token_mixer.mixer.rbr_conv.0.conv.weight",
        T "network.3.0.token_mixer.layer_scale",
        T "network.1.proj.0.lkb_origin.conv.weight",
        T "network.4.proj.0.small_conv.bn.bias",
        T "network.1.proj.1.rbr_skip.running_var",
        T "network.2.pe.bias",
        T "conv_exp.rbr_conv.1.conv.weight",
        T "conv_exp.rbr_scale.bn.weight",
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        test_checkpoint c = fresh(true);
        char want[300];
        test_tensor_remove(&c, needed[i]);
        snprintf(want, sizeof want, "1 tensor is missing: \"%s\"", needed[i]);
        assert_string_equal(verdict(&c), want);
    }
}

/* A whole branch gone from one RepMixer of several, or from a place where geometry demands it. */
static void whole_branch_missing(void **state)
{
    (void)state;
    static const char *const parts[] = {"conv.weight",     "bn.weight",      "bn.bias",
                                        "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"};
    test_checkpoint c = fresh(true);
    for (size_t i = 0; i < 6; i++) {
        char name[200];
        snprintf(name, sizeof name, T "network.0.1.token_mixer.mixer.rbr_scale.%s", parts[i]);
        test_tensor_remove(&c, name);
    }
    assert_string_equal(verdict(&c),
                        "5 tensors are missing: \"" T "network.0.1.token_mixer.mixer.rbr_scale.conv.weight\", "
                        "\"" T "network.0.1.token_mixer.mixer.rbr_scale.bn.weight\", "
                        "\"" T "network.0.1.token_mixer.mixer.rbr_scale.bn.bias\", "
                        "\"" T "network.0.1.token_mixer.mixer.rbr_scale.bn.running_mean\", "
                        "\"" T "network.0.1.token_mixer.mixer.rbr_scale.bn.running_var\"");
}

static void left_over(void **state)
{
    (void)state;
    test_checkpoint c = fresh(false);
    test_tensor_add(&c, "model.extra.weight", FVLM_SOURCE_BF16, 1, (const uint64_t[]){3});
    assert_string_equal(verdict(&c), "1 tensor is left over: \"model.extra.weight\"");
    c = fresh(false); /* a layer more than config.json says */
    test_tensor_add(&c, "model.layers.2.mlp.up_proj.weight", FVLM_SOURCE_BF16, 2, (const uint64_t[]){48, 32});
    assert_string_equal(verdict(&c), "1 tensor is left over: \"model.layers.2.mlp.up_proj.weight\"");
    c = fresh(false); /* fused and a branch beside it */
    test_tensor_add(&c, T "conv_exp.rbr_conv.0.conv.weight", FVLM_SOURCE_BF16, 4, (const uint64_t[]){128, 1, 3, 3});
    assert_string_equal(verdict(&c), "1 tensor is left over: \"" T "conv_exp.rbr_conv.0.conv.weight\"");
    c = fresh(false); /* a counter that is no counter */
    test_tensor_add(&c, "x.num_batches_tracked", FVLM_SOURCE_BF16, 0, NULL);
    assert_string_equal(verdict(&c), "1 tensor is left over: \"x.num_batches_tracked\"");
}

static void both_listed_ten_at_most(void **state)
{
    (void)state;
    test_checkpoint c = fresh(false);
    for (int i = 0; i < 13; i++) {
        char name[64];
        snprintf(name, sizeof name, "x%02d", i);
        test_tensor_add(&c, name, FVLM_SOURCE_F32, 0, NULL);
    }
    rename_tensor(&c, "model.norm.weight", "x13");
    assert_string_equal(
        verdict(&c),
        "1 tensor is missing: \"model.norm.weight\"; 14 tensors are left over: \"x00\", \"x01\", \"x02\", \"x03\", "
        "\"x04\", \"x05\", \"x06\", \"x07\", \"x08\", \"x09\" and 4 more");
    c = fresh(false);
    test_config_replace(&c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert_string_equal(
        verdict(&c),
        "12 tensors are missing: \"model.layers.2.input_layernorm.weight\", "
        "\"model.layers.2.self_attn.q_proj.weight\", "
        "\"model.layers.2.self_attn.q_proj.bias\", \"model.layers.2.self_attn.k_proj.weight\", "
        "\"model.layers.2.self_attn.k_proj.bias\", \"model.layers.2.self_attn.v_proj.weight\", "
        "\"model.layers.2.self_attn.v_proj.bias\", \"model.layers.2.self_attn.o_proj.weight\", "
        "\"model.layers.2.post_attention_layernorm.weight\", \"model.layers.2.mlp.gate_proj.weight\" and 2 more");
}

/* ---- shapes ---- */

static void resize(test_checkpoint *c, const char *name, unsigned rank, const uint64_t *dims)
{
    test_tensor old = *test_tensor_find(c, name);
    test_tensor_remove(c, name);
    test_tensor_add(c, old.name, old.type, rank, dims);
}

static void wrong_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned rank;
        uint64_t dims[4];
        const char *message;
    } cases[] = {
        {"model.norm.weight", 1, {33}, "tensor \"model.norm.weight\" is BF16 [33], expected [32]"},
        {"model.norm.weight", 2, {32, 1}, "tensor \"model.norm.weight\" is BF16 [32, 1], expected [32]"},
        {"model.layers.0.self_attn.k_proj.weight",
         2,
         {32, 32},
         "tensor \"model.layers.0.self_attn.k_proj.weight\" is BF16 [32, 32], expected [16, 32]"},
        {"model.embed_tokens.weight",
         2,
         {319, 32},
         "tensor \"model.embed_tokens.weight\" is BF16 [319, 32], expected [320, 32]"},
        {"model.mm_projector.0.weight",
         2,
         {32, 64},
         "tensor \"model.mm_projector.0.weight\" is BF16 [32, 64], expected [32, 128]"},
        {T "patch_embed.0.reparam_conv.weight",
         4,
         {16, 4, 3, 3},
         "tensor \"" T "patch_embed.0.reparam_conv.weight\" is BF16 [16, 4, 3, 3], expected [16, 3, 3, 3]"},
        {T "patch_embed.0.reparam_conv.weight",
         4,
         {16, 3, 5, 5},
         "tensor \"" T
         "patch_embed.0.reparam_conv.weight\": a kernel of side 5 is larger than the fused kernel, of side 3"},
        {T "network.0.0.token_mixer.reparam_conv.weight",
         4,
         {16, 2, 3, 3},
         "tensor \"" T "network.0.0.token_mixer.reparam_conv.weight\" is BF16 [16, 2, 3, 3], expected [16, 1, 3, 3]"},
        {T "network.0.0.token_mixer.reparam_conv.weight",
         4,
         {16, 1, 4, 4},
         "tensor \"" T "network.0.0.token_mixer.reparam_conv.weight\": a kernel of side 4; the side must be odd"},
        {T "network.0.0.token_mixer.reparam_conv.weight",
         4,
         {16, 1, 3, 5},
         "tensor \"" T "network.0.0.token_mixer.reparam_conv.weight\" is BF16 [16, 1, 3, 5], expected [16, 1, 3, 3]"},
        {T "network.0.0.token_mixer.reparam_conv.weight",
         4,
         {16, 1, 17, 17},
         "tensor \"" T "network.0.0.token_mixer.reparam_conv.weight\": a kernel of side 17, at most 15 is supported"},
        {T "network.0.1.convffn.fc1.weight",
         4,
         {65, 16, 1, 1},
         "tensor \"" T "network.0.1.convffn.fc1.weight\" is BF16 [65, 16, 1, 1], expected [64, 16, 1, 1]"},
        {T "network.0.1.convffn.fc2.bias",
         1,
         {64},
         "tensor \"" T "network.0.1.convffn.fc2.bias\" is BF16 [64], expected [16]"},
        {T "network.0.1.layer_scale",
         1,
         {16},
         "tensor \"" T "network.0.1.layer_scale\" is BF16 [16], expected [16, 1, 1]"},
        {T "network.5.0.token_mixer.qkv.weight",
         2,
         {64, 64},
         "tensor \"" T "network.5.0.token_mixer.qkv.weight\" is BF16 [64, 64], expected [192, 64]"},
        {T "network.5.0.convffn.conv.bn.running_var",
         1,
         {63},
         "tensor \"" T "network.5.0.convffn.conv.bn.running_var\" is BF16 [63], expected [64]"},
        {T "conv_exp.se.expand.weight",
         4,
         {128, 9, 1, 1},
         "tensor \"" T "conv_exp.se.expand.weight\" is BF16 [128, 9, 1, 1], expected [128, 8, 1, 1]"},
        {T "network.1.proj.0.lkb_reparam.weight",
         4,
         {40, 1, 7, 7},
         "tensor \"" T "network.1.proj.0.lkb_reparam.bias\" is BF16 [32], expected [40]"},
        {T "conv_exp.reparam_conv.weight",
         4,
         {0, 1, 3, 3},
         "tensor \"" T "conv_exp.reparam_conv.weight\" is BF16 [0, 1, 3, 3], expected [any, 1, 3, 3]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_checkpoint c = fresh(false);
        resize(&c, cases[i].name, cases[i].rank, cases[i].dims);
        assert_string_equal(verdict(&c), cases[i].message);
    }
    test_checkpoint c = fresh(false);
    test_tensor_find(&c, "model.norm.weight")->type = FVLM_SOURCE_I64;
    assert_string_equal(verdict(&c),
                        "tensor \"model.norm.weight\": I64 cannot hold a weight; give the checkpoint it was "
                        "made from (BF16, F16 or F32)");
}

static void other_widths_are_fine(void **state)
{
    (void)state;
    test_checkpoint c = fresh(false);
    resize(&c, T "network.2.reparam_conv.weight", 4, (const uint64_t[]){32, 1, 5, 5});
    resize(&c, T "network.1.proj.0.lkb_reparam.weight", 4, (const uint64_t[]){32, 1, 9, 9});
    resize(&c, T "network.0.0.token_mixer.reparam_conv.weight", 4, (const uint64_t[]){16, 1, 1, 1});
    assert_string_equal(verdict(&c), "");
}

/* ---- the order of the tower ---- */

static void broken_grammar(void **state)
{
    (void)state;
    test_checkpoint c = fresh(false);
    rename_tensor(&c, T "network.2.reparam_conv.weight", T "network.6.reparam_conv.weight");
    rename_tensor(&c, T "network.2.reparam_conv.bias", T "network.6.reparam_conv.bias");
    assert_string_equal(
        verdict(&c),
        "\"" T "network.2\" holds nothing that is known; a tower is stages of [downsample] [position encoding] "
        "blocks, at most 8, the first without downsample");
    c = fresh(false);
    test_tensor_add(&c, T "network.6.reparam_conv.weight", FVLM_SOURCE_BF16, 4, (const uint64_t[]){64, 1, 7, 7});
    assert_string_equal(verdict(&c),
                        "\"" T "network.6\" holds a position encoding; a tower is stages of [downsample] [position "
                        "encoding] blocks, at most 8, the first without downsample");
    c = fresh(false);
    test_tensor_add(&c, T "network.6.proj.0.lkb_reparam.weight", FVLM_SOURCE_BF16, 4, (const uint64_t[]){64, 1, 7, 7});
    assert_string_equal(verdict(&c), "\"" T "network.6\" ends the tower inside a stage");
    c = fresh(false);
    test_tensor_add(&c, T "network.64.proj.0.x", FVLM_SOURCE_BF16, 0, NULL);
    assert_string_equal(verdict(&c), "tensors \"" T "network.0.\" to \"" T "network.64.\": at most 64 are supported");
    c = fresh(false);
    test_tensor_add(&c, T "network.4000000000.proj.0.x", FVLM_SOURCE_BF16, 0, NULL);
    assert_string_equal(verdict(&c), "1 tensor is left over: \"" T "network.4000000000.proj.0.x\"");
    c = fresh(false);
    test_tensor_add(&c, T "network.0.999.x", FVLM_SOURCE_BF16, 0, NULL);
    assert_string_equal(verdict(&c),
                        "tensors \"" T "network.0.0.\" to \"" T "network.0.999.\": at most 512 are supported");
}

/* ---- the head ---- */

enum { NONE, EQUAL, DIFFERS, DIFFERS_UNREACHABLE, WIDER, ROUNDED, ALONE };

/* Changes the head of a checkpoint whose tensors are BF16. */
static void make_head(test_checkpoint *c, int head)
{
    test_tensor *t = test_tensor_find(c, "lm_head.weight"), *embed = test_tensor_find(c, "model.embed_tokens.weight");
    if (head == DIFFERS) t->values[(TEST_IDS - 1) * 32 + 31] += 1;
    if (head == DIFFERS_UNREACHABLE) t->values[TEST_IDS * 32] += 1;
    if (head == WIDER) t->type = FVLM_SOURCE_F32;
    if (head == ROUNDED) { /* the embedding in F32, of which the head is the rounding */
        embed->type = FVLM_SOURCE_F32;
        for (size_t i = 0; i < embed->n; i++) embed->values[i] *= 1 + 0x1p-12;
        test_tensor_round(embed);
    }
    if (head == NONE) test_tensor_remove(c, "lm_head.weight");
    if (head == ALONE) test_tensor_remove(c, "model.embed_tokens.weight");
}

#define CONTRADICTION                                                                                                  \
    "\"config.json\" says \"tie_word_embeddings\", but lm_head.weight differs from model.embed_tokens.weight, first "  \
    "in row 309; choose --head own (the stored head) or --head tied (the embedding; transformers before version 5)"
#define NO_HEAD                                                                                                        \
    "1 tensor is missing: \"lm_head.weight\"; config.json says that it is not tied to the embedding: --head tied "     \
    "uses "                                                                                                            \
    "the embedding anyway"
#define NO_EMBEDDING "1 tensor is missing: \"model.embed_tokens.weight\""

static void heads(void **state)
{
    (void)state;
    static const struct {
        const char *tie; /* in config.json; NULL: no key */
        int head;
        const char *choice; /* --head */
        bool tied, chosen;
        const char *rule, *message;
    } cases[] = {
        {"true", NONE, NULL, true, false, NULL, ""},
        {"true", EQUAL, NULL, true, false, "head tied by config.json", ""},
        {"true", DIFFERS, NULL, true, true, NULL, CONTRADICTION},
        {"true", DIFFERS, "own", false, true, NULL, ""},
        {"true", DIFFERS, "tied", true, true, "head that differs from the embedding, by --head tied", ""},
        {"true", DIFFERS_UNREACHABLE, NULL, true, false, "head tied by config.json", ""},
        {"true", WIDER, NULL, true, false, "head tied by config.json", ""},
        {"true", ROUNDED, NULL, true, false, "head equal to the embedding, but for rounding", ""},
        {"true", ALONE, NULL, true, false, NULL, ""},
        {"false", NONE, NULL, false, false, NULL, NO_HEAD},
        {"false", NONE, "own", false, false, NULL, NO_HEAD},
        {"false", NONE, "tied", true, true, NULL, ""},
        {"false", EQUAL, NULL, true, false, "head equal to the embedding", ""},
        {"false", EQUAL, "own", true, false, "head equal to the embedding", ""},
        {"false", DIFFERS, NULL, false, false, NULL, ""},
        {"false", DIFFERS, "tied", false, false, NULL, ""}, /* nothing to choose; the command refuses it */
        {"false", DIFFERS_UNREACHABLE, NULL, true, false, "head equal to the embedding", ""},
        {"false", WIDER, NULL, true, false, "head equal to the embedding", ""},
        {"false", ROUNDED, NULL, false, false, NULL, ""}, /* the head has a value of its own */
        {"false", ALONE, NULL, false, false, NULL, NO_EMBEDDING},
        {NULL, NONE, NULL, true, false, NULL, ""},
        {NULL, EQUAL, NULL, true, false, "head equal to the embedding", ""},
        {NULL, DIFFERS, NULL, false, false, NULL, ""},
        {NULL, ALONE, NULL, false, false, NULL, NO_EMBEDDING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_checkpoint c = fresh(false);
        test_recipes r;
        fvlm_err err = {0};
        char text[64];
        snprintf(text, sizeof text, "\"tie_word_embeddings\": %s,", cases[i].tie ? cases[i].tie : "");
        test_config_replace(&c, "\"tie_word_embeddings\": true,", cases[i].tie ? text : "");
        make_head(&c, cases[i].head);
        test_checkpoint_write(&c, folder);
        test_checkpoint_free(&c);
        fvlm_status st = test_recipes_open_head(&r, folder, cases[i].choice, &err);
        assert_string_equal(err.msg, cases[i].message);
        if (st) continue;
        assert_int_equal(r.names.config.llm.tied, cases[i].tied);
        assert_int_equal(r.names.head_chosen, cases[i].chosen);
        assert_int_equal(r.names.head_stored, cases[i].head != NONE && cases[i].head != ALONE);
        const char *last = r.names.recipes.items[r.names.recipes.n - 1].name;
        assert_string_equal(last, cases[i].tied ? "llm.norm" : "llm.head");
        if (cases[i].rule) assert_string_equal(r.names.dropped[0].rule, cases[i].rule);
        test_recipes_close(&r);
    }
}

static int set_up(void **state)
{
    (void)state;
    test_folder(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_and_config),  cmocka_unit_test(one_missing),
        cmocka_unit_test(train_time_missing), cmocka_unit_test(whole_branch_missing),
        cmocka_unit_test(left_over),          cmocka_unit_test(both_listed_ten_at_most),
        cmocka_unit_test(wrong_shapes),       cmocka_unit_test(other_widths_are_fine),
        cmocka_unit_test(broken_grammar),     cmocka_unit_test(heads),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
