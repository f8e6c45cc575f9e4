/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.c - see kinds.h. The first row that matches names the kind. */
#include "convert/source/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/renames.h"
#include "format/base/json.h"

#define MAX_NAMES 65536 /* tensors whose names are read */

#define APPLE "give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face"
#define FLOAT "give the checkpoint it was made from (BF16, F16 or F32)"
#define MERGE "merge it into its base model (peft: merge_and_unload, then save_pretrained) and give the result"
#define RENAME "if these are the weights, rename it to model.safetensors"

typedef enum { FILES, CONFIG, TENSORS, WRAPS, UNKNOWN } where;

/* FILES: patterns of names in the folder. CONFIG: patterns of the value of 'key', which may be "outer.inner"; "{}" is
 * anything but null, false and {}. TENSORS: texts inside a name. WRAPS: the same, after the
 * prefix that wraps all names was stripped. UNKNOWN: the same, if no dialect has the names. */
static const struct {
    where where;
    const char *key, *patterns, *what, *advice;
} kinds[] = {
    {FILES, NULL,
     "model*.safetensors.incomplete model*.safetensors.part model*.safetensors.crdownload "
     "model*.safetensors.aria2 model*.safetensors.tmp model*.safetensors.download",
     "an unfinished download", "finish it, or download the folder again"},
    {FILES, NULL, "adapter_config.json adapter_model.*", "a LoRA adapter, not a whole model", MERGE},
    {FILES, NULL, "non_lora_trainables.bin", "the output of a LoRA training, not a whole model", MERGE},
    {FILES, NULL, "model-*-of-*.safetensors", "a set of shards without model.safetensors.index.json",
     "download the index, too"},
    {FILES, NULL, "model.*.safetensors model.safetensors.index.*.json", "a variant of the weights",
     "if these are the weights, rename it to model.safetensors (the index to model.safetensors.index.json)"},
    {FILES, NULL, "consolidated*.safetensors consolidated*.pth params.json",
     "a checkpoint in Mistral's or Meta's layout", APPLE},
    {FILES, NULL, "model_index.json", "a diffusers pipeline, which generates images", APPLE},
    {FILES, NULL, "diffusion_pytorch_model*.safetensors", "a part of a diffusers pipeline", APPLE},
    {FILES, NULL, "open_clip_*", "an OpenCLIP or MobileCLIP model without its weights in safetensors",
     "download open_clip_model.safetensors, too"},
    {FILES, NULL, "*.safetensors", "weights under another name", RENAME},
    {FILES, NULL, "*.fvlm", "a converted model already", "'fvlm run', 'fvlm quant' and 'fvlm verify' read .fvlm files"},
    {FILES, NULL, "*.gguf", "GGUF (llama.cpp)", APPLE},
    {FILES, NULL, "zero_to_fp32.py global_step* zero_pp_rank_* bf16_zero_pp_rank_*", "a DeepSpeed training checkpoint",
     "gather it (zero_to_fp32.py --safe_serialization) and give the result"},
    {FILES, NULL, "pytorch_model*.bin pytorch_model.bin.index.json *.pth *.pkl *.pickle",
     "pickled PyTorch weights, which fvlm does not read",
     "load them in transformers, save_pretrained(..., safe_serialization=True), and give the result"},
    {FILES, NULL,
     "optimizer.pt optimizer.bin scheduler.pt trainer_state.json training_args.bin rng_state*.pth "
     "*.distcp pytorch_model_fsdp*",
     "the state of a training without its weights in safetensors",
     "save the model (save_pretrained) and give the result"},
    {FILES, NULL, "*.onnx_data *.onnx.data", "the data of an ONNX export without its .onnx file", "download that, too"},
    {FILES, NULL, "*.mlpackage *.mlmodelc *.mlmodel *.aimodel", "a Core ML export", APPLE},
    {FILES, NULL, "*.tflite *.litertlm *.task", "a LiteRT (TensorFlow Lite) export", APPLE},
    {FILES, NULL, "*.mnn *.rknn *.rkllm *.pte *.engine *.plan openvino_*.xml *.ncnn.bin *.qnn *.dlc",
     "an export for another runtime", APPLE},
    {FILES, NULL, "tf_model.h5 *.h5 *.keras saved_model.pb *.ckpt.index *.ckpt-*.index", "TensorFlow weights", APPLE},
    {FILES, NULL, "flax_model*.msgpack *.msgpack", "Flax weights", APPLE},
    {FILES, NULL, "weights*.npz *.npz *.npy", "weights in NumPy's or MLX's .npz", APPLE},
    {FILES, NULL, "*.ckpt *.pt *.bin", "pickled PyTorch weights, which fvlm does not read", APPLE},
    {FILES, NULL, "*.parquet *.arrow dataset_info.json dataset_infos.json dataset_dict.json", "a dataset", APPLE},
    {FILES, NULL, "*.zip *.tar *.tar.* *.tgz *.7z", "an archive that is still packed",
     "unpack it and give the folder inside"},
    {FILES, NULL, "*.incomplete *.part *.crdownload *.aria2", "an unfinished download",
     "finish it, or download the folder again"},

    {CONFIG, "compression_config", "{}", "quantized", FLOAT},
    {CONFIG, "_class_name", "*", "a part of a diffusers pipeline", APPLE},
    {CONFIG, "_diffusers_version", "*", "a part of a diffusers pipeline", APPLE},
    {CONFIG, "peft_type", "*", "a LoRA adapter, not a whole model", MERGE},
    {CONFIG, "model_type", "qwen2 qwen2_moe qwen3 qwen3_moe qwen", "a Qwen language model without vision", APPLE},
    {CONFIG, "model_type", "qwen2_vl qwen2_5_vl qwen3_vl qwen3_vl_moe qwen2_5_omni qwen2_audio",
     "a Qwen multimodal model, not a FastVLM", APPLE},
    {CONFIG, "model_type",
     "llava_next llava_next_video llava_mistral llava_mpt llava_onevision vipllava "
     "video_llava bunny-qwen* tinyllava*",
     "a LLaVA that is not FastVLM", APPLE},
    {CONFIG, "mm_vision_tower", "*clip-vit* *CLIP-ViT* *siglip* *SigLIP* *dinov2* *eva*",
     "a LLaVA with another vision tower than FastViTHD", APPLE},
    {CONFIG, "model_type", "clip clip_* siglip* chinese_clip align vit vit_*",
     "a picture encoder that is not a FastViT", APPLE},
    {CONFIG, "architecture", "vit_*", "a picture encoder that is not a FastViT", APPLE},

    {TENSORS, NULL, ".lora_A. .lora_B. .lora_embedding_A .lora_magnitude_vector", "LoRA matrices that are not merged",
     MERGE},
    {TENSORS, NULL, ".base_layer.weight .modules_to_save. .original_module.",
     "a PEFT model whose adapter is not merged", MERGE},
    {TENSORS, NULL, ".quant_state. .absmax .quant_map .SCB", "weights quantized by bitsandbytes", FLOAT},
    {TENSORS, NULL, ".weight_scale_inv .weight_scale .input_scale .weight_packed .weight_scale_2",
     "weights in FP8 or another compressed form", FLOAT},
    {TENSORS, NULL, "vision_model.encoder. vision_model.embeddings.",
     "a model with a ViT as vision tower, such as CLIP or SigLIP", APPLE},
    {TENSORS, NULL, "visual.blocks. visual.patch_embed. visual.merger.", "a Qwen-VL", APPLE},
    {UNKNOWN, NULL, "multi_modal_projector.", "a LLaVA of transformers", APPLE},
    {UNKNOWN, NULL, "image_encoder. visual.trunk. visual.transformer.", "a CLIP whose picture encoder is not a FastViT",
     APPLE},
    {UNKNOWN, NULL, "language_model.model.layers. language_model.layers.", "a model in MLX's or transformers' names",
     APPLE},
    {WRAPS, NULL, "_fsdp_wrapped_module. _checkpoint_wrapped_module. _flat_param",
     "a training checkpoint whose modules are still wrapped (FSDP)",
     "save a full state dict with save_pretrained and give the result"},
    {WRAPS, NULL, "_orig_mod.", "a checkpoint of which torch.compile wraps a part",
     "save the module that was compiled (its _orig_mod), or remove \"_orig_mod.\" from the names"},
    {TENSORS, NULL, "double_blocks. down_blocks. transformer_blocks.", "a diffusion model", APPLE},
    {TENSORS, NULL, "vpm. resampler.", "a MiniCPM-V", APPLE},
};

enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static fvlm_status refuse(const fvlm_source *src, size_t kind, const char *evidence, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" is %s (%s); %s", src->folder, kinds[kind].what, evidence,
                     kinds[kind].advice);
}

/* ---- files ---- */

/* Folders below that hold weights; only the first is named. */
static fvlm_status refuse_parent(const fvlm_source *src, const fvlm_listing *files, fvlm_err *err)
{
    const char *first = NULL;
    size_t n = 0;
    if (fvlm_listing_find(files, "model_index.json")) return FVLM_OK; /* the parts of a pipeline lie in folders, too */
    for (size_t i = 0; i < files->n && i < 1000; i++) {
        char *single = fvlm_asprintf("%s/model.safetensors", files->names[i]);
        char *index = fvlm_asprintf("%s/model.safetensors.index.json", files->names[i]);
        if (single && index && (fvlm_source_has(src, single) || fvlm_source_has(src, index)) && n++ == 0)
            first = files->names[i];
        free(single);
        free(index);
    }
    if (!first) return FVLM_OK;
    if (n == 1)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the folder above a checkpoint; give \"%s/%s\"", src->folder,
                         src->folder, first);
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds %zu checkpoints; give one of them, such as \"%s/%s\"",
                     src->folder, n, src->folder, first);
}

