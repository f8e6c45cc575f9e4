/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: each family of the judge's operators computes what the ONNX documents say, on numbers worked out by hand; the
 * forms that differ from one opset to another; types, broadcasting, attributes' defaults.
 * tests/oracle/test_onnx_judge.py compares every operator with onnxruntime. */
#include <math.h>

#include "tests/support/judge_case.h"

static void test_arithmetic(void **state)
{
    (void)state;
    judge_expect("Add", 14, "", IN(T(F32, "2,1", 1, 2), T(F32, "3", 10, 20, 30)),
                 OUT(T(F32, "2,3", 11, 21, 31, 12, 22, 32)));
    judge_expect("Sub", 14, "", IN(T(I64, "", 3), T(I64, "2", 5, 1)), OUT(T(I64, "2", -2, 2)));
    judge_expect("Mul", 14, "", IN(T(U8, "2", 200, 3), T(U8, "", 2)), OUT(T(U8, "2", 144, 6))); /* wraps */
    judge_expect("Div", 14, "", IN(T(I32, "4", 7, -7, 7, -7), T(I32, "4", 2, 2, -2, -2)),
                 OUT(T(I32, "4", 3, -3, -3, 3)));
    judge_expect("Mod", 13, "", IN(T(I32, "4", 7, -7, 7, -7), T(I32, "4", 3, 3, -3, -3)),
                 OUT(T(I32, "4", 1, 2, -2, -1)));
    judge_expect("Mod", 13, "fmod=1", IN(T(F32, "2", 5.5, -5.5), T(F32, "", 3)), OUT(T(F32, "2", 2.5, -2.5)));
    judge_expect("Pow", 15, "", IN(T(I64, "3", 2, 3, -2), T(F32, "", 3)), OUT(T(I64, "3", 8, 27, -8)));
    judge_expect("Min", 13, "", IN(T(F32, "2", 1, NAN), T(F32, "2", 2, 0), T(F32, "", 1.5)), OUT(T(F32, "2", 1, NAN)));
    judge_expect("Mean", 13, "", IN(T(F32, "2", 1, 2), T(F32, "2", 3, 6), T(F32, "", 2)), OUT(T(F32, "2", 2, 10. / 3)));
    judge_expect("Clip", 13, "", IN(T(F32, "3", -9, 0.5, 9), NONE, T(F32, "", 1)), OUT(T(F32, "3", -9, 0.5, 1)));
    judge_expect("Clip", 6, "min=-1.0 max=1.0", IN(T(F32, "3", -9, 0.5, 9)), OUT(T(F32, "3", -1, 0.5, 1)));
    judge_expect("PRelu", 16, "", IN(T(F32, "2,2", -1, 2, -3, -4), T(F32, "2,1", 0.5, 2)),
                 OUT(T(F32, "2,2", -0.5, 2, -6, -8)));
}

static void test_logic(void **state)
{
    (void)state;
    judge_expect("Less", 13, "", IN(T(F32, "3", 1, 2, NAN), T(F32, "", 2)), OUT(T(BOOL, "3", 1, 0, 0)));
    judge_expect("GreaterOrEqual", 16, "", IN(T(I64, "2", 1, 2), T(I64, "", 2)), OUT(T(BOOL, "2", 0, 1)));
    judge_expect("Equal", 13, "", IN(T(BOOL, "2", 0, 1), T(BOOL, "2", 0, 0)), OUT(T(BOOL, "2", 1, 0)));
    judge_expect("Xor", 7, "", IN(T(BOOL, "2", 1, 1), T(BOOL, "2", 0, 1)), OUT(T(BOOL, "2", 1, 0)));
    judge_expect("Not", 1, "", IN(T(BOOL, "2", 1, 0)), OUT(T(BOOL, "2", 0, 1)));
    judge_expect("Where", 16, "", IN(T(BOOL, "2", 1, 0), T(I64, "2,1", 1, 2), T(I64, "", 9)),
                 OUT(T(I64, "2,2", 1, 9, 2, 9)));
    judge_expect("IsInf", 20, "detect_negative=0", IN(T(F32, "3", INFINITY, -INFINITY, NAN)),
                 OUT(T(BOOL, "3", 1, 0, 0)));
    judge_expect("IsNaN", 20, "", IN(T(F32, "2", INFINITY, NAN)), OUT(T(BOOL, "2", 0, 1)));
}

