/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton.h - private to graph/: checks a serialized ModelProto byte by byte and writes a small copy of it without the
 * tensors' data, for protobuf-c to unpack.
 *
 * The copy holds only fields that graph.h needs; all others are dropped if they are known to be harmless, else refused.
 * A field that is not repeated and occurs twice is refused: parsers would take the last one, merge messages, or fail.
 * Fields that hold messages in messages without end (subgraphs, sequences of sequences) are refused where they begin,
 * so depth is bounded by the schema. */
#ifndef FVLM_CONVERT_GRAPH_SKELETON_H
#define FVLM_CONVERT_GRAPH_SKELETON_H

#include "format/base/base.h"

#define FVLM_SKELETON_MAX_BYTES ((size_t)8 << 20)
#define FVLM_SKELETON_MAX_MESSAGES (1u << 19)
#define FVLM_SKELETON_MAX_NAME 4096
#define FVLM_SKELETON_IR_VERSION 14 /* newest version whose fields are known */

typedef struct {
    uint8_t *bytes;
    size_t n_bytes, capacity;
} fvlm_skeleton;

/* What the raw_data of each TensorProto in the copy holds: where its message is in the file. */
typedef struct {
    uint64_t begin, end;
} fvlm_skeleton_range;

/* file: all n_bytes of it, which may change meanwhile. The caller frees out->bytes, on failure, too. */
fvlm_status fvlm_skeleton_make(fvlm_skeleton *out, const uint8_t *file, size_t n_bytes, const char *path,
                               fvlm_err *err);

#endif
