/* SPDX-License-Identifier: Apache-2.0 */
/* match_vision.c - see match.h: from the picture to the tokens.
 *
 *   vision = tower [linear GELU linear]
 *
 * with Reshape and Transpose anywhere, as long as they keep the pixels in the order of the picture's rows. */
#include <inttypes.h>
#include <string.h>

#include "convert/graph/match_tower.h"

#define DEFAULT_SIZE 1024

static fvlm_status match_linear(fvlm_tower *t, const char *name, const char *what)
{
    fvlm_linear layer;
    const fvlm_segment s = fvlm_tower_segment(t, &t->x, t->at);
    if (!s.y.v) return fvlm_match_expected(t->net, s.first, NULL, t->err, "%s, or the tokens as the output", what);
    fvlm_map m = s.y;
    fvlm_status st = fvlm_linear_match(&layer, t->net, &m, what, t->err);
    if (st) return st;
    fvlm_map_back(&m);
    if (!fvlm_map_same(&m, &t->x))
        return fvlm_match_expected(t->net, s.first, NULL, t->err, "%s, of the tower's features", what);
    layer.twice = t->twice;
    st = fvlm_emit_linear(t, &layer, 2, name);
    if (!st) fvlm_tower_advance(t, &s);
    return st;
}

static fvlm_status match_projector(fvlm_tower *t)
{
    fvlm_status st = match_linear(t, FVLM_MATCH_PROJECTOR "0", "the projector's first layer");
    if (!st) st = fvlm_tower_pass_gelu(t, "between the projector's layers");
    if (!st) st = match_linear(t, FVLM_MATCH_PROJECTOR "2", "the projector's second layer");
    t->m->has_projector = !st;
    return st;
}

/* The output is x: tokens [.., pixels, channels], or the map [1, channels, height, width]. */
static fvlm_status match_output(fvlm_tower *t, fvlm_net_value *output)
{
    fvlm_map m = t->x;
    const fvlm_segment s = fvlm_tower_segment(t, &t->x, t->at);
    if (s.first)
        return fvlm_match_expected(t->net, s.first, NULL, t->err,
                                   "the tokens, [%" PRIu64 ", %" PRIu64 "], as the output", m.pixels, m.channels);
    if (t->twice) return fvlm_tower_refuse_twice(t);
    if (!fvlm_map_forward(&m, output) || (!fvlm_map_has_order(&m, true) && output->rank != 4) ||
        (m.channels_last && output->dims[output->rank - 1] != m.channels) ||
        (m.channels_last && output->rank == 3 && output->dims[1] != m.pixels)) /* not one token of many pictures */
        return fvlm_match_expected(t->net, output, NULL, t->err,
                                   "the tokens in rows of the picture, [%" PRIu64 ", %" PRIu64 "]", m.pixels,
                                   m.channels);
    t->m->vision_width = m.channels;
    return FVLM_OK;
}

static fvlm_status match_tower(fvlm_tower *t, fvlm_net_value *input, fvlm_net_value *output)
{
    t->x = (fvlm_map){input, 3, input->dims[2] * input->dims[3], false};
    fvlm_status st = fvlm_chain_find(&t->chain, t->net, input, output, t->err);
    if (!st) st = fvlm_tower_match(t);
    if (st) return st;
    t->m->has_tower = true;
    const fvlm_segment s = fvlm_tower_segment(t, &t->x, t->at);
    if (s.first) st = match_projector(t);
    return st ? st : match_output(t, output);
}

/* The output with tokens: of three dimensions, else the feature map; the one that is computed last. Pooled ones may
 * stand beside it. */
static fvlm_net_value *choose_output(const fvlm_net *net, const fvlm_graph *g)
{
    fvlm_net_value *best = NULL;
    int best_likeness = -1;
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++) {
        fvlm_net_value *v = fvlm_net_output_value(net, fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->name);
        if (!v || !v->producer) continue;
        const int likeness = v->rank == 3 ? 2 : v->rank == 4 && v->dims[2] * v->dims[3] > 1;
        if (likeness < best_likeness || (likeness == best_likeness && v->producer->index < best->producer->index))
            continue;
        best = v;
        best_likeness = likeness;
    }
    return best;
}

