/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what depends only on constants is computed as ONNX defines it. Each row is one operator on constants, with
 * the result written by hand from the operator's definition. tests/oracle/test_onnx_net.py does the same at random
 * against onnxruntime. */
#include <math.h>

#include "convert/graph/net.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

/* A tensor: type, shape, elements: "i[2,3]=1,2,3,4,5,6". Types: f FLOAT, h FLOAT16, i INT64, d INT32, u UINT8, c INT8,
 * b BOOL. Inputs and results are separated by spaces; "-" is an input that is left out. opset 0 is 17. */
static const struct {
    const char *op, *attrs, *inputs, *results;
    int64_t opset;
} rows[] = {
    /* numbers of one element */
    {"Abs", "", "i[3]=-2,0,5", "i[3]=2,0,5", 0},
    {"Neg", "", "f[2]=1.5,-2", "f[2]=-1.5,2", 0},
    {"Sign", "", "i[3]=-7,0,7", "i[3]=-1,0,1", 0},
    {"Floor", "", "f[3]=-1.5,1.5,2", "f[3]=-2,1,2", 0},
    {"Ceil", "", "f[3]=-1.5,1.5,2", "f[3]=-1,2,2", 0},
    {"Round", "", "f[5]=0.5,1.5,2.5,-0.5,-2.7", "f[5]=0,2,2,0,-3", 0},
    {"Sqrt", "", "f[2]=4,2.25", "f[2]=2,1.5", 0},
    {"Reciprocal", "", "f[2]=4,-0.5", "f[2]=0.25,-2", 0},
    {"Exp", "", "f[2]=0,1", "f[2]=1,2.7182817459106445", 0},
    {"Log", "", "f[1]=1", "f[1]=0", 0},
    {"Erf", "", "f[2]=0,1", "f[2]=0,0.842700779", 0},
    {"Cos", "", "f[2]=0,1", "f[2]=1,0.540302277", 0},
    {"Sin", "", "f[2]=0,1", "f[2]=0,0.841470957", 0},
    {"Tanh", "", "f[1]=0.5", "f[1]=0.462117165", 0},
    {"Sigmoid", "", "f[2]=0,1", "f[2]=0.5,0.731058598", 0},
    {"Relu", "", "f[3]=-1,0,2", "f[3]=0,0,2", 0},
    {"Elu", "alpha=2.0", "f[2]=-1,3", "f[2]=-1.26424122,3", 0},
    {"LeakyRelu", "", "f[2]=-100,3", "f[2]=-1,3", 0},
    {"HardSigmoid", "", "f[3]=-3,0,1", "f[3]=0,0.5,0.7", 0},
    {"Softplus", "", "f[1]=0", "f[1]=0.693147182", 0},
    {"Not", "", "b[2]=0,1", "b[2]=1,0", 0},
    {"IsNaN", "", "f[2]=1,nan", "b[2]=0,1", 0},
    {"IsInf", "", "f[3]=1,inf,-inf", "b[3]=0,1,1", 0},
    {"Gelu", "", "f[2]=0,1", "f[2]=0,0.841344746", 20},
    {"Gelu", "approximate='tanh'", "f[1]=1", "f[1]=0.841192", 20},
    {"com.microsoft:QuickGelu", "alpha=1.0", "f[1]=1", "f[1]=0.731058598", 0},
    {"com.microsoft:FastGelu", "", "f[1]=0.5 f[1]=0.5", "f[1]=0.841192", 0},
    {"Clip", "", "f[4]=-5,0,5,9 f[]=-1 f[]=6", "f[4]=-1,0,5,6", 0},
    {"Clip", "", "i[3]=-5,0,9 - i[]=6", "i[3]=-5,0,6", 0},
    {"Clip", "min=-1.0 max=2.0", "f[3]=-5,0,9", "f[3]=-1,0,2", 10},
    {"Identity", "", "f[2]=1,2", "f[2]=1,2", 0},
    {"Dropout", "", "f[2]=1,2", "f[2]=1,2", 0},
    /* casts */
    {"Cast", "to=7", "f[4]=-1.9,1.9,0,3", "i[4]=-1,1,0,3", 0},
    {"Cast", "to=9", "f[3]=0,0.5,-2", "b[3]=0,1,1", 0},
    {"Cast", "to=1", "b[2]=0,1", "f[2]=0,1", 0},
    {"Cast", "to=10", "f[3]=1.0001,65520,0.1", "h[3]=1,inf,0.0999755859375", 0},
    {"Cast", "to=3", "i[3]=200,-129,5", "c[3]=-56,127,5", 0},
    {"Cast", "to=2", "i[2]=257,-1", "u[2]=1,255", 0},
    {"CastLike", "", "f[2]=1.5,2 i[1]=0", "i[2]=1,2", 0},
    /* two inputs, broadcasting */
    {"Add", "", "i[2,1]=10,20 i[3]=1,2,3", "i[2,3]=11,12,13,21,22,23", 0},
    {"Add", "", "f[1]=16777216 f[1]=1", "f[1]=16777216", 0}, /* rounds as FLOAT */
    {"Sub", "", "i[2]=1,5 i[]=3", "i[2]=-2,2", 0},
    {"Mul", "", "f[2,2]=1,2,3,4 f[2]=10,100", "f[2,2]=10,200,30,400", 0},
    {"Div", "", "i[4]=7,-7,7,-7 i[4]=2,2,-2,-2", "i[4]=3,-3,-3,3", 0},
    {"Div", "", "f[2]=1,-1 f[]=0", "f[2]=inf,-inf", 0},
    {"Mod", "", "i[4]=7,-7,7,-7 i[4]=3,3,-3,-3", "i[4]=1,2,-2,-1", 0},
    {"Mod", "fmod=1", "i[2]=7,-7 i[]=3", "i[2]=1,-1", 0},
    {"Mod", "fmod=1", "f[2]=5.5,-5.5 f[]=2", "f[2]=1.5,-1.5", 0},
    {"Mod", "", "f[3]=5.5,-5.5,-0.25 f[]=2", "f[3]=1.5,0.5,1.75", 28},
    {"BitShift", "direction='RIGHT'", "c[3]=-7,7,-1 c[3]=1,1,9", "c[3]=-4,3,-1", 28},
    {"BitShift", "direction='LEFT'", "c[2]=65,1 c[2]=1,8", "c[2]=-126,0", 28},
    {"Pow", "", "i[3]=2,3,-2 i[3]=10,2,3", "i[3]=1024,9,-8", 0},
    {"Pow", "", "f[2]=4,9 f[]=0.5", "f[2]=2,3", 0},
    {"Min", "", "i[2]=1,9 i[2]=5,5 i[]=4", "i[2]=1,4", 0},
    {"Max", "", "i[2]=1,9 i[2]=5,5", "i[2]=5,9", 0},
    {"Sum", "", "f[2]=1,2 f[2]=3,4 f[1]=10", "f[2]=14,16", 0},
    {"Mean", "", "f[2]=1,2 f[2]=3,4", "f[2]=2,3", 0},
    {"PRelu", "", "f[2]=-2,2 f[1]=0.25", "f[2]=-0.5,2", 0},
    {"And", "", "b[4]=0,0,1,1 b[4]=0,1,0,1", "b[4]=0,0,0,1", 0},
    {"Or", "", "b[4]=0,0,1,1 b[4]=0,1,0,1", "b[4]=0,1,1,1", 0},
    {"Xor", "", "b[4]=0,0,1,1 b[4]=0,1,0,1", "b[4]=0,1,1,0", 0},
    {"Equal", "", "i[3]=1,2,3 i[]=2", "b[3]=0,1,0", 0},
    {"Less", "", "i[3]=1,2,3 i[]=2", "b[3]=1,0,0", 0},
    {"LessOrEqual", "", "i[3]=1,2,3 i[]=2", "b[3]=1,1,0", 0},
    {"Greater", "", "i[3]=1,2,3 i[]=2", "b[3]=0,0,1", 0},
    {"GreaterOrEqual", "", "i[3]=1,2,3 i[]=2", "b[3]=0,1,1", 0},
    {"BitShift", "direction='LEFT'", "u[2]=3,129 u[]=1", "u[2]=6,2", 0},
    {"BitShift", "direction='RIGHT'", "u[2]=3,128 u[]=2", "u[2]=0,32", 0},
    {"BitwiseAnd", "", "i[2]=6,-1 i[]=3", "i[2]=2,3", 18},
    {"Where", "", "b[2,1]=1,0 i[2]=1,2 i[]=9", "i[2,2]=1,2,9,9", 0},
    /* shapes */
    {"Shape", "", "f[2,3]=1,2,3,4,5,6", "i[2]=2,3", 0},
    {"Shape", "start=1", "f[2,3,1]=1,2,3,4,5,6", "i[2]=3,1", 0},
    {"Shape", "start=-2 end=-1", "f[2,3,1]=1,2,3,4,5,6", "i[1]=3", 0},
    {"Size", "", "f[2,3]=1,2,3,4,5,6", "i[]=6", 0},
    {"Reshape", "", "i[2,3]=1,2,3,4,5,6 i[2]=3,-1", "i[3,2]=1,2,3,4,5,6", 0},
    {"Reshape", "", "i[2,3]=1,2,3,4,5,6 i[3]=0,1,-1", "i[2,1,3]=1,2,3,4,5,6", 0},
    {"Reshape", "allowzero=1", "i[0]= i[2]=0,7", "i[0,7]=", 0},
    {"Flatten", "axis=2", "i[1,2,2]=1,2,3,4", "i[2,2]=1,2,3,4", 0},
    {"Flatten", "axis=0", "i[2,2]=1,2,3,4", "i[1,4]=1,2,3,4", 0},
    {"Flatten", "axis=-1", "i[2,2]=1,2,3,4", "i[2,2]=1,2,3,4", 0},
    {"Squeeze", "", "i[1,2,1]=1,2", "i[2]=1,2", 0},
    {"Squeeze", "", "i[1,2,1]=1,2 i[1]=-1", "i[1,2]=1,2", 0},
    {"Squeeze", "axes=[0]", "i[1,2,1]=1,2", "i[2,1]=1,2", 11},
    {"Unsqueeze", "", "i[2]=1,2 i[2]=0,-1", "i[1,2,1]=1,2", 0},
    {"Unsqueeze", "axes=[1]", "i[2]=1,2", "i[2,1]=1,2", 11},
    {"Transpose", "", "i[2,3]=1,2,3,4,5,6", "i[3,2]=1,4,2,5,3,6", 0},
    {"Transpose", "perm=[1,2,0]", "i[2,1,2]=1,2,3,4", "i[1,2,2]=1,3,2,4", 0},
    {"Expand", "", "i[2,1]=1,2 i[2]=1,3", "i[2,3]=1,1,1,2,2,2", 0},
    {"Expand", "", "i[3]=1,2,3 i[2]=2,1", "i[2,3]=1,2,3,1,2,3", 0},
    {"Tile", "", "i[1,2]=1,2 i[2]=2,2", "i[2,4]=1,2,1,2,1,2,1,2", 0},
    {"Concat", "axis=1", "i[2,1]=1,2 i[2,2]=3,4,5,6", "i[2,3]=1,3,4,2,5,6", 0},
    {"Concat", "axis=-1", "i[0]= i[2]=1,2 i[1]=3", "i[3]=1,2,3", 0},
    /* parts */
    {"Slice", "", "i[5]=1,2,3,4,5 i[1]=1 i[1]=4", "i[3]=2,3,4", 0},
    {"Slice", "", "i[5]=1,2,3,4,5 i[1]=-2 i[1]=9223372036854775807", "i[2]=4,5", 0},
    {"Slice", "", "i[5]=1,2,3,4,5 i[1]=4 i[1]=-9223372036854775808 i[1]=0 i[1]=-2", "i[3]=5,3,1", 0},
    {"Slice", "", "i[5]=1,2,3,4,5 i[1]=0 i[1]=100 i[1]=0 i[1]=2", "i[3]=1,3,5", 0},
    {"Slice", "", "i[5]=1,2,3,4,5 i[1]=3 i[1]=2", "i[0]=", 0},
    {"Slice", "", "i[2,3]=1,2,3,4,5,6 i[2]=1,1 i[2]=3,2 i[2]=1,0", "i[1,2]=5,6", 0},
    {"Slice", "starts=[1] ends=[3] axes=[1]", "i[2,3]=1,2,3,4,5,6", "i[2,2]=2,3,5,6", 9},
    {"Split", "axis=0", "i[4]=1,2,3,4", "i[2]=1,2 i[2]=3,4", 0},
    {"Split", "axis=1", "i[2,3]=1,2,3,4,5,6 i[2]=1,2", "i[2,1]=1,4 i[2,2]=2,3,5,6", 0},
    {"Split", "split=[3,1]", "i[4]=1,2,3,4", "i[3]=1,2,3 i[1]=4", 11},
    {"Split", "num_outputs=2", "i[5]=1,2,3,4,5", "i[3]=1,2,3 i[2]=4,5", 18},
    {"Gather", "", "i[3]=10,20,30 i[2]=2,-3", "i[2]=30,10", 0},
    {"Gather", "axis=1", "i[2,3]=1,2,3,4,5,6 i[]=1", "i[2]=2,5", 0},
    {"Gather", "axis=1", "i[2,3]=1,2,3,4,5,6 i[1,2]=2,0", "i[2,1,2]=3,1,6,4", 0},
    {"GatherElements", "axis=1", "i[2,2]=1,2,3,4 i[2,2]=0,0,1,0", "i[2,2]=1,1,4,3", 0},
    {"GatherND", "", "i[2,2]=1,2,3,4 i[2,2]=0,0,1,1", "i[2]=1,4", 0},
    {"GatherND", "", "i[2,2]=1,2,3,4 i[2,1]=1,0", "i[2,2]=3,4,1,2", 0},
    {"GatherND", "batch_dims=1", "i[2,2]=1,2,3,4 i[2,1]=1,0", "i[2]=2,3", 0},
    {"ScatterElements", "axis=1", "i[1,4]=1,2,3,4 i[1,2]=1,3 i[1,2]=20,40", "i[1,4]=1,20,3,40", 0},
    {"ScatterND", "", "i[4]=1,2,3,4 i[2,1]=3,0 i[2]=40,10", "i[4]=10,2,3,40", 0},
    {"ScatterND", "", "i[2,2]=1,2,3,4 i[1,1]=1 i[1,2]=8,9", "i[2,2]=1,2,8,9", 0},
    {"Trilu", "upper=0", "i[3,3]=1,2,3,4,5,6,7,8,9", "i[3,3]=1,0,0,4,5,0,7,8,9", 0},
    {"Trilu", "", "i[3,3]=1,2,3,4,5,6,7,8,9 i[]=1", "i[3,3]=0,2,3,0,0,6,0,0,0", 0},
    {"Pad", "", "i[2]=1,2 i[2]=1,2 i[]=9", "i[5]=9,1,2,9,9", 0},
    {"Pad", "", "i[3]=1,2,3 i[2]=-1,1", "i[3]=2,3,0", 0},
    {"Pad", "pads=[0,1,0,0] value=5.0", "f[2,1]=1,2", "f[2,2]=5,1,5,2", 10},
    /* made of nothing */
    {"ConstantOfShape", "", "i[2]=1,2", "f[1,2]=0,0", 0},
    {"Range", "", "i[]=2 i[]=9 i[]=3", "i[3]=2,5,8", 0},
    {"Range", "", "i[]=5 i[]=0 i[]=-2", "i[3]=5,3,1", 0},
    {"Range", "", "f[]=0 f[]=1 f[]=0.5", "f[2]=0,0.5", 0},
    {"NonZero", "", "i[2,2]=0,5,6,0", "i[2,2]=0,1,1,0", 0},
    /* along axes */
    {"ReduceSum", "", "i[2,2]=1,2,3,4", "i[1,1]=10", 0},
    {"ReduceSum", "keepdims=0", "i[2,2]=1,2,3,4 i[1]=0", "i[2]=4,6", 0},
    {"ReduceSum", "noop_with_empty_axes=1", "i[2]=1,2", "i[2]=1,2", 0},
    {"ReduceSum", "axes=[1]", "i[2,2]=1,2,3,4", "i[2,1]=3,7", 11},
    {"ReduceMean", "axes=[-1] keepdims=0", "f[2,2]=1,2,3,5", "f[2]=1.5,4", 0},
    {"ReduceProd", "axes=[0]", "i[2,2]=1,2,3,4", "i[1,2]=3,8", 0},
    {"ReduceMax", "axes=[0]", "i[2,2]=1,9,3,4", "i[1,2]=3,9", 0},
    {"ReduceMin", "", "i[2,2]=1,9,3,4 i[1]=1", "i[2,1]=1,3", 18},
    {"ReduceL1", "keepdims=0", "f[3]=-3,4,0", "f[]=7", 0},
    {"ReduceL2", "keepdims=0", "f[2]=-3,4", "f[]=5", 0},
    {"ReduceSumSquare", "keepdims=0", "f[2]=-3,4", "f[]=25", 0},
    {"ArgMax", "axis=1", "i[2,3]=1,9,9,4,2,3", "i[2,1]=1,0", 0},
    {"ArgMax", "axis=1 select_last_index=1 keepdims=0", "i[2,3]=1,9,9,4,2,3", "i[2]=2,0", 0},
    {"ArgMin", "", "i[3]=3,1,2", "i[1]=1", 0},
    {"CumSum", "", "i[3]=1,2,3 i[]=0", "i[3]=1,3,6", 0},
    {"CumSum", "exclusive=1", "i[3]=1,2,3 i[]=0", "i[3]=0,1,3", 0},
    {"CumSum", "reverse=1", "i[2,2]=1,2,3,4 i[]=1", "i[2,2]=3,2,7,4", 0},
    {"Softmax", "axis=0", "f[2,2]=0,1,0,1", "f[2,2]=0.5,0.5,0.5,0.5", 0},
    {"Softmax", "", "f[1,2]=0,0.693147182", "f[1,2]=0.333333343,0.666666687", 11},
    {"LayerNormalization", "epsilon=0.0", "f[2]=1,3 f[2]=2,10 f[2]=0,1", "f[2]=-2,11", 0},
    {"RMSNormalization", "epsilon=0.0", "f[2]=3,3 f[2]=1,2", "f[2]=1,2", 23},
    {"MatMul", "", "i[2,2]=1,2,3,4 i[2,1]=5,6", "i[2,1]=17,39", 0},
    {"MatMul", "", "i[2]=1,2 i[2]=3,4", "i[]=11", 0},
    {"MatMul", "", "i[2,1,2]=1,2,3,4 i[2]=1,10", "i[2,1]=21,43", 0},
    {"MatMul", "", "i[2,1,1]=2,3 i[1,2]=1,10", "i[2,1,2]=2,20,3,30", 0},
    {"Gemm", "transB=1 beta=2.0", "f[1,2]=1,2 f[2,2]=1,1,0,1 f[2]=10,20", "f[1,2]=23,42", 0},
    {"Gemm", "transA=1 alpha=0.5", "f[2,1]=2,4 f[2,1]=3,1", "f[1,1]=5", 0},
    {"DequantizeLinear", "", "u[3]=0,128,255 f[]=0.5 u[]=128", "f[3]=-64,0,63.5", 0},
    {"DequantizeLinear", "axis=0", "c[2,2]=1,2,3,4 f[2]=0.5,2 c[2]=0,1", "f[2,2]=0.5,1,4,6", 0},
    {"DequantizeLinear", "axis=1 block_size=2", "c[1,4]=1,2,3,4 f[1,2]=1,10", "f[1,4]=1,2,30,40", 21},
};