static void test_functions(void **state)
{
    (void)state;
    judge_expect("Relu", 14, "", IN(T(I32, "2", -3, 3)), OUT(T(I32, "2", 0, 3)));
    judge_expect("Round", 11, "", IN(T(F32, "4", 0.5, 1.5, 2.5, -0.5)), OUT(T(F32, "4", 0, 2, 2, 0)));
    judge_expect("Erf", 13, "", IN(T(F32, "2", 0.5, -1)), OUT(T(F32, "2", 0.5204998778, -0.8427007929)));
    judge_expect("Gelu", 20, "", IN(T(F32, "2", 1, -1)), OUT(T(F32, "2", 0.8413447461, -0.1586552539)));
    judge_expect("Gelu", 20, "approximate='tanh'", IN(T(F32, "", 1)), OUT(T(F32, "", 0.8411919906)));
    judge_expect("com.microsoft:BiasGelu", 17, "", IN(T(F32, "1,2", 0.5, -2), T(F32, "2", 0.5, 1)),
                 OUT(T(F32, "1,2", 0.8413447461, -0.1586552539)));
    judge_expect("com.microsoft:QuickGelu", 17, "", IN(T(F32, "", 1)), OUT(T(F32, "", 0.8457957659)));
    judge_expect("HardSigmoid", 6, "", IN(T(F32, "3", -9, 0, 9)), OUT(T(F32, "3", 0, 0.5, 1)));
    judge_expect("LeakyRelu", 16, "alpha=0.1", IN(T(F32, "2", -2, 2)), OUT(T(F32, "2", -0.2, 2)));
    judge_expect("Sigmoid", 13, "", IN(T(F64, "2", 0, -800)), OUT(T(F64, "2", 0.5, 0)));
}

static void test_cast(void **state)
{
    (void)state;
    judge_expect("Cast", 13, "to=7", IN(T(F32, "4", 1.9, -1.9, NAN, -1e30)), OUT(T(I64, "4", 1, -1, 0, -0x1p63)));
    judge_expect("Cast", 13, "to=2", IN(T(I32, "2", 257, -1)), OUT(T(U8, "2", 1, 255)));
    judge_expect("Cast", 13, "to=9", IN(T(F32, "3", 0, 0.1, -1)), OUT(T(BOOL, "3", 0, 1, 1)));
    judge_expect("Cast", 13, "to=10", IN(T(F32, "3", 2049, 2051, 70000)), OUT(T(F16, "3", 2048, 2052, INFINITY)));
    judge_expect("Cast", 21, "to=22", IN(T(I32, "2", 9, -8)), OUT(T(I4, "2", -7, -8)));
    judge_expect("CastLike", 15, "", IN(T(F32, "2", 3.7, -3.7), T(I32, "1", 0)), OUT(T(I32, "2", 3, -3)));
}

static void test_shapes(void **state)
{
    (void)state;
    judge_expect("Reshape", 14, "", IN(T(F32, "2,3", 1, 2, 3, 4, 5, 6), T(I64, "3", 0, -1, 1)),
                 OUT(T(F32, "2,3,1", 1, 2, 3, 4, 5, 6)));
    judge_expect("Reshape", 14, "allowzero=1", IN(T(F32, "0,3", 1), T(I64, "2", 3, 0)), OUT(T(F32, "3,0", 1)));
    judge_expect("Flatten", 13, "axis=-1", IN(T(U8, "2,1,2", 1, 2, 3, 4)), OUT(T(U8, "2,2", 1, 2, 3, 4)));
    judge_expect("Squeeze", 13, "", IN(T(U8, "1,2,1", 1, 2), T(I64, "1", -1)), OUT(T(U8, "1,2", 1, 2)));
    judge_expect("Squeeze", 11, "", IN(T(U8, "1,2,1", 1, 2)), OUT(T(U8, "2", 1, 2)));
    judge_expect("Unsqueeze", 11, "axes=[0,-1]", IN(T(U8, "2", 1, 2)), OUT(T(U8, "1,2,1", 1, 2)));
    judge_expect("Shape", 15, "start=-2", IN(T(U8, "4,2,3", 0)), OUT(T(I64, "2", 2, 3)));
    judge_expect("Range", 11, "", IN(T(I64, "", 5), T(I64, "", 0), T(I64, "", -2)), OUT(T(I64, "3", 5, 3, 1)));
    judge_expect("ConstantOfShape", 9, "", IN(T(I64, "2", 1, 2)), OUT(T(F32, "1,2", 0)));
    judge_expect("Dropout", 13, "", IN(T(F32, "2", 1, 2)), OUT(T(F32, "2", 1, 2), T(BOOL, "2", 1)));
}

