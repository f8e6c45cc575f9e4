/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.c - see dialect.h. The names are made by the replacements of timm's checkpoint_filter_fn and mlx-vlm's
 * sanitize, and share nothing with convert/names/. */
#include "tests/support/dialect.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/support.h"

#define TOWER "model.vision_tower.vision_tower.model."

static const char *to;
static unsigned long downsamples; /* bit N: network.N is one */

static void die(const char *what)
{
    fprintf(stderr, "dialect: %s\n", what);
    exit(2);
}

static int is(const char *dialect)
{
    return !strcmp(to, dialect);
}

/* The first 'from' in the text becomes 'with'. */
static void replace(char name[512], const char *from, const char *with)
{
    char rest[512];
    char *at = strstr(name, from);
    if (!at) return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, 512 - (size_t)(at - name), "%s%s", with, rest);
}

static void append(char name[512], const char *end)
{
    snprintf(name + strlen(name), 512 - strlen(name), "%s", end);
}

static void prepend(char name[512], const char *prefix)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", name);
    snprintf(name, 512, "%s%.400s", prefix, copy);
}

/* network.N.rest -> stages.S.part.rest */
static void number_stage(char name[512])
{
    unsigned n = 0, stage = 0;
    int used = 0;
    char rest[512], part[32] = "blocks.";
    if (sscanf(name, "network.%u.%n", &n, &used) != 1 || !used) return;
    snprintf(rest, sizeof rest, "%s", name + used);
    for (unsigned i = 0; i <= n; i++) stage += (unsigned)(downsamples >> i & 1);
    if (!strncmp(rest, "proj.", 5)) snprintf(part, sizeof part, "downsample.");
    if (!strncmp(rest, "reparam_conv.", 13)) snprintf(part, sizeof part, "pos_emb.");
    if (!strncmp(rest, "pe.", 3)) {
        snprintf(part, sizeof part, "pos_emb.");
        replace(rest, "pe.", "pos_enc.");
    }
    snprintf(name, 512, "stages.%u.%s%.400s", stage, part, rest);
}

static void to_timm(char name[512])
{
    static const char *const pairs[][2] = {
        {"patch_embed", "stem"},
        {"rbr_conv", "conv_kxk"},
        {"rbr_scale", "conv_scale"},
        {"rbr_skip", "identity"},
        {"conv_exp", "final_conv"},
        {"lkb_origin", "large_conv"},
        {"convffn", "mlp"},
        {"se.reduce", "se.fc1"},
        {"se.expand", "se.fc2"},
        {"lkb_reparam", "reparam_conv"},
        {"head.proj", "head.fc.weight"},
    };
    const size_t n = strlen(name);
    number_stage(name);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) replace(name, pairs[i][0], pairs[i][1]);
    if (n > 13 && (strstr(name + strlen(name) - 13, "layer_scale"))) append(name, ".gamma");
}

/* The new name, in place; 0: the tensor is left out. */
static int rename_tensor(char name[512])
{
    const int tower = !strncmp(name, TOWER, strlen(TOWER)), head = tower && strstr(name, ".head.proj") != NULL;
    if (tower) {
        replace(name, TOWER, "");
        if (is("transformers") || is("llava") || is("timm") || is("openclip")) to_timm(name);
        if (is("mlx-vlm")) replace(name, "patch_embed", "patch_embed.blocks");
        prepend(name, is("transformers") ? "model.vision_tower.timm_model."
                      : is("llava")      ? "vision_tower.timm_model."
                      : is("mlx-vlm")    ? "vision_tower.vision_model."
                      : is("openclip")   ? "visual.trunk."
                      : is("mobileclip") ? "image_encoder.model."
                                         : "");
        if (is("mlx-vlm") && strstr(name, "num_batches_tracked")) return 0;
        return !is("apple-mlx") && !(head && (is("transformers") || is("llava")));
    }
    if (is("timm") || is("openclip") || is("mobileclip") || is("apple-tower")) return 0;
    if (is("transformers")) {
        replace(name, "model.mm_projector.0.", "model.multi_modal_projector.linear_1.");
        replace(name, "model.mm_projector.2.", "model.multi_modal_projector.linear_2.");
        if (!strstr(name, "multi_modal") && strncmp(name, "lm_head", 7))
            replace(name, "model.", "model.language_model.");
        return strncmp(name, "lm_head", 7) != 0; /* save_pretrained leaves a tied head out */
    }
    replace(name, "model.mm_projector.0.",
            is("llava")     ? "multi_modal_projector.linear_1."
            : is("mlx-vlm") ? "mm_projector.0."
                            : "multi_modal_projector.linear_0.");
    replace(name, "model.mm_projector.2.", is("mlx-vlm") ? "mm_projector.2." : "multi_modal_projector.linear_2.");
    if (!strstr(name, "projector")) prepend(name, "language_model.");
    return 1;
}

