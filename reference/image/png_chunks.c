/* SPDX-License-Identifier: Apache-2.0 */
/* png_chunks.c - see png_chunks.h. */
#include "reference/image/png_chunks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAX_TEXT = 1 << 20 }; /* Pillow's MAX_TEXT_CHUNK */

typedef struct {
    const uint8_t *bytes; /* NULL: none */
    size_t n;
} span;

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool takes(span *s, const char *prefix, size_t n)
{
    if (s->n < n || memcmp(s->bytes, prefix, n)) return false;
    s->bytes += n, s->n -= n;
    return true;
}

/* Drops a text that ends in a zero, and the zero. */
static bool drop_text(span *s)
{
    const uint8_t *end = s->n ? memchr(s->bytes, 0, s->n) : NULL;
    if (!end) return false;
    s->n -= (size_t)(end + 1 - s->bytes);
    s->bytes = end + 1;
    return true;
}

/* Where an unpacked text is kept until the caller frees it, and what becomes FVLM_NOMEM if there is no memory for it.
 */
typedef struct {
    uint8_t **owned;
    fvlm_status *status;
} memory;

/* Inflates s. */
static span inflated(span s, memory m)
{
    uLongf n = MAX_TEXT;
    *m.owned = malloc(MAX_TEXT);
    const int code = !*m.owned          ? Z_MEM_ERROR
                     : s.n > UINT32_MAX ? Z_DATA_ERROR
                                        : uncompress(*m.owned, &n, s.bytes, (uLong)s.n);
    if (code == Z_MEM_ERROR) *m.status = FVLM_NOMEM;
    return code == Z_OK ? (span){*m.owned, n} : (span){0};
}

/* A text chunk after its keyword: the text, in the file or in memory of its own. */
static span text_of(span s, const char *type, memory m)
{
    bool packed = type[0] == 'z';
    if (type[0] == 't') return s;
    if (type[0] == 'i') {
        if (s.n < 2) return (span){0};
        packed = s.bytes[0] != 0;
        s.bytes++, s.n--;
    }
    if (!s.n || s.bytes[0]) return (span){0}; /* a method other than deflate */
    s.bytes++, s.n--;
    if (type[0] == 'i' && (!drop_text(&s) || !drop_text(&s))) return (span){0};
    return packed ? inflated(s, m) : s;
}

static int digit(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* ImageMagick's "\nexif\n    1234\n4578..." : bytes in hexadecimal after the third newline. */
static span raw_profile(span s, memory m)
{
    for (int i = 0; i < 3; i++) {
        const uint8_t *line = s.n ? memchr(s.bytes, '\n', s.n) : NULL;
        if (!line) return (span){0};
        s.n -= (size_t)(line + 1 - s.bytes);
        s.bytes = line + 1;
    }
    if (s.n > 2 * MAX_TEXT) s.n = 2 * MAX_TEXT; /* the orientation lies in the first kilobytes */
    uint8_t *out = malloc(s.n / 2 + 1);
    size_t n = 0;
    int high = -1;
    if (!out) *m.status = FVLM_NOMEM;
    for (size_t i = 0; out && i < s.n; i++) {
        const int d = digit(s.bytes[i]);
        if (d < 0) continue;
        if (high >= 0) out[n++] = (uint8_t)(high << 4 | d);
        high = high >= 0 ? -1 : d;
    }
    free(*m.owned);
    *m.owned = out;
    return (span){out, out ? n : 0};
}

/* Chunks of the kinds that hold metadata, and for texts their type. */
typedef struct {
    span exif, profile, xmp;
    char profile_type, xmp_type;
} found;

static void sort_chunk(fvlm_png_chunks *out, found *f, const char *type, span data, bool after_pixels)
{
    static const char profile[] = "Raw profile type exif", xmp[] = "XML:com.adobe.xmp"; /* with their zero */
    if (!memcmp(type, "CgBI", 4)) out->cgbi = true;
    if (!memcmp(type, "acTL", 4)) out->animated = true;
    if (!memcmp(type, "tRNS", 4) && !after_pixels) out->trns = data.bytes, out->n_trns = data.n;
    if (!memcmp(type, "eXIf", 4)) f->exif = data;
    if (memcmp(type + 1, type[0] == 't' ? "EXt" : "TXt", 3) || !strchr("tzi", type[0])) return;
    if (takes(&data, profile, sizeof profile)) f->profile = data, f->profile_type = type[0];
    if (takes(&data, xmp, sizeof xmp) && type[0] == 'i') f->xmp = data, f->xmp_type = type[0];
}

fvlm_status fvlm_png_chunks_find(fvlm_png_chunks *out, const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    found f = {0};
    fvlm_status st = FVLM_OK;
    bool after_pixels = false;
    *out = (fvlm_png_chunks){0};
    for (size_t at = 8; n_bytes - at >= 12;) {
        const size_t n = load_be32(bytes + at), left = n_bytes - at - 12;
        char type[5] = {0};
        memcpy(type, bytes + at + 4, 4);
        out->cut = n > left && !memcmp(type, "IDAT", 4);
        if (n > left || !memcmp(type, "IEND", 4)) break;
        after_pixels |= !memcmp(type, "IDAT", 4);
        sort_chunk(out, &f, type, (span){bytes + at + 8, n}, after_pixels);
        at += n + 12;
    }
    if (f.profile.bytes && !f.exif.bytes) {
        const memory m = {&out->texts[0], &st};
        f.exif = text_of(f.profile, &f.profile_type, m);
        if (f.exif.bytes) f.exif = raw_profile(f.exif, m);
    }
    if (f.xmp.bytes) f.xmp = text_of(f.xmp, &f.xmp_type, (memory){&out->texts[1], &st});
    out->metadata = (fvlm_image_metadata){f.exif.bytes, f.xmp.bytes, f.exif.n, f.xmp.n};
    return st ? fvlm_fail_nomem(err) : FVLM_OK;
}

void fvlm_png_chunks_free(fvlm_png_chunks *c)
{
    free(c->texts[0]);
    free(c->texts[1]);
    *c = (fvlm_png_chunks){0};
}
