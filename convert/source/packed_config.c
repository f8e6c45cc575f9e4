/* SPDX-License-Identifier: Apache-2.0 */
/* packed_config.c - config.json's "quantization" and "quantization_config": which of them is MLX's, GPTQ's or AWQ's,
 * and what each says. Whether a module is packed is known from its tensors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "convert/source/packed_internal.h"
#include "format/base/json_fields.h"

#define MLX_KEY "quantization"
#define HF_KEY "quantization_config"

static const struct {
    const char *mode;
    fvlm_packed_form form;
    unsigned bits, group; /* the only ones; 0: config.json tells */
} modes[] = {{"affine", FVLM_FORM_MLX, 0, 0},
             {"mxfp4", FVLM_FORM_MXFP4, 4, 32},
             {"mxfp8", FVLM_FORM_MXFP8, 8, 32},
             {"nvfp4", FVLM_FORM_NVFP4, 4, 16}};

#define FLOAT "give the checkpoint it was made from (BF16, F16 or F32)"

/* Methods of transformers that are not read. */
static const struct {
    const char *method, *advice;
} foreign[] = {
    {"bitsandbytes", "load it in transformers, call dequantize(), then save_pretrained, and give the result"},
    {"compressed-tensors", "load it in transformers with CompressedTensorsConfig(run_compressed=False), "
                           "save_pretrained, and give the result"},
    {"fp8", "load it in transformers with FineGrainedFP8Config(dequantize=True), save_pretrained, and give the result"},
    {"mxfp4", "load it in transformers with Mxfp4Config(dequantize=True), save_pretrained, and give the result"},
    {"auto-round", "export it again in the format auto_gptq or auto_awq, or " FLOAT},
    {"intel/auto-round", "export it again in the format auto_gptq or auto_awq, or " FLOAT},
};

static fvlm_status refuse_method(const fvlm_source *src, const char *method, fvlm_err *err)
{
    const char *advice = FLOAT;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (!strcmp(method, foreign[i].method)) advice = foreign[i].advice;
    return fvlm_fail(err, FVLM_UNSUPPORTED,
                     "\"%s\" is quantized by a method that is not read (config.json: \"" HF_KEY
                     ".quant_method\" is \"%.60s\"; MLX, gptq and awq are); %s",
                     src->folder, method, advice);
}

/* ---- GPTQ and AWQ ---- */

static bool is_off(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0);
}

/* The first of two keys that is there: AutoAWQ's own files have w_bit for bits. */
static const json_t *either(const json_t *o, const char *a, const char *b)
{
    const json_t *v = json_object_get(o, a);
    return v ? v : json_object_get(o, b);
}

static fvlm_status read_numbers(fvlm_packed_setting *s, const json_t *o, fvlm_err *err)
{
    const json_t *bits = either(o, "bits", "w_bit"), *group = either(o, "group_size", "q_group_size");
    const json_int_t b = json_integer_value(bits), g = json_integer_value(group);
    const bool awq = s->form == FVLM_FORM_AWQ;
    if (!json_is_integer(bits) || (awq ? b != 4 : b != 2 && b != 3 && b != 4 && b != 8))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"config.json\": \"" HF_KEY "\": \"bits\" must be %s; " FLOAT,
                         awq ? "4" : "2, 3, 4 or 8");
    if (!json_is_integer(group) || (g < 1 && g != -1) || g > UINT32_MAX)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"config.json\": \"" HF_KEY "\": \"group_size\" must be a positive number, or -1");
    s->bits = (unsigned)b;
    s->group = g < 0 ? 0 : (uint64_t)g;
    return FVLM_OK;
}

/* Keys that ask for other arithmetic or another layout are refused by name. */
static fvlm_status refuse_extras(const json_t *o, fvlm_err *err)
{
    static const char *const off[] = {"is_marlin_format", "adapter", "rotation", "is_transposed"};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        if (!is_off(json_object_get(o, off[i])))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"config.json\": \"" HF_KEY "\": \"%s\" is not supported; " FLOAT,
                             off[i]);
    const json_t *words = json_object_get(o, "pack_dtype");
    if (!is_off(words) && strcmp(json_is_string(words) ? json_string_value(words) : "", "int32") != 0)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"config.json\": \"" HF_KEY "\": \"pack_dtype\" must be \"int32\"; " FLOAT);
    return FVLM_OK;
}

static fvlm_status read_layout(fvlm_packed_setting *s, const json_t *o, fvlm_err *err)
{
    const bool awq = s->form == FVLM_FORM_AWQ;
    const char *key = awq && json_object_get(o, "version") ? "version" : "checkpoint_format";
    if (!json_object_get(o, key)) key = "format";
    const json_t *v = json_object_get(o, key);
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    const bool v2 = !awq && !strcmp(text, "gptq_v2");
    s->zero_plus = !awq && !v2;
    if (!v || json_is_null(v) || v2 || !strcasecmp(text, awq ? "gemm" : "gptq")) return FVLM_OK;
    return fvlm_fail(err, FVLM_UNSUPPORTED,
                     "\"config.json\": \"" HF_KEY "\": \"%s\" is \"%.40s\"; of %s only %s is read; save it in that "
                     "layout, or " FLOAT,
                     key, text, awq ? "AWQ" : "GPTQ", awq ? "gemm" : "gptq and gptq_v2");
}

