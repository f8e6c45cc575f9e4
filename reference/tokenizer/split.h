/* SPDX-License-Identifier: Apache-2.0 */
/* split.h - cuts a text into pre-tokens, the units of byte-pair merging: the matches of the pre-tokenizer's regex, and
 * whatever lies between matches. Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_SPLIT_H
#define FVLM_REFERENCE_TOKENIZER_SPLIT_H

#include "format/base/base.h"

typedef struct fvlm_split_pattern fvlm_split_pattern; /* the compiled regex; threads may share it */
typedef struct fvlm_split_iter fvlm_split_iter;       /* iterates over one text at a time */

fvlm_status fvlm_split_pattern_create(fvlm_split_pattern **out, const char *pattern, size_t n_bytes, fvlm_err *err);
void fvlm_split_pattern_destroy(fvlm_split_pattern **p);

fvlm_status fvlm_split_iter_create(fvlm_split_iter **out, const fvlm_split_pattern *p, fvlm_err *err);
void fvlm_split_iter_destroy(fvlm_split_iter **i);

/* Starts over with this text: well-formed UTF-8, which must outlive the iteration. */
void fvlm_split_iter_start(fvlm_split_iter *i, const char *text, size_t n_bytes);
/* The next pre-token [*from, *from + *n); *n is 0 at the end. */
fvlm_status fvlm_split_iter_next(fvlm_split_iter *i, const char **from, size_t *n, fvlm_err *err);

#endif
