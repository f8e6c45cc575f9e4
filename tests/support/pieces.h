/* SPDX-License-Identifier: Apache-2.0 */
/* pieces.h - SentencePiece models for tests: those of tests/fixtures/sentencepiece, and small ones built field by
 * field; and what a tokenizer makes of a text. */
#ifndef FVLM_TESTS_SUPPORT_PIECES_H
#define FVLM_TESTS_SUPPORT_PIECES_H

#include "reference/tokenizer/tokenizer.h"

uint8_t *test_pieces_read(const char *name, size_t *n_bytes); /* "unigram.model" or "bpe.model"; malloc'd */

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

/* A model that is well formed but for what the test adds; charsmap may be NULL. */
typedef struct {
    unsigned model_type;
    bool bytes, unknown, no_trainer, no_rules;
    const char *charsmap;
    size_t n_charsmap;
    unsigned missing_byte; /* 256: none */
} test_pieces_plan;

#define TEST_PIECES_FINE ((test_pieces_plan){.model_type = 2, .unknown = true, .missing_byte = 256})

/* more: pieces or other fields to append; NULL: none. The caller frees bytes. */
test_proto test_pieces_build(const test_pieces_plan *x, const test_proto *more);

/* The section of a model, malloc'd; NULL if it is refused, with err set. */
char *test_pieces_section(const uint8_t *bytes, size_t n, size_t *n_json, fvlm_err *err);

/* The ids of a text, separated by commas; both are malloc'd. */
char *test_tokens_line(const fvlm_tokenizer *t, const char *text, size_t n_text, uint32_t **ids, size_t *n);

/* Emits the text that ids decode to. */
void test_tokens_decode(const fvlm_tokenizer *t, const uint32_t *ids, size_t n,
                        void (*emit)(void *ctx, const char *s, size_t n_bytes), void *ctx);

#endif
