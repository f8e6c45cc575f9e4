/* SPDX-License-Identifier: Apache-2.0 */
/* ops_cases.h - every operation of ops.h on shapes chosen to be awkward, with inputs that depend on nothing but
 * a seed. The same cases run on every instruction set. */
#ifndef FVLM_TESTS_SUPPORT_OPS_CASES_H
#define FVLM_TESTS_SUPPORT_OPS_CASES_H

#include "reference/ops/ops.h"

typedef struct {
    uint64_t state;
} cases_rng; /* xorshift64*, its own, so that the cases build with guarded.c alone */

uint64_t cases_u64(cases_rng *r);
size_t cases_below(cases_rng *r, size_t n);
float cases_float(cases_rng *r); /* -1 .. 1 */

/* n floats of size about 'size', in guarded memory. */
float *cases_floats(cases_rng *r, size_t n, float size);

/* A weight [n, k] of that type in guarded memory: every q there is, scales from 1e-4 to 1, zero padding. */
fvlm_weight cases_weight(cases_rng *r, fvlm_type type, size_t n, size_t k);

/* All 19 types a weight may have. */
#define CASES_TYPES 19
fvlm_type cases_type(size_t i);

/* Where the results of a case go, one after the other. */
typedef struct {
    float *values;
    size_t n, capacity;
} cases_out;
void cases_keep(cases_out *out, const float *values, size_t n);

typedef struct {
    const char *name;
    void (*run)(fvlm_exec *e, cases_rng *r, cases_out *out);
    bool weights; /* has weights, so that the activation mode matters */
} ops_case;
extern const ops_case ops_cases[];
extern const size_t n_ops_cases;

#endif
