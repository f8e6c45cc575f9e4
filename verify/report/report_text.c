/* SPDX-License-Identifier: Apache-2.0 */
/* report_text.c - see verify_report.h. */
#include <inttypes.h>
#include <math.h>

#include "format/cli/terminal.h"
#include "verify/report/verify_report.h"
#include "verify/verdict.h"

static void print_weights(FILE *to, const fvlm_weights *w)
{
    fprintf(to, "weights of %zu tensors: %zu identical to the source, %zu rounded, %zu quantized\n", w->n_tensors,
            w->n_same, w->n_rounded, w->n_quantized);
    if (w->n_skipped) fprintf(to, "%zu tensors not compared: they are quantized in the source too\n", w->n_skipped);
    if (w->n_foreign) fprintf(to, "%zu tensors not compared: another quantizer chose their values\n", w->n_foreign);
    if (w->n_near)
        fprintf(to,
                "%" PRIu64 " value%s by rounding in f32 (up to 3e-7 of the largest of the tensor): ONNX exporters fold "
                "BatchNorm themselves\n",
                w->n_near, w->n_near == 1 ? " differs" : "s differ");
    if (w->n_bad)
        fvlm_terminal_print(to,
                            "WRONG WEIGHTS: %" PRIu64
                            " values or groups differ from the source by more than their types allow, first %s\n",
                            w->n_bad, w->first_bad);
    else if (w->n_groups)
        fprintf(to, "no error of %" PRIu64 " groups exceeds that of plain absmax; the total is %.2f of it\n",
                w->n_groups, w->share);
}

/* A block that no value of the graph is. */
static void print_absent(FILE *to, const fvlm_block_parity *b, bool ok)
{
    fvlm_terminal_print(to, "%-24s %7zu %7zu %12s %12s %12s  no value of the graph agrees", b->name, b->rows, b->cols,
                        "-", "-", "-");
    if (b->origin.nearest[0])
        fvlm_terminal_print(to, "; nearest: %s, %.1e off", b->origin.nearest, b->origin.nearest_error);
    fprintf(to, "%s\n", ok ? "" : "  out of bounds");
}

static void print_blocks(FILE *to, const fvlm_parity *p, unsigned act)
{
    fprintf(to, "%-24s %7s %7s %12s %12s %12s%s\n", "block", "rows", "cols", "relative L2", "1 - cosine", "max error",
            p->against_graph ? "  value of the graph" : "");
    for (size_t i = 0; i < p->n_blocks; i++) {
        const fvlm_block_parity *b = &p->blocks[i];
        const fvlm_distance *d = &b->worst[act];
        const bool ok = fvlm_verdict_block_ok(p, i, act);
        if (b->origin.missing || fvlm_verdict_block_absent(p, i, act)) {
            print_absent(to, b, ok);
            continue;
        }
        fvlm_terminal_print(to, "%-24s %7zu %7zu %12.3e %12.3e %12.3e%s%s%s\n", b->name, b->rows, b->cols,
                            d->relative_l2, fmax(0, 1 - d->cosine), d->max_error, p->against_graph ? "  " : "",
                            p->against_graph ? b->origin.value : "", ok ? "" : "  out of bounds");
    }
}

/* ---- predictions ---- */

static void print_percentiles(FILE *to, const double *percents, const double *x, int n, double unit)
{
    for (int i = 0; i < n; i++) {
        if (percents[i] == 0 || percents[i] == 100)
            fprintf(to, ", %s", percents[i] == 0 ? "smallest" : "largest");
        else if (percents[i] == 50)
            fprintf(to, ", median");
        else
            fprintf(to, ", %g %%", percents[i]);
        fprintf(to, " %.3g", unit * x[i]);
    }
    fprintf(to, "\n");
}

/* " NAME VALUE", with its standard error where more than one position gives one. */
static void print_estimate(FILE *to, const char *name, fvlm_estimate e, double unit)
{
    fprintf(to, " %s %.3g", name, unit * e.value);
    if (isfinite(e.high)) fprintf(to, " +- %.2g", unit * (e.high - e.value));
}

static void print_statistics(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    const fvlm_statistics *s = &p->statistics[act];
    fprintf(to, "next token at %zu positions of %zu answer%s: likeliest token agrees at %zu", a->positions,
            p->n_answers, p->n_answers == 1 ? "" : "s", a->top1);
    if (a->compared == 0) {
        fprintf(to, "\n");
        return;
    }
    fprintf(to, "; %.2f of the top five in common\n", (double)a->top5 / (double)a->compared);
    fprintf(to, "KL divergence, nats:");
    print_estimate(to, "mean", s->kl, 1);
    print_percentiles(to, fvlm_kl_percents, s->kl_percentile, FVLM_N_KL_PERCENTILES, 1);
    fprintf(to, "change of the right token's probability, %%:");
    print_estimate(to, "mean", s->dp, 100);
    fprintf(to, ",");
    print_estimate(to, "RMS", s->rms_dp, 100);
    print_percentiles(to, fvlm_dp_percents, s->dp_percentile, FVLM_N_DP_PERCENTILES, 100);
    if (s->p_source < 0.5)
        fprintf(
            to,
            "the source is unsure: its likeliest token has %.2g %% on average and changes easily (random weights, or "
            "pictures of a kind that it does not know)\n",
            100 * s->p_source);
}

