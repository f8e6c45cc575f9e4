/* SPDX-License-Identifier: Apache-2.0 */
/* piece_table.c - pieces by id, and an array of them sorted by text, in which a prefix is a range. */
#include "reference/tokenizer/piece_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/byte_letters.h"

bool fvlm_piece_table_read_texts(fvlm_piece_table *v, fvlm_json_pull *p)
{
    bool first = true;
    fvlm_json_text s;
    fvlm_json_pull_expect(p, '[', "'[', the pieces");
    while (fvlm_json_pull_element(p, &first) && fvlm_json_pull_string(p, &s)) {
        if (v->n == FVLM_MAX_TOKENS)
            return fvlm_json_pull_refuse(p, s.at, FVLM_LIMIT, "more than %u pieces", FVLM_MAX_TOKENS);
        if (!s.n) return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "piece %zu has no text", v->n);
        if (s.n > FVLM_MAX_PIECE_BYTES)
            return fvlm_json_pull_refuse(p, s.at, FVLM_LIMIT, "piece %zu has %zu bytes: at most %d", v->n, s.n,
                                         FVLM_MAX_PIECE_BYTES);
        if (!fvlm_grow(&v->pieces, &v->capacity, v->n + 1, sizeof *v->pieces) ||
            !fvlm_grow(&v->text, &v->text_capacity, v->n_text + s.n, 1))
            return fvlm_json_pull_nomem(p);
        memcpy(v->text + v->n_text, s.s, s.n);
        v->pieces[v->n++] = (fvlm_piece){.at = (uint32_t)v->n_text, .n_bytes = (uint32_t)s.n};
        v->n_text += s.n;
        if (s.n > v->longest) v->longest = s.n;
    }
    return !p->st;
}

bool fvlm_piece_table_read_scores(fvlm_piece_table *v, fvlm_json_pull *p)
{
    bool first = true;
    uint64_t bits;
    fvlm_json_pull_expect(p, '[', "'[', the scores");
    while (fvlm_json_pull_element(p, &first)) {
        const size_t at = p->pos;
        if (!fvlm_json_pull_u64(p, &bits)) break;
        const float score = bits <= UINT32_MAX ? fvlm_f32_from_bits((uint32_t)bits) : NAN;
        if (!isfinite(score))
            return fvlm_json_pull_refuse(p, at, FVLM_BAD_INPUT, "score %zu is not a finite number", v->n_scores);
        if (v->n_scores < v->n) v->pieces[v->n_scores].score = score;
        v->n_scores++;
    }
    return !p->st;
}

bool fvlm_piece_table_read_types(fvlm_piece_table *v, fvlm_json_pull *p)
{
    fvlm_json_text s;
    if (!fvlm_json_pull_string(p, &s)) return false;
    v->n_types = s.n;
    for (size_t i = 0; i < s.n; i++) {
        if (!strchr("nucdxb", s.s[i]))
            return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "unknown type of piece %zu", i);
        if (i < v->n) v->pieces[i].type = s.s[i];
    }
    return true;
}

/* ---- linking ---- */

/* The bytes and the unknown piece. */
static fvlm_status find_reserved(fvlm_piece_table *v, fvlm_err *err)
{
    unsigned n_bytes = 0;
    memset(v->of_byte, 0xff, sizeof v->of_byte);
    v->unknown = FVLM_NO_PIECE;
    for (size_t id = 0; id < v->n; id++) {
        const fvlm_piece *x = &v->pieces[id];
        if (x->type == FVLM_PIECE_UNUSED) v->has_unused = true;
        if (x->type == FVLM_PIECE_UNKNOWN && v->unknown != FVLM_NO_PIECE)
            return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: pieces %u and %zu are both unknown", v->unknown,
                             id);
        if (x->type == FVLM_PIECE_UNKNOWN) v->unknown = (uint32_t)id;
        if (x->type != FVLM_PIECE_BYTE) continue;
        const int b = fvlm_byte_letters_from_hex(v->text + x->at, x->n_bytes);
        if (b < 0 || v->of_byte[b] != FVLM_NO_PIECE)
            return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: piece %zu is not a byte, or one of two", id);
        v->of_byte[b] = (uint32_t)id;
        n_bytes++;
    }
    v->has_bytes = n_bytes > 0;
    if (v->unknown == FVLM_NO_PIECE) return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: no piece is unknown");
    if (n_bytes % 256)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: pieces for %u bytes, expected 256 or none", n_bytes);
    return FVLM_OK;
}

