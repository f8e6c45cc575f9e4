/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - see checkpoint.h. */
#include "tests/support/checkpoint.h"

#include <math.h>
#include <unistd.h>

#include "format/base/utf8.h"
#include "format/byte_letters.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

/* ---- tensors ---- */

test_tensor *test_tensor_add(test_checkpoint *c, const char *name, unsigned type, unsigned rank, const uint64_t *dims)
{
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 256;
        c->items = realloc(c->items, c->room * sizeof *c->items);
        assert_non_null(c->items);
    }
    test_tensor *t = &c->items[c->n++];
    *t = (test_tensor){.type = type, .rank = rank, .n = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    for (unsigned i = 0; i < rank; i++) t->n *= (size_t)(t->dims[i] = dims[i]);
    t->values = calloc(t->n ? t->n : 1, sizeof *t->values);
    assert_non_null(t->values);
    return t;
}

void test_tensor_round(test_tensor *t)
{
    for (size_t i = 0; i < t->n; i++) {
        float f = (float)t->values[i];
        if (t->type == FVLM_SOURCE_BF16) f = fvlm_bf16_to_f32(fvlm_f32_to_bf16(f));
        if (t->type == FVLM_SOURCE_F16) f = fvlm_f16_to_f32(fvlm_f32_to_f16(f));
        if (t->type != FVLM_SOURCE_I64) t->values[i] = (double)f;
    }
}

test_tensor *test_tensor_find(const test_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->items[i].name, name)) return &c->items[i];
    fail_msg("no tensor %s in the test's checkpoint", name);
    return NULL;
}

void test_tensor_remove(test_checkpoint *c, const char *name)
{
    test_tensor *t = test_tensor_find(c, name);
    free(t->values);
    memmove(t, t + 1, (size_t)(c->items + c->n - t - 1) * sizeof *t);
    c->n--;
}

/* ---- a whole one ---- */

typedef struct {
    test_checkpoint *c;
    unsigned type;
    bool train_time;
} maker;

/* Values from the name alone: uniform low .. high, on a log scale when both are positive and far apart. */
static test_tensor *uniform(maker *k, double low, double high, unsigned rank, const uint64_t *dims, const char *fmt,
                            ...) FVLM_PRINTF(6, 7);
static test_tensor *uniform(maker *k, double low, double high, unsigned rank, const uint64_t *dims, const char *fmt,
                            ...)
{
    char name[192];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    test_tensor *t = test_tensor_add(k->c, name, k->type, rank, dims);
    fvlm_hash h = fvlm_hash_of(name, strlen(name));
    test_rng r = {fvlm_load_u64(h.bytes) | 1};
    bool logarithmic = low > 0 && high / low > 50;
    for (size_t i = 0; i < t->n; i++) {
        double u = test_unit(&r);
        t->values[i] = logarithmic ? low * pow(high / low, u) : low + (high - low) * u;
    }
    test_tensor_round(t);
    return t;
}

static void conv(maker *k, const char *at, uint64_t out, uint64_t in, uint64_t side, bool bias)
{
    double bound = 1.7 / sqrt((double)(in * side * side));
    uniform(k, -bound, bound, 4, (const uint64_t[]){out, in, side, side}, "%s.weight", at);
    if (bias) uniform(k, -0.5, 0.5, 1, &out, "%s.bias", at);
}

static void linear(maker *k, const char *at, uint64_t out, uint64_t in, bool bias)
{
    double bound = 1.7 / sqrt((double)in);
    uniform(k, -bound, bound, 2, (const uint64_t[]){out, in}, "%s.weight", at);
    if (bias) uniform(k, -0.5, 0.5, 1, &out, "%s.bias", at);
}

static void batch_norm(maker *k, const char *at, uint64_t c)
{
    uniform(k, 0.5, 1.5, 1, &c, "%s.weight", at);
    uniform(k, -0.5, 0.5, 1, &c, "%s.bias", at);
    uniform(k, -0.5, 0.5, 1, &c, "%s.running_mean", at);
    uniform(k, 0.1, 10, 1, &c, "%s.running_var", at);
    char name[220];
    snprintf(name, sizeof name, "%s.num_batches_tracked", at);
    test_tensor_add(k->c, name, FVLM_SOURCE_I64, 0, NULL)->values[0] = 1000;
}