static void test_moves(void **state)
{
    (void)state;
    judge_expect("Transpose", 13, "perm=[1,0]", IN(T(I64, "2,3", 1, 2, 3, 4, 5, 6)),
                 OUT(T(I64, "3,2", 1, 4, 2, 5, 3, 6)));
    judge_expect("Slice", 13, "",
                 IN(T(U8, "5", 0, 1, 2, 3, 4), T(I64, "1", -1), T(I64, "1", -99), NONE, T(I64, "1", -2)),
                 OUT(T(U8, "3", 4, 2, 0)));
    judge_expect("Slice", 9, "starts=[1] ends=[9] axes=[1]", IN(T(U8, "2,3", 1, 2, 3, 4, 5, 6)),
                 OUT(T(U8, "2,2", 2, 3, 5, 6)));
    judge_expect("Concat", 13, "axis=-1", IN(T(U8, "2,1", 1, 2), T(U8, "2,0", 0), T(U8, "2,2", 3, 4, 5, 6)),
                 OUT(T(U8, "2,3", 1, 3, 4, 2, 5, 6)));
    judge_expect("Split", 18, "axis=1 num_outputs=2", IN(T(U8, "1,5", 1, 2, 3, 4, 5)),
                 OUT(T(U8, "1,3", 1, 2, 3), T(U8, "1,2", 4, 5)));
    judge_expect("Split", 13, "", IN(T(U8, "3", 1, 2, 3), T(I64, "2", 1, 2)), OUT(T(U8, "1", 1), T(U8, "2", 2, 3)));
    judge_expect("Expand", 13, "", IN(T(U8, "2,1", 1, 2), T(I64, "3", 2, 1, 2)),
                 OUT(T(U8, "2,2,2", 1, 1, 2, 2, 1, 1, 2, 2)));
    judge_expect("Tile", 13, "", IN(T(U8, "1,2", 1, 2), T(I64, "2", 2, 2)), OUT(T(U8, "2,4", 1, 2, 1, 2)));
    judge_expect("Pad", 13, "mode='reflect'", IN(T(U8, "3", 1, 2, 3), T(I64, "2", 2, 1)),
                 OUT(T(U8, "6", 3, 2, 1, 2, 3, 2)));
    judge_expect("Pad", 18, "", IN(T(U8, "1,2", 1, 2), T(I64, "2", -1, 2), T(U8, "", 7), T(I64, "1", 1)),
                 OUT(T(U8, "1,3", 2, 7, 7)));
    judge_expect("Trilu", 14, "upper=0", IN(T(U8, "2,3", 1, 2, 3, 4, 5, 6), T(I64, "", 0)),
                 OUT(T(U8, "2,3", 1, 0, 0, 4, 5, 0)));
    judge_expect("DepthToSpace", 13, "blocksize=2", IN(T(U8, "1,4,1,1", 1, 2, 3, 4)),
                 OUT(T(U8, "1,1,2,2", 1, 2, 3, 4)));
}

