/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - small graphs of the judge's own operators, with any shapes, types, attributes and contents: refused with
 * a message, or computed within the limits of memory and work; outputs have as many elements as their shape. The target
 * onnx_judge has any bytes as a file.
 *
 * Input: opset, number of tensors, the tensors (type and where it comes from, rank, dimensions, contents), then nodes
 * until the bytes end (operator, inputs, attributes). Bytes that are missing are 0. */
#include <math.h>

#include "tests/fuzz/harness.h"
#include "tests/support/onnx_build.h"
#include "verify/judge/judge.h"

static const uint8_t *next, *end;

static unsigned take(void)
{
    return next < end ? *next++ : 0;
}

/* Mostly small, sometimes at the edges. */
static int64_t take_number(void)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, 1 << 20, (int64_t)1 << 40, 255, -128};
    const unsigned byte = take();
    return byte < 240 ? (int64_t)(byte % 14) - 4 : edges[byte % 8];
}

static const int32_t types[] = {FVLM_ONNX_F32, FVLM_ONNX_F32, FVLM_ONNX_I64,  FVLM_ONNX_I32,
                                FVLM_ONNX_U8,  FVLM_ONNX_I8,  FVLM_ONNX_BOOL, FVLM_ONNX_F16,
                                FVLM_ONNX_F64, FVLM_ONNX_U4,  FVLM_ONNX_I4,   FVLM_ONNX_BF16,
                                FVLM_ONNX_U64, FVLM_ONNX_U16, FVLM_ONNX_I16,  FVLM_ONNX_U32};

enum { MAX_TENSORS = 12, MAX_ELEMS = 4096, MAX_NODES = 4 };

typedef struct {
    fvlm_judge_tensor t;
    uint8_t data[MAX_ELEMS * 8];
} operand;
static operand operands[MAX_TENSORS];

static double contents(int32_t type)
{
    const unsigned byte = take();
    if (type != FVLM_ONNX_F32 && type != FVLM_ONNX_F64 && type != FVLM_ONNX_F16 && type != FVLM_ONNX_BF16)
        return (double)(byte % 20) - (type == FVLM_ONNX_U8 || type == FVLM_ONNX_U4 || type == FVLM_ONNX_BOOL ? 0 : 6);
    return byte == 255 ? (double)NAN : byte == 254 ? (double)INFINITY : ((double)byte - 100) / 16;
}

static void fill(operand *o)
{
    for (uint64_t i = 0; i < o->t.n_elems; i++) {
        const double x = i < 64 ? contents(o->t.type) : 1;
        const int64_t k = isfinite(x) ? (int64_t)x : 0;
        switch (o->t.type) {
        case FVLM_ONNX_F32:
        case FVLM_ONNX_F16:
        case FVLM_ONNX_BF16:
            memcpy(o->data + 4 * i, &(float){(float)x}, 4);
            break;
        case FVLM_ONNX_F64:
            memcpy(o->data + 8 * i, &x, 8);
            break;
        case FVLM_ONNX_I64:
        case FVLM_ONNX_U64:
            memcpy(o->data + 8 * i, &k, 8);
            break;
        case FVLM_ONNX_I32:
        case FVLM_ONNX_U32:
            fvlm_store_u32(o->data + 4 * i, (uint32_t)k);
            break;
        case FVLM_ONNX_I16:
        case FVLM_ONNX_U16:
            fvlm_store_u16(o->data + 2 * i, (uint16_t)k);
            break;
        case FVLM_ONNX_BOOL:
            o->data[i] = k != 0;
            break;
        default:
            o->data[i] = (uint8_t)k;
        }
    }
}

/* Bytes as a file has them: arbitrary ones. */
static void add_tensor(onnx_model *m, size_t i)
{
    operand *o = &operands[i];
    char name[32], shape[128] = "";
    const unsigned byte = take();
    o->t = (fvlm_judge_tensor){.type = types[byte % 16], .rank = take() % 6, .n_elems = 1, .data = o->data};
    for (unsigned d = 0; d < o->t.rank; d++) {
        o->t.dims[d] = take() % 10;
        if (o->t.n_elems * o->t.dims[d] > MAX_ELEMS) o->t.dims[d] = 1;
        o->t.n_elems *= o->t.dims[d];
        sprintf(shape + strlen(shape), "%s%u", d ? "," : "", (unsigned)o->t.dims[d]);
    }
    fill(o);
    sprintf(name, "t%zu", i);
    if (byte & 128) {
        onnx_tensor(m, name, o->t.type, shape, o->data, (o->t.n_elems * fvlm_onnx_type_bits(o->t.type) + 7) / 8);
        o->t.data = NULL;
    } else {
        onnx_input(m, name, o->t.type, byte & 64 ? NULL : shape);
    }
}

static bool in_list(const char *list, const char *word, size_t n)
{
    for (const char *s = list; (s = strstr(s, word)) != NULL; s++)
        if ((s == list || s[-1] == ' ') && (s[n] == ' ' || !s[n])) return true;
    return false;
}

