/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.c - parses a .safetensors header, strictly.
 *
 *   u64 N | N bytes of JSON | tensor data
 *   {"name": {"dtype": "BF16", "shape": [4, 2], "data_offsets": [begin, end]}, ...}
 *
 * Refused although other readers accept some of it: a tensor whose shape and bytes disagree, overlap, holes, trailing
 * bytes, duplicate names or keys, unknown keys. Offsets need not be aligned. */
#include "convert/source/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/base/json_pull.h"

#define MAX_NAME 4096

fvlm_status fvlm_safetensors_length(uint64_t *n_header, const uint8_t *first, uint64_t file_bytes, const char *what,
                                    fvlm_err *err)
{
    if (file_bytes < 8)
        return fvlm_refuse(err, file_bytes,
                           "\"%s\": byte %" PRIu64 ": the file ends inside its first 8 bytes, the "
                           "header's length; download it again",
                           what, file_bytes);
    uint64_t n = fvlm_load_u64(first);
    if (n > FVLM_SAFETENSORS_MAX_HEADER)
        return fvlm_fail(err, FVLM_LIMIT,
                         "\"%s\": byte 0: the header says it has %" PRIu64 " bytes, at most %d are "
                         "allowed; is this a safetensors file?",
                         what, n, FVLM_SAFETENSORS_MAX_HEADER);
    if (n > file_bytes - 8)
        return fvlm_refuse(err, file_bytes,
                           "\"%s\": byte %" PRIu64 ": the file ends inside its header of %" PRIu64
                           " bytes; download it again",
                           what, file_bytes, n);
    *n_header = n;
    return FVLM_OK;
}

/* A tensor being read. */
typedef struct {
    fvlm_source_tensor t;
    bool has_type, has_shape, has_range;
    size_t key_at, range_at;
    uint64_t begin, end;
} entry;

static bool read_type(fvlm_json_pull *s, entry *e)
{
    fvlm_json_text text;
    if (!fvlm_json_pull_string(s, &text)) return false;
    e->t.type = (uint8_t)fvlm_source_type_parse(text.s);
    if (e->t.type) return true;
    return fvlm_json_pull_refuse(s, text.at, FVLM_BAD_INPUT, "tensor \"%.200s\": unknown dtype \"%.32s\"", e->t.name,
                                 text.s);
}

static bool read_shape(fvlm_json_pull *s, entry *e)
{
    bool first = true;
    uint64_t n = 1;
    if (!fvlm_json_pull_expect(s, '[', "'[', a shape")) return false;
    size_t at = s->pos - 1;
    while (fvlm_json_pull_element(s, &first)) {
        if (e->t.rank == FVLM_SOURCE_MAX_RANK)
            return fvlm_json_pull_refuse(s, s->pos, FVLM_LIMIT, "tensor \"%.200s\": more than %d dimensions", e->t.name,
                                         FVLM_SOURCE_MAX_RANK);
        if (!fvlm_json_pull_u64(s, &e->t.dims[e->t.rank])) return false;
        if (!fvlm_checked_mul(n, e->t.dims[e->t.rank++], &n))
            return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "tensor \"%.200s\": the shape has over 2^64 elements",
                                         e->t.name);
    }
    e->t.n_elems = n;
    return !s->st;
}

static bool read_range(fvlm_json_pull *s, entry *e)
{
    if (!fvlm_json_pull_expect(s, '[', "'[', two offsets")) return false;
    e->range_at = s->pos - 1;
    return fvlm_json_pull_u64(s, &e->begin) && fvlm_json_pull_expect(s, ',', "',' between two offsets") &&
           fvlm_json_pull_u64(s, &e->end) && fvlm_json_pull_expect(s, ']', "']' after two offsets");
}

static bool read_field(fvlm_json_pull *s, entry *e, const fvlm_json_text *key)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    bool *const seen[] = {&e->has_type, &e->has_shape, &e->has_range};
    bool (*const read[])(fvlm_json_pull *, entry *) = {read_type, read_shape, read_range};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(key->s, keys[i]) != 0) continue;
        if (*seen[i])
            return fvlm_json_pull_refuse(s, key->at, FVLM_BAD_INPUT, "tensor \"%.200s\": \"%s\" is given twice",
                                         e->t.name, key->s);
        *seen[i] = true;
        return read[i](s, e);
    }
    return fvlm_json_pull_refuse(s, key->at, FVLM_BAD_INPUT, "tensor \"%.200s\": unknown key \"%.64s\"", e->t.name,
                                 key->s);
}

