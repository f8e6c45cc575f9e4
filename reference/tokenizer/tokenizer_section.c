/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_section.c - see tokenizer_section.h. */
#include "reference/tokenizer/tokenizer_section.h"

#include <string.h>

#include "format/config.h"

bool fvlm_tokenizer_section_find(fvlm_json_pull *p, const char *const *names, int n, int n_required, size_t *at)
{
    bool first = true;
    fvlm_json_text key;
    fvlm_json_pull_expect(p, '{', "'{', the tokenizer");
    while (fvlm_json_pull_member(p, &first, &key)) {
        int m = 0;
        size_t end;
        while (m < n && strcmp(key.s, names[m]) != 0) m++;
        if (m == n) return fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "unknown member");
        if (at[m]) return fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "\"%s\" is given twice", key.s);
        fvlm_json_pull_skip(p, &at[m], &end);
    }
    fvlm_json_pull_end(p);
    for (int m = 0; m < n_required; m++)
        if (!at[m]) fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "\"%s\" is missing", names[m]);
    return !p->st;
}

static bool read_one(fvlm_json_pull *p, bool may_normalize, fvlm_tokenizer_section_added *t)
{
    fvlm_json_text key;
    bool first = true;
    *t = (fvlm_tokenizer_section_added){.id = UINT64_MAX};
    fvlm_json_pull_expect(p, '{', "'{', an added token");
    const size_t begin = p->pos;
    while (fvlm_json_pull_member(p, &first, &key)) {
        if (!strcmp(key.s, "id"))
            fvlm_json_pull_u64(p, &t->id);
        else if (!strcmp(key.s, "special"))
            fvlm_json_pull_bool(p, &t->special);
        else if (!strcmp(key.s, "normalized") && may_normalize)
            fvlm_json_pull_bool(p, &t->normalized);
        else if (!strcmp(key.s, "text") && !t->text.s)
            fvlm_json_pull_string(p, &t->text);
        else
            fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "unknown member of an added token");
    }
    if (!t->text.n || t->id == UINT64_MAX)
        fvlm_json_pull_refuse(p, begin - 1, FVLM_BAD_INPUT, "an added token without id or text");
    return !p->st;
}

bool fvlm_tokenizer_section_read_added(fvlm_json_pull *p, bool may_normalize, fvlm_tokenizer_section_fn put, void *ctx)
{
    size_t n = 0;
    bool first = true;
    fvlm_tokenizer_section_added t;
    fvlm_json_pull_expect(p, '[', "'[', the added tokens");
    while (fvlm_json_pull_element(p, &first) && read_one(p, may_normalize, &t)) {
        p->st = put(ctx, &t, p->err);
        if (!p->st && ++n > FVLM_MAX_ADDED_TOKENS)
            fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %d added tokens", FVLM_MAX_ADDED_TOKENS);
    }
    return !p->st;
}
