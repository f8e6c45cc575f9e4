/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h - a recipe's tensors, from the source through fusion and proof into the layout of the container. */
#ifndef FVLM_CONVERT_PACK_H
#define FVLM_CONVERT_PACK_H

#include <stdatomic.h>

#include "convert/recipe.h"
#include "format/writer.h"

/* Where finished bytes go, in order: fvlm_writer_append behind a function, so that tests can look. */
typedef struct {
    fvlm_status (*append)(void *ctx, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err);
    void *ctx;
} fvlm_sink;

typedef struct {
    fvlm_type weight, bias;    /* types to store */
    size_t weight_id, bias_id; /* what the sink knows them as; bias_id is unused without a bias */
    double error;              /* out: of the proof; 0 for what was not fused */
} fvlm_packing;

/* Streams one recipe, a few rows at a time: memory is a few hundred kilobytes, whatever the matrix.
 * bytes_done grows by the source bytes as they are read. Stops when the user interrupts. */
fvlm_status fvlm_pack_recipe(const fvlm_recipe *m, const fvlm_source *src, fvlm_packing *p, const fvlm_sink *sink,
                             atomic_ullong *bytes_done, fvlm_err *err);

/* Types a recipe is stored with when nothing is forced: what fusion left alone keeps its type. */
fvlm_type fvlm_pack_weight_type(const fvlm_recipe *m);
fvlm_type fvlm_pack_bias_type(const fvlm_recipe *m);

/* Bytes that fvlm_pack_recipe will read of the source's kernels and plain biases. */
uint64_t fvlm_pack_source_bytes(const fvlm_recipe *m);

#endif
