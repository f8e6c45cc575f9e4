/* SPDX-License-Identifier: Apache-2.0 */
/* output_path.h - names for output.c: where a target really lies, temporary names beside it. */
#ifndef FVLM_FORMAT_BASE_OUTPUT_PATH_H
#define FVLM_FORMAT_BASE_OUTPUT_PATH_H

#include <sys/types.h>

#include "format/base/base.h"

#define FVLM_TEMP_MAX 256 /* NAME_MAX and the NUL */

/* Follows symlinks (also dangling ones) to the file that is meant; opens its directory in *dir
 * and gives its name there in *name (malloc'd). */
fvlm_status fvlm_output_resolve(const char *path, int *dir, char **name, fvlm_err *err);

/* ".fvlm-NAME-1a2b3c4d.tmp" with fresh random digits. */
void fvlm_output_temp_name(const char *name, char out[FVLM_TEMP_MAX]);

/* Removes temporary files of this target that nobody has locked any more. */
void fvlm_output_remove_stale(int dir, const char *name);

mode_t fvlm_output_umask(void);

#endif
