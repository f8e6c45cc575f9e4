/* SPDX-License-Identifier: Apache-2.0 */
/* piece_table.h - the pieces of a SentencePiece model: texts, scores, types, and finding them by their text. Private to
 * reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_PIECE_TABLE_H
#define FVLM_REFERENCE_TOKENIZER_PIECE_TABLE_H

#include "format/config.h"
#include "format/base/json_pull.h"

#define FVLM_NO_PIECE UINT32_MAX

/* As SPEC.md, section 7, writes them. */
typedef enum {
    FVLM_PIECE_NORMAL = 'n',
    FVLM_PIECE_UNKNOWN = 'u',
    FVLM_PIECE_CONTROL = 'c', /* no text becomes it */
    FVLM_PIECE_USER = 'd',    /* user-defined: never split */
    FVLM_PIECE_UNUSED = 'x',  /* only a step of merging */
    FVLM_PIECE_BYTE = 'b'
} fvlm_piece_type;

typedef struct {
    uint32_t at, n_bytes; /* text[at .. at + n_bytes) */
    float score;
    char type;
} fvlm_piece;

typedef struct {
    char *text;
    size_t n_text, text_capacity;
    fvlm_piece *pieces; /* [n], by id */
    size_t n, capacity;
    size_t n_scores, n_types;
    uint32_t *sorted; /* [n_sorted] ids of the normal, user-defined and unused pieces, by text */
    size_t n_sorted;
    uint32_t first[257];            /* those that begin with byte b are sorted[first[b] .. first[b + 1]) */
    uint32_t unknown, of_byte[256]; /* ids; FVLM_NO_PIECE without byte pieces */
    bool has_bytes, has_unused;
    /* [n_text] Merges by rank: ranks[i] - 1 is that of the merge of what its piece has before text[i] and the rest; 0:
     * there is none. NULL: merges are by score. */
    uint32_t *ranks;
    size_t longest;
} fvlm_piece_table;

/* Each reads the value that is next in p: the texts (first), the bits of the scores, the letters of the types. */
bool fvlm_piece_table_read_texts(fvlm_piece_table *v, fvlm_json_pull *p);
bool fvlm_piece_table_read_scores(fvlm_piece_table *v, fvlm_json_pull *p);
bool fvlm_piece_table_read_types(fvlm_piece_table *v, fvlm_json_pull *p);

/* The merges, after fvlm_piece_table_link. */
bool fvlm_piece_table_read_merges(fvlm_piece_table *v, fvlm_json_pull *p);

/* The rank of the merge of left_bytes and the rest into the piece; FVLM_NO_PIECE if there is none. */
uint32_t fvlm_piece_table_rank(const fvlm_piece_table *v, uint32_t id, uint32_t left_bytes);

/* Checks the table as a whole and sorts it, after all three were read. */
fvlm_status fvlm_piece_table_link(fvlm_piece_table *v, fvlm_err *err);
void fvlm_piece_table_free(fvlm_piece_table *v);

/* The id of a normal, user-defined or unused piece with this text (n >= 1); FVLM_NO_PIECE if there is none. */
uint32_t fvlm_piece_table_find(const fvlm_piece_table *v, const char *s, size_t n);

/* Pieces sorted[from .. to) that begin with the same depth bytes. */
typedef struct {
    size_t from, to, depth;
} fvlm_piece_prefix;

/* Narrows x, at first {0, n_sorted, 0}, to the pieces whose next byte is b; false if there are none. *id is the piece
 * that ends there, or FVLM_NO_PIECE. */
bool fvlm_piece_table_step(const fvlm_piece_table *v, fvlm_piece_prefix *x, uint8_t b, uint32_t *id);

#endif
