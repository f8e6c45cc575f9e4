/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_files.c - see onnx_files.h. */
#include "convert/graph/onnx_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/source/hub.h"

#define LISTED 8 /* names in a message */

/* transformers.js's names, and onnxruntime-genai's and optimum's "model". The first of a role is taken if there are
 * several. The decoder with caches has the same weights as the one without. */
static const struct {
    const char *name;
    fvlm_graph_role role;
} parts[] = {
    {"vision_encoder", FVLM_GRAPH_VISION},        {"embed_tokens", FVLM_GRAPH_EMBEDDING},
    {"decoder_model_merged", FVLM_GRAPH_DECODER}, {"decoder_with_past_model", FVLM_GRAPH_DECODER},
    {"decoder_model", FVLM_GRAPH_DECODER},        {"model", FVLM_GRAPH_FOREIGN}, /* whatever it is */
};
enum { N_PARTS = sizeof parts / sizeof parts[0] };

static const char *const variants[] = {"fp32", "fp16", "q4", "q4f16", "int8", "uint8", "quantized", "bnb4"};
enum { N_VARIANTS = sizeof variants / sizeof variants[0], FP32 = 0, FP16 = 1, Q4F16 = 3 };

/* ---- names ---- */

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

/* The part and variant that a file's name says; false if it is none of the known names. */
static bool parse_name(const char *name, size_t *part, size_t *variant)
{
    for (*part = 0; *part < N_PARTS; ++*part) {
        const size_t n = strlen(parts[*part].name);
        if (strncmp(name, parts[*part].name, n)) continue;
        for (*variant = 0; *variant < N_VARIANTS; ++*variant) {
            char suffix[32];
            snprintf(suffix, sizeof suffix, *variant == FP32 ? ".onnx" : "_%s.onnx", variants[*variant]);
            if (!strcmp(name + n, suffix)) return true;
        }
    }
    return false;
}