static void test_indices(void **state)
{
    (void)state;
    judge_expect("Gather", 13, "axis=1", IN(T(F32, "2,2", 1, 2, 3, 4), T(I64, "1,2", -1, 0)),
                 OUT(T(F32, "2,1,2", 2, 1, 4, 3)));
    judge_expect("GatherElements", 13, "axis=1", IN(T(U8, "2,2", 1, 2, 3, 4), T(I32, "2,1", 1, 0)),
                 OUT(T(U8, "2,1", 2, 3)));
    judge_expect("GatherND", 13, "batch_dims=1", IN(T(U8, "2,2", 1, 2, 3, 4), T(I64, "2,1", 1, 0)),
                 OUT(T(U8, "2", 2, 3)));
    judge_expect("ScatterElements", 18, "reduction='add'",
                 IN(T(F32, "3", 1, 2, 3), T(I64, "3", 1, 1, -1), T(F32, "3", 10, 20, 30)), OUT(T(F32, "3", 1, 32, 33)));
    judge_expect("ScatterND", 18, "", IN(T(U8, "2,2", 1, 2, 3, 4), T(I64, "1,1", 1), T(U8, "1,2", 8, 9)),
                 OUT(T(U8, "2,2", 1, 2, 8, 9)));
    judge_expect("NonZero", 13, "", IN(T(BOOL, "2,2", 1, 0, 1, 1)), OUT(T(I64, "2,3", 0, 1, 1, 0, 0, 1)));
    judge_expect("OneHot", 11, "", IN(T(I64, "2", 1, -1), T(I64, "1", 3), T(U8, "2", 5, 6)),
                 OUT(T(U8, "2,3", 5, 6, 5, 5, 5, 6)));
    judge_expect("TopK", 11, "largest=0", IN(T(F32, "4", 3, 1, 2, 1), T(I64, "1", 3)),
                 OUT(T(F32, "3", 1, 1, 2), T(I64, "3", 1, 3, 2)));
    judge_expect("CumSum", 14, "exclusive=1 reverse=1", IN(T(I32, "3", 1, 2, 3), T(I64, "", 0)),
                 OUT(T(I32, "3", 5, 3, 0)));
}

static void test_convolutions(void **state)
{
    (void)state;
    /* 1 2 3 / 4 5 6 / 7 8 9 under a kernel of ones */
    judge_expect("Conv", 11, "pads=[1,1,1,1] strides=[2,2]",
                 IN(T(F32, "1,1,3,3", 1, 2, 3, 4, 5, 6, 7, 8, 9), T(F32, "1,1,3,3", 1), T(F32, "1", 0.5)),
                 OUT(T(F32, "1,1,2,2", 12.5, 16.5, 24.5, 28.5)));
    judge_expect("Conv", 11, "dilations=[2] auto_pad='SAME_UPPER'",
                 IN(T(F32, "1,1,4", 1, 2, 3, 4), T(F32, "1,1,2", 1, 10)), OUT(T(F32, "1,1,4", 20, 31, 42, 3)));
    /* depth multiplier 2: outputs 0 and 1 read input 0 */
    judge_expect("Conv", 11, "group=2", IN(T(F32, "1,2,2", 1, 2, 3, 4), T(F32, "4,1,1", 1, 10, 100, 1000)),
                 OUT(T(F32, "1,4,2", 1, 2, 10, 20, 300, 400, 3000, 4000)));
    judge_expect("Conv", 11, "",
                 IN(T(F32, "1,4,1,2", 1, 2, 3, 4, 5, 6, 7, 8), T(F32, "2,4,1,1", 1, 1, 1, 1, 1, 0, 0, -1)),
                 OUT(T(F32, "1,2,1,2", 16, 20, -6, -6)));
    judge_expect("com.microsoft:FusedConv", 17, "activation='Clip' activation_params=[0.0,6.0]",
                 IN(T(F32, "1,1,2", 1, -1), T(F32, "1,1,1", 9), NONE, T(F32, "1,1,2", -5, 1)),
                 OUT(T(F32, "1,1,2", 4, 0)));
    judge_expect("ConvInteger", 10, "", IN(T(U8, "1,1,2", 3, 200), T(I8, "1,1,1", -100), T(U8, "", 1), T(I8, "", 27)),
                 OUT(T(I32, "1,1,2", -254, -25273)));
    judge_expect("MaxPool", 12, "kernel_shape=[2] ceil_mode=1 strides=[2]", IN(T(F32, "1,1,3", 1, 3, 2)),
                 OUT(T(F32, "1,1,2", 3, 2), T(I64, "1,1,2", 1, 2)));
    judge_expect("AveragePool", 11, "kernel_shape=[3] pads=[1,1]", IN(T(F32, "1,1,3", 1, 2, 6)),
                 OUT(T(F32, "1,1,3", 1.5, 3, 4)));
    judge_expect("AveragePool", 11, "kernel_shape=[3] pads=[1,1] count_include_pad=1", IN(T(F32, "1,1,3", 1, 2, 6)),
                 OUT(T(F32, "1,1,3", 1, 3, 8. / 3)));
    judge_expect("GlobalAveragePool", 1, "", IN(T(F32, "1,2,2,1", 1, 2, 3, 5)), OUT(T(F32, "1,2,1,1", 1.5, 4)));
}

