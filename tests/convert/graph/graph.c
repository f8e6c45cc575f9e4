/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a sound ONNX file is read as it stands: nodes in an order that runs, values, attributes of each kind, tensors
 * of each type from raw_data, typed fields (packed or not) and external data, Constant nodes of each kind. */

#include "convert/graph/graph.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

static char folder[256];

static fvlm_graph *open_model(onnx_model *m)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    char *path = test_path(folder, "m.onnx");
    onnx_save(m, path);
    must(fvlm_graph_open(&g, path, &err), &err);
    assert_string_equal(fvlm_graph_path(g), path);
    free(path);
    return g;
}

static const fvlm_graph_value *value(const fvlm_graph *g, const char *name)
{
    for (uint32_t i = 0; i < fvlm_graph_n_values(g); i++)
        if (!strcmp(fvlm_graph_value_at(g, i)->name, name)) return fvlm_graph_value_at(g, i);
    fail_msg("no value \"%s\"", name);
    return NULL;
}

/* ---- structure ---- */

static void test_network(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    char text[192];
    fvlm_err err = {0};
    onnx_input(&m, "x", FVLM_ONNX_F32, "batch,3,-1,64");
    onnx_weight(&m, "w", "8,3,3,3", 1);
    onnx_input(&m, "w", FVLM_ONNX_F32, "8,3,3,3"); /* initializers were inputs once */
    onnx_node(&m, "ai.onnx:Conv", "x,w", "y", "strides=[2,2] group=1 auto_pad='NOTSET' empty=[]");
    onnx_node(&m, "com.microsoft:Odd", "y,,w", ",z", "alpha=0.5 scales=[1.5,-2.0]");
    onnx_output(&m, "z", FVLM_ONNX_F32, NULL);
    onnx_value_info(&m, "y", FVLM_ONNX_F32, "1,8,32,32");
    onnx_value_info(&m, "gone", FVLM_ONNX_F32, "1");
    onnx_text(&m.head, 3, "1.2");
    fvlm_graph *g = open_model(&m);
    assert_string_equal(fvlm_graph_producer(g), "onnx_build 1.2");
    assert_int_equal(fvlm_graph_opset(g, ""), 17);
    assert_int_equal(fvlm_graph_opset(g, "com.microsoft"), 1);
    assert_int_equal(fvlm_graph_opset(g, "other"), 0);
    assert_int_equal(fvlm_graph_n_inputs(g), 1);
    assert_int_equal(fvlm_graph_n_outputs(g), 1);
    const fvlm_graph_value *x = fvlm_graph_value_at(g, fvlm_graph_input_at(g, 0)), *w = value(g, "w"),
                           *y = value(g, "y");
    assert_string_equal(x->name, "x");
    assert_true(x->is_input && !x->tensor && x->node == FVLM_GRAPH_NONE && x->has_shape && x->rank == 4);
    assert_true(x->dims[0] == -1 && x->dims[1] == 3 && x->dims[2] == -1 && x->dims[3] == 64);
    assert_string_equal(x->symbols[0], "batch");
    assert_null(x->symbols[2]);
    assert_true(!w->is_input && w->tensor && w->tensor->n_elems == 8 * 27 && w->tensor->n_bytes == 4 * 8 * 27);
    assert_true(y->node == 0 && y->rank == 4 && y->dims[3] == 32 && !y->is_output);
    const fvlm_graph_value *z = fvlm_graph_value_at(g, fvlm_graph_output_at(g, 0));
    assert_true(z->is_output && z->node == 1 && z->type == FVLM_ONNX_F32 && !z->has_shape);
    assert_int_equal(fvlm_graph_n_nodes(g), 2);
    const fvlm_graph_node *conv = fvlm_graph_node_at(g, 0), *odd = fvlm_graph_node_at(g, 1);
    assert_string_equal(conv->domain, "");
    assert_string_equal(odd->domain, "com.microsoft");
    assert_true(odd->n_inputs == 3 && odd->inputs[1] == FVLM_GRAPH_NONE && odd->n_outputs == 2);
    assert_true(odd->outputs[0] == FVLM_GRAPH_NONE);
    assert_string_equal(fvlm_graph_node_text(g, conv, text), "node \"n_y\" (Conv)");
    int64_t group = 0;
    float alpha = 0;
    const int64_t *strides;
    size_t n;
    must(fvlm_graph_attr_int(&group, conv, "group", 7, &err), &err);
    must(fvlm_graph_attr_ints(&strides, &n, conv, "strides", &err), &err);
    must(fvlm_graph_attr_float(&alpha, odd, "alpha", 7, &err), &err);
    assert_true(group == 1 && n == 2 && strides[0] == 2 && strides[1] == 2 && alpha == 0.5f);
    must(fvlm_graph_attr_int(&group, odd, "group", 7, &err), &err);
    must(fvlm_graph_attr_ints(&strides, &n, conv, "empty", &err), &err);
    assert_true(group == 7 && n == 0);
    assert_int_equal(fvlm_graph_attr_int(&group, conv, "strides", 0, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "node \"n_y\" (Conv): attribute \"strides\" is ints, expected an int");
    assert_string_equal(fvlm_graph_attr_find(conv, "auto_pad")->s, "NOTSET");
    const fvlm_graph_attr *scales = fvlm_graph_attr_find(odd, "scales");
    assert_true(scales->kind == FVLM_ATTR_FLOATS && scales->n == 2 && scales->floats[1] == -2);
    fvlm_graph_close(&g);
}

/* Nodes in any order of the file: each after those that compute its inputs. */
static void test_order(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    test_rng r = {3};
    int order[300];
    for (int i = 0; i < 300; i++) order[i] = i;
    for (int i = 299; i > 0; i--) {
        const int j = (int)test_below(&r, (uint64_t)i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    onnx_input(&m, "v0", FVLM_ONNX_F32, "1");
    for (int i = 0; i < 300; i++) {
        char in[64], out[32];
        snprintf(in, sizeof in, "v%d,v%d", order[i], order[i] / 2);
        snprintf(out, sizeof out, "v%d", order[i] + 1);
        onnx_node(&m, "Add", in, out, "");
    }
    onnx_output(&m, "v300", FVLM_ONNX_F32, "1");
    fvlm_graph *g = open_model(&m);
    assert_int_equal(fvlm_graph_n_nodes(g), 300);
    for (uint32_t i = 0; i < 300; i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        assert_int_equal(fvlm_graph_value_at(g, n->outputs[0])->node, i);
        for (size_t j = 0; j < n->n_inputs; j++) {
            const fvlm_graph_value *in = fvlm_graph_value_at(g, n->inputs[j]);
            assert_true(in->is_input || in->node < i);
        }
    }
    fvlm_graph_close(&g);
}

/* ---- tensors ---- */

static void assert_tensor(const fvlm_graph_tensor *t, int32_t type, const char *hex)
{
    char text[256] = "";
    for (size_t i = 0; i < t->n_bytes; i++) sprintf(text + 2 * i, "%02x", t->bytes[i]);
    assert_int_equal(t->type, type);
    assert_string_equal(text, hex);
}

/* Each type with the numbers in its typed field, packed and one by one; expected bytes are written down. */
static void test_typed_fields(void **state)
{
    (void)state;
    static const struct {
        int32_t type;
        uint32_t field;
        int64_t v[3];
        const char *hex;
    } cases[] = {
        {FVLM_ONNX_U8, 5, {0, 200, 255}, "00c8ff"},
        {FVLM_ONNX_I8, 5, {-128, -1, 127}, "80ff7f"},
        {FVLM_ONNX_U16, 5, {0, 1, 65535}, "00000100ffff"},
        {FVLM_ONNX_I16, 5, {-32768, -2, 32767}, "0080feffff7f"},
        {FVLM_ONNX_I32, 5, {INT32_MIN, -1, INT32_MAX}, "00000080ffffffffffffff7f"},
        {FVLM_ONNX_BOOL, 5, {0, 1, 1}, "000101"},
        {FVLM_ONNX_F16, 5, {0x3c00, 0xbc00, 0x7e00}, "003c00bc007e"},
        {FVLM_ONNX_BF16, 5, {0x3f80, 0xbf80, 0x7fc0}, "803f80bfc07f"},
        {FVLM_ONNX_I64, 7, {INT64_MIN, -1, INT64_MAX}, "0000000000000080ffffffffffffffffffffffffffffff7f"},
        {FVLM_ONNX_U32, 11, {0, 1, 4294967295}, "0000000001000000ffffffff"},
        {FVLM_ONNX_U64, 11, {0, 1, -1}, "00000000000000000100000000000000ffffffffffffffff"},
    };
    onnx_model m = onnx_model_new();
    const size_t n = sizeof cases / sizeof cases[0];
    char name[32];
    for (size_t i = 0; i < n; i++)
        for (int form = 0; form < 3; form++) {
            snprintf(name, sizeof name, "t%zu_%d", i, form);
            onnx_bytes t = onnx_tensor_message(name, cases[i].type, "3");
            if (form == 0) onnx_ints(&t, cases[i].field, cases[i].v, 3);
            for (int j = 0; form == 1 && j < 3; j++) onnx_int(&t, cases[i].field, cases[i].v[j]);
            if (form == 2) { /* in two parts, with an empty one between */
                onnx_ints(&t, cases[i].field, cases[i].v, 1);
                onnx_ints(&t, cases[i].field, NULL, 0);
                onnx_ints(&t, cases[i].field, cases[i].v + 1, 2);
            }
            onnx_message(&m.graph, 5, &t);
        }
    onnx_node(&m, "Identity", "t0_0", "y", "");
    onnx_output(&m, "y", 0, NULL);
    fvlm_graph *g = open_model(&m);
    for (size_t i = 0; i < n; i++)
        for (int form = 0; form < 3; form++) {
            snprintf(name, sizeof name, "t%zu_%d", i, form);
            assert_tensor(value(g, name)->tensor, cases[i].type, cases[i].hex);
        }
    fvlm_graph_close(&g);
}

static void test_floats_and_nibbles(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    static const uint8_t floats[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}, doubles[] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f};
    static const int64_t nibbles[] = {0x21, 0x0f};
    onnx_bytes t = onnx_tensor_message("f", FVLM_ONNX_F32, "2");
    onnx_data(&t, 4, floats, 8);
    onnx_message(&m.graph, 5, &t);
    t = onnx_tensor_message("f1", FVLM_ONNX_F32, "2"); /* one by one */
    onnx_float(&t, 4, 1);
    onnx_float(&t, 4, -2);
    onnx_message(&m.graph, 5, &t);
    t = onnx_tensor_message("d", FVLM_ONNX_F64, "");
    onnx_data(&t, 10, doubles, 8);
    onnx_message(&m.graph, 5, &t);
    t = onnx_tensor_message("n", FVLM_ONNX_U4, "3");
    onnx_ints(&t, 5, nibbles, 2);
    onnx_message(&m.graph, 5, &t);
    onnx_tensor(&m, "n_raw", FVLM_ONNX_I4, "3", "\x21\x0f", 2);
    onnx_tensor(&m, "none", FVLM_ONNX_F32, "0,9223372036854775807,3", "", 0);
    t = onnx_tensor_message("none_at_all", FVLM_ONNX_F16, "4,0");
    onnx_message(&m.graph, 5, &t);
    onnx_node(&m, "Identity", "f", "y", "");
    onnx_output(&m, "y", 0, NULL);
    fvlm_graph *g = open_model(&m);
    assert_tensor(value(g, "f")->tensor, FVLM_ONNX_F32, "0000803f000000c0");
    assert_tensor(value(g, "f1")->tensor, FVLM_ONNX_F32, "0000803f000000c0");
    assert_tensor(value(g, "d")->tensor, FVLM_ONNX_F64, "000000000000f03f");
    assert_tensor(value(g, "n")->tensor, FVLM_ONNX_U4, "210f");
    assert_tensor(value(g, "n_raw")->tensor, FVLM_ONNX_I4, "210f");
    assert_tensor(value(g, "none")->tensor, FVLM_ONNX_F32, "");
    assert_tensor(value(g, "none_at_all")->tensor, FVLM_ONNX_F16, "");
    assert_true(value(g, "d")->tensor->rank == 0 && value(g, "d")->tensor->n_elems == 1);
    assert_true(value(g, "n")->tensor->n_elems == 3);
    fvlm_graph_close(&g);
}

/* Constant nodes become tensors; their uses stay. */
static void test_constants(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    onnx_bytes t = onnx_tensor_message("any name", FVLM_ONNX_I8, "2");
    onnx_data(&t, 9, "\1\2", 2);
    onnx_constant(&m, "a", &t);
    onnx_node(&m, "Constant", "", "b", "value_float=1.0");
    onnx_node(&m, "Constant", "", "c", "value_floats=[1.0,-2.0]");
    onnx_node(&m, "Constant", "", "d", "value_int=-1");
    onnx_node(&m, "Constant", "", "e", "value_ints=[1,-1]");
    onnx_node(&m, "Constant", "", "f", "value_ints=[]");
    onnx_node(&m, "Sum", "a,b,c,d,e,f", "y", "");
    onnx_output(&m, "y", 0, NULL);
    fvlm_graph *g = open_model(&m);
    assert_int_equal(fvlm_graph_n_nodes(g), 1);
    assert_tensor(value(g, "a")->tensor, FVLM_ONNX_I8, "0102");
    assert_tensor(value(g, "b")->tensor, FVLM_ONNX_F32, "0000803f");
    assert_tensor(value(g, "c")->tensor, FVLM_ONNX_F32, "0000803f000000c0");
    assert_tensor(value(g, "d")->tensor, FVLM_ONNX_I64, "ffffffffffffffff");
    assert_tensor(value(g, "e")->tensor, FVLM_ONNX_I64, "0100000000000000ffffffffffffffff");
    assert_tensor(value(g, "f")->tensor, FVLM_ONNX_I64, "");
    assert_true(value(g, "b")->tensor->rank == 0 && value(g, "c")->tensor->rank == 1 &&
                value(g, "c")->tensor->dims[0] == 2);
    assert_true(value(g, "a")->node == FVLM_GRAPH_NONE && value(g, "y")->node == 0);
    fvlm_graph_close(&g);
}

/* proto3 writers leave zeros out; fields that change nothing are ignored. */
static void test_left_out(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    onnx_input(&m, "x", FVLM_ONNX_F32, "1");
    onnx_bytes n = onnx_node_message("Softmax", "x", "y", "");
    for (int type = 1; type <= 3; type++) {
        onnx_bytes a = {0};
        onnx_text(&a, 1, type == 1 ? "f" : type == 2 ? "i" : "s");
        onnx_int(&a, 20, type);
        onnx_text(&a, 13, "a doc string");
        onnx_message(&n, 5, &a);
    }
    onnx_text(&n, 6, "\xff not UTF-8");
    onnx_text(&n, 8, ""); /* an empty overload */
    onnx_text(&n, 9, "metadata");
    onnx_text(&n, 10, "devices");
    onnx_message(&m.graph, 1, &n);
    onnx_output(&m, "y", 0, NULL);
    onnx_text(&m.graph, 2, "main");
    onnx_text(&m.graph, 14, "annotation");
    onnx_text(&m.graph, 16, "metadata");
    onnx_text(&m.head, 14, "metadata");
    onnx_text(&m.head, 26, "devices");
    onnx_int(&m.head, 5, 3);
    fvlm_graph *g = open_model(&m);
    const fvlm_graph_node *node = fvlm_graph_node_at(g, 0);
    assert_true(node->n_attrs == 3 && node->attrs[0].f == 0 && node->attrs[1].i == 0);
    assert_string_equal(node->attrs[2].s, "");
    fvlm_graph_close(&g);
}

int main(void)
{
    test_folder(folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),      cmocka_unit_test(test_order),
        cmocka_unit_test(test_typed_fields), cmocka_unit_test(test_floats_and_nibbles),
        cmocka_unit_test(test_constants),    cmocka_unit_test(test_left_out),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
