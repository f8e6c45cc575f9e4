/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - which tensor gets which type. Reads names, shapes and layouts, no weights. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <jansson.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "quant/plan.h"

/* Relative error of the weights (small trained model, the LLM's ffn) and size of the 0.5B model in MB, by group:
 *   int8-sym    g32 0.0048 662   g64 0.0056 642   g128 0.0063 633   row 0.0068 624
 *   int4-asym   g32 0.070  391   g64 0.082  352   g128 0.092  333
 *   int4-sym    g32 0.082  352   g64 0.091  333
 * Groups of 64 are the best trade of error for size. For int4, asymmetric g64 and symmetric g32 have equal error and
 * size, and wide groups make faster kernels. */
static const fvlm_type int8 = {FVLM_INT, 8, 0, 64}, int4 = {FVLM_INT, 4, 1, 64}, f16 = {FVLM_F16, 0, 0, 0};

static fvlm_quant_role role_of(const fvlm_tensor *t, fvlm_part part)
{
    if (t->layout == FVLM_ROWS) return FVLM_QUANT_VECTOR;
    if (t->layout == FVLM_TAPS) return FVLM_QUANT_TAPS;
    /* The 3x3 stem is a matrix of 27 inputs: too few to be worth a scale. */
    return part == FVLM_PART_STEM && t->rank == 4 && t->dims[2] > 1 ? FVLM_QUANT_TAPS : FVLM_QUANT_MATRIX;
}

/* Matrices that the int4 preset keeps at 8 bits: the vocabulary, where one row is all there is of a token; and layers
 * without a residual connection, whose error reaches everything after them (stem, downsampling, projector: 1 % of the
 * model). With 4 bits there, the tower's error is 0.17 instead of 0.03 (small trained model). */
static bool needs_int8(fvlm_part part)
{
    return part == FVLM_PART_EMBEDDING || part == FVLM_PART_LLM_HEAD || part == FVLM_PART_PROJECTOR ||
           part == FVLM_PART_STEM || part == FVLM_PART_DOWNSAMPLE;
}

/* What the option 'type' means for a matrix of this part. */
static fvlm_status matrix_type(fvlm_type *out, const char *type, fvlm_part part, fvlm_err *err)
{
    if (!strcmp(type, "int4")) return *out = needs_int8(part) ? int8 : int4, FVLM_OK;
    if (!strcmp(type, "int8")) return *out = int8, FVLM_OK;
    if (fvlm_type_parse(out, type, err))
        return fvlm_fail(err, FVLM_USAGE,
                         "--type: \"%.40s\" is not int8, int4 or {int8,int4}-{sym,asym}-{g32,g64,g128,row}", type);
    if (out->kind != FVLM_INT)
        return fvlm_fail(err, FVLM_USAGE, "%s is not an integer type; fvlm convert writes float types", type);
    return FVLM_OK;
}

/* ---- rules ---- */

typedef struct {
    const char *regex;
    pcre2_code *code;
    bool keep;
    fvlm_type type;
    size_t n_applied, n_left; /* tensors that match, by whether the type fits them */
} rule;

typedef struct {
    rule *rules;
    size_t n;
    pcre2_match_data *match;
} rule_list;

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

/* On failure, call free_rules all the same. */
static fvlm_status compile_rules(rule_list *r, const fvlm_quant_options *o, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    r->rules = fvlm_alloc(o->n_rules, sizeof *r->rules);
    r->match = pcre2_match_data_create(1, NULL);
    if (!r->rules || !r->match) return fvlm_fail_nomem(err);
    for (; r->n < o->n_rules && !st; r->n++) st = compile(&r->rules[r->n], &o->rules[r->n], err);
    return st;
}

static void free_rules(rule_list *r)
{
    for (size_t i = 0; i < r->n; i++) pcre2_code_free(r->rules[i].code);
    pcre2_match_data_free(r->match);
    free(r->rules);
}

/* Integers exist in panels only, which are matrices. */
static bool fits(const rule *r, const fvlm_tensor *t)
{
    return r->keep || r->type.kind != FVLM_INT || t->layout == FVLM_PANELS;
}

/* The last rule that matches the tensor's name and whose type fits it decides. If none does, *type stays. */
static fvlm_status apply_rules(rule_list *r, const fvlm_tensor *t, fvlm_type *type, fvlm_err *err)
{
    for (size_t i = 0; i < r->n; i++) {
        rule *u = &r->rules[i];
        int found = pcre2_match(u->code, (PCRE2_SPTR)t->name, strlen(t->name), 0, 0, r->match, NULL);
        if (found == PCRE2_ERROR_NOMATCH) continue;
        if (found < 0) { /* a backtracking limit */
            PCRE2_UCHAR why[120] = "";
            pcre2_get_error_message(found, why, sizeof why);
            return fvlm_fail(err, FVLM_USAGE, "rule \"%.100s\" cannot be matched with \"%s\": %s; use a simpler one",
                             u->regex, t->name, (const char *)why);
        }
        if (fits(u, t))
            u->n_applied++, *type = u->keep ? t->type : u->type;
        else
            u->n_left++;
    }
    return FVLM_OK;
}

/* Refuses a rule that does nothing; keeps what the others leave. */
static fvlm_status check_used(const rule_list *r, fvlm_quantization *q, fvlm_err *err)
{
    char name[24];
    for (size_t i = 0; i < r->n; i++) {
        const rule *u = &r->rules[i];
        q->n_left[i] = u->n_left;
        if (u->n_applied) continue;
        if (u->n_left)
            return fvlm_fail(err, FVLM_USAGE,
                             "rule \"%.100s\" matches only vectors and depthwise taps, which cannot be %s; use f32, "
                             "bf16, f16 or keep",
                             u->regex, fvlm_type_name(u->type, name));
        return fvlm_fail(err, FVLM_USAGE,
                         "rule \"%.100s\" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)",
                         u->regex);
    }
    return FVLM_OK;
}

