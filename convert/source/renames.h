/* SPDX-License-Identifier: Apache-2.0 */
/* renames.h - gives the tensors of a source other names, another order of dimensions, and those of a second source.
 * Which ones is for names/ to say. Defined in renames.c; source_read.c reads what is stored in another order. */
#ifndef FVLM_CONVERT_SOURCE_RENAMES_H
#define FVLM_CONVERT_SOURCE_RENAMES_H

#include "convert/source/source.h"

/* Strips the first n bytes of 'example', a tensor's name, from every name: the prefix of a module that wrapped the
 * whole model when it was saved, such as "module." Refuses, and changes nothing, if a name does not begin with them. */
fvlm_status fvlm_source_strip(fvlm_source *src, const char *example, size_t n, fvlm_err *err);

/* The key for a tensor's name: malloc'd, or NULL if it stays. */
typedef fvlm_status (*fvlm_source_key_fn)(const void *ctx, const char *name, char **key, fvlm_err *err);

/* Sets every tensor's key. Refuses two tensors of one key. Call it once. */
fvlm_status fvlm_source_rename(fvlm_source *src, fvlm_source_key_fn key_of, const void *ctx, fvlm_err *err);

/* Tensors whose keys begin with 'prefix' are stored with channels last, as MLX has them: kernels [out, height, width,
 * in] become [out, in, height, width], and [1, 1, n] becomes [n, 1, 1]. */
void fvlm_source_turn_channels(fvlm_source *src, const char *prefix);

/* Adds the tensors of 'other' whose keys begin with 'prefix', and its files, to src, which has no such keys. Takes
 * 'other' over, also on failure. Call it once. */
fvlm_status fvlm_source_attach(fvlm_source *src, fvlm_source *other, const char *prefix, fvlm_err *err);

/* Refuse checkpoints of a known other kind (defined in kinds.c): one whose names no dialect has; one in which modules
 * inside the model are still wrapped. */
fvlm_status fvlm_source_refuse_unknown(const fvlm_source *src, fvlm_err *err);
fvlm_status fvlm_source_refuse_wrapped(const fvlm_source *src, fvlm_err *err);

#endif
