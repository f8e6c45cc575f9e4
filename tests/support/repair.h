/* SPDX-License-Identifier: Apache-2.0 */
/* repair.h - a .fvlm file in memory that tests damage on purpose, with its hashes made right again:
 * a checksum answers accidents, not attackers, so the parser must stand without it. */
#ifndef FVLM_TESTS_SUPPORT_REPAIR_H
#define FVLM_TESTS_SUPPORT_REPAIR_H

#include "format/reader_internal.h"

typedef struct {
    uint8_t *bytes;
    size_t n_bytes;
} test_image;

/* Recomputes the hashes of the index, metadata and tokenizer sections (where they still lie inside
 * the file) and of the header. */
void test_repair(test_image *x);

/* Replaces the stored bytes of the metadata (kind 3) or tokenizer (kind 4) section, moves what follows,
 * and repairs. raw_bytes is what the header shall claim. */
void test_replace_section(test_image *x, uint32_t kind, const void *stored, size_t n_bytes, uint64_t raw_bytes);

/* Opens the image through a memory file. If it opens: touches all it can reach and checks that what
 * the reader says is consistent; aborts the test program if not. Returns opening's status, or verify's. */
fvlm_status test_try(const test_image *x, fvlm_err *err);

#endif
