/* SPDX-License-Identifier: Apache-2.0 */
/* graph_tensor.c - the elements of a TensorProto: raw_data and float fields where they are in the file, integer fields
 * decoded, external data mapped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/graph/graph_internal.h"
#include "convert/graph/skeleton.h"
#include "convert/source/wire.h"
#include "format/base/grow.h"

#define DECODED_MIN ((uint64_t)64 << 20) /* may be decoded whatever the file's size */

/* Fields of TensorProto. */
enum { NO_DATA = 0, FLOATS = 4, INT32S = 5, STRINGS = 6, INT64S = 7, RAW = 9, DOUBLES = 10, UINT64S = 11 };

typedef struct {
    const char *name;
    unsigned bits; /* 0: not supported */
    unsigned field;
    int64_t min, max; /* of an element of an integer field; for UINT64S, min is 0 and max unsigned */
} type_row;

static const type_row types[] = {
    [0] = {"UNDEFINED", 0, 0, 0, 0},
    [FVLM_ONNX_F32] = {"FLOAT", 32, FLOATS, 0, 0},
    [FVLM_ONNX_U8] = {"UINT8", 8, INT32S, 0, UINT8_MAX},
    [FVLM_ONNX_I8] = {"INT8", 8, INT32S, INT8_MIN, INT8_MAX},
    [FVLM_ONNX_U16] = {"UINT16", 16, INT32S, 0, UINT16_MAX},
    [FVLM_ONNX_I16] = {"INT16", 16, INT32S, INT16_MIN, INT16_MAX},
    [FVLM_ONNX_I32] = {"INT32", 32, INT32S, INT32_MIN, INT32_MAX},
    [FVLM_ONNX_I64] = {"INT64", 64, INT64S, INT64_MIN, INT64_MAX},
    [FVLM_ONNX_STRING] = {"STRING", 0, STRINGS, 0, 0},
    [FVLM_ONNX_BOOL] = {"BOOL", 8, INT32S, 0, 1},
    [FVLM_ONNX_F16] = {"FLOAT16", 16, INT32S, 0, UINT16_MAX},
    [FVLM_ONNX_F64] = {"DOUBLE", 64, DOUBLES, 0, 0},
    [FVLM_ONNX_U32] = {"UINT32", 32, UINT64S, 0, UINT32_MAX},
    [FVLM_ONNX_U64] = {"UINT64", 64, UINT64S, 0, -1},
    [14] = {"COMPLEX64", 0, 0, 0, 0},
    [15] = {"COMPLEX128", 0, 0, 0, 0},
    [FVLM_ONNX_BF16] = {"BFLOAT16", 16, INT32S, 0, UINT16_MAX},
    [17] = {"FLOAT8E4M3FN", 0, 0, 0, 0},
    [18] = {"FLOAT8E4M3FNUZ", 0, 0, 0, 0},
    [19] = {"FLOAT8E5M2", 0, 0, 0, 0},
    [20] = {"FLOAT8E5M2FNUZ", 0, 0, 0, 0},
    [FVLM_ONNX_U4] = {"UINT4", 4, INT32S, 0, UINT8_MAX}, /* two elements in a byte */
    [FVLM_ONNX_I4] = {"INT4", 4, INT32S, 0, UINT8_MAX},
    [23] = {"FLOAT4E2M1", 0, 0, 0, 0},
    [24] = {"FLOAT8E8M0", 0, 0, 0, 0},
    [25] = {"UINT2", 0, 0, 0, 0},
    [26] = {"INT2", 0, 0, 0, 0},
    [27] = {"FLOAT6E2M3", 0, 0, 0, 0},
    [28] = {"FLOAT6E3M2", 0, 0, 0, 0},
};

static const char *const field_names[] = {
    [FLOATS] = "float_data", [INT32S] = "int32_data",   [STRINGS] = "string_data", [INT64S] = "int64_data",
    [RAW] = "raw_data",      [DOUBLES] = "double_data", [UINT64S] = "uint64_data"};

