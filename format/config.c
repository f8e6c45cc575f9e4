/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - see config.h. Tables of fields serve both directions. Reading trusts nothing: a field is
 * present, of its type, within its limits and consistent with the others, or it is refused with its dotted name. */
#include "format/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "format/base/json_fields.h"
#include "format/config_internal.h"

typedef enum { U32, REAL, BOOL } kind;

typedef struct {
    const char *key;
    size_t offset; /* in the struct that the fields belong to */
    double min, max;
    kind kind;
} field;

#define U32_IN(type, name, member, min, max)                                                                           \
    {                                                                                                                  \
        name, offsetof(type, member), min, max, U32                                                                    \
    }
#define VISION(name, max) U32_IN(fvlm_config, #name, vision.name, 1, max)
#define PROJECTOR(name) U32_IN(fvlm_config, #name, projector.name, 1, FVLM_MAX_WIDTH)
#define LLM(name, min, max) U32_IN(fvlm_config, #name, llm.name, min, max)
#define STAGE(name, min, max) U32_IN(fvlm_stage, #name, name, min, max)
#define COUNT(array) (sizeof array / sizeof array[0])

/* clang-format off */
static const field vision_fields[] = {
    VISION(image_size, FVLM_MAX_SIDE), VISION(stride, FVLM_MAX_SIDE), VISION(head_dim, FVLM_MAX_WIDTH),
    VISION(out_dim, FVLM_MAX_WIDTH), VISION(se_dim, FVLM_MAX_WIDTH),
    {"norm_eps", offsetof(fvlm_config, vision.norm_eps), FVLM_MIN_NORM_EPS, FVLM_MAX_NORM_EPS, REAL},
};
static const field stage_fields[] = {
    STAGE(dim, 1, FVLM_MAX_WIDTH), STAGE(depth, 1, FVLM_MAX_DEPTH), STAGE(hidden, 1, FVLM_MAX_WIDTH),
    {"pos", offsetof(fvlm_stage, pos), 0, 0, BOOL},
};
static const field heads_field[] = {STAGE(heads, 0, 0), STAGE(heads, 1, FVLM_MAX_HEADS)}; /* RepMixer, attention */
static const field projector_fields[] = {PROJECTOR(in), PROJECTOR(hidden), PROJECTOR(out)};
static const field llm_fields[] = {
    LLM(hidden, 1, FVLM_MAX_WIDTH), LLM(layers, 1, FVLM_MAX_DEPTH), LLM(heads, 1, FVLM_MAX_HEADS), LLM(kv_heads, 1, FVLM_MAX_HEADS),
    LLM(head_dim, 2, FVLM_MAX_WIDTH), LLM(intermediate, 1, FVLM_MAX_WIDTH), LLM(vocab, 1, FVLM_MAX_TOKENS), LLM(context, 1, FVLM_MAX_CONTEXT),
    {"rope_theta", offsetof(fvlm_config, llm.rope_theta), FVLM_MIN_ROPE_THETA, FVLM_MAX_ROPE_THETA, REAL},
    {"norm_eps", offsetof(fvlm_config, llm.norm_eps), FVLM_MIN_NORM_EPS, FVLM_MAX_NORM_EPS, REAL},
    {"tied", offsetof(fvlm_config, llm.tied), 0, 0, BOOL},
};
/* clang-format on */

/* ---- to JSON ---- */

static json_t *fields_to_json(const void *from, const field *f, size_t n)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        const void *at = (const char *)from + f[i].offset;
        fvlm_json_set(&object, f[i].key,
                      f[i].kind == U32    ? json_integer((json_int_t) * (const uint32_t *)at)
                      : f[i].kind == REAL ? json_real(*(const double *)at)
                                          : json_boolean(*(const bool *)at));
    }
    return object;
}

static json_t *stage_to_json(const fvlm_stage *s)
{
    json_t *object = fields_to_json(s, stage_fields, COUNT(stage_fields));
    fvlm_json_set(&object, "mixer", json_string(s->mixer == FVLM_ATTENTION ? "attention" : "repmixer"));
    fvlm_json_set(&object, "heads", json_integer((json_int_t)s->heads));
    return object;
}

static json_t *eos_to_json(const fvlm_config *c)
{
    json_t *eos = json_array();
    for (uint32_t i = 0; i < c->n_eos && i < FVLM_MAX_EOS; i++)
        fvlm_json_append(&eos, json_integer((json_int_t)c->eos[i]));
    return eos;
}

