/* SPDX-License-Identifier: Apache-2.0 */
/* support.h - what tests share: a folder that goes away, whole files, chance with a seed,
 * and small .fvlm files that have every type. */
#ifndef FVLM_TESTS_SUPPORT_SUPPORT_H
#define FVLM_TESTS_SUPPORT_SUPPORT_H

#include <jansson.h>

#include "format/reader.h"

/* A fresh folder under $TMPDIR; returns path (at least 256 bytes). Removed when the program ends. */
const char *test_folder(char path[256]);

/* "folder/name"; malloc'd. */
char *test_path(const char *folder, const char *name);

uint8_t *test_read_file(const char *path, size_t *n_bytes); /* malloc'd; NULL if it cannot be read */
bool test_write_file(const char *path, const void *bytes, size_t n_bytes);
size_t test_count_entries(const char *folder); /* without "." and ".." */

/* Replaces the folder's path by "F" wherever a message has it. */
void test_hide_folder(char *message, const char *folder);

/* xorshift64*: the same numbers everywhere. seed is never 0. */
typedef struct {
    uint64_t state;
} test_rng;
uint64_t test_u64(test_rng *r);
uint64_t test_below(test_rng *r, uint64_t n); /* 0 .. n-1 */
double test_unit(test_rng *r);                /* 0 <= x < 1 */
float test_normal(test_rng *r);               /* mean 0, deviation 1 */
void test_fill(test_rng *r, void *out, size_t n_bytes);

/* A config that passes fvlm_config_from_json: two narrow stages, one layer. */
void test_config(fvlm_config *out);

/* How a tensor in panels lies in its bytes. Ends the program if it cannot. */
fvlm_matrix test_matrix(const fvlm_tensor *t);

/* Every type in every layout that exists (see test_sample_n), filled with bytes that depend on the
 * name only. reverse: appended in the opposite order and in odd pieces. */
fvlm_status test_sample(const char *path, bool force, bool reverse, fvlm_pool *pool, fvlm_err *err);
size_t test_sample_n(void);

/* Name and shape of tensor i of the sample, and its bytes (malloc'd, t->n_bytes long). */
void test_sample_tensor(size_t i, char name[64], fvlm_tensor *t);
uint8_t *test_sample_bytes(const fvlm_tensor *t);

#endif
