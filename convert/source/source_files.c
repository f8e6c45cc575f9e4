/* SPDX-License-Identifier: Apache-2.0 */
/* source_files.c - the files of a checkpoint folder: opened once, read with pread, hashed for the provenance. */
#include "convert/source/source_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/source/magic.h"
#include "format/base/encoding.h"
#include "format/base/json.h"

#define HASH_BLOCK ((size_t)1 << 18)

enum { MAX_PATH = PATH_MAX + FVLM_MAX_NAME };

bool fvlm_source_has(const fvlm_source *src, const char *name)
{
    struct stat about;
    return fstatat(src->dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Refuses a link that leads nowhere, as an unfinished download leaves it in Hugging Face's cache. */
static fvlm_status check_link(const fvlm_source *src, const char *name, fvlm_err *err)
{
    char target[PATH_MAX], partial[PATH_MAX + 16];
    ssize_t n = faccessat(src->dir, name, F_OK, 0) == 0 ? -1 : readlinkat(src->dir, name, target, sizeof target - 1);
    if (n < 0) return FVLM_OK;
    target[n] = 0;
    snprintf(partial, sizeof partial, "%s.incomplete", target);
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s/%s\" is a link to \"%.500s\", which is missing%s; run the download again", src->folder, name,
                     target, faccessat(src->dir, partial, F_OK, 0) ? "" : ": it is still \".incomplete\"");
}

fvlm_status fvlm_source_add_file(fvlm_source *src, const char *name, size_t *index, fvlm_err *err)
{
    if (src->n_files == FVLM_SOURCE_MAX_FILES)
        return fvlm_fail(err, FVLM_LIMIT, "more than %d files in the checkpoint", FVLM_SOURCE_MAX_FILES);
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", src->folder, name);
    fvlm_open_file *f = &src->files[src->n_files];
    *f = (fvlm_open_file){.name = fvlm_strdup(name)};
    fvlm_status st = f->name ? check_link(src, name, err) : fvlm_fail_nomem(err);
    if (!st) st = fvlm_file_open_at(&f->fd, &f->stamp, src->dir, name, path, err);
    if (st)
        free(f->name);
    else
        *index = src->n_files++; /* fvlm_source_close takes over */
    return st;
}

static const char *path_of(const fvlm_source *src, size_t file, char out[MAX_PATH])
{
    snprintf(out, MAX_PATH, "%s/%s", src->folder, src->files[file].name);
    return out;
}

fvlm_status fvlm_source_read_file(const fvlm_source *src, size_t file, uint64_t at, size_t n_bytes, void *out,
                                  fvlm_err *err)
{
    char path[MAX_PATH];
    return fvlm_file_read(src->files[file].fd, path_of(src, file, path), at, out, n_bytes, err);
}

fvlm_status fvlm_source_text(fvlm_source *src, const char *name, uint64_t max_bytes, char **text, size_t *n_bytes,
                             fvlm_err *err)
{
    *text = NULL;
    *n_bytes = 0;
    if (!fvlm_source_has(src, name)) return FVLM_OK;
    size_t file;
    fvlm_status st = fvlm_source_add_file(src, name, &file, err);
    if (st) return st;
    fvlm_open_file *f = &src->files[file];
    if (f->stamp.n_bytes > max_bytes)
        return fvlm_fail(err, FVLM_LIMIT, "\"%s/%s\" has %" PRIu64 " bytes, at most %" PRIu64 " are allowed",
                         src->folder, name, f->stamp.n_bytes, max_bytes);
    char *buffer = malloc((size_t)f->stamp.n_bytes + 1);
    if (!buffer) return fvlm_fail_nomem(err);
    size_t n = (size_t)f->stamp.n_bytes;
    buffer[n] = 0;
    st = fvlm_source_read_file(src, file, 0, n, buffer, err);
    if (!st) f->hash = fvlm_hash_of(buffer, n);
    f->hashed = !st;
    if (!st) st = fvlm_magic_check_text(buffer, n < FVLM_MAGIC_BYTES ? n : FVLM_MAGIC_BYTES, name, err);
    if (!st) st = fvlm_encoding_check(buffer, &n, name, err);
    if (st) {
        free(buffer);
        return st;
    }
    *text = buffer;
    *n_bytes = n;
    return FVLM_OK;
}

fvlm_status fvlm_source_json(json_t **out, fvlm_source *src, const char *name, uint64_t max_bytes, fvlm_err *err)
{
    char *text;
    size_t n_bytes;
    *out = NULL;
    fvlm_status st = fvlm_source_text(src, name, max_bytes, &text, &n_bytes, err);
    if (st || !text) return st;
    st = fvlm_json_parse(out, text, n_bytes, FVLM_JSON_CONFIG, name, err);
    free(text);
    const char *error = json_string_value(json_object_get(*out, "error"));
    if (st || (json_is_object(*out) && !error)) return st;
    if (error) /* what a server answered instead of the file */
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds an error message, '%.200s'; download it again", name, error);
    else
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s, expected an object", name, fvlm_json_kind(*out));
    json_decref(*out);
    *out = NULL;
    return st;
}

fvlm_status fvlm_source_peek_text(char **text, size_t *n_bytes, const fvlm_source *src, const char *name,
                                  uint64_t max_bytes, fvlm_err *err)
{
    int fd;
    fvlm_stamp stamp;
    *text = NULL;
    if (fvlm_file_open_at(&fd, &stamp, src->dir, name, name, NULL)) return FVLM_OK;
    size_t n = stamp.n_bytes <= max_bytes ? (size_t)stamp.n_bytes : 0;
    char *bytes = calloc(n + 1, 1);
    const bool read =
        bytes && !fvlm_file_read(fd, name, 0, bytes, n, NULL) && !fvlm_encoding_check(bytes, &n, name, NULL);
    close(fd);
    if (!bytes) return fvlm_fail_nomem(err);
    if (!read) {
        free(bytes);
        return FVLM_OK;
    }
    *text = bytes;
    *n_bytes = n;
    return FVLM_OK;
}

fvlm_status fvlm_source_peek_json(json_t **out, const fvlm_source *src, const char *name, uint64_t max_bytes,
                                  fvlm_err *err)
{
    char *text;
    size_t n;
    *out = NULL;
    fvlm_status st = fvlm_source_peek_text(&text, &n, src, name, max_bytes, err);
    if (!st && text && fvlm_json_parse(out, text, n, FVLM_JSON_CONFIG, name, NULL) == FVLM_NOMEM)
        st = fvlm_fail_nomem(err);
    free(text);
    return st;
}

size_t fvlm_source_n_files(const fvlm_source *src)
{
    return src->n_view_files + src->n_files + (src->attached ? fvlm_source_n_files(src->attached) : 0);
}

/* Whether file i is one of the attached source; *i becomes its number there. */
static bool is_attached(const fvlm_source *src, size_t *i)
{
    const size_t own = src->n_view_files + src->n_files;
    if (*i < own) return false;
    *i -= own;
    return true;
}

fvlm_source_file fvlm_source_file_at(const fvlm_source *src, size_t i)
{
    if (is_attached(src, &i)) {
        fvlm_source_file f = fvlm_source_file_at(src->attached, i);
        f.attached = true;
        return f;
    }
    if (i < src->n_view_files) {
        const fvlm_view_file *v = &src->view_files[i];
        return (fvlm_source_file){.name = v->name, .n_bytes = v->n_bytes, .hash = v->hash};
    }
    const fvlm_open_file *f = &src->files[i - src->n_view_files];
    return (fvlm_source_file){.name = f->name, .n_bytes = f->stamp.n_bytes, .hash = f->hash};
}

static fvlm_status hash_view_file(fvlm_source *src, size_t i, const fvlm_stop *stop, fvlm_err *err)
{
    fvlm_view_file *v = &src->view_files[i];
    const fvlm_status st = v->hashed ? FVLM_OK : src->reader->hash(src->reader_ctx, i, &v->hash, stop, err);
    v->hashed = !st;
    return st;
}

fvlm_status fvlm_source_hash(fvlm_source *src, size_t i, const fvlm_stop *stop, fvlm_err *err)
{
    if (is_attached(src, &i)) return fvlm_source_hash(src->attached, i, stop, err);
    if (i < src->n_view_files) return hash_view_file(src, i, stop, err);
    i -= src->n_view_files;
    fvlm_open_file *f = &src->files[i];
    if (f->hashed) return FVLM_OK;
    fvlm_hasher *hasher = NULL;
    uint8_t *block = malloc(HASH_BLOCK);
    fvlm_status st = block ? fvlm_hasher_create(&hasher, err) : fvlm_fail_nomem(err);
    for (uint64_t at = 0; !st && at < f->stamp.n_bytes;) {
        size_t n = f->stamp.n_bytes - at < HASH_BLOCK ? (size_t)(f->stamp.n_bytes - at) : HASH_BLOCK;
        st = fvlm_stop_check(stop, err);
        if (!st) st = fvlm_source_read_file(src, i, at, n, block, err);
        if (!st) fvlm_hasher_add(hasher, block, n);
        at += n;
    }
    if (!st) f->hash = fvlm_hasher_get(hasher);
    f->hashed = !st;
    fvlm_hasher_destroy(&hasher);
    free(block);
    return st;
}

bool fvlm_source_holds(const fvlm_source *src, const char *path)
{
    struct stat there, ours;
    if (stat(path, &there) != 0) return false;
    for (size_t i = 0; i < src->n_files; i++)
        if (fstat(src->files[i].fd, &ours) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
            return true;
    for (size_t i = 0; i < src->n_view_files; i++)
        if (fvlm_file_same(src->reader->path(src->reader_ctx, i), path)) return true;
    return src->attached && fvlm_source_holds(src->attached, path);
}

fvlm_status fvlm_source_check_unchanged(const fvlm_source *src, fvlm_status st, fvlm_err *err)
{
    char path[MAX_PATH];
    for (size_t i = 0; i < src->n_files; i++)
        st = fvlm_stamp_check_unchanged(&src->files[i].stamp, src->files[i].fd, path_of(src, i, path), st, err);
    if (src->n_view_files) st = src->reader->check_unchanged(src->reader_ctx, st, err);
    return src->attached ? fvlm_source_check_unchanged(src->attached, st, err) : st;
}
