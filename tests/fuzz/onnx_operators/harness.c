/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as a list of operators with constants, inputs and attributes: a graph that is well formed, and
 * mostly senseless. It is refused, or evaluated soon and in bounded memory to a sound net. */
#include "convert/graph/net.h"
#include "tests/fuzz/harness.h"
#include "tests/support/net_probe.h"
#include "tests/support/onnx_build.h"

/* With how many inputs they take. */
static const struct {
    const char *name;
    unsigned least, most;
} ops[] = {{"Abs", 1, 1},
           {"Add", 2, 2},
           {"And", 2, 2},
           {"ArgMax", 1, 1},
           {"ArgMin", 1, 1},
           {"Attention", 3, 7},
           {"AveragePool", 1, 1},
           {"BatchNormalization", 5, 5},
           {"BitShift", 2, 2},
           {"BitwiseAnd", 2, 2},
           {"BitwiseNot", 1, 1},
           {"BitwiseOr", 2, 2},
           {"BitwiseXor", 2, 2},
           {"Cast", 1, 1},
           {"CastLike", 2, 2},
           {"Ceil", 1, 1},
           {"Clip", 1, 3},
           {"Concat", 1, 4},
           {"ConstantOfShape", 1, 1},
           {"Conv", 2, 3},
           {"ConvInteger", 2, 4},
           {"Cos", 1, 1},
           {"CumSum", 2, 2},
           {"DequantizeLinear", 2, 3},
           {"Div", 2, 2},
           {"Dropout", 1, 3},
           {"DynamicQuantizeLinear", 1, 1},
           {"Elu", 1, 1},
           {"Equal", 2, 2},
           {"Erf", 1, 1},
           {"Exp", 1, 1},
           {"Expand", 2, 2},
           {"Flatten", 1, 1},
           {"Floor", 1, 1},
           {"Gather", 2, 2},
           {"GatherElements", 2, 2},
           {"GatherND", 2, 2},
           {"Gelu", 1, 1},
           {"Gemm", 2, 3},
           {"GlobalAveragePool", 1, 1},
           {"GlobalMaxPool", 1, 1},
           {"Greater", 2, 2},
           {"GreaterOrEqual", 2, 2},
           {"HardSigmoid", 1, 1},
           {"Identity", 1, 1},
           {"IsInf", 1, 1},
           {"IsNaN", 1, 1},
           {"LayerNormalization", 2, 3},
           {"LeakyRelu", 1, 1},
           {"Less", 2, 2},
           {"LessOrEqual", 2, 2},
           {"Log", 1, 1},
           {"MatMul", 2, 2},
           {"MatMulInteger", 2, 4},
           {"Max", 1, 4},
           {"MaxPool", 1, 1},
           {"Mean", 1, 4},
           {"Min", 1, 4},
           {"Mod", 2, 2},
           {"Mul", 2, 2},
           {"Neg", 1, 1},
           {"NonZero", 1, 1},
           {"Not", 1, 1},
           {"Or", 2, 2},
           {"PRelu", 2, 2},
           {"Pad", 1, 4},
           {"Pow", 2, 2},
           {"QLinearConv", 8, 9},
           {"QLinearMatMul", 8, 8},
           {"QuantizeLinear", 2, 3},
           {"RMSNormalization", 2, 2},
           {"Range", 3, 3},
           {"Reciprocal", 1, 1},
           {"ReduceL1", 1, 2},
           {"ReduceL2", 1, 2},
           {"ReduceMax", 1, 2},
           {"ReduceMean", 1, 2},
           {"ReduceMin", 1, 2},
           {"ReduceProd", 1, 2},
           {"ReduceSum", 1, 2},
           {"ReduceSumSquare", 1, 2},
           {"Relu", 1, 1},
           {"Reshape", 1, 2},
           {"RotaryEmbedding", 3, 4},
           {"Round", 1, 1},
           {"Scatter", 3, 3},
           {"ScatterElements", 3, 3},
           {"ScatterND", 3, 3},
           {"Shape", 1, 1},
           {"Sigmoid", 1, 1},
           {"Sign", 1, 1},
           {"SimplifiedLayerNormalization", 2, 2},
           {"Sin", 1, 1},
           {"Size", 1, 1},
           {"Slice", 1, 5},
           {"Softmax", 1, 1},
           {"Softplus", 1, 1},
           {"Split", 1, 2},
           {"Sqrt", 1, 1},
           {"Squeeze", 1, 2},
           {"Sub", 2, 2},
           {"Sum", 1, 4},
           {"Swish", 1, 1},
           {"Tanh", 1, 1},
           {"Tile", 2, 2},
           {"Transpose", 1, 1},
           {"Trilu", 1, 2},
           {"Unsqueeze", 1, 2},
           {"Where", 3, 3},
           {"Xor", 2, 2},
           {"com.microsoft:Attention", 2, 7},
           {"com.microsoft:BiasGelu", 2, 2},
           {"com.microsoft:DequantizeLinear", 2, 3},
           {"com.microsoft:DynamicQuantizeMatMul", 3, 5},
           {"com.microsoft:FastGelu", 1, 2},
           {"com.microsoft:FusedConv", 2, 4},
           {"com.microsoft:FusedGemm", 2, 3},
           {"com.microsoft:FusedMatMul", 2, 2},
           {"com.microsoft:GatherBlockQuantized", 3, 4},
           {"com.microsoft:Gelu", 1, 1},
           {"com.microsoft:GroupQueryAttention", 1, 14},
           {"com.microsoft:MatMulBnb4", 3, 3},
           {"com.microsoft:MatMulIntegerToFloat", 4, 7},
           {"com.microsoft:MatMulNBits", 3, 6},
           {"com.microsoft:MultiHeadAttention", 1, 10},
           {"com.microsoft:QLinearAdd", 7, 8},
           {"com.microsoft:QLinearGlobalAveragePool", 4, 5},
           {"com.microsoft:QLinearMul", 7, 8},
           {"com.microsoft:QLinearSigmoid", 4, 5},
           {"com.microsoft:QuantizeLinear", 2, 3},
           {"com.microsoft:QuickGelu", 1, 1},
           {"com.microsoft:RotaryEmbedding", 4, 4},
           {"com.microsoft:SimplifiedLayerNormalization", 2, 2},
           {"com.microsoft:SkipLayerNormalization", 3, 5},
           {"com.microsoft:SkipSimplifiedLayerNormalization", 3, 4},
           {"com.microsoft:TransposeMatMul", 2, 2}};

