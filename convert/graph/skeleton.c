/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton.c - see skeleton.h. Nothing is recursive: the messages that enclose the current one are on a short stack. */
#include "convert/graph/skeleton.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/graph/skeleton_rules.h"
#include "convert/graph/wire.h"
#include "format/base/grow.h"
#include "format/base/utf8.h"

#define MAX_DEPTH 8 /* model, graph, value, type, tensor type, shape, dimension are 7 */
#define N_LENGTH 4  /* bytes of a length in the copy, a varint that may have zeros at its end */

/* A message that is being read. */
typedef struct {
    const message_rules *rules;
    const uint8_t *begin;
    fvlm_wire left;
    uint32_t seen;    /* a bit for each rule whose field has occurred */
    size_t length_at; /* in the copy: where its length goes */
} frame;

typedef struct {
    fvlm_skeleton *out;
    const uint8_t *file;
    const char *path;
    frame stack[MAX_DEPTH];
    size_t depth, n_messages;
    fvlm_err *err;
} copier;

/* ---- messages ---- */

/* A name in a message that may be damaged: unprintable bytes become '?'. "" if it has none. */
static void peek_name(const frame *f, uint32_t number, char out[128])
{
    fvlm_wire w = {f->begin, f->left.end, NULL};
    fvlm_wire_field field;
    size_t n = 0;
    while (fvlm_wire_next(&w, &field)) {
        if (field.number != number || field.type != FVLM_WIRE_BYTES) continue;
        for (size_t i = 0; i < field.n_bytes && n < 127; i++) {
            const uint8_t c = field.bytes[i];
            out[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
        }
        break;
    }
    out[n] = 0;
}

/* Puts the path and the names of what encloses the fault in front of the message in *err. */
static fvlm_status name_context(copier *k)
{
    char name[128], op[128];
    for (size_t i = k->depth; i-- > 0;) {
        const frame *f = &k->stack[i];
        switch (f->rules->shown) {
        case NODE:
            peek_name(f, 4, op);
            peek_name(f, 3, name);
            if (name[0]) {
                fvlm_err_prefix(k->err, "node \"%s\" (%s)", name, op);
                break;
            }
            peek_name(f, 2, name);
            if (name[0])
                fvlm_err_prefix(k->err, "the node (%s) that computes \"%s\"", op, name);
            else
                fvlm_err_prefix(k->err, "a node (%s) without a name", op);
            break;
        case ATTRIBUTE:
            peek_name(f, 1, name);
            fvlm_err_prefix(k->err, "attribute \"%s\"", name);
            break;
        case TENSOR:
            peek_name(f, 8, name);
            if (name[0] || f[-1].rules->shown != ATTRIBUTE) fvlm_err_prefix(k->err, "tensor \"%s\"", name);
            break;
        case VALUE:
            peek_name(f, 1, name);
            fvlm_err_prefix(k->err, "value \"%s\"", name);
            break;
        case OTHER:
            break;
        }
    }
    return fvlm_err_prefix(k->err, "\"%s\"", k->path);
}

/* Of a model that begins soundly, the graph lies beyond the end of the file: an unfinished download. */
static bool is_cut_short(copier *k, const uint8_t *at)
{
    const frame *f = &k->stack[0];
    fvlm_wire w = {at, f->left.end, NULL};
    uint64_t tag, n;
    if (!(f->seen & 1u) || !fvlm_wire_varint(&w, &tag) || tag != (7 << 3 | FVLM_WIRE_BYTES) ||
        !fvlm_wire_varint(&w, &n) || n > INT64_MAX || n <= (uint64_t)(w.end - w.at))
        return false;
    fvlm_refuse(k->err, (uint64_t)(at - k->file),
                "\"%s\" is cut short: its graph has %" PRIu64 " bytes, of which %" PRIu64
                " are there; get the file again",
                k->path, n, (uint64_t)(w.end - w.at));
    return true;
}

/* A fault at a byte. What is outside the graph may be any file. */
static fvlm_status damaged(copier *k, const uint8_t *at, const char *what)
{
    const uint64_t offset = (uint64_t)(at - k->file);
    if (k->depth == 1 && is_cut_short(k, at)) return FVLM_BAD_INPUT;
    if (k->depth == 1)
        return fvlm_refuse(k->err, offset, "\"%s\" is cut short, or not an ONNX model (byte %" PRIu64 ": %s)", k->path,
                           offset, what);
    fvlm_refuse(k->err, offset, "byte %" PRIu64 ": %s", offset, what);
    return name_context(k);
}

/* ---- the copy ---- */

static fvlm_status put(copier *k, const void *bytes, size_t n)
{
    fvlm_skeleton *o = k->out;
    if (n > FVLM_SKELETON_MAX_BYTES - o->n_bytes)
        return fvlm_fail(k->err, FVLM_LIMIT,
                         "\"%s\": the graph without its tensors takes over %zu MB; that is no FastVLM network", k->path,
                         FVLM_SKELETON_MAX_BYTES >> 20);
    if (!fvlm_grow(&o->bytes, &o->capacity, o->n_bytes + n, 1)) return fvlm_fail_nomem(k->err);
    if (n) memcpy(o->bytes + o->n_bytes, bytes, n);
    o->n_bytes += n;
    return FVLM_OK;
}

static fvlm_status put_varint(copier *k, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return put(k, bytes, n);
}

static fvlm_status put_tag(copier *k, uint32_t number, fvlm_wire_type type)
{
    return put_varint(k, (uint64_t)number << 3 | type);
}

/* Copies a text and checks the copy. A name (a string of the schema) is shown in messages: no control characters. */
static fvlm_status put_text(copier *k, const ProtobufCFieldDescriptor *d, const fvlm_wire_field *f)
{
    const bool is_name = d->type == PROTOBUF_C_TYPE_STRING;
    char fault[128] = "";
    if (is_name && f->n_bytes > FVLM_SKELETON_MAX_NAME) {
        snprintf(fault, sizeof fault, "%s has %" PRIu64 " bytes; the limit is %d", d->name, f->n_bytes,
                 FVLM_SKELETON_MAX_NAME);
        return damaged(k, f->bytes, fault);
    }
    fvlm_status st = put_tag(k, f->number, FVLM_WIRE_BYTES);
    if (!st) st = put_varint(k, f->n_bytes);
    if (!st) st = put(k, f->bytes, (size_t)f->n_bytes);
    if (st) return st;
    const uint8_t *s = k->out->bytes + k->out->n_bytes - f->n_bytes;
    const char *what = memchr(s, 0, (size_t)f->n_bytes) ? "holds the character NUL" : NULL;
    for (size_t i = 0, step; is_name && !what && i < f->n_bytes; i += step) {
        int32_t c;
        step = fvlm_utf8_next(s + i, (size_t)f->n_bytes - i, &c);
        if (c < 0)
            what = "is not UTF-8";
        else if (fvlm_utf8_is_control(c))
            what = "holds a control character";
    }
    if (!what) return FVLM_OK;
    snprintf(fault, sizeof fault, "%s %s", d->name, what);
    return damaged(k, f->bytes, fault);
}

/* ---- numbers ---- */

/* How a number of this type is encoded. */
static fvlm_wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return FVLM_WIRE_32;
    case PROTOBUF_C_TYPE_DOUBLE:
        return FVLM_WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return FVLM_WIRE_BYTES;
    default:
        return FVLM_WIRE_VARINT;
    }
}