fvlm_status fvlm_kinds_refuse_files(const fvlm_source *src, const fvlm_listing *files, fvlm_err *err)
{
    char evidence[300];
    if (files->n == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is an empty folder; " APPLE, src->folder);
    fvlm_status st = refuse_parent(src, files, err);
    for (size_t k = 0; k < N_KINDS && !st; k++) {
        const char *name = kinds[k].where == FILES ? fvlm_listing_find(files, kinds[k].patterns) : NULL;
        if (!name) continue;
        snprintf(evidence, sizeof evidence, "\"%.255s\"", name);
        st = refuse(src, k, evidence, err);
    }
    if (!st && fvlm_source_has(src, "config.json")) st = fvlm_kinds_check_config(src, err);
    if (!st && fvlm_source_has(src, "config.json"))
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "\"%s\" has config.json, but no weights: neither model.safetensors nor "
                       "model.safetensors.index.json; download them",
                       src->folder);
    if (!st)
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "\"%s\" is not a checkpoint: it has neither config.json nor model.safetensors; " APPLE,
                       src->folder);
    return st;
}

/* ---- config.json ---- */

static const json_t *at(const json_t *config, const char *key)
{
    char outer[64];
    const char *dot = strchr(key, '.');
    if (!dot) return json_object_get(config, key);
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(config, outer), dot + 1);
}

fvlm_status fvlm_kinds_check_config(const fvlm_source *src, fvlm_err *err)
{
    json_t *config;
    char evidence[300];
    fvlm_status st = fvlm_source_peek_json(&config, src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    for (size_t k = 0; k < N_KINDS && !st; k++) {
        const json_t *v = kinds[k].where == CONFIG ? at(config, kinds[k].key) : NULL;
        const char *text = json_string_value(v);
        if (!v || json_is_null(v) || json_is_false(v) || (json_is_object(v) && json_object_size(v) == 0)) continue;
        if (!strcmp(kinds[k].patterns, "{}"))
            snprintf(evidence, sizeof evidence, "config.json: \"%s\"", kinds[k].key);
        else if (text && fvlm_listing_match(kinds[k].patterns, text))
            snprintf(evidence, sizeof evidence, "config.json: \"%s\" is \"%.100s\"", kinds[k].key, text);
        else
            continue;
        st = refuse(src, k, evidence, err);
    }
    json_decref(config);
    return st;
}

/* ---- tensors ---- */

static fvlm_status check_names(const fvlm_source *src, where place, size_t n, fvlm_err *err)
{
    char evidence[300];
    for (size_t k = 0; k < N_KINDS; k++)
        for (size_t i = 0; kinds[k].where == place && i < n; i++) {
            if (!fvlm_listing_match_part(kinds[k].patterns, src->tensors[i].name)) continue;
            snprintf(evidence, sizeof evidence, "tensor \"%.200s\"", src->tensors[i].name);
            return refuse(src, k, evidence, err);
        }
    return FVLM_OK;
}

static size_t n_names(const fvlm_source *src)
{
    return src->n_tensors < MAX_NAMES ? src->n_tensors : MAX_NAMES;
}

fvlm_status fvlm_source_refuse_wrapped(const fvlm_source *src, fvlm_err *err)
{
    return check_names(src, WRAPS, n_names(src), err);
}

fvlm_status fvlm_source_refuse_unknown(const fvlm_source *src, fvlm_err *err)
{
    return check_names(src, UNKNOWN, n_names(src), err);
}

fvlm_status fvlm_kinds_check_tensors(const fvlm_source *src, fvlm_err *err)
{
    const size_t n = n_names(src);
    const fvlm_status st = check_names(src, TENSORS, n, err);
    if (st) return st;
    for (size_t i = 0; i < n; i++) {
        const fvlm_source_tensor *t = &src->tensors[i];
        if (t->n_elems == 0 && t->rank == 1 && !strcmp(t->name, "model.embed_tokens.weight"))
            return fvlm_fail(
                err, FVLM_UNSUPPORTED,
                "\"%s\" was saved by DeepSpeed ZeRO-3 without its weights (tensor \"%s\" is empty); gather "
                "it (zero_to_fp32.py --safe_serialization) and give the result",
                src->folder, t->name);
    }
    return FVLM_OK;
}
