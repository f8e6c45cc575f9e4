/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - see verdict.h. */
#include <math.h>

#include "verify/verdict.h"

static bool within(const fvlm_parity *p, size_t block, unsigned act)
{
    const double error = p->blocks[block].worst[act].relative_l2;
    return !p->blocks[block].origin.missing && isfinite(error) && error <= p->bounds[act].block;
}

/* Errors do not shrink tenfold on the way; where one seems to, another value was taken for the block's. */
static bool is_stray(const fvlm_parity *p, size_t block, size_t later, unsigned act)
{
    const double error = p->blocks[block].worst[act].relative_l2;
    return !p->blocks[later].origin.missing && error > 0.1 && error > 10 * p->blocks[later].worst[act].relative_l2;
}

bool fvlm_verdict_block_absent(const fvlm_parity *p, size_t block, unsigned act)
{
    if (!p->against_graph || p->blocks[block].origin.fixed) return false;
    const bool good = within(p, block, act);
    for (size_t i = block + 1; i < p->n_blocks; i++)
        if (within(p, i, act) && (!good || is_stray(p, block, i, act))) return true;
    return false;
}

bool fvlm_verdict_block_ok(const fvlm_parity *p, size_t block, unsigned act)
{
    return within(p, block, act) || fvlm_verdict_block_absent(p, block, act);
}

size_t fvlm_verdict_first_bad(const fvlm_parity *p, unsigned act)
{
    size_t i = 0;
    while (i < p->n_blocks && fvlm_verdict_block_ok(p, i, act)) i++;
    return i;
}

size_t fvlm_verdict_largest_step(const fvlm_parity *p, unsigned act, double *step)
{
    size_t worst = 0;
    double before = 0;
    *step = 0;
    for (size_t i = 0; i < p->n_blocks; i++) {
        /* Norm and logits are put out for the last position only: their error does not continue the previous one. */
        if (i > 0 && p->blocks[i].rows == 1 && p->blocks[i - 1].rows > 1) break;
        if (fvlm_verdict_block_absent(p, i, act)) continue; /* nothing was measured */
        const double now = p->blocks[i].worst[act].relative_l2;
        const double added = now > before ? sqrt(now * now - before * before) : 0;
        if (added > *step) worst = i, *step = added;
        before = now;
    }
    return worst;
}

/* Whether the predictions are graded, rather than bounded: those of quantized models. */
static bool is_graded(const fvlm_parity *p)
{
    return p->precision >= FVLM_PRECISION_INT8;
}

static fvlm_failure fail_embedding(const fvlm_parity *p, unsigned act)
{
    const fvlm_likeness *l = &p->likeness[act];
    if (l->rows == 0) return FVLM_FAILURE_NOT_JUDGED;
    if (p->limits.by_error)
        return fvlm_likeness_error(l) <= p->limits.error ? FVLM_FAILURE_NONE : FVLM_FAILURE_MAX_ERROR;
    if (!is_graded(p)) return fvlm_likeness_error(l) <= p->bounds[act].block ? FVLM_FAILURE_NONE : FVLM_FAILURE_BOUNDS;
    if (!fvlm_likeness_is_judged(l)) return FVLM_FAILURE_NOT_JUDGED;
    return fvlm_likeness_grade(l) <= FVLM_GRADE_CLOSE ? FVLM_FAILURE_NONE : FVLM_FAILURE_GRADE;
}

/* The user's limits and the bounds count an infinite KL as too large, and nothing compared as not agreeing. */
fvlm_failure fvlm_verdict_predictions(const fvlm_parity *p, unsigned act)
{
    const fvlm_parity_limits *l = &p->limits;
    const fvlm_grading *g = &p->grading[act];
    const double kl = p->statistics[act].kl.value, top1 = p->statistics[act].top1.value;
    if (p->embedding) return fail_embedding(p, act);
    if (p->agreement[act].compared == 0) return FVLM_FAILURE_NOT_JUDGED;
    if (!g->judged && (is_graded(p) || l->by_kl || l->by_top1)) return FVLM_FAILURE_NOT_JUDGED;
    if (l->by_kl && !(kl <= l->kl)) return FVLM_FAILURE_MAX_KL;
    if (l->by_top1 && !(top1 >= l->top1)) return FVLM_FAILURE_MIN_TOP1;
    if (l->by_kl || l->by_top1) return FVLM_FAILURE_NONE;
    if (is_graded(p)) return g->grade <= FVLM_GRADE_CLOSE ? FVLM_FAILURE_NONE : FVLM_FAILURE_GRADE;
    return kl <= p->bounds[act].kl && top1 >= p->bounds[act].top1 ? FVLM_FAILURE_NONE : FVLM_FAILURE_BOUNDS;
}

