/* SPDX-License-Identifier: Apache-2.0 */
/* wrapper.c - strips the prefix of a module that wrapped the whole model when it was saved: "module." of
 * DataParallel, "_orig_mod." of torch.compile, "base_model.model." of PEFT, or any other. */
#include <stdlib.h>
#include <string.h>

#include "convert/source/source_internal.h"

/* Every FastVLM has tensors whose names begin so. */
static const char anchor[] = "model.layers.0.";

static bool begins_with(const char *name, const char *prefix, size_t n)
{
    return strncmp(name, prefix, n) == 0;
}

/* The length of what stands before the anchor in the first name that holds it after a dot; 0 if there is none, or if
 * some name begins with the anchor itself. */
static size_t find_prefix(const fvlm_source *src, const char **holder)
{
    *holder = NULL;
    for (size_t i = 0; i < src->n_tensors; i++) {
        const char *name = src->tensors[i].name, *at = strstr(name, anchor);
        if (at == name) return 0;
        if (at && at[-1] == '.' && !*holder) *holder = name;
    }
    return *holder ? (size_t)(strstr(*holder, anchor) - *holder) : 0;
}

fvlm_status fvlm_source_unwrap(fvlm_source *src, fvlm_err *err)
{
    const char *holder;
    const size_t n = find_prefix(src, &holder);
    if (n == 0) return FVLM_OK;
    for (size_t i = 0; i < src->n_tensors; i++)
        if (!begins_with(src->tensors[i].name, holder, n) || !src->tensors[i].name[n])
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "tensor names begin with \"%.*s\", but \"%.200s\" does not; a prefix is stripped only if "
                             "every name has it",
                             (int)(n < 200 ? n : 200), holder, src->tensors[i].name);
    char *prefix = fvlm_asprintf("%.*s", (int)n, holder);
    if (!prefix) return fvlm_fail_nomem(err);
    free(src->prefix);
    src->prefix = prefix;
    for (size_t i = 0; i < src->n_tensors; i++) src->tensors[i].name += n;
    for (size_t i = 0; i < src->n_aliases; i++) {
        fvlm_alias *a = &src->aliases[i];
        if (begins_with(a->stored, prefix, n)) a->stored += n; /* not if the index does not list it */
        if (begins_with(a->name, prefix, n)) a->name += n;
    }
    for (size_t i = 0; i < src->n_unlisted; i++)
        if (begins_with(src->unlisted[i], prefix, n)) src->unlisted[i] += n;
    fvlm_source_sort_aliases(src);
    return fvlm_source_warn(src, err, "names begin with \"%.200s\", stripped", prefix);
}
