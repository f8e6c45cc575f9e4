/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - see json.h. The pull parser reads the text; jansson holds the tree. */
#define _GNU_SOURCE 1 /* strtod_l */
#include "format/base/json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"

static json_t *no_memory(fvlm_json_pull *p, json_t *garbage)
{
    json_decref(garbage);
    fvlm_json_pull_refuse(p, p->pos, FVLM_NOMEM, "out of memory");
    return NULL;
}

/* In any locale. */
static double to_real(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* allocates nothing in glibc and musl */
    const double x = c ? strtod_l(text, NULL, c) : strtod(text, NULL);
    if (c) freelocale(c);
    return x;
}

/* A well-formed number, or a word for one that is not finite. jansson's parser is not used: it leaves out digits that
 * it has no memory for. */
static json_t *convert(fvlm_json_pull *p, size_t begin, const char *text)
{
    const bool word = text[strlen(text) - 1] > '9';
    const bool integer = !word && !strpbrk(text, ".eE");
    errno = 0;
    const long long whole = integer ? strtoll(text, NULL, 10) : 0;
    if (integer && !errno) return json_integer(whole);
    const double x = word ? HUGE_VAL : to_real(text);
    if (p->dialect == FVLM_JSON_SECTION && (integer || !isfinite(x))) {
        fvlm_json_pull_refuse(p, begin, FVLM_BAD_INPUT, "a number that needs more than 64 bits");
        return NULL;
    }
    if (isfinite(x)) return json_real(x);
    return json_real(text[0] == '-' || text[0] == 'N' ? -FVLM_JSON_NOT_FINITE : FVLM_JSON_NOT_FINITE);
}

static json_t *number(fvlm_json_pull *p, size_t begin, size_t n_bytes)
{
    char few[64], *text = n_bytes < sizeof few ? few : malloc(n_bytes + 1);
    if (!text) return no_memory(p, NULL);
    memcpy(text, p->text + begin, n_bytes);
    text[n_bytes] = 0;
    json_t *j = convert(p, begin, text);
    if (text != few) free(text);
    return j || p->st ? j : no_memory(p, NULL);
}

static json_t *scalar(fvlm_json_pull *p, char first)
{
    fvlm_json_text text;
    size_t begin, end;
    json_t *j;
    if (first == '"') {
        if (!fvlm_json_pull_string(p, &text)) return NULL;
        j = json_stringn_nocheck(text.s, text.n);
        return j ? j : no_memory(p, NULL);
    }
    if (!fvlm_json_pull_skip(p, &begin, &end)) return NULL;
    if (first == 't' || first == 'f') return json_boolean(first == 't');
    return first == 'n' ? json_null() : number(p, begin, end - begin);
}

/* *n_values counts those of the whole text. */
static json_t *tree(fvlm_json_pull *p, unsigned depth, size_t *n_values)
{
    const char first = fvlm_json_pull_peek(p);
    const bool object = first == '{';
    bool is_first = true;
    fvlm_json_text key;
    if (++*n_values > FVLM_MAX_JSON_VALUES) {
        fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %u values", FVLM_MAX_JSON_VALUES);
        return NULL;
    }
    if (!object && first != '[') return scalar(p, first);
    if (depth == FVLM_MAX_JSON_DEPTH) {
        fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "nested deeper than %d", FVLM_MAX_JSON_DEPTH);
        return NULL;
    }
    p->pos++;
    json_t *j = object ? json_object() : json_array();
    if (!j) return no_memory(p, NULL);
    while (object ? fvlm_json_pull_member(p, &is_first, &key) : fvlm_json_pull_element(p, &is_first)) {
        if (object && json_object_get(j, key.s)) {
            fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "\"%.64s\" is given twice", key.s);
            break;
        }
        json_t *value = tree(p, depth + 1, n_values);
        if (!value) break;
        if (object ? json_object_set_new_nocheck(j, key.s, value) : json_array_append_new(j, value))
            return no_memory(p, j);
    }
    if (!p->st) return j;
    json_decref(j);
    return NULL;
}

json_t *fvlm_json_pull_tree(fvlm_json_pull *p)
{
    size_t n_values = 0;
    return tree(p, 0, &n_values);
}

fvlm_status fvlm_json_parse(json_t **out, const char *text, size_t n_bytes, fvlm_json_dialect dialect, const char *what,
                            fvlm_err *err)
{
    *out = NULL;
    char *copy = malloc(n_bytes + 1); /* strings are decoded in place */
    if (!copy) return fvlm_fail(err, FVLM_NOMEM, "%s: out of memory", what);
    memcpy(copy, text, n_bytes);
    fvlm_json_pull p = fvlm_json_pull_over(copy, n_bytes, what, 0, err);
    p.dialect = dialect;
    json_t *j = fvlm_json_pull_tree(&p);
    if (fvlm_json_pull_end(&p))
        *out = j;
    else
        json_decref(j);
    free(copy);
    return p.st;
}

const char *fvlm_json_kind(const json_t *v)
{
    if (!v) return "missing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}

void fvlm_json_append(json_t **array, json_t *element)
{
    if (json_array_append_new(*array, element) == 0) return;
    json_decref(*array);
    *array = NULL;
}

void fvlm_json_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value) == 0) return;
    json_decref(*object);
    *object = NULL;
}

json_t *fvlm_json_copy(const json_t *v)
{
    json_t *copy = json_deep_copy(v);
    if (copy && json_equal(copy, v)) return copy;
    json_decref(copy);
    return NULL;
}

/* A buffer that is long enough needs no growth. Sorting keys takes memory, too, but its absence is reported, by 0. */
char *fvlm_json_dumps(const json_t *v, size_t flags)
{
    const size_t n = json_dumpb(v, NULL, 0, flags);
    char *text = n ? malloc(n + 1) : NULL;
    if (text && json_dumpb(v, text, n, flags) == n) {
        text[n] = 0;
        return text;
    }
    free(text);
    return NULL;
}

json_t *fvlm_json_lossy_string(const char *text)
{
    const size_t n = strlen(text);
    char *valid = fvlm_alloc(3 * n + 1, 1);
    if (!valid) return NULL;
    size_t used = 0;
    for (size_t at = 0, length; at < n; at += length) {
        int32_t c;
        length = fvlm_utf8_next((const uint8_t *)text + at, n - at, &c);
        memcpy(valid + used, c < 0 ? "\xef\xbf\xbd" : text + at, c < 0 ? 3 : length);
        used += c < 0 ? 3 : length;
    }
    json_t *j = json_stringn(valid, used);
    free(valid);
    return j;
}