bool fvlm_verdict_act_ok(const fvlm_parity *p, unsigned act)
{
    bool ok = p->n_blocks > 0 && !fvlm_verdict_predictions(p, act);
    for (size_t i = 0; i < p->n_blocks; i++) ok &= fvlm_verdict_block_ok(p, i, act);
    return ok;
}

bool fvlm_verdict_ok(const fvlm_parity *p)
{
    bool ok = true;
    for (unsigned a = 0; a < p->n_acts; a++) ok &= fvlm_verdict_act_ok(p, a);
    return ok;
}

static fvlm_status describe_embedding(const fvlm_parity *p, unsigned act, fvlm_failure failure, const char *model,
                                      fvlm_err *err)
{
    const fvlm_likeness *l = &p->likeness[act];
    const char *with = fvlm_act_name(p->acts[act]);
    const double error = fvlm_likeness_error(l);
    if (failure == FVLM_FAILURE_NOT_JUDGED)
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": not judged: %d rows are needed, and there %s %zu", model,
                         FVLM_MIN_POSITIONS, l->rows == 1 ? "is" : "are", l->rows);
    if (failure == FVLM_FAILURE_MAX_ERROR)
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\" with %s activations: the embedding's error of %.3g exceeds --max-error %g", model,
                         with, error, p->limits.error);
    if (failure == FVLM_FAILURE_GRADE)
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\" with %s activations: %s: the embedding's error is %.3g (close: at most %g)", model,
                         with, fvlm_grade_name(fvlm_likeness_grade(l)), error, fvlm_likeness_limit(FVLM_GRADE_CLOSE));
    return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": out of the bounds for %s", model, fvlm_precision_name(p->precision));
}

/* Why the outputs fail with one activation mode; FVLM_OK if they do not. */
static fvlm_status check_act(const fvlm_parity *p, unsigned act, const char *model, fvlm_err *err)
{
    const fvlm_grading *g = &p->grading[act];
    const fvlm_statistics *s = &p->statistics[act];
    const fvlm_figure f = g->decisive;
    const char *with = fvlm_act_name(p->acts[act]);
    const bool blocks_ok = fvlm_verdict_first_bad(p, act) == p->n_blocks;
    char value[32], limit[32];
    if (fvlm_verdict_act_ok(p, act)) return FVLM_OK;
    if (p->embedding)
        return describe_embedding(p, act, blocks_ok ? fvlm_verdict_predictions(p, act) : FVLM_FAILURE_BOUNDS, model,
                                  err);
    switch (blocks_ok ? fvlm_verdict_predictions(p, act) : FVLM_FAILURE_BOUNDS) {
    case FVLM_FAILURE_NOT_JUDGED:
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": not judged: %d positions are needed, and there %s %zu", model,
                         FVLM_MIN_POSITIONS, g->positions == 1 ? "is" : "are", g->positions);
    case FVLM_FAILURE_MAX_KL:
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\" with %s activations: the mean KL divergence of %.3g exceeds --max-kl %g", model, with,
                         s->kl.value, p->limits.kl);
    case FVLM_FAILURE_MIN_TOP1:
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\" with %s activations: the likeliest token agrees at %.2f %%, below --min-agree %g",
                         model, with, 100 * s->top1.value, 100 * p->limits.top1);
    case FVLM_FAILURE_GRADE:
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\" with %s activations: %s: %s %s (close: at %s %s)", model, with,
                         fvlm_grade_name(g->grade), fvlm_figure_name(f),
                         fvlm_figure_text(f, fvlm_figure_of(s, f).value, value),
                         f == FVLM_FIGURE_TOP1 ? "least" : "most",
                         fvlm_figure_text(f, fvlm_grade_limit(f, FVLM_GRADE_CLOSE), limit));
    default:
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": out of the bounds for %s", model,
                         fvlm_precision_name(p->precision));
    }
}

fvlm_status fvlm_verdict_check(const fvlm_parity *p, const char *model, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (unsigned act = 0; act < p->n_acts && !st; act++) st = check_act(p, act, model, err);
    return st;
}
