/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_graphs.c - see onnx_graphs.h. */
#include "verify/onnx_graphs.h"

#include <stdlib.h>
#include <string.h>

#include "convert/graph/onnx_paths.h"
#include "format/base/grow.h"

static const fvlm_graph_value *input_at(const fvlm_graph *g, size_t i)
{
    return fvlm_graph_value_at(g, fvlm_graph_input_at(g, i));
}

static const fvlm_graph_value *output_at(const fvlm_graph *g, size_t i)
{
    return fvlm_graph_value_at(g, fvlm_graph_output_at(g, i));
}

static bool is_float(const fvlm_graph_value *v)
{
    return v->type == FVLM_ONNX_F32 || v->type == FVLM_ONNX_F16 || v->type == FVLM_ONNX_BF16;
}

static bool is_whole(const fvlm_graph_value *v)
{
    return v->type == FVLM_ONNX_I64 || v->type == FVLM_ONNX_I32;
}

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- vision and embedding ---- */

static bool is_vision(const fvlm_graph *g)
{
    const fvlm_graph_value *v = fvlm_graph_n_inputs(g) == 1 ? input_at(g, 0) : NULL;
    return v && is_float(v) && v->has_shape && v->rank == 4 && (v->dims[1] == 3 || v->dims[1] < 0);
}

static fvlm_status take_vision(fvlm_onnx_graphs *x, fvlm_err *err)
{
    const fvlm_graph *g = x->vision;
    const fvlm_graph_value *in = input_at(g, 0), *out = output_at(g, 0);
    if (fvlm_graph_n_outputs(g) != 1 || !is_float(out))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" puts out %zu values, the first \"%s\"; expected the rows of the picture only",
                         fvlm_graph_path(g), fvlm_graph_n_outputs(g), out->name);
    const int64_t h = in->dims[2], w = in->dims[3];
    if ((h > 0 && w > 0 && h != w) || h > FVLM_MAX_SIDE || w > FVLM_MAX_SIDE)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" takes pictures of %lld x %lld pixels; expected a square",
                         fvlm_graph_path(g), (long long)w, (long long)h);
    x->pixels = in->name;
    x->pixels_type = in->type;
    x->side = h > 0 ? (uint32_t)h : w > 0 ? (uint32_t)w : 0;
    x->features = out->name;
    x->features_id = fvlm_graph_output_at(g, 0);
    return FVLM_OK;
}

static bool is_embedding(const fvlm_graph *g)
{
    return fvlm_graph_n_inputs(g) == 1 && is_whole(input_at(g, 0)) && fvlm_graph_n_outputs(g) == 1 &&
           is_float(output_at(g, 0)) && fvlm_graph_n_nodes(g) <= 64;
}

static void take_embedding(fvlm_onnx_graphs *x)
{
    x->ids = input_at(x->embedding, 0)->name;
    const fvlm_graph_value *in = input_at(x->embedding, 0);
    x->ids_type = in->type;
    x->n_ids = in->has_shape && in->rank == 2 && in->dims[1] > 0 ? (uint64_t)in->dims[1] : 0;
    x->rows = output_at(x->embedding, 0)->name;
}

/* ---- the decoder ---- */

static bool is_cache(const fvlm_graph_value *v)
{
    return is_float(v) && v->has_shape && v->rank == 4 && contains(v->name, "past");
}

static bool is_decoder(const fvlm_graph *g)
{
    bool rows = false, logits = false;
    for (size_t i = 0; i < fvlm_graph_n_inputs(g); i++) {
        const fvlm_graph_value *v = input_at(g, i);
        rows |= v->has_shape && ((is_float(v) && v->rank == 3) || (is_whole(v) && contains(v->name, "input_ids")));
    }
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++) logits |= contains(output_at(g, i)->name, "logits");
    return rows && logits;
}

/* "past_key_values.3.key" and "present.3.key": what follows the first dot, or digit, is the same. */
static const char *tail_of(const char *name)
{
    const size_t n = strcspn(name, ".0123456789");
    return name + n + (name[n] == '.');
}

