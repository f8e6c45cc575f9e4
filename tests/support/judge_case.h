/* SPDX-License-Identifier: Apache-2.0 */
/* judge_case.h - runs one node with verify/judge on numbers written down in a test.
 *
 *   judge_expect("Add", 17, "", IN(T(F32, "2", 1, 2), T(F32, "", 10)), OUT(T(F32, "2", 11, 12)));
 *   judge_refuse("Add", 17, "", IN(T(F32, "2", 1, 2), T(I64, "", 10)), "input 1 is INT64, expected FLOAT"); */
#ifndef FVLM_TESTS_SUPPORT_JUDGE_CASE_H
#define FVLM_TESTS_SUPPORT_JUDGE_CASE_H

#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "verify/judge/judge.h"

typedef struct {
    int32_t type;
    const char *shape; /* "2,3"; NULL: left out */
    const double *numbers;
    size_t n;
} judge_operand;

enum {
    F32 = FVLM_ONNX_F32,
    F16 = FVLM_ONNX_F16,
    F64 = FVLM_ONNX_F64,
    I64 = FVLM_ONNX_I64,
    I32 = FVLM_ONNX_I32,
    I8 = FVLM_ONNX_I8,
    U8 = FVLM_ONNX_U8,
    I4 = FVLM_ONNX_I4,
    U4 = FVLM_ONNX_U4,
    BOOL = FVLM_ONNX_BOOL
};

/* A tensor; numbers may be fewer than elements: they repeat. */
#define T(type, shape, ...)                                                                                            \
    {                                                                                                                  \
        type, shape, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double)             \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        0, NULL, NULL, 0                                                                                               \
    }
#define IN(...)                                                                                                        \
    (const judge_operand[]){__VA_ARGS__}, sizeof((const judge_operand[]){__VA_ARGS__}) / sizeof(judge_operand)
#define OUT(...) IN(__VA_ARGS__)

/* Integers must be equal, floats to a relative 2e-6. op and attrs as onnx_node has them. */
void judge_expect(const char *op, int64_t opset, const char *attrs, const judge_operand *in, size_t n_in,
                  const judge_operand *out, size_t n_out);

/* Refused, at creation or in the run, with exit code 1 and "the OP node that computes "y0": " before the message (node
 * "n_y0" (OP): as graph.h names nodes). */
void judge_refuse(const char *op, int64_t opset, const char *attrs, const judge_operand *in, size_t n_in,
                  const char *message);

/* The model, which it frees, opened from memory; closed by the caller. */
fvlm_graph *judge_open(onnx_model *m);

/* The tensor in memory's form; freed by the caller. */
fvlm_judge_tensor judge_tensor(const judge_operand *o, void **data);

#endif
