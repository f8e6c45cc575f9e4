/* SPDX-License-Identifier: Apache-2.0 */
/* split.h - text to pieces by the pre-tokenizer's regex: every match is a piece, and so is what lies
 * between matches. */
#ifndef FVLM_REFERENCE_TOKENIZER_SPLIT_H
#define FVLM_REFERENCE_TOKENIZER_SPLIT_H

#include "format/base/base.h"

typedef struct fvlm_splitter fvlm_splitter; /* a compiled pattern; may be shared by threads */
typedef struct fvlm_split fvlm_split;       /* one walk over one text */

fvlm_status fvlm_splitter_create(fvlm_splitter **out, const char *pattern, size_t n_bytes, fvlm_err *err);
void fvlm_splitter_destroy(fvlm_splitter **s);

fvlm_status fvlm_split_begin(fvlm_split **out, const fvlm_splitter *s, fvlm_err *err);
void fvlm_split_end(fvlm_split **w);

/* text is well-formed UTF-8 and outlives the walk over it. */
void fvlm_split_text(fvlm_split *w, const char *text, size_t n_bytes);
/* The next piece [*from, *from + *n); *n is 0 at the end. */
fvlm_status fvlm_split_next(fvlm_split *w, const char **from, size_t *n, fvlm_err *err);

#endif
