/* SPDX-License-Identifier: Apache-2.0 */
/* magic.h - names what a file really is, by its first bytes: a Git LFS pointer, a web page, an archive, another format;
 * private to source/ and graph/. */
#ifndef FVLM_CONVERT_SOURCE_MAGIC_H
#define FVLM_CONVERT_SOURCE_MAGIC_H

#include "format/base/base.h"

#define FVLM_MAGIC_BYTES 512 /* first bytes of a file that are enough */

/* Weights that are not safetensors. FVLM_OK: not recognized. what: the file's name. */
fvlm_status fvlm_magic_check_weights(const void *first, size_t n, const char *what, fvlm_err *err);

/* A text file of a checkpoint. FVLM_OK: it may be text. */
fvlm_status fvlm_magic_check_text(const void *first, size_t n, const char *what, fvlm_err *err);

/* A file that was given instead of a folder; always refused. */
fvlm_status fvlm_magic_refuse_file(const void *first, size_t n, const char *path, fvlm_err *err);

#endif
