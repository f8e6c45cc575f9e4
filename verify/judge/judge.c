/* SPDX-License-Identifier: Apache-2.0 */
/* judge.c - runs the nodes in order and frees each value after its last use. */
#include "verify/judge/judge.h"

#include <inttypes.h>
#include <stdlib.h>

#include "verify/judge/call.h"

enum { KEPT = SIZE_MAX }; /* as a last use: an output of the graph */

struct fvlm_judge {
    const fvlm_graph *graph;
    fvlm_judge_options options;
    fvlm_judge_memory memory;
    const fvlm_judge_row **rows; /* of each node */
    size_t *last_use;            /* of each value: the node after which it is freed */
    fvlm_judge_value *values;    /* of each value: empty unless it is alive */
    fvlm_judge_value *inputs;    /* of each input of the graph, in the order of fvlm_graph_input_at */
    size_t widest_in, widest_out;
};

/* ---- create ---- */

static fvlm_status find_rows(fvlm_judge *j, fvlm_err *err)
{
    const size_t n_nodes = fvlm_graph_n_nodes(j->graph);
    for (size_t i = 0; i < n_nodes; i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(j->graph, i);
        fvlm_status st = fvlm_judge_find_row(&j->rows[i], j->graph, n, err);
        if (st) return st;
        if (j->widest_in < n->n_inputs) j->widest_in = n->n_inputs;
        if (j->widest_out < n->n_outputs) j->widest_out = n->n_outputs;
        for (size_t k = 0; k < n->n_outputs; k++)
            if (n->outputs[k] != FVLM_GRAPH_NONE) j->last_use[n->outputs[k]] = i;
        for (size_t k = 0; k < n->n_inputs; k++)
            if (n->inputs[k] != FVLM_GRAPH_NONE) j->last_use[n->inputs[k]] = i;
    }
    for (size_t i = 0; i < fvlm_graph_n_outputs(j->graph); i++) j->last_use[fvlm_graph_output_at(j->graph, i)] = KEPT;
    return FVLM_OK;
}

fvlm_status fvlm_judge_create(fvlm_judge **out, const fvlm_graph *g, const fvlm_judge_options *o, fvlm_err *err)
{
    *out = NULL;
    fvlm_judge *j = fvlm_alloc(1, sizeof *j);
    if (!j) return fvlm_fail_nomem(err);
    j->graph = g;
    j->options = *o;
    j->memory.limit = o->max_bytes;
    j->rows = fvlm_alloc(fvlm_graph_n_nodes(g), sizeof *j->rows);
    j->last_use = fvlm_alloc(fvlm_graph_n_values(g), sizeof *j->last_use);
    j->values = fvlm_alloc(fvlm_graph_n_values(g), sizeof *j->values);
    j->inputs = fvlm_alloc(fvlm_graph_n_inputs(g), sizeof *j->inputs);
    fvlm_status st = j->rows && j->last_use && j->values && j->inputs ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = find_rows(j, err);
    if (st) fvlm_judge_destroy(&j);
    *out = j;
    return st;
}

static void free_values(fvlm_judge *j)
{
    for (size_t i = 0; j->values && i < fvlm_graph_n_values(j->graph); i++) fvlm_judge_value_free(&j->values[i]);
}

void fvlm_judge_destroy(fvlm_judge **judge)
{
    fvlm_judge *j = *judge;
    if (!j) return;
    free_values(j);
    for (size_t i = 0; j->inputs && i < fvlm_graph_n_inputs(j->graph); i++) fvlm_judge_value_free(&j->inputs[i]);
    free(j->rows);
    free(j->last_use);
    free(j->values);
    free(j->inputs);
    free(j);
    *judge = NULL;
}

/* ---- inputs and outputs ---- */

static fvlm_status check_declared(const fvlm_graph_value *v, const fvlm_judge_value *given, fvlm_err *err)
{
    char shape[192];
    if (v->type && v->type != given->type)
        return fvlm_fail(err, FVLM_BAD_INPUT, "input \"%s\" is %s, not %s", v->name, fvlm_onnx_type_name(v->type),
                         fvlm_onnx_type_name(given->type));
    bool fits = !v->has_shape || v->rank == given->rank;
    for (unsigned i = 0; v->has_shape && fits && i < v->rank; i++)
        fits = v->dims[i] < 0 || (uint64_t)v->dims[i] == given->dims[i];
    if (fits) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "input \"%s\": %s is not the shape that the graph declares", v->name,
                     fvlm_judge_shape_text(given, shape));
}