/* ---- the rows' language ---- */

typedef struct {
    int32_t type;
    char shape[64];
    size_t n;
    double x[64];
} tensor;

static int32_t type_of(char c)
{
    switch (c) {
    case 'f':
        return FVLM_ONNX_F32;
    case 'h':
        return FVLM_ONNX_F16;
    case 'i':
        return FVLM_ONNX_I64;
    case 'd':
        return FVLM_ONNX_I32;
    case 'u':
        return FVLM_ONNX_U8;
    case 'c':
        return FVLM_ONNX_I8;
    default:
        return FVLM_ONNX_BOOL;
    }
}

/* Reads one tensor at *s, which then points behind it. False at the end. */
static bool read_tensor(tensor *t, const char **s)
{
    while (**s == ' ') ++*s;
    if (!**s) return false;
    memset(t, 0, sizeof *t);
    if (**s == '-') return ++*s, true;
    t->type = type_of(**s);
    size_t n = strcspn(*s + 2, "]");
    memcpy(t->shape, *s + 2, n);
    *s += n + 4;
    while (**s && **s != ' ') {
        char *end;
        t->x[t->n++] = strncmp(*s, "nan", 3) == 0 ? (*s += 3, (double)NAN) : (double)strtold(*s, &end);
        if (!isnan(t->x[t->n - 1])) *s = end;
        if (**s == ',') ++*s;
    }
    return true;
}

