/* SPDX-License-Identifier: Apache-2.0 */
/* conversion_json.c - a conversion as JSON: the container's metadata, and the report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/conversion.h"
#include "convert/conversion_report.h"
#include "format/base/json.h"
#include "format/config.h"

/* Three digits of an error are enough, and compress well. */
static json_t *error_json(double error)
{
    char text[32];
    snprintf(text, sizeof text, "%.2e", error);
    return json_real(strtod(text, NULL));
}

/* measured = false leaves out what only writing tells. */
static json_t *origins_json(const fvlm_conversion *c, bool measured)
{
    json_t *all = json_object();
    for (size_t i = 0; i < c->n_tensors; i++) {
        fvlm_conversion_origin o;
        fvlm_conversion_describe_tensor(c, i, &o);
        json_t *from = json_array(), *steps = json_array();
        for (size_t j = 0; j < o.n_from; j++) fvlm_json_append(&from, json_string(o.from[j]));
        for (size_t j = 0; j < o.n_steps; j++) fvlm_json_append(&steps, json_string(o.steps[j]));
        json_t *origin = json_pack("{s:o, s:o}", "from", from, "steps", steps);
        if (o.error >= 0 && measured) fvlm_json_set(&origin, "error", error_json(o.error));
        if (o.rounding >= 0 && measured) fvlm_json_set(&origin, "rounding", error_json(o.rounding));
        fvlm_json_set(&all, o.name, origin);
    }
    return all;
}

static json_t *files_json(const fvlm_conversion *c, bool hashed)
{
    json_t *list = json_array();
    for (size_t i = 0; i < fvlm_source_n_files(c->source); i++) {
        char hash[33];
        const fvlm_source_file f = fvlm_source_file_at(c->source, i);
        json_t *file = json_pack("{s:s, s:I}", "file", f.name, "bytes", (json_int_t)f.n_bytes);
        fvlm_hash_text(&f.hash, hash);
        if (f.attached) fvlm_json_set(&file, "vision", json_true());
        if (hashed) fvlm_json_set(&file, "xxh3_128", json_string(hash));
        fvlm_json_append(&list, file);
    }
    return list;
}

/* What was asked for. */
static json_t *options_json(const fvlm_conversion *c)
{
    json_t *options = json_pack("{s:s}", "type", c->options.type ? c->options.type : "keep");
    if (c->options.tokenizer) fvlm_json_set(&options, "tokenizer", json_string(c->options.tokenizer));
    if (c->names.head_chosen) fvlm_json_set(&options, "head", json_string(c->options.head));
    if (c->options.dialect) fvlm_json_set(&options, "dialect", json_string(c->options.dialect));
    if (c->options.conversation) fvlm_json_set(&options, "conversation", json_string(c->options.conversation));
    if (c->options.variant) fvlm_json_set(&options, "variant", json_string(c->options.variant));
    if (c->options.quantized) fvlm_json_set(&options, "quantized", json_string(c->options.quantized));
    return options;
}

static json_t *conversation_json(const char *name, const char *why)
{
    return json_pack("{s:s, s:s}", "name", name, "why", why);
}

json_t *fvlm_conversion_metadata(const fvlm_conversion *c)
{
    json_t *provenance = json_pack("{s:s, s:s, s:s, s:o, s:o}", "tool", "fvlm", "version", FVLM_VERSION, "command",
                                   "convert", "options", options_json(c), "sources", files_json(c, true));
    if (fvlm_source_prefix(c->source)[0])
        fvlm_json_set(&provenance, "stripped", json_string(fvlm_source_prefix(c->source)));
    if (strcmp(fvlm_naming_dialect(&c->naming), "apple"))
        fvlm_json_set(&provenance, "dialect", json_string(fvlm_naming_dialect(&c->naming)));
    const fvlm_checkpoint *p = &c->checkpoint;
    if (p->conversation && c->names.config.llm.family != FVLM_QWEN2)
        fvlm_json_set(&provenance, "conversation", conversation_json(p->conversation, p->conversation_why));
    return json_pack("{s:o, s:o, s:o}", "config", fvlm_config_to_json(&c->names.config), "provenance", provenance,
                     "tensors", origins_json(c, true));
}