/* Checks a complete entry and sets its offset in the file. */
static bool check_entry(fvlm_json_pull *s, entry *e, uint64_t data_at, uint64_t n_data)
{
    const char *missing = !e->has_type ? "dtype" : !e->has_shape ? "shape" : !e->has_range ? "data_offsets" : NULL;
    if (missing)
        return fvlm_json_pull_refuse(s, e->key_at, FVLM_BAD_INPUT, "tensor \"%.200s\": \"%s\" is missing", e->t.name,
                                     missing);
    if (e->end < e->begin)
        return fvlm_json_pull_refuse(s, e->range_at, FVLM_BAD_INPUT,
                                     "tensor \"%.200s\": data ends (%" PRIu64 ") before it begins (%" PRIu64 ")",
                                     e->t.name, e->end, e->begin);
    uint64_t want, have = e->end - e->begin;
    char shape[128];
    fvlm_source_shape_text(&e->t, shape);
    if (!fvlm_checked_mul(e->t.n_elems, fvlm_source_type_bytes(e->t.type), &want))
        return fvlm_json_pull_refuse(s, e->range_at, FVLM_BAD_INPUT, "tensor \"%.200s\": %s has over 2^64 bytes",
                                     e->t.name, shape);
    if (want != have)
        return fvlm_json_pull_refuse(s, e->range_at, FVLM_BAD_INPUT,
                                     "tensor \"%.200s\": data_offsets span %" PRIu64 " bytes, but %s takes %" PRIu64,
                                     e->t.name, have, shape, want);
    if (e->end > n_data)
        return fvlm_json_pull_refuse(s, e->range_at, FVLM_BAD_INPUT,
                                     "tensor \"%.200s\": data ends at %" PRIu64 ", but the file holds only %" PRIu64
                                     " bytes of data; download it again",
                                     e->t.name, e->end, n_data);
    e->t.offset = data_at + e->begin;
    e->t.n_bytes = have;
    return true;
}

static bool check_name(fvlm_json_pull *s, const fvlm_json_text *name)
{
    const size_t n = name->n, at = name->at;
    if (n == 0) return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "a tensor has no name");
    if (n > MAX_NAME)
        return fvlm_json_pull_refuse(s, at, FVLM_LIMIT, "a name of %zu bytes, at most %d are allowed", n, MAX_NAME);
    for (size_t i = 0; i < n; i++) /* names are printed to terminals */
        if ((unsigned char)name->s[i] < 0x20 || name->s[i] == 0x7f)
            return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "a tensor's name contains a control character");
    return true;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const fvlm_safetensors_note *)a)->key, ((const fvlm_safetensors_note *)b)->key);
}

/* {"format": "pt", ...}: text to text, without duplicate keys. */
static bool read_metadata(fvlm_json_pull *s, fvlm_safetensors *out)
{
    bool first = true;
    fvlm_json_text key, value;
    size_t capacity = 0;
    if (!fvlm_json_pull_expect(s, '{', "'{', __metadata__")) return false;
    size_t begin = s->pos - 1;
    while (fvlm_json_pull_member(s, &first, &key)) {
        if (!fvlm_grow(&out->notes, &capacity, out->n_notes + 1, sizeof *out->notes))
            return fvlm_json_pull_refuse(s, key.at, FVLM_NOMEM, "out of memory");
        if (fvlm_json_pull_peek(s) != '"')
            return fvlm_json_pull_refuse(s, s->pos, FVLM_BAD_INPUT,
                                         "__metadata__ may contain only strings; \"%.64s\" is not one", key.s);
        if (!fvlm_json_pull_string(s, &value)) return false;
        out->notes[out->n_notes++] = (fvlm_safetensors_note){key.s, value.s};
    }
    if (s->st) return false;
    if (out->n_notes) qsort(out->notes, out->n_notes, sizeof *out->notes, by_key);
    for (size_t i = 1; i < out->n_notes; i++)
        if (!strcmp(out->notes[i - 1].key, out->notes[i].key))
            return fvlm_json_pull_refuse(s, begin, FVLM_BAD_INPUT, "__metadata__ has the key \"%.64s\" twice",
                                         out->notes[i].key);
    return true;
}

static bool append(fvlm_json_pull *s, fvlm_safetensors *out, size_t *capacity, const entry *e)
{
    if (out->n_tensors == FVLM_SOURCE_MAX_TENSORS)
        return fvlm_json_pull_refuse(s, e->key_at, FVLM_LIMIT, "more than %u tensors", FVLM_SOURCE_MAX_TENSORS);
    if (!fvlm_grow(&out->tensors, capacity, out->n_tensors + 1, sizeof *out->tensors))
        return fvlm_json_pull_refuse(s, e->key_at, FVLM_NOMEM, "out of memory");
    out->tensors[out->n_tensors++] = e->t;
    return true;
}

