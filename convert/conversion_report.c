/* SPDX-License-Identifier: Apache-2.0 */
/* conversion_report.c - see conversion_report.h; conversion_json.c writes the structs as JSON. */
#include "convert/conversion_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "convert/conversion.h"
#include "format/base/memory.h"

/* ---- where a tensor comes from ---- */

static void add_source(fvlm_conversion_origin *o, const fvlm_source_tensor *t)
{
    if (t) o->from[o->n_from++] = t->origin ? t->origin : t->name;
}

/* Every source tensor that the weight, or the bias, is computed from. */
static void list_sources(fvlm_conversion_origin *o, const fvlm_recipe *m, bool bias)
{
    _Static_assert(6 * FVLM_MAX_BRANCHES + 2 <= sizeof o->from / sizeof o->from[0], "from[] holds all sources");
    for (unsigned b = 0; b < m->n_branches; b++) {
        const fvlm_branch *branch = &m->branch[b];
        if (!bias || m->norm_shift) add_source(o, branch->kernel);
        if (bias) add_source(o, branch->bias);
        add_source(o, branch->bn.gamma);
        if (bias) add_source(o, branch->bn.beta);
        if (bias) add_source(o, branch->bn.mean);
        add_source(o, branch->bn.var);
    }
    add_source(o, bias ? m->norm_shift : m->norm_gain);
    add_source(o, m->layer_scale);
}

static void add_step(fvlm_conversion_origin *o, const char *fmt, ...) FVLM_PRINTF(2, 3);
static void add_step(fvlm_conversion_origin *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(o->steps[o->n_steps++], sizeof o->steps[0], fmt, args);
    va_end(args);
}

static void list_steps(fvlm_conversion_origin *o, const fvlm_recipe *m, bool bias, fvlm_type type)
{
    char name[24];
    bool bn = false;
    for (unsigned b = 0; b < m->n_branches; b++) bn |= m->branch[b].bn.gamma != NULL;
    if (bn) add_step(o, "batch norm folded");
    if (m->n_branches > 1) add_step(o, "%u branches summed", m->n_branches);
    if (m->norm_gain) add_step(o, "layer norm folded");
    if (m->layer_scale) add_step(o, "layer scale folded");
    if (m->q_rows) add_step(o, "attention scale folded");
    if (m->residual && !bias) add_step(o, "identity added");
    if (!bias && !m->fused && m->out < m->branch[0].kernel->dims[0])
        add_step(o, "rows 0 to %" PRIu64 " kept", m->out - 1);
    if (type.kind == FVLM_INT)
        add_step(o, "%s codes kept", fvlm_type_name(type, name));
    else if (!bias && fvlm_recipe_is_quantized(m))
        add_step(o, "dequantized");
    if (type.kind != FVLM_INT &&
        (m->fused || !fvlm_type_equal(type, bias ? fvlm_pack_bias_type(m) : fvlm_pack_weight_type(m))))
        add_step(o, "stored as %s", fvlm_type_name(type, name));
}

static double relative(double wrong, double all)
{
    return all > 0 ? sqrt(wrong / all) : 0;
}

static double rounding_of(const fvlm_packing *p)
{
    return relative(p->wrong, p->all);
}

void fvlm_conversion_describe_tensor(const fvlm_conversion *c, size_t i, fvlm_conversion_origin *o)
{
    const fvlm_recipe *m = c->names.recipes.items;
    for (; i > m->has_bias; m++) i -= 1u + m->has_bias;
    const fvlm_packing *p = &c->planned[m - c->names.recipes.items].packing;
    const bool bias = i == 1;
    *o = (fvlm_conversion_origin){.error = m->fused ? p->error : -1,
                                  .rounding = !bias && p->weight.kind == FVLM_INT ? rounding_of(p) : -1};
    snprintf(o->name, sizeof o->name, "%s.%s", m->name, bias ? "bias" : "weight");
    list_sources(o, m, bias);
    list_steps(o, m, bias, bias ? p->bias : p->weight);
}

/* ---- the whole ---- */

static size_t type_number(fvlm_type t)
{
    if (t.kind != FVLM_INT) return t.kind - FVLM_F32;
    const unsigned group = t.group == 32 ? 0 : t.group == 64 ? 1 : t.group == 128 ? 2 : 3;
    return 3u + (t.bits == 4 ? 8u : 0u) + 4u * t.asymmetric + group;
}

