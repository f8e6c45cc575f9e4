/* SPDX-License-Identifier: Apache-2.0 */
/* prompt.c - the ids of a question in the model's prompt template, after the token that begins each text, where the
 * model has one. As upstream does, the text is split at the image marker and each side is tokenized by itself: no token
 * spans the marker, and the newline after it begins the second side. */
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "reference/model.h"

static const char IMAGE[] = "<image>", QUESTION[] = "{prompt}";

/* Appends the ids of text to *ids. */
static fvlm_status append(const fvlm_model *m, const char *text, size_t n_bytes, uint32_t **ids, size_t *n,
                          fvlm_err *err)
{
    if (n_bytes == 0) return FVLM_OK;
    uint32_t *more;
    size_t n_more;
    const fvlm_status st = fvlm_tokenizer_encode(m->tokenizer, text, n_bytes, &more, &n_more, err);
    if (st) return st;
    size_t capacity = *n;
    const bool ok = fvlm_grow(ids, &capacity, *n + n_more, sizeof *more);
    if (ok && n_more) memcpy(*ids + *n, more, n_more * sizeof *more);
    if (ok) *n += n_more;
    free(more);
    return ok ? FVLM_OK : fvlm_fail_nomem(err);
}

/* The template with the question in it, malloc'd; NULL if out of memory. The config's reader has checked that it has
 * both markers, once each. */
static char *fill_template(const char *template, const char *question)
{
    const char *at = strstr(template, QUESTION);
    return fvlm_asprintf("%.*s%s%s", (int)(at - template), template, question, at + strlen(QUESTION));
}

static fvlm_status check(const char *question, fvlm_err *err)
{
    if (question[strspn(question, " \t\r\n")] == '\0') return fvlm_fail(err, FVLM_USAGE, "the prompt is empty");
    if (strstr(question, IMAGE))
        return fvlm_fail(err, FVLM_USAGE, "the prompt may not contain %s: the model fixes where the image goes", IMAGE);
    return FVLM_OK;
}

fvlm_status fvlm_prompt_ids(const fvlm_model *m, const char *question, bool with_image, uint32_t **ids, size_t *n,
                            size_t *split, fvlm_err *err)
{
    *ids = NULL;
    *n = *split = 0;
    fvlm_status st = fvlm_model_require_llm(m, err);
    if (!st) st = check(question, err);
    if (st) return st;
    if (m->config->llm.has_bos) { /* LLaVA keeps the one that its tokenizer puts before the first side */
        *ids = fvlm_alloc(1, sizeof **ids);
        if (!*ids) return fvlm_fail_nomem(err);
        (*ids)[(*n)++] = m->config->llm.bos;
    }
    char *text = fill_template(m->config->prompt, question);
    if (!text) {
        free(*ids);
        *ids = NULL;
        return fvlm_fail_nomem(err);
    }

    char *marker = strstr(text, IMAGE), *rest = marker + strlen(IMAGE);
    if (with_image) {
        st = append(m, text, (size_t)(marker - text), ids, n, err);
        *split = *n;
        if (!st) st = append(m, rest, strlen(rest), ids, n, err);
    } else {
        if (*rest == '\n') rest++;
        memmove(marker, rest, strlen(rest) + 1);
        st = append(m, text, strlen(text), ids, n, err);
        *split = *n;
    }
    free(text);
    if (!st) return FVLM_OK;
    free(*ids);
    *ids = NULL;
    return st;
}
