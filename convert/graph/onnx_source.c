/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_source.c - see onnx_source.h. */
#include "convert/graph/onnx_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/onnx_files.h"
#include "convert/graph/onnx_weights.h"

#define EMBED "model.embed_tokens.weight"
#define HEAD "lm_head.weight"

typedef struct {
    fvlm_onnx_files files;
    fvlm_source *src;
    fvlm_onnx_weights_graph graphs[FVLM_ONNX_MAX_GRAPHS]; /* by role: vision, embedding, decoder; graph NULL: none */
    const char *variants[FVLM_ONNX_MAX_GRAPHS];
    fvlm_match match;
    uint32_t side; /* of pictures, as config.json has it; 0: it does not say */
    bool tied;     /* config.json says so */
    fvlm_err *err;
} opener;

enum { VISION, EMBEDDING, DECODER };
static const char *const part_names[] = {"vision encoder", "token embedding", "decoder"};

/* ---- config.json, before it is read in full ---- */

static fvlm_status peek_config(opener *o)
{
    json_t *config;
    fvlm_status st = fvlm_source_peek_json(&config, o->src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, o->err);
    const char *tower = json_string_value(json_object_get(config, "mm_vision_tower"));
    const char *digits = tower ? strrchr(tower, '_') : NULL;
    const long side = digits ? strtol(digits + 1, NULL, 10) : 0;
    if (side > 0 && side <= FVLM_MAX_SIDE) o->side = (uint32_t)side;
    o->tied = json_is_true(json_object_get(config, "tie_word_embeddings"));
    json_decref(config);
    return st;
}

/* ---- the graphs ---- */

/* Opens one file. skip_foreign: a graph of another network is left out with a warning, not refused. */
static fvlm_status open_graph(opener *o, const fvlm_onnx_file *f, bool skip_foreign)
{
    fvlm_graph *g;
    const bool here = !strcmp(o->files.folder, ".");
    char *path = here ? fvlm_strdup(f->name) : fvlm_asprintf("%s/%s", o->files.folder, f->name);
    if (!path) return fvlm_fail_nomem(o->err);
    fvlm_status st = fvlm_graph_open(&g, o->files.one_file ? o->files.given : path, o->err);
    free(path);
    if (st) return st;
    fvlm_graph_role role = f->role;
    if (role == FVLM_GRAPH_FOREIGN) role = fvlm_match_role(g);
    const size_t i = role == FVLM_GRAPH_VISION ? VISION : role == FVLM_GRAPH_EMBEDDING ? EMBEDDING : DECODER;
    if (role == FVLM_GRAPH_FOREIGN && skip_foreign)
        st = fvlm_source_warn(o->src, o->err, "\"%s\" is not used: it is not a part of a FastVLM", f->name);
    else if (role == FVLM_GRAPH_FOREIGN)
        st = fvlm_match_refuse_foreign(g, o->err);
    else if (o->graphs[i].graph)
        st = fvlm_fail(
            o->err, FVLM_BAD_INPUT,
            "\"%s\" has two files that are a %s: \"%s\" and \"%s\"; give a folder with the parts of one model",
            o->files.given, part_names[i], o->graphs[i].name, f->name);
    if (st || role == FVLM_GRAPH_FOREIGN) {
        fvlm_graph_close(&g);
        return st;
    }
    o->graphs[i] = (fvlm_onnx_weights_graph){.graph = g, .name = f->name};
    o->variants[i] = f->variant;
    return FVLM_OK;
}

static fvlm_status open_graphs(opener *o)
{
    const bool guess = o->files.n_files > 1 && !o->files.files[0].variant;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < o->files.n_files && !st; i++) st = open_graph(o, &o->files.files[i], guess);
    if (!st && !o->graphs[VISION].graph && !o->graphs[EMBEDDING].graph && !o->graphs[DECODER].graph)
        st = fvlm_fail(o->err, FVLM_UNSUPPORTED, "\"%s\": none of its %zu .onnx files is a part of a FastVLM",
                       o->files.given, o->files.n_files);
    return st;
}

/* A vision encoder alone is a model; a decoder needs one. */
static fvlm_status check_parts(const opener *o)
{
    const char *decoder = o->graphs[DECODER].name, *embedding = o->graphs[EMBEDDING].name;
    if (o->graphs[VISION].graph && (decoder || !embedding)) return FVLM_OK;
    if (o->files.one_file)
        return fvlm_fail(o->err, FVLM_BAD_INPUT,
                         "\"%s\" is a %s alone; give the folder that holds the vision encoder, too", o->files.given,
                         part_names[decoder ? DECODER : EMBEDDING]);
    if (!o->graphs[VISION].graph)
        return fvlm_fail(o->err, FVLM_BAD_INPUT,
                         "\"%s\" has a %s (\"%s\"), but no vision encoder, such as vision_encoder.onnx", o->files.given,
                         part_names[decoder ? DECODER : EMBEDDING], decoder ? decoder : embedding);
    return fvlm_fail(
        o->err, FVLM_BAD_INPUT,
        "\"%s\" has a token embedding (\"%s\"), but no decoder, such as decoder_model_merged.onnx; without "
        "both, the vision encoder is converted alone",
        o->files.given, embedding);
}

