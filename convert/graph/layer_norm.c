/* SPDX-License-Identifier: Apache-2.0 */
/* layer_norm.c - see map.h: (x - mean) / sqrt(variance + eps) * gain + shift over the channels. */
#include <stdio.h>
#include <string.h>

#include "convert/graph/map.h"

#define EPS 1e-5 /* LayerNormChannel of Apple's mci.py */

/* v is the mean of its input over the channels, once a pixel; *x is the input. */
static bool is_channel_mean(const fvlm_net_value *v, const fvlm_map *m, fvlm_net_value **x)
{
    uint32_t pixels;
    if (!fvlm_net_is(v, "ReduceMean")) return false;
    const fvlm_net_node *n = v->producer;
    fvlm_map in = {n->inputs[0], m->channels, m->pixels, m->channels_last};
    if (n->inputs[0]->rank != m->v->rank || !fvlm_map_pixel_axes(&in, &pixels)) return false;
    /* Dimensions of 1 may be averaged as well. */
    uint64_t averaged = 1;
    for (unsigned d = 0; d < in.v->rank; d++)
        if (n->axes & 1u << d) averaged *= in.v->dims[d];
    *x = in.v;
    return averaged == m->channels && (n->axes & pixels) == 0 && v->rank == m->v->rank;
}

/* v = x - mean(x), and x is a map. */
static bool is_centred(const fvlm_net_value *v, const fvlm_map *m, fvlm_net_value **x)
{
    fvlm_net_value *of;
    if (!fvlm_net_is(v, "Sub")) return false;
    *x = v->producer->inputs[0];
    return is_channel_mean(v->producer->inputs[1], m, &of) && of == *x;
}

static bool is_power(const fvlm_net_value *v, double exponent, fvlm_net_value **x)
{
    fvlm_scalar s;
    if (!fvlm_net_is(v, "Pow") || !fvlm_scalar_of(&s, v->producer->inputs[1])) return false;
    *x = v->producer->inputs[0];
    return s.x == exponent;
}

/* v = x * x. */
static bool is_square(const fvlm_net_value *v, fvlm_net_value **x)
{
    if (is_power(v, 2, x)) return true;
    if (!fvlm_net_is(v, "Mul") || v->producer->inputs[0] != v->producer->inputs[1]) return false;
    *x = v->producer->inputs[0];
    return true;
}

/* v = mean((x - mean(x))^2) + eps. */
static bool is_variance(const fvlm_net_value *v, const fvlm_map *m, const fvlm_net_value *x, fvlm_scalar *eps)
{
    fvlm_net_value *constant, *mean, *squares, *centred, *of;
    return fvlm_net_is(v, "Add") && fvlm_net_split_const(v->producer, &constant, &mean) &&
           fvlm_scalar_of(eps, constant) && is_channel_mean(mean, m, &squares) && is_square(squares, &centred) &&
           is_centred(centred, m, &of) && of == x;
}

/* v = (x - mean(x)) / sqrt(variance + eps): divided, or multiplied by the inverse. */
static bool is_normalized(const fvlm_net_value *v, const fvlm_map *m, fvlm_net_value **x, fvlm_scalar *eps)
{
    fvlm_net_value *root, *in;
    if (!v->producer || v->producer->n_inputs != 2) return false;
    fvlm_net_value *const *input = v->producer->inputs;
    if (fvlm_net_is(v, "Div")) {
        if (!is_centred(input[0], m, x)) return false;
        root = input[1];
        if (fvlm_net_is(root, "Sqrt")) return is_variance(root->producer->inputs[0], m, *x, eps);
        return is_power(root, 0.5, &in) && is_variance(in, m, *x, eps);
    }
    for (int k = 0; k < 2 && fvlm_net_is(v, "Mul"); k++) {
        if (!is_centred(input[k], m, x)) continue;
        root = input[1 - k];
        if (is_power(root, -0.5, &in)) return is_variance(in, m, *x, eps);
        if (!fvlm_net_is(root, "Reciprocal")) return false;
        root = root->producer->inputs[0];
        return fvlm_net_is(root, "Sqrt") && is_variance(root->producer->inputs[0], m, *x, eps);
    }
    return false;
}

/* The operator, over the last dimension. */
static bool is_operator(const fvlm_net_value *v, const fvlm_map *m, fvlm_layer_norm *out, fvlm_scalar *eps)
{
    if (!fvlm_net_is(v, "LayerNormalization")) return false;
    fvlm_net_node *n = v->producer;
    if (!fvlm_map_has_order(m, true) || n->axis + 1 != v->rank || v->dims[n->axis] != m->channels) return false;
    for (size_t i = 1; i < n->n_inputs && i < 3; i++)
        if (n->inputs[i] && (!n->inputs[i]->is_const || n->inputs[i]->n_elems != m->channels)) return false;
    *eps = (fvlm_scalar){.x = n->epsilon};
    /* the operator needs a gain, even where it is 1 */
    out->gain = n->n_inputs > 1 && !fvlm_net_all(n->inputs[1], 1) ? n->inputs[1] : NULL;
    out->shift = n->n_inputs > 2 ? n->inputs[2] : NULL;
    return true;
}

fvlm_status fvlm_layer_norm_match(fvlm_layer_norm *out, const fvlm_net *net, fvlm_map *m, const char *what,
                                  fvlm_err *err)
{
    *out = (fvlm_layer_norm){0};
    fvlm_map_back(m);
    fvlm_net_value *top = m->v, *x = NULL;
    fvlm_scalar eps = {0};
    if (is_operator(top, m, out, &eps)) {
        x = top->producer->inputs[0];
    } else {
        out->shift = fvlm_map_pass_constant(m, "Add");
        out->gain = fvlm_map_pass_constant(m, "Mul");
        if (!is_normalized(m->v, m, &x, &eps))
            return fvlm_match_expected(net, m->v, NULL, err, "%s, a LayerNorm over the %llu channels of each pixel",
                                       what, (unsigned long long)m->channels);
    }
    out->node = top->producer;
    if (!fvlm_scalar_is(eps, EPS)) {
        char found[40];
        snprintf(found, sizeof found, "eps %g", eps.x);
        return fvlm_match_expected(net, m->v, found, err, "%s with eps 1e-05", what);
    }
    m->v = x;
    return FVLM_OK;
}
