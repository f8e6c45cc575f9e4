/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - XXH3-128, of a block at once or of bytes as they come. Detects damage, not forgery. */
#ifndef FVLM_FORMAT_BASE_HASH_H
#define FVLM_FORMAT_BASE_HASH_H

#include "format/base/base.h"

typedef struct {
    uint8_t bytes[16]; /* canonical (big-endian) order */
} fvlm_hash;

fvlm_hash fvlm_hash_of(const void *bytes, size_t n_bytes);
bool fvlm_hash_equal(const fvlm_hash *a, const fvlm_hash *b);
void fvlm_hash_text(const fvlm_hash *h, char out[33]); /* 32 hexadecimal digits */

/* Random: each hash table has its own, so that no input can be made to collide. Nothing that is stored or printed may
 * depend on it. */
uint64_t fvlm_hash_seed(void);

/* Hashes a stream. One thread at a time per hasher. */
typedef struct fvlm_hasher fvlm_hasher;

/* Ready to add to. On failure *out is NULL. */
fvlm_status fvlm_hasher_create(fvlm_hasher **out, fvlm_err *err);
void fvlm_hasher_reset(fvlm_hasher *h); /* forgets what was added */
void fvlm_hasher_add(fvlm_hasher *h, const void *bytes, size_t n_bytes);
fvlm_hash fvlm_hasher_get(const fvlm_hasher *h); /* of everything added so far; more may follow */
void fvlm_hasher_destroy(fvlm_hasher **h);       /* NULL is fine; sets NULL */

#endif
