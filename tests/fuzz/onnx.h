/* SPDX-License-Identifier: Apache-2.0 */
/* onnx.h - what the targets share whose input is an ONNX file: most mutations keep the lengths of its messages right.
 */
#ifndef FVLM_TESTS_FUZZ_ONNX_H
#define FVLM_TESTS_FUZZ_ONNX_H

#include "convert/graph/graph.h"
#include "convert/graph/wire.h"
#include "tests/fuzz/harness.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

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

/* ---- mutations that keep lengths right ---- */

enum { MAX_FIELDS = 256, MAX_BYTES = 1 << 16 };

static uint64_t chance(uint64_t *state, uint64_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % n;
}

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Changes one field of the message, or of a message inside; returns the new size, at most max. out does not overlap. */
static size_t mutate(const uint8_t *in, size_t n, uint8_t *out, size_t max, unsigned depth, uint64_t *state)
{
    const uint8_t *begins[MAX_FIELDS + 1];
    fvlm_wire_field fields[MAX_FIELDS];
    fvlm_wire w = {in, in + n, NULL};
    size_t n_fields = 0;
    while (n_fields < MAX_FIELDS && (begins[n_fields] = w.at, fvlm_wire_next(&w, &fields[n_fields]))) n_fields++;
    if (n_fields == 0 || max < n + 32) {
        memcpy(out, in, n < max ? n : max);
        return LLVMFuzzerMutate(out, n < max ? n : max, max);
    }
    const size_t i = (size_t)chance(state, n_fields), j = (size_t)chance(state, n_fields);
    const uint8_t *begin = begins[i], *end = i + 1 < n_fields ? begins[i + 1] : w.at;
    const uint8_t *other = begins[j], *other_end = j + 1 < n_fields ? begins[j + 1] : w.at;
    const size_t head = (size_t)(begin - in), n_one = (size_t)(end - begin), n_other = (size_t)(other_end - other);
    size_t at = head;
    memcpy(out, in, head);
    const uint64_t what = chance(state, 8);
    if (what < 5 && fields[i].type == FVLM_WIRE_BYTES) { /* inside, or its bytes */
        static uint8_t inner[8][MAX_BYTES];
        const size_t capacity = max - n < MAX_BYTES ? max - n : MAX_BYTES, size = (size_t)fields[i].n_bytes;
        size_t n_new;
        if (size > capacity || depth == 8) return memcpy(out, in, n), n;
        if (what < 4) {
            n_new = mutate(fields[i].bytes, size, inner[depth], capacity, depth + 1, state);
        } else {
            memcpy(inner[depth], fields[i].bytes, size);
            n_new = LLVMFuzzerMutate(inner[depth], size, capacity);
        }
        at += put_varint(out + at, (uint64_t)fields[i].number << 3 | 2);
        at += put_varint(out + at, n_new);
        if (at + n_new + (size_t)(in + n - end) > max) return memcpy(out, in, n), n;
        memcpy(out + at, inner[depth], n_new);
        at += n_new;
    } else if (what < 6) { /* another number */
        at += put_varint(out + at, (uint64_t)fields[i].number << 3);
        at += put_varint(out + at, chance(state, 2) ? chance(state, 32) : ~0ull >> chance(state, 64));
    } else if (what == 6 && n + n_other <= max) { /* again, or another field there */
        memcpy(out + at, other, n_other);
        at += n_other;
        if (chance(state, 2)) memcpy(out + at, begin, n_one), at += n_one;
    } /* else: left out */
    memcpy(out + at, end, (size_t)(in + n - end));
    return at + (size_t)(in + n - end);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t out[1 << 17];
    uint64_t state = seed;
    if (chance(&state, 8) == 0 || size + 64 > sizeof out || size > max) return LLVMFuzzerMutate(data, size, max);
    const size_t n = mutate(data, size, out, max < sizeof out ? max : sizeof out, 0, &state);
    memcpy(data, out, n);
    return n;
}

#endif
