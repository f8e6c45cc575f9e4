/* SPDX-License-Identifier: Apache-2.0 */
/* graph_attribute.c - attributes of nodes: reading them, and finding them again. */

#include "convert/graph/graph_internal.h"

/* By fvlm_graph_attr_kind. */
static const char *const kind_names[] = {
    [FVLM_ATTR_FLOAT] = "a float",   [FVLM_ATTR_INT] = "an int",    [FVLM_ATTR_STRING] = "a string",
    [FVLM_ATTR_TENSOR] = "a tensor", [FVLM_ATTR_FLOATS] = "floats", [FVLM_ATTR_INTS] = "ints",
    [FVLM_ATTR_STRINGS] = "strings"};

/* The kinds whose fields are set, as bits; an empty list cannot be told from an absent one. */
static unsigned kinds_set(const FvlmOnnx__AttributeProto *a)
{
    return (unsigned)(a->has_f != 0) << FVLM_ATTR_FLOAT | (unsigned)(a->has_i != 0) << FVLM_ATTR_INT |
           (unsigned)(a->has_s != 0) << FVLM_ATTR_STRING | (unsigned)(a->t != NULL) << FVLM_ATTR_TENSOR |
           (unsigned)(a->n_floats > 0) << FVLM_ATTR_FLOATS | (unsigned)(a->n_ints > 0) << FVLM_ATTR_INTS |
           (unsigned)(a->n_strings > 0) << FVLM_ATTR_STRINGS;
}

static fvlm_status check_kind(const FvlmOnnx__AttributeProto *a, fvlm_err *err)
{
    const int type = a->has_type ? (int)a->type : 0;
    const size_t n_kinds = sizeof kind_names / sizeof kind_names[0];
    if (type == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "has no type");
    if (type < 0 || (size_t)type >= n_kinds || !kind_names[type])
        return fvlm_fail(err, FVLM_UNSUPPORTED, "has type %d, which is not supported", type);
    for (unsigned k = 0, set = kinds_set(a) & ~(1u << type); k < n_kinds; k++)
        if (set >> k & 1)
            return fvlm_fail(err, FVLM_BAD_INPUT, "is declared as %s, but holds %s", kind_names[type], kind_names[k]);
    if (type == FVLM_ATTR_TENSOR && !a->t)
        return fvlm_fail(err, FVLM_BAD_INPUT, "is declared as a tensor, but holds none");
    return FVLM_OK;
}

static const char *take_text(fvlm_graph *g, ProtobufCBinaryData s, fvlm_err *err)
{
    char *text = fvlm_graph_take(g, s.len + 1, 1, err);
    if (text && s.len) memcpy(text, s.data, s.len);
    return text;
}

static fvlm_status read_one(fvlm_graph_attr *out, fvlm_graph *g, const FvlmOnnx__AttributeProto *a, fvlm_err *err)
{
    const fvlm_status st = check_kind(a, err);
    if (st) return st;
    /* Writers of proto3 leave zeros and empty texts out. */
    *out = (fvlm_graph_attr){.name = a->name, .kind = (fvlm_graph_attr_kind)a->type, .f = a->f, .i = a->i};
    if (out->kind == FVLM_ATTR_STRING && !(out->s = take_text(g, a->s, err))) return FVLM_NOMEM;
    if (out->kind == FVLM_ATTR_TENSOR) {
        fvlm_graph_tensor *t = fvlm_graph_take(g, 1, sizeof *t, err);
        out->tensor = t;
        return t ? fvlm_graph_read_tensor(t, g, a->t, err) : FVLM_NOMEM;
    }
    if (out->kind == FVLM_ATTR_FLOATS) out->floats = a->floats, out->n = a->n_floats;
    if (out->kind == FVLM_ATTR_INTS) out->ints = a->ints, out->n = a->n_ints;
    if (out->kind != FVLM_ATTR_STRINGS) return FVLM_OK;
    const char **strings = fvlm_graph_take(g, a->n_strings, sizeof *strings, err);
    if (!strings) return FVLM_NOMEM;
    out->strings = strings;
    out->n = a->n_strings;
    for (size_t i = 0; i < a->n_strings; i++)
        if (!(strings[i] = take_text(g, a->strings[i], err))) return FVLM_NOMEM;
    return FVLM_OK;
}

fvlm_status fvlm_graph_read_attributes(fvlm_graph_node *out, fvlm_graph *g, const FvlmOnnx__NodeProto *n, fvlm_err *err)
{
    fvlm_graph_attr *attrs = fvlm_graph_take(g, n->n_attribute, sizeof *attrs, err);
    if (!attrs) return FVLM_NOMEM;
    out->attrs = attrs;
    if (n->n_attribute > FVLM_GRAPH_MAX_ATTRIBUTES)
        return fvlm_fail(err, FVLM_LIMIT, "has %zu attributes; at most %d are supported", n->n_attribute,
                         FVLM_GRAPH_MAX_ATTRIBUTES);
    for (size_t i = 0; i < n->n_attribute; i++) {
        const FvlmOnnx__AttributeProto *a = n->attribute[i];
        if (!a->name || !a->name[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "an attribute has no name");
        if (fvlm_graph_attr_find(out, a->name))
            return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" is given twice", a->name);
        const fvlm_status st = read_one(&attrs[i], g, a, err);
        if (st) return st == FVLM_NOMEM ? st : fvlm_err_prefix(err, "attribute \"%s\"", a->name);
        out->n_attrs++;
    }
    return FVLM_OK;
}

/* ---- Constant ---- */

