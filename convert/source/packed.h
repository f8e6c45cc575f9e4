/* SPDX-License-Identifier: Apache-2.0 */
/* packed.h - modules whose weight is packed: MLX (affine, mxfp4, mxfp8, nvfp4), GPTQ and AWQ. Each becomes one float
 * tensor X.weight [out, in] of the table, computed as it is read (views.h), with its codes if a type of ours holds
 * them. private to source/. */
#ifndef FVLM_CONVERT_SOURCE_PACKED_H
#define FVLM_CONVERT_SOURCE_PACKED_H

#include "convert/source/source_internal.h"

/* Replaces the tensors of every packed module of a source that has its weights. Refuses other methods that config.json
 * names, tensors that do not fit one another or config.json, and a part without the others. */
fvlm_status fvlm_packed_add(fvlm_source *src, fvlm_err *err);

#endif
