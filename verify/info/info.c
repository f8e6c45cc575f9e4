/* SPDX-License-Identifier: Apache-2.0 */
/* info.c - gathers what a file holds, and writes it as JSON; info_print.c writes it as text. */
#include "verify/info/info.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/json.h"
#include "format/tokenizer_kind.h"

/* ---- gathering ---- */

static void add_tensor(fvlm_info *x, const fvlm_tensor *t, fvlm_part_group group)
{
    fvlm_share *s = x->share;
    while (s < x->share + x->n_shares && !(s->group == group && fvlm_type_equal(s->type, t->type))) s++;
    if (s == x->share + x->n_shares) {
        *s = (fvlm_share){.group = group, .type = t->type};
        x->n_shares++;
    }
    s->n_tensors++;
    s->n_params += fvlm_tensor_n_elems(t);
    s->n_bytes += t->n_bytes;
    x->n_params += fvlm_tensor_n_elems(t);
    x->n_bytes += t->n_bytes;
}

static int by_group(const void *a, const void *b)
{
    const fvlm_share *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return x->n_bytes > y->n_bytes ? -1 : x->n_bytes < y->n_bytes;
}

/* A tree of the largest tokenizers would be over its limit. */
static fvlm_status count_tokenizer(fvlm_info *out, const char *text, fvlm_err *err)
{
    const struct {
        const char *key;
        size_t *n;
    } lists[] = {{"tokens", &out->tokens}, {"merges", &out->merges}, {"added", &out->added}, {"pieces", &out->tokens}};
    const size_t n_lists = sizeof lists / sizeof *lists;
    char *copy = malloc(out->tokenizer_bytes); /* keys are decoded in place */
    if (!copy) return fvlm_fail_nomem(err);
    memcpy(copy, text, out->tokenizer_bytes);
    fvlm_json_pull p = fvlm_json_pull_over(copy, out->tokenizer_bytes, "tokenizer", 0, err);
    p.dialect = FVLM_JSON_SECTION;
    fvlm_json_text key;
    size_t begin, end;
    bool first = true, first_element = true;
    fvlm_json_pull_expect(&p, '{', "'{', the tokenizer");
    while (fvlm_json_pull_member(&p, &first, &key)) {
        size_t i = 0;
        while (i < n_lists && strcmp(key.s, lists[i].key) != 0) i++;
        if (i < n_lists && fvlm_json_pull_peek(&p) == '[')
            for (p.pos++, first_element = true; fvlm_json_pull_element(&p, &first_element); *lists[i].n += 1)
                fvlm_json_pull_skip(&p, &begin, &end);
        else
            fvlm_json_pull_skip(&p, &begin, &end);
    }
    fvlm_json_pull_end(&p);
    out->sentencepiece = fvlm_tokenizer_has_kind(text, out->tokenizer_bytes); /* the only kind */
    free(copy);
    return p.st;
}

fvlm_status fvlm_info_gather(fvlm_info *out, fvlm_reader *r, fvlm_err *err)
{
    memset(out, 0, sizeof *out);
    const size_t n = fvlm_reader_n_tensors(r);
    fvlm_part *part = fvlm_alloc(n, sizeof *part);
    if (!part) return fvlm_fail_nomem(err);
    fvlm_tensors_parts(r, part);
    for (size_t i = 0; i < n; i++) add_tensor(out, fvlm_reader_tensor(r, i), fvlm_part_group_of(part[i]));
    free(part);
    qsort(out->share, out->n_shares, sizeof *out->share, by_group);
    const char *text;
    fvlm_status st = fvlm_reader_tokenizer(r, &text, &out->tokenizer_bytes, err);
    return st || out->tokenizer_bytes == 0 ? st : count_tokenizer(out, text, err);
}

/* ---- JSON ---- */

static json_t *shares_json(const fvlm_info *x)
{
    json_t *all = json_array();
    for (size_t i = 0; i < x->n_shares; i++) {
        const fvlm_share *s = &x->share[i];
        char type[24];
        fvlm_json_append(&all, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "part", fvlm_part_group_name(s->group),
                                         "type", fvlm_type_name(s->type, type), "tensors", (json_int_t)s->n_tensors,
                                         "parameters", (json_int_t)s->n_params, "bytes", (json_int_t)s->n_bytes,
                                         "bits_per_weight", 8.0 * (double)s->n_bytes / (double)s->n_params));
    }
    return all;
}

static json_t *tensor_json(const fvlm_tensor *t, const json_t *origin)
{
    char type[24], hash[33];
    fvlm_hash_text(&t->hash, hash);
    json_t *shape = json_array();
    for (unsigned d = 0; d < t->rank; d++) fvlm_json_append(&shape, json_integer((json_int_t)t->dims[d]));
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:s}", "name", t->name, "type", fvlm_type_name(t->type, type),
                          "layout", fvlm_layout_name(t->layout), "shape", shape, "offset", (json_int_t)t->offset,
                          "bytes", (json_int_t)t->n_bytes, "xxh3_128", hash);
    /* from, steps, error: as convert recorded them */
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)origin, key, value)
    {
        if (!json_object_get(j, key)) fvlm_json_set(&j, key, json_incref(value));
    }
    return j;
}

static json_t *tensors_json(const fvlm_reader *r)
{
    json_t *all = json_array();
    const json_t *origins = json_object_get(fvlm_reader_meta(r), "tensors");
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(r, i);
        fvlm_json_append(&all, tensor_json(t, json_object_get(origins, t->name)));
    }
    return all;
}

json_t *fvlm_info_json(const fvlm_info *x, const fvlm_reader *r, bool tensors)
{
    char identity[33];
    fvlm_hash_text(fvlm_reader_identity(r), identity);
    json_t *j = json_pack("{s:o, s:I, s:s, s:I, s:I, s:o, s:{s:I, s:I, s:I, s:I}}", "file",
                          fvlm_json_lossy_string(fvlm_reader_path(r)), "bytes", (json_int_t)fvlm_reader_file_bytes(r),
                          "identity", identity, "tensors_total", (json_int_t)fvlm_reader_n_tensors(r), "parameters",
                          (json_int_t)x->n_params, "parts", shares_json(x), "tokenizer", "tokens",
                          (json_int_t)x->tokens, "merges", (json_int_t)x->merges, "added", (json_int_t)x->added,
                          "bytes", (json_int_t)x->tokenizer_bytes);
    bool ok = j != NULL;
    if (ok && x->sentencepiece)
        ok = json_object_set_new(json_object_get(j, "tokenizer"), "kind", json_string("sentencepiece")) == 0;
    /* all other metadata, except that of single tensors */
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fvlm_reader_meta(r), key, value)
    {
        if (ok && strcmp(key, "tensors") != 0 && !json_object_get(j, key)) ok = json_object_set(j, key, value) == 0;
    }
    if (ok && tensors) ok = json_object_set_new(j, "tensors", tensors_json(r)) == 0;
    if (ok) return j;
    json_decref(j);
    return NULL;
}
