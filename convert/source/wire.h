/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - for graph/ and vocabulary/: reads protobuf's wire format, strictly; all inline, no allocation.
 *
 * The bytes may be a mapped file that changes meanwhile: each byte is read once, and every length is compared with what
 * is left. Format: https://protobuf.dev/programming-guides/encoding/ */
#ifndef FVLM_CONVERT_SOURCE_WIRE_H
#define FVLM_CONVERT_SOURCE_WIRE_H

#include "format/base/base.h"

typedef enum { FVLM_WIRE_VARINT = 0, FVLM_WIRE_64 = 1, FVLM_WIRE_BYTES = 2, FVLM_WIRE_32 = 5 } fvlm_wire_type;

/* What is left of a message. */
typedef struct {
    const uint8_t *at, *end;
    const char *fault; /* what was wrong at 'at'; NULL so far */
} fvlm_wire;

typedef struct {
    uint32_t number; /* 1 to 2^29 - 1 */
    unsigned type;   /* fvlm_wire_type */
    uint64_t value;  /* VARINT, 64, 32: the bits */
    const uint8_t *bytes;
    uint64_t n_bytes; /* BYTES */
} fvlm_wire_field;

static inline bool fvlm_wire_fail(fvlm_wire *w, const uint8_t *at, const char *fault)
{
    w->at = at;
    w->fault = fault;
    return false;
}

static inline bool fvlm_wire_varint(fvlm_wire *w, uint64_t *out)
{
    const uint8_t *p = w->at;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == w->end) return fvlm_wire_fail(w, w->at, "a number is cut off");
        const uint8_t byte = *p++;
        if (shift == 63 && byte > 1) return fvlm_wire_fail(w, w->at, "a number over 64 bits");
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            w->at = p;
            *out = v;
            return true;
        }
    }
    return fvlm_wire_fail(w, w->at, "a number over 64 bits");
}

/* n_bytes, little-endian: 4 or 8. */
static inline bool fvlm_wire_fixed(fvlm_wire *w, size_t n_bytes, uint64_t *out)
{
    if ((size_t)(w->end - w->at) < n_bytes) return fvlm_wire_fail(w, w->at, "a number is cut off");
    *out = n_bytes == 4 ? fvlm_load_u32(w->at) : fvlm_load_u64(w->at);
    w->at += n_bytes;
    return true;
}

/* The next field. False at the end of the message, and on a fault. */
static inline bool fvlm_wire_next(fvlm_wire *w, fvlm_wire_field *f)
{
    const uint8_t *begin = w->at;
    uint64_t tag;
    if (w->fault || w->at == w->end || !fvlm_wire_varint(w, &tag)) return false;
    *f = (fvlm_wire_field){.number = (uint32_t)(tag >> 3), .type = (unsigned)(tag & 7)};
    if (tag > UINT32_MAX) return fvlm_wire_fail(w, begin, "a field number over 2^29 - 1");
    if (f->number == 0) return fvlm_wire_fail(w, begin, "field number 0");
    switch (f->type) {
    case FVLM_WIRE_VARINT:
        return fvlm_wire_varint(w, &f->value);
    case FVLM_WIRE_64:
        return fvlm_wire_fixed(w, 8, &f->value);
    case FVLM_WIRE_32:
        return fvlm_wire_fixed(w, 4, &f->value);
    case FVLM_WIRE_BYTES:
        if (!fvlm_wire_varint(w, &f->n_bytes)) return false;
        if (f->n_bytes > (uint64_t)(w->end - w->at))
            return fvlm_wire_fail(w, begin, "a length beyond the end of what encloses it");
        f->bytes = w->at;
        w->at += f->n_bytes;
        return true;
    }
    return fvlm_wire_fail(w, begin, (tag & 7) <= 4 ? "a group, which no schema of ours has" : "an unknown wire type");
}

#endif
