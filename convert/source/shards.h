/* SPDX-License-Identifier: Apache-2.0 */
/* shards.h - a checkpoint in several weights files; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_SHARDS_H
#define FVLM_CONVERT_SOURCE_SHARDS_H

#include "convert/source/source.h"

/* Adds every shard that the index file names and checks the index and the shards against each other. */
fvlm_status fvlm_source_add_shards(fvlm_source *src, const char *index, fvlm_err *err);

#endif
