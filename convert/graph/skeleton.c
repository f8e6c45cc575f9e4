/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton.c - see skeleton.h. Nothing is recursive: the messages that enclose the current one are on a short stack. */
#include "convert/graph/skeleton.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/graph/skeleton_internal.h"
#include "format/base/grow.h"
#include "format/base/utf8.h"

#define N_LENGTH 4 /* bytes of a length in the copy, a varint that may have zeros at its end */

/* ---- the copy ---- */

static fvlm_status put(fvlm_skeleton_copier *k, const void *bytes, size_t n)
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

static fvlm_status put_varint(fvlm_skeleton_copier *k, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return put(k, bytes, n);
}

static fvlm_status put_tag(fvlm_skeleton_copier *k, uint32_t number, fvlm_wire_type type)
{
    return put_varint(k, (uint64_t)number << 3 | type);
}

/* Copies a text and checks the copy. A name (a string of the schema) is shown in messages: no control characters. */
static fvlm_status put_text(fvlm_skeleton_copier *k, const ProtobufCFieldDescriptor *d, const fvlm_wire_field *f)
{
    const bool is_name = d->type == PROTOBUF_C_TYPE_STRING;
    char fault[128] = "";
    if (is_name && f->n_bytes > FVLM_SKELETON_MAX_NAME) {
        snprintf(fault, sizeof fault, "%s has %" PRIu64 " bytes; the limit is %d", d->name, f->n_bytes,
                 FVLM_SKELETON_MAX_NAME);
        return fvlm_skeleton_damaged(k, f->bytes, fault);
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
    return fvlm_skeleton_damaged(k, f->bytes, fault);
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

static fvlm_status put_number(fvlm_skeleton_copier *k, const ProtobufCFieldDescriptor *d, uint64_t v, const uint8_t *at)
{
    const fvlm_wire_type type = wire_type_of(d->type);
    const bool fits = d->type == PROTOBUF_C_TYPE_INT64 || type != FVLM_WIRE_VARINT || v <= INT32_MAX ||
                      v >= (uint64_t)INT32_MIN; /* sign-extended */
    if (!fits) {
        char fault[128];
        snprintf(fault, sizeof fault, "%s is %" PRIu64 ", which does not fit into 32 bits", d->name, v);
        return fvlm_skeleton_damaged(k, at, fault);
    }
    fvlm_status st = put_tag(k, d->id, type);
    if (st || type == FVLM_WIRE_VARINT) return st ? st : put_varint(k, v);
    uint8_t bytes[8];
    fvlm_store_u64(bytes, v);
    return put(k, bytes, type == FVLM_WIRE_32 ? 4 : 8);
}

/* Numbers of a repeated field without tags between them. */
static fvlm_status put_packed(fvlm_skeleton_copier *k, const ProtobufCFieldDescriptor *d, const fvlm_wire_field *f)
{
    fvlm_wire w = {f->bytes, f->bytes + f->n_bytes, NULL};
    fvlm_status st = FVLM_OK;
    while (!st && w.at < w.end) {
        const uint8_t *at = w.at;
        uint64_t v;
        const bool ok =
            wire_type_of(d->type) == FVLM_WIRE_VARINT ? fvlm_wire_varint(&w, &v) : fvlm_wire_fixed(&w, 4, &v);
        st = ok ? put_number(k, d, v, at) : fvlm_skeleton_damaged(k, at, w.fault);
    }
    return st;
}

/* ---- fields ---- */

static fvlm_status enter(fvlm_skeleton_copier *k, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                         size_t n)
{
    if (k->n_messages++ >= FVLM_SKELETON_MAX_MESSAGES)
        return fvlm_fail(k->err, FVLM_LIMIT,
                         "\"%s\": over %u nodes, tensors, attributes and the like; that is no FastVLM network", k->path,
                         FVLM_SKELETON_MAX_MESSAGES);
    fvlm_skeleton_frame *f = &k->stack[k->depth++];
    *f = (fvlm_skeleton_frame){.begin = bytes,
                               .left = {bytes, bytes + n, NULL},
                               .rules = fvlm_skeleton_rules_of(type),
                               .length_at = k->out->n_bytes};
    static const uint8_t length[N_LENGTH];
    return k->depth > 1 ? put(k, length, N_LENGTH) : FVLM_OK;
}

static fvlm_status leave(fvlm_skeleton_copier *k)
{
    const fvlm_skeleton_frame *f = &k->stack[k->depth - 1];
    fvlm_status st = FVLM_OK;
    if (f->rules->shown == FVLM_SHOWN_TENSOR) {
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

static fvlm_status refuse(fvlm_skeleton_copier *k, const char *text)
{
    fvlm_fail(k->err, FVLM_UNSUPPORTED, "%s", text);
    return fvlm_skeleton_name_context(k);
}

/* Does the rule's field occur too often? All members of a oneof (there is one at most in a message) share a bit. */
static bool again(fvlm_skeleton_frame *f, const fvlm_skeleton_rule *r, const ProtobufCFieldDescriptor *d)
{
    const bool oneof = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    const uint32_t bit = oneof ? 1u << 31 : 1u << (r - f->rules->rules);
    const bool seen = f->seen & bit;
    f->seen |= bit;
    return seen && d->label != PROTOBUF_C_LABEL_REPEATED;
}

static fvlm_status keep(fvlm_skeleton_copier *k, const fvlm_skeleton_rule *r, const fvlm_wire_field *f,
                        const uint8_t *at)
{
    fvlm_skeleton_frame *top = &k->stack[k->depth - 1];
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(top->rules->type, f->number);
    const fvlm_wire_type type = wire_type_of(d->type);
    const bool packed = f->type == FVLM_WIRE_BYTES && type != FVLM_WIRE_BYTES && d->label == PROTOBUF_C_LABEL_REPEATED;
    char fault[128];
    if (f->type != type && !packed) {
        snprintf(fault, sizeof fault, "%s of %s has wire type %u, expected %u", d->name, top->rules->type->short_name,
                 f->type, type);
        return fvlm_skeleton_damaged(k, at, fault);
    }
    if (again(top, r, d)) {
        snprintf(fault, sizeof fault, "%s of %s is given twice",
                 d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? "the value" : d->name, top->rules->type->short_name);
        return fvlm_skeleton_damaged(k, at, fault);
    }
    if (r->action == FVLM_RULE_DATA) return FVLM_OK;
    if (packed) return put_packed(k, d, f);
    if (type != FVLM_WIRE_BYTES) return put_number(k, d, f->value, at);
    if (d->type != PROTOBUF_C_TYPE_MESSAGE) return put_text(k, d, f);
    const fvlm_status st = put_tag(k, f->number, FVLM_WIRE_BYTES);
    return st ? st : enter(k, d->descriptor, f->bytes, (size_t)f->n_bytes);
}

static fvlm_status take(fvlm_skeleton_copier *k, const fvlm_wire_field *f, const uint8_t *at)
{
    const fvlm_skeleton_rules *m = k->stack[k->depth - 1].rules;
    const fvlm_skeleton_rule *r = m->rules, *end = m->rules + m->n_rules;
    while (r < end && r->number != f->number) r++;
    if (r == end) {
        char fault[160];
        snprintf(fault, sizeof fault, "%s has a field %" PRIu32 ", which ONNX up to IR version %d does not have",
                 m->type->short_name, f->number, FVLM_SKELETON_IR_VERSION);
        return fvlm_skeleton_damaged(k, at, fault);
    }
    if (r->action == FVLM_RULE_DROP ||
        (r->action == FVLM_RULE_REFUSE_TEXT && f->type == FVLM_WIRE_BYTES && f->n_bytes == 0))
        return FVLM_OK;
    return r->action == FVLM_RULE_KEEP || r->action == FVLM_RULE_DATA ? keep(k, r, f, at) : refuse(k, r->text);
}

fvlm_status fvlm_skeleton_make(fvlm_skeleton *out, const uint8_t *file, size_t n_bytes, const char *path, fvlm_err *err)
{
    fvlm_err ignored;
    fvlm_skeleton_copier k = {.out = out, .file = file, .path = path, .err = err ? err : &ignored};
    *out = (fvlm_skeleton){0};
    fvlm_status st = enter(&k, &fvlm_onnx__model_proto__descriptor, file, n_bytes);
    while (!st && k.depth) {
        fvlm_wire *w = &k.stack[k.depth - 1].left;
        const uint8_t *at = w->at;
        fvlm_wire_field field;
        if (fvlm_wire_next(w, &field))
            st = take(&k, &field, at);
        else
            st = w->fault ? fvlm_skeleton_damaged(&k, w->at, w->fault) : leave(&k);
    }
    return st;
}
