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
    if (w->n_bad)
        fvlm_terminal_print(to,
                            "WRONG WEIGHTS: %" PRIu64
                            " values or groups differ from the source by more than their types allow, first %s\n",
                            w->n_bad, w->first_bad);
    else if (w->n_groups)
        fprintf(to, "no error of %" PRIu64 " groups exceeds that of plain absmax; the total is %.2f of it\n",
                w->n_groups, w->share);
}

static void print_blocks(FILE *to, const fvlm_parity *p, unsigned act)
{
    fprintf(to, "%-24s %7s %7s %12s %12s %12s\n", "block", "rows", "cols", "relative L2", "1 - cosine", "max error");
    for (size_t i = 0; i < p->n_blocks; i++) {
        const fvlm_block_parity *b = &p->blocks[i];
        const fvlm_distance *d = &b->worst[act];
        fvlm_terminal_print(to, "%-24s %7zu %7zu %12.3e %12.3e %12.3e%s\n", b->name, b->rows, b->cols, d->relative_l2,
                            fmax(0, 1 - d->cosine), d->max_error,
                            fvlm_verdict_block_ok(p, i, act) ? "" : "  out of bounds");
    }
}

static void print_logits(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    fprintf(to, "next token at %zu positions: KL divergence %.3e mean, %.3e max; likeliest token agrees at %zu",
            a->positions, fvlm_agreement_mean_kl(a), a->kl_max, a->top1);
    if (a->compared) fprintf(to, "; %.2f of the top five in common", (double)a->top5 / (double)a->compared);
    fprintf(to, "%s\n", fvlm_verdict_logits_ok(p, act) ? "" : "  out of bounds");
}

static void print_verdict(FILE *to, const fvlm_parity *p, unsigned act)
{
    const fvlm_bound *b = &p->bounds[act];
    const size_t bad = fvlm_verdict_first_bad(p, act);
    double step;
    const size_t at = fvlm_verdict_largest_step(p, act, &step);
    if (step > 0) fvlm_terminal_print(to, "largest step: %s adds %.3e\n", p->blocks[at].name, step);
    if (fvlm_verdict_act_ok(p, act))
        fprintf(to, "within the bounds");
    else if (bad < p->n_blocks)
        fvlm_terminal_print(to, "OUT OF BOUNDS from %s on", p->blocks[bad].name);
    else
        fprintf(to, "OUT OF BOUNDS in the next token");
    fprintf(to, " for %s: relative L2 up to %g, mean KL up to %g, likeliest token at least %g %%\n",
            fvlm_grade_name(p->grade), b->block, b->kl, 100 * b->top1);
}

static void print_parity(FILE *to, const fvlm_parity *p)
{
    for (unsigned act = 0; act < p->n_acts; act++) {
        fprintf(to, "%s%s with %s activations, %zu image%s\n", act ? "\n" : "", fvlm_grade_name(p->grade),
                fvlm_act_name(p->acts[act]), p->n_images, p->n_images == 1 ? "" : "s");
        print_blocks(to, p, act);
        print_logits(to, p, act);
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
    if (r->weights) print_weights(to, r->weights);
    if (r->parity)
        print_parity(to, r->parity);
    else
        fprintf(to, "outputs not compared; give --image FILE to run both on an image\n");
}