/* The variant's number; N_VARIANTS if it is not known. */
static size_t find_variant(const char *name)
{
    size_t v = 0;
    if (!strcmp(name, "q8")) name = "quantized";
    while (v < N_VARIANTS && strcmp(variants[v], name)) v++;
    return v;
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

/* Where config.json is: beside the files, or in the folder above their "onnx". */
static char *folder_of(const char *place)
{
    if (exists(place, "config.json")) return fvlm_strdup(place);
    char *full = realpath(place, NULL), *above = NULL;
    const char *slash = strrchr(place, '/');
    if (slash && slash > place && !strcmp(slash, "/onnx"))
        above = fvlm_asprintf("%.*s", (int)(slash - place), place);
    else if (full && ends_with(full, "/onnx"))
        above = strcmp(place, "onnx") ? fvlm_asprintf("%s/..", place) : fvlm_strdup(".");
    free(full);
    if (above && exists(above, "config.json")) return above;
    free(above);
    return fvlm_strdup(place);
}

/* ---- the choice ---- */

typedef struct {
    const fvlm_listing *l;
    const char *place; /* of the files, in front of their names */
    const char *where; /* the folder, for messages */
    bool has[N_PARTS][N_VARIANTS];
    fvlm_onnx_files *out;
    fvlm_err *err;
} chooser;

/* Appends a text to a list of texts, once. */
static void add_text(char *text, size_t size, const char *one)
{
    const size_t n = strlen(text);
    char quoted[64];
    snprintf(quoted, sizeof quoted, " %s,", one);
    if (n == 0 || !strstr(text, quoted)) snprintf(text + n, size - n, " %s,", one);
}

/* The variants of one part, or of all: "fp32, q4". */
static void list_variants(const chooser *c, size_t part, char text[256])
{
    text[0] = 0;
    for (size_t v = 0; v < N_VARIANTS; v++)
        for (size_t p = 0; p < N_PARTS; p++)
            if ((part == N_PARTS || p == part) && c->has[p][v]) add_text(text, 256, variants[v]);
    const size_t n = strlen(text);
    if (n) text[n - 1] = 0;
    memmove(text, text + (n > 0), n + (n == 0));
}

static fvlm_status add_file(chooser *c, const char *name, const char *variant, fvlm_graph_role role)
{
    fvlm_onnx_files *f = c->out;
    if (f->n_files == sizeof f->files / sizeof f->files[0])
        return fvlm_fail(c->err, FVLM_LIMIT,
                         "\"%s\" has over %zu .onnx files, and none has a name that fvlm knows, such "
                         "as vision_encoder.onnx; give a folder with the parts of one model",
                         c->where, f->n_files);
    char *kept = fvlm_asprintf("%s%s", c->place, name);
    if (!kept) return fvlm_fail_nomem(c->err);
    f->files[f->n_files++] = (fvlm_onnx_file){kept, variant, role};
    return FVLM_OK;
}

static size_t count(const bool has[N_VARIANTS])
{
    size_t n = 0;
    for (size_t v = 0; v < N_VARIANTS; v++) n += has[v];
    return n;
}

/* Which variant of a part to take; N_VARIANTS if that is the user's to say. */
static size_t choose(const bool has[N_VARIANTS], size_t wanted)
{
    if (wanted < N_VARIANTS) {
        const size_t second = wanted == Q4F16 ? FP16 : FP32, third = second == FP16 ? FP32 : FP16;
        return has[wanted] ? wanted : has[second] ? second : has[third] ? third : N_VARIANTS;
    }
    size_t only = 0;
    while (!has[only]) only++;
    return has[FP32] ? FP32 : count(has) == 1 ? only : N_VARIANTS;
}

static fvlm_status choose_part(chooser *c, size_t part, size_t wanted)
{
    char there[256], name[64];
    const size_t v = choose(c->has[part], wanted);
    if (v == N_VARIANTS) {
        list_variants(c, part, there);
        return fvlm_fail(c->err, FVLM_BAD_INPUT, "\"%s\" has several variants of %s (%s); choose one with --variant",
                         c->where, parts[part].name, there);
    }
    snprintf(name, sizeof name, v == FP32 ? "%s.onnx" : "%s_%s.onnx", parts[part].name, variants[v]);
    return add_file(c, name, variants[v], parts[part].role);
}

/* The first part of each role: see the table. */
static bool is_taken(const chooser *c, size_t part)
{
    bool taken = count(c->has[part]) > 0;
    for (size_t p = 0; p < part; p++)
        if (count(c->has[p]) && (parts[p].role == parts[part].role)) taken = false;
    /* "model" is the decoder of a folder that has no other */
    for (size_t p = 0; p < part && parts[part].role == FVLM_GRAPH_FOREIGN; p++)
        if (count(c->has[p]) && parts[p].role == FVLM_GRAPH_DECODER) taken = false;
    return taken;
}

static fvlm_status choose_by_name(chooser *c, const char *variant)
{
    char there[256];
    const size_t wanted = variant ? find_variant(variant) : N_VARIANTS;
    bool found = wanted == N_VARIANTS;
    for (size_t p = 0; p < N_PARTS; p++) found |= wanted < N_VARIANTS && is_taken(c, p) && c->has[p][wanted];
    if (!found || (variant && wanted == N_VARIANTS)) {
        list_variants(c, N_PARTS, there);
        return fvlm_fail(c->err, FVLM_BAD_INPUT, "\"%s\" has no variant %.40s; there is %s", c->where, variant, there);
    }
    c->out->wanted = wanted < N_VARIANTS ? variants[wanted] : NULL;
    fvlm_status st = FVLM_OK;
    for (size_t p = 0; p < N_PARTS && !st; p++)
        if (is_taken(c, p)) st = choose_part(c, p, wanted);
    return st;
}

/* Files under other names: all that have the variant's suffix. */
static fvlm_status choose_all(chooser *c, const char *variant)
{
    char suffix[64];
    size_t i = 0;
    snprintf(suffix, sizeof suffix, !variant ? ".onnx" : "_%.40s.onnx", variant);
    fvlm_status st = FVLM_OK;
    for (const char *name; !st && (name = fvlm_listing_next(c->l, "*.onnx", &i));)
        if (ends_with(name, suffix)) st = add_file(c, name, NULL, FVLM_GRAPH_FOREIGN);
    if (!st && c->out->n_files == 0)
        st = fvlm_fail(c->err, FVLM_BAD_INPUT, "\"%s\" has no file whose name ends in \"%s\"", c->where, suffix);
    return st;
}

/* What is not a known name beside those that are. */
static fvlm_status note_unused(chooser *c)
{
    size_t i = 0, part, v;
    fvlm_onnx_files *f = c->out;
    for (const char *name; (name = fvlm_listing_next(c->l, "*.onnx", &i));) {
        if (parse_name(name, &part, &v)) continue;
        f->n_unused++;
        if (!f->unused && !(f->unused = fvlm_asprintf("%s%s", c->place, name))) return fvlm_fail_nomem(c->err);
    }
    return FVLM_OK;
}

static fvlm_status choose_files(fvlm_onnx_files *out, const char *where, const char *place, const char *variant,
                                fvlm_err *err)
{
    fvlm_listing l;
    chooser c = {.l = &l, .place = place, .where = where, .out = out, .err = err};
    size_t i = 0, part, v, n_known = 0;
    fvlm_status st = list(&l, where, err);
    for (const char *name; !st && (name = fvlm_listing_next(&l, "*.onnx", &i));)
        if (parse_name(name, &part, &v)) c.has[part][v] = ++n_known;
    if (!st) st = n_known ? choose_by_name(&c, variant) : choose_all(&c, variant);
    if (!st && n_known) st = note_unused(&c);
    fvlm_listing_free(&l);
    return st;
}

/* ---- the entry ---- */

static fvlm_status find_in_folder(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err)
{
    char *folder = enter(path), *place = NULL;
    const char *below = folder ? place_of(folder) : NULL;
    if (!below) {
        free(folder);
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has no .onnx file, and --variant chooses among such", path);
    }
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') folder[--n] = 0;
    place = below[0] ? fvlm_asprintf("%s/onnx", folder) : fvlm_strdup(folder);
    out->folder = place ? below[0] ? fvlm_strdup(folder) : folder_of(place) : NULL;
    /* The names are relative to where config.json is. */
    const char *prefix = out->folder && place && strcmp(out->folder, place) ? "onnx/" : "";
    fvlm_status st = out->folder ? choose_files(out, place, prefix, variant, err) : fvlm_fail_nomem(err);
    free(place);
    free(folder);
    return st;
}

static fvlm_status take_file(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err)
{
    if (variant)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is one file, and --variant chooses among those of a folder",
                         path);
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
