/* SPDX-License-Identifier: Apache-2.0 */
/* header.h - the first 4 KiB of a .fvlm file: identity, features, section table. SPEC.md, section 2.
 * Private to format/. */
#ifndef FVLM_FORMAT_HEADER_H
#define FVLM_FORMAT_HEADER_H

#include "format/tensor.h"

#define FVLM_FORMAT_VERSION 1
#define FVLM_FEATURE_NO_LLM 1u /* must-understand bit 0: config and tensors end with the tower or the projector */
#define FVLM_FEATURE_TOKENIZER_KIND 2u /* must-understand bit 1: the tokenizer section says its kind */
#define FVLM_FEATURE_FAMILY 4u         /* must-understand bit 2: config.llm.family */
#define FVLM_FEATURE_TILES 8u          /* must-understand bit 3: config.tiles */
#define FVLM_HEADER_BYTES 4096
#define FVLM_SECTION_ALIGN 16384 /* page size of current phones */
#define FVLM_TENSOR_ALIGN 64
#define FVLM_MAX_SECTIONS 63 /* as many as the header can hold */
#define FVLM_MAX_INDEX_BYTES (32u << 20)
#define FVLM_MAX_META_BYTES (16u << 20)      /* decompressed */
#define FVLM_MAX_TOKENIZER_BYTES (64u << 20) /* decompressed */

/* The first four sections, in this order. Readers may skip unknown kinds whose top bit is set. */
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
    uint64_t must_understand, may_ignore; /* feature bits; FVLM_FEATURE_* of the first are known */
    uint64_t file_bytes;
    size_t n_sections;
    fvlm_section section[FVLM_MAX_SECTIONS];
    fvlm_hash hash; /* of the header's other bytes: the file's identity */
} fvlm_header;

/* Fills bytes and h->hash. */
void fvlm_header_encode(fvlm_header *h, uint8_t bytes[FVLM_HEADER_BYTES]);

/* Checks everything that these bytes and the size of the file (file_bytes) can show. Errors do not name the file. */
fvlm_status fvlm_header_decode(fvlm_header *out, const uint8_t bytes[FVLM_HEADER_BYTES], uint64_t file_bytes,
                               fvlm_err *err);

#endif
