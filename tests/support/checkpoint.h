/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - small random checkpoint folders in Apple's layout, for the tests of convert.
 *
 * Three stages (RepMixer 16, RepMixer 32 with a position encoding, attention 64), two LLM layers of 32.
 * Layer scales lie in 0.1 .. 1, BatchNorm variances span two decades, no bias is zero. A value is rounded
 * to its storage type when it is made, so 'values' is what the file says. */
#ifndef FVLM_TESTS_SUPPORT_CHECKPOINT_H
#define FVLM_TESTS_SUPPORT_CHECKPOINT_H

#include "convert/source/source.h"

#define TEST_TOWER "model.vision_tower.vision_tower.model."
#define TEST_ROWS 320 /* of the embedding; the tokenizer reaches 310 */
#define TEST_IDS 310

typedef struct {
    char name[256];
    unsigned type; /* fvlm_source_type */
    unsigned rank;
    uint64_t dims[4];
    size_t n;
    double *values;
} test_tensor;

typedef struct {
    test_tensor *items; /* in the order they go into the file */
    size_t n, room;
    char config[2048]; /* config.json */
    char notes[512];   /* further members of __metadata__: ,"key":"value" */
} test_checkpoint;

void test_checkpoint_make(test_checkpoint *c, bool train_time, unsigned type);
void test_checkpoint_free(test_checkpoint *c);

test_tensor *test_tensor_find(const test_checkpoint *c, const char *name); /* asserts it is there */
test_tensor *test_tensor_add(test_checkpoint *c, const char *name, unsigned type, unsigned rank, const uint64_t *dims);
void test_tensor_remove(test_checkpoint *c, const char *name);
void test_tensor_round(test_tensor *t); /* values to what t->type can hold */

/* First place of 'from' in config.json becomes 'to'; asserts it is there. */
void test_config_replace(test_checkpoint *c, const char *from, const char *to);

/* checkpoint_pack.c: packs a module's weight, as MLX does (bits that divide 32, groups of 32, scales in bf16), or as
 * GPTQ or AWQ do (4 bits, groups of 32, scales in f16). config.json is the caller's. */
void test_checkpoint_pack(test_checkpoint *c, const char *module, unsigned bits);
void test_checkpoint_pack_columns(test_checkpoint *c, const char *module, bool awq);

/* The whole folder: config.json, generation_config.json, tokenizer files, model.safetensors. */
void test_checkpoint_write(const test_checkpoint *c, const char *folder);

/* Tensors first .. end-1 as one .safetensors file in memory; malloc'd. */
uint8_t *test_checkpoint_bytes(const test_checkpoint *c, size_t first, size_t end, size_t *n_bytes);

void test_write_text(const char *folder, const char *name, const char *text);
void test_remove_file(const char *folder, const char *name);

#endif