static void test_products(void **state)
{
    (void)state;
    judge_expect("MatMul", 13, "", IN(T(F32, "2,2", 1, 2, 3, 4), T(F32, "2,1", 5, 6)), OUT(T(F32, "2,1", 17, 39)));
    judge_expect("MatMul", 13, "", IN(T(F32, "2", 1, 2), T(F32, "2,2,1", 1, 2, 3, 4)), OUT(T(F32, "2,1", 5, 11)));
    judge_expect("MatMul", 13, "", IN(T(I64, "1,2", 3000000000.0, 1), T(I64, "2,1", 3, 1)),
                 OUT(T(I64, "1,1", 9000000001.0)));
    judge_expect("MatMul", 13, "", IN(T(F32, "1,1000", 0.5), T(F32, "1000,13", 2)), OUT(T(F32, "1,13", 1000)));
    judge_expect("MatMul", 13, "", IN(T(F32, "2,0", 1), T(F32, "0,2", 1)), OUT(T(F32, "2,2", 0)));
    judge_expect("com.microsoft:FusedMatMul", 17, "transA=1 alpha=0.5",
                 IN(T(F32, "2,1", 1, 2), T(F32, "2,2", 1, 2, 3, 4)), OUT(T(F32, "1,2", 3.5, 5)));
    judge_expect("Gemm", 13, "transB=1 alpha=2.0 beta=0.5",
                 IN(T(F32, "1,2", 1, 2), T(F32, "2,2", 1, 2, 3, 4), T(F32, "2", 10, 20)), OUT(T(F32, "1,2", 15, 32)));
    judge_expect("MatMulInteger", 10, "",
                 IN(T(U8, "1,2", 255, 0), T(I8, "2,2", 127, -128, 1, 1), T(U8, "", 0), T(I8, "2", -128, 0)),
                 OUT(T(I32, "1,2", 65025, -32640)));
    judge_expect("QLinearMatMul", 21, "",
                 IN(T(U8, "1,2", 130, 126), T(F32, "", 0.5), T(U8, "", 128), T(U8, "2,1", 4, 2), T(F32, "", 1),
                    T(U8, "", 0), T(F32, "", 0.25), T(U8, "", 10)),
                 OUT(T(U8, "1,1", 18))); /* (2 * 4 - 2 * 2) * 0.5 = 2 */
}

