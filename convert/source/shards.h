/* SPDX-License-Identifier: Apache-2.0 */
/* shards.h - model.safetensors.index.json and the files that it names; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_SHARDS_H
#define FVLM_CONVERT_SOURCE_SHARDS_H

#include "convert/source/listing.h"
#include "convert/source/source_internal.h"

/* Adds every file that the index names, and checks the index and the files against each other. single: the name of the
 * single weights file beside the index, NULL if there is none; the index may then name no other. */
fvlm_status fvlm_shards_add(fvlm_source *src, const char *index, const char *single, const fvlm_listing *files,
                            fvlm_err *err);

#endif
