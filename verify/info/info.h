/* SPDX-License-Identifier: Apache-2.0 */
/* info.h - what `fvlm info` shows: gathered once, then printed as text or JSON. */
#ifndef FVLM_VERIFY_INFO_INFO_H
#define FVLM_VERIFY_INFO_INFO_H

#include <stdio.h>

#include "format/base/stop.h"
#include "format/tensors.h"

struct json_t; /* of <jansson.h> */

/* The tensors of one type in one group of parts. */
typedef struct {
    fvlm_part_group group;
    fvlm_type type;
    size_t n_tensors;
    uint64_t n_params, n_bytes;
} fvlm_share;

#define FVLM_MAX_SHARES (FVLM_N_GROUPS * 19) /* types: 3 floats and 2 * 2 * 4 integers */

typedef struct {
    fvlm_share share[FVLM_MAX_SHARES]; /* by group, largest first in each */
    size_t n_shares;
    uint64_t n_params, n_bytes; /* all tensors */
    size_t tokens, merges, added, tokenizer_bytes;
    bool sentencepiece; /* tokens are its pieces; merges are listed only if they have ranks */
} fvlm_info;

fvlm_status fvlm_info_gather(fvlm_info *out, fvlm_reader *r, fvlm_err *err);
void fvlm_info_print(FILE *to, const fvlm_info *x, const fvlm_reader *r);
void fvlm_info_print_tensors(FILE *to, const fvlm_reader *r);
struct json_t *fvlm_info_json(const fvlm_info *x, const fvlm_reader *r, bool tensors); /* caller owns */

/* Writes one tensor as .npy: f32, logical order (dump.c). stop may be NULL. */
fvlm_status fvlm_info_dump(const fvlm_reader *r, const char *name, const char *path, bool force, const fvlm_stop *stop,
                           fvlm_err *err);

#endif
