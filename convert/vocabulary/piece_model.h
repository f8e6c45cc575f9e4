/* SPDX-License-Identifier: Apache-2.0 */
/* piece_model.h - a SentencePiece model (tokenizer.model), read and checked. Private to vocabulary/. */
#ifndef FVLM_CONVERT_VOCABULARY_PIECE_MODEL_H
#define FVLM_CONVERT_VOCABULARY_PIECE_MODEL_H

#include <sentencepiece.pb-c.h>

#include "format/base/stop.h"

/* The numbers of sentencepiece_model.proto: types of pieces, and of models. */
enum {
    FVLM_SENTENCEPIECE_NORMAL = 1,
    FVLM_SENTENCEPIECE_UNKNOWN,
    FVLM_SENTENCEPIECE_CONTROL,
    FVLM_SENTENCEPIECE_USER,
    FVLM_SENTENCEPIECE_UNUSED,
    FVLM_SENTENCEPIECE_BYTE
};
enum { FVLM_SENTENCEPIECE_UNIGRAM = 1, FVLM_SENTENCEPIECE_BPE, FVLM_SENTENCEPIECE_WORD, FVLM_SENTENCEPIECE_CHAR };

/* A rule set: units of a double array, and what its rules put in, each text with a NUL. Points into the file. */
typedef struct {
    const uint8_t *trie; /* [n_units] little-endian u32, not aligned */
    size_t n_units;
    const char *targets; /* [n_targets] */
    size_t n_targets;
} fvlm_piece_charsmap;

typedef struct fvlm_piece_model {
    FvlmSentencepiece__Model *message; /* as protobuf-c unpacked it */
    fvlm_piece_charsmap charsmap;      /* n_units 0: none */
    bool legacy, prefix_once;          /* set by the caller, as in SPEC.md, section 7.2 */
    bool ranked;                       /* the same: from tokenizer.json, merged by rank */
} fvlm_piece_model;

/* piece_wire.c: refuses bytes that are not a ModelProto as sentencepiece_model.proto has it, before they are unpacked.
 * No recursion; nothing is allocated. */
fvlm_status fvlm_piece_wire_check(const uint8_t *bytes, size_t n_bytes, fvlm_err *err);

/* piece_charsmap.c: takes a precompiled_charsmap apart, and follows every rule of its trie. */
fvlm_status fvlm_piece_charsmap_read(fvlm_piece_charsmap *out, const uint8_t *bytes, size_t n_bytes,
                                     const fvlm_stop *stop, fvlm_err *err);

/* Reads n_bytes of a file. On failure *out is NULL. Messages do not name the file. */
fvlm_status fvlm_piece_model_read(fvlm_piece_model **out, const uint8_t *bytes, size_t n_bytes, const fvlm_stop *stop,
                                  fvlm_err *err);
/* The same for a message that was made of something else, which it takes over, also on failure. */
fvlm_status fvlm_piece_model_adopt(fvlm_piece_model **out, FvlmSentencepiece__Model *message, const fvlm_stop *stop,
                                   fvlm_err *err);
void fvlm_piece_model_destroy(fvlm_piece_model **m);

/* The texts of the pieces, by id. */
size_t fvlm_piece_model_n(const fvlm_piece_model *m);
const char *fvlm_piece_model_text(const fvlm_piece_model *m, size_t id);
bool fvlm_piece_model_is_normal(const fvlm_piece_model *m, size_t id); /* text may become it */

#endif