static void conv_bn(maker *k, const char *at, uint64_t out, uint64_t in, uint64_t side)
{
    char path[180];
    snprintf(path, sizeof path, "%s.conv", at);
    conv(k, path, out, in, side, false);
    snprintf(path, sizeof path, "%s.bn", at);
    batch_norm(k, path, out);
}

/* A convolution, fused or as n branches with BatchNorm, a 1x1 branch and a skip. */
static void mobile_one(maker *k, const char *at, uint64_t out, uint64_t in, uint64_t side, unsigned n, bool scale,
                       bool skip)
{
    char path[160];
    for (unsigned i = 0; k->train_time && i < n; i++) {
        snprintf(path, sizeof path, "%s.rbr_conv.%u", at, i);
        conv_bn(k, path, out, in, side);
    }
    snprintf(path, sizeof path, "%s.rbr_scale", at);
    if (k->train_time && scale) conv_bn(k, path, out, in, 1);
    snprintf(path, sizeof path, "%s.rbr_skip", at);
    if (k->train_time && skip) batch_norm(k, path, out);
    snprintf(path, sizeof path, "%s.reparam_conv", at);
    if (!k->train_time) conv(k, path, out, in, side, true);
}

static void ffn(maker *k, const char *block, uint64_t c)
{
    char at[160];
    snprintf(at, sizeof at, "%s.convffn.conv", block);
    conv_bn(k, at, c, 1, 7);
    snprintf(at, sizeof at, "%s.convffn.fc1", block);
    conv(k, at, 4 * c, c, 1, true);
    snprintf(at, sizeof at, "%s.convffn.fc2", block);
    conv(k, at, c, 4 * c, 1, true);
}

static void repmixer(maker *k, unsigned place, unsigned b, uint64_t c)
{
    char block[128], at[160];
    const uint64_t scale[] = {c, 1, 1};
    snprintf(block, sizeof block, TEST_TOWER "network.%u.%u", place, b);
    snprintf(at, sizeof at, "%s.token_mixer", block);
    if (k->train_time) {
        snprintf(at, sizeof at, "%s.token_mixer.norm.rbr_skip", block);
        batch_norm(k, at, c);
        snprintf(at, sizeof at, "%s.token_mixer.mixer", block);
        mobile_one(k, at, c, 1, 3, 1, true, true);
        uniform(k, 0.1, 1, 3, scale, "%s.token_mixer.layer_scale", block);
    } else {
        mobile_one(k, at, c, 1, 3, 1, false, false);
    }
    ffn(k, block, c);
    uniform(k, 0.1, 1, 3, scale, "%s.layer_scale", block);
}

static void attention(maker *k, unsigned place, unsigned b, uint64_t c)
{
    char block[128], at[160];
    const uint64_t scale[] = {c, 1, 1};
    snprintf(block, sizeof block, TEST_TOWER "network.%u.%u", place, b);
    uniform(k, 0.5, 1.5, 1, &c, "%s.norm.weight", block);
    uniform(k, -0.5, 0.5, 1, &c, "%s.norm.bias", block);
    snprintf(at, sizeof at, "%s.token_mixer.qkv", block);
    linear(k, at, 3 * c, c, false);
    snprintf(at, sizeof at, "%s.token_mixer.proj", block);
    linear(k, at, c, c, true);
    ffn(k, block, c);
    uniform(k, 0.1, 1, 3, scale, "%s.layer_scale_1", block);
    uniform(k, 0.1, 1, 3, scale, "%s.layer_scale_2", block);
}

static void downsample(maker *k, unsigned place, uint64_t c)
{
    char at[128], path[160];
    snprintf(at, sizeof at, TEST_TOWER "network.%u.proj.0", place);
    if (k->train_time) {
        snprintf(path, sizeof path, "%s.lkb_origin", at);
        conv_bn(k, path, c, 1, 7);
        snprintf(path, sizeof path, "%s.small_conv", at);
        conv_bn(k, path, c, 1, 3);
    } else {
        snprintf(path, sizeof path, "%s.lkb_reparam", at);
        conv(k, path, c, 1, 7, true);
    }
    snprintf(at, sizeof at, TEST_TOWER "network.%u.proj.1", place);
    mobile_one(k, at, c, c, 1, 1, false, true);
}

