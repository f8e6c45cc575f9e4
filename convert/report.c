/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - what a conversion plans and has done, as JSON: the container's metadata, and the report that
 * --dry-run, -v and --json print. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/conversion.h"
#include "format/cli/cli.h"
#include "format/base/json.h"
#include "format/config_json.h"

/* ---- where a tensor comes from ---- */

static void add_source(json_t **list, const fvlm_source_tensor *t)
{
    if (t) fvlm_json_append(list, json_string(t->name));
}

/* Every source tensor that the weight, or the bias, is computed from. */
static json_t *sources_of(const fvlm_recipe *m, bool bias)
{
    json_t *list = json_array();
    for (unsigned b = 0; b < m->n_branches; b++) {
        const fvlm_branch *branch = &m->branch[b];
        if (!bias || m->norm_shift) add_source(&list, branch->kernel);
        if (bias) add_source(&list, branch->bias);
        add_source(&list, branch->bn.gamma);
        if (bias) add_source(&list, branch->bn.beta);
        if (bias) add_source(&list, branch->bn.mean);
        add_source(&list, branch->bn.var);
    }
    add_source(&list, bias ? m->norm_shift : m->norm_gain);
    add_source(&list, m->layer_scale);
    return list;
}

static json_t *steps_of(const fvlm_recipe *m, bool bias, fvlm_type type)
{
    json_t *list = json_array();
    char text[64], type_name[24];
    bool bn = false;
    for (unsigned b = 0; b < m->n_branches; b++) bn |= m->branch[b].bn.gamma != NULL;
    if (bn) fvlm_json_append(&list, json_string("batch norm folded"));
    if (m->n_branches > 1) {
        snprintf(text, sizeof text, "%u branches summed", m->n_branches);
        fvlm_json_append(&list, json_string(text));
    }
    if (m->norm_gain) fvlm_json_append(&list, json_string("layer norm folded"));
    if (m->layer_scale) fvlm_json_append(&list, json_string("layer scale folded"));
    if (m->q_rows) fvlm_json_append(&list, json_string("attention scale folded"));
    if (m->eye && !bias) fvlm_json_append(&list, json_string("identity added"));
    const fvlm_source_tensor *first = bias ? m->branch[0].bias : m->branch[0].kernel;
    if (!bias && !m->fused && m->out < first->dims[0]) {
        snprintf(text, sizeof text, "rows 0 to %llu kept", (unsigned long long)m->out - 1);
        fvlm_json_append(&list, json_string(text));
    }
    if (m->fused || !fvlm_type_equal(type, bias ? fvlm_pack_bias_type(m) : fvlm_pack_weight_type(m))) {
        snprintf(text, sizeof text, "stored as %s", fvlm_type_name(type, type_name));
        fvlm_json_append(&list, json_string(text));
    }
    return list;
}

/* Three digits are enough of an error, and compress well. */
static json_t *error_json(double error)
{
    char text[32];
    snprintf(text, sizeof text, "%.2e", error);
    return json_real(strtod(text, NULL));
}

static void add_origin(json_t **to, const fvlm_recipe *m, const fvlm_packing *p, bool bias, bool measured)
{
    char name[FVLM_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.%s", m->name, bias ? "bias" : "weight");
    json_t *origin =
        json_pack("{s:o, s:o}", "from", sources_of(m, bias), "steps", steps_of(m, bias, bias ? p->bias : p->weight));
    if (m->fused && measured) fvlm_json_set(&origin, "error", error_json(p->error));
    fvlm_json_set(to, name, origin);
}

static json_t *origins(const fvlm_conversion *c, bool measured)
{
    json_t *all = json_object();
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        add_origin(&all, m, &c->planned[i].packing, false, measured);
        if (m->has_bias) add_origin(&all, m, &c->planned[i].packing, true, measured);
    }
    return all;
}

static json_t *files(const fvlm_conversion *c, bool hashed)
{
    json_t *list = json_array();
    for (size_t i = 0; i < fvlm_source_n_files(c->source); i++) {
        char hash[33];
        json_t *file = json_pack("{s:s, s:I}", "file", fvlm_source_file_name(c->source, i), "bytes",
                                 (json_int_t)fvlm_source_file_bytes(c->source, i));
        fvlm_hash_text(fvlm_source_file_hash(c->source, i), hash);
        if (hashed) fvlm_json_set(&file, "xxh3_128", json_string(hash));
        fvlm_json_append(&list, file);
    }
    return list;
}