static int compare(const fvlm_piece_table *v, const fvlm_piece *x, const char *s, size_t n)
{
    const int order = memcmp(v->text + x->at, s, x->n_bytes < n ? x->n_bytes : n);
    return order ? order : (x->n_bytes > n) - (x->n_bytes < n);
}

/* Sorts a[n] with scratch b[n], bottom-up: qsort has no context argument that every libc agrees on. */
static void merge_sort(const fvlm_piece_table *v, uint32_t *a, uint32_t *b, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            const size_t mid = from + width < n ? from + width : n, to = mid + width < n ? mid + width : n;
            for (size_t i = from, j = mid, k = from; k < to; k++) {
                const fvlm_piece *y = j < to ? &v->pieces[a[j]] : NULL;
                const bool left = i < mid && (!y || compare(v, &v->pieces[a[i]], v->text + y->at, y->n_bytes) <= 0);
                b[k] = left ? a[i++] : a[j++];
            }
        }
        memcpy(a, b, n * sizeof *a);
    }
}

static bool is_text(const fvlm_piece *x)
{
    return x->type == FVLM_PIECE_NORMAL || x->type == FVLM_PIECE_USER || x->type == FVLM_PIECE_UNUSED;
}

fvlm_status fvlm_piece_table_link(fvlm_piece_table *v, fvlm_err *err)
{
    if (v->n_scores != v->n || v->n_types != v->n)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: %zu pieces, %zu scores, %zu types", v->n, v->n_scores,
                         v->n_types);
    const fvlm_status st = find_reserved(v, err);
    if (st) return st;
    v->sorted = fvlm_alloc(v->n, sizeof *v->sorted);
    uint32_t *scratch = fvlm_alloc(v->n, sizeof *scratch);
    if (!v->sorted || !scratch) {
        free(scratch);
        return fvlm_fail_nomem(err);
    }
    for (size_t id = 0; id < v->n; id++)
        if (is_text(&v->pieces[id])) v->sorted[v->n_sorted++] = (uint32_t)id;
    merge_sort(v, v->sorted, scratch, v->n_sorted);
    free(scratch);
    for (size_t i = 1; i < v->n_sorted; i++) {
        const fvlm_piece *x = &v->pieces[v->sorted[i]];
        if (!compare(v, &v->pieces[v->sorted[i - 1]], v->text + x->at, x->n_bytes))
            return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: pieces %u and %u have the same text",
                             v->sorted[i - 1], v->sorted[i]);
    }
    size_t i = 0;
    for (unsigned b = 0; b <= 256; b++) {
        while (i < v->n_sorted && (uint8_t)v->text[v->pieces[v->sorted[i]].at] < b) i++;
        v->first[b] = (uint32_t)i;
    }
    return FVLM_OK;
}

void fvlm_piece_table_free(fvlm_piece_table *v)
{
    free(v->ranks);
    free(v->text);
    free(v->pieces);
    free(v->sorted);
    *v = (fvlm_piece_table){0};
}

/* ---- finding ---- */

uint32_t fvlm_piece_table_find(const fvlm_piece_table *v, const char *s, size_t n)
{
    if (n > v->longest) return FVLM_NO_PIECE;
    size_t from = v->first[(uint8_t)*s], to = v->first[(uint8_t)*s + 1];
    while (from < to) {
        const size_t mid = (from + to) / 2;
        const int order = compare(v, &v->pieces[v->sorted[mid]], s, n);
        if (!order) return v->sorted[mid];
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return FVLM_NO_PIECE;
}

/* The first of sorted[from .. to) whose byte at depth is at least b; they agree in the bytes before it. */
static size_t lower_bound(const fvlm_piece_table *v, size_t from, size_t to, size_t depth, unsigned b)
{
    while (from < to) {
        const size_t mid = (from + to) / 2;
        const fvlm_piece *x = &v->pieces[v->sorted[mid]];
        if (x->n_bytes <= depth || (uint8_t)v->text[x->at + depth] < b)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

bool fvlm_piece_table_step(const fvlm_piece_table *v, fvlm_piece_prefix *x, uint8_t b, uint32_t *id)
{
    const size_t depth = x->depth++;
    x->from = depth ? lower_bound(v, x->from, x->to, depth, b) : v->first[b];
    x->to = depth ? lower_bound(v, x->from, x->to, depth, b + 1u) : v->first[b + 1];
    *id = FVLM_NO_PIECE;
    if (x->from == x->to) return false;
    if (v->pieces[v->sorted[x->from]].n_bytes == x->depth) *id = v->sorted[x->from];
    return true;
}
