/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - opens a checkpoint folder: one weights file, or an index and its shards. */
#include "convert/source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/source/hub.h"
#include "convert/source/kinds.h"
#include "convert/source/magic.h"
#include "convert/source/packed.h"
#include "convert/source/shards.h"

static const char index_name[] = "model.safetensors.index.json";

/* ---- the folder ---- */

/* What was given is not a folder. */
static fvlm_status refuse_file(const char *path, fvlm_err *err)
{
    int fd;
    fvlm_stamp stamp;
    uint8_t first[FVLM_MAGIC_BYTES];
    fvlm_status st = fvlm_file_open(&fd, &stamp, path, err);
    if (st) return st;
    const size_t n = stamp.n_bytes < sizeof first ? (size_t)stamp.n_bytes : sizeof first;
    st = fvlm_file_read(fd, path, 0, first, n, err);
    close(fd);
    return st ? st : fvlm_magic_refuse_file(first, n, path, err);
}

static fvlm_status enter_folder(fvlm_source *src, const char *folder, fvlm_err *err)
{
    size_t n = strlen(folder);
    free(src->folder);
    src->folder = fvlm_strdup(folder);
    if (!src->folder) return fvlm_fail_nomem(err);
    while (n > 1 && src->folder[n - 1] == '/') src->folder[--n] = 0; /* "folder/" reads better as "folder" */
    if (src->dir >= 0) close(src->dir);
    src->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (src->dir >= 0) return FVLM_OK;
    return errno == ENOTDIR ? refuse_file(folder, err) : fvlm_fail_errno(err, "\"%s\"", folder);
}

/* The weights in one file; OpenCLIP's name comes second. NULL if there are none. */
static const char *find_single(const fvlm_source *src)
{
    static const char *const names[] = {"model.safetensors", "open_clip_model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (fvlm_source_has(src, names[i])) return names[i];
    return NULL;
}

static bool has_weights(const fvlm_source *src)
{
    return find_single(src) || fvlm_source_has(src, index_name);
}

/* A folder without weights may be Hugging Face's cache. */
static fvlm_status enter_snapshot(fvlm_source *src, fvlm_err *err)
{
    char *snapshot;
    if (has_weights(src)) return FVLM_OK;
    fvlm_status st = fvlm_hub_find_snapshot(&snapshot, src->folder, err);
    if (!st && snapshot) st = enter_folder(src, snapshot, err);
    free(snapshot);
    return st;
}

/* ---- the weights ---- */

/* Further files of weights: not read, as transformers does not read them either; an adapter it would apply. */
static fvlm_status check_others(fvlm_source *src, const fvlm_listing *files, fvlm_err *err)
{
    if (fvlm_listing_find(files, "adapter_config.json"))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" has a LoRA adapter (\"adapter_config.json\") beside its weights; merge it (peft: "
                         "merge_and_unload, then save_pretrained), or remove it",
                         src->folder);
    const char *first = NULL;
    size_t n = 0, i = 0;
    for (const char *name; (name = fvlm_listing_next(files, "*.safetensors", &i));) {
        size_t used = 0;
        while (used < src->n_files && strcmp(src->files[used].name, name)) used++;
        if (used < src->n_files) continue;
        if (!first) first = name;
        n++;
    }
    if (n == 0) return FVLM_OK;
    return fvlm_source_warn(src, err, "%zu weights file%s not used: \"%.255s\"%s", n, n == 1 ? " is" : "s are", first,
                            n == 1 ? "" : " and more");
}

static fvlm_status add_weights(fvlm_source *src, fvlm_err *err)
{
    fvlm_listing files;
    const char *const single = find_single(src), *const names[] = {single};
    const bool index = fvlm_source_has(src, index_name);
    fvlm_status st = fvlm_listing_read(&files, src->dir, err);
    if (st) return fvlm_err_prefix(err, "\"%s\"", src->folder);
    st = single || index ? fvlm_kinds_check_config(src, err) : fvlm_kinds_refuse_files(src, &files, err);
    if (!st)
        st =
            index ? fvlm_shards_add(src, index_name, single, &files, err) : fvlm_source_add_weights(src, names, 1, err);
    if (!st) st = check_others(src, &files, err);
    fvlm_listing_free(&files);
    if (!st) st = fvlm_packed_add(src, err);
    return st ? st : fvlm_kinds_check_tensors(src, err);
}

fvlm_status fvlm_source_open_bare(fvlm_source **out, const char *folder, fvlm_err *err)
{
    fvlm_source *src = *out = fvlm_alloc(1, sizeof *src);
    if (!src) return fvlm_fail_nomem(err);
    src->dir = -1;
    src->files = fvlm_alloc(FVLM_SOURCE_MAX_FILES, sizeof *src->files);
    src->prefix = fvlm_strdup("");
    fvlm_status st = src->files && src->prefix ? enter_folder(src, folder, err) : fvlm_fail_nomem(err);
    if (st) fvlm_source_close(out);
    return st;
}

fvlm_status fvlm_source_open(fvlm_source **out, const char *folder, fvlm_err *err)
{
    fvlm_status st = fvlm_source_open_bare(out, folder, err);
    if (st) return st;
    st = enter_snapshot(*out, err);
    if (!st) st = add_weights(*out, err);
    st = fvlm_source_check_unchanged(*out, st, err);
    if (st) fvlm_source_close(out);
    return st;
}

const char *fvlm_source_folder(const fvlm_source *src)
{
    return src->folder;
}

const char *fvlm_source_prefix(const fvlm_source *src)
{
    return src->prefix;
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
    for (size_t i = 0; i < s->n_warnings; i++) free(s->warnings[i]);
    for (size_t i = 0; i < s->n_notes; i++) free(s->notes[i]);
    for (size_t i = 0; i < s->n_keys; i++) free(s->keys[i]);
    free(s->keys);
    fvlm_source_close(&s->attached);
    fvlm_source_free_views(s);
    if (s->dir >= 0) close(s->dir);
    free(s->files);
    free(s->tensors);
    free(s->aliases);
    free(s->unlisted);
    free(s->prefix);
    free(s->folder);
    free(s);
}
