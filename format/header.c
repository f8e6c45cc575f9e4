/* SPDX-License-Identifier: Apache-2.0 */
/* header.c - see header.h. */
#include "format/header.h"

#include <inttypes.h>
#include <string.h>

#define FIXED_BYTES 48
#define ENTRY_BYTES 64
#define HASH_AT (FVLM_HEADER_BYTES - 16)

/* Like PNG's: a byte above 127, the name, and line ends that a transfer in text mode would change. */
static const uint8_t magic[8] = {0x89, 'F', 'V', 'L', 'M', '\r', '\n', 0x1a};

void fvlm_header_encode(fvlm_header *h, uint8_t bytes[FVLM_HEADER_BYTES])
{
    memset(bytes, 0, FVLM_HEADER_BYTES);
    memcpy(bytes, magic, sizeof magic);
    fvlm_store_u32(bytes + 8, FVLM_FORMAT_VERSION);
    fvlm_store_u32(bytes + 12, (uint32_t)h->n_sections);
    fvlm_store_u64(bytes + 16, h->must_understand);
    fvlm_store_u64(bytes + 24, h->may_ignore);
    fvlm_store_u64(bytes + 32, h->file_bytes);
    for (size_t i = 0; i < h->n_sections; i++) {
        uint8_t *p = bytes + FIXED_BYTES + i * ENTRY_BYTES;
        const fvlm_section *s = &h->section[i];
        fvlm_store_u32(p, s->kind);
        fvlm_store_u32(p + 4, s->encoding);
        fvlm_store_u64(p + 8, s->offset);
        fvlm_store_u64(p + 16, s->n_bytes);
        fvlm_store_u64(p + 24, s->raw_bytes);
        memcpy(p + 32, s->hash.bytes, 16);
    }
    h->hash = fvlm_hash_of(bytes, HASH_AT);
    memcpy(bytes + HASH_AT, h->hash.bytes, 16);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static fvlm_status check_kind(const fvlm_section *s, size_t i, uint64_t at, fvlm_err *err)
{
    if (i < FVLM_N_SECTIONS && s->kind != i + 1)
        return fvlm_refuse(err, at, "section %zu is of kind %" PRIu32 ", expected %zu", i, s->kind, i + 1);
    if (i >= FVLM_N_SECTIONS && !(s->kind & FVLM_SECTION_IGNORABLE))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "section %zu is of the unknown kind %" PRIu32, i, s->kind);
    bool raw_only = s->kind == FVLM_SECTION_INDEX || s->kind == FVLM_SECTION_DATA;
    if (s->encoding > FVLM_ENCODING_ZSTD || (raw_only && s->encoding != FVLM_ENCODING_RAW))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "section %zu has encoding %" PRIu32, i, s->encoding);
    if (s->encoding == FVLM_ENCODING_RAW && s->raw_bytes != s->n_bytes)
        return fvlm_refuse(err, at + 24, "section %zu is stored raw, but its two sizes differ", i);
    if (s->kind == FVLM_SECTION_DATA && !all_zero(s->hash.bytes, 16))
        return fvlm_refuse(err, at + 32, "the data section has a hash of its own");
    uint64_t limit = s->kind == FVLM_SECTION_INDEX       ? FVLM_MAX_INDEX_BYTES
                     : s->kind == FVLM_SECTION_META      ? FVLM_MAX_META_BYTES
                     : s->kind == FVLM_SECTION_TOKENIZER ? FVLM_MAX_TOKENIZER_BYTES
                                                         : INT64_MAX;
    uint64_t larger = s->raw_bytes > s->n_bytes ? s->raw_bytes : s->n_bytes;
    if (larger > limit)
        return fvlm_fail(err, FVLM_LIMIT, "section %zu has %" PRIu64 " bytes, at most %" PRIu64 " are allowed", i,
                         larger, limit);
    return FVLM_OK;
}

