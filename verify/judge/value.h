/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - private to judge/: tensors in memory, counted against a limit and shared by reference counts. */
#ifndef FVLM_VERIFY_JUDGE_VALUE_H
#define FVLM_VERIFY_JUDGE_VALUE_H

#include "convert/graph/graph.h"

/* How elements lie in memory. */
typedef enum {
    FVLM_FORM_NONE, /* strings and unknown types */
    FVLM_FORM_F32,  /* FLOAT, FLOAT16, BFLOAT16 */
    FVLM_FORM_F64,
    FVLM_FORM_I8, /* INT8, INT4 */
    FVLM_FORM_U8, /* UINT8, UINT4, BOOL */
    FVLM_FORM_I16,
    FVLM_FORM_U16,
    FVLM_FORM_I32,
    FVLM_FORM_U32,
    FVLM_FORM_I64,
    FVLM_FORM_U64
} fvlm_judge_form;

fvlm_judge_form fvlm_judge_form_of(int32_t type);
size_t fvlm_judge_form_bytes(fvlm_judge_form form); /* of an element; 0 for FVLM_FORM_NONE */
bool fvlm_judge_is_float(int32_t type);             /* FLOAT, FLOAT16, BFLOAT16 */
bool fvlm_judge_is_integer(int32_t type);           /* of any width; not BOOL */

typedef struct {
    uint64_t live, peak, limit; /* bytes; limit 0: none */
} fvlm_judge_memory;

typedef struct fvlm_judge_buffer fvlm_judge_buffer;

/* Empty (all zero), stored (an initializer whose bytes are still in its file), or in memory. */
typedef struct {
    int32_t type;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint64_t n;                /* elements */
    void *data;                /* not to be written to, except by the node that makes it; NULL if empty or stored */
    fvlm_judge_buffer *buffer; /* NULL: data is borrowed */
    const fvlm_graph_tensor *stored;
} fvlm_judge_value;

/* Bytes of an element in memory. */
size_t fvlm_judge_elem_bytes(const fvlm_judge_value *v);
/* Elements of a shape; false if they wrap. */
bool fvlm_judge_count(uint64_t *out, const uint64_t *dims, unsigned rank);
bool fvlm_judge_same_shape(const fvlm_judge_value *a, const fvlm_judge_value *b);

/* Zeroed elements. The memory must outlive the value. */
fvlm_status fvlm_judge_value_make(fvlm_judge_value *v, fvlm_judge_memory *m, int32_t type, unsigned rank,
                                  const uint64_t *dims, fvlm_err *err);
void fvlm_judge_value_share(fvlm_judge_value *to, const fvlm_judge_value *from); /* to was empty */
void fvlm_judge_value_free(fvlm_judge_value *v);                                 /* leaves it empty */

/* Stored, and its bytes in memory: borrowed where they can be used as they are. */
void fvlm_judge_value_store(fvlm_judge_value *v, const fvlm_graph_tensor *t);
fvlm_status fvlm_judge_value_load(fvlm_judge_value *v, fvlm_judge_memory *m, fvlm_err *err);

/* Elements [first, first + n) of a stored tensor in their form. */
void fvlm_judge_decode(void *out, const fvlm_graph_tensor *t, uint64_t first, uint64_t n);

/* ---- elements (element.c) ---- */

double fvlm_judge_get_f64(const fvlm_judge_value *v, uint64_t i);
int64_t fvlm_judge_get_i64(const fvlm_judge_value *v, uint64_t i);   /* floats: see fvlm_judge_convert */
void fvlm_judge_put_f64(fvlm_judge_value *v, uint64_t i, double x);  /* as fvlm_judge_convert */
void fvlm_judge_put_i64(fvlm_judge_value *v, uint64_t i, int64_t x); /* as fvlm_judge_convert */

/* Elements of one type as another: floats to integers cut off towards zero, NaN to 0, and beyond 64 bits to the nearest
 * 64-bit integer; integers to narrower ones keep the low bits; to BOOL, what is not 0 is 1. Halves are not rounded. */
void fvlm_judge_convert(void *out, int32_t out_type, const void *in, int32_t in_type, uint64_t n);

/* Rounds to the values that FLOAT16 or BFLOAT16 has; other types stay. */
void fvlm_judge_round_halves(float *x, int32_t type, uint64_t n);

#endif
