/* tokenizer_json.h - a pull parser for the tokenizer section. Not jansson: 300,000 strings as objects of their
 * own cost 100 ms of a start that should take 50. Strict RFC 8259; numbers only as unsigned integers, which is
 * all the section has. */
#ifndef FVLM_TOKENIZER_JSON_H
#define FVLM_TOKENIZER_JSON_H

#include "format/base.h"

typedef struct {
    const uint8_t *begin, *at, *end;
    uint8_t *scratch; /* as long as the input: a string with its escapes undone */
    fvlm_err *err;
} fvlm_json;

/* bytes must outlive the parser. Refuses ill-formed UTF-8. */
fvlm_status fvlm_json_over(fvlm_json *j, const char *bytes, size_t n_bytes, fvlm_err *err);
void fvlm_json_free(fvlm_json *j);

fvlm_status fvlm_json_refuse(const fvlm_json *j, const char *what); /* "damaged tokenizer: what at byte N" */
int fvlm_json_peek(fvlm_json *j);                                   /* next byte after white space; -1 at the end */
fvlm_status fvlm_json_expect(fvlm_json *j, char c);

/* Between elements: *more is false when the closing bracket came (and was taken). *n counts elements seen;
 * start it at 0. */
fvlm_status fvlm_json_more(fvlm_json *j, char close, size_t *n, bool *more);

/* A decoded string, valid until the next one is read. */
typedef struct {
    const char *s;
    size_t n;
} fvlm_slice;
bool fvlm_slice_is(fvlm_slice a, const char *b);
fvlm_status fvlm_json_string(fvlm_json *j, fvlm_slice *out);
fvlm_status fvlm_json_key(fvlm_json *j, fvlm_slice *out); /* with its colon */
fvlm_status fvlm_json_u32(fvlm_json *j, uint32_t *out);
fvlm_status fvlm_json_bool(fvlm_json *j, bool *out);
fvlm_status fvlm_json_null(fvlm_json *j);
fvlm_status fvlm_json_skip(fvlm_json *j); /* over one value, without checking what is inside */

#endif
