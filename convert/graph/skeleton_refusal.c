/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton_refusal.c - says where in a damaged file a fault is: the byte, and the names of what encloses it. */
#include <inttypes.h>

#include "convert/graph/skeleton_internal.h"

#define GRAPH_SEEN (1u << 6) /* the seventh rule of ModelProto */

/* A name in a message that may be damaged: unprintable bytes become '?'. "" if it has none. */
static void peek_name(const fvlm_skeleton_frame *f, uint32_t number, char out[128])
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

fvlm_status fvlm_skeleton_name_context(fvlm_skeleton_copier *k)
{
    char name[128], op[128];
    for (size_t i = k->depth; i-- > 0;) {
        const fvlm_skeleton_frame *f = &k->stack[i];
        switch (f->rules->shown) {
        case FVLM_SHOWN_NODE:
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
        case FVLM_SHOWN_ATTRIBUTE:
            peek_name(f, 1, name);
            fvlm_err_prefix(k->err, "attribute \"%s\"", name);
            break;
        case FVLM_SHOWN_TENSOR:
            peek_name(f, 8, name);
            if (name[0] || f[-1].rules->shown != FVLM_SHOWN_ATTRIBUTE) fvlm_err_prefix(k->err, "tensor \"%s\"", name);
            break;
        case FVLM_SHOWN_VALUE:
            peek_name(f, 1, name);
            fvlm_err_prefix(k->err, "value \"%s\"", name);
            break;
        case FVLM_SHOWN_OTHER:
            break;
        }
    }
    return fvlm_err_prefix(k->err, "\"%s\"", k->path);
}

/* A model with a sound beginning whose graph extends beyond the end of the file: an unfinished download. */
static bool is_cut_short(fvlm_skeleton_copier *k, const uint8_t *at)
{
    const fvlm_skeleton_frame *f = &k->stack[0];
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

fvlm_status fvlm_skeleton_damaged(fvlm_skeleton_copier *k, const uint8_t *at, const char *what)
{
    const uint64_t offset = (uint64_t)(at - k->file);
    if (k->depth == 1 && is_cut_short(k, at)) return FVLM_BAD_INPUT;
    if (k->depth == 1 && k->stack[0].seen & GRAPH_SEEN)
        return fvlm_refuse(k->err, offset,
                           "\"%s\": what follows its graph, from byte %" PRIu64
                           " on, is not ONNX (%s); get the file again",
                           k->path, offset, what);
    if (k->depth == 1)
        return fvlm_refuse(k->err, offset, "\"%s\" is cut short, or not an ONNX model (byte %" PRIu64 ": %s)", k->path,
                           offset, what);
    fvlm_refuse(k->err, offset, "byte %" PRIu64 ": %s", offset, what);
    return fvlm_skeleton_name_context(k);
}
