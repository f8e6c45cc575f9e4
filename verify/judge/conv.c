/* SPDX-License-Identifier: Apache-2.0 */
/* conv.c - convolutions: those of single elements as matrix products, others directly, one output row at a time, to
 * which each element of the kernel adds a multiple of an input row. */
#include "verify/judge/conv.h"

#include <inttypes.h>
#include <stdlib.h>

#include "verify/judge/gemm.h"

enum { BLOCK = 256 /* products in one f32 sum */, CHUNK = 512 /* elements of a row at a time */ };

fvlm_status fvlm_conv_read(fvlm_conv *v, const fvlm_judge_call *c, const fvlm_judge_value *x, const fvlm_judge_value *w)
{
    char a[192], b[192];
    int64_t group;
    fvlm_status st = fvlm_judge_attr_int(c, "group", 1, &group);
    if (st) return st;
    if (x->rank != w->rank || x->rank < 3)
        return fvlm_judge_refuse(c, "input %s and weights %s do not go together", fvlm_judge_shape_text(x, a),
                                 fvlm_judge_shape_text(w, b));
    *v = (fvlm_conv){.batch = x->dims[0], .channels = x->dims[1], .filters = w->dims[0], .group = (uint64_t)group};
    if (group < 1 || v->channels % v->group || v->filters % v->group || w->dims[1] != v->channels / v->group)
        return fvlm_judge_refuse(c, "input %s and weights %s do not go together in %" PRId64 " groups",
                                 fvlm_judge_shape_text(x, a), fvlm_judge_shape_text(w, b), group);
    return fvlm_window_read(&v->window, c, x, w->dims + 2);
}

typedef struct {
    const fvlm_conv *v;
    const float *x, *w;
    float *out;
    int32_t *integers;
} direct;

/* sum[i] += weight * x[i * stride] for the outputs first + i that read inside the input. */
static void add_row(const fvlm_window *w, uint64_t kx, uint64_t first, size_t n, const float *x, float weight,
                    float *sum)
{
    const uint64_t shift = kx * w->dilation[2], stride = w->stride[2]; /* input index + before = o * stride + shift */
    uint64_t begin = first, end = first + n;
    if (shift < w->before[2]) {
        const uint64_t least = (w->before[2] - shift + stride - 1) / stride;
        if (begin < least) begin = least;
    }
    const uint64_t limit = w->in[2] + w->before[2];
    const uint64_t most = shift < limit ? (limit - shift + stride - 1) / stride : 0;
    if (end > most) end = most;
    if (begin >= end) return;
    const float *from = x + (begin * stride + shift - w->before[2]);
    float *to = sum + (begin - first);
    const size_t count = (size_t)(end - begin);
    if (stride == 1)
        for (size_t i = 0; i < count; i++) to[i] += weight * from[i];
    else if (stride == 2)
        for (size_t i = 0; i < count; i++) to[i] += weight * from[2 * i];
    else
        for (size_t i = 0; i < count; i++) to[i] += weight * from[i * stride];
}

static void flush(const direct *d, uint64_t at, size_t n, float *sum)
{
    for (size_t i = 0; i < n; i++)
        if (d->out)
            d->out[at + i] += sum[i];
        else
            d->integers[at + i] = (int32_t)((uint32_t)d->integers[at + i] + (uint32_t)(int32_t)sum[i]);
    memset(sum, 0, n * sizeof *sum);
}