static const type_row *row_of(int32_t type)
{
    return type >= 0 && (size_t)type < sizeof types / sizeof types[0] ? &types[type] : NULL;
}

const char *fvlm_onnx_type_name(int32_t type)
{
    const type_row *row = row_of(type);
    return row ? row->name : "type unknown";
}

unsigned fvlm_onnx_type_bits(int32_t type)
{
    const type_row *row = row_of(type);
    return row ? row->bits : 0;
}

bool fvlm_onnx_type_limits(int32_t type, double *least, double *most)
{
    const bool is_signed = type == FVLM_ONNX_I4 || type == FVLM_ONNX_I8 || type == FVLM_ONNX_I16;
    if (!is_signed && type != FVLM_ONNX_U4 && type != FVLM_ONNX_U8 && type != FVLM_ONNX_U16) return false;
    const double n = (double)(1u << fvlm_onnx_type_bits(type));
    *least = is_signed ? -n / 2 : 0;
    *most = *least + n - 1;
    return true;
}

/* "FLOAT [96, 3]" */
static const char *shape_text(const fvlm_graph_tensor *t, char out[256])
{
    int n = snprintf(out, 256, "%s [", fvlm_onnx_type_name(t->type));
    for (unsigned i = 0; i < t->rank; i++)
        n += snprintf(out + n, 256 - (size_t)n, "%s%" PRIu64, i ? ", " : "", t->dims[i]);
    snprintf(out + n, 256 - (size_t)n, "]");
    return out;
}

/* ---- type and shape ---- */

static fvlm_status read_shape(fvlm_graph_tensor *out, const FvlmOnnx__TensorProto *t, fvlm_err *err)
{
    uint64_t n_elems = 1, n_bits;
    const type_row *row = row_of(t->data_type);
    if (!t->has_data_type || t->data_type == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "has no data_type");
    if (!row)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "has data_type %" PRId32 ", which ONNX up to IR version %d does not have", t->data_type,
                         FVLM_SKELETON_IR_VERSION);
    if (!row->bits)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "holds elements of type %s, which is not supported", row->name);
    if (t->n_dims > FVLM_GRAPH_MAX_RANK)
        return fvlm_fail(err, FVLM_LIMIT, "has %zu dimensions; at most %d are supported", t->n_dims,
                         FVLM_GRAPH_MAX_RANK);
    out->type = t->data_type;
    out->rank = (unsigned)t->n_dims;
    bool overflows = false, empty = false;
    for (unsigned i = 0; i < out->rank; i++) {
        if (t->dims[i] < 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "dimension %u is %" PRId64 ", expected 0 or more", i, t->dims[i]);
        out->dims[i] = (uint64_t)t->dims[i];
        empty |= t->dims[i] == 0;
        overflows |= !fvlm_checked_mul(n_elems, out->dims[i], &n_elems);
    }
    if (empty) n_elems = 0;
    if (!empty && overflows) n_elems = UINT64_MAX;
    if (!fvlm_checked_mul(n_elems, row->bits, &n_bits) || n_bits > INT64_MAX)
        return fvlm_fail(err, FVLM_BAD_INPUT, "has more elements than any file can hold");
    out->n_elems = n_elems;
    out->n_bytes = n_bits / 8 + (n_bits % 8 != 0);
    return FVLM_OK;
}

/* ---- data in the model's file ---- */

/* A typed field, or raw_data, as it is in the file. */
typedef struct {
    fvlm_wire message; /* all of the tensor */
    unsigned field;
    size_t n_chunks; /* occurrences, without empty ones */
    const uint8_t *bytes;
    uint64_t n_bytes; /* of the last */
    bool packed;      /* and so is the last */
} data;