static fvlm_status copy_input(fvlm_judge *j, size_t i, const fvlm_judge_tensor *t, fvlm_err *err)
{
    fvlm_judge_value copy;
    const fvlm_graph_value *declared = fvlm_graph_value_at(j->graph, fvlm_graph_input_at(j->graph, i));
    fvlm_status st = fvlm_judge_value_make(&copy, &j->memory, t->type, t->rank, t->dims, err);
    if (st) return fvlm_err_prefix(err, "input \"%s\"", declared->name);
    if (copy.n != t->n_elems)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "input \"%s\": %" PRIu64 " elements, expected %" PRIu64, declared->name,
                       t->n_elems, copy.n);
    if (!st) st = check_declared(declared, &copy, err);
    if (st) {
        fvlm_judge_value_free(&copy);
        return st;
    }
    if (copy.n) memcpy(copy.data, t->data, (size_t)copy.n * fvlm_judge_form_bytes(fvlm_judge_form_of(t->type)));
    fvlm_judge_round_halves(copy.data, copy.type, copy.n);
    fvlm_judge_value_free(&j->inputs[i]);
    j->inputs[i] = copy;
    return FVLM_OK;
}

fvlm_status fvlm_judge_set_input(fvlm_judge *j, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    for (size_t i = 0; i < fvlm_graph_n_inputs(j->graph); i++)
        if (!strcmp(fvlm_graph_value_at(j->graph, fvlm_graph_input_at(j->graph, i))->name, name))
            return copy_input(j, i, t, err);
    return fvlm_fail(err, FVLM_BAD_INPUT, "the graph has no input \"%s\"", name);
}

static fvlm_judge_tensor shown(const fvlm_judge_value *v)
{
    fvlm_judge_tensor t = {.type = v->type, .rank = v->rank, .n_elems = v->n, .data = v->data};
    memcpy(t.dims, v->dims, sizeof t.dims);
    return t;
}

fvlm_status fvlm_judge_get_output(const fvlm_judge *j, const char *name, fvlm_judge_tensor *out, fvlm_err *err)
{
    for (size_t i = 0; i < fvlm_graph_n_outputs(j->graph); i++) {
        const uint32_t id = fvlm_graph_output_at(j->graph, i);
        if (strcmp(fvlm_graph_value_at(j->graph, id)->name, name)) continue;
        if (!j->values[id].data) return fvlm_fail(err, FVLM_USAGE, "output \"%s\" has not been computed", name);
        *out = shown(&j->values[id]);
        return FVLM_OK;
    }
    return fvlm_fail(err, FVLM_BAD_INPUT, "the graph has no output \"%s\"", name);
}

uint64_t fvlm_judge_peak_bytes(const fvlm_judge *j)
{
    return j->memory.peak;
}

/* ---- run ---- */

/* The values in hand while one node runs. */
typedef struct {
    fvlm_judge_value **in;  /* [widest_in] */
    fvlm_judge_value *load; /* [widest_in]: initializers */
    fvlm_judge_value *out;  /* [widest_out] */
} hands;

static fvlm_status gather(fvlm_judge *j, const fvlm_judge_row *row, const fvlm_graph_node *n, hands *h, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < n->n_inputs && !st; i++) {
        h->in[i] = NULL;
        if (n->inputs[i] == FVLM_GRAPH_NONE) continue;
        const fvlm_graph_value *v = fvlm_graph_value_at(j->graph, n->inputs[i]);
        h->in[i] = &j->values[n->inputs[i]];
        if (!v->tensor) continue;
        h->in[i] = &h->load[i];
        fvlm_judge_value_store(&h->load[i], v->tensor);
        if (i < 8 && row->stored >> i & 1) continue;
        st = fvlm_judge_value_load(&h->load[i], &j->memory, err);
    }
    return st;
}

