/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_message.c - see onnx_message.h. */
#include "convert/export/onnx_message.h"

#include "format/base/grow.h"

enum { VARINT = 0, LENGTH = 2, FIXED_32 = 5 };

void fvlm_message_free(fvlm_message *m)
{
    free(m->bytes);
    *m = (fvlm_message){0};
}

static void put(fvlm_message *m, const void *bytes, size_t n)
{
    if (m->failed || n == 0) return;
    if (n > SIZE_MAX - m->n || !fvlm_grow(&m->bytes, &m->capacity, m->n + n, 1)) {
        m->failed = true;
        return;
    }
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void put_varint(fvlm_message *m, uint64_t x)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7) bytes[n++] = (uint8_t)(x | 0x80);
    bytes[n++] = (uint8_t)x;
    put(m, bytes, n);
}

static void put_tag(fvlm_message *m, unsigned field, unsigned wire)
{
    put_varint(m, (uint64_t)field << 3 | wire);
}

void fvlm_message_put_int(fvlm_message *m, unsigned field, int64_t value)
{
    put_tag(m, field, VARINT);
    put_varint(m, (uint64_t)value);
}

void fvlm_message_put_float(fvlm_message *m, unsigned field, float value)
{
    uint8_t bytes[4];
    fvlm_store_u32(bytes, fvlm_f32_bits(value));
    put_tag(m, field, FIXED_32);
    put(m, bytes, sizeof bytes);
}

void fvlm_message_put_length(fvlm_message *m, unsigned field, uint64_t n_bytes)
{
    put_tag(m, field, LENGTH);
    put_varint(m, n_bytes);
}

void fvlm_message_put_bytes(fvlm_message *m, unsigned field, const void *bytes, size_t n_bytes)
{
    fvlm_message_put_length(m, field, n_bytes);
    put(m, bytes, n_bytes);
}

void fvlm_message_put_text(fvlm_message *m, unsigned field, const char *text)
{
    fvlm_message_put_bytes(m, field, text, strlen(text));
}

void fvlm_message_put_message(fvlm_message *m, unsigned field, const fvlm_message *of)
{
    fvlm_message_put_bytes(m, field, of->bytes, of->n);
    m->failed |= of->failed;
}

void fvlm_message_append(fvlm_message *m, const fvlm_message *fields)
{
    put(m, fields->bytes, fields->n);
    m->failed |= fields->failed;
}