static bool read_entries(fvlm_json_pull *s, fvlm_safetensors *out, uint64_t data_at, uint64_t n_data)
{
    bool first = true, first_field, metadata = false;
    size_t capacity = 0;
    fvlm_json_text name, key;
    if (s->n_bytes == 0 || s->text[0] != '{')
        return fvlm_json_pull_refuse(s, 0, FVLM_BAD_INPUT,
                                     "the header does not begin with '{'; is this a safetensors file?");
    s->pos = 1;
    while (fvlm_json_pull_member(s, &first, &name)) {
        if (!strcmp(name.s, "__metadata__")) {
            if (metadata) return fvlm_json_pull_refuse(s, name.at, FVLM_BAD_INPUT, "__metadata__ is given twice");
            metadata = true;
            if (!read_metadata(s, out)) return false;
            continue;
        }
        entry e = {.key_at = name.at, .t.name = name.s};
        if (!check_name(s, &name) || !fvlm_json_pull_expect(s, '{', "'{', a tensor")) return false;
        first_field = true;
        while (fvlm_json_pull_member(s, &first_field, &key))
            if (!read_field(s, &e, &key)) return false;
        if (s->st || !check_entry(s, &e, data_at, n_data) || !append(s, out, &capacity, &e)) return false;
    }
    return fvlm_json_pull_end(s);
}

static int by_offset(const void *a, const void *b)
{
    const fvlm_source_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->n_bytes != y->n_bytes) return x->n_bytes < y->n_bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fvlm_source_tensor *)a)->name, ((const fvlm_source_tensor *)b)->name);
}

/* The tensors must cover the data: no hole, no overlap, nothing after the last. */
static fvlm_status check_cover(fvlm_safetensors *f, uint64_t data_at, uint64_t file_bytes, const char *what,
                               fvlm_err *err)
{
    uint64_t at = data_at;
    if (f->n_tensors) qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_offset);
    for (size_t i = 0; i < f->n_tensors; i++) {
        const fvlm_source_tensor *t = &f->tensors[i];
        if (t->offset < at)
            return fvlm_refuse(err, t->offset, "\"%s\": byte %" PRIu64 ": tensor \"%.150s\" overlaps \"%.150s\"", what,
                               t->offset, t->name, f->tensors[i - 1].name);
        if (t->offset > at)
            return fvlm_refuse(err, at,
                               "\"%s\": byte %" PRIu64 ": %" PRIu64 " bytes before tensor \"%.200s\" belong to no "
                               "tensor",
                               what, at, t->offset - at, t->name);
        at = t->offset + t->n_bytes; /* inside the file: see check_entry */
    }
    if (at != file_bytes)
        return fvlm_refuse(err, at,
                           "\"%s\": byte %" PRIu64 ": %" PRIu64 " bytes after the last tensor belong to no tensor",
                           what, at, file_bytes - at);
    return FVLM_OK;
}

static fvlm_status check_names(fvlm_safetensors *f, const char *header, const char *what, fvlm_err *err)
{
    if (f->n_tensors) qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_name);
    for (size_t i = 1; i < f->n_tensors; i++) {
        const char *a = f->tensors[i - 1].name, *b = f->tensors[i].name;
        if (strcmp(a, b) != 0) continue;
        uint64_t at = 8 + (uint64_t)((a > b ? a : b) - header) - 1;
        return fvlm_refuse(err, at, "\"%s\": byte %" PRIu64 ": tensor \"%.200s\" is given twice", what, at, a);
    }
    return FVLM_OK;
}

fvlm_status fvlm_safetensors_parse(fvlm_safetensors *out, char *header, size_t n_header, uint64_t file_bytes,
                                   const char *what, fvlm_err *err)
{
    *out = (fvlm_safetensors){0};
    uint64_t data_at = 8 + (uint64_t)n_header;
    fvlm_json_pull s = fvlm_json_pull_over(header, n_header, what, 8, err);
    read_entries(&s, out, data_at, file_bytes - data_at);
    fvlm_status st = s.st;
    if (!st) st = check_names(out, header, what, err); /* first, as a duplicate also overlaps */
    if (!st) st = check_cover(out, data_at, file_bytes, what, err);
    if (!st && out->n_tensors) qsort(out->tensors, out->n_tensors, sizeof *out->tensors, by_name);
    if (st) fvlm_safetensors_free(out);
    return st;
}

void fvlm_safetensors_free(fvlm_safetensors *f)
{
    free(f->tensors);
    free(f->notes);
    *f = (fvlm_safetensors){0};
}
