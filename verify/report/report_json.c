/* SPDX-License-Identifier: Apache-2.0 */
/* report_json.c - see verify_report.h. */
#include <math.h>
#include <stdio.h>

#include "format/base/json.h"
#include "verify/report/verify_report.h"
#include "verify/verdict.h"

/* JSON has no infinity. */
static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *block_json(const fvlm_parity *p, size_t i, unsigned act)
{
    const fvlm_block_parity *b = &p->blocks[i];
    const fvlm_distance *d = &b->worst[act];
    const bool known = !b->origin.missing;
    json_t *json = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:b}", "name", b->name, "rows", (json_int_t)b->rows,
                             "cols", (json_int_t)b->cols, "relative_l2", number(known ? d->relative_l2 : INFINITY),
                             "cosine", number(known ? d->cosine : INFINITY), "max_error",
                             number(known ? d->max_error : INFINITY), "ok", fvlm_verdict_block_ok(p, i, act));
    if (!p->against_graph) return json;
    fvlm_json_set(&json, "value", known ? fvlm_json_lossy_string(b->origin.value) : json_null());
    fvlm_json_set(&json, "absent", json_boolean(!known || fvlm_verdict_block_absent(p, i, act)));
    fvlm_json_set(&json, "nearest", fvlm_json_lossy_string(b->origin.nearest));
    fvlm_json_set(&json, "nearest_error", number(b->origin.nearest_error));
    return json;
}

static json_t *estimate_json(fvlm_estimate e)
{
    return json_pack("{s:o, s:o, s:o}", "value", number(e.value), "low", number(e.low), "high", number(e.high));
}

/* {"50": 0.001, "99.9": ...} */
static json_t *percentiles_json(const double *percents, const double *x, int n)
{
    json_t *all = json_object();
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "%g", percents[i]);
        fvlm_json_set(&all, key, number(x[i]));
    }
    return all;
}

static json_t *predictions_json(const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    const fvlm_statistics *s = &p->statistics[act];
    const double compared = 5 * (double)(a->compared ? a->compared : 1);
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:b}", "positions", (json_int_t)a->positions,
                     "compared", (json_int_t)a->compared, "kl_mean", estimate_json(s->kl), "kl_percentiles",
                     percentiles_json(fvlm_kl_percents, s->kl_percentile, FVLM_N_KL_PERCENTILES), "top1",
                     estimate_json(s->top1), "dp_mean", estimate_json(s->dp), "dp_rms", estimate_json(s->rms_dp),
                     "dp_percentiles", percentiles_json(fvlm_dp_percents, s->dp_percentile, FVLM_N_DP_PERCENTILES),
                     "top5", (double)a->top5 / compared, "source_probability", s->p_source, "ok",
                     fvlm_verdict_predictions(p, act) == FVLM_FAILURE_NONE);
}

static json_t *embedding_json(const fvlm_parity *p, unsigned act)
{
    const fvlm_likeness *l = &p->likeness[act];
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:b}", "block", p->embedding, "rows", (json_int_t)l->rows,
                     "relative_l2", number(fvlm_likeness_error(l)), "cosine_mean", number(fvlm_likeness_cosine(l)),
                     "cosine_lowest", number(l->lowest), "ok", fvlm_verdict_predictions(p, act) == FVLM_FAILURE_NONE);
}

/* null if there were too few positions. */
static json_t *grade_json(const fvlm_parity *p, unsigned act)
{
    const fvlm_grading *g = &p->grading[act];
    if (p->embedding)
        return fvlm_likeness_is_judged(&p->likeness[act])
                   ? json_pack("{s:s}", "grade", fvlm_grade_name(fvlm_likeness_grade(&p->likeness[act])))
                   : json_null();
    if (!g->judged) return json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "grade", fvlm_grade_name(g->grade), "best",
                     fvlm_grade_name(g->low), "worst", fvlm_grade_name(g->high), "kl_mean",
                     fvlm_grade_name(g->figures[FVLM_FIGURE_KL]), "top1", fvlm_grade_name(g->figures[FVLM_FIGURE_TOP1]),
                     "dp_rms", fvlm_grade_name(g->figures[FVLM_FIGURE_RMS_DP]));
}

static json_t *act_json(const fvlm_parity *p, unsigned act)
{
    const fvlm_bound *bound = &p->bounds[act];
    json_t *blocks = json_array();
    for (size_t i = 0; i < p->n_blocks; i++) fvlm_json_append(&blocks, block_json(p, i, act));
    const size_t bad = fvlm_verdict_first_bad(p, act);
    double step;
    const size_t at = fvlm_verdict_largest_step(p, act, &step);
    return json_pack("{s:s, s:{s:o, s:o, s:f}, s:o, s:o, s:o, s:s?, s:s?, s:b}", "act", fvlm_act_name(p->acts[act]),
                     "bounds", "relative_l2", number(bound->block), "kl_mean", number(bound->kl), "top1", bound->top1,
                     "blocks", blocks, p->embedding ? "embedding" : "predictions",
                     p->embedding ? embedding_json(p, act) : predictions_json(p, act), "grade", grade_json(p, act),
                     "largest_step", step > 0 ? p->blocks[at].name : NULL, "first_out_of_bounds",
                     bad < p->n_blocks ? p->blocks[bad].name : NULL, "ok", fvlm_verdict_act_ok(p, act));
}

