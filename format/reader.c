/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - see reader.h. All structure is read with pread into private memory and checked there. The mapping, whose
 * bytes another program can change, serves the bytes of tensors only. */
#include "format/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/json.h"
#include "format/base/mapped.h"
#include "format/config.h"
#include "format/reader_internal.h"
#include "format/section.h"
#include "format/tokenizer_kind.h"

static fvlm_status read_header(fvlm_reader *r, uint64_t n_bytes, fvlm_err *err)
{
    uint8_t bytes[FVLM_HEADER_BYTES];
    if (n_bytes < sizeof bytes)
        return fvlm_refuse(err, n_bytes, "\"%s\": not a .fvlm file (only %u bytes)", r->path, (unsigned)n_bytes);
    fvlm_status st = fvlm_file_read(r->fd, r->path, 0, bytes, sizeof bytes, err);
    if (st) return st;
    st = fvlm_header_decode(&r->header, bytes, n_bytes, err);
    return st ? fvlm_err_prefix(err, "\"%s\"", r->path) : FVLM_OK;
}

static fvlm_status read_index(fvlm_reader *r, fvlm_err *err)
{
    const fvlm_section *s = r->header.section;
    uint8_t *bytes;
    fvlm_status st = fvlm_section_read(&bytes, &s[0], r->fd, r->path, "index", err);
    if (st) return st;
    st = fvlm_index_decode(&r->index, bytes, (size_t)s[0].n_bytes, &s[1], err);
    free(bytes);
    return st ? fvlm_err_prefix(err, "\"%s\"", r->path) : FVLM_OK;
}

/* The header says what the config has, and a file without a language model has no tokenizer. */
static fvlm_status check_features(const fvlm_reader *r, fvlm_err *err)
{
    const bool no_llm = r->header.must_understand & FVLM_FEATURE_NO_LLM;
    const fvlm_section *tokenizer = &r->header.section[FVLM_SECTION_TOKENIZER - 1];
    if (no_llm == fvlm_config_has_llm(&r->config))
        return fvlm_refuse(err, 16, "its header says that it has %s language model, its config that it has %s",
                           no_llm ? "no" : "a", no_llm ? "one" : "none");
    const bool family = r->header.must_understand & FVLM_FEATURE_FAMILY;
    if (family != (r->config.llm.family != FVLM_QWEN2))
        return fvlm_refuse(err, 16, "its header says that its language model is%s Qwen2, its config that it is%s",
                           family ? " not" : "", family ? "" : " not");
    const bool tiles = r->header.must_understand & FVLM_FEATURE_TILES;
    if (tiles != (r->config.tiles.n_sizes > 0))
        return fvlm_refuse(err, 16,
                           "its header says that pictures are %sdivided into tiles, its config that they are%s",
                           tiles ? "" : "not ", tiles ? " not" : "");
    if (no_llm && tokenizer->raw_bytes > 0)
        return fvlm_refuse(err, tokenizer->offset, "it has a tokenizer, but no language model");
    return FVLM_OK;
}

static fvlm_status read_meta(fvlm_reader *r, fvlm_err *err)
{
    const fvlm_section *s = &r->header.section[FVLM_SECTION_META - 1];
    char *text;
    fvlm_status st = fvlm_section_unpack(&text, s, r->fd, r->path, "metadata", err);
    if (st) return st;
    st = fvlm_json_parse(&r->meta, text, (size_t)s->raw_bytes, FVLM_JSON_SECTION, "metadata", err);
    free(text);
    if (!st && !json_is_object(r->meta)) st = fvlm_refuse(err, s->offset, "metadata is not a JSON object");
    if (!st) st = fvlm_config_from_json(&r->config, json_object_get(r->meta, "config"), err);
    if (!st) st = check_features(r, err);
    return st ? fvlm_err_prefix(err, "\"%s\"", r->path) : FVLM_OK;
}

/* Decompressed on demand; the hash of its stored bytes is checked now. */
static fvlm_status check_tokenizer(fvlm_reader *r, fvlm_err *err)
{
    uint8_t *bytes;
    const fvlm_section *s = &r->header.section[FVLM_SECTION_TOKENIZER - 1];
    fvlm_status st = fvlm_section_read(&bytes, s, r->fd, r->path, "tokenizer", err);
    free(bytes);
    return st;
}

static fvlm_status map_file(fvlm_reader *r, uint64_t n_bytes, fvlm_err *err)
{
    size_t n;
    if (!fvlm_checked_size(n_bytes, &n)) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": too large to map here", r->path);
    return fvlm_mapped_open(&r->map, n, r->fd, r->path, err);
}

