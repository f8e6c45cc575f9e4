/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute_reduce.c - operators that combine elements: Reduce*, ArgMax, CumSum, Softmax, normalizations, MatMul. */
#include "convert/graph/net_internal.h"

#include <math.h>
#include <string.h>

typedef enum { SUM, MEAN, PROD, MAX, MIN, L1, L2, SUM_SQUARE } reduction;

static reduction reduction_of(const char *op)
{
    static const char *const names[] = {"Sum", "Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare"};
    unsigned i = 0;
    while (i < 7 && strcmp(op + strlen("Reduce"), names[i]) != 0) i++;
    return (reduction)i;
}

static double combine(reduction how, double so_far, double x)
{
    switch (how) {
    case PROD:
        return so_far * x;
    case MAX:
        return isnan(x) || x > so_far ? x : so_far;
    case MIN:
        return isnan(x) || x < so_far ? x : so_far;
    case L1:
        return so_far + fabs(x);
    case L2:
    case SUM_SQUARE:
        return so_far + x * x;
    default:
        return so_far + x;
    }
}

fvlm_status fvlm_net_compute_reduce(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *x = in[0].value, *y = n->outputs[0];
    reduction how = reduction_of(n->op);
    double largest = x->type == FVLM_ONNX_BOOL ? 1 : INFINITY, least = x->type == FVLM_ONNX_BOOL ? 0 : -INFINITY;
    double first = how == PROD ? 1 : how == MAX ? least : how == MIN ? largest : 0; /* of no elements */
    for (uint64_t i = 0; i < y->n_elems; i++) out[i] = first;
    for (uint64_t i = 0; i < x->n_elems; i++) {
        uint64_t at = 0, step = 1, rest = i;
        for (unsigned d = x->rank; d-- > 0;) {
            if (!(n->axes >> d & 1)) {
                at += rest % x->dims[d] * step;
                step *= x->dims[d];
            }
            rest /= x->dims[d];
        }
        out[at] = combine(how, out[at], fvlm_net_operand_at(&in[0], i));
    }
    double count = y->n_elems ? (double)x->n_elems / (double)y->n_elems : 1;
    for (uint64_t i = 0; i < y->n_elems; i++) {
        if (how == MEAN) out[i] /= count;
        if (how == L2) out[i] = sqrt(out[i]);
    }
    return FVLM_OK;
}

/* Rows along one axis: element e of row r is at first(r) + e * inner. */
typedef struct {
    uint64_t n_rows, length, inner;
} rows;

static rows rows_of(const fvlm_net_value *v, unsigned axis)
{
    rows r = {.n_rows = 1, .length = v->rank ? v->dims[axis] : 1, .inner = 1};
    for (unsigned d = 0; d < v->rank; d++) {
        if (d != axis) r.n_rows *= v->dims[d];
        if (d > axis) r.inner *= v->dims[d];
    }
    return r;
}

static uint64_t first(const rows *r, uint64_t row)
{
    return row / r->inner * r->inner * r->length + row % r->inner;
}

/* alpha: the last of equal ones. */
fvlm_status fvlm_net_compute_arg(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    rows r = rows_of(in[0].value, n->axis);
    bool largest = strcmp(n->op, "ArgMax") == 0;
    for (uint64_t row = 0; row < r.n_rows; row++) {
        uint64_t best = 0;
        double found = 0;
        for (uint64_t e = 0; e < r.length; e++) {
            double x = fvlm_net_operand_at(&in[0], first(&r, row) + e * r.inner);
            if (e == 0 || (largest ? x > found : x < found) || (n->alpha != 0 && x == found)) best = e, found = x;
        }
        out[row] = (double)best;
    }
    return FVLM_OK;
}

