/* SPDX-License-Identifier: Apache-2.0 */
/* input.h - the bytes of a picture, from a file, a pipe or standard input. Private to reference/image. */
#ifndef FVLM_REFERENCE_IMAGE_INPUT_H
#define FVLM_REFERENCE_IMAGE_INPUT_H

#include "format/base/stop.h"

/* path: a regular file of up to 2 GiB, or "-" (standard input), a pipe or a device, of which up to 64 MB are read until
 * it ends. Refuses terminals, folders, web addresses and pipes to which nobody writes. *bytes is malloc'd, also on
 * failure; messages name the input. */
fvlm_status fvlm_image_read_input(const char *path, const fvlm_stop *stop, uint8_t **bytes, size_t *n_bytes,
                                  fvlm_err *err);

/* "-" as messages call it, any other path in quotes. */
const char *fvlm_image_input_name(const char *path, char out[512]);

#endif
