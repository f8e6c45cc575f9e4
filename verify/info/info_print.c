/* SPDX-License-Identifier: Apache-2.0 */
/* info_print.c - the text of `fvlm info`. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "format/cli/terminal.h"
#include "verify/info/info.h"

/* ---- architecture ---- */

static void print_tower(FILE *to, const fvlm_config *c)
{
    uint32_t side = c->vision.image_size / c->vision.stride;
    fprintf(to, "tower       %" PRIu32 " x %" PRIu32 " pixels to %" PRIu32 " tokens of %" PRIu32 "\n",
            c->vision.image_size, c->vision.image_size, side * side, c->vision.out_dim);
    for (uint32_t i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        fprintf(to, "  stage %" PRIu32 "   %2" PRIu32 " %s blocks of %" PRIu32 " channels, ffn %" PRIu32, i, s->depth,
                s->mixer == FVLM_ATTENTION ? "attention" : "RepMixer ", s->dim, s->hidden);
        if (s->mixer == FVLM_ATTENTION) fprintf(to, ", %" PRIu32 " heads of %" PRIu32, s->heads, c->vision.head_dim);
        fprintf(to, "%s\n", s->pos ? ", position encoding" : "");
    }
}

static void print_architecture(FILE *to, const fvlm_config *c)
{
    print_tower(to, c);
    if (!fvlm_config_has_projector(c))
        fprintf(to, "projector   none\n");
    else
        fprintf(to, "projector   %" PRIu32 " - %" PRIu32 " - %" PRIu32 "\n", c->projector.in, c->projector.hidden,
                c->projector.out);
    if (!fvlm_config_has_llm(c)) {
        fprintf(to, "llm         none: pictures are encoded, questions not answered\n");
        return;
    }
    fprintf(to,
            "llm         %" PRIu32 " layers of %" PRIu32 ", %" PRIu32 " heads of %" PRIu32 " (%" PRIu32
            " for keys and values), ffn %" PRIu32 "\n",
            c->llm.layers, c->llm.hidden, c->llm.heads, c->llm.head_dim, c->llm.kv_heads, c->llm.intermediate);
    fprintf(to, "            vocabulary %" PRIu32 ", context %" PRIu32 ", %s head, rope theta %g\n", c->llm.vocab,
            c->llm.context, c->llm.tied ? "tied" : "own", c->llm.rope_theta);
}

/* ---- sizes ---- */

static void print_row(FILE *to, const char *part, const char *type, size_t n_tensors, uint64_t n_params,
                      uint64_t n_bytes, uint64_t all_bytes)
{
    char params[16], bytes[16];
    fprintf(to, "%-11s %-14s %7zu %11s %12.2f %9s %5.1f %%\n", part, type, n_tensors,
            fvlm_human_count(n_params, params), 8.0 * (double)n_bytes / (double)n_params,
            fvlm_human_bytes(n_bytes, bytes), 100.0 * (double)n_bytes / (double)all_bytes);
}

static void print_shares(FILE *to, const fvlm_info *x, const fvlm_reader *r)
{
    char type[24];
    fprintf(to, "%-11s %-14s %7s %11s %12s %9s %7s\n", "part", "type", "tensors", "parameters", "bits/weight", "size",
            "share");
    for (size_t i = 0; i < x->n_shares; i++) {
        const fvlm_share *s = &x->share[i];
        bool first = i == 0 || s->group != x->share[i - 1].group;
        print_row(to, first ? fvlm_part_group_name(s->group) : "", fvlm_type_name(s->type, type), s->n_tensors,
                  s->n_params, s->n_bytes, x->n_bytes);
    }
    print_row(to, "total", "", fvlm_reader_n_tensors(r), x->n_params, x->n_bytes, x->n_bytes);
}

/* ---- provenance ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void print_sources(FILE *to, const json_t *sources)
{
    size_t i;
    json_t *s;
    json_array_foreach(sources, i, s)
    {
        char bytes[16];
        const char *file = text_of(s, "file"), *hash = text_of(s, "xxh3_128");
        json_int_t n = json_integer_value(json_object_get(s, "bytes"));
        fvlm_terminal_print(to, "%-11s %s, %s, %s\n", i == 0 ? "from" : "", file ? file : "?",
                            fvlm_human_bytes(n > 0 ? (uint64_t)n : 0, bytes), hash ? hash : "no hash");
    }
}

/* One tool's work: "fvlm 0.1.0 quant, type int4, set a=b". */
static void print_work(FILE *to, const char *label, const json_t *work, const json_t *options)
{
    static const char *const keys[] = {"tool", "version", "command"};
    fprintf(to, "%-11s", label);
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(work, keys[i]);
        if (text) fvlm_terminal_print(to, " %s", text);
    }
    const char *type = text_of(options, "type");
    if (type) fvlm_terminal_print(to, ", type %s", type);
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(options, "set"), i, rule)
        fvlm_terminal_print(to, ", set %s", json_is_string(rule) ? json_string_value(rule) : "?");
    fputc('\n', to);
}

