/* SPDX-License-Identifier: Apache-2.0 */
/* same_model.c - see same_model.h. Both configurations are compared as JSON trees. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/json.h"
#include "verify/same_model.h"

typedef struct {
    char path[160];
    const json_t *a, *b; /* NULL: absent */
} difference;

/* Finds the first value below a and b that differs. d->path is that of a and b. */
static bool find_difference(difference *d, const json_t *a, const json_t *b)
{
    const size_t n = strlen(d->path);
    const char *key;
    json_t *value;
    d->a = a;
    d->b = b;
    if (json_equal(a, b)) return false;
    if (json_is_object(a) && json_is_object(b)) {
        json_t *const both[] = {(json_t *)a, (json_t *)b};
        for (int side = 0; side < 2; side++) {
            json_object_foreach(both[side], key, value)
            {
                snprintf(d->path + n, sizeof d->path - n, "%s%s", n ? "." : "", key);
                if (find_difference(d, json_object_get(a, key), json_object_get(b, key))) return true;
            }
        }
    } else if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        for (size_t i = 0; i < json_array_size(a); i++) {
            snprintf(d->path + n, sizeof d->path - n, "[%zu]", i);
            if (find_difference(d, json_array_get(a, i), json_array_get(b, i))) return true;
        }
    }
    return true;
}

static char *value_text(const json_t *v)
{
    return v ? fvlm_json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("absent");
}

/* "llm.layers is 4 and 24"; NULL if out of memory. */
static char *describe(const difference *d)
{
    char *a = value_text(d->a), *b = value_text(d->b);
    const bool both = a && b, fits = both && strlen(a) + strlen(b) < 80;
    char *out = !both                       ? NULL
                : !fits && (!d->a || !d->b) ? fvlm_asprintf("%s is in only one of them", d->path)
                : fits                      ? fvlm_asprintf("%s is %s and %s", d->path, a, b)
                                            : strdup(d->path);
    free(a);
    free(b);
    return out;
}

/* Appends text to *list and frees it. On failure *list is NULL. */
static fvlm_status append(char **list, char *text, fvlm_err *err)
{
    char *longer = text ? fvlm_asprintf("%s%s%s", *list ? *list : "", *list ? "; " : "", text) : NULL;
    free(text);
    free(*list);
    *list = longer;
    return longer ? FVLM_OK : fvlm_fail_nomem(err);
}

static const json_t *config_of(const fvlm_reader *r)
{
    return json_object_get(fvlm_reader_meta(r), "config");
}

/* The configuration without what may differ. */
static json_t *network_of(const json_t *config)
{
    json_t *c = fvlm_json_copy(config);
    json_object_del(c, "eos");
    json_object_del(c, "prompt");
    json_object_del(json_object_get(c, "llm"), "context");
    json_object_del(json_object_get(c, "llm"), "tied"); /* an own head may be that of a quantizer, beside a tied one */
    json_object_del(json_object_get(c, "vision"), "image_size");
    return c;
}

fvlm_status fvlm_same_model_check(const fvlm_reader *model, const fvlm_reader *source, const char *name, fvlm_err *err)
{
    json_t *a = network_of(config_of(model)), *b = network_of(config_of(source));
    difference d = {.path = ""};
    fvlm_status st = a && b ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st && find_difference(&d, a, b)) {
        char *text = describe(&d);
        st = fvlm_fail(err, FVLM_MISMATCH, "\"%s\" and \"%s\" are not the same model: %s", fvlm_reader_path(model),
                       name, text ? text : d.path);
        free(text);
    }
    json_decref(a);
    json_decref(b);
    return st;
}

fvlm_status fvlm_same_model_describe(fvlm_reader *model, fvlm_reader *source, char **differences, fvlm_err *err)
{
    static const char *const usage[][2] = {
        {NULL, "eos"}, {NULL, "prompt"}, {"llm", "context"}, {"llm", "tied"}, {"vision", "image_size"}};
    const json_t *a = config_of(model), *b = config_of(source);
    const char *tokenizers[2];
    size_t n_bytes[2];
    *differences = NULL;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < sizeof usage / sizeof usage[0] && !st; i++) {
        const char *part = usage[i][0];
        difference d = {.a = json_object_get(part ? json_object_get(a, part) : a, usage[i][1]),
                        .b = json_object_get(part ? json_object_get(b, part) : b, usage[i][1])};
        snprintf(d.path, sizeof d.path, "%s%s%s", part ? part : "", part ? "." : "", usage[i][1]);
        if (d.a != d.b && !json_equal(d.a, d.b)) st = append(differences, describe(&d), err);
    }
    if (!st) st = fvlm_reader_tokenizer(model, &tokenizers[0], &n_bytes[0], err);
    if (!st) st = fvlm_reader_tokenizer(source, &tokenizers[1], &n_bytes[1], err);
    if (!st && (n_bytes[0] != n_bytes[1] || memcmp(tokenizers[0], tokenizers[1], n_bytes[0])))
        st = append(differences, strdup("the tokenizers"), err);
    if (st) {
        free(*differences);
        *differences = NULL;
    }
    return st;
}

static const json_t *sources_of(const fvlm_reader *r)
{
    return json_object_get(json_object_get(fvlm_reader_meta(r), "provenance"), "sources");
}

static bool names_hash(const json_t *sources, const char *hash)
{
    size_t i;
    json_t *s;
    json_array_foreach((json_t *)(uintptr_t)sources, i, s)
    {
        const char *found = json_string_value(json_object_get(s, "xxh3_128"));
        if (found && !strcmp(found, hash)) return true;
    }
    return false;
}

/* Of an entry of the sources. */
static bool is_onnx(const json_t *s)
{
    const char *file = json_string_value(json_object_get(s, "file"));
    const size_t n = file ? strlen(file) : 0;
    return n > 5 && !strcmp(file + n - 5, ".onnx");
}

static bool made_from(const fvlm_reader *model, const fvlm_reader *source)
{
    size_t i;
    json_t *s;
    json_array_foreach((json_t *)(uintptr_t)sources_of(source), i, s)
    {
        const char *hash = json_string_value(json_object_get(s, "xxh3_128"));
        if (hash && is_onnx(s) && !names_hash(sources_of(model), hash)) return false;
    }
    return true;
}

static bool has_onnx(const fvlm_reader *r)
{
    size_t i;
    json_t *s;
    json_array_foreach((json_t *)(uintptr_t)sources_of(r), i, s)
    {
        if (is_onnx(s)) return true;
    }
    return false;
}

bool fvlm_same_model_folded_apart(const fvlm_reader *model, const fvlm_reader *source)
{
    return has_onnx(model) != has_onnx(source) || !made_from(model, source);
}

fvlm_status fvlm_same_model_made_from(const char **why, const fvlm_reader *model, const char *source, fvlm_err *err)
{
    fvlm_reader *r;
    const fvlm_status st = fvlm_reader_open(&r, source, err);
    if (st) return st;
    const fvlm_config *a = fvlm_reader_config(model), *b = fvlm_reader_config(r);
    *why = NULL;
    if (fvlm_config_has_llm(a) != fvlm_config_has_llm(b) ||
        fvlm_config_has_projector(a) != fvlm_config_has_projector(b))
        *why = "the files and the model do not hold the same parts";
    else if (!made_from(model, r))
        *why = "the model was made from other files, and each exporter rounds in its own way";
    fvlm_reader_close(&r);
    return FVLM_OK;
}