static fvlm_status read_columns(fvlm_packed_config *c, const json_t *o, fvlm_packed_form form, fvlm_err *err)
{
    c->has_columns = true;
    c->columns.form = form;
    fvlm_status st = read_layout(&c->columns, o, err);
    if (!st) st = refuse_extras(o, err);
    if (!st) st = read_numbers(&c->columns, o, err);
    c->columns.desc_act = form == FVLM_FORM_GPTQ && json_is_true(json_object_get(o, "desc_act"));
    c->columns.varies = form == FVLM_FORM_GPTQ && !is_off(json_object_get(o, "dynamic"));
    return st;
}

/* ---- MLX ---- */

/* Bits, group size and mode of an object: the outer one or a module's own. */
static fvlm_status read_mlx(fvlm_packed_setting *out, const fvlm_packed_config *c, const json_t *o, const char *module,
                            fvlm_err *err)
{
    char where[320];
    snprintf(where, sizeof where, module ? "\"config.json\": \"%s\": \"%.255s\"" : "\"config.json\": \"%s\"", c->mlx_at,
             module);
    const json_t *mode = json_object_get(o, "mode");
    const char *text = !mode ? "affine" : json_is_string(mode) ? json_string_value(mode) : "";
    size_t i = 0;
    while (i < sizeof modes / sizeof modes[0] && strcmp(text, modes[i].mode) != 0) i++;
    if (i == sizeof modes / sizeof modes[0])
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: \"mode\" is \"%.40s\"; affine, mxfp4, mxfp8 and nvfp4 are read",
                         where, text);
    uint32_t bits = modes[i].bits, group = modes[i].group;
    fvlm_json_fields f = {.object = o, .name = where, .quoted = true, .err = err};
    if (!bits || json_object_get(o, "bits")) fvlm_json_fields_u32(&f, "bits", 1, 32, &bits);
    if (!group || json_object_get(o, "group_size")) fvlm_json_fields_u32(&f, "group_size", 1, 1u << 20, &group);
    if (f.st) return f.st;
    const bool known = modes[i].bits
                           ? bits == modes[i].bits && group == modes[i].group
                           : bits >= 2 && bits <= 8 && bits != 7 && (group == 32 || group == 64 || group == 128);
    if (!known)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: MLX has no %s of %" PRIu32 " bits in groups of %" PRIu32, where,
                         text, bits, group);
    *out = (fvlm_packed_setting){.form = modes[i].form, .bits = bits, .group = group};
    return FVLM_OK;
}

/* Members are settings, or modules with an object or false. */
static fvlm_status check_mlx(const fvlm_packed_config *c, fvlm_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)c->mlx, key, v)
    {
        const bool setting = !strcmp(key, "bits") || !strcmp(key, "group_size") || !strcmp(key, "mode");
        if (!setting && !json_is_object(v) && !json_is_boolean(v))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"config.json\": \"%s\": \"%.100s\" is not known; " FLOAT,
                             c->mlx_at, key);
    }
    return FVLM_OK;
}

fvlm_status fvlm_packed_config_find(fvlm_packed_setting *out, const fvlm_packed_config *c, const char *module, size_t n,
                                    fvlm_err *err)
{
    char name[512];
    if (!c->mlx)
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "tensor \"%.*s.weight\" is packed, but \"config.json\" is missing, damaged or without \"" MLX_KEY
            "\": bits and group size are not known",
            (int)(n < 200 ? n : 200), module);
    if (n >= sizeof name) return fvlm_fail(err, FVLM_LIMIT, "the name of a packed module has %zu bytes", n);
    memcpy(name, module, n);
    name[n] = 0;
    const json_t *own = json_object_get(c->mlx, name);
    if (json_is_false(own))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"config.json\": \"%s\": \"%.200s\" is false, but tensor \"%.200s.scales\" says that it is "
                         "quantized",
                         c->mlx_at, name, name);
    return read_mlx(out, c, json_is_object(own) ? own : c->mlx, json_is_object(own) ? name : NULL, err);
}

/* ---- all ---- */

fvlm_status fvlm_packed_config_read(fvlm_packed_config *out, const fvlm_source *src, fvlm_err *err)
{
    *out = (fvlm_packed_config){0};
    fvlm_status st = fvlm_source_peek_json(&out->config, src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (st) return st;
    const json_t *mlx = json_object_get(out->config, MLX_KEY), *hf = json_object_get(out->config, HF_KEY);
    const json_t *method = json_object_get(hf, "quant_method");
    if (is_off(mlx)) mlx = NULL;
    if (is_off(hf)) hf = NULL;
    if ((mlx && !json_is_object(mlx)) || (hf && !json_is_object(hf)))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"config.json\": \"%s\" is not an object",
                       mlx && !json_is_object(mlx) ? MLX_KEY : HF_KEY);
    if (!st && mlx && hf && !method && !json_equal(mlx, hf))
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "\"config.json\": \"" MLX_KEY "\" and \"" HF_KEY "\" differ; remove the wrong one");
    out->mlx = mlx ? mlx : !method ? hf : NULL;
    out->mlx_at = mlx ? MLX_KEY : HF_KEY;
    if (!st && out->mlx) st = check_mlx(out, err);
    if (!st && hf && method) {
        const char *text = json_is_string(method) ? json_string_value(method) : "";
        const bool gptq = !strcasecmp(text, "gptq");
        st = gptq || !strcasecmp(text, "awq") ? read_columns(out, hf, gptq ? FVLM_FORM_GPTQ : FVLM_FORM_AWQ, err)
                                              : refuse_method(src, text, err);
    }
    if (st) fvlm_packed_config_free(out);
    return st;
}

void fvlm_packed_config_free(fvlm_packed_config *c)
{
    json_decref(c->config);
    *c = (fvlm_packed_config){0};
}
