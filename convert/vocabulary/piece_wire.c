/* SPDX-License-Identifier: Apache-2.0 */
/* piece_wire.c - see piece_model.h. Parsers differ in what they make of a field that occurs twice, or has another type
 * than the schema says; here both are refused. Messages lie two deep. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/source/wire.h"
#include "convert/vocabulary/piece_model.h"
#include "format/base/utf8.h"
#include "format/config.h"

#define MAX_UNKNOWN_FIELDS 65536 /* they cost memory when they are unpacked */
#define FIRST_EXTENSION 200

typedef struct {
    const uint8_t *file;
    size_t n_pieces, n_unknown;
    fvlm_err *err;
} checking;

static fvlm_status refuse(const checking *c, const uint8_t *at, const char *what)
{
    const uint64_t offset = (uint64_t)(at - c->file);
    return fvlm_refuse(c->err, offset, "byte %" PRIu64 ": %s", offset, what);
}

static unsigned wire_type_of(ProtobufCType type)
{
    const bool bytes =
        type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE;
    return bytes ? FVLM_WIRE_BYTES : type == PROTOBUF_C_TYPE_FLOAT ? FVLM_WIRE_32 : FVLM_WIRE_VARINT;
}

static fvlm_status check_text(const checking *c, const ProtobufCFieldDescriptor *d, const fvlm_wire_field *f)
{
    char what[96] = "";
    if (memchr(f->bytes, 0, (size_t)f->n_bytes)) snprintf(what, sizeof what, "\"%s\" holds the character NUL", d->name);
    for (uint64_t i = 0, step; !*what && i < f->n_bytes; i += step) {
        int32_t code;
        step = fvlm_utf8_next(f->bytes + i, (size_t)(f->n_bytes - i), &code);
        if (code < 0) snprintf(what, sizeof what, "\"%s\" is not UTF-8", d->name);
    }
    return *what ? refuse(c, f->bytes, what) : FVLM_OK;
}

/* A field that the schema has not. Those of the trainer only say how the model was made. */
static fvlm_status check_unknown(checking *c, const ProtobufCMessageDescriptor *m, const fvlm_wire_field *f,
                                 const uint8_t *at)
{
    const bool root = m == &fvlm_sentencepiece__model__descriptor;
    const bool rules = m == &fvlm_sentencepiece__normalizer_spec__descriptor;
    const bool harmless = m == &fvlm_sentencepiece__trainer_spec__descriptor || (root && f->number == 4) ||
                          (rules && f->number == 6); /* self_test_data; normalization_rule_tsv, a path */
    char what[128];
    if (!harmless && f->number < FIRST_EXTENSION) {
        snprintf(what, sizeof what, "%s has a field %" PRIu32 ", which sentencepiece_model.proto does not have",
                 m->short_name, f->number);
        return refuse(c, at, what);
    }
    if (++c->n_unknown <= MAX_UNKNOWN_FIELDS) return FVLM_OK;
    return fvlm_fail(c->err, FVLM_LIMIT, "over %d fields that do not matter", MAX_UNKNOWN_FIELDS);
}

/* One field against its description; seen has a bit for each description. */
static fvlm_status check_field(checking *c, const ProtobufCMessageDescriptor *m, const fvlm_wire_field *f,
                               const uint8_t *at, uint32_t *seen)
{
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(m, f->number);
    char what[128];
    if (!d) return check_unknown(c, m, f, at);
    const uint32_t bit = 1u << (d - m->fields);
    if (f->type != wire_type_of(d->type)) {
        snprintf(what, sizeof what, "\"%s\" of %s has wire type %u, expected %u", d->name, m->short_name, f->type,
                 wire_type_of(d->type));
        return refuse(c, at, what);
    }
    if (*seen & bit && d->label != PROTOBUF_C_LABEL_REPEATED) {
        snprintf(what, sizeof what, "\"%s\" of %s is given twice", d->name, m->short_name);
        return refuse(c, at, what);
    }
    *seen |= bit;
    if (f->type == FVLM_WIRE_VARINT && f->value > INT32_MAX) {
        snprintf(what, sizeof what, "\"%s\" is %" PRIu64 ", which is too large", d->name, f->value);
        return refuse(c, at, what);
    }
    return d->type == PROTOBUF_C_TYPE_STRING ? check_text(c, d, f) : FVLM_OK;
}

/* A message whose fields hold no messages. */
static fvlm_status check_leaf(checking *c, const ProtobufCMessageDescriptor *m, const fvlm_wire_field *message)
{
    fvlm_wire w = {message->bytes, message->bytes + message->n_bytes, NULL};
    fvlm_wire_field f;
    uint32_t seen = 0;
    fvlm_status st = FVLM_OK;
    const uint8_t *at = w.at;
    for (; !st && fvlm_wire_next(&w, &f); at = w.at) st = check_field(c, m, &f, at, &seen);
    return st || !w.fault ? st : refuse(c, w.at, w.fault);
}

fvlm_status fvlm_piece_wire_check(const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    const ProtobufCMessageDescriptor *m = &fvlm_sentencepiece__model__descriptor;
    checking c = {.file = bytes, .err = err};
    fvlm_wire w = {bytes, bytes + n_bytes, NULL};
    fvlm_wire_field f;
    uint32_t seen = 0;
    fvlm_status st = FVLM_OK;
    const uint8_t *at = bytes;
    for (; !st && fvlm_wire_next(&w, &f); at = w.at) {
        const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(m, f.number);
        st = check_field(&c, m, &f, at, &seen);
        if (!st && f.number == 1 && ++c.n_pieces > FVLM_MAX_TOKENS)
            st = fvlm_fail(err, FVLM_LIMIT, "more than %u pieces", FVLM_MAX_TOKENS);
        if (!st && d) st = check_leaf(&c, d->descriptor, &f);
    }
    return st || !w.fault ? st : refuse(&c, w.at, w.fault);
}
