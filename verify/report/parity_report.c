/* SPDX-License-Identifier: Apache-2.0 */
/* parity_report.c - see parity_report.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/cli/numbers.h"
#include "format/cli/terminal.h"
#include "format/base/json.h"
#include "verify/report/parity_report.h"
#include "verify/verdict.h"

void fvlm_report_hashes(const char *path, const fvlm_hash_report *h)
{
    char size[16];
    printf("%s: every byte of %s is as written: %zu tensors, %.2f s, %.1f GB/s\n", path,
           fvlm_human_bytes(h->n_bytes, size), h->n_tensors, h->seconds,
           h->seconds > 0 ? (double)h->n_bytes / h->seconds / 1e9 : 0);
}

void fvlm_report_weights(const fvlm_weights *w)
{
    printf("weights of %zu tensors: %zu as in the source, bit for bit; %zu rounded; %zu quantized\n", w->n_tensors,
           w->n_same, w->n_rounded, w->n_quantized);
    if (w->n_skipped) printf("%zu tensors not compared: the source is quantized itself\n", w->n_skipped);
    if (w->n_bad)
        printf("NOT AS PROMISED: %" PRIu64
               " values or groups are further from their source than their types allow, first %s\n",
               w->n_bad, w->first_bad);
    else if (w->n_groups)
        printf("no group of %" PRIu64 " is further off than plain absmax would be; all together %.2f of its error\n",
               w->n_groups, w->share);
}

static double mean_kl(const fvlm_agreement *a)
{
    return a->compared ? a->kl_sum / (double)a->compared : 0;
}

static void print_blocks(const fvlm_parity *p, unsigned act)
{
    printf("%-24s %7s %7s %12s %12s %12s\n", "block", "rows", "cols", "relative L2", "1 - cosine", "max error");
    for (size_t i = 0; i < p->n_blocks; i++) {
        const fvlm_block_parity *b = &p->blocks[i];
        const fvlm_distance *d = &b->worst[act];
        printf("%-24s %7zu %7zu %12.3e %12.3e %12.3e%s\n", b->name, b->rows, b->cols, d->relative_l2,
               fmax(0, 1 - d->cosine), d->max_error, fvlm_verdict_block_ok(p, i, act) ? "" : "  out of bounds");
    }
}

static void print_logits(const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    printf("next token, %zu positions: KL %.3e mean, %.3e at most; the likeliest agrees at %zu", a->positions,
           mean_kl(a), a->kl_max, a->top1);
    if (a->compared) printf(", %.2f of the top five are common", (double)a->top5 / (double)a->compared);
    printf("%s\n", fvlm_verdict_logits_ok(p, act) ? "" : "  out of bounds");
}

static void print_verdict(const fvlm_parity *p, unsigned act)
{
    const fvlm_bound *b = &p->bounds[act];
    const size_t bad = fvlm_verdict_first_bad(p, act);
    double step;
    const size_t at = fvlm_verdict_largest_step(p, act, &step);
    if (step > 0) printf("largest step: %s adds %.3e\n", p->blocks[at].name, step);
    if (fvlm_verdict_act_ok(p, act))
        printf("within bounds");
    else if (bad < p->n_blocks)
        printf("OUT OF BOUNDS from %s on", p->blocks[bad].name);
    else
        printf("OUT OF BOUNDS in its predictions");
    printf("; for %s: relative L2 %g, KL %g, likeliest token %g %%\n", fvlm_grade_name(p->grade), b->block, b->kl,
           100 * b->top1);
}

void fvlm_report_parity(const fvlm_parity *p)
{
    for (unsigned act = 0; act < p->n_acts; act++) {
        printf("%s%s with %s activations, %zu picture%s\n", act ? "\n" : "", fvlm_grade_name(p->grade),
               fvlm_act_name(p->acts[act]), p->n_images, p->n_images == 1 ? "" : "s");
        print_blocks(p, act);
        print_logits(p, act);
        print_verdict(p, act);
    }
}

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
    json_t *logits = json_pack("{s:I, s:o, s:o, s:f, s:f, s:b}", "positions", (json_int_t)a->positions, "kl_mean",
                               number(mean_kl(a)), "kl_max", number(a->kl_max), "top1", (double)a->top1 / positions,
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
    fvlm_json_set(report, "seconds", json_real(p->seconds));
    fvlm_json_set(report, "activations", acts);
}

json_t *fvlm_report_json(const char *path, const fvlm_hash_report *h, const char *against, const fvlm_weights *w,
                         const fvlm_parity *p)
{
    json_t *report = json_pack("{s:s, s:{s:I, s:I, s:f}}", "model", path, "hashes", "tensors", (json_int_t)h->n_tensors,
                               "bytes", (json_int_t)h->n_bytes, "seconds", h->seconds);
    if (against) fvlm_json_set(&report, "against", json_string(against));
    if (w) fvlm_json_set(&report, "weights", weights_json(w));
    if (p) add_parity(&report, p);
    if (against) fvlm_json_set(&report, "ok", json_boolean((!w || w->n_bad == 0) && (!p || fvlm_verdict_ok(p))));
    return report;
}
