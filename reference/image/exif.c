/* SPDX-License-Identifier: Apache-2.0 */
/* exif.c - see exif.h. An EXIF block is a TIFF file without an image. */
#define _GNU_SOURCE 1 /* memmem */
#include "reference/image/exif.h"

#include <stdbool.h>
#include <string.h>

enum { ORIENTATION = 0x112, ENTRY_BYTES = 12, ABSENT = -1 };

typedef struct {
    const uint8_t *bytes;
    size_t n;
    bool big_endian;
} tiff;

/* Bytes that the caller has checked to be there, as a number. */
static uint64_t number(const tiff *t, size_t at, size_t n_bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n_bytes; i++) v |= (uint64_t)t->bytes[at + i] << 8 * (t->big_endian ? n_bytes - 1 - i : i);
    return v;
}

/* Bytes of a value of that TIFF type; 0 for a type that does not exist. */
static size_t size_of(uint32_t type)
{
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
    return type < sizeof sizes ? sizes[type] : 0;
}

/* The value that begins at that offset, or zero, which is no orientation, unless it equals a number from 1 to 8. */
static int64_t value_at(const tiff *t, size_t at, uint32_t type)
{
    const size_t n = size_of(type);
    const uint64_t bits = number(t, at, n > 4 && (type == 5 || type == 10) ? 4 : n);
    float f = 0;
    double d = 0;
    switch (type) {
    case 5:
    case 10: { /* numerator, denominator; both negative make a positive number */
        const uint32_t over = (uint32_t)number(t, at + 4, 4);
        const int64_t num = type == 5 ? (int64_t)bits : (int32_t)bits, den = type == 5 ? (int64_t)over : (int32_t)over;
        return den && num % den == 0 ? num / den : 0;
    }
    case 11:
        memcpy(&f, &(uint32_t){(uint32_t)bits}, sizeof f);
        d = (double)f;
        break;
    case 12:
        memcpy(&d, &bits, sizeof d);
        break;
    default: /* integers; of the signed ones only the positive ones count */
        return type == 1 || type == 2 || type == 7 || bits > 8 ? 0 : (int64_t)bits;
    }
    return d >= 1 && d <= 8 && d == (double)(int64_t)d ? (int64_t)d : 0;
}

/* The first value of the entry at that offset, or ABSENT if it holds none. */
static int64_t value_of(const tiff *t, size_t entry)
{
    const uint32_t type = (uint32_t)number(t, entry + 2, 2);
    const uint64_t n = number(t, entry + 4, 4) * size_of(type);
    if (!n) return ABSENT;
    size_t at = entry + 8;
    if (n > 4) {
        at = (size_t)number(t, at, 4);
        if (at > t->n || n > t->n - at) return ABSENT;
    }
    return value_at(t, at, type);
}

static int64_t orientation_of_exif(const uint8_t *b, size_t n)
{
    for (int i = 0; i < 2 && n >= 6 && !memcmp(b, "Exif\0\0", 6); i++) b += 6, n -= 6;
    if (n < 8 || (memcmp(b, "II", 2) && memcmp(b, "MM", 2))) return ABSENT;
    if (memcmp(b + 2, "*\0", 2) && memcmp(b + 2, "\0*", 2)) return ABSENT;
    const tiff t = {b, n, b[0] == 'M'};
    const size_t at = (size_t)number(&t, 4, 4);
    if (at > n || n - at < 2) return ABSENT;
    const size_t n_entries = (size_t)number(&t, at, 2);
    for (size_t i = 0; i < n_entries; i++) {
        const size_t entry = at + 2 + i * ENTRY_BYTES;
        if (n - at < 2 + (i + 1) * ENTRY_BYTES) break;
        const int64_t value = number(&t, entry, 2) == ORIENTATION ? value_of(&t, entry) : ABSENT;
        if (value != ABSENT) return value;
    }
    return ABSENT;
}

/* As the regular expression tiff:Orientation(="|>)([0-9]) finds it. */
static int64_t orientation_of_xmp(const uint8_t *b, size_t n)
{
    static const char key[] = "tiff:Orientation";
    const uint8_t *end = b + n;
    for (const uint8_t *p = b; (p = memmem(p, (size_t)(end - p), key, sizeof key - 1));) {
        p += sizeof key - 1;
        const size_t left = (size_t)(end - p), quote = left > 2 && !memcmp(p, "=\"", 2) ? 2 : left > 1 && *p == '>';
        if (quote && p[quote] >= '0' && p[quote] <= '9') return p[quote] - '0';
    }
    return ABSENT;
}

unsigned fvlm_exif_orientation(const fvlm_image_metadata *m)
{
    int64_t value = m->exif ? orientation_of_exif(m->exif, m->n_exif) : ABSENT;
    if (value == ABSENT && m->xmp) value = orientation_of_xmp(m->xmp, m->n_xmp);
    return value >= 1 && value <= 8 ? (unsigned)value : 1;
}