static void tower(maker *k)
{
    mobile_one(k, TEST_TOWER "patch_embed.0", 16, 3, 3, 1, false, false);
    mobile_one(k, TEST_TOWER "patch_embed.1", 16, 1, 3, 1, false, false);
    mobile_one(k, TEST_TOWER "patch_embed.2", 16, 16, 1, 1, false, true);
    repmixer(k, 0, 0, 16);
    repmixer(k, 0, 1, 16);
    downsample(k, 1, 32);
    conv(k, k->train_time ? TEST_TOWER "network.2.pe" : TEST_TOWER "network.2.reparam_conv", 32, 1, 7, true);
    repmixer(k, 3, 0, 32);
    downsample(k, 4, 64);
    attention(k, 5, 0, 64);
    mobile_one(k, TEST_TOWER "conv_exp", 128, 1, 3, 2, true, false);
    conv(k, TEST_TOWER "conv_exp.se.reduce", 8, 128, 1, true);
    conv(k, TEST_TOWER "conv_exp.se.expand", 128, 8, 1, true);
    uniform(k, -1, 1, 2, (const uint64_t[]){128, 24}, TEST_TOWER "head.proj");
}

static void llm(maker *k)
{
    static const struct {
        const char *name;
        uint64_t out, in;
        bool bias;
    } parts[] = {
        {"self_attn.q_proj", 32, 32, true},  {"self_attn.k_proj", 16, 32, true}, {"self_attn.v_proj", 16, 32, true},
        {"self_attn.o_proj", 32, 32, false}, {"mlp.gate_proj", 48, 32, false},   {"mlp.up_proj", 48, 32, false},
        {"mlp.down_proj", 32, 48, false},
    };
    uint64_t hidden = 32;
    char at[160];
    linear(k, "model.mm_projector.0", 32, 128, true);
    linear(k, "model.mm_projector.2", 32, 32, true);
    linear(k, "model.embed_tokens", TEST_ROWS, 32, false);
    for (unsigned l = 0; l < 2; l++) {
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            snprintf(at, sizeof at, "model.layers.%u.%s", l, parts[i].name);
            linear(k, at, parts[i].out, parts[i].in, parts[i].bias);
        }
        uniform(k, 0.5, 1.5, 1, &hidden, "model.layers.%u.input_layernorm.weight", l);
        uniform(k, 0.5, 1.5, 1, &hidden, "model.layers.%u.post_attention_layernorm.weight", l);
    }
    uniform(k, 0.5, 1.5, 1, &hidden, "model.norm.weight");
    linear(k, "lm_head", TEST_ROWS, 32, false);
    test_tensor *head = &k->c->items[k->c->n - 1], *embed = test_tensor_find(k->c, "model.embed_tokens.weight");
    memcpy(head->values, embed->values, head->n * sizeof *head->values);
}

void test_checkpoint_make(test_checkpoint *c, bool train_time, unsigned type)
{
    static const char config[] =
        "{\"model_type\": \"llava_qwen2\", \"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
        "\"num_key_value_heads\": 1, \"intermediate_size\": 48, \"vocab_size\": 320, \"rms_norm_eps\": 1e-06, "
        "\"rope_theta\": 1000000.0, \"max_position_embeddings\": 2048, \"tokenizer_model_max_length\": 1024, "
        "\"hidden_act\": \"silu\", \"eos_token_id\": 309, \"tie_word_embeddings\": true, \"mm_hidden_size\": 128, "
        "\"mm_projector_type\": \"mlp2x_gelu\", \"mm_vision_tower\": \"mobileclip_l_256\", \"image_aspect_ratio\": "
        "\"pad\"}\n";
    *c = (test_checkpoint){0};
    memcpy(c->config, config, sizeof config);
    maker k = {c, type, train_time};
    tower(&k);
    llm(&k);
}

void test_checkpoint_free(test_checkpoint *c)
{
    for (size_t i = 0; i < c->n; i++) free(c->items[i].values);
    free(c->items);
    *c = (test_checkpoint){0};
}

void test_config_replace(test_checkpoint *c, const char *from, const char *to)
{
    char *at = strstr(c->config, from), rest[sizeof c->config];
    assert_non_null(at);
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, sizeof c->config - (size_t)(at - c->config), "%s%s", to, rest);
}

/* ---- files ---- */

static size_t element_bytes(unsigned type)
{
    return fvlm_source_type_bytes(type);
}

