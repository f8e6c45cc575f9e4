/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_build.h - writes small ONNX files for tests. It writes the wire format itself, so that it can write wrong ones,
 * too; nothing is checked.
 *
 *   onnx_model m = onnx_model_new();                       // IR version 8, ai.onnx 17 and com.microsoft 1
 *   onnx_input(&m, "x", FVLM_ONNX_F32, "batch,3,64,64");
 *   onnx_weight(&m, "w", "8,3,3,3", seed);                 // random floats as raw_data
 *   onnx_node(&m, "Conv", "x,w", "y", "strides=[2,2] pads=[1,1,1,1]");
 *   onnx_node(&m, "com.microsoft:QuickGelu", "y", "z", "alpha=1.702");
 *   onnx_output(&m, "z", FVLM_ONNX_F32, "batch,8,32,32");
 *   onnx_save(&m, path);                                   // frees it
 *
 * Anything else: make a message, add fields by number, and put it into its parent. */
#ifndef FVLM_TESTS_SUPPORT_ONNX_BUILD_H
#define FVLM_TESTS_SUPPORT_ONNX_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "convert/graph/graph.h"

/* ---- messages ---- */

/* A message that grows. {0} is an empty one. Memory: each is put into its parent, which frees it, or freed. */
typedef struct {
    uint8_t *bytes;
    size_t n, capacity;
} onnx_bytes;

void onnx_free(onnx_bytes *m);
void onnx_append(onnx_bytes *m, const void *bytes, size_t n); /* as they are */
void onnx_tag(onnx_bytes *m, uint32_t number, unsigned wire_type);

/* A field with its tag. */
void onnx_int(onnx_bytes *m, uint32_t number, int64_t v);
void onnx_float(onnx_bytes *m, uint32_t number, float v);
void onnx_text(onnx_bytes *m, uint32_t number, const char *s);
void onnx_data(onnx_bytes *m, uint32_t number, const void *bytes, size_t n);
void onnx_ints(onnx_bytes *m, uint32_t number, const int64_t *v, size_t n); /* packed varints */
void onnx_message(onnx_bytes *m, uint32_t number, onnx_bytes *child);       /* frees child */

/* ---- parts of a model ---- */

/* A TensorProto without data; shape as below. Add raw_data (9) or what is to be tested. */
onnx_bytes onnx_tensor_message(const char *name, int32_t type, const char *shape);
void onnx_external(onnx_bytes *tensor, const char *key, const char *value); /* an entry of external_data */

/* op: "Conv", or with a domain "com.microsoft:MatMulNBits". inputs, outputs: names between commas; "x,,w" leaves one
 * out. attrs: "group=1 alpha=0.5 pads=[1,1] scales=[1.0,2.0] mode='linear' perm=[]"; a number with '.' or 'e' is a
 * float. The node's name is "n_" and its first output. */
onnx_bytes onnx_node_message(const char *op, const char *inputs, const char *outputs, const char *attrs);

/* ---- models ---- */

typedef struct {
    onnx_bytes head;  /* fields of ModelProto before the graph */
    onnx_bytes graph; /* GraphProto: nodes 1, initializers 5, inputs 11, outputs 12, value_info 13 */
} onnx_model;

onnx_model onnx_model_new(void);
onnx_model onnx_model_of(int64_t ir_version, int64_t opset);         /* opset 0: no import */
void onnx_opset(onnx_model *m, const char *domain, int64_t version); /* one more import */

/* shape: dimensions between commas, numbers or symbols: "batch,3,64,64"; "" is a scalar; NULL: none is declared. */
void onnx_input(onnx_model *m, const char *name, int32_t type, const char *shape);
void onnx_output(onnx_model *m, const char *name, int32_t type, const char *shape);
void onnx_value_info(onnx_model *m, const char *name, int32_t type, const char *shape);
void onnx_node(onnx_model *m, const char *op, const char *inputs, const char *outputs, const char *attrs);

/* Initializers, as raw_data. */
void onnx_tensor(onnx_model *m, const char *name, int32_t type, const char *shape, const void *bytes, size_t n);
void onnx_floats(onnx_model *m, const char *name, const char *shape, const float *v);
void onnx_int64s(onnx_model *m, const char *name, const char *shape, const int64_t *v);
void onnx_weight(onnx_model *m, const char *name, const char *shape, uint64_t seed); /* f32 in [-1, 1) */
/* An initializer whose data is in a file. length may be NULL. */
void onnx_outside(onnx_model *m, const char *name, int32_t type, const char *shape, const char *location,
                  const char *offset, const char *length);
/* A Constant node. */
void onnx_constant(onnx_model *m, const char *output, onnx_bytes *tensor);

onnx_bytes onnx_finish(onnx_model *m); /* the file's bytes; frees m */
void onnx_save(onnx_model *m, const char *path);

uint64_t onnx_count(const char *shape); /* elements of a shape of numbers */

#endif
