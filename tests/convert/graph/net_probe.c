/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a part of a net computes what its operators say, for contents that the caller gives; large and inexact
 * constants keep their place in the file and their scales; and what matchers ask is answered. */
#include <math.h>

#include "convert/graph/net.h"
#include "tests/support/check.h"
#include "tests/support/net_probe.h"
#include "tests/support/net_rows.h"
#include "tests/support/support.h"

static char *path;
static fvlm_graph *g;
static fvlm_net *net;

static void open_net(const char *tensors, const char *nodes)
{
    fvlm_err err = {0};
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    must(test_net(&net, &g, path, tensors, nodes, 0, &err), &err);
}

static int set_up(void **state)
{
    static char folder[256];
    (void)state;
    path = test_path(test_folder(folder), "net.onnx");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    free(path);
    return 0;
}

static double *probe(const char *in, const double *numbers)
{
    fvlm_err err = {0};
    double *out;
    test_net_given given = {fvlm_net_input_value(net, in), numbers};
    must(test_net_probe(&out, net, fvlm_net_output_value(net, "y"), &given, 1, &err), &err);
    return out;
}

/* The GELU of exporters against its definition, to the accuracy of double. */
static void gelu_by_parts(void **state)
{
    (void)state;
    open_net("x:5 r?2 t?0.5 o?1 h?0.5", "Pow r,t s; Div x,s a; Erf a b; Add b,o c; Mul x,c d; Mul d,h y");
    double x[] = {-3, -0.5, 0, 1, 40}, *y = probe("x", x);
    double root = (double)(float)sqrt(2); /* the constant is FLOAT */
    for (int i = 0; i < 5; i++) assert_true(fabs(y[i] - x[i] * 0.5 * (1 + erf(x[i] / root))) <= 1e-15 * fabs(x[i]));
    free(y);
}

/* Contents 0, 1, 2, ... show where elements come from. q, k, v of 2 heads of width 2: element [head][dim][token] of the
 * keys. */
static void keys_of_a_packed_product(void **state)
{
    (void)state;
    open_net(
        "x:1,4,12 s!1,4,3,2,2 i!1 q!1,2,4,2",
        "Reshape x,s a; Transpose a b perm=[2,0,3,1,4]; Gather b,i c; Reshape c,q d; Transpose d y perm=[0,1,3,2]");
    double x[48];
    for (int i = 0; i < 48; i++) x[i] = i;
    double *y = probe("x", x);
    for (int head = 0; head < 2; head++)
        for (int dim = 0; dim < 2; dim++)
            for (int token = 0; token < 4; token++)
                assert_true(y[(head * 2 + dim) * 4 + token] == token * 12 + 4 + head * 2 + dim);
    free(y);
}

/* Rotation of positions as transformers spells it. */
static void rotates_half(void **state)
{
    (void)state;
    open_net("x:1,1,2,4 c=2,4 s=2,4 z!0 h!2 e!4 a!3",
             "Slice x,z,h,a l; Slice x,h,e,a r; Neg r n; Concat n,l t axis=-1; Mul x,c u; Mul t,s v; Add u,v y");
    double x[] = {1, 2, 3, 4, 5, 6, 7, 8}, *y = probe("x", x);
    const double *c = NULL, *s = NULL;
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        fvlm_net_value *k, *other;
        if (!fvlm_net_split_const(fvlm_net_node_at(net, i), &k, &other)) continue;
        if (strcmp(k->name, "c") == 0) c = k->numbers;
        if (strcmp(k->name, "s") == 0) s = k->numbers;
    }
    assert_non_null(c);
    assert_non_null(s);
    for (int i = 0; i < 8; i++) {
        double turned = i % 4 < 2 ? -x[i + 2] : x[i - 2];
        assert_true(y[i] == x[i] * c[i] + turned * s[i]);
    }
    free(y);
}

