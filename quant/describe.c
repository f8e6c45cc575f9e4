/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - the record of a quantization in the metadata of the file it writes. */
#include "format/base/json.h"
#include "quant/describe.h"
#include "quant/quantization_report.h"

static json_t *type_json(fvlm_type t)
{
    char name[24];
    return json_string(fvlm_type_name(t, name));
}

json_t *fvlm_quant_metadata(const fvlm_quantization *q)
{
    char identity[33];
    json_t *meta = json_deep_copy(fvlm_reader_meta(q->reader)), *tensors = json_object(), *rules = json_array();
    json_t *chain = json_incref(json_object_get(meta, "transforms"));
    for (size_t i = 0; i < q->options.n_rules; i++)
        fvlm_json_append(&rules, json_sprintf("%s=%s", q->options.rules[i].regex, q->options.rules[i].type));
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
    fvlm_json_append(&chain,
                     json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "tool", "fvlm " FVLM_VERSION, "command", "quant",
                               "source_identity", identity, "type", q->options.type, "set", rules, "tensors", tensors));
    fvlm_json_set(&meta, "transforms", chain);
    return meta;
}
