/* SPDX-License-Identifier: Apache-2.0 */
/* encoding.h - what editors put before a text: byte order marks, and other encodings than UTF-8. */
#ifndef FVLM_FORMAT_BASE_ENCODING_H
#define FVLM_FORMAT_BASE_ENCODING_H

#include "format/base/base.h"

/* Removes a UTF-8 byte order mark from text[*n_bytes], which has a NUL behind it and keeps it. Refuses UTF-16 and
 * UTF-32, with and without a mark. what is the file's name in messages. */
fvlm_status fvlm_encoding_check(char *text, size_t *n_bytes, const char *what, fvlm_err *err);

#endif
