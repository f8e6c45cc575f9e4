/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - see verdict.h. */
#include <math.h>

#include "verify/verdict.h"

bool fvlm_verdict_block_ok(const fvlm_parity *p, size_t block, unsigned act)
{
    return p->blocks[block].worst[act].relative_l2 <= p->bounds[act].block;
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
        const double now = p->blocks[i].worst[act].relative_l2;
        const double added = now > before ? sqrt(now * now - before * before) : 0;
        if (added > *step) worst = i, *step = added;
        before = now;
    }
    return worst;
}

bool fvlm_verdict_logits_ok(const fvlm_parity *p, unsigned act)
{
    const fvlm_agreement *a = &p->agreement[act];
    return a->compared > 0 && fvlm_agreement_mean_kl(a) <= p->bounds[act].kl &&
           (double)a->top1 >= p->bounds[act].top1 * (double)a->positions;
}

bool fvlm_verdict_act_ok(const fvlm_parity *p, unsigned act)
{
    bool ok = p->n_blocks > 0 && fvlm_verdict_logits_ok(p, act);
    for (size_t i = 0; i < p->n_blocks; i++) ok &= fvlm_verdict_block_ok(p, i, act);
    return ok;
}

bool fvlm_verdict_ok(const fvlm_parity *p)
{
    bool ok = true;
    for (unsigned a = 0; a < p->n_acts; a++) ok &= fvlm_verdict_act_ok(p, a);
    return ok;
}
