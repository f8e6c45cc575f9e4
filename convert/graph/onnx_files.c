/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_files.c - see onnx_files.h. onnx_choice.c chooses among the files of a folder. */
#include "convert/graph/onnx_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/graph/onnx_choice.h"
#include "convert/source/hub.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && !strcasecmp(text + n - m, end);
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool exists(const char *folder, const char *name)
{
    struct stat about;
    char *path = fvlm_asprintf("%s/%s", folder, name);
    const bool found = path && lstat(path, &about) == 0;
    free(path);
    return found;
}

/* ---- the folder ---- */

static fvlm_status list(fvlm_listing *out, const char *path, fvlm_err *err)
{
    *out = (fvlm_listing){0};
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return fvlm_fail_errno(err, "\"%s\"", path);
    const fvlm_status st = fvlm_listing_read(out, dir, err);
    close(dir);
    return st ? fvlm_err_prefix(err, "\"%s\"", path) : st;
}

static bool has_onnx(const char *path)
{
    fvlm_listing l;
    if (list(&l, path, NULL)) return false;
    const bool found = fvlm_listing_find(&l, "*.onnx") != NULL;
    fvlm_listing_free(&l);
    return found;
}

/* "" or "onnx/": where below the folder the files are; NULL: nowhere. */
static const char *place_of(const char *folder)
{
    char *below = fvlm_asprintf("%s/onnx", folder);
    const char *place = below && has_onnx(below) ? "onnx/" : has_onnx(folder) ? "" : NULL;
    free(below);
    return place;
}

static bool has_safetensors(const char *folder)
{
    return exists(folder, "model.safetensors") || exists(folder, "model.safetensors.index.json");
}

/* The folder itself, or the snapshot that it leads to; malloc'd, NULL if neither has such files. */
static char *enter(const char *path)
{
    char *snapshot = NULL;
    if (place_of(path)) return fvlm_strdup(path);
    if (has_safetensors(path) || fvlm_hub_find_snapshot(&snapshot, path, NULL)) return NULL;
    if (snapshot && place_of(snapshot)) return snapshot;
    free(snapshot);
    return NULL;
}

bool fvlm_onnx_files_are(const char *path, bool prefer)
{
    if (!is_folder(path)) return ends_with(path, ".onnx");
    char *folder = enter(path);
    const bool found = folder && (prefer || !has_safetensors(folder));
    free(folder);
    return found;
}

/* Where config.json is: beside the files, or in the folder above their "onnx"; NULL: memory is out. */
static char *folder_of(const char *place)
{
    if (exists(place, "config.json")) return fvlm_strdup(place);
    char *full = realpath(place, NULL), *above = NULL;
    const char *slash = strrchr(place, '/');
    if (!full && errno == ENOMEM) return NULL;
    if (slash && slash > place && !strcmp(slash, "/onnx"))
        above = fvlm_asprintf("%.*s", (int)(slash - place), place);
    else if (full && ends_with(full, "/onnx"))
        above = strcmp(place, "onnx") ? fvlm_asprintf("%s/..", place) : fvlm_strdup(".");
    free(full);
    if (above && exists(above, "config.json")) return above;
    free(above);
    return fvlm_strdup(place);
}

/* ---- the entry ---- */

/* Files beside a folder "onnx" whose files are taken. */
static fvlm_status note_unused_beside(fvlm_onnx_files *out, const char *folder, fvlm_err *err)
{
    fvlm_listing l;
    size_t i = 0;
    fvlm_status st = list(&l, folder, err);
    if (st) return st;
    for (const char *name; (name = fvlm_listing_next(&l, "*.onnx", &i)); out->n_unused++)
        if (!out->unused && !(out->unused = fvlm_strdup(name))) st = fvlm_fail_nomem(err);
    fvlm_listing_free(&l);
    return st;
}

static fvlm_status find_in_folder(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err)
{
    char *folder = enter(path), *place = NULL;
    const char *below = folder ? place_of(folder) : NULL;
    if (!below) {
        free(folder);
        return fvlm_fail(err, FVLM_USAGE, "--variant: \"%s\" has no ONNX files; leave the option out", path);
    }
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') folder[--n] = 0;
    place = below[0] ? fvlm_asprintf("%s/onnx", folder) : fvlm_strdup(folder);
    out->folder = place ? below[0] ? fvlm_strdup(folder) : folder_of(place) : NULL;
    /* The names are relative to where config.json is. */
    const char *prefix = out->folder && place && strcmp(out->folder, place) ? "onnx/" : "";
    fvlm_listing l = {0};
    fvlm_status st = out->folder ? list(&l, place, err) : fvlm_fail_nomem(err);
    if (!st) st = fvlm_onnx_choose(out, &l, place, prefix, variant, err);
    if (!st && below[0]) st = note_unused_beside(out, folder, err);
    fvlm_listing_free(&l);
    free(place);
    free(folder);
    return st;
}

static fvlm_status take_file(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err)
{
    if (variant) return fvlm_fail(err, FVLM_USAGE, "--variant: \"%s\" is one file; leave the option out", path);
    struct stat about;
    if (stat(path, &about)) return fvlm_fail_errno(err, "\"%s\"", path);
    const char *slash = strrchr(path, '/');
    char *place = slash && slash > path ? fvlm_asprintf("%.*s", (int)(slash - path), path)
                  : slash               ? fvlm_strdup("/")
                                        : fvlm_strdup(".");
    out->one_file = true;
    out->folder = place ? folder_of(place) : NULL;
    const char *prefix = out->folder && strcmp(out->folder, place) ? "onnx/" : "";
    char *name = fvlm_asprintf("%s%s", prefix, slash ? slash + 1 : path);
    free(place);
    if (!out->folder || !name) {
        free(name);
        return fvlm_fail_nomem(err);
    }
    out->files[out->n_files++] = (fvlm_onnx_file){name, NULL, FVLM_GRAPH_FOREIGN};
    return FVLM_OK;
}

fvlm_status fvlm_onnx_files_find(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err)
{
    *out = (fvlm_onnx_files){.given = fvlm_strdup(path)};
    fvlm_status st = !out->given       ? fvlm_fail_nomem(err)
                     : is_folder(path) ? find_in_folder(out, path, variant, err)
                                       : take_file(out, path, variant, err);
    if (st) fvlm_onnx_files_free(out);
    return st;
}

void fvlm_onnx_files_free(fvlm_onnx_files *f)
{
    for (size_t i = 0; i < f->n_files; i++) free(f->files[i].name);
    free(f->folder);
    free(f->given);
    free(f->unused);
    *f = (fvlm_onnx_files){0};
}
