/* SPDX-License-Identifier: Apache-2.0 */
/* quantization_report.c - see quantization_report.h; and the record of a quantization in the file it writes. */
#include "quant/quantization_report.h"

#include <math.h>
#include <string.h>

#include "format/base/json.h"
#include "quant/plan.h"

static const char *family_of(const fvlm_quant_item *item)
{
    if (item->role == FVLM_QUANT_VECTOR) return "biases and norms";
    if (item->role == FVLM_QUANT_TAPS) return "tower taps";
    return fvlm_part_name(item->part);
}

static bool same_family(const fvlm_quant_item *a, const fvlm_quant_item *b)
{
    return fvlm_type_equal(a->type, b->type) && !strcmp(family_of(a), family_of(b));
}

void fvlm_quantization_describe(const fvlm_quantization *q, fvlm_quantization_report *out)
{
    *out = (fvlm_quantization_report){.n_tensors = q->n_items,
                                      .bytes_before = fvlm_reader_file_bytes(q->reader),
                                      .bytes_after = q->bytes_after,
                                      .written = q->written,
                                      .n_rules = q->options.n_rules,
                                      .n_left = q->n_left};
}

/* Adds items [from, n) that are like 'from', only the first one if single. */
static void sum_up(const fvlm_quantization *q, size_t from, bool single, fvlm_quantization_row *out)
{
    const fvlm_quant_item *first = &q->items[from];
    double sums[2] = {0, 0};
    *out = (fvlm_quantization_row){.family = family_of(first), .type = first->type};
    for (size_t i = from; i < (single ? from + 1 : q->n_items); i++) {
        const fvlm_quant_item *item = &q->items[i];
        if (!same_family(item, first)) continue;
        out->n_tensors++;
        out->n_weights += item->n_weights;
        out->bytes_before += item->source->n_bytes;
        out->n_bytes += item->n_bytes;
        for (int k = 0; k < 2; k++) sums[k] += item->sums[k];
    }
    out->bits_per_weight = 8.0 * (double)out->n_bytes / (double)out->n_weights;
    out->error = sums[1] > 0 ? sqrt(sums[0] / sums[1]) : 0; /* 0 for zeros */
}

void fvlm_quantization_describe_tensor(const fvlm_quantization *q, size_t i, fvlm_quantization_row *out)
{
    sum_up(q, i, true, out);
    out->source = q->items[i].source;
}

bool fvlm_quantization_describe_family(const fvlm_quantization *q, size_t i, fvlm_quantization_row *out)
{
    for (size_t before = 0; before < i; before++)
        if (same_family(&q->items[before], &q->items[i])) return false;
    sum_up(q, i, false, out);
    return true;
}

/* ---- JSON ---- */

static json_t *type_json(fvlm_type t)
{
    char name[24];
    return json_string(fvlm_type_name(t, name));
}

static json_t *error_json(const fvlm_quantization *q, double error)
{
    return q->written ? json_real(error) : json_null();
}

static json_t *tensor_json(const fvlm_quantization *q, size_t i)
{
    fvlm_quantization_row row;
    fvlm_quantization_describe_tensor(q, i, &row);
    json_t *shape = json_array();
    for (unsigned d = 0; d < row.source->rank; d++)
        fvlm_json_append(&shape, json_integer((json_int_t)row.source->dims[d]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:f, s:o}", "name", row.source->name, "family", row.family,
                     "from", type_json(row.source->type), "type", type_json(row.type), "shape", shape, "bytes_before",
                     (json_int_t)row.bytes_before, "bytes", (json_int_t)row.n_bytes, "bits_per_weight",
                     row.bits_per_weight, "error", error_json(q, row.error));
}

static json_t *family_json(const fvlm_quantization *q, const fvlm_quantization_row *row)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:f, s:I, s:I, s:o}", "family", row->family, "type", type_json(row->type),
                     "tensors", (json_int_t)row->n_tensors, "weights", (json_int_t)row->n_weights, "bits_per_weight",
                     row->bits_per_weight, "bytes_before", (json_int_t)row->bytes_before, "bytes",
                     (json_int_t)row->n_bytes, "error", error_json(q, row->error));
}

static json_t *rules_json(const fvlm_quant_options *o)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < o->n_rules; i++)
        fvlm_json_append(&rules, json_sprintf("%s=%s", o->rules[i].regex, o->rules[i].type));
    return rules;
}

static json_t *left_json(const fvlm_quantization *q)
{
    json_t *left = json_array();
    for (size_t i = 0; i < q->options.n_rules; i++) fvlm_json_append(&left, json_integer((json_int_t)q->n_left[i]));
    return left;
}

json_t *fvlm_quantization_report_json(const fvlm_quantization *q)
{
    fvlm_quantization_row row;
    json_t *tensors = json_array(), *families = json_array();
    for (size_t i = 0; i < q->n_items; i++) {
        if (fvlm_quantization_describe_family(q, i, &row)) fvlm_json_append(&families, family_json(q, &row));
        fvlm_json_append(&tensors, tensor_json(q, i));
    }
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:b}", "input",
                     fvlm_json_lossy_string(fvlm_reader_path(q->reader)), "type", q->options.type, "set",
                     rules_json(&q->options), "set_does_not_fit", left_json(q), "families", families, "tensors",
                     tensors, "bytes_before", (json_int_t)fvlm_reader_file_bytes(q->reader), "bytes_after",
                     (json_int_t)q->bytes_after, "written", q->written);
}

json_t *fvlm_quantization_metadata(const fvlm_quantization *q)
{
    char identity[33];
    json_t *meta = fvlm_json_copy(fvlm_reader_meta(q->reader)), *tensors = json_object();
    json_t *chain = json_incref(json_object_get(meta, "transforms"));
    for (size_t i = 0; i < q->n_items; i++) {
        fvlm_quantization_row row;
        fvlm_quantization_describe_tensor(q, i, &row);
        if (!fvlm_type_equal(row.type, row.source->type))
            fvlm_json_set(&tensors, row.source->name,
                          json_pack("{s:o, s:o, s:f}", "from", type_json(row.source->type), "to", type_json(row.type),
                                    "error", row.error));
    }
    fvlm_hash_text(fvlm_reader_identity(q->reader), identity);
    if (!chain) chain = json_array();
    fvlm_json_append(&chain, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "tool", "fvlm " FVLM_VERSION, "command",
                                       "quant", "source_identity", identity, "type", q->options.type, "set",
                                       rules_json(&q->options), "tensors", tensors));
    fvlm_json_set(&meta, "transforms", chain);
    return meta;
}
