/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.h - names checkpoints of other kinds by their files, config.json or tensor names; private to source/.
 *
 * Each function returns FVLM_OK if it recognizes nothing. Nothing that a FastVLM checkpoint may hold is in the table.
 */
#ifndef FVLM_CONVERT_SOURCE_KINDS_H
#define FVLM_CONVERT_SOURCE_KINDS_H

#include "convert/source/listing.h"
#include "convert/source/source_internal.h"

/* A folder without model.safetensors and its index: always refused. */
fvlm_status fvlm_kinds_refuse_files(const fvlm_source *src, const fvlm_listing *files, fvlm_err *err);

/* What config.json says. A file that is absent or damaged is not reported: it is read again later. */
fvlm_status fvlm_kinds_check_config(const fvlm_source *src, fvlm_err *err);

/* The names of the tensors, as they are stored. */
fvlm_status fvlm_kinds_check_tensors(const fvlm_source *src, fvlm_err *err);

#endif