/* The decoder may hold the embedding; a head that config.json ties is one. */
static fvlm_status check_embedding(const opener *o)
{
    const fvlm_match *m = &o->match;
    if (!m->has_llm || m->has_embedding || (o->tied && m->has_head)) return FVLM_OK;
    return fvlm_fail(o->err, FVLM_BAD_INPUT,
                     "\"%s\" has no token embedding: embed_tokens.onnx is missing, and \"%s\" takes embeddings",
                     o->files.given, o->graphs[DECODER].name);
}

static fvlm_match_tensor *find(fvlm_match *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->tensors[i].name, name)) return &m->tensors[i];
    return NULL;
}

/* Exporters cut the embedding and the head to the tokenizer each in its own way; both get the smaller number of rows.
 */
static void level_rows(fvlm_match *m)
{
    fvlm_match_tensor *t[] = {find(m, EMBED), find(m, HEAD)};
    if (!t[0] || !t[1] || t[0]->n_parts != 1 || t[1]->n_parts != 1) return;
    fvlm_match_tensor *longer = t[t[1]->dims[0] > t[0]->dims[0]];
    const uint64_t rows = t[t[1]->dims[0] <= t[0]->dims[0]]->dims[0];
    longer->dims[0] = longer->parts[0].n_rows = rows;
}

/* A graph of FLOAT weights that casts activations to 16 bits on the way; one of FLOAT16 rounds them all, of course. The
 * graph's tensors are those from 'from' on. */
static fvlm_status warn_of_narrow(const opener *o, const fvlm_graph *g, const char *name, size_t from)
{
    const fvlm_match *m = &o->match;
    size_t n_wide = 0, n = 0;
    char where[192];
    for (size_t i = from; i < m->n; i++) {
        const fvlm_net_weight *w = &m->tensors[i].parts[0].weight;
        if (!m->tensors[i].n_parts) continue;
        n_wide += (w->packed.kind ? w->packed.scales : w->tensor)->type == FVLM_ONNX_F32;
        n++;
    }
    if (!m->n_narrowed || n_wide <= n / 2) return FVLM_OK;
    return fvlm_source_warn(
        o->src, o->err, "\"%s\" casts activations to 16 bits %zu time%s, first at %s; fvlm computes them in f32", name,
        m->n_narrowed, m->n_narrowed == 1 ? "" : "s", fvlm_graph_node_text(g, m->narrowed, where));
}

static fvlm_status match_graphs(opener *o)
{
    fvlm_match *m = &o->match;
    size_t from = 0;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < FVLM_ONNX_MAX_GRAPHS && !st; i++) {
        fvlm_onnx_weights_graph *w = &o->graphs[i];
        if (!w->graph) continue;
        st = i == VISION      ? fvlm_match_vision(m, w->graph, o->side, o->err)
             : i == EMBEDDING ? fvlm_match_embedding(m, w->graph, o->err)
                              : fvlm_match_decoder(m, w->graph, o->err);
        if (st) return fvlm_err_prefix(o->err, "\"%s\"", fvlm_graph_path(w->graph));
        w->end = m->n;
        st = warn_of_narrow(o, w->graph, w->name, from);
        from = m->n;
    }
    st = check_embedding(o);
    level_rows(m);
    return st;
}

/* ---- notes and warnings ---- */

/* Nodes that round an activation to integers. */
static size_t count_rounding(const fvlm_graph *g)
{
    size_t n = 0;
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) {
        const char *op = fvlm_graph_node_at(g, i)->op;
        n += !strcmp(op, "DynamicQuantizeLinear") || !strcmp(op, "QuantizeLinear");
    }
    return n;
}

static fvlm_status add_note(opener *o, size_t i, size_t n_weights)
{
    const fvlm_onnx_weights_graph *w = &o->graphs[i];
    char rounding[120] = "", variant[80] = "";
    const char *producer = fvlm_graph_producer(w->graph);
    const size_t n = count_rounding(w->graph), n_nodes = fvlm_graph_n_nodes(w->graph);
    if (n) snprintf(rounding, sizeof rounding, "; activations stay floats (the graph rounds them %zu times)", n);
    if (o->files.wanted && o->variants[i] && strcmp(o->files.wanted, o->variants[i]))
        snprintf(variant, sizeof variant, " in %s, since there is no %s", o->variants[i], o->files.wanted);
    return fvlm_source_note(
        o->src, o->err, "%s: %s%s, by %.60s, opset %" PRId64 ", %zu weight%s by structure from %zu node%s%s", w->name,
        part_names[i], variant, producer[0] ? producer : "an unnamed exporter", fvlm_graph_opset(w->graph, ""),
        n_weights, n_weights == 1 ? "" : "s", n_nodes, n_nodes == 1 ? "" : "s", rounding);
}

