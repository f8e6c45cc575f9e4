/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h - carries a recipe out: reads the source, fuses, proves, rounds, and lays the result out for the container. */
#ifndef FVLM_CONVERT_PACK_H
#define FVLM_CONVERT_PACK_H

#include <stdatomic.h>

#include "convert/recipe.h"
#include "format/base/stop.h"
#include "format/writer.h"

/* Takes the finished bytes of each tensor, in order. A function pointer, so that tests can replace the writer. */
typedef struct {
    fvlm_status (*append)(void *ctx, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err);
    void *ctx;
} fvlm_sink;

typedef struct {
    fvlm_type weight, bias;    /* types to store */
    size_t weight_id, bias_id; /* passed to the sink; bias_id is unused without a bias */
    double error;              /* out: fvlm_proof_error; 0 if nothing was fused */
    double wrong, all;         /* out, of an integer weight: sums of squares of what rounding its scales changed, and of
                                  the weights */
} fvlm_packing;

/* Streams one recipe a few rows at a time, in a few hundred kilobytes of memory. Adds the source bytes that it reads to
 * *bytes_done. Refuses NaN, infinity, overflow of the stored type, and a fusion that fails its proof. */
fvlm_status fvlm_pack_recipe(const fvlm_recipe *m, const fvlm_source *src, fvlm_packing *p, const fvlm_sink *sink,
                             atomic_ullong *bytes_done, const fvlm_stop *stop, fvlm_err *err);

/* The types to store unless the user forces one: the source's own, or f32 for fused tensors. */
fvlm_type fvlm_pack_weight_type(const fvlm_recipe *m);
fvlm_type fvlm_pack_bias_type(const fvlm_recipe *m);

/* Bytes of the source's kernels, which fvlm_pack_recipe will add to *bytes_done. */
uint64_t fvlm_pack_source_bytes(const fvlm_recipe *m);

#endif
