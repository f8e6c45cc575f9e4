/* SPDX-License-Identifier: Apache-2.0 */
/* split.c - the pre-tokenizer's regex by PCRE2, made to read it as Hugging Face's engine does.
 *
 * Two things differ between Oniguruma (in `tokenizers` 0.23) and PCRE2 10.42, both found by trying every code
 * point, and both undone by rewriting the pattern:
 *   \s      PCRE2 counts U+180E as a space; it is \p{White_Space} that is meant.
 *   \p{L}   PCRE2 10.42 knows Unicode 14, Oniguruma 16: what was assigned between them is named below.
 *   \p{N}   Harmless with a newer PCRE2, which has these letters and numbers already. */
#include "reference/tokenizer/split.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MAX_PATTERN_BYTES = 4096, JIT_STACK_BYTES = 1 << 20 };

/* Letters and numbers of Unicode 15.0, 15.1 and 16.0, as ranges of a character class. */
static const char newer_letters[] =
    "\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d65}"
    "\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}"
    "\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}"
    "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}"
    "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}"
    "\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}";
static const char newer_numbers[] =
    "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}"
    "\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}";

struct fvlm_splitter {
    pcre2_code *code;
};

struct fvlm_split {
    const fvlm_splitter *splitter;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    const char *text;
    size_t n_bytes, at;
    size_t match_from, match_to; /* the match after a gap that was handed out first */
};

/* Writes the pattern rewritten. in_class: between [ and ], where the added ranges need no brackets. */
static void rewrite(FILE *to, const char *p, size_t n)
{
    bool in_class = false;
    for (size_t i = 0; i < n; i++) {
        const size_t left = n - i;
        const bool letters = left >= 5 && memcmp(p + i, "\\p{L}", 5) == 0;
        const bool numbers = left >= 5 && memcmp(p + i, "\\p{N}", 5) == 0;
        if (letters || numbers) {
            fprintf(to, in_class ? "%.5s%s" : "[%.5s%s]", p + i, letters ? newer_letters : newer_numbers);
            i += 4;
        } else if (left >= 2 && p[i] == '\\') {
            if (p[i + 1] == 's' || p[i + 1] == 'S')
                fputs(p[i + 1] == 's' ? "\\p{White_Space}" : "\\P{White_Space}", to);
            else
                fwrite(p + i, 1, 2, to);
            i++;
        } else {
            if (p[i] == '[') in_class = true;
            if (p[i] == ']') in_class = false;
            fputc(p[i], to);
        }
    }
}

static fvlm_status compile(fvlm_splitter *s, const char *pattern, size_t n_bytes, fvlm_err *err)
{
    int code = 0;
    uint32_t empty = 0;
    PCRE2_SIZE at = 0;
    s->code = pcre2_compile((PCRE2_SPTR)pattern, n_bytes, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!s->code) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(code, text, sizeof text);
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: its pattern does not compile: %s", (char *)text);
    }
    pcre2_pattern_info(s->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: its pattern matches nothing at all");
    pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* where there is no JIT, the interpreter does the same */
    return FVLM_OK;
}

fvlm_status fvlm_splitter_create(fvlm_splitter **out, const char *pattern, size_t n_bytes, fvlm_err *err)
{
    char *rewritten = NULL;
    size_t n_rewritten = 0;
    *out = NULL;
    if (n_bytes > MAX_PATTERN_BYTES)
        return fvlm_fail(err, FVLM_LIMIT, "tokenizer pattern of %zu bytes: at most %d", n_bytes, MAX_PATTERN_BYTES);
    FILE *to = open_memstream(&rewritten, &n_rewritten);
    if (to) rewrite(to, pattern, n_bytes);
    bool ok = to && !ferror(to);
    if (to) ok &= fclose(to) == 0;
    fvlm_splitter *s = ok ? fvlm_alloc(1, sizeof *s) : NULL;
    fvlm_status st =
        s ? compile(s, rewritten, n_rewritten, err) : fvlm_fail(err, FVLM_NOMEM, "not enough memory for the tokenizer");
    free(rewritten);
    if (st)
        fvlm_splitter_destroy(&s);
    else
        *out = s;
    return st;
}

void fvlm_splitter_destroy(fvlm_splitter **s)
{
    if (!*s) return;
    pcre2_code_free((*s)->code);
    free(*s);
    *s = NULL;
}

fvlm_status fvlm_split_begin(fvlm_split **out, const fvlm_splitter *s, fvlm_err *err)
{
    fvlm_split *w = fvlm_alloc(1, sizeof *w);
    *out = w;
    if (w) {
        w->splitter = s;
        w->match = pcre2_match_data_create_from_pattern(s->code, NULL);
        w->limits = pcre2_match_context_create(NULL);
        w->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK_BYTES, NULL);
    }
    if (!w || !w->match || !w->limits) {
        fvlm_split_end(out);
        return fvlm_fail(err, FVLM_NOMEM, "not enough memory to tokenize this text");
    }
    if (w->stack) pcre2_jit_stack_assign(w->limits, NULL, w->stack);
    return FVLM_OK;
}

void fvlm_split_end(fvlm_split **w)
{
    if (!*w) return;
    pcre2_match_data_free((*w)->match);
    pcre2_match_context_free((*w)->limits);
    pcre2_jit_stack_free((*w)->stack);
    free(*w);
    *w = NULL;
}

/* A pattern may give back as many characters as there are, a few times over; one that tries more than that is
 * not a tokenizer's. */
void fvlm_split_text(fvlm_split *w, const char *text, size_t n_bytes)
{
    w->text = text;
    w->n_bytes = n_bytes;
    w->at = w->match_from = w->match_to = 0;
    pcre2_set_match_limit(w->limits, (uint32_t)(1000000 + 16 * (n_bytes < 100000000 ? n_bytes : 100000000)));
}

/* The next match into match_from, match_to; both n_bytes when there is none. */
static fvlm_status find(fvlm_split *w, fvlm_err *err)
{
    PCRE2_SPTR s = (PCRE2_SPTR)w->text;
    int rc = pcre2_match(w->splitter->code, s, w->n_bytes, w->at, PCRE2_NO_UTF_CHECK, w->match, w->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(w->splitter->code, s, w->n_bytes, w->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match,
                         w->limits);
    w->match_from = w->match_to = w->n_bytes;
    if (rc == PCRE2_ERROR_NOMATCH) return FVLM_OK;
    if (rc < 0)
        return fvlm_fail(err, FVLM_LIMIT, "the tokenizer's pattern takes too long on this text (at byte %zu)", w->at);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(w->match);
    if (span[0] < w->at || span[1] <= span[0]) /* \K and look-arounds can do this; no tokenizer does */
        return fvlm_fail(err, FVLM_UNSUPPORTED, "the tokenizer's pattern matches backwards");
    w->match_from = span[0];
    w->match_to = span[1];
    return FVLM_OK;
}

fvlm_status fvlm_split_next(fvlm_split *w, const char **from, size_t *n, fvlm_err *err)
{
    *n = 0;
    if (w->at >= w->n_bytes) return FVLM_OK;
    if (w->at >= w->match_to) {
        const fvlm_status st = find(w, err);
        if (st) return st;
    }
    const size_t to = w->at < w->match_from ? w->match_from : w->match_to;
    *from = w->text + w->at;
    *n = to - w->at;
    w->at = to;
    return FVLM_OK;
}
