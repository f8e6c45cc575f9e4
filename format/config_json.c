/* SPDX-License-Identifier: Apache-2.0 */
/* config_json.c - fvlm_config to JSON and back. The way back trusts nothing: a field
 * is present, of its type, within its limit, and fits the others, or it is refused
 * with its dotted name. SPEC.md lists the keys. */
#include "format/config_json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "format/base/json.h"

#define MAX_WIDTH 262144 /* channels, hidden sizes */
#define MAX_DEPTH 1024   /* blocks of a stage, layers */
#define MAX_HEADS 1024
#define MAX_IMAGE 16384 /* pixels to a side */
#define MAX_CONTEXT 1048576

static const char *mixer_name(uint32_t mixer)
{
    return mixer == FVLM_ATTENTION ? "attention" : "repmixer";
}

static json_t *stage_to_json(const fvlm_stage *s)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:b}", "dim", (json_int_t)s->dim, "depth", (json_int_t)s->depth,
                     "hidden", (json_int_t)s->hidden, "mixer", mixer_name(s->mixer), "heads", (json_int_t)s->heads,
                     "pos", s->pos);
}

static json_t *vision_to_json(const fvlm_config *c)
{
    json_t *stages = json_array();
    for (uint32_t i = 0; i < c->vision.n_stages && i < FVLM_MAX_STAGES; i++)
        fvlm_json_append(&stages, stage_to_json(&c->vision.stage[i]));
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I, s:f}", "image_size", (json_int_t)c->vision.image_size, "stride",
                     (json_int_t)c->vision.stride, "stages", stages, "head_dim", (json_int_t)c->vision.head_dim,
                     "out_dim", (json_int_t)c->vision.out_dim, "se_dim", (json_int_t)c->vision.se_dim, "norm_eps",
                     c->vision.norm_eps);
}

static json_t *llm_to_json(const fvlm_config *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b}", "hidden", (json_int_t)c->llm.hidden,
                     "layers", (json_int_t)c->llm.layers, "heads", (json_int_t)c->llm.heads, "kv_heads",
                     (json_int_t)c->llm.kv_heads, "head_dim", (json_int_t)c->llm.head_dim, "intermediate",
                     (json_int_t)c->llm.intermediate, "vocab", (json_int_t)c->llm.vocab, "context",
                     (json_int_t)c->llm.context, "rope_theta", c->llm.rope_theta, "norm_eps", c->llm.norm_eps, "tied",
                     c->llm.tied);
}

json_t *fvlm_config_to_json(const fvlm_config *c)
{
    json_t *eos = json_array();
    for (uint32_t i = 0; i < c->n_eos && i < 4; i++) fvlm_json_append(&eos, json_integer((json_int_t)c->eos[i]));
    /* json_pack takes what it is given even when it fails, and fails when given NULL. */
    return json_pack("{s:o, s:{s:I, s:I, s:I}, s:o, s:o, s:s}", "vision", vision_to_json(c), "projector", "in",
                     (json_int_t)c->projector.in, "hidden", (json_int_t)c->projector.hidden, "out",
                     (json_int_t)c->projector.out, "llm", llm_to_json(c), "eos", eos, "prompt", c->prompt);
}

/* ---- back ---- */

/* Where we are, for messages, and the first failure: reads after it change nothing. */
typedef struct {
    const char *path; /* "config.vision" */
    const json_t *object;
    fvlm_err *err;
    fvlm_status st;
} scope;

static void get_u32(scope *s, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    if (s->st) return;
    const json_t *v = json_object_get(s->object, key);
    if (!json_is_integer(v)) {
        s->st =
            fvlm_fail(s->err, FVLM_BAD_INPUT, "%s.%s is %s, expected a whole number", s->path, key, fvlm_json_kind(v));
        return;
    }
    json_int_t i = json_integer_value(v);
    if (i < (json_int_t)min || i > (json_int_t)max)
        s->st =
            fvlm_fail(s->err, i > (json_int_t)max ? FVLM_LIMIT : FVLM_BAD_INPUT,
                      "%s.%s is %" JSON_INTEGER_FORMAT ", expected %" PRIu32 " to %" PRIu32, s->path, key, i, min, max);
    else
        *out = (uint32_t)i;
}

static void get_positive(scope *s, const char *key, double *out)
{
    if (s->st) return;
    const json_t *v = json_object_get(s->object, key);
    double d = json_number_value(v);
    if (!json_is_number(v) || !isfinite(d) || !(d > 0))
        s->st = fvlm_fail(s->err, FVLM_BAD_INPUT, "%s.%s is %s, expected a number above 0", s->path, key,
                          json_is_number(v) ? "not" : fvlm_json_kind(v));
    else
        *out = d;
}

