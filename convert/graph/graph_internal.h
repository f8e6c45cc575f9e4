/* SPDX-License-Identifier: Apache-2.0 */
/* graph_internal.h - the inside of a graph; private to graph.c and its parts. */
#ifndef FVLM_CONVERT_GRAPH_GRAPH_INTERNAL_H
#define FVLM_CONVERT_GRAPH_GRAPH_INTERNAL_H

#include <onnx.pb-c.h>

#include "convert/graph/graph_arena.h"
#include "convert/graph/graph.h"
#include "format/base/file.h"

#define FVLM_GRAPH_MAX_FILES 1024
#define FVLM_GRAPH_MAX_ATTRIBUTES 256 /* of a node */

typedef struct {
    char *location; /* as tensors name it; NULL for the model itself */
    char *path;     /* for messages */
    int fd;
    fvlm_stamp stamp;
    const uint8_t *map; /* stamp.n_bytes of it; NULL if the file is empty */
} fvlm_graph_open_file;

typedef struct {
    const char *domain;
    int64_t version;
} fvlm_graph_opset_row;

struct fvlm_graph {
    fvlm_graph_open_file *files; /* FVLM_GRAPH_MAX_FILES */
    size_t n_files;
    int folder;             /* that holds the model; -1 until external data is wanted */
    fvlm_graph_arena arena; /* everything below but 'decoded' */
    void **decoded;         /* bytes of typed fields, malloc'd */
    size_t n_decoded, decoded_capacity;
    uint64_t decoded_bytes;
    const char *producer;
    const fvlm_graph_opset_row *opsets;
    size_t n_opsets;
    fvlm_graph_node *nodes;
    size_t n_nodes;
    fvlm_graph_value *values;
    size_t n_values;
    uint32_t *slots; /* hash table of the values' names: id + 1, or 0 */
    size_t slot_mask;
    uint64_t seed;
    uint32_t *inputs, *outputs;
    size_t n_inputs, n_outputs;
};

/* Maps an open file and appends it to g->files. Takes fd and location (malloc'd or NULL), on failure, too. */
fvlm_status fvlm_graph_add_file(fvlm_graph *g, int fd, const fvlm_stamp *stamp, char *location, const char *path,
                                fvlm_err *err);

/* The file that external data is in: its index. The location comes from the model, and is not to be trusted. */
fvlm_status fvlm_graph_find_external(uint32_t *file, fvlm_graph *g, const char *location, fvlm_err *err);

/* Fills *out from t, whose data is in the model's file or in one of external data. Messages begin with what the tensor
 * is called, not with the path. */
fvlm_status fvlm_graph_read_tensor(fvlm_graph_tensor *out, fvlm_graph *g, const FvlmOnnx__TensorProto *t,
                                   fvlm_err *err);

/* Fills in file and bytes of a tensor with external data, whose type and shape are there; text names them. Of the keys
 * that the format has, the checksum, a SHA-1 of the whole file, is not verified. */
fvlm_status fvlm_graph_read_external(fvlm_graph_tensor *out, fvlm_graph *g, const FvlmOnnx__TensorProto *t,
                                     const char *text, fvlm_err *err);

/* Why the arena gave no memory. */
fvlm_status fvlm_graph_fail_memory(const fvlm_graph *g, fvlm_err *err);

/* Zeroed memory of the graph; NULL on failure, with *err set. */
void *fvlm_graph_take(fvlm_graph *g, size_t n, size_t size, fvlm_err *err);

/* Nodes (all but Constant), values, inputs and outputs from the unpacked model. Messages begin without the path. */
fvlm_status fvlm_graph_build(fvlm_graph *g, const FvlmOnnx__ModelProto *m, fvlm_err *err);

/* The values' names. make_names comes first, and allocates g->values with capacity for every name in the model. */
fvlm_status fvlm_graph_make_names(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err);
/* The value of this name; FVLM_GRAPH_NONE if there is none. */
uint32_t fvlm_graph_find_name(const fvlm_graph *g, const char *name);
/* The value of this name; a new one if there is none. */
uint32_t fvlm_graph_intern_name(fvlm_graph *g, const char *name);

/* A node's attributes. Messages begin with the attribute's name. */
fvlm_status fvlm_graph_read_attributes(fvlm_graph_node *out, fvlm_graph *g, const FvlmOnnx__NodeProto *n,
                                       fvlm_err *err);

/* The value of a Constant node. */
fvlm_status fvlm_graph_read_constant(fvlm_graph_tensor *out, fvlm_graph *g, const fvlm_graph_node *n, fvlm_err *err);

/* Brings the nodes into an order in which they can run: that of the file, if it is one. Refuses cycles. */
fvlm_status fvlm_graph_sort(fvlm_graph *g, fvlm_err *err);

#endif
