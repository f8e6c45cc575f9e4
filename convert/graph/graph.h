/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - an ONNX file as it stands: nodes, values, and tensors whose bytes stay in their files.
 *
 *   fvlm_graph *g;
 *   if (fvlm_graph_open(&g, "vision_encoder.onnx", &err)) return complain(&err);
 *   for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) visit(fvlm_graph_node_at(g, i));
 *   fvlm_graph_close(&g);
 *
 * Nothing is interpreted here: operators may be unknown, shapes may be symbols. What is checked: the encoding, bounds
 * of depth, counts and sizes, that each value has one origin and is defined before it is used, and that each tensor has
 * as many bytes as its type and shape need. Files are mapped and never copied whole (mapped.h says what happens if one
 * is cut short meanwhile). Format: https://onnx.ai/onnx/repo-docs/IR.html and onnx.proto. */
#ifndef FVLM_CONVERT_GRAPH_GRAPH_H
#define FVLM_CONVERT_GRAPH_GRAPH_H

#include "format/base/hash.h"
#include "format/base/stop.h"

#define FVLM_GRAPH_MAX_RANK 8
#define FVLM_GRAPH_NONE UINT32_MAX /* an input that is left out; no node */

/* TensorProto.DataType. Values may be declared with other numbers. */
typedef enum {
    FVLM_ONNX_F32 = 1,
    FVLM_ONNX_U8 = 2,
    FVLM_ONNX_I8 = 3,
    FVLM_ONNX_U16 = 4,
    FVLM_ONNX_I16 = 5,
    FVLM_ONNX_I32 = 6,
    FVLM_ONNX_I64 = 7,
    FVLM_ONNX_STRING = 8,
    FVLM_ONNX_BOOL = 9,
    FVLM_ONNX_F16 = 10,
    FVLM_ONNX_F64 = 11,
    FVLM_ONNX_U32 = 12,
    FVLM_ONNX_U64 = 13,
    FVLM_ONNX_BF16 = 16,
    FVLM_ONNX_U4 = 21,
    FVLM_ONNX_I4 = 22
} fvlm_onnx_type;

const char *fvlm_onnx_type_name(int32_t type); /* "FLOAT16", as onnx.proto has it; "type 99" is "type unknown" */
unsigned fvlm_onnx_type_bits(int32_t type);    /* of an element; 0 for strings and unknown types */
/* The least and most integer of a type that floats are quantized to: at most 16 bits. False for other types, with
 * *least and *most as they were. */
bool fvlm_onnx_type_limits(int32_t type, double *least, double *most);

/* An initializer, the value of a Constant node, or a tensor attribute. */
typedef struct {
    const char *name; /* "" if it has none */
    int32_t type;     /* fvlm_onnx_type; never a string */
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK]; /* may be 0 */
    uint64_t n_elems;
    const uint8_t *bytes; /* little-endian, row-major, perhaps unaligned; 4-bit types: the first element in the low
                             nibble; BOOL: 0 is false, all else true */
    uint64_t n_bytes;
    uint32_t file; /* where the bytes are, for provenance; bytes decoded from typed fields count to file 0 */
} fvlm_graph_tensor;

typedef enum {
    FVLM_ATTR_FLOAT = 1,
    FVLM_ATTR_INT = 2,
    FVLM_ATTR_STRING = 3,
    FVLM_ATTR_TENSOR = 4,
    FVLM_ATTR_FLOATS = 6,
    FVLM_ATTR_INTS = 7,
    FVLM_ATTR_STRINGS = 8
} fvlm_graph_attr_kind; /* AttributeProto.AttributeType; nodes with other kinds are refused by name */

typedef struct {
    const char *name;
    fvlm_graph_attr_kind kind;
    float f;
    int64_t i;
    const char *s; /* STRING; with a NUL behind it, and none inside */
    const fvlm_graph_tensor *tensor;
    size_t n; /* of the list */
    const float *floats;
    const int64_t *ints;
    const char *const *strings;
} fvlm_graph_attr;

typedef struct {
    const char *name;   /* "" if it has none */
    const char *op;     /* "Conv" */
    const char *domain; /* "" is ai.onnx; "com.microsoft" */
    size_t n_inputs, n_outputs, n_attrs;
    const uint32_t *inputs, *outputs; /* values; FVLM_GRAPH_NONE where one is left out */
    const fvlm_graph_attr *attrs;
} fvlm_graph_node;

