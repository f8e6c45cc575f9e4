/* SPDX-License-Identifier: Apache-2.0 */
/* piece_rules.h - how a SentencePiece model normalizes a text before it is cut into pieces. Private to
 * reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_PIECE_RULES_H
#define FVLM_REFERENCE_TOKENIZER_PIECE_RULES_H

#include "format/base/json_pull.h"
#include "reference/tokenizer/added_tokens.h"

#define FVLM_SPACE_SYMBOL "\xe2\x96\x81" /* U+2581, which stands for a space */
#define FVLM_MAX_NORMALIZED_BYTES ((size_t)256 << 20)

typedef struct {
    bool dummy_prefix;      /* a space is put before the text */
    bool remove_whitespace; /* at both ends, and all but one between words */
    bool escape_whitespace; /* a space becomes U+2581 */
    bool suffix;            /* the dummy prefix goes to the end */
    uint32_t *trie;         /* [n_units] a double array (SPEC.md, section 7); NULL: no rules */
    size_t n_units;
    char *targets; /* [n_targets] what the rules put in, each with a NUL */
    size_t n_targets;
    fvlm_added_tokens user; /* user-defined pieces: left as they are */
} fvlm_piece_rules;

/* Reads {"trie": [...], "targets": [...]}, or null. */
bool fvlm_piece_rules_read_charsmap(fvlm_piece_rules *r, fvlm_json_pull *p);
void fvlm_piece_rules_free(fvlm_piece_rules *r);

/* Text that grows; zero at first, the caller frees bytes. */
typedef struct {
    char *bytes;
    size_t n_bytes, capacity;
} fvlm_piece_text;

typedef struct {
    bool prefix;       /* add the dummy prefix, if the rules have one */
    bool keep_leading; /* one space at the beginning is kept even if whitespace is removed */
} fvlm_piece_context;

/* Sets *out to the normalized s (n_bytes >= 1, any bytes: an ill-formed one becomes U+FFFD). */
fvlm_status fvlm_piece_rules_apply(const fvlm_piece_rules *r, fvlm_piece_context c, const char *s, size_t n_bytes,
                                   fvlm_piece_text *out, fvlm_err *err);

#endif
