/* SPDX-License-Identifier: Apache-2.0 */
/* call.h - private to judge/: the context of one operator's run, and helpers that read attributes, make outputs, refuse
 * inputs and share work among threads. */
#ifndef FVLM_VERIFY_JUDGE_CALL_H
#define FVLM_VERIFY_JUDGE_CALL_H

#include "format/base/pool.h"
#include "verify/judge/value.h"

typedef struct fvlm_judge_row fvlm_judge_row;

typedef struct {
    const fvlm_graph *graph;
    const fvlm_graph_node *node;
    const fvlm_judge_row *row;
    int64_t opset; /* of the node's domain */
    size_t n_in, n_out;
    fvlm_judge_value *const *in; /* [n_in], NULL if left out; loaded, unless the row's mask 'stored' allows otherwise */
    fvlm_judge_value *out;       /* [n_out], empty; the operator makes those that it supports */
    fvlm_judge_memory *memory;
    fvlm_pool *pool;
    const fvlm_stop *stop;
    uint64_t max_work; /* multiplications; 0: no limit */
    fvlm_err *err;
} fvlm_judge_call;

typedef fvlm_status (*fvlm_judge_function)(fvlm_judge_call *c);

/* An operator, as its domain defines it from first_opset on. */
struct fvlm_judge_row {
    const char *domain, *op;
    uint8_t first_opset;    /* 0: any */
    uint8_t min_in, max_in; /* the first min_in are required; FVLM_JUDGE_MANY: any number */
    uint8_t max_out;
    uint8_t stored; /* bit i: input i may be a stored tensor (value.h) */
    int kind;       /* tells run which operator of its family this is */
    fvlm_judge_function run;
    const char *attrs; /* names of known attributes, separated by spaces; NULL: none */
};
#define FVLM_JUDGE_MANY 255
#define MICROSOFT "com.microsoft"

/* A table for each family of operators; its last row has no op. */
extern const fvlm_judge_row fvlm_judge_rows_binary[], fvlm_judge_rows_logic[], fvlm_judge_rows_unary[],
    fvlm_judge_rows_cast[], fvlm_judge_rows_shape[], fvlm_judge_rows_move[], fvlm_judge_rows_remap[],
    fvlm_judge_rows_index[], fvlm_judge_rows_scatter[], fvlm_judge_rows_conv[], fvlm_judge_rows_pool[],
    fvlm_judge_rows_matmul[], fvlm_judge_rows_norm[], fvlm_judge_rows_softmax[], fvlm_judge_rows_reduce[],
    fvlm_judge_rows_scan[], fvlm_judge_rows_quantized[], fvlm_judge_rows_packed[], fvlm_judge_rows_integer[],
    fvlm_judge_rows_rotary[], fvlm_judge_rows_attention[], fvlm_judge_rows_multi_head[],
    fvlm_judge_rows_group_attention[], fvlm_judge_rows_onnx_attention[];

/* The row for a node; refuses operators, opsets, attributes and numbers of inputs and outputs that it does not know. */
fvlm_status fvlm_judge_find_row(const fvlm_judge_row **out, const fvlm_graph *g, const fvlm_graph_node *n,
                                fvlm_err *err);

/* ---- refusals, with the node's name in front ---- */

fvlm_status fvlm_judge_refuse(const fvlm_judge_call *c, const char *fmt, ...) FVLM_PRINTF(2, 3); /* BAD_INPUT */
fvlm_status fvlm_judge_unsupported(const fvlm_judge_call *c, const char *fmt, ...) FVLM_PRINTF(2, 3);
fvlm_status fvlm_judge_refuse_type(const fvlm_judge_call *c, size_t input);  /* "input 2 is INT64, which ... */
const char *fvlm_judge_shape_text(const fvlm_judge_value *v, char out[192]); /* "[1, 3, 224, 224]" */