static void add_share(fvlm_conversion_share shares[], const fvlm_recipe *m, fvlm_type type, bool bias, uint64_t n_bytes)
{
    fvlm_conversion_share *s = &shares[FVLM_CONVERSION_TYPES * m->part + type_number(type)];
    s->part = m->part;
    s->type = type;
    s->n_tensors++;
    s->n_fused += m->fused;
    s->n_params += bias ? m->out : m->out * m->in * m->k * m->k;
    s->n_bytes += n_bytes;
}

static void list_shares(const fvlm_conversion *c, fvlm_conversion_report *out)
{
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        const fvlm_planned *p = &c->planned[i];
        add_share(out->shares, m, p->packing.weight, false, p->weight_bytes);
        if (m->has_bias) add_share(out->shares, m, p->packing.bias, true, p->bias_bytes);
    }
    for (size_t i = 0; i < sizeof out->shares / sizeof out->shares[0]; i++)
        if (out->shares[i].n_tensors) out->shares[out->n_shares++] = out->shares[i];
}

static void add_rounding(const fvlm_conversion *c, fvlm_conversion_report *out)
{
    double wrong = 0, all = 0;
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_packing *p = &c->planned[i].packing;
        if (p->weight.kind != FVLM_INT) continue;
        const double one = rounding_of(p);
        wrong += p->wrong;
        all += p->all;
        if (p->wrong > 0 && one >= out->worst_rounding) {
            out->worst_rounding = one;
            out->worst_rounded = c->names.recipes.items[i].name;
        }
        if (!(p->wrong > 0)) out->n_codes_exact++;
        const bool coarse = p->wrong > 0 && p->weight.bits == 8 && p->weight.asymmetric;
        if (coarse && !out->requantize.kind) out->requantize = p->weight;
    }
    out->rounding = relative(wrong, all);
}

static void add_measurements(const fvlm_conversion *c, fvlm_conversion_report *out)
{
    size_t worst = 0;
    for (size_t i = 0; i < c->names.recipes.n; i++)
        if (c->planned[i].packing.error > c->planned[worst].packing.error) worst = i;
    out->worst_error = c->planned[worst].packing.error;
    out->worst_module = c->n_fused ? c->names.recipes.items[worst].name : NULL;
    add_rounding(c, out);
    out->seconds = c->seconds;
    out->peak_anonymous_bytes = fvlm_memory_peak_anonymous_bytes();
}

void fvlm_conversion_describe(const fvlm_conversion *c, fvlm_conversion_report *out)
{
    *out = (fvlm_conversion_report){.type = c->options.type ? c->options.type : "keep",
                                    .written = c->written,
                                    .n_tensors = c->n_tensors,
                                    .n_fused = c->n_fused,
                                    .tensor_bytes = c->tensor_bytes,
                                    .tokenizer_bytes = c->checkpoint.tokenizer_bytes,
                                    .rows_dropped = c->names.rows_dropped,
                                    .dropped = c->names.dropped,
                                    .n_dropped = c->names.n_dropped,
                                    .notes_about = c->onnx             ? "onnx"
                                                   : c->options.vision ? "found"
                                                                       : "packed",
                                    .folder = fvlm_source_folder(c->source),
                                    .dialect = c->onnx ? NULL : fvlm_naming_dialect(&c->naming),
                                    .dialect_what = fvlm_naming_describe(&c->naming),
                                    .conversation = c->checkpoint.conversation,
                                    .conversation_why = c->checkpoint.conversation_why,
                                    .head_stored = c->names.head_stored,
                                    .n_codes = c->n_codes,
                                    .n_dequantized = c->n_dequantized,
                                    .config = &c->names.config};
    if (c->names.head_chosen)
        out->warnings[out->n_warnings++] =
            !c->names.config.llm.tied
                ? "config.json says tie_word_embeddings; lm_head.weight is used anyway, because of --head own"
                : "the checkpoint contradicts itself about its head; the embedding is used, because of --head tied";
    for (size_t i = 0; i < fvlm_source_n_warnings(c->source); i++)
        out->warnings[out->n_warnings++] = fvlm_source_warning_at(c->source, i);
    for (size_t i = 0; i < fvlm_source_n_notes(c->source); i++)
        out->notes[out->n_notes++] = fvlm_source_note_at(c->source, i);
    if (c->names.head_as_graph)
        out->notes[out->n_notes++] = "the head differs from the embedding; the graph's own is used, although "
                                     "config.json says tie_word_embeddings";
    list_shares(c, out);
    if (c->written) add_measurements(c, out);
}