/* Hands the outputs over to the observer and to the nodes that use them. */
static fvlm_status publish(fvlm_judge *j, size_t node, hands *h, const fvlm_judge_observer *observer, fvlm_err *err)
{
    const fvlm_graph_node *n = fvlm_graph_node_at(j->graph, node);
    for (size_t i = 0; i < n->n_outputs; i++) {
        const uint32_t id = n->outputs[i];
        if (id == FVLM_GRAPH_NONE) continue;
        fvlm_judge_value *v = &j->values[id];
        char name[192];
        if (!h->out[i].data)
            return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: output %zu is not supported",
                             fvlm_graph_node_text(j->graph, n, name), i);
        *v = h->out[i];
        h->out[i] = (fvlm_judge_value){0};
        if (!observer || !observer->value) continue;
        const fvlm_judge_tensor t = shown(v);
        fvlm_status st = observer->value(observer->ctx, id, fvlm_graph_value_at(j->graph, id)->name, &t, err);
        if (st) return st;
    }
    return FVLM_OK;
}

static void drop(fvlm_judge *j, size_t node, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] != FVLM_GRAPH_NONE && j->last_use[ids[i]] == node) fvlm_judge_value_free(&j->values[ids[i]]);
}

static fvlm_status run_node(fvlm_judge *j, size_t node, hands *h, const fvlm_judge_observer *observer, fvlm_err *err)
{
    const fvlm_graph_node *n = fvlm_graph_node_at(j->graph, node);
    char name[192];
    fvlm_judge_call c = {
        .graph = j->graph,
        .node = n,
        .row = j->rows[node],
        .opset = fvlm_graph_opset(j->graph, j->rows[node]->domain),
        .n_in = n->n_inputs,
        .n_out = n->n_outputs,
        .in = h->in,
        .out = h->out,
        .memory = &j->memory,
        .pool = j->options.pool,
        .stop = j->options.stop,
        .max_work = j->options.max_work,
        .err = err,
    };
    fvlm_status st = gather(j, c.row, n, h, err);
    if (st) st = fvlm_err_prefix(err, "%s", fvlm_graph_node_text(j->graph, n, name));
    if (!st) st = c.row->run(&c);
    if (!st) st = publish(j, node, h, observer, err);
    for (size_t i = 0; i < n->n_outputs; i++) fvlm_judge_value_free(&h->out[i]);
    for (size_t i = 0; i < n->n_inputs; i++) fvlm_judge_value_free(&h->load[i]);
    drop(j, node, n->inputs, n->n_inputs);
    drop(j, node, n->outputs, n->n_outputs);
    return st;
}

static fvlm_status start(fvlm_judge *j, fvlm_err *err)
{
    free_values(j);
    j->memory.peak = j->memory.live;
    for (size_t i = 0; i < fvlm_graph_n_inputs(j->graph); i++) {
        const uint32_t id = fvlm_graph_input_at(j->graph, i);
        if (!j->inputs[i].data)
            return fvlm_fail(err, FVLM_USAGE, "input \"%s\" is not set", fvlm_graph_value_at(j->graph, id)->name);
        fvlm_judge_value_share(&j->values[id], &j->inputs[i]);
    }
    return FVLM_OK;
}

/* Loads outputs that are initializers, and rounds halves in values that nobody else shares. */
static fvlm_status finish_outputs(fvlm_judge *j, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < fvlm_graph_n_outputs(j->graph) && !st; i++) {
        const uint32_t id = fvlm_graph_output_at(j->graph, i);
        const fvlm_graph_value *v = fvlm_graph_value_at(j->graph, id);
        fvlm_judge_value *o = &j->values[id];
        if (v->tensor && !o->data) {
            fvlm_judge_value_store(o, v->tensor);
            st = fvlm_judge_value_load(o, &j->memory, err);
            if (st) return fvlm_err_prefix(err, "output \"%s\"", v->name);
        }
        fvlm_judge_round_halves(o->data, o->type, o->n);
    }
    return st;
}

fvlm_status fvlm_judge_run(fvlm_judge *j, const fvlm_judge_observer *observer, fvlm_err *err)
{
    const size_t n_nodes = fvlm_graph_n_nodes(j->graph);
    hands h = {fvlm_alloc(j->widest_in, sizeof *h.in), fvlm_alloc(j->widest_in, sizeof *h.load),
               fvlm_alloc(j->widest_out, sizeof *h.out)};
    fvlm_status st = h.in && h.load && h.out ? start(j, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; i < n_nodes && !st; i++) {
        st = fvlm_stop_check(j->options.stop, err);
        if (!st) st = run_node(j, i, &h, observer, err);
        if (!st && observer && observer->progress) observer->progress(observer->ctx, i + 1, n_nodes);
    }
    if (!st) st = finish_outputs(j, err);
    if (st) free_values(j);
    free(h.in);
    free(h.load);
    free(h.out);
    return st;
}
