/* SPDX-License-Identifier: Apache-2.0 */
/* product.c - plans a product and runs it as one gemm for each matrix of the batch, or as a single one. */
#include "verify/judge/product.h"

#include <stdlib.h>

/* v without its last two dimensions. */
static fvlm_judge_value batch_of(const fvlm_judge_value *v)
{
    fvlm_judge_value b = *v;
    b.rank = v->rank < 2 ? 0 : v->rank - 2;
    return b;
}

fvlm_status fvlm_product_plan(fvlm_product *p, const fvlm_judge_call *c, const fvlm_judge_value *a,
                              const fvlm_judge_value *b)
{
    char x[192], y[192];
    if (!a->rank || !b->rank) return fvlm_judge_refuse(c, "a factor is a single number");
    p->vector_a = a->rank == 1;
    p->vector_b = b->rank == 1;
    p->trans_a &= !p->vector_a;
    p->trans_b &= !p->vector_b;
    const uint64_t a_rows = p->vector_a ? 1 : a->dims[a->rank - 2], a_columns = a->dims[a->rank - 1];
    const uint64_t b_rows = p->vector_b ? b->dims[0] : b->dims[b->rank - 2],
                   b_columns = p->vector_b ? 1 : b->dims[b->rank - 1];
    p->m = p->trans_a ? a_columns : a_rows;
    p->k = p->trans_a ? a_rows : a_columns;
    p->n = p->trans_b ? b_rows : b_columns;
    if (p->k != (p->trans_b ? b_columns : b_rows))
        return fvlm_judge_refuse(c, "shapes %s and %s cannot be multiplied", fvlm_judge_shape_text(a, x),
                                 fvlm_judge_shape_text(b, y));
    const fvlm_judge_value batch_a = batch_of(a), batch_b = batch_of(b);
    return fvlm_broadcast_plan(&p->batch, c, (const fvlm_judge_value *[]){&batch_a, &batch_b}, 2);
}

fvlm_status fvlm_product_make(const fvlm_product *p, fvlm_judge_call *c, int32_t type)
{
    uint64_t dims[FVLM_GRAPH_MAX_RANK + 2];
    unsigned rank = p->batch.rank;
    memcpy(dims, p->batch.dims, rank * sizeof *dims);
    if (!p->vector_a) dims[rank++] = p->m;
    if (!p->vector_b) dims[rank++] = p->n;
    fvlm_status st = fvlm_judge_make(c, 0, type, rank, dims);
    return st ? st : fvlm_judge_want_work(c, c->out[0].n, p->k);
}

uint64_t fvlm_product_first(const fvlm_product *p, unsigned operand, uint64_t i)
{
    uint64_t at = 0;
    for (unsigned d = p->batch.loops; d-- > 0; i /= p->batch.extent[d])
        at += i % p->batch.extent[d] * p->batch.stride[operand][d];
    return at * (operand ? p->k * p->n : p->m * p->k);
}

fvlm_status fvlm_product_run(const fvlm_product *p, const fvlm_judge_call *c, const fvlm_judge_value *a,
                             const fvlm_judge_value *b, float *out, int32_t *integers)
{
    const fvlm_broadcast *batch = &p->batch;
    if (!batch->n_elems || !p->m || !p->n || !p->k) return FVLM_OK;
    /* Matrices that follow each other in a and share b are one product. */
    const bool one = batch->loops == 1 && batch->stride[1][0] == 0 && batch->stride[0][0] == 1 && !p->trans_a;
    const uint64_t n = one ? 1 : batch->n_elems, m = one ? p->m * batch->n_elems : p->m;
    fvlm_gemm *products = fvlm_alloc((size_t)n, sizeof *products);
    if (!products) return fvlm_fail_nomem(c->err);
    for (uint64_t i = 0; i < n; i++)
        products[i] = (fvlm_gemm){
            .m = m,
            .n = p->n,
            .k = p->k,
            .a = fvlm_gemm_matrix_of(a, fvlm_product_first(p, 0, i), p->trans_a ? 1 : p->k, p->trans_a ? p->m : 1),
            .b = fvlm_gemm_matrix_of(b, fvlm_product_first(p, 1, i), p->trans_b ? 1 : p->n, p->trans_b ? p->k : 1),
            .c = out ? out + i * p->m * p->n : NULL,
            .integers = integers ? integers + i * p->m * p->n : NULL,
            .ldc = p->n,
        };
    fvlm_status st = fvlm_gemm_run(c, products, (size_t)n);
    free(products);
    return st;
}