static void add(onnx_model *m, const char *name, const tensor *t)
{
    uint8_t bytes[8 * 64];
    unsigned size = fvlm_onnx_type_bits(t->type) / 8;
    for (size_t i = 0; i < t->n; i++) {
        uint8_t *p = bytes + i * size;
        int64_t whole = t->x[i] >= 0x1p63 ? INT64_MAX : isnan(t->x[i]) || isinf(t->x[i]) ? 0 : (int64_t)t->x[i];
        if (t->type == FVLM_ONNX_F32)
            fvlm_store_u32(p, fvlm_f32_bits((float)t->x[i]));
        else
            memcpy(p, &whole, size);
    }
    onnx_tensor(m, name, t->type, t->shape, bytes, t->n * size);
}

static void check_result(const char *what, const fvlm_net_value *v, const tensor *want)
{
    char shape[64] = "";
    if (!v || !v->numbers) fail_msg("%s: not computed", what);
    for (unsigned d = 0; d < v->rank; d++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%d", d ? "," : "", (int)v->dims[d]);
    if (strcmp(shape, want->shape) != 0) fail_msg("%s: shape [%s], expected [%s]", what, shape, want->shape);
    if (v->type != want->type) fail_msg("%s: type %s", what, fvlm_onnx_type_name(v->type));
    for (size_t i = 0; i < want->n; i++) {
        double x = v->numbers[i], y = want->x[i];
        bool exact = v->type != FVLM_ONNX_F32 || isinf(y);
        if (x != y && (exact || !(fabs(x - y) <= 3e-7 * fmax(1, fabs(y)))))
            fail_msg("%s: element %zu is %.9g, expected %.9g", what, i, x, y);
    }
}

static void fold_row(size_t i, const char *folder)
{
    onnx_model m = onnx_model_of(8, rows[i].opset ? rows[i].opset : 17);
    char names[200] = "", outs[64] = "";
    const char *s = rows[i].inputs, *r = rows[i].results;
    tensor t, want[3];
    size_t n = 0, n_out = 0;
    for (; read_tensor(&t, &s); n++) {
        char name[8];
        snprintf(name, sizeof name, "x%zu", n);
        if (t.type) add(&m, name, &t);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", n ? "," : "", t.type ? name : "");
    }
    while (read_tensor(&want[n_out], &r)) {
        char name[8];
        snprintf(name, sizeof name, "y%zu", n_out);
        snprintf(outs + strlen(outs), sizeof outs - strlen(outs), "%s%s", n_out ? "," : "", name);
        onnx_output(&m, name, want[n_out++].type, NULL);
    }
    onnx_node(&m, rows[i].op, names, outs, rows[i].attrs);
    char *path = test_path(folder, "row.onnx"), what[300];
    onnx_save(&m, path);
    fvlm_err err = {0};
    fvlm_graph *g = NULL;
    fvlm_net *net = NULL;
    snprintf(what, sizeof what, "row %zu: %s %s of %s", i, rows[i].op, rows[i].attrs, rows[i].inputs);
    must(fvlm_graph_open(&g, path, &err), &err);
    if (fvlm_net_create(&net, g, NULL, 0, &err)) fail_msg("%s: %s", what, err.msg);
    for (size_t k = 0; k < n_out; k++) {
        char name[24];
        snprintf(name, sizeof name, "y%zu", k);
        check_result(what, fvlm_net_output_value(net, name), &want[k]);
    }
    assert_int_equal(fvlm_net_n_nodes(net), 0);
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    free(path);
}

static void folds(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) fold_row(i, folder);
    printf("%zu operators on constants\n", sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
