/* SPDX-License-Identifier: Apache-2.0 */
/* onnx.h - bytes as an ONNX file on disk, and edits of one that keep the lengths of its messages right. */
#ifndef FVLM_TESTS_FUZZ_ONNX_H
#define FVLM_TESTS_FUZZ_ONNX_H

#include "convert/graph/graph.h"
#include "convert/source/wire.h"
#include "tests/fuzz/harness.h"

/* The bytes as a file, beside "w.bin" of 64 bytes. */
static inline const char *fuzz_onnx(const uint8_t *data, size_t size)
{
    static char path[128];
    static const uint8_t outside[64] = {1, 2, 3};
    if (!path[0]) {
        fuzz_write("w.bin", outside, sizeof outside);
        snprintf(path, sizeof path, "%s/m.onnx", fuzz_folder());
    }
    fuzz_write("m.onnx", data, size);
    return path;
}

static inline uint64_t fuzz_chance(uint64_t *state, uint64_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % n;
}

static inline size_t fuzz_put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Changes bytes that are no message, or a whole one; returns how many there are then. */
typedef size_t (*fuzz_leaf)(uint8_t *bytes, size_t n, size_t max, uint64_t *state);

/* Changes one field of the message, or of a message inside; returns the new size, at most max. out does not overlap. */
static inline size_t fuzz_edit(const uint8_t *in, size_t n, uint8_t *out, size_t max, unsigned depth, uint64_t *state,
                               fuzz_leaf leaf)
{
    enum { MAX_FIELDS = 2048, MORE = 1024, MAX_DEPTH = 8 };
    const uint8_t *begins[MAX_FIELDS + 1];
    fvlm_wire_field fields[MAX_FIELDS];
    fvlm_wire w = {in, in + n, NULL};
    size_t n_fields = 0;
    while (n_fields < MAX_FIELDS && (begins[n_fields] = w.at, fvlm_wire_next(&w, &fields[n_fields]))) n_fields++;
    if (n_fields == 0 || max < n + MORE || depth == MAX_DEPTH) {
        memcpy(out, in, n < max ? n : max);
        return leaf(out, n < max ? n : max, max, state);
    }
    begins[n_fields] = w.at;
    const size_t i = (size_t)fuzz_chance(state, n_fields), j = (size_t)fuzz_chance(state, n_fields);
    const uint8_t *begin = begins[i], *end = begins[i + 1];
    const size_t head = (size_t)(begin - in), tail = (size_t)(in + n - end), size = (size_t)fields[i].n_bytes;
    const size_t n_one = (size_t)(end - begin), n_other = (size_t)(begins[j + 1] - begins[j]);
    const uint64_t what = fuzz_chance(state, 8);
    size_t at = head;
    memcpy(out, in, head);
    if (what < 5 && fields[i].type == FVLM_WIRE_BYTES) { /* inside, or its bytes */
        const size_t capacity = max - n + size - 16;
        uint8_t *inner = malloc(capacity);
        MUST(inner);
        memcpy(inner, fields[i].bytes, size);
        const size_t n_new = what < 4 ? fuzz_edit(fields[i].bytes, size, inner, capacity, depth + 1, state, leaf)
                                      : leaf(inner, size, capacity, state);
        at += fuzz_put_varint(out + at, (uint64_t)fields[i].number << 3 | 2);
        at += fuzz_put_varint(out + at, n_new);
        memcpy(out + at, inner, n_new);
        at += n_new;
        free(inner);
    } else if (what < 6) { /* another number */
        at += fuzz_put_varint(out + at, (uint64_t)fields[i].number << 3);
        at +=
            fuzz_put_varint(out + at, fuzz_chance(state, 2) ? fuzz_chance(state, 32) : ~0ull >> fuzz_chance(state, 64));
    } else if (what == 6 && n + n_other <= max) { /* again, or another field there */
        memcpy(out + at, begins[j], n_other);
        at += n_other;
        if (fuzz_chance(state, 2)) memcpy(out + at, begin, n_one), at += n_one;
    } /* else: left out */
    memmove(out + at, end, tail);
    return at + tail;
}

#endif
