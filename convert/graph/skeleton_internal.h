/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton_internal.h - private to skeleton*.c: the rules for each field, and the state of a copy. */
#ifndef FVLM_CONVERT_GRAPH_SKELETON_INTERNAL_H
#define FVLM_CONVERT_GRAPH_SKELETON_INTERNAL_H

#include <onnx.pb-c.h>

#include "convert/graph/skeleton.h"
#include "convert/source/wire.h"

typedef enum {
    FVLM_RULE_KEEP,        /* copied; messages are entered */
    FVLM_RULE_DATA,        /* of a tensor: left in the file */
    FVLM_RULE_DROP,        /* changes nothing that is computed */
    FVLM_RULE_REFUSE,      /* text says what it is */
    FVLM_RULE_REFUSE_TEXT, /* the same, unless it is an empty text */
} fvlm_skeleton_action;

typedef struct {
    uint32_t number;
    fvlm_skeleton_action action;
    const char *text;
} fvlm_skeleton_rule;

typedef enum {
    FVLM_SHOWN_OTHER,
    FVLM_SHOWN_NODE,
    FVLM_SHOWN_ATTRIBUTE,
    FVLM_SHOWN_TENSOR,
    FVLM_SHOWN_VALUE
} fvlm_skeleton_shown;

typedef struct {
    const ProtobufCMessageDescriptor *type;
    const fvlm_skeleton_rule *rules;
    size_t n_rules;
    fvlm_skeleton_shown shown; /* in messages */
} fvlm_skeleton_rules;

/* The rules of a message; NULL for those that no rule enters. */
const fvlm_skeleton_rules *fvlm_skeleton_rules_of(const ProtobufCMessageDescriptor *type);

#define FVLM_SKELETON_MAX_DEPTH 8 /* model, graph, value, type, tensor type, shape, dimension are 7 */

/* A message that is being read. */
typedef struct {
    const fvlm_skeleton_rules *rules;
    const uint8_t *begin;
    fvlm_wire left;
    uint32_t seen;    /* a bit for each rule whose field has occurred */
    size_t length_at; /* in the copy: where its length goes */
} fvlm_skeleton_frame;

typedef struct {
    fvlm_skeleton *out;
    const uint8_t *file;
    const char *path;
    fvlm_skeleton_frame stack[FVLM_SKELETON_MAX_DEPTH];
    size_t depth, n_messages;
    fvlm_err *err;
} fvlm_skeleton_copier;

/* Puts the path and the names of what encloses the fault in front of the message in *err; returns its status. */
fvlm_status fvlm_skeleton_name_context(fvlm_skeleton_copier *k);

/* Refuses the file for a fault at a byte. What is outside the graph may be any file. */
fvlm_status fvlm_skeleton_damaged(fvlm_skeleton_copier *k, const uint8_t *at, const char *what);

#endif
