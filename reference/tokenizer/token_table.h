/* SPDX-License-Identifier: Apache-2.0 */
/* token_table.h - the bytes of each token, and which two tokens merge into which. Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_TOKEN_TABLE_H
#define FVLM_REFERENCE_TOKENIZER_TOKEN_TABLE_H

#include "format/config.h"
#include "format/base/json_pull.h"

#define FVLM_NO_TOKEN UINT32_MAX

/* Two adjacent tokens and what they merge into. Open addressing; result FVLM_NO_TOKEN marks a free slot. */
typedef struct {
    uint32_t left, right, rank, result;
} fvlm_bpe_merge;

typedef struct {
    uint32_t at, n_bytes; /* text[at .. at + n_bytes); n_bytes FVLM_NO_TOKEN = the id has no text */
} fvlm_token;

/* What is known of an id. */
enum {
    FVLM_TOKEN_SPECIAL = 1, /* not part of an answer's text */
    FVLM_TOKEN_SPELLED = 2  /* in the byte alphabet: merging can produce it */
};

typedef struct {
    char *text; /* the bytes of all tokens, one after the other */
    size_t n_text, text_capacity;
    fvlm_token *tokens; /* [token_capacity], by id */
    uint8_t *kinds;     /* [kind_capacity], by id: bits of the enum */
    size_t n;           /* 1 + highest id */
    size_t token_capacity, kind_capacity;

    fvlm_bpe_merge *merges;
    size_t merge_mask;     /* slots - 1, a power of two less one */
    uint64_t seed;         /* of its hash */
    uint32_t of_byte[256]; /* FVLM_NO_TOKEN where a byte has none, which is only so if drops_bytes is set */
    bool drops_bytes;      /* set by the caller before tokens are read */
    bool keep_index;       /* set by the caller before merges are read: fvlm_token_table_find will be used */
    struct fvlm_text_index *index;
} fvlm_token_table;

/* Each reads the array that is next in p, of a section of less than 4 GiB; false when p has failed. */
bool fvlm_token_table_read_tokens(fvlm_token_table *v, fvlm_json_pull *p);
bool fvlm_token_table_read_merges(fvlm_token_table *v, fvlm_json_pull *p);
void fvlm_token_table_free(fvlm_token_table *v);

/* Adds an id whose text is not in the byte alphabet; text is NUL-terminated after n_bytes. The id may already have
 * this text. */
fvlm_status fvlm_token_table_add(fvlm_token_table *v, uint64_t id, const char *text, size_t n_bytes, bool special,
                                 fvlm_err *err);

/* The token that is spelled with these bytes; FVLM_NO_TOKEN if there is none. */
uint32_t fvlm_token_table_find(const fvlm_token_table *v, const char *s, size_t n);

/* What left and right merge into; NULL when they do not. */
const fvlm_bpe_merge *fvlm_token_table_merge(const fvlm_token_table *v, uint32_t left, uint32_t right);

#endif