/* ---- the plan ---- */

/* Codes that convert kept have no float file; "rounding" marks them in the metadata. */
static fvlm_status refuse_again(const fvlm_reader *r, const fvlm_tensor *t, fvlm_err *err)
{
    char name[24];
    const json_t *origin = json_object_get(json_object_get(fvlm_reader_meta(r), "tensors"), t->name);
    return fvlm_fail(
        err, FVLM_UNSUPPORTED, "quantized already (\"%s\" is %s); %s", t->name, fvlm_type_name(t->type, name),
        json_object_get(origin, "rounding") ? "quantize what 'fvlm convert --quantized float' makes of the source"
                                            : "quantize the float file it was made from");
}

/* item->source, part and role are given. */
static fvlm_status plan_item(fvlm_quant_item *item, const fvlm_reader *r, const char *type, rule_list *rules,
                             fvlm_err *err)
{
    const fvlm_tensor *t = item->source;
    const bool integer = t->type.kind == FVLM_INT; /* stays as it is */
    item->type = t->type;
    item->n_weights = fvlm_tensor_n_elems(t);
    fvlm_status st = FVLM_OK;
    if (item->role == FVLM_QUANT_TAPS && !integer) item->type = f16;
    if (item->role == FVLM_QUANT_MATRIX && !integer) st = matrix_type(&item->type, type, item->part, err);
    if (!st) st = apply_rules(rules, t, &item->type, err);
    if (!st && integer && !fvlm_type_equal(item->type, t->type)) st = refuse_again(r, t, err);
    if (st) return st;
    return fvlm_type_tensor_bytes(&item->n_bytes, item->type, (fvlm_layout)t->layout, t->rank, t->dims, err);
}

/* convert keeps what an ONNX file has quantized; the rest can be quantized. Refuses a file where nothing is left. */
static fvlm_status check_left(const fvlm_quantization *q, fvlm_err *err)
{
    const fvlm_tensor *first = NULL;
    for (size_t i = 0; i < q->n_items; i++) {
        const fvlm_quant_item *item = &q->items[i];
        const bool integer = item->source->type.kind == FVLM_INT;
        if (item->role == FVLM_QUANT_MATRIX && !integer) return FVLM_OK;
        if (integer && !first) first = item->source;
    }
    return first ? refuse_again(q->reader, first, err) : FVLM_OK;
}

static int by_offset(const void *a, const void *b)
{
    const fvlm_quant_item *x = a, *y = b;
    return x->source->offset < y->source->offset ? -1 : x->source->offset > y->source->offset;
}

static fvlm_status list_items(fvlm_quantization *q, fvlm_err *err)
{
    q->n_items = fvlm_reader_n_tensors(q->reader);
    q->items = fvlm_alloc(q->n_items, sizeof *q->items);
    fvlm_part *part = fvlm_alloc(q->n_items, sizeof *part);
    const bool ok = q->items && part;
    if (ok) fvlm_tensors_parts(q->reader, part);
    for (size_t i = 0; ok && i < q->n_items; i++)
        q->items[i] = (fvlm_quant_item){.source = fvlm_reader_tensor(q->reader, i), .part = part[i]};
    free(part);
    return ok ? FVLM_OK : fvlm_fail_nomem(err);
}

static fvlm_status plan_items(fvlm_quantization *q, rule_list *rules, fvlm_err *err)
{
    uint64_t before = 0, after = 0;
    fvlm_status st = list_items(q, err);
    for (size_t i = 0; !st && i < q->n_items; i++) q->items[i].role = role_of(q->items[i].source, q->items[i].part);
    if (!st) st = check_left(q, err);
    if (st) return st;
    for (size_t i = 0; i < q->n_items; i++) {
        fvlm_quant_item *item = &q->items[i];
        st = plan_item(item, q->reader, q->options.type, rules, err);
        if (st) return st;
        before += item->source->n_bytes;
        after += (item->n_bytes + 63) / 64 * 64;
    }
    qsort(q->items, q->n_items, sizeof *q->items, by_offset);
    /* Everything else (index, metadata, tokenizer, padding) keeps about its size. */
    const uint64_t whole = fvlm_reader_file_bytes(q->reader);
    q->bytes_after = after + (whole > before ? whole - before : 0);
    return check_used(rules, q, err);
}

fvlm_status fvlm_quantization_plan(fvlm_quantization **out, const char *path, const fvlm_quant_options *o,
                                   fvlm_err *err)
{
    fvlm_type ignored;
    rule_list rules = {0};
    fvlm_quantization *q = *out = fvlm_alloc(1, sizeof *q);
    if (!q) return fvlm_fail_nomem(err);
    q->options = *o;
    q->n_left = fvlm_alloc(o->n_rules, sizeof *q->n_left);
    fvlm_status st = q->n_left ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = matrix_type(&ignored, o->type, FVLM_PART_OTHER, err);
    if (!st) st = fvlm_cpu_select(&q->cpu, o->cpu, err);
    if (!st) st = compile_rules(&rules, o, err);
    if (!st) st = fvlm_reader_open(&q->reader, path, err);
    if (!st) {
        st = plan_items(q, &rules, err);
        if (st && st != FVLM_USAGE) fvlm_err_prefix(err, "\"%s\"", path);
    }
    free_rules(&rules);
    if (st) fvlm_quantization_free(out);
    return st;
}

void fvlm_quantization_free(fvlm_quantization **qp)
{
    fvlm_quantization *q = *qp;
    if (!q) return;
    fvlm_reader_close(&q->reader);
    free(q->items);
    free(q->n_left);
    free(q);
    *qp = NULL;
}
