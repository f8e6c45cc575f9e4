/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - see writer.h. The header is written last, so an unfinished file is not a .fvlm file. */
#include "format/writer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "format/base/grow.h"
#include "format/base/json.h"
#include "format/base/output.h"
#include "format/reader_internal.h"
#include "format/section.h"
#include "format/tokenizer_kind.h"

typedef struct {
    fvlm_tensor t;
    char *name;
    uint64_t written;
    fvlm_hasher *hasher; /* while the tensor is being written */
} slot;

struct fvlm_writer {
    char *path;
    fvlm_output *output;
    fvlm_check_options check; /* of the file once written */
    slot *slot;               /* in the order declared, which is the order in the file */
    size_t n_slots, capacity;
    const fvlm_tensor **sorted; /* by name; made by begin */
    fvlm_header header;
};

fvlm_status fvlm_writer_create(fvlm_writer **out, const char *path, bool force, fvlm_err *err)
{
    *out = NULL;
    fvlm_writer *w = calloc(1, sizeof *w);
    if (w) w->path = fvlm_strdup(path);
    fvlm_status st = w && w->path ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = fvlm_output_create(&w->output, path, force, err);
    if (st) fvlm_writer_discard(&w);
    *out = w;
    return st;
}

void fvlm_writer_discard(fvlm_writer **writer)
{
    fvlm_writer *w = *writer;
    if (!w) return;
    *writer = NULL;
    fvlm_output_discard(&w->output);
    for (size_t i = 0; i < w->n_slots; i++) {
        free(w->slot[i].name);
        fvlm_hasher_destroy(&w->slot[i].hasher);
    }
    free(w->slot);
    free(w->sorted);
    free(w->path);
    free(w);
}

void fvlm_writer_use_pool(fvlm_writer *w, fvlm_pool *pool, const fvlm_stop *stop)
{
    w->check.pool = pool;
    w->check.stop = stop;
}

const fvlm_tensor *fvlm_writer_tensor(const fvlm_writer *w, size_t id)
{
    return &w->slot[id].t;
}

/* ---- declare and begin ---- */

fvlm_status fvlm_writer_declare(fvlm_writer *w, const char *name, fvlm_type type, fvlm_layout layout, unsigned rank,
                                const uint64_t *dims, size_t *id, fvlm_err *err)
{
    fvlm_tensor t = {.type = type, .layout = (uint8_t)layout, .rank = (uint8_t)rank};
    if (w->n_slots == FVLM_MAX_TENSORS)
        return fvlm_fail(err, FVLM_LIMIT, "\"%s\": more than %d tensors", w->path, FVLM_MAX_TENSORS);
    if (!fvlm_index_name_valid(name, strlen(name)))
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.80s\": not a name (1 to %d bytes of printable UTF-8)", name,
                         FVLM_MAX_NAME);
    fvlm_status st = fvlm_type_tensor_bytes(&t.n_bytes, type, layout, rank, dims, err);
    if (st) return fvlm_err_prefix(err, "tensor \"%s\"", name);
    memcpy(t.dims, dims, rank * sizeof *dims);
    char *copy = fvlm_strdup(name);
    if (!copy || !fvlm_grow(&w->slot, &w->capacity, w->n_slots + 1, sizeof *w->slot)) {
        free(copy);
        return fvlm_fail_nomem(err);
    }
    t.name = copy;
    *id = w->n_slots++;
    w->slot[*id] = (slot){.t = t, .name = copy};
    return FVLM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const fvlm_tensor *const *)a)->name, (*(const fvlm_tensor *const *)b)->name);
}

static fvlm_status sort_names(fvlm_writer *w, fvlm_err *err)
{
    w->sorted = fvlm_alloc(w->n_slots, sizeof *w->sorted);
    if (!w->sorted) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < w->n_slots; i++) w->sorted[i] = &w->slot[i].t;
    qsort(w->sorted, w->n_slots, sizeof *w->sorted, by_name);
    for (size_t i = 1; i < w->n_slots; i++)
        if (strcmp(w->sorted[i - 1]->name, w->sorted[i]->name) == 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\" appears twice", w->sorted[i]->name);
    return FVLM_OK;
}