/* A tensor of n numbers of 4 or 8 bytes; rank 0 or 1. Returns its bytes, to be filled in; NULL on failure. */
static uint8_t *take_numbers(fvlm_graph_tensor *out, fvlm_graph *g, int32_t type, unsigned rank, size_t n,
                             fvlm_err *err)
{
    const size_t width = fvlm_onnx_type_bits(type) / 8;
    *out = (fvlm_graph_tensor){.name = "", .type = type, .rank = rank, .dims = {rank ? n : 0}, .n_elems = n};
    out->n_bytes = n * width;
    uint8_t *bytes = fvlm_graph_take(g, n, width, err);
    out->bytes = bytes;
    return bytes;
}

static fvlm_status take_floats(fvlm_graph_tensor *out, fvlm_graph *g, unsigned rank, const float *f, size_t n,
                               fvlm_err *err)
{
    uint8_t *bytes = take_numbers(out, g, FVLM_ONNX_F32, rank, n, err);
    for (size_t i = 0; bytes && i < n; i++) fvlm_store_u32(bytes + 4 * i, fvlm_f32_bits(f[i]));
    return bytes ? FVLM_OK : FVLM_NOMEM;
}

static fvlm_status take_ints(fvlm_graph_tensor *out, fvlm_graph *g, unsigned rank, const int64_t *v, size_t n,
                             fvlm_err *err)
{
    uint8_t *bytes = take_numbers(out, g, FVLM_ONNX_I64, rank, n, err);
    for (size_t i = 0; bytes && i < n; i++) fvlm_store_u64(bytes + 8 * i, (uint64_t)v[i]);
    return bytes ? FVLM_OK : FVLM_NOMEM;
}

fvlm_status fvlm_graph_read_constant(fvlm_graph_tensor *out, fvlm_graph *g, const fvlm_graph_node *n, fvlm_err *err)
{
    static const struct {
        const char *name;
        fvlm_graph_attr_kind kind;
    } values[] = {{"value", FVLM_ATTR_TENSOR},         {"value_float", FVLM_ATTR_FLOAT},
                  {"value_floats", FVLM_ATTR_FLOATS},  {"value_int", FVLM_ATTR_INT},
                  {"value_ints", FVLM_ATTR_INTS},      {"value_string", FVLM_ATTR_STRING},
                  {"value_strings", FVLM_ATTR_STRINGS}};
    if (n->n_inputs || n->n_outputs != 1 || n->outputs[0] == FVLM_GRAPH_NONE || n->n_attrs != 1)
        return fvlm_fail(err, FVLM_BAD_INPUT, "expected no input, one output and one attribute");
    const fvlm_graph_attr *a = &n->attrs[0];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (strcmp(values[i].name, a->name)) continue;
        if (values[i].kind != a->kind)
            return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" is %s, expected %s", a->name, kind_names[a->kind],
                             kind_names[values[i].kind]);
        switch (a->kind) {
        case FVLM_ATTR_TENSOR:
            *out = *a->tensor;
            return FVLM_OK;
        case FVLM_ATTR_FLOAT:
            return take_floats(out, g, 0, &a->f, 1, err);
        case FVLM_ATTR_FLOATS:
            return take_floats(out, g, 1, a->floats, a->n, err);
        case FVLM_ATTR_INT:
            return take_ints(out, g, 0, &a->i, 1, err);
        case FVLM_ATTR_INTS:
            return take_ints(out, g, 1, a->ints, a->n, err);
        default:
            return fvlm_fail(err, FVLM_UNSUPPORTED, "holds strings, which are not supported");
        }
    }
    return fvlm_fail(err, FVLM_BAD_INPUT, "unknown attribute \"%s\"", a->name);
}

/* ---- finding them ---- */

const fvlm_graph_attr *fvlm_graph_attr_find(const fvlm_graph_node *n, const char *name)
{
    for (size_t i = 0; i < n->n_attrs; i++)
        if (!strcmp(n->attrs[i].name, name)) return &n->attrs[i];
    return NULL;
}

/* The attribute of this kind; NULL in *out if it is absent. */
static fvlm_status find_kind(const fvlm_graph_attr **out, const fvlm_graph_node *n, const char *name,
                             fvlm_graph_attr_kind kind, fvlm_err *err)
{
    *out = fvlm_graph_attr_find(n, name);
    if (!*out || (*out)->kind == kind) return FVLM_OK;
    fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" is %s, expected %s", name, kind_names[(*out)->kind],
              kind_names[kind]);
    return n->name[0] ? fvlm_err_prefix(err, "node \"%s\" (%s)", n->name, n->op)
                      : fvlm_err_prefix(err, "a node (%s)", n->op);
}

fvlm_status fvlm_graph_attr_int(int64_t *out, const fvlm_graph_node *n, const char *name, int64_t absent, fvlm_err *err)
{
    const fvlm_graph_attr *a;
    const fvlm_status st = find_kind(&a, n, name, FVLM_ATTR_INT, err);
    if (!st) *out = a ? a->i : absent;
    return st;
}

fvlm_status fvlm_graph_attr_float(float *out, const fvlm_graph_node *n, const char *name, float absent, fvlm_err *err)
{
    const fvlm_graph_attr *a;
    const fvlm_status st = find_kind(&a, n, name, FVLM_ATTR_FLOAT, err);
    if (!st) *out = a ? a->f : absent;
    return st;
}

fvlm_status fvlm_graph_attr_ints(const int64_t **out, size_t *n_out, const fvlm_graph_node *n, const char *name,
                                 fvlm_err *err)
{
    const fvlm_graph_attr *a;
    const fvlm_status st = find_kind(&a, n, name, FVLM_ATTR_INTS, err);
    if (st) return st;
    *out = a ? a->ints : NULL;
    *n_out = a ? a->n : 0;
    return FVLM_OK;
}
