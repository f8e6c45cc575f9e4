/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - a plan, and what came of it, as JSON: for people (--json, the table) and for the file's metadata. */
#include <math.h>
#include <string.h>

#include "format/base/json.h"
#include "quant/describe.h"

/* The row of the plan's table that a tensor belongs to. */
static const char *family_of(const fvlm_quant_item *item)
{
    if (item->role == FVLM_QUANT_VECTOR) return "biases and norms";
    if (item->role == FVLM_QUANT_TAPS) return "tower taps";
    return fvlm_part_name(item->part);
}

/* sqrt(error / norm); 0 for a tensor of zeros. */
static double relative_error(const double sums[2])
{
    return sums[1] > 0 ? sqrt(sums[0] / sums[1]) : 0;
}

static json_t *type_json(fvlm_type t)
{
    char name[24];
    return json_string(fvlm_type_name(t, name));
}

static json_t *rules_json(const fvlm_quantization *q)
{
    json_t *list = json_array();
    for (size_t i = 0; i < q->options.n_rules; i++)
        fvlm_json_append(&list, json_sprintf("%s=%s", q->options.rules[i].regex, q->options.rules[i].type));
    return list;
}

json_t *fvlm_quant_metadata(const fvlm_quantization *q)
{
    char identity[33];
    json_t *meta = json_deep_copy(fvlm_reader_meta(q->reader)), *tensors = json_object();
    json_t *chain = json_incref(json_object_get(meta, "transforms"));
    for (size_t i = 0; i < q->n_items; i++) {
        const fvlm_quant_item *item = &q->items[i];
        if (fvlm_type_equal(item->type, item->source->type)) continue;
        fvlm_json_set(&tensors, item->source->name,
                      json_pack("{s:o, s:o, s:f}", "from", type_json(item->source->type), "to", type_json(item->type),
                                "error", relative_error(item->sums)));
    }
    fvlm_hash_text(fvlm_reader_identity(q->reader), identity);
    if (!chain) chain = json_array();
    fvlm_json_append(&chain, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "tool", "fvlm " FVLM_VERSION, "command",
                                       "quant", "source_identity", identity, "type", q->options.type, "set",
                                       rules_json(q), "tensors", tensors));
    fvlm_json_set(&meta, "transforms", chain);
    return meta;
}

static json_t *error_json(const fvlm_quantization *q, const double sums[2])
{
    return q->written ? json_real(relative_error(sums)) : json_null();
}

static json_t *tensor_json(const fvlm_quantization *q, const fvlm_quant_item *item)
{
    json_t *shape = json_array();
    for (unsigned i = 0; i < item->source->rank; i++)
        fvlm_json_append(&shape, json_integer((json_int_t)item->source->dims[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:f, s:o}", "name", item->source->name, "family",
                     family_of(item), "from", type_json(item->source->type), "type", type_json(item->type), "shape",
                     shape, "bytes_before", (json_int_t)item->source->n_bytes, "bytes", (json_int_t)item->n_bytes,
                     "bits_per_weight", 8.0 * (double)item->n_bytes / (double)item->n_weights, "error",
                     error_json(q, item->sums));
}

/* One row for all items of a family and type as items[first] is; NULL when an earlier item made that row. */
static json_t *family_json(const fvlm_quantization *q, size_t first)
{
    const fvlm_quant_item *head = &q->items[first];
    const char *family = family_of(head);
    uint64_t n = 0, weights = 0, before = 0, after = 0;
    double sums[2] = {0, 0};
    for (size_t i = 0; i < q->n_items; i++) {
        const fvlm_quant_item *item = &q->items[i];
        if (!fvlm_type_equal(item->type, head->type) || strcmp(family_of(item), family)) continue;
        if (i < first) return NULL;
        n++;
        weights += item->n_weights;
        before += item->source->n_bytes;
        after += item->n_bytes;
        sums[0] += item->sums[0];
        sums[1] += item->sums[1];
    }
    return json_pack("{s:s, s:o, s:I, s:I, s:f, s:I, s:I, s:o}", "family", family, "type", type_json(head->type),
                     "tensors", (json_int_t)n, "weights", (json_int_t)weights, "bits_per_weight",
                     8.0 * (double)after / (double)weights, "bytes_before", (json_int_t)before, "bytes",
                     (json_int_t)after, "error", error_json(q, sums));
}

json_t *fvlm_quantization_report(const fvlm_quantization *q)
{
    json_t *tensors = json_array(), *rows = json_array();
    for (size_t i = 0; i < q->n_items; i++) {
        json_t *row = family_json(q, i);
        if (row) fvlm_json_append(&rows, row);
        fvlm_json_append(&tensors, tensor_json(q, &q->items[i]));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:b}", "input", fvlm_reader_path(q->reader), "type",
                     q->options.type, "set", rules_json(q), "families", rows, "tensors", tensors, "bytes_before",
                     (json_int_t)fvlm_reader_file_bytes(q->reader), "bytes_after", (json_int_t)q->bytes_after,
                     "written", q->written);
}