/* alpha: exclusive; beta: from the end. */
fvlm_status fvlm_net_compute_cumsum(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    rows r = rows_of(in[0].value, n->axis);
    for (uint64_t row = 0; row < r.n_rows; row++) {
        double sum = 0;
        for (uint64_t k = 0; k < r.length; k++) {
            uint64_t at = first(&r, row) + (n->beta != 0 ? r.length - 1 - k : k) * r.inner;
            double x = fvlm_net_operand_at(&in[0], at);
            out[at] = n->alpha != 0 ? sum : sum + x;
            sum += x;
        }
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_softmax(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    rows r = rows_of(in[0].value, n->axis);
    for (uint64_t row = 0; row < r.n_rows; row++) {
        double largest = -INFINITY, sum = 0;
        for (uint64_t e = 0; e < r.length; e++)
            largest = fmax(largest, fvlm_net_operand_at(&in[0], first(&r, row) + e * r.inner));
        for (uint64_t e = 0; e < r.length; e++) {
            uint64_t at = first(&r, row) + e * r.inner;
            out[at] = exp(fvlm_net_operand_at(&in[0], at) - largest);
            sum += out[at];
        }
        for (uint64_t e = 0; e < r.length; e++) out[first(&r, row) + e * r.inner] /= sum;
    }
    return FVLM_OK;
}

/* Over all dimensions from the axis on; scale and shift have those dimensions, or broadcast to them. */
fvlm_status fvlm_net_compute_norm(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *x = in[0].value;
    bool centers = strcmp(n->op, "LayerNormalization") == 0;
    uint64_t length = fvlm_net_product(x, n->axis, x->rank);
    for (uint64_t row = 0; length && row < x->n_elems / length; row++) {
        double mean = 0, square = 0;
        for (uint64_t e = 0; e < length && centers; e++)
            mean += fvlm_net_operand_at(&in[0], row * length + e) / (double)length;
        for (uint64_t e = 0; e < length; e++) {
            double d = fvlm_net_operand_at(&in[0], row * length + e) - mean;
            square += d * d / (double)length;
        }
        for (uint64_t e = 0; e < length; e++) {
            double y = (fvlm_net_operand_at(&in[0], row * length + e) - mean) / sqrt(square + n->epsilon);
            for (unsigned k = 1; k <= 2; k++) {
                if (k >= n->n_inputs || !in[k].value) continue;
                double a = fvlm_net_operand_at(&in[k], in[k].value->n_elems == 1 ? 0 : e);
                y = k == 1 ? y * a : y + a;
            }
            out[row * length + e] = y;
        }
    }
    return FVLM_OK;
}

/* Which matrix of an operand output matrix i is made of: leading dimensions are broadcast. own, of_y: how many of the
 * last dimensions belong to a matrix of the operand and of the output. */
static uint64_t matrix_at(const fvlm_net_value *v, const fvlm_net_value *y, uint64_t i, unsigned own, unsigned of_y)
{
    uint64_t at = 0, step = 1;
    for (unsigned k = 0; k + of_y < y->rank; k++) { /* from the last leading dimension of y */
        uint64_t dim = y->dims[y->rank - of_y - 1 - k], index = i % dim;
        i /= dim;
        if (k + own >= v->rank) continue;
        uint64_t mine = v->dims[v->rank - own - 1 - k];
        if (mine != 1) at += index * step;
        step *= mine;
    }
    return at;
}

fvlm_status fvlm_net_compute_matmul(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *a = in[0].value, *b = in[1].value, *y = n->outputs[0];
    unsigned own_a = a->rank == 1 ? 1 : 2, own_b = b->rank == 1 ? 1 : 2;
    uint64_t rows_a = own_a == 1 ? 1 : a->dims[a->rank - 2], length = a->dims[a->rank - 1];
    uint64_t columns = own_b == 1 ? 1 : b->dims[b->rank - 1];
    if (y->n_elems == 0) return FVLM_OK;
    for (uint64_t m = 0; m < y->n_elems / (rows_a * columns); m++) {
        unsigned of_y = own_a + own_b - 2;
        uint64_t from_a = matrix_at(a, y, m, own_a, of_y) * rows_a * length;
        uint64_t from_b = matrix_at(b, y, m, own_b, of_y) * length * columns;
        for (uint64_t i = 0; i < rows_a; i++)
            for (uint64_t j = 0; j < columns; j++) {
                double sum = 0;
                for (uint64_t k = 0; k < length; k++)
                    sum += fvlm_net_operand_at(&in[0], from_a + i * length + k) *
                           fvlm_net_operand_at(&in[1], from_b + k * columns + j);
                out[(m * rows_a + i) * columns + j] = sum;
            }
    }
    return FVLM_OK;
}
