/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_rope.c - rotary embeddings in config.json: "rope_theta" beside "rope_scaling", or, from transformers 5 on,
 * both in "rope_parameters", there also for each type of layer. */
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

typedef struct {
    fvlm_json_fields *r;
    bool scales; /* the family may */
    fvlm_config *config;
    double theta; /* 0: not seen yet */
    char where[96];
} rope;

/* The key's range is checked; two of them must agree. */
static void see_theta(rope *s, const json_t *object, const char *where)
{
    fvlm_json_fields f = {.object = object, .name = where, .quoted = true, .err = s->r->err, .st = s->r->st};
    double theta = 0;
    fvlm_json_fields_real(&f, "rope_theta", FVLM_MIN_ROPE_THETA, FVLM_MAX_ROPE_THETA, &theta);
    s->r->st = f.st;
    if (f.st) return;
    if (s->theta > 0 && s->theta != theta)
        s->r->st = fvlm_fail(f.err, FVLM_BAD_INPUT,
                             "%s: \"rope_theta\" is %.12g, but %.12g in %s; set both to the value used in training",
                             s->where, s->theta, theta, where);
    s->theta = theta;
    snprintf(s->where, sizeof s->where, "%s", where);
}

/* Whether "factor" is there and divides positions by 1. */
static bool linear_by_one(const json_t *object, const char *type)
{
    return !strcmp(type, "linear") && fvlm_config_is_number(json_object_get(object, "factor"), 1);
}

static bool same_scaling(const fvlm_config *a, const fvlm_config *b)
{
    return a->llm.rope_scaling == b->llm.rope_scaling && a->llm.rope_factor == b->llm.rope_factor &&
           a->llm.rope_low == b->llm.rope_low && a->llm.rope_high == b->llm.rope_high &&
           a->llm.rope_original == b->llm.rope_original;
}

/* {"rope_type": "linear", "factor"} or {"rope_type": "llama3", "factor", "low_freq_factor", "high_freq_factor",
 * "original_max_position_embeddings"}, and nothing else. */
static void read_scaling(rope *s, fvlm_json_fields *f, fvlm_rope_scaling kind)
{
    static const char *const keys[] = {
        "rope_type",       "type", "factor", "original_max_position_embeddings", "rope_theta", "low_freq_factor",
        "high_freq_factor"};
    const size_t n = kind == FVLM_ROPE_LINEAR ? 5 : 7; /* the last two are llama3's */
    const char *key;
    json_t *v;
    char text[64];
    fvlm_config *c = s->config;
    json_object_foreach((json_t *)f->object, key, v)
    {
        size_t i = 0;
        while (i < n && strcmp(key, keys[i]) != 0) i++;
        if (!json_is_null(v) && i == n)
            fvlm_config_refuse(f, FVLM_UNSUPPORTED, "\"%.64s\" is %s, which is not supported", key,
                               fvlm_config_value(v, text));
    }
    const fvlm_config before = *c;
    f->quoted = true;
    c->llm.rope_scaling = kind;
    fvlm_json_fields_real(f, "factor", 1, FVLM_MAX_CONTEXT, &c->llm.rope_factor);
    if (kind == FVLM_ROPE_LLAMA3) {
        fvlm_json_fields_real(f, "low_freq_factor", FVLM_MIN_ROPE_BAND, FVLM_MAX_CONTEXT, &c->llm.rope_low);
        fvlm_json_fields_real(f, "high_freq_factor", FVLM_MIN_ROPE_BAND, FVLM_MAX_CONTEXT, &c->llm.rope_high);
        fvlm_json_fields_real(f, "original_max_position_embeddings", 1, FVLM_MAX_CONTEXT, &c->llm.rope_original);
        if (!(c->llm.rope_low < c->llm.rope_high))
            fvlm_config_refuse(f, FVLM_BAD_INPUT, "\"low_freq_factor\" is not below \"high_freq_factor\"");
    }
    if (before.llm.rope_scaling && !same_scaling(&before, c))
        fvlm_config_refuse(f, FVLM_BAD_INPUT, "the scaling differs from the one that is given elsewhere");
}

