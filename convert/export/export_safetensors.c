/* SPDX-License-Identifier: Apache-2.0 */
/* export_safetensors.c - plans a folder of safetensors in upstream's names: what a .fvlm file has folded becomes
 * modules that do nothing (a layer scale of 1, a BatchNorm of 1 and 0), so that upstream's code computes what the
 * executor does. Types: a tensor keeps a float type that holds it; what is quantized, and what is computed here, is
 * f32. */
#include "convert/export/export_safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/export_tower.h"
#include "format/base/grow.h"

/* PyTorch computes gamma / sqrt(var + eps) in f32, with eps 1e-5: of all f32 numbers, for this variance and its upper
 * neighbour it is exactly 1. convert computes it in f64: 1 + 6.8e-9, which no rounding to f32 shows. */
#define UNIT_VARIANCE 0.9999899864196777f

static const fvlm_type f32 = {.kind = FVLM_F32};

static const char *type_name(fvlm_type t)
{
    return t.kind == FVLM_F32 ? "F32" : t.kind == FVLM_F16 ? "F16" : "BF16";
}

static fvlm_status add(fvlm_export *x, fvlm_entry *e, const char *name, const char *cause, fvlm_err *err)
{
    fvlm_safetensors_plan *p = x->plan;
    const bool counter = e->kind == FVLM_ENTRY_COUNTER;
    e->row_bytes = counter ? 8 : e->cols * fvlm_type_float_bytes(e->type);
    const fvlm_export_tensor t = {.name = name,
                                  .from = e->values.tensor ? e->values.tensor->name : NULL,
                                  .type = counter ? "I64" : type_name(e->type),
                                  .cause = cause,
                                  .n_bytes = e->rows * e->row_bytes};
    if (!fvlm_grow(&p->entries, &p->capacity, p->n + 1, sizeof *p->entries)) return fvlm_fail_nomem(err);
    p->entries[p->n++] = *e;
    p->tensor_bytes += t.n_bytes;
    return fvlm_export_add_tensor(x, &t, err);
}

/* A vector [n], or a layer scale [n, 1, 1], of constants. */
static fvlm_status add_constant(fvlm_export *x, const char *name, unsigned rank, uint64_t n, float constant,
                                fvlm_err *err)
{
    fvlm_entry e = {.kind = FVLM_ENTRY_CONSTANT,
                    .type = f32,
                    .rank = rank,
                    .dims = {n, 1, 1},
                    .rows = 1,
                    .cols = (size_t)n,
                    .constant = constant};
    return add(x, &e, name, "made up: it changes nothing", err);
}

/* The type that holds the tensor's values exactly, or the one asked for. */
static fvlm_type choose_type(const fvlm_export *x, const fvlm_tensor *t, const char **cause)
{
    const bool asked = x->floats.kind;
    const fvlm_type type = asked ? x->floats : t->type.kind == FVLM_INT ? f32 : t->type;
    *cause = fvlm_type_equal(type, t->type) ? NULL : asked ? "as --type says" : "dequantized";
    return type;
}

/* ---- the modules ---- */

static fvlm_status add_model_tensor(fvlm_export *x, const fvlm_tensors *at, fvlm_err *err)
{
    fvlm_safetensors_plan *p = x->plan;
    char name[FVLM_EXPORT_MAX_NAME];
    const char *cause;
    fvlm_entry e = {.kind = FVLM_ENTRY_TENSOR};
    fvlm_status st = fvlm_export_values_open(&e.values, x->reader, at->name, err);
    if (st) return st;
    const fvlm_tensor *t = e.values.tensor;
    e.type = choose_type(x, t, &cause);
    e.rank = at->rank;
    for (unsigned i = 0; i < at->rank; i++) e.dims[i] = at->dims[i] ? at->dims[i] : t->dims[i];
    e.rows = e.values.rows;
    e.cols = e.values.cols;
    if (at->module == FVLM_MODULE_QKV && !at->bias) {
        e.kind = FVLM_ENTRY_QKV;
        e.type = x->floats.kind ? x->floats : f32;
        cause = "the attention scale is taken out of q";
        e.q_rows = e.rows / 3;
        e.head_dim = x->config->vision.head_dim;
    }
    if (at->module == FVLM_MODULE_PROJ && at->bias) {
        e.kind = FVLM_ENTRY_PROJ_BIAS;
        e.type = f32;
        cause = "v's bias is moved here";
        e.attention = p->n_attention - 1;
    }
    if ((at->module == FVLM_MODULE_EMBED || at->module == FVLM_MODULE_HEAD) && p->image_row) e.dims[0] = ++e.rows;
    return add(x, &e, fvlm_export_name(p->naming, at, name), cause, err);
}