static fvlm_status scan(data *d, const fvlm_graph *g, const FvlmOnnx__TensorProto *t, fvlm_err *err)
{
    fvlm_skeleton_range range;
    memcpy(&range, t->raw_data.data, sizeof range);
    *d = (data){.message = {g->files[0].map + range.begin, g->files[0].map + range.end, NULL}};
    fvlm_wire w = d->message;
    fvlm_wire_field f;
    while (fvlm_wire_next(&w, &f)) {
        if (f.number >= sizeof field_names / sizeof field_names[0] || !field_names[f.number]) continue;
        if (f.type == FVLM_WIRE_BYTES && f.n_bytes == 0 && f.number != STRINGS) continue;
        if (d->field != NO_DATA && d->field != f.number)
            return fvlm_fail(err, FVLM_BAD_INPUT, "has data both in %s and in %s", field_names[d->field],
                             field_names[f.number]);
        d->field = f.number;
        d->n_chunks++;
        d->bytes = f.bytes;
        d->n_bytes = f.n_bytes;
        d->packed = f.type == FVLM_WIRE_BYTES;
    }
    return w.fault ? fvlm_fail(err, FVLM_BAD_INPUT, "%s", w.fault) : FVLM_OK;
}

/* The next element's bits. False at the end, and on a fault. */
typedef struct {
    fvlm_wire message, chunk;
    unsigned field;
} elements;

static bool next_element(elements *e, uint64_t *v)
{
    const size_t fixed = e->field == FLOATS ? 4 : e->field == DOUBLES ? 8 : 0;
    while (e->chunk.at == e->chunk.end) {
        fvlm_wire_field f;
        if (!fvlm_wire_next(&e->message, &f)) return false;
        if (f.number != e->field) continue;
        if (f.type != FVLM_WIRE_BYTES) return *v = f.value, true;
        e->chunk = (fvlm_wire){f.bytes, f.bytes + f.n_bytes, NULL};
    }
    return fixed ? fvlm_wire_fixed(&e->chunk, fixed, v) : fvlm_wire_varint(&e->chunk, v);
}

static fvlm_status check_count(const fvlm_graph_tensor *out, unsigned field, uint64_t n, fvlm_err *err)
{
    char text[256];
    const uint64_t expected = field == RAW || types[out->type].bits == 4 ? out->n_bytes : out->n_elems;
    if (n == expected) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s has %" PRIu64 " %s%s, but %s needs %" PRIu64, field_names[field], n,
                     field == RAW ? "byte" : "number", n == 1 ? "" : "s", shape_text(out, text), expected);
}

static void store(uint8_t *to, unsigned bits, uint64_t v)
{
    if (bits <= 8)
        *to = (uint8_t)v;
    else if (bits == 16)
        fvlm_store_u16(to, (uint16_t)v);
    else if (bits == 32)
        fvlm_store_u32(to, (uint32_t)v);
    else
        fvlm_store_u64(to, v);
}

static bool fits(const type_row *row, uint64_t v)
{
    if (row->field == FLOATS || row->field == DOUBLES) return true;
    if (row->field == UINT64S) return v <= (uint64_t)row->max;
    return (int64_t)v >= row->min && (int64_t)v <= row->max;
}

/* Memory for decoded elements. */
static fvlm_status keep(uint8_t **block, fvlm_graph *g, uint64_t n_bytes, fvlm_err *err)
{
    const uint64_t limit = g->files[0].stamp.n_bytes > DECODED_MIN ? g->files[0].stamp.n_bytes : DECODED_MIN;
    if (n_bytes > limit - g->decoded_bytes)
        return fvlm_fail(err, FVLM_LIMIT,
                         "the numbers in typed fields take over %" PRIu64 " MB; save tensors as raw_data", limit >> 20);
    if (!fvlm_grow(&g->decoded, &g->decoded_capacity, g->n_decoded + 1, sizeof *g->decoded))
        return fvlm_fail_nomem(err);
    *block = malloc((size_t)n_bytes);
    if (!*block) return fvlm_fail_nomem(err);
    g->decoded[g->n_decoded++] = *block;
    g->decoded_bytes += n_bytes;
    return FVLM_OK;
}

