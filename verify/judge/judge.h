/* SPDX-License-Identifier: Apache-2.0 */
/* judge.h - runs an ONNX graph operator by operator, as the ONNX and onnxruntime documents define each of them. It is a
 * second opinion on models that fvlm converts: it shares no code with the executor, nor with the importer beyond the
 * parsed graph.
 *
 *   fvlm_judge *j;
 *   fvlm_status st = fvlm_judge_create(&j, graph, &(fvlm_judge_options){.pool = pool}, &err);
 *   if (!st) st = fvlm_judge_set_input(j, "pixel_values", &pixels, &err);
 *   if (!st) st = fvlm_judge_run(j, &(fvlm_judge_observer){.value = compare, .ctx = &mine}, &err);
 *   if (!st) st = fvlm_judge_get_output(j, "image_features", &features, &err);
 *   fvlm_judge_destroy(&j);
 *
 * Numbers. FLOAT is computed in f32: products add up in f32 within blocks of at most 256, other sums and transcendental
 * functions in f64, rounded once. FLOAT16 and BFLOAT16 are f32 in memory and rounded only where a Cast to the type
 * demands it, where the graph takes an input of it, and in the graph's outputs: what onnxruntime does on CPUs, less its
 * internal roundings. DOUBLE is computed in f64, integers exactly, with wrap-around. Results do not depend on the
 * number of threads.
 *
 * Memory. A value is freed after its last use. Weights stay in the mapped file; those that are not FLOAT are converted
 * while their node runs. One thread at a time per judge. */
#ifndef FVLM_VERIFY_JUDGE_JUDGE_H
#define FVLM_VERIFY_JUDGE_JUDGE_H

#include "convert/graph/graph.h"
#include "format/base/pool.h"

typedef struct fvlm_judge fvlm_judge;

/* A value in memory, row-major. data: float for FLOAT, FLOAT16 and BFLOAT16, int8_t for INT4, uint8_t for UINT4 and
 * BOOL (0 or 1), else the type's own; aligned for it. */
typedef struct {
    int32_t type; /* fvlm_onnx_type */
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint64_t n_elems;
    const void *data;
} fvlm_judge_tensor;

typedef struct {
    fvlm_pool *pool; /* borrowed; NULL: one thread */
    const fvlm_stop *stop;
    uint64_t max_bytes; /* of all values that live at once; 0: no limit but the machine's memory */
    uint64_t max_work;  /* of one node, about its multiplications; 0: no limit. For graphs that nobody trusts */
} fvlm_judge_options;

typedef struct {
    /* Called for every value right after its node has run. t lives until it returns; a failure ends the run. */
    fvlm_status (*value)(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err);
    void (*progress)(void *ctx, size_t nodes_done, size_t n_nodes); /* may be NULL */
    void *ctx;
} fvlm_judge_observer;

/* Refuses, by the node's name: operators and attributes that are not known, wrong numbers of inputs or outputs, opsets
 * newer than are known. g must outlive the judge. On failure *out is NULL. */
fvlm_status fvlm_judge_create(fvlm_judge **out, const fvlm_graph *g, const fvlm_judge_options *o, fvlm_err *err);
void fvlm_judge_destroy(fvlm_judge **j); /* NULL is fine */

/* Copies t, which must fit the declared type and shape. It is used by every later run until it is set again. */
fvlm_status fvlm_judge_set_input(fvlm_judge *j, const char *name, const fvlm_judge_tensor *t, fvlm_err *err);

/* Every input must have been set. observer may be NULL. Refuses bad shapes, types and values by the node's name. */
fvlm_status fvlm_judge_run(fvlm_judge *j, const fvlm_judge_observer *observer, fvlm_err *err);

/* After a run; valid until the next one. */
fvlm_status fvlm_judge_get_output(const fvlm_judge *j, const char *name, fvlm_judge_tensor *out, fvlm_err *err);

/* The most bytes of values that lived at once in the last run, weights in their file not counted. */
uint64_t fvlm_judge_peak_bytes(const fvlm_judge *j);

/* Known operators, sorted as the table is, and their attributes, separated by spaces; NULL beyond the last. For tests. */
const char *fvlm_judge_known_op(size_t i, const char **domain, const char **attrs);

#endif