fvlm_status fvlm_writer_begin(fvlm_writer *w, uint64_t *n_bytes, fvlm_err *err)
{
    if (w->n_slots == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": no tensors to write", w->path);
    fvlm_status st = sort_names(w, err);
    if (st) return st;
    uint64_t index_bytes = fvlm_index_bytes(w->sorted, w->n_slots), end;
    bool fits =
        fvlm_checked_add(FVLM_SECTION_ALIGN, index_bytes, &end) && fvlm_checked_round_up(end, FVLM_SECTION_ALIGN, &end);
    uint64_t data = end;
    for (size_t i = 0; i < w->n_slots && fits; i++) {
        fvlm_tensor *t = &w->slot[i].t;
        fits =
            fvlm_checked_round_up(end, FVLM_TENSOR_ALIGN, &t->offset) && fvlm_checked_add(t->offset, t->n_bytes, &end);
    }
    if (!fits || end > INT64_MAX) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": larger than a file can be", w->path);
    w->header.section[0] = (fvlm_section){
        .kind = FVLM_SECTION_INDEX, .offset = FVLM_SECTION_ALIGN, .n_bytes = index_bytes, .raw_bytes = index_bytes};
    w->header.section[1] =
        (fvlm_section){.kind = FVLM_SECTION_DATA, .offset = data, .n_bytes = end - data, .raw_bytes = end - data};
    w->header.n_sections = FVLM_N_SECTIONS;
    *n_bytes = end;
    return fvlm_output_reserve(w->output, end, err);
}

/* ---- append ---- */

fvlm_status fvlm_writer_append(fvlm_writer *w, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err)
{
    slot *s = &w->slot[id];
    if (n_bytes > s->t.n_bytes - s->written)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": more bytes than its %" PRIu64, s->name, s->t.n_bytes);
    if (n_bytes == 0) return FVLM_OK;
    fvlm_status st = s->hasher ? FVLM_OK : fvlm_hasher_create(&s->hasher, err);
    if (!st) st = fvlm_output_write(w->output, s->t.offset + s->written, bytes, n_bytes, err);
    if (st) return st;
    fvlm_hasher_add(s->hasher, bytes, n_bytes);
    s->written += n_bytes;
    if (s->written == s->t.n_bytes) {
        s->t.hash = fvlm_hasher_get(s->hasher);
        fvlm_hasher_destroy(&s->hasher);
    }
    return FVLM_OK;
}

/* ---- publish ---- */

static fvlm_status write_index(fvlm_writer *w, fvlm_err *err)
{
    fvlm_section *s = &w->header.section[0];
    for (size_t i = 0; i < w->n_slots; i++)
        if (w->slot[i].written != w->slot[i].t.n_bytes)
            return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": only %" PRIu64 " of %" PRIu64 " bytes were written",
                             w->slot[i].name, w->slot[i].written, w->slot[i].t.n_bytes);
    uint8_t *bytes = fvlm_alloc((size_t)s->n_bytes, 1);
    if (!bytes) return fvlm_fail_nomem(err);
    fvlm_index_encode(w->sorted, w->n_slots, bytes);
    s->hash = fvlm_hash_of(bytes, (size_t)s->n_bytes);
    fvlm_status st = fvlm_output_write(w->output, s->offset, bytes, (size_t)s->n_bytes, err);
    free(bytes);
    return st;
}

