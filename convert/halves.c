/* SPDX-License-Identifier: Apache-2.0 */
/* halves.c - see halves.h. */
#include "convert/halves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/onnx_paths.h"
#include "convert/graph/onnx_source.h"
#include "convert/source/renames.h"

#define TOWER FVLM_TOWER_PREFIX
#define PROJECTOR FVLM_PROJECTOR_PREFIX "0.weight"

static bool has(const fvlm_source *src, const char *prefix)
{
    const size_t i = fvlm_source_first_at_or_after(src, prefix);
    return i < fvlm_source_n_tensors(src) && !strncmp(fvlm_source_tensor_at(src, i)->key, prefix, strlen(prefix));
}

static bool has_language(const fvlm_source *src)
{
    return has(src, "model.layers.0.") || has(src, "model.embed_tokens.");
}

/* Whether a name, whatever its dialect, holds one of these texts. */
static bool mentions(const fvlm_source *src, const char *a, const char *b, const char *c)
{
    bool found = false;
    for (size_t i = 0; i < fvlm_source_n_tensors(src); i++) {
        const char *name = fvlm_source_tensor_at(src, i)->name;
        found |= strstr(name, a) || strstr(name, b) || strstr(name, c);
    }
    return found;
}

/* A half in the names of another dialect is left over, and so named later. */
fvlm_status fvlm_halves_find(fvlm_halves *out, const fvlm_source *src, const fvlm_naming *naming, fvlm_err *err)
{
    const bool tower = has(src, TOWER), language = has_language(src);
    const bool alone = !language && !mentions(src, "embed_tokens.", "lm_head.", "mm_projector.");
    *out = alone && (tower || fvlm_naming_is_bare(naming)) ? FVLM_TOWER_ALONE : FVLM_WHOLE;
    if (!language || tower || mentions(src, "vision_tower.", "patch_embed.", "stages.0.")) return FVLM_OK;
    return fvlm_fail(
        err, FVLM_UNSUPPORTED,
        "\"%s\" is a language model without a vision tower; give the tower's folder with --vision, such as "
        "Apple's own checkpoint of the same size, apple/FastVLM-0.5B on Hugging Face",
        fvlm_source_folder(src));
}

/* ---- --vision ---- */

static fvlm_status open_tower(fvlm_source **out, const char *path, fvlm_err *err)
{
    fvlm_naming naming;
    if (fvlm_onnx_paths_are(path, NULL)) {
        fvlm_onnx_facts *facts = fvlm_alloc(1, sizeof *facts);
        const fvlm_status st = facts ? fvlm_onnx_open(out, facts, path, NULL, err) : fvlm_fail_nomem(err);
        free(facts);
        return st;
    }
    fvlm_status st = fvlm_source_open(out, path, err);
    if (!st) st = fvlm_naming_apply(&naming, *out, NULL, err);
    if (st) fvlm_source_close(out);
    return st;
}

/* Towers are trained with their language models, and of one size all have the same shapes. */
static fvlm_status check_width(const fvlm_source *src, const fvlm_source *tower, fvlm_err *err)
{
    const fvlm_source_tensor *own = fvlm_source_find(src, PROJECTOR), *other = fvlm_source_find(tower, PROJECTOR);
    if (!own || !other || own->dims[0] == other->dims[0]) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "--vision: the tower of \"%s\" was trained with a language model of width %" PRIu64
                     "; that of \"%s\" has %" PRIu64 "; give the checkpoint of the same size",
                     fvlm_source_folder(tower), other->dims[0], fvlm_source_folder(src), own->dims[0]);
}

fvlm_status fvlm_halves_add_tower(fvlm_source *src, const char *path, fvlm_err *err)
{
    fvlm_source *tower = NULL;
    if (has(src, TOWER))
        return fvlm_fail(err, FVLM_USAGE, "--vision: \"%s\" has a vision tower of its own; leave the option out",
                         fvlm_source_folder(src));
    fvlm_status st = open_tower(&tower, path, err);
    if (st) return fvlm_err_prefix(err, "--vision");
    if (!has(tower, TOWER))
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "--vision: \"%s\" has no vision tower", fvlm_source_folder(tower));
    if (!st) st = check_width(src, tower, err);
    if (st) {
        fvlm_source_close(&tower);
        return st;
    }
    return fvlm_source_attach(src, tower, TOWER, err);
}