/* The concrete picture. */
static fvlm_status choose_input(fvlm_net_input *out, const fvlm_graph_value *v, uint32_t image_size, fvlm_err *err)
{
    const uint64_t side = v->dims[2] > 0   ? (uint64_t)v->dims[2]
                          : v->dims[3] > 0 ? (uint64_t)v->dims[3]
                          : image_size     ? image_size
                                           : DEFAULT_SIZE;
    *out = (fvlm_net_input){.name = v->name, .rank = 4, .dims = {1, 3, side, side}};
    for (unsigned i = 0; i < 4; i++)
        if (v->dims[i] >= 0 && (uint64_t)v->dims[i] != out->dims[i])
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "input \"%s\" has the shape [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                             "]; one square picture, [1, 3, S, S], or dynamic sizes are needed",
                             v->name, v->dims[0], v->dims[1], v->dims[2], v->dims[3]);
    if (side > FVLM_MAX_SIDE)
        return fvlm_fail(err, FVLM_LIMIT,
                         "input \"%s\" is a picture of %" PRIu64 " pixels a side; at most %d are supported", v->name,
                         side, FVLM_MAX_SIDE);
    return FVLM_OK;
}

/* Refuses integers for the pixels that cannot hold 0 to 1: the graph cuts pixels off then, or was calibrated with
 * others than FastVLM's. A sixteenth at either end, and steps of as much, are within what calibration pictures may
 * lack. */
static fvlm_status check_pixels(const fvlm_tower *t, const fvlm_net_value *input)
{
    const double slack = 1.0 / 16;
    const fvlm_graph *g = fvlm_net_graph(t->net);
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        if (strcmp(n->op, "QuantizeLinear") != 0 || fvlm_net_value_of(t->net, n->inputs[0]) != input) continue;
        const fvlm_net_value *q = fvlm_net_value_of(t->net, n->outputs[0]);
        const fvlm_net_value *scale = fvlm_net_value_of(t->net, n->inputs[1]);
        const fvlm_net_value *zero = n->n_inputs > 2 ? fvlm_net_value_of(t->net, n->inputs[2]) : NULL;
        double least, most;
        if (!fvlm_onnx_type_limits(q->type, &least, &most)) continue;
        for (uint64_t c = 0; c < scale->n_elems; c++) {
            const double step = scale->numbers[c], z = !zero ? 0 : zero->numbers[zero->n_elems > 1 ? c : 0];
            const double low = (least - z) * step, high = (most - z) * step;
            char where[192];
            if (low > slack || high < 1 - slack || step > slack)
                return fvlm_fail(t->err, FVLM_UNSUPPORTED,
                                 "%s: it holds pixels from %.3g to %.3g in steps of %.3g, and FastVLM's are from 0 "
                                 "to 1; calibrate the graph with such pictures",
                                 fvlm_graph_node_text(g, n, where), low, high, step);
        }
    }
    return FVLM_OK;
}

fvlm_status fvlm_match_vision(fvlm_match *m, const fvlm_graph *g, uint32_t image_size, fvlm_err *err)
{
    if (fvlm_match_role(g) != FVLM_GRAPH_VISION)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" is not a vision encoder: its only input must be a picture, [batch, 3, height, width]",
                         fvlm_graph_path(g));
    const fvlm_graph_value *v = fvlm_graph_value_at(g, fvlm_graph_input_at(g, 0));
    fvlm_net_input picture;
    fvlm_net *net = NULL;
    fvlm_status st = choose_input(&picture, v, image_size, err);
    if (!st) st = fvlm_net_create(&net, g, &picture, 1, err);
    if (st) return st;
    fvlm_tower t = {.net = net, .m = m, .err = err};
    fvlm_net_value *input = fvlm_net_input_value(net, v->name), *output = choose_output(net, g);
    if (input && output)
        st = check_pixels(&t, input);
    else
        st =
            fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" puts nothing out that depends on its picture", fvlm_graph_path(g));
    if (!st) st = match_tower(&t, input, output);
    if (!st) m->image_size = (uint32_t)picture.dims[2];
    if (!st) m->n_narrowed = fvlm_net_n_narrowed(net, &m->narrowed);
    fvlm_chain_free(&t.chain);
    fvlm_net_destroy(&net);
    return st;
}
