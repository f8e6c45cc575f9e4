/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_net.c - prints an evaluated ONNX graph, for the oracle tests.
 *   onnx_net FILE.onnx [nodes|probe] NAME=DIMS[:CONTENTS]...   such as x=1x3x64x64 mask=1x4:ones ids=1x4:range
 * i=3:5,6,7 For each value of the graph that the net has, a line: name, shape, and "numbers" with the elements,
 * "stored" or "-", between tabs. With "nodes", the nodes that are left instead. With "probe", the outputs, computed
 * from the contents, which the net does not know. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/net.h"
#include "tests/support/net_probe.h"

#define MAX_INPUTS 256

static double contents[MAX_INPUTS][4096];

/* False if it is no such argument. */
static bool parse(fvlm_net_input *in, double *numbers, char *arg)
{
    char *dims = strchr(arg, '='), *what = dims ? strchr(dims, ':') : NULL;
    if (!dims) return false;
    *dims++ = 0;
    if (what) *what++ = 0;
    in->name = arg;
    uint64_t n = 1;
    for (char *d = strtok(dims, "x"); d && in->rank < FVLM_GRAPH_MAX_RANK; d = strtok(NULL, "x"))
        n *= in->dims[in->rank++] = strtoull(d, NULL, 10);
    if (!what || n > 4096) return !what;
    in->numbers = numbers;
    char *at = what;
    for (uint64_t i = 0; i < n; i++) {
        if (strcmp(what, "ones") == 0)
            numbers[i] = 1;
        else if (strcmp(what, "range") == 0)
            numbers[i] = (double)(i % in->dims[in->rank - 1]);
        else
            numbers[i] = strtod(at, &at), at += *at == ',';
    }
    return true;
}

static void print_dims(const fvlm_net_value *v)
{
    putchar('[');
    for (unsigned d = 0; d < v->rank; d++) printf("%s%" PRIu64, d ? "," : "", v->dims[d]);
    putchar(']');
}

static void print_values(const fvlm_net *net)
{
    const fvlm_graph *g = fvlm_net_graph(net);
    for (uint32_t id = 0; id < fvlm_graph_n_values(g); id++) {
        const fvlm_net_value *v = fvlm_net_value_of(net, id);
        if (!v || v->quantized) continue;
        printf("%s\t", fvlm_graph_value_at(g, id)->name);
        print_dims(v);
        printf("\t%s", v->numbers ? "numbers" : v->weight.tensor ? "stored" : v->uniform ? "uniform" : "-");
        for (uint64_t i = 0; v->numbers && i < v->n_elems; i++) printf(" %.17g", v->numbers[i]);
        if (v->uniform) printf(" %.17g", *v->uniform);
        putchar('\n');
    }
}

static void print_value(const fvlm_net_value *v)
{
    if (!v) return (void)printf(" -");
    printf(" %s", v->name);
    print_dims(v);
    if (v->weight.tensor) printf(v->weight.transposed ? "=stored'" : "=stored");
    if (v->weight.packed.kind) printf("/%d", (int)v->weight.packed.kind);
    if (v->numbers && v->n_elems == 1)
        printf("=%g", v->numbers[0]);
    else if (v->numbers && !v->weight.tensor)
        printf("=numbers");
}

static void print_nodes(const fvlm_net *net)
{
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        const fvlm_net_node *n = fvlm_net_node_at(net, i);
        printf("%s", n->op);
        for (size_t k = 0; k < n->n_inputs; k++) print_value(n->inputs[k]);
        printf(" ->");
        for (size_t k = 0; k < n->n_outputs; k++) print_value(n->outputs[k]);
        putchar('\n');
    }
    printf("%zu nodes, %zu activations rounded to integers\n", fvlm_net_n_nodes(net), fvlm_net_n_fake_quantized(net));
}

static fvlm_status print_probes(const fvlm_net *net, const fvlm_net_input *inputs, size_t n, fvlm_err *err)
{
    const fvlm_graph *g = fvlm_net_graph(net);
    test_net_given given[MAX_INPUTS];
    for (size_t i = 0; i < n; i++) given[i] = (test_net_given){fvlm_net_input_value(net, inputs[i].name), contents[i]};
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < fvlm_graph_n_outputs(g) && !st; i++) {
        const fvlm_net_value *v = fvlm_net_value_of(net, fvlm_graph_output_at(g, i));
        double *out = NULL;
        st = test_net_probe(&out, net, v, given, n, err);
        if (!st) printf("%s\t", fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->name);
        if (!st) print_dims(v);
        if (!st) printf("\tnumbers");
        for (uint64_t k = 0; !st && k < v->n_elems; k++) printf(" %.17g", out[k]);
        if (!st) putchar('\n');
        free(out);
    }
    return st;
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_graph *g = NULL;
    fvlm_net *net = NULL;
    fvlm_net_input inputs[MAX_INPUTS] = {0};
    size_t n = 0;
    bool nodes = argc > 2 && strcmp(argv[2], "nodes") == 0, probe = argc > 2 && strcmp(argv[2], "probe") == 0;
    if (argc < 2) return 2;
    for (int i = nodes || probe ? 3 : 2; i < argc && n < MAX_INPUTS; i++, n++)
        if (!parse(&inputs[n], contents[n], argv[i])) return 2;
    for (size_t i = 0; i < n && probe; i++) inputs[i].numbers = NULL;
    fvlm_status st = fvlm_graph_open(&g, argv[1], &err);
    if (!st) st = fvlm_net_create(&net, g, inputs, n, &err);
    if (!st && probe) st = print_probes(net, inputs, n, &err);
    if (st) fprintf(stderr, "%s\n", err.msg);
    if (!st && nodes) print_nodes(net);
    if (!st && !nodes && !probe) print_values(net);
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    return fvlm_exit_code(st);
}
