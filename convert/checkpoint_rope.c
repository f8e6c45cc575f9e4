/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_rope.c - rotary embeddings in config.json: "rope_theta" beside "rope_scaling", or, from transformers 5 on,
 * both in "rope_parameters", there also for each type of layer. */
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

typedef struct {
    fvlm_json_fields *r;
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

static void check_type(fvlm_json_fields *f, const char *key)
{
    const json_t *v = json_object_get(f->object, key);
    const char *type = json_string_value(v);
    char text[64];
    if (!v || json_is_null(v) || (type && (!strcmp(type, "default") || linear_by_one(f->object, type)))) return;
    fvlm_config_refuse(f, FVLM_UNSUPPORTED,
                       "\"%s\" is %s; scaled rotary embeddings are not supported, only \"default\"", key,
                       fvlm_config_value(v, text));
}

static void read_object(rope *s, const json_t *object, const char *where, bool nested)
{
    fvlm_json_fields f = {.object = object, .name = where, .err = s->r->err, .st = s->r->st};
    const char *key;
    json_t *v;
    char text[64], inner[160];
    check_type(&f, "rope_type"); /* before the factors that belong to a type */
    check_type(&f, "type");
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

void fvlm_config_read_rope(fvlm_json_fields *r, double *theta)
{
    rope s = {.r = r};
    read_spellings(&s, r->object, r->name);
    for (size_t i = 0; i < FVLM_CONFIG_NESTS; i++) {
        fvlm_config_nest nest;
        if (fvlm_config_get_nest(&nest, r, i)) read_spellings(&s, nest.object, nest.name);
    }
    if (s.theta == 0) see_theta(&s, r->object, r->name); /* refuses it as missing */
    *theta = s.theta;
}
