/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h - Hugging Face's cache: finds the snapshot of a repository; private to source/.
 *
 *   hub/models--apple--FastVLM-0.5B/refs/main              the commit's name
 *                                  /snapshots/COMMIT/...   links to
 *                                  /blobs/...              the files */
#ifndef FVLM_CONVERT_SOURCE_HUB_H
#define FVLM_CONVERT_SOURCE_HUB_H

#include "format/base/base.h"

/* path is a folder without weights. If it is a cache, a repository of one, or its snapshots folder, *out becomes the
 * snapshot's folder, malloc'd; NULL if it is none of these. Refuses a choice among several, and a missing snapshot. */
fvlm_status fvlm_hub_find_snapshot(char **out, const char *path, fvlm_err *err);

#endif
