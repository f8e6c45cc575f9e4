/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_keys.h - private to convert/export: writes the keys of a GGUF file and their values. Failures of the stream stay
 * in it. */
#ifndef FVLM_CONVERT_EXPORT_GGUF_KEYS_H
#define FVLM_CONVERT_EXPORT_GGUF_KEYS_H

#include <stdio.h>

#include "format/base/base.h"

/* GGUF's numbers of types of values. */
enum { FVLM_GGUF_U32 = 4, FVLM_GGUF_I32, FVLM_GGUF_F32, FVLM_GGUF_BOOL, FVLM_GGUF_STRING, FVLM_GGUF_ARRAY };

typedef struct {
    FILE *to;
    const char *architecture; /* the prefix of the keys that begin with a dot */
    uint64_t n_keys;
} fvlm_gguf_keys;

void fvlm_gguf_put_u32(FILE *to, uint32_t v);
void fvlm_gguf_put_u64(FILE *to, uint64_t v);
void fvlm_gguf_put_string(FILE *to, const char *text);

/* A key and its value. */
void fvlm_gguf_key_text(fvlm_gguf_keys *w, const char *key, const char *value);
void fvlm_gguf_key_number(fvlm_gguf_keys *w, const char *key, uint32_t value);
void fvlm_gguf_key_real(fvlm_gguf_keys *w, const char *key, double value);
void fvlm_gguf_key_flag(fvlm_gguf_keys *w, const char *key, bool value);

/* A key whose n values of the type follow. */
void fvlm_gguf_key_array(fvlm_gguf_keys *w, const char *key, uint32_t type, uint64_t n);

#endif
