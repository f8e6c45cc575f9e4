/* SPDX-License-Identifier: Apache-2.0 */
/* sample.c - greedy, or temperature and top-p with a seed.
 *
 * A seed gives the same answer on every machine, instruction set and thread count: the logits are the same bits
 * everywhere (ops.h), and what follows is IEEE f64 arithmetic in a fixed order, with its own exp. */
#include <math.h>
#include <stdlib.h>

#include "reference/sample.h"

typedef struct {
    double weight; /* exp((logit - highest) / temperature): the probability but for a factor */
    uint32_t id;
} candidate;

struct fvlm_sampler {
    double temperature, top_p;
    uint64_t state; /* of the random generator */
    size_t vocab;
    candidate *candidates; /* [vocab]; NULL when greedy */
};

fvlm_status fvlm_sampler_create(fvlm_sampler **out, const fvlm_sampling *s, size_t vocab, fvlm_err *err)
{
    *out = NULL;
    if (!(s->temperature >= 0 && s->temperature <= 100))
        return fvlm_fail(err, FVLM_USAGE, "temperature %g: should be 0 (greedy) to 100", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return fvlm_fail(err, FVLM_USAGE, "top-p %g: should be above 0, at most 1", s->top_p);
    fvlm_sampler *r = fvlm_alloc(1, sizeof *r);
    if (r) *r = (fvlm_sampler){.temperature = s->temperature, .top_p = s->top_p, .state = s->seed, .vocab = vocab};
    if (r && s->temperature > 0) r->candidates = fvlm_alloc(vocab, sizeof *r->candidates);
    if (!r || (s->temperature > 0 && !r->candidates)) {
        free(r);
        return fvlm_fail_nomem(err);
    }
    *out = r;
    return FVLM_OK;
}

void fvlm_sampler_destroy(fvlm_sampler **s)
{
    if (*s) free((*s)->candidates);
    free(*s);
    *s = NULL;
}

/* splitmix64 (Steele, Lea, Flood 2014): every seed is good. The upper 53 bits make a number in [0, 1). */
static double draw(fvlm_sampler *s)
{
    uint64_t z = s->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

double fvlm_sampler_exp(double x)
{
    if (!(x >= -700)) return 0;
    /* x = k ln2 + r, |r| <= ln2/2. ln2 in two parts, the upper one short enough that k times it is exact. */
    const double k = floor(x * 1.4426950408889634 + 0.5);
    const double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    double term = 1, sum = 0;
    double terms[18];
    for (int i = 0; i < 18; i++) {
        terms[i] = term;
        term *= r / (i + 1);
    }
    for (int i = 17; i >= 0; i--) sum += terms[i]; /* smallest first */
    return ldexp(sum, (int)k);
}

static uint32_t highest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (uint32_t)best;
}

static int by_weight(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* Moves the most likely tokens that together reach top_p to the front of s->candidates; returns how many. */
static size_t nucleus(fvlm_sampler *s, double total)
{
    /* All tokens below this weight together weigh less than what top_p cuts off, so none of them is in. This avoids
     * sorting all 150,000. */
    const double least = (1 - s->top_p) * total / (double)s->vocab;
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++)
        if (s->candidates[i].weight >= least) s->candidates[n++] = s->candidates[i];
    qsort(s->candidates, n, sizeof *s->candidates, by_weight);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += s->candidates[i].weight;
        if (sum >= s->top_p * total) return i + 1;
    }
    return n;
}

uint32_t fvlm_sampler_draw(fvlm_sampler *s, const float *logits)
{
    const uint32_t best = highest(logits, s->vocab);
    if (!s->candidates) return best;

    double total = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        const double weight = fvlm_sampler_exp(((double)logits[i] - (double)logits[best]) / s->temperature);
        s->candidates[i] = (candidate){.weight = weight, .id = (uint32_t)i};
        total += weight;
    }
    size_t n = s->vocab;
    if (s->top_p < 1) {
        n = nucleus(s, total);
        total = 0;
        for (size_t i = 0; i < n; i++) total += s->candidates[i].weight;
    }
    double left = draw(s) * total;
    for (size_t i = 0; i < n; i++) {
        left -= s->candidates[i].weight;
        if (left < 0) return s->candidates[i].id;
    }
    return best; /* rounding left a remainder */
}
