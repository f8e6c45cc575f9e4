/* SPDX-License-Identifier: Apache-2.0 */
/* piece_charsmap.c - see piece_model.h. The bytes: size of the trie in bytes (u32, little-endian), the trie, the
 * targets. The trie is a double array of Darts-clone; SPEC.md, section 7.2, says how it is read. Branches may share
 * units, so that a damaged one may have more rules than any file has bytes: steps are limited. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/piece_model.h"
#include "format/base/utf8.h"

enum { MAX_DEPTH = 64, MAX_STEPS = 1 << 20, MAX_NESTED = 32 }; /* nmt_nfkc: 10 bytes, 261,992 steps, 4 nested */

/* What has been tried of one node. */
typedef struct {
    uint32_t base;   /* children are at base ^ byte */
    uint16_t next;   /* the byte to try */
    uint16_t nested; /* rules that end on the way to here */
} node;

typedef struct {
    const fvlm_piece_charsmap *map;
    node stack[MAX_DEPTH];
    uint8_t key[MAX_DEPTH];
    size_t depth; /* nodes on the stack: key has depth - 1 bytes */
    size_t n_steps;
    fvlm_err *err;
} walk;

static uint32_t unit_at(const fvlm_piece_charsmap *m, size_t i)
{
    return fvlm_load_u32(m->trie + 4 * i);
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

static bool is_utf8(const uint8_t *s, size_t n)
{
    int32_t c = 0;
    for (size_t i = 0; c >= 0 && i < n; i += fvlm_utf8_next(s + i, n - i, &c)) {
    }
    return c >= 0;
}

/* The rule that ends at the key, whose value is unit 'at'. */
static fvlm_status check_rule(const walk *w, size_t n_key, uint32_t at)
{
    const fvlm_piece_charsmap *m = w->map;
    const uint64_t value = at < m->n_units ? unit_at(m, at) & 0x7fffffff : UINT64_MAX;
    if (at >= m->n_units)
        return fvlm_fail(w->err, FVLM_BAD_INPUT, "the charsmap leads to unit %" PRIu32 " of %zu", at, m->n_units);
    if (value >= m->n_targets)
        return fvlm_fail(w->err, FVLM_BAD_INPUT, "the charsmap has a rule whose text begins at byte %" PRIu64 " of %zu",
                         value, m->n_targets);
    if (!is_utf8(w->key, n_key))
        return fvlm_fail(w->err, FVLM_BAD_INPUT, "the charsmap has a rule for bytes that are not UTF-8");
    const uint8_t *text = (const uint8_t *)m->targets + value;
    if ((*text & 0xc0) == 0x80)
        return fvlm_fail(w->err, FVLM_BAD_INPUT, "the charsmap has a rule whose text begins inside a character");
    return FVLM_OK;
}

/* Tries one byte of the top node. */
static fvlm_status step(walk *w)
{
    node *top = &w->stack[w->depth - 1];
    const uint32_t byte = top->next++, child = top->base ^ byte;
    if (child >= w->map->n_units) return FVLM_OK;
    const uint32_t unit = unit_at(w->map, child);
    if ((unit & 0x800000ff) != byte) return FVLM_OK;
    if (w->depth == MAX_DEPTH)
        return fvlm_fail(w->err, FVLM_BAD_INPUT, "the charsmap has a rule of over %d bytes, or goes in a circle",
                         MAX_DEPTH - 1);
    if (++w->n_steps > MAX_STEPS)
        return fvlm_fail(w->err, FVLM_LIMIT, "the charsmap has rules of over %d bytes in all", MAX_STEPS);
    w->key[w->depth - 1] = (uint8_t)byte;
    const uint32_t base = child ^ offset_of(unit);
    const bool ends = unit & 0x100;
    const uint16_t nested = (uint16_t)(top->nested + ends);
    if (nested > MAX_NESTED)
        return fvlm_fail(w->err, FVLM_LIMIT, "the charsmap has over %d rules that begin alike", MAX_NESTED);
    const fvlm_status st = ends ? check_rule(w, w->depth, base) : FVLM_OK;
    w->stack[w->depth++] = (node){base, 1, nested};
    return st;
}

fvlm_status fvlm_piece_charsmap_read(fvlm_piece_charsmap *out, const uint8_t *bytes, size_t n_bytes,
                                     const fvlm_stop *stop, fvlm_err *err)
{
    *out = (fvlm_piece_charsmap){0};
    if (!n_bytes) return FVLM_OK;
    const uint64_t n_trie = n_bytes > 4 ? fvlm_load_u32(bytes) : 0;
    if (n_bytes <= 4 || n_trie > n_bytes - 4)
        return fvlm_fail(err, FVLM_BAD_INPUT, "the charsmap has %zu bytes, but its trie needs %" PRIu64, n_bytes,
                         n_trie + 4);
    if (n_trie % 4 || !n_trie)
        return fvlm_fail(err, FVLM_BAD_INPUT, "the charsmap's trie has %" PRIu64 " bytes, expected units of 4", n_trie);
    *out = (fvlm_piece_charsmap){bytes + 4, (size_t)n_trie / 4, (const char *)bytes + 4 + n_trie,
                                 n_bytes - 4 - (size_t)n_trie};
    if (!out->n_targets || out->targets[out->n_targets - 1])
        return fvlm_fail(err, FVLM_BAD_INPUT, "the charsmap's texts do not end with a zero byte");
    if (!is_utf8((const uint8_t *)out->targets, out->n_targets))
        return fvlm_fail(err, FVLM_BAD_INPUT, "the charsmap's texts are not UTF-8");
    walk w = {.map = out, .err = err};
    w.stack[w.depth++] = (node){offset_of(unit_at(out, 0)), 1, 0};
    fvlm_status st = FVLM_OK;
    while (!st && w.depth) {
        if (w.stack[w.depth - 1].next < 256)
            st = step(&w);
        else if (--w.depth)
            st = fvlm_stop_check(stop, err);
    }
    return st;
}
