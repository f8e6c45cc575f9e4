/* SPDX-License-Identifier: Apache-2.0 */
/* pieces.c - see pieces.h. */
#include "tests/support/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

uint8_t *test_pieces_read(const char *name, size_t *n_bytes)
{
    char *path = fvlm_asprintf("tests/fixtures/sentencepiece/%s", name);
    uint8_t *bytes = test_read_file(path, n_bytes);
    if (!bytes) fail_msg("%s cannot be read", path);
    free(path);
    return bytes;
}

static void put(test_proto *p, const void *bytes, size_t n)
{
    assert_true(fvlm_grow(&p->bytes, &p->capacity, p->n + n + 1, 1));
    if (n) memcpy(p->bytes + p->n, bytes, n);
    p->n += n;
}

static void put_varint(test_proto *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) put(p, &(uint8_t){(uint8_t)(v | 0x80)}, 1);
    put(p, &(uint8_t){(uint8_t)v}, 1);
}

void test_proto_number(test_proto *p, uint32_t field, uint64_t value)
{
    put_varint(p, (uint64_t)field << 3);
    put_varint(p, value);
}

void test_proto_float(test_proto *p, uint32_t field, float value)
{
    uint8_t bytes[4];
    fvlm_store_u32(bytes, fvlm_f32_bits(value));
    put_varint(p, (uint64_t)field << 3 | 5);
    put(p, bytes, 4);
}

void test_proto_bytes(test_proto *p, uint32_t field, const void *bytes, size_t n)
{
    put_varint(p, (uint64_t)field << 3 | 2);
    put_varint(p, n);
    put(p, bytes, n);
}

void test_proto_message(test_proto *p, uint32_t field, test_proto *message)
{
    test_proto_bytes(p, field, message->bytes, message->n);
    free(message->bytes);
    *message = (test_proto){0};
}

void test_proto_piece(test_proto *p, const char *text, float score, unsigned type)
{
    test_proto piece = {0};
    test_proto_bytes(&piece, 1, text, strlen(text));
    test_proto_float(&piece, 2, score);
    test_proto_number(&piece, 3, type);
    test_proto_message(p, 1, &piece);
}
