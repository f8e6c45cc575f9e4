/* SPDX-License-Identifier: Apache-2.0 */
/* output_path.h - private to output.c and output_folder.c: where a target really is, and temporary names beside it. */
#ifndef FVLM_FORMAT_BASE_OUTPUT_PATH_H
#define FVLM_FORMAT_BASE_OUTPUT_PATH_H

#include <sys/types.h>

#include "format/base/base.h"

#define FVLM_TEMP_MAX 256 /* NAME_MAX and the NUL */

/* Follows symlinks (dangling ones, too) to the file itself; opens its directory as *dir, which the caller closes,
 * and returns its name there in *name (malloc'd). On failure *dir is -1, and *name, which may be
 * set all the same, is freed by the caller. */
fvlm_status fvlm_output_resolve(const char *path, int *dir, char **name, fvlm_err *err);

/* ".fvlm-NAME-1a2b3c4d.tmp" with fresh random digits. */
void fvlm_output_temp_name(const char *name, char out[FVLM_TEMP_MAX]);

/* The folder called name in dir, for reading; -1 with errno. */
int fvlm_output_open_folder(int dir, const char *name);

/* Removes temporary files and folders of this target that no process has locked. */
void fvlm_output_remove_stale(int dir, const char *name);

/* Removes a folder, the files in it and in its subfolders; nothing deeper. */
void fvlm_output_remove_tree(int dir, const char *name);

mode_t fvlm_output_umask(void);

#endif
