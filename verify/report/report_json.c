/* SPDX-License-Identifier: Apache-2.0 */
/* report_json.c - see verify_report.h. */
#include <math.h>

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
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:b}", "name", b->name, "rows", (json_int_t)b->rows, "cols",
                     (json_int_t)b->cols, "relative_l2", number(d->relative_l2), "cosine", number(d->cosine),
                     "max_error", number(d->max_error), "ok", fvlm_verdict_block_ok(p, i, act));
}

static json_t *act_json(const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    const fvlm_bound *bound = &p->bounds[act];
    const double positions = (double)(a->positions ? a->positions : 1);
    const double compared = 5 * (double)(a->compared ? a->compared : 1);
    json_t *blocks = json_array();
    for (size_t i = 0; i < p->n_blocks; i++) fvlm_json_append(&blocks, block_json(p, i, act));
    json_t *logits =
        json_pack("{s:I, s:o, s:o, s:f, s:f, s:b}", "positions", (json_int_t)a->positions, "kl_mean",
                  number(fvlm_agreement_mean_kl(a)), "kl_max", number(a->kl_max), "top1", (double)a->top1 / positions,
                  "top5", (double)a->top5 / compared, "ok", fvlm_verdict_logits_ok(p, act));
    const size_t bad = fvlm_verdict_first_bad(p, act);
    double step;
    const size_t at = fvlm_verdict_largest_step(p, act, &step);
    return json_pack("{s:s, s:{s:f, s:f, s:f}, s:o, s:o, s:s?, s:s?, s:b}", "act", fvlm_act_name(p->acts[act]),
                     "bounds", "relative_l2", bound->block, "kl_mean", bound->kl, "top1", bound->top1, "blocks", blocks,
                     "logits", logits, "largest_step", step > 0 ? p->blocks[at].name : NULL, "first_out_of_bounds",
                     bad < p->n_blocks ? p->blocks[bad].name : NULL, "ok", fvlm_verdict_act_ok(p, act));
}

static json_t *weights_json(const fvlm_weights *w)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s?, s:f, s:b}", "tensors", (json_int_t)w->n_tensors,
                     "same", (json_int_t)w->n_same, "rounded", (json_int_t)w->n_rounded, "quantized",
                     (json_int_t)w->n_quantized, "skipped", (json_int_t)w->n_skipped, "groups", (json_int_t)w->n_groups,
                     "bad", (json_int_t)w->n_bad, "share_of_plain_error", number(w->share), "first_bad",
                     w->n_bad ? w->first_bad : NULL, "seconds", w->seconds, "ok", w->n_bad == 0);
}

static void add_parity(json_t **report, const fvlm_parity *p)
{
    json_t *acts = json_array();
    for (unsigned act = 0; act < p->n_acts; act++) fvlm_json_append(&acts, act_json(p, act));
    fvlm_json_set(report, "grade", json_string(fvlm_grade_name(p->grade)));
    fvlm_json_set(report, "images", json_integer((json_int_t)p->n_images));
    char notes[FVLM_PIXELS_NOTES_CHARS];
    fvlm_json_set(report, "picture_notes", json_string(fvlm_pixels_describe_notes(p->picture_notes, notes)));
    fvlm_json_set(report, "seconds", json_real(p->seconds));
    fvlm_json_set(report, "activations", acts);
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
    if (w) fvlm_json_set(&report, "weights", weights_json(w));
    if (p) add_parity(&report, p);
    fvlm_json_set(&report, "ok", json_boolean((!w || w->n_bad == 0) && (!p || fvlm_verdict_ok(p))));
    return report;
}