static void probe_refuses(void **state)
{
    (void)state;
    fvlm_err err = {0};
    double *out, x[32] = {0};
    open_net("x:1,1,4,4 w=1,1,3,3 z:4", "Relu x a; Conv a,w b pads=[1,1,1,1]; Add b,z y");
    test_net_given given[] = {{fvlm_net_input_value(net, "x"), x}, {fvlm_net_input_value(net, "z"), x}};
    const fvlm_net_value *y = fvlm_net_output_value(net, "y");
    assert_int_equal(test_net_probe(&out, net, y, given, 1, &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "it depends on \"z\", whose contents are not known");
    assert_null(out);
    assert_int_equal(test_net_probe(&out, net, y, given, 2, &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "node \"n_b\" (Conv): expected an operator that can be probed");
    assert_null(out);
    given[0].value = y->producer->inputs[0]; /* what the convolution gives */
    must(test_net_probe(&out, net, y, given, 2, &err), &err);
    free(out);
    open_net("x:3000,3000", "Relu x y");
    given[0].value = fvlm_net_input_value(net, "x");
    assert_int_equal(test_net_probe(&out, net, fvlm_net_output_value(net, "y"), given, 1, &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "node \"n_y\" (Relu): expected at most 4194304 elements to probe");
}

/* A small constant has its numbers; a large one has its tensor alone. */
static void weights_stay_stored(void **state)
{
    (void)state;
    open_net("x:2,300 w=400,300 b=400", "Transpose w t; MatMul x,t m; Add m,b y");
    const fvlm_net_value *y = fvlm_net_output_value(net, "y"), *product = y->producer->inputs[0];
    const fvlm_net_value *w = product->producer->inputs[1], *b = y->producer->inputs[1];
    assert_true(w->is_const && w->weight.transposed && !w->numbers);
    assert_string_equal(w->weight.tensor->name, "w");
    assert_true(w->dims[0] == 300 && w->dims[1] == 400);
    assert_true(b->numbers && b->weight.tensor && !b->weight.transposed);
    for (size_t i = 0; i < 400; i++)
        assert_true(b->numbers[i] == (double)fvlm_f32_from_bits(fvlm_load_u32(b->weight.tensor->bytes + 4 * i)));

    open_net("x:2,4 w=3,4", "Transpose w t; MatMul x,t y");
    w = fvlm_net_output_value(net, "y")->producer->inputs[1];
    assert_true(w->numbers && w->weight.transposed);
    for (size_t i = 0; i < 12; i++) /* [4, 3] of [3, 4] */
        assert_true(w->numbers[i] ==
                    (double)fvlm_f32_from_bits(fvlm_load_u32(w->weight.tensor->bytes + 4 * (i % 3 * 4 + i / 3))));
}

/* Few rows of a large table are read; also from a transposed one. */
static void picks_from_large_tables(void **state)
{
    (void)state;
    open_net("x:2,3 w=3,40000 i!39999,7 ", "Transpose w t; Gather t,i r; Add x,r y");
    const fvlm_net_value *r = fvlm_net_output_value(net, "y")->producer->inputs[1];
    const fvlm_graph_tensor *w = NULL;
    for (uint32_t id = 0; id < fvlm_graph_n_values(g); id++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, id);
        if (strcmp(v->name, "w") == 0) w = v->tensor;
    }
    assert_true(r->is_const && r->numbers && !r->weight.tensor);
    for (size_t k = 0; k < 6; k++) {
        size_t column = k / 3 == 0 ? 39999 : 7;
        assert_true(r->numbers[k] ==
                    (double)fvlm_f32_from_bits(fvlm_load_u32(w->bytes + 4 * (k % 3 * 40000 + column))));
    }
}

static void packed_weights(void **state)
{
    (void)state;
    open_net("x:2,64 q~4,2,16 s=4,2 z~4,1", "com.microsoft:MatMulNBits x,q,s,z y K=64 N=4 bits=4 block_size=32");
    const fvlm_net_weight *w = &fvlm_net_output_value(net, "y")->producer->inputs[1]->weight;
    assert_int_equal(w->packed.kind, FVLM_PACKED_NBITS);
    assert_true(w->transposed && w->packed.bits == 4 && w->packed.block == 32);
    assert_string_equal(w->tensor->name, "q");
    assert_string_equal(w->packed.scales->name, "s");
    assert_string_equal(w->packed.zero_points->name, "z");

    open_net("x:2,64 q#64,4 s=4 z#4", "DequantizeLinear q,s,z d axis=1; MatMul x,d y");
    w = &fvlm_net_output_value(net, "y")->producer->inputs[1]->weight;
    assert_int_equal(w->packed.kind, FVLM_PACKED_LINEAR);
    assert_true(!w->transposed && w->packed.bits == 8 && w->packed.block == 0 && w->packed.axis == 1);

    /* Half of the scale each: the factor that is left is 0.25, computed, so a tensor is made of it. */
    open_net(
        "x:2,64 q#64,4 s?0.5 t?0.5 z#",
        "Mul s,t u; DynamicQuantizeLinear x a,sa,za; MatMulInteger a,q,za,z i; Cast i f to=1; Mul sa,u v; Mul f,v y");
    w = &fvlm_net_output_value(net, "y")->producer->inputs[1]->weight;
    assert_int_equal(w->packed.kind, FVLM_PACKED_LINEAR);
    assert_true(w->packed.scales->n_elems == 1 && w->packed.scales->type == FVLM_ONNX_F32);
    assert_true(fvlm_f32_from_bits(fvlm_load_u32(w->packed.scales->bytes)) == 0.25f);
    assert_int_equal(fvlm_net_n_fake_quantized(net), 1);
}

static void queries(void **state)
{
    (void)state;
    open_net("x:2,3 c?0.70710678 w=3", "Mul x,c a; Add a,w b; Relu b r; Sigmoid b s; Add r,s y");
    const fvlm_net_value *y = fvlm_net_output_value(net, "y"), *x = fvlm_net_input_value(net, "x");
    assert_true(fvlm_net_is(y, "Add") && !fvlm_net_is(y, "Mul") && !fvlm_net_is(x, "Add") && !fvlm_net_is(NULL, "Add"));
    assert_int_equal(x->n_users, 1);
    fvlm_net_node *mul = x->users[0];
    assert_string_equal(mul->op, "Mul");
    const fvlm_net_value *b = mul->outputs[0]->users[0]->outputs[0];
    assert_int_equal(b->n_users, 2);
    fvlm_net_value *c, *other;
    assert_true(fvlm_net_split_const(mul, &c, &other) && other == x);
    assert_true(fvlm_net_all(c, sqrt(0.5)) && !fvlm_net_all(c, 0.7072) && !fvlm_net_all(x, 0));
    assert_false(fvlm_net_split_const(y->producer, &c, &other));
    assert_null(fvlm_net_input_value(net, "nothing"));
    assert_null(fvlm_net_output_value(net, "nothing"));
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) assert_true(fvlm_net_node_at(net, i)->index == i);
    fvlm_net_node n = *mul;
    fvlm_err err = {0};
    assert_int_equal(fvlm_net_expected(net, &n, &err, "a picture of side %d", 256), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "node \"n_a\" (Mul): expected a picture of side 256");
}

/* What nothing uses is gone, and does not count as a user. */
static void dead_nodes(void **state)
{
    (void)state;
    open_net("x:2,3", "Relu x a; Sigmoid x b; Tanh b c; Neg a y");
    assert_int_equal(fvlm_net_n_nodes(net), 2);
    assert_int_equal(fvlm_net_input_value(net, "x")->n_users, 1);
}

static void uniform_constants(void **state)
{
    (void)state;
    open_net("x:2,3 s!1000,1000 h!1 e!2 z!0",
             "ConstantOfShape s a; Exp a b; Slice b,h,e,h c; Slice c,z,h,z d; Add x,d y");
    const fvlm_net_value *d = fvlm_net_output_value(net, "y")->producer->inputs[1];
    assert_true(d->numbers && d->n_elems == 1 && d->numbers[0] == 1); /* exp(0) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_by_parts),       cmocka_unit_test(keys_of_a_packed_product),
        cmocka_unit_test(rotates_half),        cmocka_unit_test(probe_refuses),
        cmocka_unit_test(weights_stay_stored), cmocka_unit_test(picks_from_large_tables),
        cmocka_unit_test(packed_weights),      cmocka_unit_test(queries),
        cmocka_unit_test(dead_nodes),          cmocka_unit_test(uniform_constants)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