/* BatchNorm after ffn.dw, whose bias it takes. */
static fvlm_status add_batch_norm(fvlm_export *x, const fvlm_tensors *at, fvlm_err *err)
{
    const fvlm_export_naming naming = ((fvlm_safetensors_plan *)x->plan)->naming;
    char name[FVLM_EXPORT_MAX_NAME];
    const char *cause;
    fvlm_entry bias = {.kind = FVLM_ENTRY_TENSOR, .rank = 1, .dims = {at->dims[0]}},
               counter = {.kind = FVLM_ENTRY_COUNTER};
    fvlm_status st = fvlm_export_values_open(&bias.values, x->reader, at->name, err);
    if (st) return st;
    bias.type = choose_type(x, bias.values.tensor, &cause);
    bias.rows = 1;
    bias.cols = bias.values.cols;
    counter.rows = 1;
    counter.type = f32;
#define BN(end) fvlm_export_name_folded(naming, at, FVLM_FOLDED_BATCH_NORM, end, name)
    st = add_constant(x, BN("weight"), 1, at->dims[0], 1, err);
    if (!st) st = add(x, &bias, BN("bias"), cause, err);
    if (!st) st = add_constant(x, BN("running_mean"), 1, at->dims[0], 0, err);
    if (!st) st = add_constant(x, BN("running_var"), 1, at->dims[0], UNIT_VARIANCE, err);
    if (!st) st = add(x, &counter, BN("num_batches_tracked"), "made up: it changes nothing", err);
#undef BN
    return st;
}

static fvlm_status add_layer_scale(fvlm_export *x, const fvlm_tensors *at, fvlm_folded what, fvlm_err *err)
{
    char name[FVLM_EXPORT_MAX_NAME];
    const fvlm_safetensors_plan *p = x->plan;
    return add_constant(x, fvlm_export_name_folded(p->naming, at, what, "", name), 3, at->dims[0], 1, err);
}

/* The LayerNorm before attn.qkv, whose bias becomes its shift. */
static fvlm_status add_norm(fvlm_export *x, const fvlm_tensors *at, fvlm_err *err)
{
    fvlm_safetensors_plan *p = x->plan;
    char name[FVLM_EXPORT_MAX_NAME];
    const uint64_t dim = at->dims[0] / 3;
    if (!fvlm_grow(&p->attention, &p->attention_capacity, p->n_attention + 1, sizeof *p->attention))
        return fvlm_fail_nomem(err);
    snprintf(p->attention[p->n_attention].name, sizeof p->attention[0].name, "vision.stage%u.block%u", at->stage,
             at->block);
    fvlm_entry e = {.kind = FVLM_ENTRY_SHIFT,
                    .type = f32,
                    .rank = 1,
                    .dims = {dim},
                    .rows = 1,
                    .cols = (size_t)dim,
                    .attention = p->n_attention++};
    fvlm_status st = fvlm_export_values_open(&e.values, x->reader, at->name, err);
    if (!st)
        st = add_constant(x, fvlm_export_name_folded(p->naming, at, FVLM_FOLDED_NORM, "weight", name), 1, dim, 1, err);
    if (!st)
        st = add(x, &e, fvlm_export_name_folded(p->naming, at, FVLM_FOLDED_NORM, "bias", name),
                 "the bias of q as a shift of the norm", err);
    return st;
}

static fvlm_status add_module(fvlm_export *x, const fvlm_tensors *at, fvlm_err *err)
{
    if (at->module == FVLM_MODULE_DW && at->bias) return add_batch_norm(x, at, err);
    if (at->module == FVLM_MODULE_QKV && at->bias) return add_norm(x, at, err);
    fvlm_status st = add_model_tensor(x, at, err);
    if (st || !at->bias) return st;
    const bool attention = x->config->vision.stage[at->stage].mixer == FVLM_ATTENTION;
    if (at->module == FVLM_MODULE_PROJ) return add_layer_scale(x, at, FVLM_FOLDED_LAYER_SCALE1, err);
    if (at->module == FVLM_MODULE_FC2)
        return add_layer_scale(x, at, attention ? FVLM_FOLDED_LAYER_SCALE2 : FVLM_FOLDED_LAYER_SCALE, err);
    return FVLM_OK;
}

/* ---- shards ---- */