json_t *fvlm_config_to_json(const fvlm_config *c)
{
    json_t *stages = json_array(), *all = json_object();
    json_t *vision = fields_to_json(c, vision_fields, COUNT(vision_fields));
    for (uint32_t i = 0; i < c->vision.n_stages && i < FVLM_MAX_STAGES; i++)
        fvlm_json_append(&stages, stage_to_json(&c->vision.stage[i]));
    fvlm_json_set(&vision, "stages", stages);
    fvlm_json_set(&all, "vision", vision);
    if (fvlm_config_has_projector(c))
        fvlm_json_set(&all, "projector", fields_to_json(c, projector_fields, COUNT(projector_fields)));
    if (!fvlm_config_has_llm(c)) return all;
    json_t *llm = fields_to_json(c, llm_fields, COUNT(llm_fields));
    fvlm_config_family_to_json(&llm, c);
    fvlm_json_set(&all, "llm", llm);
    fvlm_json_set(&all, "eos", eos_to_json(c));
    fvlm_json_set(&all, "prompt", json_string(c->prompt));
    if (c->tiles.n_sizes) fvlm_json_set(&all, "tiles", fvlm_config_tiles_to_json(c));
    return all;
}

/* ---- from JSON ---- */

static void get_field(fvlm_json_fields *s, void *to, const field *f)
{
    void *at = (char *)to + f->offset;
    if (f->kind == U32)
        fvlm_json_fields_u32(s, f->key, (uint32_t)f->min, (uint32_t)f->max, at);
    else if (f->kind == REAL)
        fvlm_json_fields_real(s, f->key, f->min, f->max, at);
    else
        fvlm_json_fields_bool(s, f->key, at);
}

static void get_fields(fvlm_json_fields *s, void *to, const field *f, size_t n)
{
    for (size_t i = 0; i < n && !s->st; i++) get_field(s, to, &f[i]);
}

static fvlm_status read_stage(fvlm_stage *out, const json_t *json, const char *path, fvlm_err *err)
{
    fvlm_json_fields s = {.object = json, .name = path, .err = err};
    if (!json_is_object(json))
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %s, expected an object", path, fvlm_json_kind(json));
    get_fields(&s, out, stage_fields, COUNT(stage_fields));
    const json_t *mixer = fvlm_json_fields_child(&s, "mixer", JSON_STRING);
    if (s.st) return s.st;
    const char *name = json_string_value(mixer);
    if (strcmp(name, "attention") == 0) {
        out->mixer = FVLM_ATTENTION;
        get_field(&s, out, &heads_field[1]);
    } else if (strcmp(name, "repmixer") == 0) {
        out->mixer = FVLM_REPMIXER;
        get_field(&s, out, &heads_field[0]);
    } else {
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s.mixer is \"%.40s\", expected \"repmixer\" or \"attention\"", path,
                         name);
    }
    return s.st;
}

static fvlm_status read_vision(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    fvlm_json_fields s = {.object = json, .name = "config.vision", .err = err};
    get_fields(&s, out, vision_fields, COUNT(vision_fields));
    const json_t *stages = fvlm_json_fields_child(&s, "stages", JSON_ARRAY);
    if (s.st) return s.st;
    size_t n = json_array_size(stages);
    if (n < 1 || n > FVLM_MAX_STAGES)
        return fvlm_fail(err, FVLM_LIMIT, "config.vision.stages has %zu entries, expected 1 to %d", n, FVLM_MAX_STAGES);
    out->vision.n_stages = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        char path[48];
        snprintf(path, sizeof path, "config.vision.stages[%zu]", i);
        fvlm_status st = read_stage(&out->vision.stage[i], json_array_get(stages, i), path, err);
        if (st) return st;
    }
    return FVLM_OK;
}

static fvlm_status read_flat(fvlm_config *out, const char *path, const json_t *json, const field *f, size_t n,
                             fvlm_err *err)
{
    fvlm_json_fields s = {.object = json, .name = path, .err = err};
    get_fields(&s, out, f, n);
    return s.st;
}

static fvlm_status read_eos(fvlm_config *out, const json_t *eos, fvlm_err *err)
{
    size_t n = json_array_size(eos);
    if (n < 1 || n > FVLM_MAX_EOS)
        return fvlm_fail(err, FVLM_LIMIT, "config.eos has %zu entries, expected 1 to %d", n, FVLM_MAX_EOS);
    out->n_eos = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(eos, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= (json_int_t)out->llm.vocab)
            return fvlm_fail(err, FVLM_BAD_INPUT, "config.eos[%zu] is not an id of the vocabulary (%" PRIu32 " ids)", i,
                             out->llm.vocab);
        out->eos[i] = (uint32_t)id;
    }
    return FVLM_OK;
}

