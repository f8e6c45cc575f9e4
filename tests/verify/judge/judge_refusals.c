/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what the judge does not understand it refuses in one line that names the node, and what was expected there:
 * operators, opsets, attributes, numbers of inputs, types, shapes, values, sizes that wrap. */
#include <math.h>

#include "tests/support/judge_case.h"

#define X T(F32, "2,3", 1, 2)

static void test_unknown(void **state)
{
    (void)state;
    judge_refuse("Mystery", 17, "", IN(X), "operator Mystery of ai.onnx is not known");
    judge_refuse("com.microsoft:Mystery", 17, "", IN(X), "operator Mystery of com.microsoft is not known");
    judge_refuse(
        "com.microsoft.nchwc:Conv", 17, "", IN(X),
        "operator Conv of com.microsoft.nchwc is not known: onnxruntime arranged the graph for one CPU; save it "
        "at the level \"extended\" or below");
    judge_refuse("Gelu", 17, "", IN(X), "its form of opset 17 of ai.onnx is not known");
    judge_refuse("Relu", 29, "", IN(X), "opset 29 of ai.onnx; 28 is the newest known");
    judge_refuse("Relu", 17, "slope=1.0", IN(X), "attribute \"slope\" is not known");
    judge_refuse("Relu", 17, "", IN(X, X), "it has 2 inputs; 1 are known");
    judge_refuse("Add", 17, "", IN(X, NONE), "input 1 is missing");
    judge_refuse("Mod", 17, "fmod=2", IN(X, X), "fmod is 2, expected 0 or 1");
    judge_refuse("Gelu", 20, "approximate='fast'", IN(X), "approximate \"fast\" is not known");
    judge_refuse("Pad", 17, "mode='mirror'", IN(X, T(I64, "4", 0)), "mode \"mirror\" is not known");
    judge_refuse("Dropout", 17, "", IN(X, NONE, T(BOOL, "", 1)), "training_mode is on: it drops elements at random");
    judge_refuse("com.microsoft:FusedConv", 17, "activation='Gelu'", IN(T(F32, "1,1,1", 1), T(F32, "1,1,1", 1)),
                 "activation \"Gelu\" is not known");
}

static void test_types(void **state)
{
    (void)state;
    judge_refuse("Add", 17, "", IN(X, T(I64, "", 1)), "input 1 is INT64, input 0 is FLOAT");
    judge_refuse("Add", 17, "", IN(T(BOOL, "", 1), T(BOOL, "", 1)), "input 0 is BOOL, which is not supported here");
    judge_refuse("Sqrt", 17, "", IN(T(I64, "", 1)), "input 0 is INT64, which is not supported here");
    judge_refuse("Not", 17, "", IN(X), "input 0 is FLOAT, expected BOOL");
    judge_refuse("Where", 17, "", IN(X, X, X), "input 0 is FLOAT, expected BOOL");
    judge_refuse("Cast", 17, "to=17", IN(X), "a cast to FLOAT8E4M3FN is not supported");
    judge_refuse("Reshape", 17, "", IN(X, X), "input 1 is FLOAT, expected INT64");
    judge_refuse("Gather", 17, "", IN(X, X), "input 1 is FLOAT, expected INT64 or INT32");
    judge_refuse("Softmax", 17, "", IN(T(I64, "2", 1)), "input 0 is INT64; FLOAT, FLOAT16 and BFLOAT16 are supported");
    judge_refuse("ConvInteger", 17, "", IN(T(F32, "1,1,1", 1), T(U8, "1,1,1", 1)),
                 "input 0 is FLOAT, which is not supported here");
}

static void test_shapes(void **state)
{
    (void)state;
    judge_refuse("Add", 17, "", IN(X, T(F32, "2", 1)), "shapes [2, 3] and [2] do not broadcast");
    judge_refuse("MatMul", 17, "", IN(X, X), "shapes [2, 3] and [2, 3] cannot be multiplied");
    judge_refuse("MatMul", 17, "", IN(X, T(F32, "", 1)), "a factor is a single number");
    judge_refuse("Gemm", 17, "", IN(X, T(F32, "3", 1)), "matrices are expected");
    judge_refuse("Gemm", 17, "", IN(X, T(F32, "3,1", 1), T(F32, "2,2", 1)),
                 "input 2 does not broadcast to the product");
    judge_refuse("Conv", 17, "", IN(T(F32, "1,3,4", 1), T(F32, "2,2,1", 1)),
                 "input [1, 3, 4] and weights [2, 2, 1] do not go together in 1 groups");
    judge_refuse("Conv", 17, "", IN(T(F32, "1,1,2", 1), T(F32, "1,1,5", 1)),
                 "a window of 5 over 2 elements, padding included");
    judge_refuse("Conv", 17, "kernel_shape=[2]", IN(T(F32, "1,1,2", 1), T(F32, "1,1,1", 1)),
                 "\"kernel_shape\" is not the shape of the weights");
    judge_refuse("Conv", 17, "pads=[-1,0]", IN(T(F32, "1,1,2", 1), T(F32, "1,1,1", 1)), "\"pads\" has -1");
    judge_refuse("Conv", 17, "", IN(T(F32, "1,1,2", 1), T(F32, "1,1,1", 1), T(F32, "2", 1)),
                 "input 2 is [2], expected [1]");
    judge_refuse("MaxPool", 17, "", IN(T(F32, "1,1,2", 1)), "\"kernel_shape\" is missing");
    judge_refuse("Reshape", 17, "", IN(X, T(I64, "2", -1, -1)), "the shape has more than one -1");
    judge_refuse("Reshape", 17, "", IN(X, T(I64, "2", 5, -1)), "6 elements do not divide into parts of 5");
    judge_refuse("Reshape", 17, "", IN(X, T(I64, "1", 7)), "[2, 3] does not fit into [7]");
    judge_refuse("Squeeze", 17, "", IN(X, T(I64, "1", 0)), "dimension 0 is 2, not 1");
    judge_refuse("Transpose", 17, "perm=[0,0]", IN(X), "\"perm\" lists 0 twice");
    judge_refuse("Concat", 17, "axis=0", IN(X, T(F32, "2,2", 1)), "input 1, [2, 2], does not fit");
    judge_refuse("Split", 17, "axis=1", IN(X, T(I64, "1", 2)), "parts add up to 2, expected 3");
    judge_refuse("Softmax", 17, "axis=2", IN(X), "axis 2 of a value of rank 2");
    judge_refuse("LayerNormalization", 17, "", IN(X, T(F32, "2", 1)),
                 "input 1 is [2], expected the dimensions that are normalized");
    judge_refuse("BatchNormalization", 17, "", IN(X, T(F32, "3", 1), T(F32, "3", 1), T(F32, "3", 1), T(F32, "2", 1)),
                 "input 4 is [2], expected [3]");
    judge_refuse("DequantizeLinear", 17, "", IN(T(U8, "2,3", 1), T(F32, "2", 1)),
                 "input 1 is [2], which does not fit [2, 3]");
    judge_refuse("com.microsoft:GroupQueryAttention", 17, "num_heads=3 kv_num_heads=2", IN(T(F32, "1,1,6", 1)),
                 "3 heads, 2 of keys, and a query of rank 3");
}