static fvlm_status add_cache(fvlm_onnx_graphs *x, const fvlm_graph_value *v, fvlm_err *err)
{
    const fvlm_graph *g = x->decoder;
    size_t capacity = x->n_caches;
    const char *out = NULL;
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++) {
        const fvlm_graph_value *o = output_at(g, i);
        if (contains(o->name, "present") && !strcmp(tail_of(o->name), tail_of(v->name))) out = o->name;
    }
    if (!fvlm_grow(&x->caches, &capacity, x->n_caches + 1, sizeof *x->caches)) return fvlm_fail_nomem(err);
    x->caches[x->n_caches++] = (fvlm_onnx_cache){.in = v->name,
                                                 .out = out,
                                                 .type = v->type,
                                                 .heads = v->dims[1] > 0 ? (uint64_t)v->dims[1] : 0,
                                                 .dim = v->dims[3] > 0 ? (uint64_t)v->dims[3] : 0};
    return FVLM_OK;
}

static fvlm_status take_decoder_input(fvlm_onnx_graphs *x, const fvlm_graph_value *v, fvlm_err *err)
{
    const char *path = fvlm_graph_path(x->decoder);
    if (is_cache(v)) return add_cache(x, v, err);
    if (is_float(v) && v->has_shape && v->rank == 3 && !x->embeds) {
        x->embeds = v->name;
        x->embeds_type = v->type;
        x->n_fixed = v->dims[1] > 0 ? (uint64_t)v->dims[1] : 0;
        return FVLM_OK;
    }
    if (contains(v->name, "attention_mask") && v->has_shape && v->rank == 2) {
        x->mask = v->name;
        x->mask_type = v->type;
        return FVLM_OK;
    }
    if (contains(v->name, "position_ids") && v->has_shape && v->rank == 2 && is_whole(v)) {
        x->positions = v->name;
        x->positions_type = v->type;
        return FVLM_OK;
    }
    if (contains(v->name, "logits_to_keep") && is_whole(v) && v->has_shape && v->rank == 0) {
        x->keep = v->name;
        x->keep_type = v->type;
        return FVLM_OK;
    }
    if (contains(v->name, "input_ids"))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" takes \"%s\"; a decoder that pictures can go into takes rows (inputs_embeds)", path,
                         v->name);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has an input \"%s\" that verify has no value for", path, v->name);
}

static fvlm_status take_decoder(fvlm_onnx_graphs *x, fvlm_err *err)
{
    const fvlm_graph *g = x->decoder;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < fvlm_graph_n_inputs(g) && !st; i++) st = take_decoder_input(x, input_at(g, i), err);
    x->keeps = x->n_caches > 0;
    for (size_t i = 0; i < x->n_caches; i++) x->keeps &= x->caches[i].out != NULL;
    for (size_t i = 0; i < fvlm_graph_n_outputs(g) && !x->logits; i++) {
        if (!contains(output_at(g, i)->name, "logits")) continue;
        x->logits = output_at(g, i)->name;
        x->logits_id = fvlm_graph_output_at(g, i);
    }
    if (!st && !x->embeds)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has no input of rows (inputs_embeds)", fvlm_graph_path(g));
    return st;
}

/* ---- how exactly a graph computes ---- */

static fvlm_precision precision_of(const fvlm_graph *g)
{
    static const char *const integers[] = {"DynamicQuantizeLinear", "QuantizeLinear", "ConvInteger", "MatMulInteger"};
    fvlm_precision worst = FVLM_PRECISION_EXACT;
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++)
            if (!strcmp(n->op, integers[k])) return FVLM_PRECISION_INT8;
        int64_t to = 0;
        if (strcmp(n->op, "Cast") || fvlm_graph_attr_int(&to, n, "to", 0, NULL)) continue;
        const fvlm_graph_value *from = fvlm_graph_value_at(g, n->inputs[0]);
        if (from->tensor) continue; /* a weight */
        if (to == FVLM_ONNX_F16 && worst < FVLM_PRECISION_F16) worst = FVLM_PRECISION_F16;
        if (to == FVLM_ONNX_BF16) worst = FVLM_PRECISION_BF16;
    }
    for (size_t i = 0; i < fvlm_graph_n_inputs(g) + fvlm_graph_n_outputs(g); i++) {
        const size_t n_in = fvlm_graph_n_inputs(g);
        const int32_t type = (i < n_in ? input_at(g, i) : output_at(g, i - n_in))->type;
        if (type == FVLM_ONNX_F16 && worst < FVLM_PRECISION_F16) worst = FVLM_PRECISION_F16;
        if (type == FVLM_ONNX_BF16) worst = FVLM_PRECISION_BF16;
    }
    return worst;
}