static uint8_t *read_file(const char *folder, const char *name, size_t *n)
{
    char *path = test_path(folder, name);
    uint8_t *bytes = test_read_file(path, n);
    if (!bytes) die(path);
    free(path);
    return bytes;
}

static size_t dim(const json_t *shape, size_t i)
{
    return (size_t)json_integer_value(json_array_get(shape, i));
}

/* [out, in, height, width] -> [out, height, width, in], and [n, 1, 1] -> [1, 1, n]: the elements, and the shape. */
static void put_channels_last(uint8_t *out, const uint8_t *data, size_t n_bytes, json_t *shape)
{
    const size_t rank = json_array_size(shape);
    memcpy(out, data, n_bytes);
    if (rank == 3) {
        json_array_append_new(shape, json_integer((json_int_t)dim(shape, 0)));
        json_array_remove(shape, 0);
    }
    if (rank != 4) return;
    const size_t o_n = dim(shape, 0), in = dim(shape, 1), taps = dim(shape, 2) * dim(shape, 3);
    const size_t size = n_bytes / (o_n * in * taps);
    for (size_t o = 0; o < o_n; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < taps; t++)
                memcpy(out + ((o * taps + t) * in + i) * size, data + ((o * in + i) * taps + t) * size, size);
    json_array_append_new(shape, json_integer((json_int_t)in));
    json_array_remove(shape, 1);
}