/* Outputs [first, first + n) of the row 'row' of all output rows of the batch. */
static void run_row(const direct *d, uint64_t row, uint64_t first, size_t n)
{
    const fvlm_conv *v = d->v;
    const fvlm_window *w = &v->window;
    const uint64_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0], plane = row / w->out[1] / w->out[0];
    const uint64_t filter = plane % v->filters, image = plane / v->filters, depth = v->channels / v->group;
    const uint64_t channel = filter / (v->filters / v->group) * depth, taps = fvlm_window_span(w->kernel);
    uint64_t z0, z1, y0, y1;
    float sum[CHUNK] = {0};
    size_t products = 0;
    fvlm_window_taps(w, 0, oz, &z0, &z1);
    fvlm_window_taps(w, 1, oy, &y0, &y1);
    for (uint64_t k = 0; k < depth; k++) {
        const float *x = d->x + (image * v->channels + channel + k) * fvlm_window_span(w->in);
        const float *weights = d->w + (filter * depth + k) * taps;
        for (uint64_t kz = z0; kz < z1; kz++)
            for (uint64_t ky = y0; ky < y1; ky++) {
                const uint64_t iz = oz * w->stride[0] + kz * w->dilation[0] - w->before[0];
                const uint64_t iy = oy * w->stride[1] + ky * w->dilation[1] - w->before[1];
                const float *line = x + (iz * w->in[1] + iy) * w->in[2];
                for (uint64_t kx = 0; kx < w->kernel[2]; kx++) {
                    add_row(w, kx, first, n, line, weights[(kz * w->kernel[1] + ky) * w->kernel[2] + kx], sum);
                    if (++products == BLOCK) flush(d, row * w->out[2] + first, n, sum), products = 0;
                }
            }
    }
    flush(d, row * w->out[2] + first, n, sum);
}

static void run_rows(void *ctx, uint64_t first, uint64_t end)
{
    const direct *d = ctx;
    const uint64_t width = d->v->window.out[2];
    for (uint64_t row = first; row < end; row++)
        for (uint64_t x = 0; x < width; x += CHUNK) run_row(d, row, x, width - x < CHUNK ? (size_t)(width - x) : CHUNK);
}

static bool is_product(const fvlm_conv *v)
{
    const fvlm_window *w = &v->window;
    bool one = v->channels / v->group >= 4;
    for (unsigned d = 0; d < FVLM_WINDOW_DIMS; d++)
        one &= w->kernel[d] == 1 && w->stride[d] == 1 && !w->before[d] && !w->after[d];
    return one;
}

/* Each group of each image: [filters, channels] times [channels, pixels]. */
static fvlm_status run_product(const fvlm_conv *v, const fvlm_judge_call *c, const float *x, const fvlm_judge_value *w,
                               float *out, int32_t *integers)
{
    const uint64_t pixels = fvlm_window_span(v->window.in), m = v->filters / v->group, k = v->channels / v->group;
    fvlm_gemm *products = fvlm_alloc(v->batch * v->group, sizeof *products);
    if (!products) return fvlm_fail_nomem(c->err);
    for (uint64_t i = 0; i < v->batch * v->group; i++)
        products[i] = (fvlm_gemm){
            .m = m,
            .n = pixels,
            .k = k,
            .a = fvlm_gemm_matrix_of(w, i % v->group * m * k, k, 1),
            .b = {.data = x, .first = i * k * pixels, .row = pixels, .column = 1},
            .c = out ? out + i * m * pixels : NULL,
            .integers = integers ? integers + i * m * pixels : NULL,
            .ldc = pixels,
        };
    fvlm_status st = fvlm_gemm_run(c, products, v->batch * v->group);
    free(products);
    return st;
}

fvlm_status fvlm_conv_run(const fvlm_conv *v, const fvlm_judge_call *c, const float *x, const fvlm_judge_value *w,
                          float *out, int32_t *integers)
{
    const fvlm_window *win = &v->window;
    uint64_t rows, n;
    if (!fvlm_checked_mul(v->batch, v->filters, &rows) || !fvlm_checked_mul(rows, win->out[0] * win->out[1], &rows) ||
        !fvlm_checked_mul(rows, win->out[2], &n))
        return fvlm_judge_refuse(c, "a result of more than 2^64 elements");
    if (!n || !w->n) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_work(c, n, w->n / v->filters);
    if (st) return st;
    if (is_product(v)) return run_product(v, c, x, w, out, integers);
    fvlm_judge_value loaded = {0};
    fvlm_judge_value_share(&loaded, w);
    st = fvlm_judge_value_load(&loaded, c->memory, c->err);
    direct d = {v, x, loaded.data, out, integers};
    if (!st) fvlm_judge_ranges(c, rows, 1 + 4096 / win->out[2], run_rows, &d);
    fvlm_judge_value_free(&loaded);
    return st;
}
