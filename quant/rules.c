/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - see rules.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "quant/rules.h"

typedef struct {
    const char *regex;
    pcre2_code *code;
    bool keep, used;
    fvlm_type type;
} rule;

struct fvlm_quant_rules {
    rule *rules;
    size_t n;
    pcre2_match_data *match;
};

static fvlm_status compile(rule *r, const fvlm_quant_rule *from, fvlm_err *err)
{
    int code;
    PCRE2_SIZE at;
    r->regex = from->regex;
    r->keep = !strcmp(from->type, "keep");
    if (!r->keep && fvlm_type_parse(&r->type, from->type, err))
        return fvlm_err_prefix(err, "rule '%.100s=%.40s'", from->regex, from->type);
    /* UTF: the metadata record the rule, and JSON takes no other bytes. */
    r->code = pcre2_compile((PCRE2_SPTR)from->regex, PCRE2_ZERO_TERMINATED,
                            PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &code, &at, NULL);
    if (r->code) return FVLM_OK;
    PCRE2_UCHAR text[128] = "";
    pcre2_get_error_message(code, text, sizeof text);
    return fvlm_fail(err, FVLM_USAGE, "rule \"%.100s\" is not a regular expression: %s at position %zu", from->regex,
                     (const char *)text, (size_t)at);
}

fvlm_status fvlm_quant_rules_create(fvlm_quant_rules **out, const fvlm_quant_rule *rules, size_t n, fvlm_err *err)
{
    fvlm_quant_rules *r = fvlm_alloc(1, sizeof *r);
    *out = r;
    if (r) r->rules = fvlm_alloc(n, sizeof *r->rules);
    if (r) r->match = pcre2_match_data_create(1, NULL);
    if (!r || !r->rules || !r->match) {
        fvlm_quant_rules_destroy(out);
        return fvlm_fail_nomem(err);
    }
    for (; r->n < n; r->n++) {
        const fvlm_status st = compile(&r->rules[r->n], &rules[r->n], err);
        if (!st) continue;
        fvlm_quant_rules_destroy(out);
        return st;
    }
    return FVLM_OK;
}

void fvlm_quant_rules_destroy(fvlm_quant_rules **rp)
{
    fvlm_quant_rules *r = *rp;
    if (!r) return;
    for (size_t i = 0; i < r->n; i++) pcre2_code_free(r->rules[i].code);
    if (r->match) pcre2_match_data_free(r->match);
    free(r->rules);
    free(r);
    *rp = NULL;
}

fvlm_status fvlm_quant_rules_apply(fvlm_quant_rules *r, const char *name, fvlm_type keep, fvlm_type *type,
                                   const char **by, fvlm_err *err)
{
    *by = NULL;
    for (size_t i = 0; i < r->n; i++) {
        rule *u = &r->rules[i];
        int found = pcre2_match(u->code, (PCRE2_SPTR)name, strlen(name), 0, 0, r->match, NULL);
        if (found == PCRE2_ERROR_NOMATCH) continue;
        if (found < 0) /* a backtracking limit */
            return fvlm_fail(err, FVLM_USAGE, "rule \"%.100s\" cannot be matched with \"%s\" (PCRE2 error %d)",
                             u->regex, name, found);
        u->used = true;
        *type = u->keep ? keep : u->type;
        *by = u->regex;
    }
    return FVLM_OK;
}

fvlm_status fvlm_quant_rules_check_used(const fvlm_quant_rules *r, fvlm_err *err)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->rules[i].used)
            return fvlm_fail(err, FVLM_USAGE,
                             "rule \"%.100s\" matches no tensor (whole names must match; 'fvlm info --tensors' "
                             "lists them)",
                             r->rules[i].regex);
    return FVLM_OK;
}
