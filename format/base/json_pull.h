/* SPDX-License-Identifier: Apache-2.0 */
/* json_pull.h - reads JSON text value by value, in the order its reader expects.
 *
 *   fvlm_json_pull p = fvlm_json_pull_over(text, n_bytes, "vocab.json", 0, err);
 *   fvlm_json_text key;
 *   bool first = true;
 *   uint64_t id;
 *   fvlm_json_pull_expect(&p, '{', "'{', the vocabulary");
 *   while (fvlm_json_pull_member(&p, &first, &key))
 *       if (fvlm_json_pull_u64(&p, &id)) ...key.s...
 *   fvlm_json_pull_end(&p);
 *   return p.st;
 *
 * For texts that can be large and whose shape is known: safetensors headers, vocabularies, the tokenizer section (a
 * tree of its 300,000 strings would triple the time a model takes to open). No tree and no recursion: memory does not
 * grow with the text, and every refusal carries the position where it happened. Strict RFC 8259: no leading zeros, no
 * raw control characters, UTF-8 well formed, surrogates in pairs; U+0000 in strings is refused, too.
 *
 * Strings are decoded in place, which is why the text is not const: a decoded string is never longer than its source,
 * and its closing quote becomes the terminating NUL. They live as long as the text. Each can be read only once. */
#ifndef FVLM_FORMAT_BASE_JSON_PULL_H
#define FVLM_FORMAT_BASE_JSON_PULL_H

#include "format/base/stop.h"

#define FVLM_MAX_JSON_DEPTH 64

typedef enum {
    FVLM_JSON_FILE = 0, /* messages begin: "WHAT": byte N */
    FVLM_JSON_SECTION,  /* of a .fvlm file: WHAT: byte N; a number that fits neither int64 nor f64 is refused */
    FVLM_JSON_CONFIG    /* a file that people edit: "WHAT": line L, column C; NaN and Infinity as Python writes them */
} fvlm_json_dialect;

typedef struct {
    char *text;
    size_t n_bytes, pos;
    size_t line, line_at; /* lines before the current one, and where that begins */
    const char *what;     /* file name for messages */
    uint64_t base;        /* where the text begins in that file */
    fvlm_json_dialect dialect;
    fvlm_err *err;
    fvlm_status st;        /* the first failure; all calls after it return false */
    const fvlm_stop *stop; /* may be set after fvlm_json_pull_over; polled at every member and element */
} fvlm_json_pull;

/* A decoded string: s[n] is NUL. at = position of its opening quote in the text. */
typedef struct {
    char *s;
    size_t n, at;
} fvlm_json_text;

fvlm_json_pull fvlm_json_pull_over(char *text, size_t n_bytes, const char *what, uint64_t base, fvlm_err *err);

/* Fails with the position as the dialect has it, then the text. In FVLM_JSON_CONFIG, pos must be on the current line or
 * after it. Always returns false. */
bool fvlm_json_pull_refuse(fvlm_json_pull *p, size_t pos, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(4, 5);

/* Fails as out of memory, without a position. Always returns false. */
bool fvlm_json_pull_nomem(fvlm_json_pull *p);

/* Skips white space and returns the next character without taking it, 0 at the end. */
char fvlm_json_pull_peek(fvlm_json_pull *p);

/* Takes the next character, which must be c; noun says what was expected there. */
bool fvlm_json_pull_expect(fvlm_json_pull *p, char c, const char *noun);

/* Inside '{': true with the next key (its colon taken), false at '}' (taken) or on failure.
 * Inside '[': true when another element follows, false at ']' (taken) or on failure.
 * *first starts as true. */
bool fvlm_json_pull_member(fvlm_json_pull *p, bool *first, fvlm_json_text *key);
bool fvlm_json_pull_element(fvlm_json_pull *p, bool *first);

/* A value of the type named. string: with out NULL it is checked and left as it is. u64: 0 to 2^64 - 1 in plain
 * digits. */
bool fvlm_json_pull_string(fvlm_json_pull *p, fvlm_json_text *out);
bool fvlm_json_pull_u64(fvlm_json_pull *p, uint64_t *out);
bool fvlm_json_pull_bool(fvlm_json_pull *p, bool *out);

/* Takes a null if that is the next value; false, which is no failure, if not. */
bool fvlm_json_pull_null(fvlm_json_pull *p);

/* Takes any value, checked and left as it is; *begin and *end bound it in the text. */
bool fvlm_json_pull_skip(fvlm_json_pull *p, size_t *begin, size_t *end);

/* Nothing but white space may be left. */
bool fvlm_json_pull_end(fvlm_json_pull *p);

#endif
