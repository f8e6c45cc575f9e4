/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_keys.c - see gguf_keys.h. */
#include "convert/export/gguf_keys.h"

#include <string.h>

void fvlm_gguf_put_u32(FILE *to, uint32_t v)
{
    uint8_t b[4];
    fvlm_store_u32(b, v);
    fwrite(b, 1, sizeof b, to);
}

void fvlm_gguf_put_u64(FILE *to, uint64_t v)
{
    uint8_t b[8];
    fvlm_store_u64(b, v);
    fwrite(b, 1, sizeof b, to);
}

void fvlm_gguf_put_string(FILE *to, const char *text)
{
    fvlm_gguf_put_u64(to, strlen(text));
    fputs(text, to);
}

/* A key that begins with a dot is the architecture's. */
static void put_key(fvlm_gguf_keys *w, const char *key, uint32_t type)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", key[0] == '.' ? w->architecture : "", key);
    fvlm_gguf_put_string(w->to, full);
    fvlm_gguf_put_u32(w->to, type);
    w->n_keys++;
}

void fvlm_gguf_key_text(fvlm_gguf_keys *w, const char *key, const char *value)
{
    put_key(w, key, FVLM_GGUF_STRING);
    fvlm_gguf_put_string(w->to, value);
}

void fvlm_gguf_key_number(fvlm_gguf_keys *w, const char *key, uint32_t value)
{
    put_key(w, key, FVLM_GGUF_U32);
    fvlm_gguf_put_u32(w->to, value);
}

void fvlm_gguf_key_real(fvlm_gguf_keys *w, const char *key, double value)
{
    put_key(w, key, FVLM_GGUF_F32);
    fvlm_gguf_put_u32(w->to, fvlm_f32_bits((float)value));
}

void fvlm_gguf_key_flag(fvlm_gguf_keys *w, const char *key, bool value)
{
    put_key(w, key, FVLM_GGUF_BOOL);
    fputc(value, w->to);
}

void fvlm_gguf_key_array(fvlm_gguf_keys *w, const char *key, uint32_t type, uint64_t n)
{
    put_key(w, key, FVLM_GGUF_ARRAY);
    fvlm_gguf_put_u32(w->to, type);
    fvlm_gguf_put_u64(w->to, n);
}