/* The executor splits the text at "<image>" and "{prompt}": each occurs once, in this order. */
static fvlm_status read_prompt(fvlm_config *out, const json_t *prompt, fvlm_err *err)
{
    size_t n = json_string_length(prompt);
    const char *text = json_string_value(prompt);
    if (n >= sizeof out->prompt)
        return fvlm_fail(err, FVLM_LIMIT, "config.prompt has %zu bytes, at most %zu are allowed", n,
                         sizeof out->prompt - 1);
    const char *image = strstr(text, "<image>"), *question = strstr(text, "{prompt}");
    if (!image || !question || strstr(image + 1, "<image>") || strstr(question + 1, "{prompt}") || question < image)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.prompt must hold \"<image>\" once and then \"{prompt}\" once");
    memcpy(out->prompt, text, n + 1);
    return FVLM_OK;
}

static fvlm_status read_projector(fvlm_config *out, const json_t *projector, fvlm_err *err)
{
    return read_flat(out, "config.projector", projector, projector_fields, COUNT(projector_fields), err);
}

/* What is left of a model without its language model. */
static fvlm_status read_tower_only(fvlm_config *out, fvlm_json_fields *s, fvlm_err *err)
{
    static const char *const of_llm[] = {"eos", "prompt", "tiles"};
    for (size_t i = 0; i < COUNT(of_llm); i++)
        if (json_object_get(s->object, of_llm[i]))
            return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm is missing, but config.%s is given", of_llm[i]);
    const bool has_projector = json_object_get(s->object, "projector");
    const json_t *vision = fvlm_json_fields_child(s, "vision", JSON_OBJECT);
    const json_t *projector = has_projector ? fvlm_json_fields_child(s, "projector", JSON_OBJECT) : NULL;
    fvlm_status st = s->st;
    if (!st) st = read_vision(out, vision, err);
    if (!st && projector) st = read_projector(out, projector, err);
    return st ? st : fvlm_config_check_sizes(out, err);
}

fvlm_status fvlm_config_from_json(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    memset(out, 0, sizeof *out);
    if (!json_is_object(json))
        return fvlm_fail(err, FVLM_BAD_INPUT, "config is %s, expected an object", fvlm_json_kind(json));
    fvlm_json_fields s = {.object = json, .name = "config", .err = err};
    if (!json_object_get(json, "llm")) return read_tower_only(out, &s, err);
    const json_t *vision = fvlm_json_fields_child(&s, "vision", JSON_OBJECT);
    const json_t *projector = fvlm_json_fields_child(&s, "projector", JSON_OBJECT);
    const json_t *llm = fvlm_json_fields_child(&s, "llm", JSON_OBJECT);
    const json_t *eos = fvlm_json_fields_child(&s, "eos", JSON_ARRAY);
    const json_t *prompt = fvlm_json_fields_child(&s, "prompt", JSON_STRING);
    const bool tiled = json_object_get(json, "tiles");
    const json_t *tiles = tiled ? fvlm_json_fields_child(&s, "tiles", JSON_OBJECT) : NULL;
    fvlm_status st = s.st;
    if (!st) st = read_vision(out, vision, err);
    if (!st) st = read_flat(out, "config.llm", llm, llm_fields, COUNT(llm_fields), err);
    if (!st) st = fvlm_config_family_from_json(out, llm, err);
    if (!st) st = read_projector(out, projector, err);
    if (!st) st = fvlm_config_check_sizes(out, err);
    if (!st) st = read_eos(out, eos, err);
    if (!st) st = read_prompt(out, prompt, err);
    if (!st && tiled) st = fvlm_config_tiles_from_json(out, tiles, err);
    return st;
}

bool fvlm_config_has_projector(const fvlm_config *c)
{
    return c->projector.in > 0;
}

bool fvlm_config_has_llm(const fvlm_config *c)
{
    return c->llm.layers > 0;
}

uint32_t fvlm_config_image_width(const fvlm_config *c)
{
    return fvlm_config_has_projector(c) ? c->projector.out : c->vision.out_dim;
}

bool fvlm_config_is_eos(const fvlm_config *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id) return true;
    return false;
}