/* In a file, the widest elements come first: readers map them, and want them aligned. */
static void place(fvlm_safetensors_plan *p, size_t begin, size_t end)
{
    static const size_t widths[] = {8, 4, 2};
    uint64_t at = 0;
    for (size_t w = 0; w < 3; w++)
        for (size_t i = begin; i < end; i++) {
            fvlm_entry *e = &p->entries[i];
            const size_t width = e->kind == FVLM_ENTRY_COUNTER ? 8 : fvlm_type_float_bytes(e->type);
            if (width != widths[w]) continue;
            e->at = at;
            at += e->rows * e->row_bytes;
        }
}

/* A tensor that is larger than a shard has one of its own. */
static void cut(fvlm_safetensors_plan *p, uint64_t limit)
{
    uint64_t used = 0;
    size_t begin = 0;
    for (size_t i = 0; i < p->n; i++) {
        const uint64_t n = p->entries[i].rows * p->entries[i].row_bytes;
        if (i > begin && (used > limit || n > limit - used)) {
            place(p, begin, i);
            p->n_shards++;
            begin = i;
            used = 0;
        }
        used += n;
        p->entries[i].shard = p->n_shards;
    }
    place(p, begin, p->n);
    p->n_shards++;
}

/* ---- the target ---- */

static fvlm_status plan_entries(fvlm_export *x, fvlm_err *err)
{
    fvlm_tensors at = {.config = x->config};
    fvlm_status st = FVLM_OK;
    while (!st && fvlm_tensors_next(&at)) st = add_module(x, &at, err);
    return st;
}

static fvlm_status check_model(const fvlm_export *x, fvlm_export_naming naming, fvlm_err *err)
{
    if (!fvlm_config_has_llm(x->config))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has no language model; a safetensors folder of %s needs one",
                         fvlm_reader_path(x->reader), naming == FVLM_EXPORT_APPLE ? "Apple's code" : "transformers");
    const fvlm_status st = fvlm_export_check_folder(x, err);
    return st ? st : fvlm_export_check_tower(x, naming, err);
}

static fvlm_status add_notes(fvlm_export *x, fvlm_err *err)
{
    const fvlm_safetensors_plan *p = x->plan;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->entries[i].values.tensor && p->entries[i].values.tensor->type.kind == FVLM_INT;
    fvlm_status st = FVLM_OK;
    if (n)
        st =
            fvlm_export_note(x, err, "%zu quantized weight%s dequantized: the values are those that fvlm computes with",
                             n, n == 1 ? "" : "s");
    if (!st && p->image_row)
        st = fvlm_export_note(x, err,
                              "token <image> has the id %u and a row of zeros, which transformers needs and "
                              "generation_config.json suppresses",
                              p->image_id);
    if (!st) st = fvlm_export_note_chat(x, err);
    if (!st && p->naming == FVLM_EXPORT_APPLE)
        st = fvlm_export_note(x, err, "Apple's code is not in the folder: install apple/ml-fastvlm to load it");
    if (!st) st = fvlm_export_note(x, err, "the CLIP head, which convert drops, is not in the folder");
    return st;
}

static fvlm_status plan(fvlm_export *x, fvlm_err *err)
{
    fvlm_safetensors_plan *p = x->plan = calloc(1, sizeof *p);
    if (!p) return fvlm_fail_nomem(err);
    if (x->options.naming && strcmp(x->options.naming, "apple") != 0) {
        if (strcmp(x->options.naming, "transformers") != 0)
            return fvlm_fail(err, FVLM_USAGE, "--naming: \"%.64s\" is not one of apple|transformers",
                             x->options.naming);
        p->naming = FVLM_EXPORT_TRANSFORMERS;
    }
    fvlm_status st = check_model(x, p->naming, err);
    if (!st && p->naming == FVLM_EXPORT_TRANSFORMERS) {
        fvlm_tokens tokens;
        st = fvlm_tokens_read(&tokens, x->reader, err);
        if (!st) p->image_row = !fvlm_tokens_find_added(&tokens, "<image>", &p->image_id);
        if (!st && p->image_row) p->image_id = x->config->llm.vocab;
        if (!st) fvlm_tokens_free(&tokens);
    }
    if (!st) st = plan_entries(x, err);
    if (!st) cut(p, x->options.shard_size ? x->options.shard_size : FVLM_EXPORT_SHARD_SIZE);
    return st ? st : add_notes(x, err);
}

static void free_plan(void *plan)
{
    fvlm_safetensors_plan *p = plan;
    for (size_t i = 0; i < p->n_attention; i++) fvlm_attention_bias_free(&p->attention[i].bias);
    free(p->attention);
    free(p->entries);
    free(p);
}

const fvlm_export_target fvlm_export_safetensors = {
    .name = "safetensors",
    .folder = true,
    .takes_naming = true,
    .takes_shards = true,
    .plan = plan,
    .write = fvlm_safetensors_write,
    .free = free_plan,
};
