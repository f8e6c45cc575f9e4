/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - reads a window's attributes and computes its output's shape. */
#include "verify/judge/window.h"

#include <inttypes.h>

enum { MOST = 1 << 30 }; /* of any stride, pad, dilation or kernel: sums and products below stay within 64 bits */

typedef struct {
    const int64_t *kernel, *strides, *pads, *dilations;
    const char *auto_pad;
    bool ceil_mode;
} attributes;

static fvlm_status read_list(const fvlm_judge_call *c, const char *name, size_t n, int64_t least, const int64_t **out)
{
    size_t found;
    fvlm_status st = fvlm_judge_attr_ints(c, name, out, &found);
    if (st) return st;
    if (!found) *out = NULL;
    if (found && found != n) return fvlm_judge_refuse(c, "\"%s\" has %zu numbers, expected %zu", name, found, n);
    for (size_t i = 0; i < found; i++)
        if ((*out)[i] < least || (*out)[i] > MOST) return fvlm_judge_refuse(c, "\"%s\" has %" PRId64, name, (*out)[i]);
    return FVLM_OK;
}

static fvlm_status read_attributes(attributes *a, const fvlm_judge_call *c, unsigned rank)
{
    static const char *const modes[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    fvlm_status st = read_list(c, "kernel_shape", rank, 1, &a->kernel);
    if (!st) st = read_list(c, "strides", rank, 1, &a->strides);
    if (!st) st = read_list(c, "dilations", rank, 1, &a->dilations);
    if (!st) st = read_list(c, "pads", 2 * (size_t)rank, 0, &a->pads);
    if (!st) st = fvlm_judge_attr_flag(c, "ceil_mode", false, &a->ceil_mode);
    if (!st) st = fvlm_judge_attr_string(c, "auto_pad", &a->auto_pad);
    if (st) return st;
    if (!a->auto_pad || !*a->auto_pad) a->auto_pad = modes[0];
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(a->auto_pad, modes[i])) return FVLM_OK;
    return fvlm_judge_unsupported(c, "auto_pad \"%.40s\" is not known", a->auto_pad);
}

/* Fills in dimension d of w, i of the input. */
static fvlm_status place(fvlm_window *w, unsigned d, unsigned i, const attributes *a, const fvlm_judge_call *c)
{
    w->stride[d] = a->strides ? (uint64_t)a->strides[i] : 1;
    w->dilation[d] = a->dilations ? (uint64_t)a->dilations[i] : 1;
    const uint64_t in = w->in[d], reach = (w->kernel[d] - 1) * w->dilation[d] + 1, stride = w->stride[d];
    if (!strncmp(a->auto_pad, "SAME", 4)) {
        w->out[d] = in / stride + (in % stride != 0);
        const uint64_t needed = w->out[d] ? (w->out[d] - 1) * stride + reach : 0, pad = needed > in ? needed - in : 0;
        w->before[d] = strcmp(a->auto_pad, "SAME_LOWER") ? pad / 2 : pad - pad / 2;
        w->after[d] = pad - w->before[d];
        return FVLM_OK;
    }
    if (a->pads && !strcmp(a->auto_pad, "NOTSET")) {
        w->before[d] = (uint64_t)a->pads[i];
        w->after[d] = (uint64_t)a->pads[w->rank + i];
    }
    const uint64_t padded = in + w->before[d] + w->after[d];
    if (padded < reach)
        return fvlm_judge_refuse(c, "a window of %" PRIu64 " over %" PRIu64 " elements, padding included", reach,
                                 padded);
    w->out[d] = (padded - reach) / stride + 1;
    /* A window that begins beyond the input and its first padding does not count. */
    if (a->ceil_mode && (padded - reach) % stride && w->out[d] * stride < in + w->before[d]) w->out[d]++;
    return FVLM_OK;
}

fvlm_status fvlm_window_read(fvlm_window *w, const fvlm_judge_call *c, const fvlm_judge_value *x,
                             const uint64_t *kernel)
{
    char text[192];
    attributes a = {0};
    if (x->rank < 3 || x->rank > 2 + FVLM_WINDOW_DIMS)
        return fvlm_judge_refuse(c, "input 0 is %s, expected [N, C, ...] with 1 to %d more dimensions",
                                 fvlm_judge_shape_text(x, text), FVLM_WINDOW_DIMS);
    *w = (fvlm_window){.rank = x->rank - 2};
    fvlm_status st = read_attributes(&a, c, w->rank);
    if (st) return st;
    if (!kernel && !a.kernel) return fvlm_judge_refuse(c, "\"kernel_shape\" is missing");
    const unsigned missing = FVLM_WINDOW_DIMS - w->rank;
    for (unsigned d = 0; d < missing; d++) w->in[d] = w->out[d] = w->kernel[d] = w->stride[d] = w->dilation[d] = 1;
    for (unsigned i = 0; i < w->rank && !st; i++) {
        const unsigned d = missing + i;
        w->in[d] = x->dims[2 + i];
        w->kernel[d] = kernel ? kernel[i] : (uint64_t)a.kernel[i];
        if (kernel && a.kernel && (uint64_t)a.kernel[i] != kernel[i])
            return fvlm_judge_refuse(c, "\"kernel_shape\" is not the shape of the weights");
        if (w->kernel[d] < 1 || w->kernel[d] > MOST || w->in[d] > (uint64_t)1 << 40)
            return fvlm_judge_refuse(c, "a kernel of %" PRIu64 " over %" PRIu64 " elements", w->kernel[d], w->in[d]);
        st = place(w, d, i, &a, c);
    }
    uint64_t n;
    if (!st && (!fvlm_judge_count(&n, w->kernel, FVLM_WINDOW_DIMS) || !fvlm_judge_count(&n, w->out, FVLM_WINDOW_DIMS)))
        st = fvlm_judge_refuse(c, "a kernel or a result of more than 2^64 elements");
    return st;
}

unsigned fvlm_window_dims(const fvlm_window *w, uint64_t batch, uint64_t channels, uint64_t *dims)
{
    dims[0] = batch;
    dims[1] = channels;
    for (unsigned i = 0; i < w->rank; i++) dims[2 + i] = w->out[FVLM_WINDOW_DIMS - w->rank + i];
    return 2 + w->rank;
}