static void test_normalizations(void **state)
{
    (void)state;
    judge_expect("LayerNormalization", 17, "epsilon=0.0", IN(T(F32, "1,2", 1, 3), T(F32, "2", 2, 2), T(F32, "2", 1, 1)),
                 OUT(T(F32, "1,2", -1, 3), T(F32, "1,1", 2), T(F32, "1,1", 1)));
    judge_expect("SimplifiedLayerNormalization", 17, "epsilon=0.0", IN(T(F32, "1,2", 3, 4), T(F32, "2", 1, 10)),
                 OUT(T(F32, "1,2", 0.8485281374, 11.31370850)));
    judge_expect("RMSNormalization", 23, "epsilon=0.0", IN(T(F32, "1,2", 3, 4), T(F32, "2", 1, 10)),
                 OUT(T(F32, "1,2", 0.8485281374, 11.31370850)));
    judge_expect("com.microsoft:SkipSimplifiedLayerNormalization", 17, "epsilon=0.0",
                 IN(T(F32, "1,1,2", 1, 1), T(F32, "1,1,2", 2, 3), T(F32, "2", 1, 1)),
                 OUT(T(F32, "1,1,2", 0.8485281374, 1.131370850), T(F32, "1,1,1", 0), T(F32, "1,1,1", 0.2828427125),
                     T(F32, "1,1,2", 3, 4)));
    judge_expect(
        "BatchNormalization", 15, "epsilon=0.0",
        IN(T(F32, "1,2,1", 1, 2), T(F32, "2", 1, 2), T(F32, "2", 0, 1), T(F32, "2", 0, 1), T(F32, "2", 4, 0.25)),
        OUT(T(F32, "1,2,1", 0.5, 5)));
    judge_expect("InstanceNormalization", 6, "epsilon=0.0", IN(T(F32, "1,1,2", 1, 3), T(F32, "1", 1), T(F32, "1", 0)),
                 OUT(T(F32, "1,1,2", -1, 1)));
    judge_expect("Softmax", 13, "", IN(T(F32, "2,2", 0, 0, 1000, 0)), OUT(T(F32, "2,2", 0.5, 0.5, 1, 0)));
    judge_expect("Softmax", 11, "", IN(T(F32, "1,2,2", 0)), OUT(T(F32, "1,2,2", 0.25))); /* over all from axis 1 on */
    judge_expect("LogSoftmax", 13, "axis=0", IN(T(F32, "2,1", 0, 0)), OUT(T(F32, "2,1", -0.6931471806)));
}

static void test_reductions(void **state)
{
    (void)state;
    judge_expect("ReduceMean", 18, "", IN(T(F32, "2,2", 1, 2, 3, 6), T(I64, "1", -1)), OUT(T(F32, "2,1", 1.5, 4.5)));
    judge_expect("ReduceSum", 11, "axes=[0] keepdims=0", IN(T(I32, "2,2", 1, 2, 3, 6)), OUT(T(I32, "2", 4, 8)));
    judge_expect("ReduceSum", 13, "noop_with_empty_axes=1", IN(T(F32, "2", 1, 2)), OUT(T(F32, "2", 1, 2)));
    judge_expect("ReduceMax", 18, "", IN(T(I8, "3", -3, -1, -2)), OUT(T(I8, "1", -1)));
    judge_expect("ReduceMin", 20, "keepdims=0", IN(T(BOOL, "2", 1, 0)), OUT(T(BOOL, "", 0)));
    judge_expect("ReduceProd", 18, "", IN(T(F32, "0,2", 1), T(I64, "1", 0)), OUT(T(F32, "1,2", 1)));
    judge_expect("ReduceL2", 18, "keepdims=0", IN(T(F32, "2", 3, 4)), OUT(T(F32, "", 5)));
    judge_expect("ReduceSumSquare", 18, "keepdims=0", IN(T(F32, "2", 3, 4)), OUT(T(F32, "", 25)));
    judge_expect("ArgMax", 13, "select_last_index=1 keepdims=0", IN(T(F32, "3", 1, 5, 5)), OUT(T(I64, "", 2)));
}

