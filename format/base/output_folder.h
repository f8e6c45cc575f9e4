/* SPDX-License-Identifier: Apache-2.0 */
/* output_folder.h - a folder of output files that appears whole or not at all.
 *
 *   fvlm_output_folder *f;
 *   st = fvlm_output_folder_create(&f, "out", &(fvlm_output_folder_options){...}, err);
 *   if (!st) st = fvlm_output_folder_open(f, "config.json", &file, err);
 *   ... fvlm_output_write(file, ...); fvlm_output_publish(&file, err) ...
 *   if (!st) st = fvlm_output_folder_publish(&f, err);
 *   fvlm_output_folder_discard(&f);
 *
 * The files are written into a hidden folder beside the target, which gets the target's name when all are on disk. A
 * kill or a power failure leaves the old folder or none; the next run removes what a killed one left. */
#ifndef FVLM_FORMAT_BASE_OUTPUT_FOLDER_H
#define FVLM_FORMAT_BASE_OUTPUT_FOLDER_H

#include "format/base/output.h"

typedef struct fvlm_output_folder fvlm_output_folder;

/* Whether a file of this name, "config.json" or "onnx/decoder.onnx", is one that the program writes. */
typedef bool (*fvlm_output_is_ours)(const char *name);

/* A trailing slash is fine, and symlinks are followed. A target that is an empty folder is used. One that is not empty
 * is refused without force, and with force, too, if it holds anything that is not ours. */
fvlm_status fvlm_output_folder_create(fvlm_output_folder **out, const char *path, bool force, fvlm_output_is_ours ours,
                                      fvlm_err *err);

/* A file of the folder; name may begin with one subfolder, "onnx/". Publish or discard it before the folder. From one
 * thread at a time. */
fvlm_status fvlm_output_folder_open(fvlm_output_folder *f, const char *name, fvlm_output **file, fvlm_err *err);

/* Gives the folder its name. Frees and clears *f either way. */
fvlm_status fvlm_output_folder_publish(fvlm_output_folder **f, fvlm_err *err);
void fvlm_output_folder_discard(fvlm_output_folder **f); /* NULL is fine */

#endif