json_t *fvlm_conversion_metadata(const fvlm_conversion *c)
{
    return json_pack("{s:o, s:{s:s, s:s, s:s, s:{s:s}, s:o}, s:o}", "config", fvlm_config_to_json(&c->names.config),
                     "provenance", "tool", "fvlm", "version", FVLM_VERSION, "command", "convert", "options", "type",
                     c->options.type ? c->options.type : "keep", "sources", files(c, true), "tensors",
                     origins(c, true));
}

/* ---- the report ---- */

typedef struct {
    size_t n_tensors, n_fused;
    uint64_t n_params, n_bytes;
} share;

static void add_share(share *s, const fvlm_recipe *m, bool bias, uint64_t n_bytes)
{
    s->n_tensors++;
    s->n_fused += m->fused;
    s->n_params += bias ? m->out : m->out * m->in * m->k * m->k;
    s->n_bytes += n_bytes;
}

/* One row a part and type, in the order of the file. */
static json_t *parts(const fvlm_conversion *c)
{
    share all[FVLM_N_PARTS][4] = {0};
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        const fvlm_planned *p = &c->planned[i];
        add_share(&all[m->part][p->packing.weight.kind], m, false, p->weight_bytes);
        if (m->has_bias) add_share(&all[m->part][p->packing.bias.kind], m, true, p->bias_bytes);
    }
    json_t *list = json_array();
    for (unsigned part = 0; part < FVLM_N_PARTS; part++)
        for (uint8_t kind = FVLM_F32; kind <= FVLM_BF16; kind++) {
            const share *s = &all[part][kind];
            char type[24];
            if (!s->n_tensors) continue;
            fvlm_json_append(&list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "part", fvlm_part_name(part), "type",
                                              fvlm_type_name((fvlm_type){.kind = kind}, type), "tensors",
                                              (json_int_t)s->n_tensors, "fused", (json_int_t)s->n_fused, "parameters",
                                              (json_int_t)s->n_params, "bytes", (json_int_t)s->n_bytes));
        }
    return list;
}

static json_t *dropped(const fvlm_conversion *c)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < c->names.n_dropped; i++)
        fvlm_json_append(&list, json_pack("{s:s, s:I, s:I}", "rule", c->names.dropped[i].rule, "tensors",
                                          (json_int_t)c->names.dropped[i].n_tensors, "bytes",
                                          (json_int_t)c->names.dropped[i].n_bytes));
    return list;
}

static json_t *warnings(const fvlm_conversion *c)
{
    json_t *list = json_array();
    if (c->names.head_differs)
        json_array_append_new(
            list, json_string("config.json says tie_word_embeddings, but lm_head.weight is not the embedding; "
                              "lm_head.weight is not used, as in transformers"));
    return list;
}

static void add_measurements(const fvlm_conversion *c, json_t **report)
{
    size_t worst = 0;
    for (size_t i = 0; i < c->names.recipes.n; i++)
        if (c->planned[i].packing.error > c->planned[worst].packing.error) worst = i;
    fvlm_json_set(report, "worst_error", error_json(c->planned[worst].packing.error));
    if (c->n_fused) fvlm_json_set(report, "worst_module", json_string(c->names.recipes.items[worst].name));
    fvlm_json_set(report, "seconds", json_real(c->seconds));
    fvlm_json_set(report, "peak_anonymous_bytes", json_integer((json_int_t)fvlm_memory_peak_anonymous_bytes()));
}

json_t *fvlm_conversion_report(const fvlm_conversion *c)
{
    json_t *report = json_pack(
        "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "type",
        c->options.type ? c->options.type : "keep", "written", c->written, "tensors", (json_int_t)c->n_tensors,
        "fused_modules", (json_int_t)c->n_fused, "tensor_bytes", (json_int_t)c->tensor_bytes, "tokenizer_bytes",
        (json_int_t)c->checkpoint.tokenizer_bytes, "embedding_rows_dropped", (json_int_t)c->names.rows_dropped, "parts",
        parts(c), "dropped", dropped(c), "warnings", warnings(c), "sources", files(c, c->written), "config",
        fvlm_config_to_json(&c->names.config), "origins", origins(c, c->written));
    if (c->written) add_measurements(c, &report);
    return report;
}