static void print_provenance(FILE *to, const fvlm_reader *r)
{
    const json_t *p = json_object_get(fvlm_reader_meta(r), "provenance");
    char identity[33];
    fvlm_hash_text(fvlm_reader_identity(r), identity);
    fprintf(to, "identity    %s (covers every byte of the file)\n", identity);
    if (p) print_work(to, "made by", p, json_object_get(p, "options"));
    print_sources(to, json_object_get(p, "sources"));
    size_t i;
    json_t *work;
    json_array_foreach(json_object_get(fvlm_reader_meta(r), "transforms"), i, work) print_work(to, "then", work, work);
}

/* How convert chose the prompt's template. */
static void print_conversation(FILE *to, const json_t *meta)
{
    const json_t *provenance = json_object_get(meta, "provenance");
    const json_t *of = json_object_get(provenance, "conversation");
    const char *name = text_of(of, "name"), *why = text_of(of, "why");
    const char *chosen = text_of(json_object_get(provenance, "options"), "conversation");
    if (name && why)
        fvlm_terminal_print(to, "            %s, %s\n", name, why);
    else if (chosen)
        fvlm_terminal_print(to, "            %s, chosen with --chat\n", chosen);
}

void fvlm_info_print(FILE *to, const fvlm_info *x, const fvlm_reader *r)
{
    char bytes[16], params[16], tokenizer[16];
    const fvlm_config *c = fvlm_reader_config(r);
    fvlm_terminal_print(to, "%s: %s, %s parameters in %zu tensors\n", fvlm_reader_path(r),
                        fvlm_human_bytes(fvlm_reader_file_bytes(r), bytes), fvlm_human_count(x->n_params, params),
                        fvlm_reader_n_tensors(r));
    fputc('\n', to);
    print_architecture(to, c);
    if (fvlm_config_has_llm(c)) {
        if (x->sentencepiece)
            fprintf(to, "tokenizer   SentencePiece, %zu pieces, %zu added tokens (%s of JSON)\n", x->tokens, x->added,
                    fvlm_human_bytes(x->tokenizer_bytes, tokenizer));
        else
            fprintf(to, "tokenizer   %zu tokens, %zu merges, %zu added tokens (%s of JSON)\n", x->tokens, x->merges,
                    x->added, fvlm_human_bytes(x->tokenizer_bytes, tokenizer));
        fvlm_terminal_print(to, "prompt      %s\n", c->prompt);
        print_conversation(to, fvlm_reader_meta(r));
    }
    fputc('\n', to);
    print_shares(to, x, r);
    fputc('\n', to);
    print_provenance(to, r);
}

/* ---- every tensor ---- */

static void print_error(FILE *to, const char *what, const json_t *error)
{
    if (json_is_number(error)) fprintf(to, " (%s error %.1e)", what, json_number_value(error));
}

/* How a tensor was made: convert's steps and the error of its fusion, then every change of type. */
static void print_origin(FILE *to, const json_t *meta, const char *name)
{
    const json_t *origin = json_object_get(json_object_get(meta, "tensors"), name);
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(origin, "steps"), i, s)
        fvlm_terminal_print(to, "%s%s", i == 0 ? "  " : ", ", json_is_string(s) ? json_string_value(s) : "?");
    print_error(to, "fusion", json_object_get(origin, "error"));
    json_array_foreach(json_object_get(meta, "transforms"), i, s)
    {
        const json_t *change = json_object_get(json_object_get(s, "tensors"), name);
        const char *from = text_of(change, "from");
        if (!from) continue;
        fvlm_terminal_print(to, "  from %s", from);
        print_error(to, "relative", json_object_get(change, "error"));
    }
}

void fvlm_info_print_tensors(FILE *to, const fvlm_reader *r)
{
    int width = 0;
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        int n = (int)strlen(fvlm_reader_tensor(r, i)->name);
        if (n > width) width = n;
    }
    fputc('\n', to);
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(r, i);
        char type[24], bytes[16], shape[96] = "";
        for (unsigned d = 0, at = 0; d < t->rank; d++)
            at += (unsigned)snprintf(shape + at, sizeof shape - at, "%s%" PRIu64, d ? "x" : "", t->dims[d]);
        fvlm_terminal_print(to, "%-*s  %-14s %-6s %14s %8s", width, t->name, fvlm_type_name(t->type, type),
                            fvlm_layout_name(t->layout), shape, fvlm_human_bytes(t->n_bytes, bytes));
        print_origin(to, fvlm_reader_meta(r), t->name);
        fputc('\n', to);
    }
}