static fvlm_status put_number(copier *k, const ProtobufCFieldDescriptor *d, uint64_t v, const uint8_t *at)
{
    const fvlm_wire_type type = wire_type_of(d->type);
    const bool fits = d->type == PROTOBUF_C_TYPE_INT64 || type != FVLM_WIRE_VARINT || v <= INT32_MAX ||
                      v >= (uint64_t)INT32_MIN; /* sign-extended */
    if (!fits) {
        char fault[128];
        snprintf(fault, sizeof fault, "%s is %" PRIu64 ", which does not fit into 32 bits", d->name, v);
        return damaged(k, at, fault);
    }
    fvlm_status st = put_tag(k, d->id, type);
    if (st || type == FVLM_WIRE_VARINT) return st ? st : put_varint(k, v);
    uint8_t bytes[8];
    fvlm_store_u64(bytes, v);
    return put(k, bytes, type == FVLM_WIRE_32 ? 4 : 8);
}

/* Numbers of a repeated field without tags between them. */
static fvlm_status put_packed(copier *k, const ProtobufCFieldDescriptor *d, const fvlm_wire_field *f)
{
    fvlm_wire w = {f->bytes, f->bytes + f->n_bytes, NULL};
    fvlm_status st = FVLM_OK;
    while (!st && w.at < w.end) {
        const uint8_t *at = w.at;
        uint64_t v;
        const bool ok =
            wire_type_of(d->type) == FVLM_WIRE_VARINT ? fvlm_wire_varint(&w, &v) : fvlm_wire_fixed(&w, 4, &v);
        st = ok ? put_number(k, d, v, at) : damaged(k, at, w.fault);
    }
    return st;
}

/* ---- fields ---- */

static fvlm_status enter(copier *k, const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t n)
{
    if (k->n_messages++ >= FVLM_SKELETON_MAX_MESSAGES)
        return fvlm_fail(k->err, FVLM_LIMIT,
                         "\"%s\": over %u nodes, tensors, attributes and the like; that is no FastVLM network", k->path,
                         FVLM_SKELETON_MAX_MESSAGES);
    frame *f = &k->stack[k->depth++];
    *f = (frame){.begin = bytes, .left = {bytes, bytes + n, NULL}, .length_at = k->out->n_bytes};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        if (messages[i].type == type) f->rules = &messages[i];
    static const uint8_t length[N_LENGTH];
    return k->depth > 1 ? put(k, length, N_LENGTH) : FVLM_OK;
}

