/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - the files of a checkpoint folder: opened once, read with pread, hashed for the provenance. */
#include "convert/source/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "convert/source/safetensors.h"
#include "convert/source/source_files.h"
#include "format/cli/cli.h"

#define HASH_BLOCK ((size_t)1 << 18)

fvlm_status fvlm_source_add_file(fvlm_source *src, const char *name, size_t *index, fvlm_err *err)
{
    if (src->n_files == FVLM_SOURCE_MAX_FILES)
        return fvlm_fail(err, FVLM_LIMIT, "more than %d files in the checkpoint", FVLM_SOURCE_MAX_FILES);
    /* O_NONBLOCK: a FIFO must not hang us. A symlink is followed: Hugging Face's cache is made of them. */
    int fd = openat(src->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fvlm_fail_errno(err, "\"%s/%s\"", src->folder, name);
    struct stat about;
    if (fstat(fd, &about) != 0) {
        fvlm_fail_errno(err, "\"%s/%s\"", src->folder, name);
        close(fd);
        return FVLM_IO;
    }
    if (!S_ISREG(about.st_mode)) {
        close(fd);
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s/%s\" is not a regular file", src->folder, name);
    }
    fvlm_source_file *f = &src->files[src->n_files];
    *f = (fvlm_source_file){.fd = fd, .stamp = {(uint64_t)about.st_size, about.st_mtim}};
    f->name = fvlm_strdup(name);
    *index = src->n_files++; /* closed and freed with the source from here on */
    return f->name ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "out of memory");
}

enum { PATH_ROOM = PATH_MAX + FVLM_MAX_NAME };

static const char *path_of(const fvlm_source *src, size_t file, char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "%s/%s", src->folder, src->files[file].name);
    return out;
}

static fvlm_status read_file(const fvlm_source *src, size_t file, uint64_t at, size_t n_bytes, void *out, fvlm_err *err)
{
    char path[PATH_ROOM];
    return fvlm_file_read(src->files[file].fd, path_of(src, file, path), at, out, n_bytes, err);
}

static fvlm_status open_folder(fvlm_source *src, const char *folder, fvlm_err *err)
{
    size_t n = strlen(folder);
    src->folder = fvlm_strdup(folder);
    src->files = fvlm_alloc(FVLM_SOURCE_MAX_FILES, sizeof *src->files);
    if (!src->folder || !src->files) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    while (n > 1 && src->folder[n - 1] == '/') src->folder[--n] = 0; /* "folder/" reads better as "folder" */
    src->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (src->dir < 0 && errno == ENOTDIR)
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "\"%s\" is a file; give the folder that holds it, with config.json and the tokenizer beside it", folder);
    if (src->dir < 0) return fvlm_fail_errno(err, "\"%s\"", folder);
    return FVLM_OK;
}

bool fvlm_source_has(const fvlm_source *src, const char *name)
{
    return faccessat(src->dir, name, F_OK, 0) == 0;
}

/* Reads the header of an opened weights file and appends its tensors. */
fvlm_status fvlm_source_add_tensors(fvlm_source *src, size_t file, fvlm_err *err)
{
    fvlm_source_file *f = &src->files[file];
    uint8_t first[8] = {0};
    uint64_t n_header = 0;
    fvlm_status st = read_file(src, file, 0, f->stamp.n_bytes < 8 ? (size_t)f->stamp.n_bytes : 8, first, err);
    if (!st) st = fvlm_safetensors_length(&n_header, first, f->stamp.n_bytes, f->name, err);
    if (st) return st;
    f->header = malloc((size_t)n_header + 1);
    if (!f->header) return fvlm_fail(err, FVLM_NOMEM, "\"%s\": out of memory for its header", f->name);
    st = read_file(src, file, 8, (size_t)n_header, f->header, err);
    fvlm_safetensors found = {0};
    if (!st) st = fvlm_safetensors_parse(&found, f->header, (size_t)n_header, f->stamp.n_bytes, f->name, err);
    if (st) return st;
    if (found.n_tensors > FVLM_SOURCE_MAX_TENSORS - src->n_tensors)
        st = fvlm_fail(err, FVLM_LIMIT, "more than %u tensors in the checkpoint", FVLM_SOURCE_MAX_TENSORS);
    fvlm_source_tensor *all = NULL;
    size_t n_all = st ? 0 : src->n_tensors + found.n_tensors;
    if (!st) all = realloc(src->tensors, (n_all ? n_all : 1) * sizeof *all);
    if (!st && !all) st = fvlm_fail(err, FVLM_NOMEM, "out of memory");
    if (!st) {
        src->tensors = all;
        for (size_t i = 0; i < found.n_tensors; i++) {
            all[src->n_tensors + i] = found.tensors[i];
            all[src->n_tensors + i].file = (uint32_t)file;
        }
        src->n_tensors = n_all;
    }
    free(found.tensors);
    return st;
}

static fvlm_status add_single(fvlm_source *src, const char *name, fvlm_err *err)
{
    size_t file;
    fvlm_status st = fvlm_source_add_file(src, name, &file, err);
    return st ? st : fvlm_source_add_tensors(src, file, err);
}

static int by_name(const void *a, const void *b)
{
    const fvlm_source_tensor *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->file < y->file ? -1 : 1;
}

fvlm_status fvlm_source_sort(fvlm_source *src, fvlm_err *err)
{
    if (src->n_tensors == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds no tensors", src->folder);
    qsort(src->tensors, src->n_tensors, sizeof *src->tensors, by_name);
    for (size_t i = 1; i < src->n_tensors; i++) {
        const fvlm_source_tensor *a = &src->tensors[i - 1], *b = &src->tensors[i];
        if (!strcmp(a->name, b->name))
            return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" is in \"%s\" and in \"%s\"", a->name,
                             src->files[a->file].name, src->files[b->file].name);
    }
    return FVLM_OK;
}

