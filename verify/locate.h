/* SPDX-License-Identifier: Apache-2.0 */
/* locate.h - private to verify/: which value of an ONNX graph is the output of which of our blocks, found by numbers
 * alone: neither names nor the importer's matcher have a say.
 *
 * Both networks run on the same input. Of each of our blocks 1024 elements at fixed positions are kept, and each value
 * of the graph that could have the block's shape (rows as they are, or channels first) is compared with it there.
 * Blocks follow one another, and so do their values (of one node's outputs the last comes first: a norm that also puts
 * out the sum that it has normalized puts that out last). Of all assignments in that order the one with the smallest
 * errors (the largest sum of log(0.5 / error)) is taken, and of equal values the first. The last block of a graph is
 * its output, whatever the numbers say. A block whose nearest value is off by half its size or more has none: an
 * optimizer may have fused it away. */
#ifndef FVLM_VERIFY_LOCATE_H
#define FVLM_VERIFY_LOCATE_H

#include "verify/judge/judge.h"
#include "verify/parity.h"

typedef struct {
    char name[FVLM_MAX_BLOCK_NAME];
    size_t rows, cols;
    uint32_t value;   /* of the graph; FVLM_GRAPH_NONE: none */
    bool transposed;  /* the value is [cols, rows] */
    uint32_t nearest; /* whatever the order; FVLM_GRAPH_NONE: no value has the shape */
    double error;     /* of the nearest, as relative L2 of the sample */
    /* Inside: */
    uint32_t anchor; /* FVLM_GRAPH_NONE: free */
    float *sample;
    size_t n_sample;
} fvlm_located;

typedef struct {
    fvlm_located *blocks; /* in the order of the pass */
    size_t n_blocks, capacity;
    struct fvlm_locate_entry *entries; /* values that could be one of the blocks, in the order of the graph */
    size_t n_entries, entries_capacity;
    bool failed; /* out of memory */
} fvlm_locator;

/* An fvlm_observer; ctx is the locator. */
void fvlm_locator_add_block(void *ctx, const char *name, const float *x, size_t rows, size_t cols);

/* After the last block: it is this output of the graph. */
void fvlm_locator_anchor(fvlm_locator *l, uint32_t value);

/* A value that a judge has computed, in the order of its nodes. Those that are not floats are passed over. */
fvlm_status fvlm_locator_add_value(fvlm_locator *l, uint32_t id, const fvlm_judge_tensor *t, fvlm_err *err);

/* Finds the values, of graph g, and forgets the samples. */
fvlm_status fvlm_locator_solve(fvlm_locator *l, const fvlm_graph *g, fvlm_err *err);

const fvlm_located *fvlm_locator_find(const fvlm_locator *l, const char *name);  /* NULL: no such block */
const fvlm_located *fvlm_locator_find_value(const fvlm_locator *l, uint32_t id); /* the block of a value, or NULL */
void fvlm_locator_free(fvlm_locator *l);

/* Whether t can be [rows, cols], or, for rows == 1, have it as its last row; in which order, and where it begins. */
bool fvlm_locate_fits(const fvlm_judge_tensor *t, size_t rows, size_t cols, bool transposed, size_t *first);

/* Copies it, as fvlm_locate_fits says, to out [rows, cols]. */
void fvlm_locate_copy(float *out, const fvlm_judge_tensor *t, size_t rows, size_t cols, bool transposed, size_t first);

#endif