static void print_partings(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_parity_answer *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < p->n_answers; i++) {
        if (!p->answers[i].parting[act].parted) continue;
        if (!first) first = &p->answers[i];
        n++;
    }
    fprintf(to, "greedy answers: %zu of %zu the same", p->n_answers - n, p->n_answers);
    if (!first) {
        fprintf(to, "\n");
        return;
    }
    const fvlm_parting *at = &first->parting[act];
    fvlm_terminal_print(to, "; the first parts at token %zu of %zu, \"%s\" for \"%s\"", at->position + 1,
                        first->positions, at->model, at->source);
    if (first->prompt)
        fvlm_terminal_print(to, ", %s, \"%s\"", first->image ? first->image : "a drawn picture", first->prompt);
    fprintf(to, "\n");
}

/* ---- grades ---- */

static void print_grades(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_grading *g = &p->grading[act];
    char text[32], low[32], high[32], limit[70];
    fprintf(to, "%-26s %9s %22s", "graded", "measured", "one standard error");
    for (fvlm_grade k = 0; k < FVLM_GRADE_BROKEN; k++) fprintf(to, " %17s", fvlm_grade_name(k));
    fprintf(to, "\n");
    for (fvlm_figure f = 0; f < FVLM_N_FIGURES; f++) {
        const fvlm_estimate e = fvlm_figure_of(&p->statistics[act], f);
        snprintf(limit, sizeof limit, "%s to %s", fvlm_figure_text(f, e.low, low), fvlm_figure_text(f, e.high, high));
        fprintf(to, "%-26s %9s %22s", fvlm_figure_name(f), fvlm_figure_text(f, e.value, text), limit);
        for (fvlm_grade k = 0; k < FVLM_GRADE_BROKEN; k++) {
            snprintf(limit, sizeof limit, "%s %s",
                     f == FVLM_FIGURE_TOP1 ? ">=" : "<=", fvlm_figure_text(f, fvlm_grade_limit(f, k), text));
            fprintf(to, " %17s", limit);
        }
        fprintf(to, "  %s\n", fvlm_grade_name(g->figures[f]));
    }
    fprintf(to, "grade: %s", fvlm_grade_name(g->grade));
    if (g->low != g->high)
        fprintf(to, "; within one standard error anything from %s to %s", fvlm_grade_name(g->low),
                fvlm_grade_name(g->high));
    fprintf(to, "\n");
}

/* ---- the verdict ---- */

/* The bounds on blocks, and those on predictions if they apply. */
static void print_bounds(FILE *to, const fvlm_parity *p, unsigned act, bool predictions)
{
    const fvlm_bound *b = &p->bounds[act];
    const size_t bad = fvlm_verdict_first_bad(p, act);
    if (!isfinite(b->block)) return;
    if (bad < p->n_blocks)
        fvlm_terminal_print(to, "OUT OF BOUNDS from %s on", p->blocks[bad].name);
    else if (predictions && fvlm_verdict_predictions(p, act))
        fprintf(to, "OUT OF BOUNDS in the next token");
    else
        fprintf(to, "within the bounds");
    fprintf(to, " for %s: relative L2 up to %g", fvlm_precision_name(p->precision), b->block);
    if (predictions) fprintf(to, ", mean KL up to %g, likeliest token at least %g %%", b->kl, 100 * b->top1);
    fprintf(to, "\n");
}