static json_t *shares_json(const fvlm_conversion_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_shares; i++) {
        const fvlm_conversion_share *s = &r->shares[i];
        char type[24];
        fvlm_json_append(&list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "part", fvlm_part_name(s->part), "type",
                                          fvlm_type_name(s->type, type), "tensors", (json_int_t)s->n_tensors, "fused",
                                          (json_int_t)s->n_fused, "parameters", (json_int_t)s->n_params, "bytes",
                                          (json_int_t)s->n_bytes));
    }
    return list;
}

static json_t *dropped_json(const fvlm_conversion_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_dropped; i++)
        fvlm_json_append(&list,
                         json_pack("{s:s, s:I, s:I}", "rule", r->dropped[i].rule, "tensors",
                                   (json_int_t)r->dropped[i].n_tensors, "bytes", (json_int_t)r->dropped[i].n_bytes));
    return list;
}

/* Weights that the source has quantized. */
static json_t *quantized_json(const fvlm_conversion_report *r)
{
    json_t *j =
        json_pack("{s:I, s:I}", "codes_kept", (json_int_t)r->n_codes, "dequantized", (json_int_t)r->n_dequantized);
    if (!r->written || !r->n_codes) return j;
    fvlm_json_set(&j, "exact", json_integer((json_int_t)r->n_codes_exact));
    fvlm_json_set(&j, "rounding", error_json(r->rounding));
    fvlm_json_set(&j, "worst_rounding", error_json(r->worst_rounding));
    char type[24];
    if (r->requantize.kind) fvlm_json_set(&j, "requantize", json_string(fvlm_type_name(r->requantize, type)));
    if (r->worst_rounded) fvlm_json_set(&j, "worst_rounded", json_string(r->worst_rounded));
    return j;
}

json_t *fvlm_conversion_report_json(const fvlm_conversion *c, const fvlm_conversion_report *r, bool origins)
{
    json_t *warnings = json_array();
    for (size_t i = 0; i < r->n_warnings; i++) fvlm_json_append(&warnings, fvlm_json_lossy_string(r->warnings[i]));
    json_t *j = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "type", r->type, "written",
                          r->written, "tensors", (json_int_t)r->n_tensors, "fused_modules", (json_int_t)r->n_fused,
                          "tensor_bytes", (json_int_t)r->tensor_bytes, "tokenizer_bytes",
                          (json_int_t)r->tokenizer_bytes, "embedding_rows_dropped", (json_int_t)r->rows_dropped,
                          "parts", shares_json(r), "dropped", dropped_json(r), "warnings", warnings, "sources",
                          files_json(c, r->written), "config", fvlm_config_to_json(r->config));
    if (r->dialect) fvlm_json_set(&j, "dialect", json_string(r->dialect));
    if (r->conversation) fvlm_json_set(&j, "conversation", conversation_json(r->conversation, r->conversation_why));
    fvlm_json_set(&j, "folder", fvlm_json_lossy_string(r->folder));
    if (r->n_notes) {
        json_t *notes = json_array();
        for (size_t i = 0; i < r->n_notes; i++) fvlm_json_append(&notes, fvlm_json_lossy_string(r->notes[i]));
        fvlm_json_set(&j, "notes", notes);
    }
    if (r->n_codes || r->n_dequantized) fvlm_json_set(&j, "quantized", quantized_json(r));
    if (origins) fvlm_json_set(&j, "origins", origins_json(c, r->written));
    if (!r->written) return j;
    fvlm_json_set(&j, "worst_error", error_json(r->worst_error));
    if (r->worst_module) fvlm_json_set(&j, "worst_module", json_string(r->worst_module));
    fvlm_json_set(&j, "seconds", json_real(r->seconds));
    fvlm_json_set(&j, "peak_anonymous_bytes", json_integer((json_int_t)r->peak_anonymous_bytes));
    return j;
}