fvlm_status fvlm_reader_open_fd(fvlm_reader **out, int fd, uint64_t n_bytes, const char *path, fvlm_err *err)
{
    *out = NULL;
    fvlm_reader *r = calloc(1, sizeof *r);
    if (!r) {
        close(fd);
        return fvlm_fail_nomem(err);
    }
    r->fd = fd;
    pthread_mutex_init(&r->lock, NULL);
    r->path = fvlm_strdup(path);
    fvlm_status st = r->path ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = fvlm_stamp_take(&r->stamp, fd, path, err);
    r->stamp.n_bytes = n_bytes;
    if (!st) st = read_header(r, n_bytes, err);
    if (!st) st = read_index(r, err);
    if (!st) st = read_meta(r, err);
    if (!st) st = check_tokenizer(r, err);
    if (!st) st = map_file(r, n_bytes, err);
    if (r->path) st = fvlm_reader_check_unchanged(r, st, err);
    if (st) fvlm_reader_close(&r);
    *out = r;
    return st;
}

fvlm_status fvlm_reader_open(fvlm_reader **out, const char *path, fvlm_err *err)
{
    *out = NULL;
    int fd;
    fvlm_stamp stamp;
    fvlm_status st = fvlm_file_open(&fd, &stamp, path, err);
    return st ? st : fvlm_reader_open_fd(out, fd, stamp.n_bytes, path, err);
}

void fvlm_reader_close(fvlm_reader **reader)
{
    fvlm_reader *r = *reader;
    if (!r) return;
    *reader = NULL;
    fvlm_mapped_close(r->map, (size_t)r->header.file_bytes);
    if (r->fd >= 0) close(r->fd);
    fvlm_index_free(&r->index);
    json_decref(r->meta);
    pthread_mutex_destroy(&r->lock);
    free(r->tokenizer);
    free(r->path);
    free(r);
}

const char *fvlm_reader_path(const fvlm_reader *r)
{
    return r->path;
}

uint64_t fvlm_reader_file_bytes(const fvlm_reader *r)
{
    return r->header.file_bytes;
}

size_t fvlm_reader_n_tensors(const fvlm_reader *r)
{
    return r->index.n_tensors;
}

const fvlm_tensor *fvlm_reader_tensor(const fvlm_reader *r, size_t i)
{
    return &r->index.tensor[i];
}

const fvlm_tensor *fvlm_reader_tensor_in_file(const fvlm_reader *r, size_t i)
{
    return r->index.by_offset[i];
}

static int name_order(const void *name, const void *tensor)
{
    return strcmp(name, ((const fvlm_tensor *)tensor)->name);
}

const fvlm_tensor *fvlm_reader_find(const fvlm_reader *r, const char *name)
{
    return bsearch(name, r->index.tensor, r->index.n_tensors, sizeof *r->index.tensor, name_order);
}

const uint8_t *fvlm_reader_bytes(const fvlm_reader *r, const fvlm_tensor *t)
{
    return r->map + t->offset;
}

fvlm_status fvlm_reader_read(const fvlm_reader *r, const fvlm_tensor *t, uint64_t at, size_t n_bytes, void *out,
                             fvlm_err *err)
{
    if (at > t->n_bytes || n_bytes > t->n_bytes - at)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": %zu bytes from %" PRIu64 " on are beyond its end",
                         t->name, n_bytes, at);
    return fvlm_file_read(r->fd, r->path, t->offset + at, out, n_bytes, err);
}

fvlm_status fvlm_reader_check_unchanged(const fvlm_reader *r, fvlm_status st, fvlm_err *err)
{
    return fvlm_stamp_check_unchanged(&r->stamp, r->fd, r->path, st, err);
}

const fvlm_config *fvlm_reader_config(const fvlm_reader *r)
{
    return &r->config;
}

const json_t *fvlm_reader_meta(const fvlm_reader *r)
{
    return r->meta;
}

const fvlm_hash *fvlm_reader_identity(const fvlm_reader *r)
{
    return &r->header.hash;
}

fvlm_status fvlm_reader_unpack_tokenizer(char **text, const fvlm_reader *r, fvlm_err *err)
{
    const fvlm_section *s = &r->header.section[FVLM_SECTION_TOKENIZER - 1];
    const bool kind = r->header.must_understand & FVLM_FEATURE_TOKENIZER_KIND;
    const fvlm_status st = fvlm_section_unpack(text, s, r->fd, r->path, "tokenizer", err);
    if (st || fvlm_tokenizer_has_kind(*text, (size_t)s->raw_bytes) == kind) return st;
    free(*text);
    *text = NULL;
    return fvlm_refuse(err, 16, "\"%s\": its header says that its tokenizer %s a kind, but it %s one", r->path,
                       kind ? "has" : "does not have", kind ? "does not have" : "has");
}

fvlm_status fvlm_reader_tokenizer(fvlm_reader *r, const char **json, size_t *n_bytes, fvlm_err *err)
{
    const fvlm_section *s = &r->header.section[FVLM_SECTION_TOKENIZER - 1];
    fvlm_status st = FVLM_OK;
    pthread_mutex_lock(&r->lock);
    if (!r->tokenizer) st = fvlm_reader_unpack_tokenizer(&r->tokenizer, r, err);
    *json = r->tokenizer;
    *n_bytes = st ? 0 : (size_t)s->raw_bytes;
    pthread_mutex_unlock(&r->lock);
    return st;
}
