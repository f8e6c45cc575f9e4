/* SPDX-License-Identifier: Apache-2.0 */
/* pieces.c - see pieces.h. */
#include "tests/support/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"
#include "reference/text_stream.h"
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

test_proto test_pieces_build(const test_pieces_plan *x, const test_proto *more)
{
    test_proto m = {0}, trainer = {0}, rules = {0};
    char text[8];
    if (x->unknown) test_proto_piece(&m, "<unk>", 0, 2);
    test_proto_piece(&m, "<s>", 0, 3);
    test_proto_piece(&m, "\xe2\x96\x81", -1, 1);
    test_proto_piece(&m, "a", -2, 1);
    for (unsigned b = 0; b < 256 && x->bytes; b++) {
        snprintf(text, sizeof text, "<0x%02X>", b);
        if (b != x->missing_byte) test_proto_piece(&m, text, 0, 6);
    }
    if (more) {
        m.bytes = realloc(m.bytes, m.n + more->n + 1);
        memcpy(m.bytes + m.n, more->bytes, more->n);
        m.n = m.capacity = m.n + more->n;
    }
    test_proto_number(&trainer, 3, x->model_type);
    if (x->bytes) test_proto_number(&trainer, 35, 1);
    test_proto_bytes(&rules, 1, "test", 4);
    if (x->charsmap) test_proto_bytes(&rules, 2, x->charsmap, x->n_charsmap);
    if (x->no_trainer)
        free(trainer.bytes);
    else
        test_proto_message(&m, 2, &trainer);
    if (x->no_rules)
        free(rules.bytes);
    else
        test_proto_message(&m, 3, &rules);
    return m;
}

char *test_pieces_section(const uint8_t *bytes, size_t n, size_t *n_json, fvlm_err *err)
{
    fvlm_vocabulary v = {0};
    char *json = NULL;
    *err = (fvlm_err){0};
    fvlm_status st = fvlm_piece_model_read(&v.pieces, bytes, n, NULL, err);
    if (!st) st = fvlm_vocabulary_json(&json, n_json, &v, err);
    assert_true(!st == (json != NULL));
    assert_true(!st || (err->msg[0] && err->code == st));
    fvlm_vocabulary_free(&v);
    return json;
}

char *test_tokens_line(const fvlm_tokenizer *t, const char *text, size_t n_text, uint32_t **ids, size_t *n)
{
    fvlm_err err = {0};
    char *line = fvlm_strdup("");
    if (fvlm_tokenizer_encode(t, text, n_text, ids, n, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < *n; i++) {
        char *longer = fvlm_asprintf("%s%s%u", line, i ? "," : "", (*ids)[i]);
        free(line);
        line = longer;
    }
    return line;
}

void test_tokens_decode(const fvlm_tokenizer *t, const uint32_t *ids, size_t n,
                        void (*emit)(void *ctx, const char *s, size_t n_bytes), void *ctx)
{
    fvlm_text_stream stream = {.emit = emit, .ctx = ctx, .each_byte = fvlm_tokenizer_replaces_each_byte(t)};
    fvlm_decoding d = {0};
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *s = fvlm_tokenizer_decode(t, &d, ids[i], &n_bytes);
        if (s) fvlm_text_stream_put(&stream, s, n_bytes);
    }
    fvlm_text_stream_end(&stream);
}