typedef struct {
    const char *name;
    const fvlm_graph_tensor *tensor; /* of an initializer or a Constant node; NULL for everything else */
    uint32_t node;                   /* that computes it; FVLM_GRAPH_NONE for inputs and initializers */
    bool is_input, is_output;        /* of the whole graph; an initializer that is also listed as an input is not one */
    int32_t type;                    /* as declared; 0 if it is not */
    bool has_shape;                  /* declared */
    unsigned rank;
    int64_t dims[FVLM_GRAPH_MAX_RANK];        /* -1: a symbol, or unknown */
    const char *symbols[FVLM_GRAPH_MAX_RANK]; /* the symbol's name; NULL if there is none */
} fvlm_graph_value;

typedef struct fvlm_graph fvlm_graph;

/* Opens a model and the files of external data that it names, which must lie in its folder or below it, without
 * symlinks on the way, except those of Hugging Face's cache. Refuses by name: files that are not ONNX, damaged ones,
 * sparse initializers, subgraphs (If, Loop, Scan), local functions, cycles. On failure *out is NULL. Strings and arrays
 * below live as long as the graph. */
fvlm_status fvlm_graph_open(fvlm_graph **out, const char *path, fvlm_err *err);
void fvlm_graph_close(fvlm_graph **g); /* NULL is fine */

const char *fvlm_graph_path(const fvlm_graph *g);
const char *fvlm_graph_producer(const fvlm_graph *g);              /* "pytorch 2.6.0"; "" if it is not given */
int64_t fvlm_graph_opset(const fvlm_graph *g, const char *domain); /* version; 0 if the model does not import it */

size_t fvlm_graph_n_nodes(const fvlm_graph *g); /* in an order in which they can run; Constant nodes are left out */
const fvlm_graph_node *fvlm_graph_node_at(const fvlm_graph *g, size_t i);
size_t fvlm_graph_n_values(const fvlm_graph *g);
const fvlm_graph_value *fvlm_graph_value_at(const fvlm_graph *g, uint32_t id);
size_t fvlm_graph_n_inputs(const fvlm_graph *g); /* without those that are initializers */
uint32_t fvlm_graph_input_at(const fvlm_graph *g, size_t i);
size_t fvlm_graph_n_outputs(const fvlm_graph *g);
uint32_t fvlm_graph_output_at(const fvlm_graph *g, size_t i);

const fvlm_graph_attr *fvlm_graph_attr_find(const fvlm_graph_node *n, const char *name); /* NULL if absent */
/* The attribute, or 'absent' if it is not there. An attribute of another kind is refused, with the node's name. */
fvlm_status fvlm_graph_attr_int(int64_t *out, const fvlm_graph_node *n, const char *name, int64_t absent,
                                fvlm_err *err);
fvlm_status fvlm_graph_attr_float(float *out, const fvlm_graph_node *n, const char *name, float absent, fvlm_err *err);
/* *out is borrowed; *n_out is 0 if it is absent. */
fvlm_status fvlm_graph_attr_ints(const int64_t **out, size_t *n_out, const fvlm_graph_node *n, const char *name,
                                 fvlm_err *err);

/* "node "/stages.0/Conv" (Conv)", or without a name: "the node (Conv) that computes "..."", for messages. */
const char *fvlm_graph_node_text(const fvlm_graph *g, const fvlm_graph_node *n, char out[192]);

/* The model's file, then those of external data. */
typedef struct {
    const char *path;
    uint64_t n_bytes;
} fvlm_graph_file;
size_t fvlm_graph_n_files(const fvlm_graph *g);
fvlm_graph_file fvlm_graph_file_at(const fvlm_graph *g, size_t i);
fvlm_status fvlm_graph_hash(fvlm_hash *out, const fvlm_graph *g, size_t file, const fvlm_stop *stop, fvlm_err *err);

/* Call it after the last use of any bytes; see fvlm_stamp_check_unchanged. */
fvlm_status fvlm_graph_check_unchanged(const fvlm_graph *g, fvlm_status st, fvlm_err *err);

#endif