static void test_values(void **state)
{
    (void)state;
    judge_refuse("Div", 17, "", IN(T(I64, "", 1), T(I64, "", 0)), "an integer is divided by 0");
    judge_refuse("Gather", 17, "", IN(X, T(I64, "", 2)), "index 2 into a dimension of 2");
    judge_refuse("Gather", 17, "", IN(X, T(I64, "", -3)), "index -3 into a dimension of 2");
    judge_refuse("ScatterND", 17, "", IN(T(F32, "2", 1), T(I64, "1,1", 2), T(F32, "1", 1)),
                 "index 2 into a dimension of 2");
    judge_refuse("Slice", 17, "", IN(X, T(I64, "1", 0), T(I64, "1", 1), T(I64, "1", 0), T(I64, "1", 0)), "a step of 0");
    judge_refuse("Range", 17, "", IN(T(F32, "", 0), T(F32, "", 1), T(F32, "", 0)), "a range with a step of 0, or NaN");
    judge_refuse("Expand", 17, "", IN(X, T(I64, "1", -1)), "the shape has a dimension of -1");
    judge_refuse("Tile", 17, "", IN(X, T(I64, "2", 1, -1)), "-1 repeats");
    judge_refuse("OneHot", 17, "", IN(T(I64, "1", 0), T(I64, "", 0), T(F32, "2", 0)), "a depth of 0");
    judge_refuse("TopK", 17, "", IN(X, T(I64, "1", 4)), "the 4 largest of 3 elements");
    judge_refuse("ReduceMean", 18, "", IN(T(F32, "0", 1)), "no elements to reduce");
    judge_refuse("com.microsoft:MatMulNBits", 17, "K=3 N=1 bits=4 block_size=24", IN(X, T(U8, "1", 0), T(F32, "1", 0)),
                 "K 3, N 1, block_size 24");
    judge_refuse("com.microsoft:MatMulNBits", 17, "K=3 N=1 bits=4 block_size=16", IN(X, T(U8, "7", 0), T(F32, "1", 0)),
                 "input 1 has 7 elements, expected 8");
    judge_refuse("com.microsoft:MatMulNBits", 17, "K=3 N=1 bits=5 block_size=16", IN(X, T(U8, "8", 0), T(F32, "1", 0)),
                 "5 bits are not supported");
    judge_refuse("RotaryEmbedding", 23, "",
                 IN(T(F32, "1,1,1,2", 1), T(F32, "1,1", 0), T(F32, "1,1", 0), T(I64, "1,1", 1)),
                 "position 1 of a table of 1");
}

static void test_sizes(void **state)
{
    (void)state;
    judge_refuse("ConstantOfShape", 17, "", IN(T(I64, "2", 0x1p62, 0x1p62)), "a value of more than 2^63 bytes");
    judge_refuse("Reshape", 17, "", IN(X, T(I64, "3", 0x1p62, 0x1p62, -1)), "the shape has more than 2^64 elements");
    judge_refuse("Expand", 17, "", IN(T(F32, "1,1", 1), T(I64, "2", 0x1p40, 0x1p40)),
                 "a result of more than 2^63 elements");
    judge_refuse("Tile", 17, "", IN(X, T(I64, "2", 0x1p62, 0x1p62)), "a value of more than 2^63 bytes");
    judge_refuse("Pad", 17, "", IN(X, T(I64, "4", 0x1p62, 0, 0, 0)),
                 "pads of 4611686018427387904 and 0 for a dimension of 2");
    judge_refuse("Range", 17, "", IN(T(I64, "", 0), T(I64, "", 0x1p60), T(I64, "", 1)),
                 "a range of more than 2^53 elements");
    judge_refuse("Conv", 17, "pads=[1000000000000,0]", IN(T(F32, "1,1,2", 1), T(F32, "1,1,1", 1)),
                 "\"pads\" has 1000000000000");
    judge_refuse("Unsqueeze", 17, "", IN(T(F32, "1,1,1,1,1,1,1,1", 1), T(I64, "1", 0)),
                 "a value of rank 9; 8 is the most");
    judge_refuse("Gather", 17, "", IN(T(F32, "1,1,1,1,1", 1), T(I64, "1,1,1,1,1", 0)),
                 "a value of rank 9; 8 is the most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_types), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