static fvlm_status decode(fvlm_graph_tensor *out, fvlm_graph *g, const data *d, fvlm_err *err)
{
    const type_row *row = &types[out->type];
    elements e = {d->message, {d->message.end, d->message.end, NULL}, d->field};
    uint64_t n = 0, v;
    while (next_element(&e, &v)) n++;
    if (e.chunk.fault) return fvlm_fail(err, FVLM_BAD_INPUT, "%s: %s", field_names[d->field], e.chunk.fault);
    fvlm_status st = check_count(out, d->field, n, err);
    uint8_t *block;
    if (!st) st = keep(&block, g, out->n_bytes, err);
    if (st) return st;
    const unsigned width = row->bits <= 8 ? 1 : row->bits / 8;
    e = (elements){d->message, {d->message.end, d->message.end, NULL}, d->field};
    uint64_t i = 0;
    for (; i < n && next_element(&e, &v); i++) {
        if (!fits(row, v))
            return fvlm_fail(err, FVLM_BAD_INPUT, "%s[%" PRIu64 "] is %" PRId64 ", which does not fit into %s",
                             field_names[d->field], i, (int64_t)v, row->name);
        store(block + i * width, row->bits, v);
    }
    memset(block + i * width, 0, (size_t)(out->n_bytes - i * width)); /* if the file has changed meanwhile */
    out->bytes = block;
    return FVLM_OK;
}

static fvlm_status read_inside(fvlm_graph_tensor *out, fvlm_graph *g, const data *d, fvlm_err *err)
{
    const type_row *row = &types[out->type];
    char text[256];
    if (d->field == NO_DATA) {
        static const uint8_t nothing[1];
        out->bytes = nothing;
        return out->n_bytes == 0 ? FVLM_OK
                                 : fvlm_fail(err, FVLM_BAD_INPUT, "has no data, but is %s", shape_text(out, text));
    }
    if (d->field != RAW && d->field != row->field)
        return fvlm_fail(err, FVLM_BAD_INPUT, "has its data in %s; %s belongs into raw_data or %s",
                         field_names[d->field], row->name, field_names[row->field]);
    const bool as_it_is =
        d->field == RAW || (d->packed && d->n_chunks == 1 && (d->field == FLOATS || d->field == DOUBLES));
    if (!as_it_is) return decode(out, g, d, err);
    const unsigned width = d->field == RAW ? 1 : row->bits / 8;
    if (d->n_bytes % width) return fvlm_fail(err, FVLM_BAD_INPUT, "%s: a number is cut off", field_names[d->field]);
    out->bytes = d->bytes;
    return check_count(out, d->field, d->n_bytes / width, err);
}

fvlm_status fvlm_graph_read_tensor(fvlm_graph_tensor *out, fvlm_graph *g, const FvlmOnnx__TensorProto *t, fvlm_err *err)
{
    data d;
    char text[256];
    *out = (fvlm_graph_tensor){.name = t->name ? t->name : ""};
    fvlm_status st = read_shape(out, t, err);
    if (!st) st = scan(&d, g, t, err);
    const bool outside = t->has_data_location && t->data_location != FVLM_ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    if (!st && outside && t->data_location != FVLM_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "data_location is %d, expected 0 or 1", (int)t->data_location);
    if (!st && outside && d.field != NO_DATA)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "has data both in %s and in an external file", field_names[d.field]);
    if (!st && !outside && t->n_external_data)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "names external data, but its data_location is not EXTERNAL");
    if (!st)
        st = outside ? fvlm_graph_read_external(out, g, t, shape_text(out, text), err) : read_inside(out, g, &d, err);
    return st && out->name[0] ? fvlm_err_prefix(err, "tensor \"%s\"", out->name) : st;
}