static json_t *answer_json(const fvlm_parity *p, const fvlm_parity_answer *a)
{
    json_t *partings = json_array();
    for (unsigned act = 0; act < p->n_acts; act++) {
        const fvlm_parting *at = &a->parting[act];
        fvlm_json_append(&partings, !at->parted ? json_null()
                                                : json_pack("{s:I, s:o, s:o}", "position", (json_int_t)at->position,
                                                            "source", fvlm_json_lossy_string(at->source), "model",
                                                            fvlm_json_lossy_string(at->model)));
    }
    return json_pack("{s:o, s:o, s:I, s:o}", "image", a->image ? fvlm_json_lossy_string(a->image) : json_null(),
                     "prompt", a->prompt ? fvlm_json_lossy_string(a->prompt) : json_null(), "positions",
                     (json_int_t)a->positions, "parts", partings);
}

/* {"kl_mean": [0.006, 0.05, 0.45], ...}: the worst values that are still indistinguishable, close, visibly worse. */
static json_t *limits_json(bool embedding)
{
    static const char *const keys[] = {"kl_mean", "top1", "dp_rms"};
    json_t *all = json_object();
    if (embedding) {
        json_t *limits = json_array();
        for (fvlm_grade g = 0; g < FVLM_GRADE_BROKEN; g++) fvlm_json_append(&limits, json_real(fvlm_likeness_limit(g)));
        fvlm_json_set(&all, "relative_l2", limits);
        return all;
    }
    for (fvlm_figure f = 0; f < FVLM_N_FIGURES; f++) {
        json_t *limits = json_array();
        for (fvlm_grade g = 0; g < FVLM_GRADE_BROKEN; g++) fvlm_json_append(&limits, json_real(fvlm_grade_limit(f, g)));
        fvlm_json_set(&all, keys[f], limits);
    }
    return all;
}

static json_t *weights_json(const fvlm_weights *w)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s?, s:f, s:b}", "tensors",
                     (json_int_t)w->n_tensors, "same", (json_int_t)w->n_same, "rounded", (json_int_t)w->n_rounded,
                     "quantized", (json_int_t)w->n_quantized, "skipped", (json_int_t)w->n_skipped, "foreign",
                     (json_int_t)w->n_foreign, "groups", (json_int_t)w->n_groups, "near", (json_int_t)w->n_near, "bad",
                     (json_int_t)w->n_bad, "share_of_plain_error", number(w->share), "first_bad",
                     w->n_bad ? w->first_bad : NULL, "seconds", w->seconds, "ok", w->n_bad == 0);
}

static void add_parity(json_t **report, const fvlm_parity *p)
{
    json_t *acts = json_array(), *answers = json_array();
    char notes[FVLM_PIXELS_NOTES_CHARS];
    for (unsigned act = 0; act < p->n_acts; act++) fvlm_json_append(&acts, act_json(p, act));
    for (size_t i = 0; i < p->n_answers; i++) fvlm_json_append(&answers, answer_json(p, &p->answers[i]));
    fvlm_json_set(report, "precision", json_string(fvlm_precision_name(p->precision)));
    fvlm_json_set(report, "graph_is_coarse", json_boolean(p->graph_is_coarse));
    fvlm_json_set(report, "images", json_integer((json_int_t)p->n_images));
    fvlm_json_set(report, "drawn", json_integer((json_int_t)p->n_drawn));
    if (p->tiling.columns)
        fvlm_json_set(
            report, "tiles",
            json_pack("{s:I, s:I}", "columns", (json_int_t)p->tiling.columns, "rows", (json_int_t)p->tiling.rows));
    fvlm_json_set(report, "picture_notes", json_string(fvlm_pixels_describe_notes(p->picture_notes, notes)));
    fvlm_json_set(report, "positions_needed", json_integer(FVLM_MIN_POSITIONS));
    fvlm_json_set(report, "grade_limits", limits_json(p->embedding));
    fvlm_json_set(report, "seconds", json_real(p->seconds));
    fvlm_json_set(report, "activations", acts);
    fvlm_json_set(report, "answers", answers);
}

json_t *fvlm_verify_report_json(const fvlm_verify_report *r)
{
    const fvlm_weights *w = r->weights;
    const fvlm_parity *p = r->parity;
    json_t *report =
        json_pack("{s:o, s:{s:I, s:I, s:f}}", "model", fvlm_json_lossy_string(r->model), "hashes", "tensors",
                  (json_int_t)r->n_tensors, "bytes", (json_int_t)r->n_bytes, "seconds", r->seconds);
    if (!r->against) return report;
    fvlm_json_set(&report, "against", fvlm_json_lossy_string(r->against));
    fvlm_json_set(&report, "differences", r->differences ? fvlm_json_lossy_string(r->differences) : json_null());
    if (r->no_weights) fvlm_json_set(&report, "weights_not_compared", fvlm_json_lossy_string(r->no_weights));
    if (w) fvlm_json_set(&report, "weights", weights_json(w));
    if (p) add_parity(&report, p);
    fvlm_json_set(&report, "ok", json_boolean((!w || w->n_bad == 0) && (!p || fvlm_verdict_ok(p))));
    return report;
}