/* One of an operator's attributes, as text for onnx_node. */
static void add_attr(char *text, const char *attrs)
{
    static const char *const strings[] = {"SAME_UPPER", "SAME_LOWER", "VALID", "edge",     "reflect", "wrap",
                                          "tanh",       "CRD",        "add",   "mul",      "min",     "Relu",
                                          "Clip",       "none",       "",      "LeakyRelu"};
    unsigned which = take(), words = 1;
    for (const char *s = attrs; *s; s++) words += *s == ' ';
    if (!*attrs) return;
    for (which %= words; which; attrs++) which -= *attrs == ' ';
    const size_t n = strcspn(attrs, " ");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n, attrs);
    char *to = text + strlen(text);
    if (in_list("pads strides dilations kernel_shape axes starts ends perm split qkv_hidden_sizes", name, n)) {
        to += sprintf(to, " %s=[", name);
        for (unsigned i = 0, count = take() % 9; i < count; i++)
            to += sprintf(to, "%s%lld", i ? "," : "", (long long)take_number());
        sprintf(to, "]");
    } else if (in_list("auto_pad mode approximate activation reduction", name, n)) {
        sprintf(to, " %s='%s'", name, strings[take() % 16]);
    } else if (in_list("alpha beta gamma epsilon scale softcap ratio min max mask_filter_value momentum", name, n)) {
        sprintf(to, " %s=%.3f", name, ((double)take() - 60) / 16);
    } else if (in_list("activation_params", name, n)) {
        sprintf(to, " %s=[0.5,2.0]", name);
    } else {
        sprintf(to, " %s=%lld", name, (long long)take_number());
    }
}

static void add_node(onnx_model *m, size_t node, size_t n_tensors, size_t n_ops)
{
    char op[96], inputs[256] = "", outputs[64], attrs[1024] = "";
    const char *domain, *list, *name = fvlm_judge_known_op((take() | take() << 8) % n_ops, &domain, &list);
    snprintf(op, sizeof op, "%s%s%s", domain, *domain ? ":" : "", name);
    for (unsigned i = 0, n = 1 + take() % 11; i < n; i++) {
        const unsigned byte = take();
        char from[32] = "";
        if (byte < 200 && byte % (n_tensors + node) >= n_tensors)
            sprintf(from, "y%zu", byte % (n_tensors + node) - n_tensors);
        else if (byte < 240)
            sprintf(from, "t%zu", byte % n_tensors);
        sprintf(inputs + strlen(inputs), "%s%s", i ? "," : "", from);
    }
    sprintf(outputs, "y%zu", node);
    for (unsigned i = 1, n = take() % 5; i < n; i++) sprintf(outputs + strlen(outputs), ",z%zu_%u", node, i);
    for (unsigned i = 0, n = take() % 6; i < n; i++) add_attr(attrs, list);
    onnx_node(m, op, inputs, outputs, attrs);
    onnx_output(m, *outputs == 'y' ? (sprintf(outputs, "y%zu", node), outputs) : "y0", 0, NULL);
}

static fvlm_status check_value(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    uint64_t n = 1;
    (void)ctx, (void)id, (void)name, (void)err;
    for (unsigned d = 0; d < t->rank; d++) n *= t->dims[d];
    MUST(n == t->n_elems && t->data);
    return FVLM_OK;
}

static void run(const fvlm_graph *g, size_t n_tensors)
{
    fvlm_judge *j;
    fvlm_err err = {0};
    const fvlm_judge_options limits = {.max_bytes = 4 << 20, .max_work = 1 << 22};
    fvlm_status st = fvlm_judge_create(&j, g, &limits, &err);
    must_explain(st, &err);
    for (size_t i = 0; i < n_tensors && !st; i++) {
        char name[32];
        sprintf(name, "t%zu", i);
        if (operands[i].t.data) st = fvlm_judge_set_input(j, name, &operands[i].t, &err);
    }
    if (!st) st = fvlm_judge_run(j, &(fvlm_judge_observer){.value = check_value}, &err);
    must_explain(st, &err);
    if (!st) MUST(fvlm_judge_peak_bytes(j) <= limits.max_bytes);
    fvlm_judge_destroy(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static size_t n_ops;
    const char *domain, *attrs;
    while (fvlm_judge_known_op(n_ops, &domain, &attrs)) n_ops++;
    next = data;
    end = data + size;
    static const int64_t opsets[] = {17, 13, 18, 21, 23, 11, 9, 28};
    onnx_model m = onnx_model_of(10, opsets[take() % 8]);
    const size_t n_tensors = 1 + take() % MAX_TENSORS;
    for (size_t i = 0; i < n_tensors; i++) add_tensor(&m, i);
    for (size_t i = 0; i < MAX_NODES && (i == 0 || next < end); i++) add_node(&m, i, n_tensors, n_ops);
    onnx_bytes bytes = onnx_finish(&m);
    fvlm_graph *g;
    fvlm_err err = {0};
    fvlm_status st = fvlm_graph_open(&g, fuzz_file(bytes.bytes, bytes.n), &err);
    must_explain(st, &err);
    onnx_free(&bytes);
    if (!st) run(g, n_tensors);
    fvlm_graph_close(&g);
    return 0;
}