static void test_quantized(void **state)
{
    (void)state;
    judge_expect("QuantizeLinear", 13, "", IN(T(F32, "4", 0.5, 1.5, -99, 999), T(F32, "", 1), T(I8, "", 1)),
                 OUT(T(I8, "4", 1, 3, -98, 127)));
    judge_expect("DequantizeLinear", 13, "axis=0", IN(T(U8, "2,1", 3, 4), T(F32, "2", 0.5, 2), T(U8, "2", 1, 5)),
                 OUT(T(F32, "2,1", 1, -2)));
    judge_expect("DequantizeLinear", 21, "axis=1 block_size=2", IN(T(I8, "1,3", 1, 2, 3), T(F32, "1,2", 1, 10)),
                 OUT(T(F32, "1,3", 1, 2, 30)));
    judge_expect("DynamicQuantizeLinear", 11, "", IN(T(F32, "3", -1, 0, 1.55)),
                 OUT(T(U8, "3", 0, 100, 255), T(F32, "", 0.01), T(U8, "", 100)));
    /* K 17 in two blocks of 16: codes 8 are 0; code 9 in element 0 of row 0, code 0 in element 16 */
    judge_expect("com.microsoft:MatMulNBits", 17, "K=17 N=1 bits=4 block_size=16",
                 IN(T(F32, "1,17", 1),
                    T(U8, "1,2,8", 0x89, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x80, 0x88, 0x88, 0x88, 0x88, 0x88,
                      0x88, 0x88),
                    T(F32, "2", 0.5, 2)),
                 OUT(T(F32, "1,1", -15.5)));
    /* even elements are in the high nibble: 1.0 is code 15 of NF4, 0 is code 7 */
    judge_expect("com.microsoft:MatMulBnb4", 17, "K=16 N=1 block_size=16 quant_type=1",
                 IN(T(F32, "1,16", 1, 0), T(U8, "8", 0xf7, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77), T(F32, "1", 3)),
                 OUT(T(F32, "1,1", 3)));
    judge_expect("com.microsoft:GatherBlockQuantized", 17, "block_size=16 bits=8 quantize_axis=1",
                 IN(T(U8, "2,16", 128, 129), T(I64, "1", 1), T(F32, "2,1", 1, 0.5)), OUT(T(F32, "1,16", 0, 0.5)));
}

static void test_attention(void **state)
{
    (void)state;
    /* Equal scores: means of the values that are seen. */
    judge_expect("Attention", 23, "is_causal=1",
                 IN(T(F32, "1,1,2,1", 0), T(F32, "1,1,2,1", 1), T(F32, "1,1,2,1", 2, 4)), OUT(T(F32, "1,1,2,1", 2, 3)));
    judge_expect("Attention", 23, "",
                 IN(T(F32, "1,1,1,1", 0), T(F32, "1,1,2,1", 1), T(F32, "1,1,2,1", 2, 4), T(BOOL, "1,2", 0, 0)),
                 OUT(T(F32, "1,1,1,1", 0)));
    judge_expect("com.microsoft:MultiHeadAttention", 17, "num_heads=1",
                 IN(T(F32, "1,1,1", 0), T(F32, "1,2,1", 1), T(F32, "1,2,1", 2, 4)), OUT(T(F32, "1,1,1", 3)));
    judge_expect("com.microsoft:GroupQueryAttention", 17, "num_heads=2 kv_num_heads=1",
                 IN(T(F32, "1,1,2", 0), T(F32, "1,1,1", 7), T(F32, "1,1,1", 8), T(F32, "1,1,1,1", 5),
                    T(F32, "1,1,1,1", 6), T(I32, "1", 1), T(I32, "", 2)),
                 OUT(T(F32, "1,1,2", 7, 7), T(F32, "1,1,2,1", 5, 7), T(F32, "1,1,2,1", 6, 8)));
    /* A quarter turn: (x, y) becomes (-y, x). */
    judge_expect("RotaryEmbedding", 23, "",
                 IN(T(F32, "1,1,1,4", 1, 2, 3, 4), T(F32, "1,2", 0, 1), T(F32, "1,2", 1, 0), T(I64, "1,1", 0)),
                 OUT(T(F32, "1,1,1,4", -3, 2, 1, 4)));
    judge_expect("com.microsoft:RotaryEmbedding", 17, "interleaved=1",
                 IN(T(F32, "1,1,1,4", 1, 2, 3, 4), T(I64, "1", 0), T(F32, "1,2", 0, 1), T(F32, "1,2", 1, 0)),
                 OUT(T(F32, "1,1,1,4", -2, 1, 3, 4)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),     cmocka_unit_test(test_logic),        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_cast),           cmocka_unit_test(test_shapes),       cmocka_unit_test(test_moves),
        cmocka_unit_test(test_indices),        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_products),
        cmocka_unit_test(test_normalizations), cmocka_unit_test(test_reductions),   cmocka_unit_test(test_quantized),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