/* Section i, compressed, after section i - 1. */
static fvlm_status write_text(fvlm_writer *w, size_t i, const char *text, size_t n_bytes, fvlm_err *err)
{
    fvlm_section *s = &w->header.section[i];
    const fvlm_section *before = s - 1;
    uint8_t *packed;
    size_t packed_bytes;
    uint64_t offset;
    if (!fvlm_checked_round_up(before->offset + before->n_bytes, FVLM_SECTION_ALIGN, &offset))
        return fvlm_fail(err, FVLM_LIMIT, "\"%s\": larger than a file can be", w->path);
    fvlm_status st = fvlm_section_pack(&packed, &packed_bytes, text, n_bytes, w->check.stop, err);
    if (st) return st;
    *s = (fvlm_section){.kind = (uint32_t)i + 1,
                        .encoding = FVLM_ENCODING_ZSTD,
                        .offset = offset,
                        .n_bytes = packed_bytes,
                        .raw_bytes = n_bytes,
                        .hash = fvlm_hash_of(packed, packed_bytes)};
    st = fvlm_output_write(w->output, offset, packed, packed_bytes, err);
    free(packed);
    return st;
}

/* Sorted keys, no white space, 17 digits: equal trees give equal text. The version of zstd is added, since it may
 * change the compressed bytes and with them the file's identity. */
static fvlm_status write_meta(fvlm_writer *w, const json_t *meta, fvlm_err *err)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)meta);
    char *text = NULL;
    fvlm_status st = FVLM_OK;
    /* When out of memory, jansson's copy silently lacks keys. */
    bool whole = copy && json_object_size(copy) == json_object_size(meta);
    if (whole && json_object_set_new(copy, "container", json_pack("{s:s}", "zstd", ZSTD_versionString())) == 0)
        text = fvlm_json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!text) st = fvlm_fail_nomem(err);
    if (!st) st = write_text(w, FVLM_SECTION_META - 1, text, strlen(text), err);
    free(text);
    json_decref(copy);
    return st;
}

static fvlm_status write_header(fvlm_writer *w, fvlm_err *err)
{
    uint8_t bytes[FVLM_HEADER_BYTES];
    const fvlm_section *last = &w->header.section[FVLM_N_SECTIONS - 1];
    w->header.file_bytes = last->offset + last->n_bytes;
    fvlm_header_encode(&w->header, bytes);
    return fvlm_output_write(w->output, 0, bytes, sizeof bytes, err);
}

/* Reads everything back as any reader would, so what is published can be opened. */
static fvlm_status read_back(fvlm_writer *w, fvlm_err *err)
{
    int fd = fcntl(fvlm_output_fd(w->output), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return fvlm_fail_errno(err, "\"%s\": cannot read it back", w->path);
    fvlm_reader *r;
    fvlm_status st = fvlm_reader_open_fd(&r, fd, w->header.file_bytes, w->path, err);
    if (!st) st = fvlm_reader_check(r, &w->check, err);
    fvlm_reader_close(&r);
    return st && st != FVLM_INTERRUPTED ? fvlm_err_prefix(err, "reading back what was written") : st;
}

fvlm_status fvlm_writer_publish(fvlm_writer **writer, const json_t *meta, const char *tokenizer_json,
                                size_t tokenizer_bytes, fvlm_err *err)
{
    fvlm_writer *w = *writer;
    fvlm_status st = w->sorted ? FVLM_OK : fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": published before begun", w->path);
    const json_t *config = json_object_get(meta, "config");
    if (!json_object_get(config, "llm")) w->header.must_understand = FVLM_FEATURE_NO_LLM;
    if (json_object_get(json_object_get(config, "llm"), "family")) w->header.must_understand |= FVLM_FEATURE_FAMILY;
    if (json_object_get(config, "tiles")) w->header.must_understand |= FVLM_FEATURE_TILES;
    if (fvlm_tokenizer_has_kind(tokenizer_json, tokenizer_bytes))
        w->header.must_understand |= FVLM_FEATURE_TOKENIZER_KIND;
    if (!st) st = write_index(w, err);
    if (!st) st = write_meta(w, meta, err);
    if (!st) st = write_text(w, FVLM_SECTION_TOKENIZER - 1, tokenizer_json, tokenizer_bytes, err);
    if (!st) st = write_header(w, err);
    if (!st) st = read_back(w, err);
    if (!st) st = fvlm_output_publish(&w->output, err);
    fvlm_writer_discard(writer);
    return st;
}