static const char *const attributes[] = {"axis=%d",
                                         "axes=[%d]",
                                         "axes=[%d,%d]",
                                         "keepdims=%d",
                                         "perm=[%d,%d]",
                                         "perm=[%d,%d,0]",
                                         "perm=[%d,%d,0,3]",
                                         "kernel_shape=[%d,%d]",
                                         "pads=[%d,%d,0,1]",
                                         "strides=[%d,%d]",
                                         "dilations=[%d,%d]",
                                         "group=%d",
                                         "to=%d",
                                         "starts=[%d]",
                                         "ends=[%d]",
                                         "split=[%d,%d]",
                                         "num_outputs=%d",
                                         "shape=[%d,%d]",
                                         "allowzero=%d",
                                         "start=%d",
                                         "end=%d",
                                         "batch_dims=%d",
                                         "block_size=%d",
                                         "block_size=16",
                                         "K=%d",
                                         "N=%d",
                                         "K=32 N=4 block_size=16",
                                         "bits=%d",
                                         "quant_type=%d",
                                         "num_heads=%d",
                                         "kv_num_heads=%d",
                                         "q_num_heads=%d",
                                         "transA=%d",
                                         "transB=%d",
                                         "alpha=%d.5",
                                         "beta=%d.5",
                                         "epsilon=%d.5",
                                         "exclusive=%d",
                                         "reverse=%d",
                                         "upper=%d",
                                         "ceil_mode=%d",
                                         "auto_pad='SAME_LOWER'",
                                         "direction='LEFT'",
                                         "mode='constant'",
                                         "activation='Clip' activation_params=[%d.5,%d.5]",
                                         "noop_with_empty_axes=%d",
                                         "gather_axis=%d",
                                         "quantize_axis=%d",
                                         "approximate='tanh'",
                                         "fmod=%d",
                                         "select_last_index=%d"};

/* Elements of an array. */
#define N(list) (sizeof list / sizeof *list)

typedef struct {
    const uint8_t *at, *end;
    onnx_model m;
    unsigned n_values;
} reader;

static unsigned take(reader *r, unsigned n)
{
    return r->at < r->end ? *r->at++ % n : 0;
}

