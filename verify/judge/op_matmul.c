/* SPDX-License-Identifier: Apache-2.0 */
/* op_matmul.c - MatMul, FusedMatMul, Gemm, FusedGemm. Weights may stay in their file. */
#include "verify/judge/activation.h"
#include "verify/judge/product.h"

static void scale_all(fvlm_judge_value *v, float factor)
{
    for (uint64_t i = 0; i < v->n && factor != 1; i++) ((float *)v->data)[i] *= factor;
}

/* ---- integers and DOUBLE, plainly ---- */

typedef struct {
    const fvlm_product *p;
    const fvlm_judge_value *a, *b;
    fvlm_judge_value *out;
} plain;

static void multiply_range(void *ctx, uint64_t first, uint64_t end)
{
    const plain *w = ctx;
    const fvlm_product *p = w->p;
    const bool real = w->a->type == FVLM_ONNX_F64;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t batch = i / p->n / p->m, row = i / p->n % p->m, column = i % p->n;
        const uint64_t a = fvlm_product_first(p, 0, batch) + row * p->k, b = fvlm_product_first(p, 1, batch) + column;
        double sum = 0;
        uint64_t total = 0;
        for (uint64_t k = 0; k < p->k; k++)
            if (real)
                sum += fvlm_judge_get_f64(w->a, a + k) * fvlm_judge_get_f64(w->b, b + k * p->n);
            else
                total += (uint64_t)fvlm_judge_get_i64(w->a, a + k) * (uint64_t)fvlm_judge_get_i64(w->b, b + k * p->n);
        if (real)
            fvlm_judge_put_f64(w->out, i, sum);
        else
            fvlm_judge_put_i64(w->out, i, (int64_t)total);
    }
}

static fvlm_status multiply_plainly(const fvlm_product *p, fvlm_judge_call *c)
{
    fvlm_judge_value a = {0}, b = {0};
    fvlm_judge_value_share(&a, c->in[0]);
    fvlm_judge_value_share(&b, c->in[1]);
    fvlm_status st = fvlm_judge_value_load(&a, c->memory, c->err);
    if (!st) st = fvlm_judge_value_load(&b, c->memory, c->err);
    plain w = {p, &a, &b, &c->out[0]};
    if (!st) fvlm_judge_ranges(c, c->out[0].n, 1 + (1 << 14) / (p->k + 1), multiply_range, &w);
    fvlm_judge_value_free(&a);
    fvlm_judge_value_free(&b);
    return st;
}

static fvlm_status run_matmul(fvlm_judge_call *c)
{
    const int32_t type = c->in[0]->type;
    fvlm_product p = {0};
    float alpha;
    bool batch_a, batch_b;
    fvlm_status st = fvlm_judge_want_type(c, 1, type);
    if (!st) st = fvlm_judge_attr_flag(c, "transA", false, &p.trans_a);
    if (!st) st = fvlm_judge_attr_flag(c, "transB", false, &p.trans_b);
    if (!st) st = fvlm_judge_attr_flag(c, "transBatchA", false, &batch_a);
    if (!st) st = fvlm_judge_attr_flag(c, "transBatchB", false, &batch_b);
    if (!st) st = fvlm_judge_attr_float(c, "alpha", 1, &alpha);
    if (st) return st;
    if (batch_a || batch_b) return fvlm_judge_unsupported(c, "transposed batches are not supported");
    const bool narrow = type == FVLM_ONNX_BOOL || type == FVLM_ONNX_I4 || type == FVLM_ONNX_U4;
    if (narrow || (c->row->domain[0] && !fvlm_judge_is_float(type))) return fvlm_judge_refuse_type(c, 0);
    st = fvlm_product_plan(&p, c, c->in[0], c->in[1]);
    if (!st) st = fvlm_product_make(&p, c, type);
    if (st || !c->out[0].n) return st;
    if (!fvlm_judge_is_float(type)) return multiply_plainly(&p, c);
    st = fvlm_product_run(&p, c, c->in[0], c->in[1], c->out[0].data, NULL);
    if (!st) scale_all(&c->out[0], alpha);
    return st;
}

/* ---- Gemm: alpha A' B' + beta C ---- */

typedef struct {
    const fvlm_broadcast *b;
    const float *x;
    float *y, beta;
} addend;

static void add_c(void *ctx, uint64_t to, const uint64_t *from, size_t n)
{
    const addend *a = ctx;
    const size_t step = !fvlm_broadcast_is_scalar(a->b, 1);
    for (size_t i = 0; i < n; i++) a->y[to + i] += a->beta * a->x[from[1] + i * step];
}

static fvlm_status add_bias(fvlm_judge_call *c, const fvlm_judge_value *bias, float beta)
{
    fvlm_broadcast b;
    fvlm_status st = fvlm_broadcast_plan(&b, c, (const fvlm_judge_value *[]){&c->out[0], bias}, 2);
    if (!st && (b.rank != 2 || memcmp(b.dims, c->out[0].dims, 2 * sizeof *b.dims) != 0))
        st = fvlm_judge_refuse(c, "input 2 does not broadcast to the product");
    if (!st) fvlm_broadcast_each(&b, c, add_c, &(addend){&b, bias->data, c->out[0].data, beta});
    return st;
}

static fvlm_status run_gemm(fvlm_judge_call *c)
{
    fvlm_product p = {0};
    float alpha, beta;
    fvlm_judge_value *bias = fvlm_judge_in(c, 2);
    fvlm_activation act;
    fvlm_status st = fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_want_type(c, 1, c->in[0]->type);
    if (!st && bias) st = fvlm_judge_want_type(c, 2, c->in[0]->type);
    if (!st) st = fvlm_judge_attr_flag(c, "transA", false, &p.trans_a);
    if (!st) st = fvlm_judge_attr_flag(c, "transB", false, &p.trans_b);
    if (!st) st = fvlm_judge_attr_float(c, "alpha", 1, &alpha);
    if (!st) st = fvlm_judge_attr_float(c, "beta", 1, &beta);
    if (!st) st = fvlm_activation_read(&act, c);
    if (st) return st;
    if (c->in[0]->rank != 2 || c->in[1]->rank != 2) return fvlm_judge_refuse(c, "matrices are expected");
    if (!bias && c->opset < 11 && !c->row->domain[0]) return fvlm_judge_refuse(c, "input 2 is missing");
    st = fvlm_product_plan(&p, c, c->in[0], c->in[1]);
    if (!st) st = fvlm_product_make(&p, c, c->in[0]->type);
    if (st || !c->out[0].n) return st;
    st = fvlm_product_run(&p, c, c->in[0], c->in[1], c->out[0].data, NULL);
    if (!st) scale_all(&c->out[0], alpha);
    if (!st && bias) st = add_bias(c, bias, beta);
    if (!st) fvlm_activation_apply(&act, c->out[0].data, c->out[0].n);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_matmul[] = {
    {"", "MatMul", 1, 2, 2, 1, 3, 0, run_matmul, NULL},
    {MICROSOFT, "FusedMatMul", 0, 2, 2, 1, 3, 0, run_matmul, "transA transB alpha transBatchA transBatchB"},
    {"", "Gemm", 7, 2, 3, 1, 3, 0, run_gemm, "alpha beta transA transB"},
    {MICROSOFT, "FusedGemm", 0, 2, 3, 1, 3, 0, run_gemm,
     "alpha beta transA transB activation activation_alpha activation_beta activation_gamma"},
    {0},
};