/* Refuses a missing input, and one of another type. The second wants FLOAT, FLOAT16 or BFLOAT16. */
fvlm_status fvlm_judge_want_type(const fvlm_judge_call *c, size_t input, int32_t type);
fvlm_status fvlm_judge_want_float(const fvlm_judge_call *c, size_t input);
/* Refuses an input of other dimensions. It must not be missing. */
fvlm_status fvlm_judge_want_shape(const fvlm_judge_call *c, size_t input, unsigned rank, const uint64_t *dims);
/* Refuses a node of about a * b multiplications if that exceeds max_work. */
fvlm_status fvlm_judge_want_work(const fvlm_judge_call *c, uint64_t a, uint64_t b);

/* ---- attributes and inputs ---- */

static inline fvlm_judge_value *fvlm_judge_in(const fvlm_judge_call *c, size_t i) /* NULL if left out */
{
    return i < c->n_in ? c->in[i] : NULL;
}

static inline bool fvlm_judge_wants(const fvlm_judge_call *c, size_t output)
{
    return output < c->n_out && c->node->outputs[output] != FVLM_GRAPH_NONE;
}

fvlm_status fvlm_judge_attr_int(const fvlm_judge_call *c, const char *name, int64_t absent, int64_t *out);
fvlm_status fvlm_judge_attr_flag(const fvlm_judge_call *c, const char *name, bool absent, bool *out);
fvlm_status fvlm_judge_attr_float(const fvlm_judge_call *c, const char *name, float absent, float *out);
/* NULL if absent */
fvlm_status fvlm_judge_attr_string(const fvlm_judge_call *c, const char *name, const char **out);
fvlm_status fvlm_judge_attr_ints(const fvlm_judge_call *c, const char *name, const int64_t **out, size_t *n);

/* The integers of a list in input i (INT32 or INT64, rank 1 or 0), at most max. */
fvlm_status fvlm_judge_input_ints(const fvlm_judge_call *c, size_t input, int64_t *out, size_t max, size_t *n);
/* Refuses an axis outside [-rank, rank - 1]. *out counts from 0. */
fvlm_status fvlm_judge_axis(const fvlm_judge_call *c, int64_t axis, unsigned rank, unsigned *out);
/* Axes listed by an input or, if it is missing, by the attribute "axes": bit i of *mask is axis i. *given: either is
 * there. */
fvlm_status fvlm_judge_axes(const fvlm_judge_call *c, size_t input, unsigned rank, uint32_t *mask, bool *given);

/* ---- outputs ---- */

fvlm_status fvlm_judge_make(fvlm_judge_call *c, size_t output, int32_t type, unsigned rank, const uint64_t *dims);
fvlm_status fvlm_judge_make_like(fvlm_judge_call *c, size_t output, int32_t type, const fvlm_judge_value *v);
/* Shares the elements of v in another shape; refuses one of another number of elements. */
fvlm_status fvlm_judge_make_view(fvlm_judge_call *c, size_t output, const fvlm_judge_value *v, unsigned rank,
                                 const uint64_t *dims);
/* A temporary value, not an output; the caller frees it. */
fvlm_status fvlm_judge_make_temp(const fvlm_judge_call *c, fvlm_judge_value *v, int32_t type, unsigned rank,
                                 const uint64_t *dims);

/* ---- loops ---- */

/* Splits [0, n) into ranges of 'grain', the last one shorter, and runs task(ctx, first, end) on each, on all threads.
 */
typedef void (*fvlm_judge_range_task)(void *ctx, uint64_t first, uint64_t end);
void fvlm_judge_ranges(const fvlm_judge_call *c, uint64_t n, uint64_t grain, fvlm_judge_range_task task, void *ctx);

/* Product of dims [first, end). */
static inline uint64_t fvlm_judge_span(const fvlm_judge_value *v, unsigned first, unsigned end)
{
    uint64_t n = 1; /* cannot wrap unless a dimension is 0, and then nothing is computed with it */
    for (unsigned i = first; i < end; i++) n *= v->dims[i];
    return n;
}

#endif
