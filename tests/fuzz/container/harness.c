/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as the index, metadata and header fields of a .fvlm file whose hashes are right: refused with a
 * message, or all that the reader says is consistent (test_try). Built with libFuzzer by tests/fuzz/run.sh;
 * tests/format/hostile.c and texts.c walk the same ground without it.
 *
 * Input: u32 size of the data section, u32 size of the index, u16 header position and u64 to xor there, index,
 * metadata. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/repair.h"

#define FIXED 18
#define MAX_DATA 131072

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t next_section(size_t end)
{
    return (end + FVLM_SECTION_ALIGN - 1) / FVLM_SECTION_ALIGN * FVLM_SECTION_ALIGN;
}

static void add_section(fvlm_header *h, uint32_t kind, size_t offset, size_t n_bytes)
{
    h->section[kind - 1] = (fvlm_section){.kind = kind, .offset = offset, .n_bytes = n_bytes, .raw_bytes = n_bytes};
    h->n_sections = kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FIXED) return 0;
    fvlm_err err = {0};
    fvlm_header h = {0};
    size_t n_data = fvlm_load_u32(data) % MAX_DATA, n_index = fvlm_load_u32(data + 4), left = size - FIXED;
    size_t position = fvlm_load_u16(data + 8) % (FVLM_HEADER_BYTES - 24);
    if (n_index > left) n_index = left;
    size_t n_meta = left - n_index, data_at = next_section(FVLM_SECTION_ALIGN + n_index);
    size_t meta_at = next_section(data_at + n_data), end = next_section(meta_at + n_meta);
    add_section(&h, FVLM_SECTION_INDEX, FVLM_SECTION_ALIGN, n_index);
    add_section(&h, FVLM_SECTION_DATA, data_at, n_data);
    add_section(&h, FVLM_SECTION_META, meta_at, n_meta);
    add_section(&h, FVLM_SECTION_TOKENIZER, end, 0);
    h.file_bytes = end;
    test_image x = {calloc(end, 1), end};
    if (!x.bytes) return 0;
    fvlm_header_encode(&h, x.bytes);
    memcpy(x.bytes + FVLM_SECTION_ALIGN, data + FIXED, n_index);
    memcpy(x.bytes + meta_at, data + FIXED + n_index, n_meta);
    fvlm_store_u64(x.bytes + position, fvlm_load_u64(x.bytes + position) ^ fvlm_load_u64(data + 10));
    test_repair(&x);
    fvlm_status st = test_try(&x, &err);
    if (st && (err.code != st || !err.msg[0])) abort();
    free(x.bytes);
    return 0;
}