static void get_bool(scope *s, const char *key, bool *out)
{
    if (s->st) return;
    const json_t *v = json_object_get(s->object, key);
    if (!json_is_boolean(v))
        s->st =
            fvlm_fail(s->err, FVLM_BAD_INPUT, "%s.%s is %s, expected true or false", s->path, key, fvlm_json_kind(v));
    else
        *out = json_is_true(v);
}

static const json_t *get_child(scope *s, const char *key, json_type type)
{
    if (s->st) return NULL;
    const json_t *v = json_object_get(s->object, key);
    if (v && json_typeof(v) == type) return v;
    s->st = fvlm_fail(s->err, FVLM_BAD_INPUT, "%s.%s is %s, expected %s", s->path, key, fvlm_json_kind(v),
                      type == JSON_ARRAY    ? "an array"
                      : type == JSON_OBJECT ? "an object"
                                            : "a string");
    return NULL;
}

static fvlm_status read_stage(fvlm_stage *out, const json_t *json, const char *path, fvlm_err *err)
{
    scope s = {path, json, err, FVLM_OK};
    if (!json_is_object(json))
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %s, expected an object", path, fvlm_json_kind(json));
    get_u32(&s, "dim", 1, MAX_WIDTH, &out->dim);
    get_u32(&s, "depth", 1, MAX_DEPTH, &out->depth);
    get_u32(&s, "hidden", 1, MAX_WIDTH, &out->hidden);
    get_bool(&s, "pos", &out->pos);
    const json_t *mixer = get_child(&s, "mixer", JSON_STRING);
    if (s.st) return s.st;
    const char *name = json_string_value(mixer);
    if (strcmp(name, "attention") == 0) {
        out->mixer = FVLM_ATTENTION;
        get_u32(&s, "heads", 1, MAX_HEADS, &out->heads);
    } else if (strcmp(name, "repmixer") == 0) {
        out->mixer = FVLM_REPMIXER;
        get_u32(&s, "heads", 0, 0, &out->heads);
    } else {
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s.mixer is \"%.40s\", expected \"repmixer\" or \"attention\"", path,
                         name);
    }
    return s.st;
}

/* What the grammar of a tower demands of its numbers. */
static fvlm_status check_vision(const fvlm_config *c, fvlm_err *err)
{
    uint32_t stride = 4u << (c->vision.n_stages - 1); /* stem 4, each downsample 2 */
    if (c->vision.stride != stride)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.stride is %" PRIu32 ", but %" PRIu32 " stages make %" PRIu32, c->vision.stride,
                         c->vision.n_stages, stride);
    if (c->vision.image_size % stride != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.image_size %" PRIu32 " is no multiple of the stride %" PRIu32,
                         c->vision.image_size, stride);
    for (uint32_t i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        if (i > 0 && s->dim % c->vision.stage[i - 1].dim != 0)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "config.vision.stages[%" PRIu32 "].dim %" PRIu32
                             " is no multiple of the stage before (%" PRIu32 ")",
                             i, s->dim, c->vision.stage[i - 1].dim);
        if (s->mixer == FVLM_ATTENTION && (uint64_t)s->heads * c->vision.head_dim != s->dim)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "config.vision.stages[%" PRIu32 "]: %" PRIu32 " heads of %" PRIu32 " are not dim %" PRIu32,
                             i, s->heads, c->vision.head_dim, s->dim);
    }
    if (c->vision.out_dim % c->vision.stage[c->vision.n_stages - 1].dim != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.vision.out_dim %" PRIu32 " is no multiple of the last stage's dim", c->vision.out_dim);
    return FVLM_OK;
}

static fvlm_status read_vision(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    scope s = {"config.vision", json, err, FVLM_OK};
    get_u32(&s, "image_size", 1, MAX_IMAGE, &out->vision.image_size);
    get_u32(&s, "stride", 1, MAX_IMAGE, &out->vision.stride);
    get_u32(&s, "head_dim", 1, MAX_WIDTH, &out->vision.head_dim);
    get_u32(&s, "out_dim", 1, MAX_WIDTH, &out->vision.out_dim);
    get_u32(&s, "se_dim", 1, MAX_WIDTH, &out->vision.se_dim);
    get_positive(&s, "norm_eps", &out->vision.norm_eps);
    const json_t *stages = get_child(&s, "stages", JSON_ARRAY);
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
    return check_vision(out, err);
}