static fvlm_status leave(copier *k)
{
    const frame *f = &k->stack[k->depth - 1];
    fvlm_status st = FVLM_OK;
    if (f->rules->shown == TENSOR) {
        const fvlm_skeleton_range range = {(uint64_t)(f->begin - k->file), (uint64_t)(f->left.end - k->file)};
        st = put_tag(k, 9, FVLM_WIRE_BYTES);
        if (!st) st = put_varint(k, sizeof range);
        if (!st) st = put(k, &range, sizeof range);
    }
    if (st || --k->depth == 0) return st;
    uint8_t *length = k->out->bytes + f->length_at;
    uint64_t n = k->out->n_bytes - f->length_at - N_LENGTH;
    for (size_t i = 0; i < N_LENGTH; i++, n >>= 7) length[i] = (uint8_t)((n & 0x7f) | (i + 1 < N_LENGTH ? 0x80 : 0));
    return FVLM_OK;
}

static fvlm_status refuse(copier *k, const char *text)
{
    fvlm_fail(k->err, FVLM_UNSUPPORTED, "%s", text);
    return name_context(k);
}

/* Does the rule's field occur too often? All members of a oneof (there is one at most in a message) share a bit. */
static bool again(frame *f, const rule *r, const ProtobufCFieldDescriptor *d)
{
    const bool oneof = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    const uint32_t bit = oneof ? 1u << 31 : 1u << (r - f->rules->rules);
    const bool seen = f->seen & bit;
    f->seen |= bit;
    return seen && d->label != PROTOBUF_C_LABEL_REPEATED;
}

static fvlm_status keep(copier *k, const rule *r, const fvlm_wire_field *f, const uint8_t *at)
{
    frame *top = &k->stack[k->depth - 1];
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(top->rules->type, f->number);
    const fvlm_wire_type type = wire_type_of(d->type);
    const bool packed = f->type == FVLM_WIRE_BYTES && type != FVLM_WIRE_BYTES && d->label == PROTOBUF_C_LABEL_REPEATED;
    char fault[128];
    if (f->type != type && !packed) {
        snprintf(fault, sizeof fault, "%s of %s has wire type %u, expected %u", d->name, top->rules->type->short_name,
                 f->type, type);
        return damaged(k, at, fault);
    }
    if (again(top, r, d)) {
        snprintf(fault, sizeof fault, "%s of %s is given twice",
                 d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? "the value" : d->name, top->rules->type->short_name);
        return damaged(k, at, fault);
    }
    if (r->action == DATA) return FVLM_OK;
    if (packed) return put_packed(k, d, f);
    if (type != FVLM_WIRE_BYTES) return put_number(k, d, f->value, at);
    if (d->type != PROTOBUF_C_TYPE_MESSAGE) return put_text(k, d, f);
    const fvlm_status st = put_tag(k, f->number, FVLM_WIRE_BYTES);
    return st ? st : enter(k, d->descriptor, f->bytes, (size_t)f->n_bytes);
}

static fvlm_status take(copier *k, const fvlm_wire_field *f, const uint8_t *at)
{
    const message_rules *m = k->stack[k->depth - 1].rules;
    const rule *r = m->rules, *end = m->rules + m->n_rules;
    while (r < end && r->number != f->number) r++;
    if (r == end) {
        char fault[160];
        snprintf(fault, sizeof fault, "%s has a field %" PRIu32 ", which ONNX up to IR version %d does not have",
                 m->type->short_name, f->number, FVLM_SKELETON_IR_VERSION);
        return damaged(k, at, fault);
    }
    if (r->action == DROP || (r->action == REFUSE_TEXT && f->type == FVLM_WIRE_BYTES && f->n_bytes == 0))
        return FVLM_OK;
    return r->action == KEEP || r->action == DATA ? keep(k, r, f, at) : refuse(k, r->text);
}

fvlm_status fvlm_skeleton_make(fvlm_skeleton *out, const uint8_t *file, size_t n_bytes, const char *path, fvlm_err *err)
{
    fvlm_err ignored;
    copier k = {.out = out, .file = file, .path = path, .err = err ? err : &ignored};
    *out = (fvlm_skeleton){0};
    fvlm_status st = enter(&k, &fvlm_onnx__model_proto__descriptor, file, n_bytes);
    while (!st && k.depth) {
        fvlm_wire *w = &k.stack[k.depth - 1].left;
        const uint8_t *at = w->at;
        fvlm_wire_field field;
        if (fvlm_wire_next(w, &field))
            st = take(&k, &field, at);
        else
            st = w->fault ? damaged(&k, w->at, w->fault) : leave(&k);
    }
    return st;
}
