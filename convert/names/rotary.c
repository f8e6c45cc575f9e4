/* SPDX-License-Identifier: Apache-2.0 */
/* rotary.c - rotary_emb.inv_freq, which older versions of transformers stored: theta^(-2i / head_dim) for each pair of
 * elements. transformers computes it from config.json and ignores the stored one; one that differs was scaled. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "convert/elements.h"
#include "convert/names/resolver.h"

#define TOLERANCE 0.01 /* relative: a stored BF16 is off by up to 0.004 */

void fvlm_rotary_drop(fvlm_resolver *r, const fvlm_source_tensor *t)
{
    const fvlm_config *c = &r->out->config;
    const uint64_t n = c->llm.head_dim / 2;
    double *stored = NULL;
    if (t->rank != 1 || t->dims[0] != n || t->type >= FVLM_SOURCE_I64) return; /* left over */
    r->st = fvlm_elements_read(r->src, t, &stored, r->err);
    for (uint64_t i = 0; i < n && !r->st; i++) {
        const double want = pow((double)c->llm.rope_theta, -2.0 * (double)i / c->llm.head_dim);
        if (fabs(stored[i] - want) > TOLERANCE * want)
            r->st =
                fvlm_fail(r->err, FVLM_UNSUPPORTED,
                          "tensor \"%.200s\": element [%" PRIu64
                          "] is %g, but \"rope_theta\" %g in config.json gives %g; scaled rotary embeddings are not "
                          "supported",
                          t->name, i, stored[i], (double)c->llm.rope_theta, want);
    }
    free(stored);
    if (!r->st) fvlm_resolver_drop(r, t, "rotary frequencies, which follow from rope_theta");
}
