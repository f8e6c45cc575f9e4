/* SPDX-License-Identifier: Apache-2.0 */
/* export_folder.c - see export_folder.h: what is neither architecture nor tokenizer. */
#include "convert/export/export_folder.h"

#include "format/base/json.h"

fvlm_status fvlm_export_check_folder(const fvlm_export *x, fvlm_err *err)
{
    const fvlm_config *c = x->config;
    fvlm_tokens t;
    if (c->llm.family == FVLM_LLAMA && c->llm.bias == FVLM_BIAS_QKV)
        return fvlm_fail(
            err, FVLM_UNSUPPORTED,
            "\"%s\" has biases in q, k and v but not in o; transformers' Llama has them in all four or in none",
            fvlm_reader_path(x->reader));
    const fvlm_status st = fvlm_tokens_read(&t, x->reader, err);
    if (!st) fvlm_tokens_free(&t);
    return st;
}

/* eos_token_id has every id that ends an answer, and so has no need of Apple's rule about the prompt's template. */
static json_t *generation_config(const fvlm_export *x, bool image_row, uint32_t image_id)
{
    json_t *eos = json_array();
    for (uint32_t i = 0; eos && i < x->config->n_eos; i++) fvlm_json_append(&eos, json_integer(x->config->eos[i]));
    json_t *j = json_pack("{s:b}", "do_sample", 0);
    fvlm_json_set(&j, "eos_token_id", eos);
    if (image_row) fvlm_json_set(&j, "suppress_tokens", json_pack("[I]", (json_int_t)image_id));
    return j;
}

/* What upstream's loader does: pads to a square with black, resizes with Pillow's bicubic filter, divides by 255. */
static json_t *preprocessor_config(const fvlm_export *x, fvlm_export_naming naming)
{
    const int side = (int)x->config->vision.image_size;
    json_t *j = json_pack("{s:{s:i, s:i}, s:b, s:b, s:b, s:b, s:b, s:[f, f, f], s:[f, f, f], s:i, s:f, s:{s:i}}",
                          "crop_size", "height", side, "width", side, "do_center_crop", 1, "do_convert_rgb", 1,
                          "do_normalize", 1, "do_rescale", 1, "do_resize", 1, "image_mean", 0.0, 0.0, 0.0, "image_std",
                          1.0, 1.0, 1.0, "resample", 3, "rescale_factor", 1.0 / 255, "size", "shortest_edge", side);
    const bool apple = naming == FVLM_EXPORT_APPLE;
    fvlm_json_set(&j, "image_processor_type", json_string(apple ? "CLIPImageProcessor" : "LlavaImageProcessor"));
    if (!apple) fvlm_json_set(&j, "do_pad", json_true());
    if (!apple) fvlm_json_set(&j, "processor_class", json_string("LlavaProcessor"));
    return j;
}

static json_t *processor_config(const fvlm_export *x)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:s}", "processor_class", "LlavaProcessor", "image_token", "<image>",
                     "patch_size", (int)x->config->vision.stride, "num_additional_image_tokens", 0,
                     "vision_feature_select_strategy", "full");
}

/* Appends <image> to the tokenizer. */
static fvlm_status add_image_token(fvlm_tokens *t, uint32_t id, fvlm_err *err)
{
    json_t *token = json_pack("{s:I, s:s, s:b}", "id", (json_int_t)id, "text", "<image>", "special", 1);
    return !token || json_array_append_new((json_t *)t->added, token) ? fvlm_fail_nomem(err) : FVLM_OK;
}

fvlm_status fvlm_export_write_side_files(fvlm_export *x, fvlm_export_naming naming, bool image_token, uint32_t image_id,
                                         fvlm_err *err)
{
    const bool apple = naming == FVLM_EXPORT_APPLE;
    fvlm_tokens t;
    fvlm_status st = fvlm_tokens_read(&t, x->reader, err);
    if (st) return st;
    if (image_token) st = add_image_token(&t, image_id, err);
    json_t *config = st      ? NULL
                     : apple ? fvlm_export_config_apple(x, &t)
                             : fvlm_export_config_transformers(x, &t, image_id, image_token);
    if (!st) st = fvlm_export_write_json(x, "config.json", config, err);
    if (!st) st = fvlm_export_write_json(x, "generation_config.json", generation_config(x, image_token, image_id), err);
    if (!st) st = fvlm_export_write_json(x, "preprocessor_config.json", preprocessor_config(x, naming), err);
    if (!st && !apple) st = fvlm_export_write_json(x, "processor_config.json", processor_config(x), err);
    if (!st) st = fvlm_export_write_tokenizer(x, &t, err);
    fvlm_tokens_free(&t);
    return st;
}
