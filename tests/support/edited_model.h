/* SPDX-License-Identifier: Apache-2.0 */
/* edited_model.h - a .fvlm file written again with one tensor changed, hashes and all: damage that no checksum
 * finds. And a picture to look at. */
#ifndef FVLM_TESTS_SUPPORT_EDITED_MODEL_H
#define FVLM_TESTS_SUPPORT_EDITED_MODEL_H

#include "format/reader.h"

/* Changes a tensor's bytes as they are stored. */
typedef void (*test_edit)(const fvlm_tensor *t, uint8_t *bytes, void *ctx);

fvlm_status test_edit_model(const char *from, const char *to, const char *tensor, test_edit edit, void *ctx,
                            fvlm_err *err);

/* from -> to, replaced if it is there, with type as `fvlm quant --type` takes it. */
fvlm_status test_quantize(const char *from, const char *to, const char *type, fvlm_err *err);

/* A PNG with gradients and edges. */
bool test_write_picture(const char *path, uint32_t width, uint32_t height);

#endif