/* The rows of pictures, and their grade. */
static void print_embedding(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_likeness *l = &p->likeness[act];
    const fvlm_failure failure = fvlm_verdict_predictions(p, act);
    fprintf(to, "embedding (%s), %zu rows: relative error %.3g; cosine of a row: mean %.6f, lowest %.6f\n",
            p->embedding, l->rows, fvlm_likeness_error(l), fvlm_likeness_cosine(l), l->lowest);
    print_bounds(to, p, act, false);
    if (fvlm_likeness_is_judged(l))
        fprintf(to, "grade: %s (relative error up to %g: %s, %g: %s, %g: %s)\n",
                fvlm_grade_name(fvlm_likeness_grade(l)), fvlm_likeness_limit(FVLM_GRADE_INDISTINGUISHABLE),
                fvlm_grade_name(FVLM_GRADE_INDISTINGUISHABLE), fvlm_likeness_limit(FVLM_GRADE_CLOSE),
                fvlm_grade_name(FVLM_GRADE_CLOSE), fvlm_likeness_limit(FVLM_GRADE_VISIBLY_WORSE),
                fvlm_grade_name(FVLM_GRADE_VISIBLY_WORSE));
    else if (failure == FVLM_FAILURE_NOT_JUDGED)
        fprintf(to, "NOT JUDGED: %d rows are needed, and there %s %zu\n", FVLM_MIN_POSITIONS,
                l->rows == 1 ? "is" : "are", l->rows);
    if (p->limits.by_error)
        fprintf(to, "at most %g asked for%s\n", p->limits.error, failure == FVLM_FAILURE_MAX_ERROR ? ": EXCEEDED" : "");
}

static void print_verdict(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_grading *g = &p->grading[act];
    const fvlm_parity_limits *l = &p->limits;
    const fvlm_failure failure = fvlm_verdict_predictions(p, act);
    const bool bounded = isfinite(p->bounds[act].kl) && !l->by_kl && !l->by_top1;
    double step;
    const size_t at = fvlm_verdict_largest_step(p, act, &step);
    if (step > 0) fvlm_terminal_print(to, "largest step: %s adds %.3e\n", p->blocks[at].name, step);
    print_bounds(to, p, act, bounded);
    if (g->judged)
        print_grades(to, p, act);
    else if (failure == FVLM_FAILURE_NOT_JUDGED)
        fprintf(to, "NOT JUDGED: %d positions are needed, and there %s %zu\n", FVLM_MIN_POSITIONS,
                g->positions == 1 ? "is" : "are", g->positions);
    if (l->by_kl)
        fprintf(to, "mean KL divergence %.3g, at most %g asked for%s\n", p->statistics[act].kl.value, l->kl,
                failure == FVLM_FAILURE_MAX_KL ? ": EXCEEDED" : "");
    if (l->by_top1)
        fprintf(to, "likeliest token agrees at %.2f %%, at least %g %% asked for%s\n",
                100 * p->statistics[act].top1.value, 100 * l->top1,
                p->statistics[act].top1.value < l->top1 ? ": MISSED" : "");
}

static void print_parity(FILE *to, const fvlm_parity *p)
{
    for (unsigned act = 0; act < p->n_acts; act++) {
        fprintf(to, "%s%s with %s activations, %zu image%s", act ? "\n" : "", fvlm_precision_name(p->precision),
                fvlm_act_name(p->acts[act]), p->n_images, p->n_images == 1 ? "" : "s");
        if (p->tiling.columns) fprintf(to, " in %" PRIu32 " x %" PRIu32 " tiles", p->tiling.columns, p->tiling.rows);
        if (p->n_drawn) fprintf(to, " and %zu drawn picture%s", p->n_drawn, p->n_drawn == 1 ? "" : "s");
        fprintf(to, "\n");
        if (p->graph_is_coarse)
            fprintf(to, "the graphs themselves round activations to %s; the differences are mostly theirs\n",
                    fvlm_precision_name(p->precision));
        print_blocks(to, p, act);
        if (p->embedding) {
            print_embedding(to, p, act);
            continue;
        }
        print_statistics(to, p, act);
        print_partings(to, p, act);
        print_verdict(to, p, act);
    }
    char notes[FVLM_PIXELS_NOTES_CHARS];
    if (p->picture_notes) fprintf(to, "pictures: %s\n", fvlm_pixels_describe_notes(p->picture_notes, notes));
}

void fvlm_verify_report_print(FILE *to, const fvlm_verify_report *r)
{
    char size[16];
    if (!r->against) {
        fvlm_terminal_print(to, "%s: every byte matches its checksum: %zu tensors, %s, %.2f s, %.1f GB/s\n", r->model,
                            r->n_tensors, fvlm_human_bytes(r->n_bytes, size), r->seconds,
                            r->seconds > 0 ? (double)r->n_bytes / r->seconds / 1e9 : 0);
        return;
    }
    fvlm_terminal_print(to, "%s compared with %s\n", r->model, r->against);
    if (r->differences) fvlm_terminal_print(to, "they differ in use: %s\n", r->differences);
    if (r->swapped)
        fvlm_terminal_print(to, "%s is quantized and %s is not: name the model first, then what it was made from\n",
                            r->against, r->model);
    if (r->no_weights) fvlm_terminal_print(to, "weights not compared: %s\n", r->no_weights);
    if (r->weights) print_weights(to, r->weights);
    if (r->parity)
        print_parity(to, r->parity);
    else
        fprintf(to, "outputs not compared; give --image FILE to run both on an image\n");
}
