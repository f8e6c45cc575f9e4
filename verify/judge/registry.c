/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - finds an operator by domain, name and opset, and checks what a node has against what is known. */
#include <inttypes.h>
#include <stdio.h>

#include "verify/judge/call.h"
#include "verify/judge/judge.h"

enum { NEWEST_OPSET = 28 }; /* of ai.onnx; com.microsoft stays at 1 */

static const fvlm_judge_row *const tables[] = {
    fvlm_judge_rows_binary,
    fvlm_judge_rows_logic,
    fvlm_judge_rows_unary,
    fvlm_judge_rows_cast,
    fvlm_judge_rows_shape,
    fvlm_judge_rows_move,
    fvlm_judge_rows_remap,
    fvlm_judge_rows_index,
    fvlm_judge_rows_scatter,
    fvlm_judge_rows_conv,
    fvlm_judge_rows_pool,
    fvlm_judge_rows_matmul,
    fvlm_judge_rows_norm,
    fvlm_judge_rows_softmax,
    fvlm_judge_rows_reduce,
    fvlm_judge_rows_scan,
    fvlm_judge_rows_quantized,
    fvlm_judge_rows_packed,
    fvlm_judge_rows_integer,
    fvlm_judge_rows_rotary,
    fvlm_judge_rows_attention,
    fvlm_judge_rows_multi_head,
    fvlm_judge_rows_group_attention,
    fvlm_judge_rows_onnx_attention,
};

static const char *plain_domain(const char *domain)
{
    return strcmp(domain, "ai.onnx") ? domain : "";
}

static bool lists_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *s = list; n && (s = strstr(s, word)); s += n)
        if ((s == list || s[-1] == ' ') && (s[n] == ' ' || !s[n])) return true;
    return false;
}

/* Without those left out at the end. */
static size_t n_given(const uint32_t *ids, size_t n)
{
    while (n && ids[n - 1] == FVLM_GRAPH_NONE) n--;
    return n;
}

static fvlm_status check_counts(const fvlm_judge_row *r, const fvlm_graph_node *n, const char *name, fvlm_err *err)
{
    const size_t n_in = n_given(n->inputs, n->n_inputs), n_out = n_given(n->outputs, n->n_outputs);
    if (r->max_in != FVLM_JUDGE_MANY && n_in > r->max_in)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: it has %zu inputs; %u are known", name, n_in, r->max_in);
    if (r->max_out != FVLM_JUDGE_MANY && n_out > r->max_out)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: it has %zu outputs; %u are known", name, n_out, r->max_out);
    if (!n_out) return fvlm_fail(err, FVLM_BAD_INPUT, "%s: it has no output", name);
    for (size_t i = 0; i < r->min_in; i++)
        if (i >= n->n_inputs || n->inputs[i] == FVLM_GRAPH_NONE)
            return fvlm_fail(err, FVLM_BAD_INPUT, "%s: input %zu is missing", name, i);
    for (size_t i = 0; i < n->n_attrs; i++)
        if (!lists_word(r->attrs ? r->attrs : "", n->attrs[i].name))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: attribute \"%s\" is not known", name, n->attrs[i].name);
    return FVLM_OK;
}

fvlm_status fvlm_judge_find_row(const fvlm_judge_row **out, const fvlm_graph *g, const fvlm_graph_node *n,
                                fvlm_err *err)
{
    char name[192];
    const char *domain = plain_domain(n->domain), *shown = domain[0] ? domain : "ai.onnx";
    const int64_t opset = fvlm_graph_opset(g, domain);
    bool other_opset = false;
    fvlm_graph_node_text(g, n, name);
    if (!domain[0] && opset > NEWEST_OPSET)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: opset %" PRId64 " of ai.onnx; %d is the newest known", name, opset,
                         NEWEST_OPSET);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const fvlm_judge_row *r = tables[t]; r->op; r++) {
            if (strcmp(r->op, n->op) || strcmp(r->domain, domain)) continue;
            other_opset = true;
            if (opset < r->first_opset) continue;
            *out = r;
            return check_counts(r, n, name, err);
        }
    if (other_opset)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: its form of opset %" PRId64 " of %s is not known", name, opset,
                         shown);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: operator %s of %s is not known%s", name, n->op, shown,
                     !strcmp(domain, "com.microsoft.nchwc")
                         ? ": onnxruntime arranged the graph for one CPU; save it at the level \"extended\" or below"
                         : "");
}

const char *fvlm_judge_known_op(size_t i, const char **domain, const char **attrs)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const fvlm_judge_row *r = tables[t]; r->op; r++)
            if (i-- == 0) {
                *domain = r->domain;
                *attrs = r->attrs ? r->attrs : "";
                return r->op;
            }
    return NULL;
}