/* Sections follow one another, each at the next multiple of 16 KiB; the last ends the file. */
static fvlm_status decode_sections(fvlm_header *h, fvlm_cursor *c, fvlm_err *err)
{
    uint64_t end = FVLM_HEADER_BYTES;
    for (size_t i = 0; i < h->n_sections; i++) {
        fvlm_section *s = &h->section[i];
        uint64_t at = c->pos, expected;
        s->kind = fvlm_cursor_take_u32(c);
        s->encoding = fvlm_cursor_take_u32(c);
        s->offset = fvlm_cursor_take_u64(c);
        s->n_bytes = fvlm_cursor_take_u64(c);
        s->raw_bytes = fvlm_cursor_take_u64(c);
        const uint8_t *hash = fvlm_cursor_take(c, 16), *rest = fvlm_cursor_take(c, 16);
        if (!hash || !rest) return fvlm_refuse(err, at, "the section table is cut short");
        memcpy(s->hash.bytes, hash, 16);
        if (!all_zero(rest, 16)) return fvlm_refuse(err, at + 48, "section %zu: reserved bytes are not zero", i);
        fvlm_status st = check_kind(s, i, at, err);
        if (st) return st;
        if (!fvlm_checked_round_up(end, FVLM_SECTION_ALIGN, &expected) || s->offset != expected)
            return fvlm_refuse(err, at + 8, "section %zu begins at %" PRIu64 ", expected %" PRIu64, i, s->offset,
                               expected);
        if (!fvlm_checked_add(s->offset, s->n_bytes, &end) || end > h->file_bytes)
            return fvlm_refuse(err, at + 16, "section %zu runs past the end of the file", i);
    }
    if (end != h->file_bytes)
        return fvlm_refuse(err, end, "%" PRIu64 " bytes follow the last section", h->file_bytes - end);
    return FVLM_OK;
}

fvlm_status fvlm_header_decode(fvlm_header *out, const uint8_t bytes[FVLM_HEADER_BYTES], uint64_t file_bytes,
                               fvlm_err *err)
{
    memset(out, 0, sizeof *out);
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return fvlm_refuse(err, 0, "not a .fvlm file (make one with 'fvlm convert')");
    out->hash = fvlm_hash_of(bytes, HASH_AT);
    if (memcmp(out->hash.bytes, bytes + HASH_AT, 16))
        return fvlm_fail(err, FVLM_MISMATCH, "the header is damaged (its hash differs)");
    fvlm_cursor c = fvlm_cursor_over(bytes, HASH_AT);
    fvlm_cursor_take(&c, sizeof magic);
    uint32_t version = fvlm_cursor_take_u32(&c), n_sections = fvlm_cursor_take_u32(&c);
    if (version != FVLM_FORMAT_VERSION)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "format version %" PRIu32 "; this fvlm reads version %d", version,
                         FVLM_FORMAT_VERSION);
    out->must_understand = fvlm_cursor_take_u64(&c);
    out->may_ignore = fvlm_cursor_take_u64(&c);
    out->file_bytes = fvlm_cursor_take_u64(&c);
    const uint64_t unknown = out->must_understand & ~(uint64_t)(FVLM_FEATURE_NO_LLM | FVLM_FEATURE_TOKENIZER_KIND |
                                                                FVLM_FEATURE_FAMILY | FVLM_FEATURE_TILES);
    if (unknown)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "needs features %#" PRIx64 " that this fvlm does not have", unknown);
    if (out->file_bytes != file_bytes)
        return fvlm_refuse(err, file_bytes, "%s: it has %" PRIu64 " bytes, its header says %" PRIu64,
                           file_bytes < out->file_bytes ? "cut short" : "too long", file_bytes, out->file_bytes);
    if (fvlm_cursor_take_u64(&c)) return fvlm_refuse(err, 40, "reserved bytes of the header are not zero");
    if (n_sections < FVLM_N_SECTIONS || n_sections > FVLM_MAX_SECTIONS)
        return fvlm_refuse(err, 12, "%" PRIu32 " sections, expected %d to %d", n_sections, FVLM_N_SECTIONS,
                           FVLM_MAX_SECTIONS);
    out->n_sections = n_sections;
    fvlm_status st = decode_sections(out, &c, err);
    if (!st && !all_zero(bytes + c.pos, HASH_AT - c.pos))
        st = fvlm_refuse(err, c.pos, "bytes after the section table are not zero");
    return st;
}