/* Small, now and then extreme. */
static int64_t number(reader *r)
{
    static const int64_t extreme[] = {INT64_MAX, INT64_MIN, INT32_MAX, INT64_C(1) << 40, 65536, 70000, -70000, 1 << 20};
    unsigned x = take(r, 64);
    return x < 8 ? extreme[x] : (int64_t)x % 12 - 3;
}

static void shape(reader *r, char out[64], unsigned largest)
{
    unsigned rank = take(r, 6);
    out[0] = 0;
    for (unsigned d = 0; d < rank; d++)
        snprintf(out + strlen(out), 64 - strlen(out), "%s%u", d ? "," : "", take(r, largest));
}

/* Inputs and constants: v0, v1, ... */
static void start(reader *r)
{
    static const uint8_t bytes[1 << 16];
    static const int32_t types[] = {FVLM_ONNX_U8,   FVLM_ONNX_I8,  FVLM_ONNX_U4,
                                    FVLM_ONNX_BOOL, FVLM_ONNX_I32, FVLM_ONNX_F16};
    char name[16], text[64];
    for (unsigned n = 3 + take(r, 8); r->n_values < n; r->n_values++) {
        snprintf(name, sizeof name, "v%u", r->n_values);
        unsigned kind = take(r, 5);
        if (kind == 4) {
            int64_t v[6];
            unsigned count = take(r, 6);
            for (unsigned i = 0; i < count; i++) v[i] = number(r);
            snprintf(text, sizeof text, "%u", count);
            onnx_int64s(&r->m, name, count == 5 ? "" : text, v); /* a scalar, now and then */
            continue;
        }
        shape(r, text, kind == 3 ? 7 : 9);
        if (kind < 2)
            onnx_input(&r->m, name, kind ? FVLM_ONNX_I64 : FVLM_ONNX_F32, text);
        else if (kind == 2)
            onnx_weight(&r->m, name, text, 3);
        else {
            int32_t type = types[take(r, N(types))];
            onnx_tensor(&r->m, name, type, text, bytes, (size_t)(onnx_count(text) * fvlm_onnx_type_bits(type) + 7) / 8);
        }
    }
}

typedef struct {
    const char *op;
    char in[256], out[64], attrs[256];
} text_node;

static void make_node(text_node *n, reader *r)
{
    const unsigned k = take(r, N(ops));
    memset(n, 0, sizeof *n);
    n->op = ops[k].name;
    for (unsigned i = 0, n_in = ops[k].least + take(r, ops[k].most - ops[k].least + 1); i < n_in; i++) {
        unsigned v = take(r, i < ops[k].least ? r->n_values : r->n_values + 2);
        if (i) strcat(n->in, ",");
        if (v < r->n_values) snprintf(n->in + strlen(n->in), sizeof n->in - strlen(n->in), "v%u", v);
    }
    unsigned n_out = strcmp(n->op, "DynamicQuantizeLinear") == 0 ? 3 : strcmp(n->op, "Split") == 0 ? 1 + take(r, 3) : 1;
    for (unsigned i = 0; i < n_out; i++)
        snprintf(n->out + strlen(n->out), sizeof n->out - strlen(n->out), "%sv%u", i ? "," : "", r->n_values + i);
    for (unsigned i = 0, n_attrs = take(r, 4); i < n_attrs; i++) {
        char format[64], one[128];
        snprintf(format, sizeof format, "%s", attributes[take(r, N(attributes))]);
        int a = (int)(number(r) % 100000), b = (int)(number(r) % 100000);
        size_t name = strcspn(format, "=");
        format[name] = 0;
        bool again = strstr(n->attrs, format) != NULL;
        format[name] = '=';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(one, sizeof one, format, a, b);
#pragma GCC diagnostic pop
        if (!again && strlen(n->attrs) + strlen(one) + 2 < sizeof n->attrs) strcat(strcat(n->attrs, " "), one);
    }
}

static volatile double sum;

static void check_value(const fvlm_net_value *v)
{
    uint64_t n = 1;
    MUST(v->rank <= FVLM_GRAPH_MAX_RANK);
    for (unsigned d = 0; d < v->rank; d++) n *= v->dims[d];
    MUST(n == v->n_elems && (!v->numbers || (v->is_const && n <= FVLM_NET_COMPUTED)));
    for (uint64_t i = 0; v->numbers && i < n; i++) sum += v->numbers[i];
    if (v->weight.tensor && !v->weight.packed.kind) MUST(v->weight.tensor->n_elems == n);
}

