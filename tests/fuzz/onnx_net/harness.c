/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as a list of operators with constants, inputs and attributes: a graph that is well formed, and
 * mostly senseless. It is refused, or evaluated soon and in bounded memory to a sound net. */
#include "convert/graph/net.h"
#include "tests/fuzz/harness.h"
#include "tests/support/onnx_build.h"

static const char *const ops[] = {"Abs",
                                  "Add",
                                  "And",
                                  "ArgMax",
                                  "Attention",
                                  "AveragePool",
                                  "BatchNormalization",
                                  "BitShift",
                                  "Cast",
                                  "CastLike",
                                  "Clip",
                                  "Concat",
                                  "ConstantOfShape",
                                  "Conv",
                                  "ConvInteger",
                                  "CumSum",
                                  "DequantizeLinear",
                                  "Div",
                                  "Dropout",
                                  "DynamicQuantizeLinear",
                                  "Equal",
                                  "Erf",
                                  "Exp",
                                  "Expand",
                                  "Flatten",
                                  "Gather",
                                  "GatherElements",
                                  "GatherND",
                                  "Gelu",
                                  "Gemm",
                                  "GlobalAveragePool",
                                  "Identity",
                                  "IsNaN",
                                  "LayerNormalization",
                                  "Less",
                                  "MatMul",
                                  "MatMulInteger",
                                  "Max",
                                  "MaxPool",
                                  "Mean",
                                  "Mod",
                                  "Mul",
                                  "Neg",
                                  "NonZero",
                                  "Not",
                                  "Pad",
                                  "Pow",
                                  "QLinearConv",
                                  "QLinearMatMul",
                                  "QuantizeLinear",
                                  "RMSNormalization",
                                  "Range",
                                  "ReduceMax",
                                  "ReduceMean",
                                  "ReduceProd",
                                  "ReduceSum",
                                  "Relu",
                                  "Reshape",
                                  "RotaryEmbedding",
                                  "Round",
                                  "ScatterElements",
                                  "ScatterND",
                                  "Shape",
                                  "Sigmoid",
                                  "SimplifiedLayerNormalization",
                                  "Size",
                                  "Slice",
                                  "Softmax",
                                  "Split",
                                  "Sqrt",
                                  "Squeeze",
                                  "Sub",
                                  "Swish",
                                  "Tile",
                                  "Transpose",
                                  "Trilu",
                                  "Unsqueeze",
                                  "Where",
                                  "com.microsoft:Attention",
                                  "com.microsoft:BiasGelu",
                                  "com.microsoft:DynamicQuantizeMatMul",
                                  "com.microsoft:FastGelu",
                                  "com.microsoft:FusedConv",
                                  "com.microsoft:FusedGemm",
                                  "com.microsoft:FusedMatMul",
                                  "com.microsoft:GatherBlockQuantized",
                                  "com.microsoft:GroupQueryAttention",
                                  "com.microsoft:MatMulBnb4",
                                  "com.microsoft:MatMulIntegerToFloat",
                                  "com.microsoft:MatMulNBits",
                                  "com.microsoft:MultiHeadAttention",
                                  "com.microsoft:QLinearAdd",
                                  "com.microsoft:QLinearGlobalAveragePool",
                                  "com.microsoft:QuickGelu",
                                  "com.microsoft:RotaryEmbedding",
                                  "com.microsoft:SkipLayerNormalization",
                                  "com.microsoft:SkipSimplifiedLayerNormalization"};

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

static void node(reader *r)
{
    char in[256] = "", out[64] = "", attrs[256] = "", one[128];
    const char *op = ops[take(r, N(ops))];
    for (unsigned i = 0, n = take(r, 8); i < n; i++) {
        unsigned k = take(r, r->n_values + 2);
        if (i) strcat(in, ",");
        if (k < r->n_values) snprintf(in + strlen(in), sizeof in - strlen(in), "v%u", k);
    }
    for (unsigned i = 0, n = 1 + take(r, 3); i < n; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%sv%u", i ? "," : "", r->n_values++);
    for (unsigned i = 0, n = take(r, 4); i < n; i++) {
        char format[64];
        snprintf(format, sizeof format, "%s", attributes[take(r, N(attributes))]);
        int a = (int)number(r) % 100000, b = (int)number(r) % 100000;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(one, sizeof one, format, a, b);
#pragma GCC diagnostic pop
        if (strlen(attrs) + strlen(one) + 2 < sizeof attrs) strcat(strcat(attrs, " "), one);
    }
    onnx_node(&r->m, op, in, out, attrs);
}

static volatile double sum;

static void check_value(const fvlm_net_value *v)
{
    uint64_t n = 1;
    MUST(v->rank <= FVLM_GRAPH_MAX_RANK);
    for (unsigned d = 0; d < v->rank; d++) n *= v->dims[d];
    MUST(n == v->n_elems && (!v->numbers || (v->is_const && n <= FVLM_NET_SMALL)));
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
    fvlm_net_given given[16];
    size_t n = 0;
    fvlm_err err = {0};
    double *out;
    for (size_t i = 0; i < fvlm_graph_n_inputs(g) && n < 16; i++) {
        given[n].value = fvlm_net_value_of(net, fvlm_graph_input_at(g, i));
        given[n].numbers = zeros;
        n += given[n].value->n_elems <= 1 << 16;
    }
    fvlm_status st = fvlm_net_probe(&out, net, v, given, n, &err);
    must_explain(st, &err);
    for (uint64_t i = 0; out && i < v->n_elems; i++) sum += out[i];
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t opsets[] = {17, 7, 11, 13, 18, 21, 23, 24};
    reader r = {.at = data, .end = data + size};
    r.m = onnx_model_of(10, opsets[take(&r, 8)]);
    bool knows = take(&r, 2);
    start(&r);
    for (unsigned n = 0; r.at < r.end && n < 32; n++) node(&r);
    char last[16];
    snprintf(last, sizeof last, "v%u", r.n_values - 1);
    onnx_output(&r.m, last, FVLM_ONNX_F32, NULL);
    onnx_bytes file = onnx_finish(&r.m);
    const char *path = fuzz_file(file.bytes, file.n);
    onnx_free(&file);
    fvlm_err err = {0};
    fvlm_graph *g;
    fvlm_net *net = NULL;
    fvlm_status st = fvlm_graph_open(&g, path, &err);
    must_explain(st, &err);
    if (st) return 0;
    static const double ones[1 << 16] = {1, 1, 1, 1, 1, 1, 1, 1};
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
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate(data, size, max, seed);
}