static fvlm_status read_llm(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    scope s = {"config.llm", json, err, FVLM_OK};
    get_u32(&s, "hidden", 1, MAX_WIDTH, &out->llm.hidden);
    get_u32(&s, "layers", 1, MAX_DEPTH, &out->llm.layers);
    get_u32(&s, "heads", 1, MAX_HEADS, &out->llm.heads);
    get_u32(&s, "kv_heads", 1, MAX_HEADS, &out->llm.kv_heads);
    get_u32(&s, "head_dim", 2, MAX_WIDTH, &out->llm.head_dim);
    get_u32(&s, "intermediate", 1, MAX_WIDTH, &out->llm.intermediate);
    get_u32(&s, "vocab", 1, FVLM_MAX_TOKENS, &out->llm.vocab);
    get_u32(&s, "context", 1, MAX_CONTEXT, &out->llm.context);
    get_positive(&s, "rope_theta", &out->llm.rope_theta);
    get_positive(&s, "norm_eps", &out->llm.norm_eps);
    get_bool(&s, "tied", &out->llm.tied);
    if (s.st) return s.st;
    if (out->llm.heads % out->llm.kv_heads != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm: %" PRIu32 " heads do not divide among %" PRIu32 " kv_heads",
                         out->llm.heads, out->llm.kv_heads);
    if (out->llm.head_dim % 2 != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.head_dim %" PRIu32 " is odd; rotation works on pairs",
                         out->llm.head_dim);
    if ((uint64_t)out->llm.heads * out->llm.head_dim > MAX_WIDTH)
        return fvlm_fail(err, FVLM_LIMIT, "config.llm: heads x head_dim is over %d", MAX_WIDTH);
    return FVLM_OK;
}

static fvlm_status read_projector(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    scope s = {"config.projector", json, err, FVLM_OK};
    get_u32(&s, "in", 1, MAX_WIDTH, &out->projector.in);
    get_u32(&s, "hidden", 1, MAX_WIDTH, &out->projector.hidden);
    get_u32(&s, "out", 1, MAX_WIDTH, &out->projector.out);
    if (s.st) return s.st;
    if (out->projector.in != out->vision.out_dim || out->projector.out != out->llm.hidden)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "config.projector goes %" PRIu32 " to %" PRIu32 ", but the tower ends in %" PRIu32
                         " and the LLM begins with %" PRIu32,
                         out->projector.in, out->projector.out, out->vision.out_dim, out->llm.hidden);
    return FVLM_OK;
}

static fvlm_status read_eos(fvlm_config *out, const json_t *eos, fvlm_err *err)
{
    size_t n = json_array_size(eos);
    if (n < 1 || n > 4) return fvlm_fail(err, FVLM_LIMIT, "config.eos has %zu entries, expected 1 to 4", n);
    out->n_eos = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(eos, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= (json_int_t)out->llm.vocab)
            return fvlm_fail(err, FVLM_BAD_INPUT, "config.eos[%zu] is no id of the vocabulary (%" PRIu32 " ids)", i,
                             out->llm.vocab);
        out->eos[i] = (uint32_t)id;
    }
    return FVLM_OK;
}

/* "<image>" and "{prompt}" must each be there once, the picture first: the executor
 * splits the text at them. */
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

fvlm_status fvlm_config_from_json(fvlm_config *out, const json_t *json, fvlm_err *err)
{
    memset(out, 0, sizeof *out);
    if (!json_is_object(json))
        return fvlm_fail(err, FVLM_BAD_INPUT, "config is %s, expected an object", fvlm_json_kind(json));
    scope s = {"config", json, err, FVLM_OK};
    const json_t *vision = get_child(&s, "vision", JSON_OBJECT);
    const json_t *projector = get_child(&s, "projector", JSON_OBJECT);
    const json_t *llm = get_child(&s, "llm", JSON_OBJECT);
    const json_t *eos = get_child(&s, "eos", JSON_ARRAY);
    const json_t *prompt = get_child(&s, "prompt", JSON_STRING);
    fvlm_status st = s.st;
    if (!st) st = read_vision(out, vision, err);
    if (!st) st = read_llm(out, llm, err);
    if (!st) st = read_projector(out, projector, err);
    if (!st) st = read_eos(out, eos, err);
    if (!st) st = read_prompt(out, prompt, err);
    return st;
}