static void check(const fvlm_net *net)
{
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        const fvlm_net_node *n = fvlm_net_node_at(net, i);
        MUST(n->index == i && n->node && n->op);
        for (size_t k = 0; k < n->n_inputs; k++) {
            const fvlm_net_value *v = n->inputs[k];
            if (!v) continue;
            check_value(v);
            MUST(!v->producer || v->producer->index < i);
            bool found = false;
            for (size_t u = 0; u < v->n_users; u++) found |= v->users[u] == n;
            MUST(found);
        }
        for (size_t k = 0; k < n->n_outputs; k++)
            if (n->outputs[k]) check_value(n->outputs[k]);
    }
}

/* Its inputs are zeros. */
static void probe(const fvlm_net *net, const fvlm_graph *g, const fvlm_net_value *v)
{
    static const double zeros[1 << 16];
    test_net_given given[16];
    size_t n = 0;
    fvlm_err err = {0};
    double *out;
    for (size_t i = 0; i < fvlm_graph_n_inputs(g) && n < 16; i++) {
        given[n].value = fvlm_net_value_of(net, fvlm_graph_input_at(g, i));
        given[n].numbers = zeros;
        n += given[n].value->n_elems <= 1 << 16;
    }
    fvlm_status st = test_net_probe(&out, net, v, given, n, &err);
    must_explain(st, &err);
    for (uint64_t i = 0; out && i < v->n_elems; i++) sum += out[i];
    free(out);
}

/* Evaluates the graph of these nodes. A node that is refused is the last one. */
static bool evaluate(const uint8_t *data, const uint8_t *end, const text_node *nodes, unsigned n_nodes, reader *r)
{
    static const int64_t opsets[] = {17, 7, 11, 13, 18, 21, 23, 24};
    static const double ones[1 << 16] = {1, 1, 1, 1, 1, 1, 1, 1};
    *r = (reader){.at = data, .end = end};
    r->m = onnx_model_of(10, opsets[take(r, 8)]);
    bool knows = take(r, 2);
    start(r);
    for (unsigned i = 0; i < n_nodes; i++) {
        onnx_node(&r->m, nodes[i].op, nodes[i].in, nodes[i].out, nodes[i].attrs);
        for (const char *v = nodes[i].out; v; v = strchr(v + 1, ',')) r->n_values++;
    }
    char last[16];
    snprintf(last, sizeof last, "v%u", r->n_values - 1);
    onnx_output(&r->m, last, FVLM_ONNX_F32, NULL);
    onnx_bytes file = onnx_finish(&r->m);
    const char *path = fuzz_file(file.bytes, file.n);
    onnx_free(&file);
    fvlm_err err = {0};
    fvlm_graph *g;
    fvlm_net *net = NULL;
    fvlm_status st = fvlm_graph_open(&g, path, &err);
    must_explain(st, &err);
    if (st) return false;
    fvlm_net_input in[16] = {0};
    size_t n_in = fvlm_graph_n_inputs(g);
    for (size_t i = 0; i < n_in && i < 16; i++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, fvlm_graph_input_at(g, i));
        in[i] = (fvlm_net_input){.name = v->name, .rank = v->rank};
        for (unsigned d = 0; d < v->rank; d++) in[i].dims[d] = (uint64_t)v->dims[d];
        if (knows && v->type == FVLM_ONNX_I64) in[i].numbers = ones;
    }
    st = fvlm_net_create(&net, g, in, n_in, &err);
    must_explain(st, &err);
    MUST(!st == !!net);
    if (net) {
        check(net);
        probe(net, g, fvlm_net_output_value(net, last));
    }
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    return !st || strstr(err.msg, "is not one that can be computed"); /* integers, on the way to something */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static text_node nodes[24];
    unsigned n_nodes = 0;
    reader r;
    evaluate(data, data + size, nodes, 0, &r);
    for (unsigned tries = 0; r.at < r.end && n_nodes < 24 && tries < 48; tries++) {
        const unsigned n_values = r.n_values;
        make_node(&nodes[n_nodes], &r);
        const uint8_t *at = r.at;
        const bool accepted = evaluate(data, data + size, nodes, n_nodes + 1, &r);
        r.at = at;
        n_nodes += accepted;
        if (!accepted) r.n_values = n_values;
    }
    return 0;
}
