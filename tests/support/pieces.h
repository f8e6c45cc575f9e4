/* SPDX-License-Identifier: Apache-2.0 */
/* pieces.h - SentencePiece models for tests: those of tests/fixtures/sentencepiece, and small ones built field by
 * field. */
#ifndef FVLM_TESTS_SUPPORT_PIECES_H
#define FVLM_TESTS_SUPPORT_PIECES_H

#include "format/base/base.h"

uint8_t *test_pieces_read(const char *name, size_t *n_bytes); /* "unigram" or "bpe"; malloc'd */

/* A serialized message that grows; zero at first, the caller frees bytes. */
typedef struct {
    uint8_t *bytes;
    size_t n, capacity;
} test_proto;

void test_proto_number(test_proto *p, uint32_t field, uint64_t value);
void test_proto_float(test_proto *p, uint32_t field, float value);
void test_proto_bytes(test_proto *p, uint32_t field, const void *bytes, size_t n);
void test_proto_message(test_proto *p, uint32_t field, test_proto *message); /* frees message */

/* Appends a piece to a ModelProto. */
void test_proto_piece(test_proto *p, const char *text, float score, unsigned type);

#endif
