/* SPDX-License-Identifier: Apache-2.0 */
/* pull.h - a pull parser for the tokenizer section. Not jansson: 300,000 strings as objects of their
 * own cost 100 ms of a start that should take 50. Strict RFC 8259; numbers only as unsigned integers, which is
 * all the section has. */
#ifndef FVLM_REFERENCE_TOKENIZER_PULL_H
#define FVLM_REFERENCE_TOKENIZER_PULL_H

#include "format/base/base.h"

typedef struct {
    const uint8_t *begin, *at, *end;
    uint8_t *scratch; /* as long as the input: a string with its escapes undone */
    fvlm_err *err;
} fvlm_pull;

/* bytes must outlive the parser. Refuses ill-formed UTF-8. */
fvlm_status fvlm_pull_over(fvlm_pull *j, const char *bytes, size_t n_bytes, fvlm_err *err);
void fvlm_pull_free(fvlm_pull *j);

fvlm_status fvlm_pull_refuse(const fvlm_pull *j, const char *what); /* "damaged tokenizer: what at byte N" */
int fvlm_pull_peek(fvlm_pull *j);                                   /* next byte after white space; -1 at the end */
fvlm_status fvlm_pull_expect(fvlm_pull *j, char c);

/* Between elements: *more is false when the closing bracket came (and was taken). *n counts elements seen;
 * start it at 0. */
fvlm_status fvlm_pull_more(fvlm_pull *j, char close, size_t *n, bool *more);

/* A decoded string, valid until the next one is read. */
typedef struct {
    const char *s;
    size_t n;
} fvlm_slice;
bool fvlm_slice_is(fvlm_slice a, const char *b);
fvlm_status fvlm_pull_string(fvlm_pull *j, fvlm_slice *out);
fvlm_status fvlm_pull_key(fvlm_pull *j, fvlm_slice *out); /* with its colon */
fvlm_status fvlm_pull_u32(fvlm_pull *j, uint32_t *out);
fvlm_status fvlm_pull_bool(fvlm_pull *j, bool *out);
fvlm_status fvlm_pull_null(fvlm_pull *j);
fvlm_status fvlm_pull_skip(fvlm_pull *j); /* over one value, without checking what is inside */

#endif
