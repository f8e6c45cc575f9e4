/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_choice.c - see onnx_choice.h. */
#include "convert/graph/onnx_choice.h"

#include <stdio.h>
#include <string.h>

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

static void write_name(char out[64], size_t part, size_t variant)
{
    snprintf(out, 64, variant == FP32 ? "%s.onnx" : "%s_%s.onnx", parts[part].name, variants[variant]);
}

/* The part and variant that a file's name says; false if it is none of the known names. */
static bool parse_name(const char *name, size_t *part, size_t *variant)
{
    for (*part = 0; *part < N_PARTS; ++*part)
        for (*variant = 0; *variant < N_VARIANTS; ++*variant) {
            char known[64];
            write_name(known, *part, *variant);
            if (!strcmp(name, known)) return true;
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

/* ---- the choice ---- */

typedef struct {
    const fvlm_listing *l;
    const char *place; /* of the files, in front of their names */
    const char *where; /* the folder, for messages */
    bool has[N_PARTS][N_VARIANTS];
    fvlm_onnx_files *out;
    fvlm_err *err;
} chooser;

/* The variants of one part, or of all: "fp32, q4". */
static void list_variants(const chooser *c, size_t part, char text[256])
{
    size_t n = 0;
    text[0] = 0;
    for (size_t v = 0; v < N_VARIANTS; v++) {
        bool found = false;
        for (size_t p = 0; p < N_PARTS; p++) found |= (part == N_PARTS || p == part) && c->has[p][v];
        if (found) n += (size_t)snprintf(text + n, 256 - n, n ? ", %s" : "%s", variants[v]);
    }
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

/* Which variant of a part to take; N_VARIANTS if the user must choose. */
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
    write_name(name, part, v);
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
    char pattern[48];
    size_t i = 0;
    snprintf(pattern, sizeof pattern, variant ? "*_%.30s.onnx" : "*.onnx", variant ? variant : "");
    fvlm_status st = FVLM_OK;
    for (const char *name; !st && (name = fvlm_listing_next(c->l, pattern, &i));)
        st = add_file(c, name, NULL, FVLM_GRAPH_FOREIGN);
    if (!st && c->out->n_files == 0)
        st = fvlm_fail(c->err, FVLM_BAD_INPUT, "\"%s\" has no file whose name ends in \"%s\"", c->where, pattern + 1);
    return st;
}

/* Files without a known name beside those that have one. */
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

fvlm_status fvlm_onnx_choose(fvlm_onnx_files *out, const fvlm_listing *l, const char *where, const char *place,
                             const char *variant, fvlm_err *err)
{
    chooser c = {.l = l, .place = place, .where = where, .out = out, .err = err};
    size_t i = 0, part, v, n_known = 0;
    for (const char *name; (name = fvlm_listing_next(l, "*.onnx", &i));)
        if (parse_name(name, &part, &v)) c.has[part][v] = ++n_known;
    const fvlm_status st = n_known ? choose_by_name(&c, variant) : choose_all(&c, variant);
    return st || !n_known ? st : note_unused(&c);
}