static void add_precision(fvlm_onnx_graphs *x, const fvlm_graph *g)
{
    const fvlm_precision p = g ? precision_of(g) : FVLM_PRECISION_EXACT;
    if (p > x->precision) x->precision = p;
}

/* ---- all of them ---- */

static fvlm_status add_graph(fvlm_onnx_graphs *x, const char *path, fvlm_err *err)
{
    fvlm_graph *g;
    fvlm_status st = fvlm_graph_open(&g, path, err);
    if (st) return st;
    fvlm_graph **slot = is_vision(g)      ? &x->vision
                        : is_embedding(g) ? &x->embedding
                        : is_decoder(g)   ? &x->decoder
                                          : NULL;
    const char *what = slot == &x->vision ? "vision encoder" : slot == &x->embedding ? "embedding" : "decoder";
    if (!slot)
        st = fvlm_fail(err, FVLM_UNSUPPORTED,
                       "\"%s\" is not a part of a FastVLM: neither a vision encoder (one picture in), nor an embedding "
                       "(token ids in, rows out), nor a decoder (rows in, \"logits\" out)",
                       path);
    else if (*slot)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" and \"%s\" are both a %s; give a folder with one of them",
                       fvlm_graph_path(*slot), path, what);
    else
        *slot = g;
    if (st) fvlm_graph_close(&g);
    return st;
}

static fvlm_status check_complete(const fvlm_onnx_graphs *x, const char *path, fvlm_err *err)
{
    if (!x->vision)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\" has no vision encoder; verify follows a picture through the model, so give the folder "
                         "with all parts, or the vision encoder",
                         path);
    if (!x->decoder == !x->embedding) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has %s, but no %s; outputs need both, or a vision encoder alone",
                     path, x->decoder ? "a decoder" : "an embedding",
                     x->decoder ? "embedding (embed_tokens.onnx)" : "decoder (decoder_model_merged.onnx)");
}

fvlm_status fvlm_onnx_graphs_open(fvlm_onnx_graphs *out, const char *path, const char *variant, fvlm_err *err)
{
    fvlm_onnx_paths paths;
    *out = (fvlm_onnx_graphs){0};
    fvlm_status st = fvlm_onnx_paths_find(&paths, path, variant, err);
    if (st) return st;
    for (size_t i = 0; i < paths.n && !st; i++) st = add_graph(out, paths.paths[i], err);
    fvlm_onnx_paths_free(&paths);
    if (!st) st = check_complete(out, path, err);
    if (!st) st = take_vision(out, err);
    if (!st && out->embedding) take_embedding(out);
    if (!st && out->decoder) st = take_decoder(out, err);
    add_precision(out, st ? NULL : out->vision);
    add_precision(out, st ? NULL : out->embedding);
    add_precision(out, st ? NULL : out->decoder);
    if (st) fvlm_onnx_graphs_close(out);
    return st;
}

void fvlm_onnx_graphs_close(fvlm_onnx_graphs *g)
{
    fvlm_graph_close(&g->vision);
    fvlm_graph_close(&g->embedding);
    fvlm_graph_close(&g->decoder);
    free(g->caches);
    *g = (fvlm_onnx_graphs){0};
}

fvlm_status fvlm_onnx_graphs_check_unchanged(const fvlm_onnx_graphs *g, fvlm_status st, fvlm_err *err)
{
    const fvlm_graph *all[] = {g->vision, g->embedding, g->decoder};
    for (size_t i = 0; i < 3; i++)
        if (all[i]) st = fvlm_graph_check_unchanged(all[i], st, err);
    return st;
}