fvlm_status fvlm_source_open(fvlm_source **out, const char *folder, fvlm_err *err)
{
    static const char single[] = "model.safetensors", index[] = "model.safetensors.index.json";
    *out = NULL;
    fvlm_source *src = fvlm_alloc(1, sizeof *src);
    if (!src) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    src->dir = -1;
    fvlm_status st = open_folder(src, folder, err);
    if (!st) {
        bool has_single = fvlm_source_has(src, single), has_index = fvlm_source_has(src, index);
        if (has_single && has_index)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds both %s and %s; remove the one that is not meant",
                           src->folder, single, index);
        else if (has_index)
            st = fvlm_source_add_shards(src, index, err);
        else if (has_single)
            st = add_single(src, single, err);
        else
            st = fvlm_fail(err, FVLM_BAD_INPUT,
                           "\"%s\" holds neither %s nor %s; give a checkpoint folder as downloaded (safetensors)",
                           src->folder, single, index);
    }
    if (!st) st = fvlm_source_sort(src, err);
    st = fvlm_source_check_unchanged(src, st, err);
    if (st)
        fvlm_source_close(&src);
    else
        *out = src;
    return st;
}

void fvlm_source_close(fvlm_source **src)
{
    fvlm_source *s = *src;
    *src = NULL;
    if (!s) return;
    for (size_t i = 0; i < s->n_files; i++) {
        if (s->files[i].fd >= 0) close(s->files[i].fd);
        free(s->files[i].name);
        free(s->files[i].header);
    }
    if (s->dir >= 0) close(s->dir);
    free(s->files);
    free(s->tensors);
    free(s->folder);
    free(s);
}

size_t fvlm_source_n_tensors(const fvlm_source *src)
{
    return src->n_tensors;
}

const fvlm_source_tensor *fvlm_source_tensor_at(const fvlm_source *src, size_t i)
{
    return &src->tensors[i];
}

size_t fvlm_source_first_at_or_after(const fvlm_source *src, const char *name)
{
    size_t low = 0, high = src->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(src->tensors[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const fvlm_source_tensor *fvlm_source_find(const fvlm_source *src, const char *name)
{
    size_t i = fvlm_source_first_at_or_after(src, name);
    return i < src->n_tensors && !strcmp(src->tensors[i].name, name) ? &src->tensors[i] : NULL;
}

fvlm_status fvlm_source_read(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                             void *out, fvlm_err *err)
{
    if (at > t->n_bytes || n_bytes > t->n_bytes - at)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\": %zu bytes from %" PRIu64 " on are not in it", t->name,
                         n_bytes, at);
    return read_file(src, t->file, t->offset + at, n_bytes, out, err);
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
    fvlm_source_file *f = &src->files[file];
    if (f->stamp.n_bytes > max_bytes)
        return fvlm_fail(err, FVLM_LIMIT, "\"%s/%s\" has %" PRIu64 " bytes, at most %" PRIu64 " are allowed",
                         src->folder, name, f->stamp.n_bytes, max_bytes);
    char *buffer = malloc((size_t)f->stamp.n_bytes + 1);
    if (!buffer) return fvlm_fail(err, FVLM_NOMEM, "\"%s\": out of memory", name);
    st = read_file(src, file, 0, (size_t)f->stamp.n_bytes, buffer, err);
    if (st) {
        free(buffer);
        return st;
    }
    buffer[f->stamp.n_bytes] = 0;
    f->hash = fvlm_hash_of(buffer, (size_t)f->stamp.n_bytes);
    f->hashed = true;
    *text = buffer;
    *n_bytes = (size_t)f->stamp.n_bytes;
    return FVLM_OK;
}

size_t fvlm_source_n_files(const fvlm_source *src)
{
    return src->n_files;
}

const char *fvlm_source_file_name(const fvlm_source *src, size_t i)
{
    return src->files[i].name;
}

uint64_t fvlm_source_file_bytes(const fvlm_source *src, size_t i)
{
    return src->files[i].stamp.n_bytes;
}

const fvlm_hash *fvlm_source_file_hash(const fvlm_source *src, size_t i)
{
    return &src->files[i].hash;
}

fvlm_status fvlm_source_hash(fvlm_source *src, size_t i, fvlm_err *err)
{
    fvlm_source_file *f = &src->files[i];
    if (f->hashed) return FVLM_OK;
    uint8_t *block = malloc(HASH_BLOCK);
    XXH3_state_t *state = XXH3_createState();
    fvlm_status st = block && state ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "out of memory");
    if (!st) XXH3_128bits_reset(state);
    for (uint64_t at = 0; !st && at < f->stamp.n_bytes;) {
        size_t n = f->stamp.n_bytes - at < HASH_BLOCK ? (size_t)(f->stamp.n_bytes - at) : HASH_BLOCK;
        if (fvlm_interrupted()) st = fvlm_fail(err, FVLM_INTERRUPTED, "interrupted");
        if (!st) st = read_file(src, i, at, n, block, err);
        if (!st) XXH3_128bits_update(state, block, n);
        at += n;
    }
    if (!st) {
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
        memcpy(f->hash.bytes, canonical.digest, sizeof f->hash.bytes);
        f->hashed = true;
    }
    XXH3_freeState(state);
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
    return false;
}

fvlm_status fvlm_source_check_unchanged(const fvlm_source *src, fvlm_status st, fvlm_err *err)
{
    char path[PATH_ROOM];
    for (size_t i = 0; i < src->n_files; i++)
        st = fvlm_stamp_check_unchanged(&src->files[i].stamp, src->files[i].fd, path_of(src, i, path), st, err);
    return st;
}
