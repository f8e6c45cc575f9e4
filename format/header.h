/* SPDX-License-Identifier: Apache-2.0 */
/* header.h - the first 4 KiB of a .fvlm file: who it is and where its sections are.
 * SPEC.md is the prose; both reader and writer go through here. */
#ifndef FVLM_FORMAT_HEADER_H
#define FVLM_FORMAT_HEADER_H

#include "format/tensor.h"

#define FVLM_FORMAT_VERSION 1
#define FVLM_HEADER_BYTES 4096
#define FVLM_SECTION_ALIGN 16384 /* phones page at 16 KiB */
#define FVLM_TENSOR_ALIGN 64
#define FVLM_MAX_SECTIONS 63 /* what fits between the fixed fields and the hash */
#define FVLM_MAX_INDEX_BYTES (32u << 20)
#define FVLM_MAX_META_BYTES (16u << 20)      /* decompressed */
#define FVLM_MAX_TOKENIZER_BYTES (64u << 20) /* decompressed */

/* The first four sections, in this order. Kinds with the top bit may be ignored by who does not know them. */
enum { FVLM_SECTION_INDEX = 1, FVLM_SECTION_DATA = 2, FVLM_SECTION_META = 3, FVLM_SECTION_TOKENIZER = 4 };
enum { FVLM_N_SECTIONS = 4 };
#define FVLM_SECTION_IGNORABLE 0x80000000u

enum { FVLM_ENCODING_RAW = 0, FVLM_ENCODING_ZSTD = 1 };

typedef struct {
    uint32_t kind, encoding;
    uint64_t offset, n_bytes; /* as stored */
    uint64_t raw_bytes;       /* after decompression */
    fvlm_hash hash;           /* of the stored bytes; zero for the data section, whose tensors have their own */
} fvlm_section;

typedef struct {
    uint64_t must_understand, may_ignore; /* feature bits; version 1 knows none of either */
    uint64_t file_bytes;
    size_t n_sections;
    fvlm_section section[FVLM_MAX_SECTIONS];
    fvlm_hash hash; /* of the header's bytes before it: the file's identity */
} fvlm_header;

/* Fills bytes and h->hash. */
void fvlm_header_encode(fvlm_header *h, uint8_t bytes[FVLM_HEADER_BYTES]);

/* Checks everything that can be checked without reading on. file_bytes is what the system says. */
fvlm_status fvlm_header_decode(fvlm_header *out, const uint8_t bytes[FVLM_HEADER_BYTES], uint64_t file_bytes,
                               fvlm_err *err);

#endif