/* The kind of scaling that is named and that the family may have. */
static fvlm_rope_scaling named_scaling(const rope *s, const json_t *object)
{
    static const char *const keys[] = {"rope_type", "type"};
    for (size_t i = 0; i < 2 && s->scales; i++) {
        const char *type = json_string_value(json_object_get(object, keys[i]));
        if (type && !strcmp(type, "llama3")) return FVLM_ROPE_LLAMA3;
        if (type && !strcmp(type, "linear") && !linear_by_one(object, type)) return FVLM_ROPE_LINEAR;
    }
    return FVLM_ROPE_PLAIN;
}

static void check_type(fvlm_json_fields *f, const char *key, bool scales)
{
    const json_t *v = json_object_get(f->object, key);
    const char *type = json_string_value(v);
    char text[64];
    if (!v || json_is_null(v) || (type && (!strcmp(type, "default") || linear_by_one(f->object, type)))) return;
    fvlm_config_refuse(f, FVLM_UNSUPPORTED,
                       scales ? "\"%s\" is %s; only \"default\", \"linear\" and \"llama3\" are supported"
                              : "\"%s\" is %s; scaled rotary embeddings are not supported, only \"default\"",
                       key, fvlm_config_value(v, text));
}

static void read_object(rope *s, const json_t *object, const char *where, bool nested)
{
    fvlm_json_fields f = {.object = object, .name = where, .err = s->r->err, .st = s->r->st};
    const char *key;
    json_t *v;
    char text[64], inner[160];
    const fvlm_rope_scaling kind = named_scaling(s, object);
    if (kind != FVLM_ROPE_PLAIN) {
        read_scaling(s, &f, kind);
        s->r->st = f.st;
        const json_t *own = json_object_get(object, "rope_theta");
        if (own && !json_is_null(own)) see_theta(s, object, where);
        return;
    }
    check_type(&f, "rope_type", s->scales); /* before the factors that belong to a type */
    check_type(&f, "type", s->scales);
    json_object_foreach((json_t *)object, key, v)
    {
        const bool factor = strstr(key, "factor") || strstr(key, "mscale");
        if (json_is_null(v) || !strcmp(key, "rope_type") || !strcmp(key, "type") ||
            !strcmp(key, "original_max_position_embeddings") || !strcmp(key, "rope_theta") ||
            (factor && fvlm_config_is_number(v, 1)))
            continue;
        if (json_is_object(v) && !nested) { /* of one type of layer */
            snprintf(inner, sizeof inner, "%s: \"%.32s\"", where, key);
            s->r->st = f.st;
            read_object(s, v, inner, true);
            f.st = s->r->st;
        } else {
            fvlm_config_refuse(&f, FVLM_UNSUPPORTED, "\"%.64s\" is %s, which is not supported", key,
                               fvlm_config_value(v, text));
        }
    }
    s->r->st = f.st;
    const json_t *theta = json_object_get(object, "rope_theta");
    if (theta && !json_is_null(theta)) see_theta(s, object, where);
}

/* All spellings in one object. */
static void read_spellings(rope *s, const json_t *object, const char *name)
{
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    const json_t *theta = json_object_get(object, "rope_theta");
    if (theta && !json_is_null(theta)) see_theta(s, object, name);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *v = json_object_get(object, keys[i]);
        char where[96];
        snprintf(where, sizeof where, "%s: \"%s\"", name, keys[i]);
        if (fvlm_config_is_off(v)) continue;
        if (json_is_object(v))
            read_object(s, v, where, false);
        else if (!s->r->st)
            s->r->st = fvlm_fail(s->r->err, FVLM_BAD_INPUT, "%s is %s, expected an object", where, fvlm_json_kind(v));
    }
}

void fvlm_config_read_rope(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_config *c)
{
    rope s = {.r = r, .scales = f->scales_rope, .config = c};
    read_spellings(&s, r->object, r->name);
    for (size_t i = 0; i < FVLM_CONFIG_NESTS; i++) {
        fvlm_config_nest nest;
        if (fvlm_config_get_nest(&nest, r, i)) read_spellings(&s, nest.object, nest.name);
    }
    if (s.theta == 0) s.theta = f->default_theta;
    if (s.theta == 0) see_theta(&s, r->object, r->name); /* refuses it as missing */
    c->llm.rope_theta = s.theta;
}
