/* SPDX-License-Identifier: Apache-2.0 */
/* squeeze.c - see map.h: squeeze-and-excitation, https://arxiv.org/abs/1709.01507. */
#include <string.h>

#include "convert/graph/map.h"

/* m, one pixel, is the mean of all pixels of the map 'of'. */
static bool is_pixel_mean(fvlm_map m, const fvlm_map *of)
{
    uint32_t pixels, averaged = 0;
    fvlm_map_back(&m);
    while (fvlm_net_is(m.v, "ReduceMean") && m.v != of->v) { /* of rows, then of columns */
        averaged |= m.v->producer->axes;
        m.v = m.v->producer->inputs[0];
    }
    if (m.v != of->v || !fvlm_map_pixel_axes(of, &pixels) || (averaged & pixels) != pixels) return false;
    for (unsigned d = 0; d < of->v->rank; d++)
        if ((averaged & 1u << d) && !(pixels & 1u << d) && of->v->dims[d] != 1) return false;
    return true;
}

static fvlm_status match_gate(fvlm_squeeze *out, const fvlm_net *net, fvlm_map *m, fvlm_err *err)
{
    fvlm_map_back(m);
    if (!fvlm_net_is(m->v, "Sigmoid"))
        return fvlm_match_expected(net, m->v, NULL, err, "the Sigmoid of squeeze-and-excitation");
    m->v = m->v->producer->inputs[0];
    fvlm_status st = fvlm_linear_match(&out->expand, net, m, "squeeze-and-excitation's second layer", err);
    if (st) return st;
    fvlm_map_back(m);
    if (!fvlm_net_is(m->v, "Relu"))
        return fvlm_match_expected(net, m->v, NULL, err, "the Relu of squeeze-and-excitation");
    m->v = m->v->producer->inputs[0];
    return fvlm_linear_match(&out->reduce, net, m, "squeeze-and-excitation's first layer", err);
}

fvlm_status fvlm_squeeze_match(fvlm_squeeze *out, const fvlm_net *net, fvlm_map *m, fvlm_err *err)
{
    fvlm_map_back(m);
    if (!fvlm_net_is(m->v, "Mul"))
        return fvlm_match_expected(net, m->v, NULL, err, "squeeze-and-excitation, a product with a gate");
    fvlm_net_value *const *input = m->v->producer->inputs;
    const int k = input[0]->n_elems < input[1]->n_elems || fvlm_net_is(input[0], "Sigmoid"); /* input k is the map */
    fvlm_map of = {input[k == 1], m->channels, m->pixels, m->channels_last};
    fvlm_map gate = {input[k != 1], m->channels, 1, m->channels_last};
    if (of.v->n_elems != m->v->n_elems || !fvlm_map_is_per_channel(m, gate.v))
        return fvlm_match_expected(net, m->v, "a product of other shapes", err,
                                   "squeeze-and-excitation, a product with one number for each channel");
    fvlm_status st = match_gate(out, net, &gate, err);
    if (st) return st;
    fvlm_map_back(&of); /* the mean may be that of the same map in another shape */
    const fvlm_map source = {input[k == 1], m->channels, m->pixels, m->channels_last};
    if (!is_pixel_mean(gate, &source) && !is_pixel_mean(gate, &of))
        return fvlm_match_expected(net, gate.v, NULL, err, "the mean of all pixels, for squeeze-and-excitation");
    *m = of;
    return FVLM_OK;
}