static fvlm_status add_notes(opener *o)
{
    size_t from = 0;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < FVLM_ONNX_MAX_GRAPHS && !st; i++) {
        if (!o->graphs[i].graph) continue;
        st = add_note(o, i, o->graphs[i].end - from);
        from = o->graphs[i].end;
    }
    const fvlm_onnx_files *f = &o->files;
    if (!st && f->unused)
        st = fvlm_source_warn(o->src, o->err, "%zu .onnx file%s not used: \"%.200s\"%s", f->n_unused,
                              f->n_unused == 1 ? " is" : "s are", f->unused, f->n_unused == 1 ? "" : " and more");
    if (!st && o->match.has_llm && !o->match.has_embedding)
        st = fvlm_source_warn(
            o->src, o->err,
            "embed_tokens.onnx is missing; the head is taken for the embedding, since config.json "
            "ties them. If only the head is quantized, that is not the embedding itself; 'fvlm verify --image' needs "
            "the file");
    return st;
}

static void take_facts(opener *o, fvlm_onnx_facts *facts)
{
    fvlm_match *m = &o->match;
    const fvlm_match_tensor *embed = find(m, EMBED), *head = find(m, HEAD),
                            *first = find(m, "model.mm_projector.0.weight");
    const fvlm_match_tensor *rows = embed ? embed : head;
    *facts = (fvlm_onnx_facts){.has_llm = m->has_llm, .config.llm = m->config.llm};
    facts->config.vision.image_size = m->image_size;
    if (m->has_projector && first) {
        facts->config.projector.in = (uint32_t)first->dims[1];
        facts->config.projector.hidden = (uint32_t)first->dims[0];
        facts->config.projector.out = (uint32_t)m->vision_width;
    }
    if (rows) facts->rows = (uint32_t)rows->dims[0];
    snprintf(facts->vision, sizeof facts->vision, "%.250s", o->graphs[VISION].name);
    if (o->graphs[DECODER].name) snprintf(facts->decoder, sizeof facts->decoder, "%.250s", o->graphs[DECODER].name);
}

/* For a vision part alone, if config.json gives the side of its pictures: that makes config.json a source, too. */
static fvlm_status check_side(const opener *o, const fvlm_onnx_facts *facts)
{
    json_t *config;
    if (facts->has_llm || !o->side) return FVLM_OK;
    const fvlm_config said = {.vision.image_size = o->side};
    uint32_t rows = 0;
    const fvlm_status st = fvlm_source_json(&config, o->src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, o->err);
    json_decref(config);
    return st ? st : fvlm_onnx_check(facts, &said, &rows, o->err);
}

/* ---- the entry ---- */

static fvlm_status give_weights(opener *o)
{
    fvlm_onnx_weights *w;
    fvlm_onnx_weights_graph graphs[FVLM_ONNX_MAX_GRAPHS];
    size_t n = 0;
    for (size_t i = 0; i < FVLM_ONNX_MAX_GRAPHS; i++) {
        if (!o->graphs[i].graph) continue;
        graphs[n++] = o->graphs[i];
        o->graphs[i].graph = NULL;
    }
    fvlm_status st = fvlm_onnx_weights_create(&w, &o->match, graphs, n, o->err);
    return st ? st : fvlm_onnx_weights_give(&w, o->src, o->err);
}

fvlm_status fvlm_onnx_open(fvlm_source **out, fvlm_onnx_facts *facts, const char *path, const char *variant,
                           fvlm_err *err)
{
    *out = NULL;
    opener o = {.err = err};
    fvlm_status st = fvlm_onnx_files_find(&o.files, path, variant, err);
    if (!st) st = fvlm_source_open_bare(&o.src, o.files.folder, err);
    if (!st) st = peek_config(&o);
    if (!st) st = open_graphs(&o);
    if (!st) st = check_parts(&o);
    if (!st) st = match_graphs(&o);
    if (!st) take_facts(&o, facts);
    if (!st) st = check_side(&o, facts);
    if (!st) st = add_notes(&o);
    if (!st) st = give_weights(&o);
    for (size_t i = 0; i < FVLM_ONNX_MAX_GRAPHS; i++) {
        if (o.graphs[i].graph) st = fvlm_graph_check_unchanged(o.graphs[i].graph, st, err);
        fvlm_graph_close(&o.graphs[i].graph);
    }
    fvlm_match_free(&o.match);
    fvlm_onnx_files_free(&o.files);
    if (st)
        fvlm_source_close(&o.src);
    else
        *out = o.src;
    return st;
}
