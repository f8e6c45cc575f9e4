/* SPDX-License-Identifier: Apache-2.0 */
/* section.c - see section.h. */
#include "format/section.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "format/base/file.h"

#define LEVEL 9 /* 0.2 s for the 0.5B's tokenizer; higher levels save 3 % and take seconds */

enum {
    IN_ONE_CALL = 6 << 20, /* at most so many bytes, 0.2 s: every tokenizer that exists */
    AT_A_TIME = 1 << 20    /* of a larger text, so that it can be stopped */
};

static fvlm_status compress(ZSTD_CCtx *z, ZSTD_outBuffer *out, const char *raw, size_t raw_bytes, const fvlm_stop *stop,
                            fvlm_err *err)
{
    const size_t at_a_time = raw_bytes > IN_ONE_CALL ? AT_A_TIME : raw_bytes;
    ZSTD_inBuffer in = {raw, 0, 0};
    fvlm_status st = FVLM_OK;
    size_t left = 1; /* to be written; 0 when the frame is complete */
    ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setPledgedSrcSize(z, raw_bytes);
    while (!st && left) {
        in.size += raw_bytes - in.size < at_a_time ? raw_bytes - in.size : at_a_time;
        left = ZSTD_compressStream2(z, out, &in, in.size == raw_bytes ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation) return fvlm_fail_nomem(err);
        if (ZSTD_isError(left)) return fvlm_fail(err, FVLM_NOMEM, "compression failed: %s", ZSTD_getErrorName(left));
        if (in.size < raw_bytes) left = 1;
        st = fvlm_stop_check(stop, err);
    }
    return st;
}

fvlm_status fvlm_section_pack(uint8_t **out, size_t *n_bytes, const char *raw, size_t raw_bytes, const fvlm_stop *stop,
                              fvlm_err *err)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    const size_t capacity = ZSTD_compressBound(raw_bytes);
    uint8_t *packed = fvlm_alloc(capacity, 1);
    ZSTD_outBuffer to = {packed, capacity, 0};
    const fvlm_status st = z && packed ? compress(z, &to, raw, raw_bytes, stop, err) : fvlm_fail_nomem(err);
    ZSTD_freeCCtx(z);
    if (st)
        free(packed);
    else
        *out = packed;
    *n_bytes = to.pos;
    return st;
}

fvlm_status fvlm_section_read(uint8_t **out, const fvlm_section *s, int fd, const char *path, const char *what,
                              fvlm_err *err)
{
    *out = NULL;
    size_t n_bytes;
    uint8_t *stored = fvlm_checked_size(s->n_bytes, &n_bytes) ? malloc(n_bytes ? n_bytes : 1) : NULL;
    if (!stored) return fvlm_fail_nomem(err);
    fvlm_status st = fvlm_file_read(fd, path, s->offset, stored, n_bytes, err);
    if (!st) {
        fvlm_hash h = fvlm_hash_of(stored, n_bytes);
        if (!fvlm_hash_equal(&h, &s->hash))
            st = fvlm_fail(err, FVLM_MISMATCH, "\"%s\": the %s at byte %" PRIu64 " is damaged (its hash differs)", path,
                           what, s->offset);
    }
    if (st)
        free(stored);
    else
        *out = stored;
    return st;
}

/* A skippable frame, a second frame or a dictionary could hide bytes that no reader examines. */
static bool frame_is_plain(const fvlm_section *s, const uint8_t *stored)
{
    size_t n = (size_t)s->n_bytes;
    return n >= 4 && fvlm_load_u32(stored) == ZSTD_MAGICNUMBER && ZSTD_getFrameContentSize(stored, n) == s->raw_bytes &&
           ZSTD_findFrameCompressedSize(stored, n) == n && ZSTD_getDictID_fromFrame(stored, n) == 0;
}

fvlm_status fvlm_section_unpack(char **out, const fvlm_section *s, int fd, const char *path, const char *what,
                                fvlm_err *err)
{
    *out = NULL;
    uint8_t *stored;
    fvlm_status st = fvlm_section_read(&stored, s, fd, path, what, err);
    if (st) return st;
    bool packed = s->encoding == FVLM_ENCODING_ZSTD;
    char *text = NULL;
    if (packed && !frame_is_plain(s, stored))
        st = fvlm_refuse(err, s->offset, "\"%s\": the %s is not one zstd frame of %" PRIu64 " bytes", path, what,
                         s->raw_bytes);
    else if (!(text = malloc((size_t)s->raw_bytes + 1)))
        st = fvlm_fail_nomem(err);
    else if (!packed)
        memcpy(text, stored, (size_t)s->raw_bytes);
    else {
        const size_t n = ZSTD_decompress(text, (size_t)s->raw_bytes, stored, (size_t)s->n_bytes);
        if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
            st = fvlm_fail_nomem(err);
        else if (n != s->raw_bytes)
            st = fvlm_refuse(err, s->offset, "\"%s\": the %s does not decompress", path, what);
    }
    free(stored);
    if (st) {
        free(text);
        return st;
    }
    text[s->raw_bytes] = 0;
    *out = text;
    return FVLM_OK;
}
