/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - see hash.h. A hasher is xxHash's own state under another name. */
#include "format/base/hash.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

static fvlm_hash canonical(XXH128_hash_t value)
{
    fvlm_hash h;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, value);
    memcpy(h.bytes, c.digest, sizeof h.bytes);
    return h;
}

fvlm_hash fvlm_hash_of(const void *bytes, size_t n_bytes)
{
    return canonical(XXH3_128bits(bytes, n_bytes));
}

bool fvlm_hash_equal(const fvlm_hash *a, const fvlm_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

uint64_t fvlm_hash_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) return seed;
    struct timespec t; /* early at boot, or where system calls are filtered */
    clock_gettime(CLOCK_MONOTONIC, &t);
    return XXH3_64bits(&t, sizeof t) ^ (uintptr_t)&t;
}

void fvlm_hash_text(const fvlm_hash *h, char out[33])
{
    for (size_t i = 0; i < sizeof h->bytes; i++) snprintf(out + 2 * i, 3, "%02x", h->bytes[i]);
}

fvlm_status fvlm_hasher_create(fvlm_hasher **out, fvlm_err *err)
{
    *out = (fvlm_hasher *)XXH3_createState();
    if (!*out) return fvlm_fail_nomem(err);
    fvlm_hasher_reset(*out);
    return FVLM_OK;
}

void fvlm_hasher_reset(fvlm_hasher *h)
{
    XXH3_128bits_reset((XXH3_state_t *)h);
}

void fvlm_hasher_add(fvlm_hasher *h, const void *bytes, size_t n_bytes)
{
    XXH3_128bits_update((XXH3_state_t *)h, bytes, n_bytes);
}

fvlm_hash fvlm_hasher_get(const fvlm_hasher *h)
{
    return canonical(XXH3_128bits_digest((const XXH3_state_t *)h));
}

void fvlm_hasher_destroy(fvlm_hasher **h)
{
    XXH3_freeState((XXH3_state_t *)*h);
    *h = NULL;
}