static void write_weights(const char *from, const char *folder)
{
    size_t n_file, at = 0;
    uint8_t *file = read_file(from, "model.safetensors", &n_file), *data = malloc(n_file);
    uint64_t n_header;
    memcpy(&n_header, file, 8);
    json_t *header = json_loadb((const char *)file + 8, (size_t)n_header, 0, NULL), *written = json_object(), *t;
    const char *key;
    if (!header || !data) die("no header");
    json_object_foreach(header, key, t)
    {
        unsigned n;
        int used = 0;
        if (sscanf(key, TOWER "network.%u.proj.%n", &n, &used) == 1 && used) downsamples |= 1ul << n;
    }
    json_object_foreach(header, key, t)
    {
        char name[512];
        snprintf(name, sizeof name, "%s", key);
        if (!strcmp(key, "__metadata__") || !rename_tensor(name)) continue;
        const json_t *offsets = json_object_get(t, "data_offsets");
        json_t *shape = json_deep_copy(json_object_get(t, "shape"));
        const size_t first = dim(offsets, 0), n = dim(offsets, 1) - first;
        const uint8_t *stored = file + 8 + n_header + first;
        if (is("mlx-vlm") && strstr(key, TOWER))
            put_channels_last(data + at, stored, n, shape);
        else
            memcpy(data + at, stored, n);
        json_object_set_new(written, name,
                            json_pack("{s:O, s:o, s:[I, I]}", "dtype", json_object_get(t, "dtype"), "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + n)));
        at += n;
    }
    char path[4096], *text = json_dumps(written, JSON_COMPACT);
    snprintf(path, sizeof path, "%s/%s", folder, is("openclip") ? "open_clip_model.safetensors" : "model.safetensors");
    FILE *f = fopen(path, "wb");
    const uint64_t n_text = strlen(text);
    if (!f || fwrite(&n_text, 8, 1, f) != 1 || fwrite(text, 1, n_text, f) != n_text || fwrite(data, 1, at, f) != at ||
        fclose(f))
        die(path);
    free(text);
    free(data);
    free(file);
    json_decref(written);
    json_decref(header);
}

/* What config.json says about packed weights: MLX's settings of single modules stand under their names. */
static void carry_quantization(json_t *config, json_t *apple)
{
    const char *key;
    json_t *v, *mlx = json_object_get(apple, "quantization"), *renamed = json_object();
    json_object_foreach(mlx, key, v)
    {
        char name[512];
        snprintf(name, sizeof name, "%.400s.weight", key);
        if (!json_is_object(v) && !json_is_boolean(v))
            json_object_set(renamed, key, v);
        else if (rename_tensor(name)) {
            name[strlen(name) - strlen(".weight")] = 0;
            json_object_set(renamed, name, v);
        }
    }
    if (mlx) json_object_set(config, "quantization", renamed);
    json_object_set(config, "quantization_config", json_object_get(apple, "quantization_config"));
    json_decref(renamed);
}

/* config.json as the program writes it. */
static void write_config(const char *from, const char *folder)
{
    static const char *const text_keys[] = {
        "hidden_size",       "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "intermediate_size", "vocab_size",        "rms_norm_eps",        "max_position_embeddings",
        "hidden_act",        "eos_token_id",      "tie_word_embeddings",
    };
    size_t n;
    char path[4096];
    char *text = (char *)read_file(from, "config.json", &n);
    json_t *apple = json_loadb(text, n, 0, NULL), *config = NULL;
    if (!apple) die("config.json");
    if (is("transformers") || is("llava")) {
        json_t *llm = json_pack("{s:s, s:{s:s, s:O}}", "model_type", "qwen2", "rope_parameters", "rope_type", "default",
                                "rope_theta", json_object_get(apple, "rope_theta"));
        for (size_t i = 0; i < sizeof text_keys / sizeof *text_keys; i++)
            json_object_set(llm, text_keys[i], json_object_get(apple, text_keys[i]));
        config =
            json_pack("{s:s, s:o, s:{s:s, s:s, s:O}, s:i, s:s, s:b, s:b, s:s, s:i}", "model_type", "fast_vlm",
                      "text_config", llm, "vision_config", "model_type", "timm_wrapper", "architecture", "fastvit_mci3",
                      "hidden_size", json_object_get(apple, "mm_hidden_size"), "image_token_index", 151646,
                      "projector_hidden_act", "gelu", "multimodal_projector_bias", 1, "tie_word_embeddings", 0,
                      "vision_feature_select_strategy", "full", "vision_feature_layer", -1);
    } else if (is("timm")) {
        config = json_pack("{s:s, s:i, s:{s:[i,i,i], s:[f,f,f], s:[f,f,f], s:s}}", "architecture", "fastvit_mci3",
                           "num_classes", 0, "pretrained_cfg", "input_size", 3, 256, 256, "mean", 0., 0., 0., "std", 1.,
                           1., 1., "interpolation", "bicubic");
    } else if (is("openclip")) {
        config = json_pack("{s:{s:i, s:{s:s, s:i}}, s:{s:[f,f,f], s:[f,f,f]}}", "model_cfg", "embed_dim", 768,
                           "vision_cfg", "timm_model_name", "fastvit_mci3", "image_size", 256, "preprocess_cfg", "mean",
                           0., 0., 0., "std", 1., 1., 1.);
    } else if (is("mlx-vlm") || is("apple-mlx")) {
        config = json_incref(apple);
        json_object_set_new(config, "vision_config", json_object());
        json_object_set_new(config, "image_token_index", json_integer(151646));
    } /* MobileCLIP has none */
    if (config) carry_quantization(config, apple);
    snprintf(path, sizeof path, "%s/%s", folder, is("openclip") ? "open_clip_config.json" : "config.json");
    if (config && json_dump_file(config, path, JSON_INDENT(1))) die(path);
    json_decref(config);
    json_decref(apple);
    free(text);
}

void test_dialect_write(const char *from, const char *folder, const char *dialect)
{
    static const char all[] = " transformers llava mlx-vlm apple-mlx timm openclip mobileclip apple-tower ";
    char word[64];
    snprintf(word, sizeof word, " %.40s ", dialect);
    if (!strstr(all, word)) die("unknown dialect");
    to = dialect;
    downsamples = 0;
    write_weights(from, folder);
    write_config(from, folder);
}
