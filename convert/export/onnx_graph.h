/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_graph.h - private to export/: builds one ONNX model and writes it. Nodes, inputs and outputs are held in memory
 * as they will stand in the file; the elements of initializers are computed while they are written.
 *
 *   fvlm_onnx_graph g = {.name = "decoder", .err = err};
 *   const char *x = fvlm_onnx_input(&g, "inputs_embeds", FVLM_OUT_F32, 3, dims);
 *   x = fvlm_onnx_node(&g, &(fvlm_onnx_call){.op = "Gelu", .name = "/act", .in = {x}});
 *   ...
 *   if (!g.st) st = fvlm_onnx_graph_write(&g, ...);
 *   fvlm_onnx_graph_free(&g);
 *
 * Functions that add something never fail visibly: the first failure stays in g->st and *g->err, and what they return
 * is usable text. Field numbers are those of onnx.proto. */
#ifndef FVLM_CONVERT_EXPORT_ONNX_GRAPH_H
#define FVLM_CONVERT_EXPORT_ONNX_GRAPH_H

#include <jansson.h>

#include "convert/export/onnx_message.h"
#include "format/base/output.h"
#include "format/base/stop.h"
#include "format/tensor.h"

#define FVLM_ONNX_MAX_INPUTS 9
#define FVLM_ONNX_MAX_ATTRS 6
#define FVLM_ONNX_TENSOR_RANK 5
#define FVLM_ONNX_CONTRIB "com.microsoft" /* the domain of operators that only onnxruntime has */

/* TensorProto.DataType: the types that are written. */
typedef enum {
    FVLM_OUT_F32 = 1,
    FVLM_OUT_U8 = 2,
    FVLM_OUT_I8 = 3,
    FVLM_OUT_I32 = 6,
    FVLM_OUT_I64 = 7,
    FVLM_OUT_F16 = 10,
    FVLM_OUT_BF16 = 16,
    FVLM_OUT_U4 = 21,
    FVLM_OUT_I4 = 22
} fvlm_onnx_out_type;

/* A dimension of an input or output: a symbol, or a number. */
typedef struct {
    const char *symbol;
    uint64_t n;
} fvlm_onnx_dim;

/* Attributes: an integer, a list of integers if n > 0, or a float. */
typedef struct {
    const char *name; /* NULL: no attribute */
    int64_t i;
    const int64_t *ints;
    size_t n;
    bool is_float;
    float f;
} fvlm_onnx_attr;

typedef struct {
    const char *op, *domain;              /* domain NULL: ai.onnx */
    const char *name;                     /* copied */
    const char *in[FVLM_ONNX_MAX_INPUTS]; /* up to the last that is not NULL; NULL before it: left out */
    const char *out[3];                   /* NULL: out[0] is NAME_output_0, there are no others */
    fvlm_onnx_attr attr[FVLM_ONNX_MAX_ATTRS];
} fvlm_onnx_call;

/* Computes elements first .. first + n - 1 of an initializer, in the type that it was declared with, little-endian.
 * Of 4-bit types first is even, and two elements share a byte, the first in the low half. False: one is not finite, or
 * too large for the type. */
typedef bool (*fvlm_onnx_fill)(const void *of, uint64_t first, size_t n, uint8_t *out);

typedef struct {
    char *name;
    fvlm_onnx_out_type type;
    unsigned bits, rank; /* bits: of an element */
    uint64_t dims[FVLM_ONNX_TENSOR_RANK];
    uint64_t n_elems, n_bytes;
    fvlm_onnx_fill fill;
    void *of;         /* malloc'd; what fill gets */
    const char *from; /* name of the tensor of the model; NULL: none */
    uint64_t offset;  /* in the file of external data; UINT64_MAX: in the model */
} fvlm_onnx_initializer;

typedef struct {
    const char *name;
    fvlm_err *err;
    fvlm_status st;
    fvlm_message nodes, ports; /* fields of GraphProto: nodes; inputs and outputs */
    fvlm_onnx_initializer *initializers;
    size_t n_initializers, capacity;
    char **texts; /* names that were returned */
    size_t n_texts, texts_capacity;
    bool contrib; /* uses FVLM_ONNX_CONTRIB */
} fvlm_onnx_graph;

/* Text that lives as long as the graph. */
const char *fvlm_onnx_text(fvlm_onnx_graph *g, const char *fmt, ...) FVLM_PRINTF(2, 3);

const char *fvlm_onnx_input(fvlm_onnx_graph *g, const char *name, fvlm_onnx_out_type type, unsigned rank,
                            const fvlm_onnx_dim *dims);
void fvlm_onnx_output(fvlm_onnx_graph *g, const char *name, fvlm_onnx_out_type type, unsigned rank,
                      const fvlm_onnx_dim *dims);

/* Returns the name of its first output. */
const char *fvlm_onnx_node(fvlm_onnx_graph *g, const fvlm_onnx_call *c);

/* An initializer of this name, unless there is one: returns its name. of is copied. */
typedef struct {
    fvlm_onnx_out_type type;
    unsigned rank;
    uint64_t dims[FVLM_ONNX_TENSOR_RANK];
    fvlm_onnx_fill fill;
    const void *of;
    size_t of_bytes;
    const char *from; /* must outlive the graph */
} fvlm_onnx_contents;
const char *fvlm_onnx_initialize(fvlm_onnx_graph *g, const char *name, const fvlm_onnx_contents *c);

/* Small ones. */
const char *fvlm_onnx_ints(fvlm_onnx_graph *g, const char *name, unsigned rank, size_t n, const int64_t *values);
const char *fvlm_onnx_scalar(fvlm_onnx_graph *g, const char *name, float value);
const char *fvlm_onnx_ones(fvlm_onnx_graph *g, const char *name, uint64_t n);

/* ---- writing ---- */

/* A file that is being written, and who watches it. */
typedef struct {
    fvlm_output *file;
    const fvlm_stop *stop;
    void (*wrote)(void *ctx, size_t n_bytes); /* of initializers; may be NULL */
    void *ctx;
} fvlm_onnx_sink;

/* Tensors of more than this many bytes lie in the file of external data. */
#define FVLM_ONNX_INLINE_BYTES ((uint64_t)1 << 20)

/* Decides where each initializer lies; returns the size of the file of external data, 0: none is needed. Call it before
 * the other two, after the last initializer. */
uint64_t fvlm_onnx_graph_place(fvlm_onnx_graph *g);
uint64_t fvlm_onnx_graph_bytes(const fvlm_onnx_graph *g); /* of all initializers */

/* Each writes a whole file, which stays the caller's to publish. data_name: how the model names its external data;
 * properties: an object of strings. */
fvlm_status fvlm_onnx_graph_write_data(const fvlm_onnx_graph *g, const fvlm_onnx_sink *to, fvlm_err *err);
fvlm_status fvlm_onnx_graph_write_model(const fvlm_onnx_graph *g, const char *data_name, const json_t *properties,
                                        const fvlm_onnx_sink *to, uint64_t *n_bytes, fvlm_err *err);

void fvlm_onnx_graph_free(fvlm_onnx_graph *g);

#endif
