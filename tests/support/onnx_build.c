/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_build.c - see onnx_build.h. */
#include "tests/support/onnx_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "tests/support/support.h"

/* ---- messages ---- */

void onnx_free(onnx_bytes *m)
{
    free(m->bytes);
    *m = (onnx_bytes){0};
}

void onnx_append(onnx_bytes *m, const void *bytes, size_t n)
{
    if (!fvlm_grow(&m->bytes, &m->capacity, m->n + n, 1)) abort();
    if (n) memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void varint(onnx_bytes *m, uint64_t v)
{
    uint8_t byte;
    for (; v >= 0x80; v >>= 7) {
        byte = (uint8_t)(v | 0x80);
        onnx_append(m, &byte, 1);
    }
    byte = (uint8_t)v;
    onnx_append(m, &byte, 1);
}

void onnx_tag(onnx_bytes *m, uint32_t number, unsigned wire_type)
{
    varint(m, (uint64_t)number << 3 | wire_type);
}

void onnx_int(onnx_bytes *m, uint32_t number, int64_t v)
{
    onnx_tag(m, number, 0);
    varint(m, (uint64_t)v);
}

void onnx_float(onnx_bytes *m, uint32_t number, float v)
{
    uint8_t bytes[4];
    fvlm_store_u32(bytes, fvlm_f32_bits(v));
    onnx_tag(m, number, 5);
    onnx_append(m, bytes, 4);
}

void onnx_data(onnx_bytes *m, uint32_t number, const void *bytes, size_t n)
{
    onnx_tag(m, number, 2);
    varint(m, n);
    onnx_append(m, bytes, n);
}

void onnx_text(onnx_bytes *m, uint32_t number, const char *s)
{
    onnx_data(m, number, s, strlen(s));
}

void onnx_message(onnx_bytes *m, uint32_t number, onnx_bytes *child)
{
    onnx_data(m, number, child->bytes, child->n);
    onnx_free(child);
}

void onnx_ints(onnx_bytes *m, uint32_t number, const int64_t *v, size_t n)
{
    onnx_bytes packed = {0};
    for (size_t i = 0; i < n; i++) varint(&packed, (uint64_t)v[i]);
    onnx_message(m, number, &packed);
}

/* ---- parts ---- */

/* The next part of a list between commas; false after the last. "" has none. */
static bool next_part(const char **list, char out[256])
{
    if (!*list || !**list) return false;
    const size_t n = strcspn(*list, ",");
    if (n >= 256) abort();
    memcpy(out, *list, n);
    out[n] = 0;
    *list = (*list)[n] ? *list + n + 1 : NULL;
    return true;
}

uint64_t onnx_count(const char *shape)
{
    char part[256];
    uint64_t n = 1;
    while (next_part(&shape, part)) n *= strtoull(part, NULL, 10);
    return n;
}

onnx_bytes onnx_tensor_message(const char *name, int32_t type, const char *shape)
{
    onnx_bytes t = {0};
    char part[256];
    while (next_part(&shape, part)) onnx_int(&t, 1, strtoll(part, NULL, 10));
    onnx_int(&t, 2, type);
    if (name) onnx_text(&t, 8, name);
    return t;
}

void onnx_external(onnx_bytes *tensor, const char *key, const char *value)
{
    onnx_bytes e = {0};
    onnx_text(&e, 1, key);
    onnx_text(&e, 2, value);
    onnx_message(tensor, 13, &e);
}

static onnx_bytes value_message(const char *name, int32_t type, const char *shape)
{
    onnx_bytes v = {0}, tensor = {0}, dims = {0}, t = {0};
    char part[256];
    onnx_int(&tensor, 1, type);
    for (const char *rest = shape; next_part(&rest, part);) {
        onnx_bytes dim = {0};
        char *end;
        const long long n = strtoll(part, &end, 10);
        if (*end || end == part)
            onnx_text(&dim, 2, part);
        else
            onnx_int(&dim, 1, n);
        onnx_message(&dims, 1, &dim);
    }
    if (shape) onnx_message(&tensor, 2, &dims);
    onnx_text(&v, 1, name);
    onnx_message(&t, 1, &tensor);
    onnx_message(&v, 2, &t);
    return v;
}

static bool is_float(const char *s)
{
    const size_t n = strcspn(s, " ,]");
    return memchr(s, '.', n) || memchr(s, 'e', n) || memchr(s, 'n', n) /* inf, nan */;
}

/* [1,2] or [1.0,2.0]; *s is behind the '['. Types: AttributeProto.AttributeType. */
static int put_list(onnx_bytes *a, const char **s)
{
    int type = 7;
    while (**s && **s != ']') {
        char *end;
        if (is_float(*s)) {
            type = 6;
            onnx_float(a, 7, strtof(*s, &end));
        } else {
            onnx_int(a, 8, strtoll(*s, &end, 10));
        }
        if (end == *s) abort();
        *s = end + (*end == ',');
    }
    ++*s;
    return type;
}

/* One attribute, "name=value"; *s moves behind it. */
static onnx_bytes attr_message(const char **s)
{
    onnx_bytes a = {0};
    const size_t n = strcspn(*s, "=");
    onnx_data(&a, 1, *s, n);
    *s += n + 1;
    char *end = (char *)(uintptr_t)*s;
    int type = 2;
    if (**s == '\'') {
        const size_t length = strcspn(*s + 1, "'");
        onnx_data(&a, 4, *s + 1, length);
        *s += length + 2;
        type = 3;
    } else if (**s == '[') {
        ++*s;
        type = put_list(&a, s);
    } else if (is_float(*s)) {
        onnx_float(&a, 2, strtof(*s, &end));
        *s = end;
        type = 1;
    } else {
        onnx_int(&a, 3, strtoll(*s, &end, 10));
        if (end == *s) abort();
        *s = end;
    }
    onnx_int(&a, 20, type);
    return a;
}

onnx_bytes onnx_node_message(const char *op, const char *inputs, const char *outputs, const char *attrs)
{
    onnx_bytes n = {0};
    char part[256], name[260] = "n_";
    const char *colon = strchr(op, ':');
    while (next_part(&inputs, part)) onnx_text(&n, 1, part);
    for (bool first = true; next_part(&outputs, part); first = false) {
        onnx_text(&n, 2, part);
        if (first) strcpy(name + 2, part);
    }
    onnx_text(&n, 3, name);
    onnx_text(&n, 4, colon ? colon + 1 : op);
    for (const char *s = attrs ? attrs : ""; *s;) {
        onnx_bytes a = attr_message(&s);
        onnx_message(&n, 5, &a);
        s += strspn(s, " ");
    }
    if (colon) onnx_data(&n, 7, op, (size_t)(colon - op));
    return n;
}

static onnx_bytes attr_tensor(const char *name, onnx_bytes *tensor)
{
    onnx_bytes a = {0};
    onnx_text(&a, 1, name);
    onnx_message(&a, 5, tensor);
    onnx_int(&a, 20, 4);
    return a;
}

/* ---- models ---- */

void onnx_opset(onnx_model *m, const char *domain, int64_t version)
{
    onnx_bytes o = {0};
    onnx_text(&o, 1, domain);
    onnx_int(&o, 2, version);
    onnx_message(&m->head, 8, &o);
}

onnx_model onnx_model_of(int64_t ir_version, int64_t opset)
{
    onnx_model m = {0};
    onnx_int(&m.head, 1, ir_version);
    onnx_text(&m.head, 2, "onnx_build");
    if (opset) onnx_opset(&m, "", opset);
    onnx_opset(&m, "com.microsoft", 1);
    return m;
}

onnx_model onnx_model_new(void)
{
    return onnx_model_of(8, 17);
}

static void put_value(onnx_model *m, uint32_t number, const char *name, int32_t type, const char *shape)
{
    onnx_bytes v = value_message(name, type, shape);
    onnx_message(&m->graph, number, &v);
}

void onnx_input(onnx_model *m, const char *name, int32_t type, const char *shape)
{
    put_value(m, 11, name, type, shape);
}

void onnx_output(onnx_model *m, const char *name, int32_t type, const char *shape)
{
    put_value(m, 12, name, type, shape);
}

void onnx_value_info(onnx_model *m, const char *name, int32_t type, const char *shape)
{
    put_value(m, 13, name, type, shape);
}

void onnx_node(onnx_model *m, const char *op, const char *inputs, const char *outputs, const char *attrs)
{
    onnx_bytes n = onnx_node_message(op, inputs, outputs, attrs);
    onnx_message(&m->graph, 1, &n);
}

void onnx_tensor(onnx_model *m, const char *name, int32_t type, const char *shape, const void *bytes, size_t n)
{
    onnx_bytes t = onnx_tensor_message(name, type, shape);
    onnx_data(&t, 9, bytes, n);
    onnx_message(&m->graph, 5, &t);
}

void onnx_floats(onnx_model *m, const char *name, const char *shape, const float *v)
{
    onnx_bytes raw = {0};
    for (uint64_t i = 0; i < onnx_count(shape); i++) {
        uint8_t bytes[4];
        fvlm_store_u32(bytes, fvlm_f32_bits(v[i]));
        onnx_append(&raw, bytes, 4);
    }
    onnx_tensor(m, name, FVLM_ONNX_F32, shape, raw.bytes, raw.n);
    onnx_free(&raw);
}

void onnx_int64s(onnx_model *m, const char *name, const char *shape, const int64_t *v)
{
    onnx_bytes raw = {0};
    for (uint64_t i = 0; i < onnx_count(shape); i++) {
        uint8_t bytes[8];
        fvlm_store_u64(bytes, (uint64_t)v[i]);
        onnx_append(&raw, bytes, 8);
    }
    onnx_tensor(m, name, FVLM_ONNX_I64, shape, raw.bytes, raw.n);
    onnx_free(&raw);
}

void onnx_weight(onnx_model *m, const char *name, const char *shape, uint64_t seed)
{
    const uint64_t n = onnx_count(shape);
    float *v = malloc((n ? n : 1) * sizeof *v);
    if (!v) abort();
    for (uint64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        v[i] = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    }
    onnx_floats(m, name, shape, v);
    free(v);
}

void onnx_outside(onnx_model *m, const char *name, int32_t type, const char *shape, const char *location,
                  const char *offset, const char *length)
{
    onnx_bytes t = onnx_tensor_message(name, type, shape);
    onnx_external(&t, "location", location);
    if (offset) onnx_external(&t, "offset", offset);
    if (length) onnx_external(&t, "length", length);
    onnx_int(&t, 14, 1);
    onnx_message(&m->graph, 5, &t);
}

void onnx_constant(onnx_model *m, const char *output, onnx_bytes *tensor)
{
    onnx_bytes n = onnx_node_message("Constant", "", output, ""), a = attr_tensor("value", tensor);
    onnx_message(&n, 5, &a);
    onnx_message(&m->graph, 1, &n);
}

onnx_bytes onnx_finish(onnx_model *m)
{
    onnx_bytes out = m->head;
    onnx_message(&out, 7, &m->graph);
    *m = (onnx_model){0};
    return out;
}

void onnx_save(onnx_model *m, const char *path)
{
    onnx_bytes file = onnx_finish(m);
    if (!test_write_file(path, file.bytes, file.n)) abort();
    onnx_free(&file);
}
