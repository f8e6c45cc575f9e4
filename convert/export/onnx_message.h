/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_message.h - private to export/: writes protobuf messages (https://protobuf.dev/programming-guides/encoding/).
 * A message is the concatenation of its fields, so it is a growing array of bytes. */
#ifndef FVLM_CONVERT_EXPORT_ONNX_MESSAGE_H
#define FVLM_CONVERT_EXPORT_ONNX_MESSAGE_H

#include "format/base/base.h"

/* Start with zeros; free bytes with fvlm_message_free. Once memory is out, 'failed' stays true and nothing is added. */
typedef struct {
    uint8_t *bytes;
    size_t n, capacity;
    bool failed;
} fvlm_message;

void fvlm_message_free(fvlm_message *m);

/* A field: its number and its value. Integers are varints; negative ones take ten bytes. */
void fvlm_message_put_int(fvlm_message *m, unsigned field, int64_t value);
void fvlm_message_put_float(fvlm_message *m, unsigned field, float value);
void fvlm_message_put_bytes(fvlm_message *m, unsigned field, const void *bytes, size_t n_bytes);
void fvlm_message_put_text(fvlm_message *m, unsigned field, const char *text);
void fvlm_message_put_message(fvlm_message *m, unsigned field, const fvlm_message *of);

/* The head of a field of n_bytes bytes that are written elsewhere. */
void fvlm_message_put_length(fvlm_message *m, unsigned field, uint64_t n_bytes);
void fvlm_message_append(fvlm_message *m, const fvlm_message *fields);

#endif