static void store(uint8_t *to, unsigned type, double v)
{
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (type == FVLM_SOURCE_I64) fvlm_store_u64(to, (uint64_t)v);
    if (type == FVLM_SOURCE_F32) fvlm_store_u32(to, bits);
    if (type == FVLM_SOURCE_BF16) fvlm_store_u16(to, fvlm_f32_to_bf16(f));
    if (type == FVLM_SOURCE_F16) fvlm_store_u16(to, fvlm_f32_to_f16(f));
    const char *name = fvlm_source_type_name(type);
    if ((!strcmp(name, "U32") || !strcmp(name, "I32")) && v >= 0) fvlm_store_u32(to, (uint32_t)v);
}

uint8_t *test_checkpoint_bytes(const test_checkpoint *c, size_t first, size_t end, size_t *n_bytes)
{
    size_t room = 64 + sizeof c->notes, n_data = 0, n = 8;
    for (size_t i = first; i < end; i++) {
        room += strlen(c->items[i].name) + 160 + c->items[i].n * element_bytes(c->items[i].type);
        n_data += c->items[i].n * element_bytes(c->items[i].type);
    }
    uint8_t *bytes = calloc(room, 1);
    assert_non_null(bytes);
    char *text = (char *)bytes;
    n += (size_t)sprintf(text + n, "{\"__metadata__\":{\"format\":\"pt\"%s}", c->notes);
    for (size_t i = first, at = 0; i < end; i++) {
        const test_tensor *t = &c->items[i];
        n +=
            (size_t)sprintf(text + n, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, fvlm_source_type_name(t->type));
        for (unsigned d = 0; d < t->rank; d++) n += (size_t)sprintf(text + n, d ? ",%u" : "%u", (unsigned)t->dims[d]);
        size_t size = t->n * element_bytes(t->type);
        n += (size_t)sprintf(text + n, "],\"data_offsets\":[%zu,%zu]}", at, at + size);
        at += size;
    }
    n += (size_t)sprintf(text + n, "}");
    fvlm_store_u64(bytes, n - 8);
    for (size_t i = first; i < end; i++)
        for (size_t j = 0; j < c->items[i].n; j++) {
            store(bytes + n, c->items[i].type, c->items[i].values[j]);
            n += element_bytes(c->items[i].type);
        }
    assert_true(n <= room && n_data < room);
    *n_bytes = n;
    return bytes;
}

void test_write_text(const char *folder, const char *name, const char *text)
{
    char *path = test_path(folder, name);
    assert_true(test_write_file(path, text, strlen(text)));
    free(path);
}

void test_remove_file(const char *folder, const char *name)
{
    char *path = test_path(folder, name);
    unlink(path);
    free(path);
}

/* GPT-2's alphabet, one token a byte, in the order of its code points; then pairs of ASCII letters: aa, ab, ... */
static void write_tokenizer(const char *folder)
{
    enum { N_TOKENS = TEST_IDS - 3 };
    char vocab[8192], merges[8192] = "#version: 0.2\n";
    size_t n = (size_t)sprintf(vocab, "{"), m = strlen(merges);
    int id = 0;
    for (int32_t c = 0; c < 0x144; c++) {
        char letter[5] = "";
        if (fvlm_byte_letters_value(c) < 0) continue;
        fvlm_utf8_put(c, (uint8_t *)letter);
        n += (size_t)sprintf(vocab + n, "%s\"%s%s\":%d", id ? "," : "", c == '"' || c == '\\' ? "\\" : "", letter, id);
        id++;
    }
    for (int i = 0; id < N_TOKENS; i++, id++) {
        n += (size_t)sprintf(vocab + n, ",\"%c%c\":%d", 'a' + i / 26, 'a' + i % 26, id);
        m += (size_t)sprintf(merges + m, "%c %c\n", 'a' + i / 26, 'a' + i % 26);
    }
    sprintf(vocab + n, "}");
    test_write_text(folder, "vocab.json", vocab);
    test_write_text(folder, "merges.txt", merges);
    test_write_text(folder, "added_tokens.json",
                    "{\"<|endoftext|>\": 307, \"<|im_start|>\": 308, \"<|im_end|>\": 309}\n");
}

void test_checkpoint_write(const test_checkpoint *c, const char *folder)
{
    size_t n_bytes;
    uint8_t *bytes = test_checkpoint_bytes(c, 0, c->n, &n_bytes);
    char *path = test_path(folder, "model.safetensors");
    assert_true(test_write_file(path, bytes, n_bytes));
    free(path);
    free(bytes);
    test_write_text(folder, "config.json", c->config);
    test_write_text(folder, "generation_config.json", "{\"do_sample\": true, \"temperature\": null}\n");
    write_tokenizer(folder);
}
