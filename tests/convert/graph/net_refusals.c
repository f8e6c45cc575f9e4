/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what a net does not understand, or what does not fit, is refused with the node's name and the reason; and
 * graphs that would take more memory or time than any export are refused soon, however small their files are. */
#include <time.h>

#include "convert/graph/net.h"
#include "tests/support/check.h"
#include "tests/support/net_rows.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

static const struct {
    const char *tensors, *nodes, *says;
    int64_t opset;
} rows[] = {
    {"x:2,3", "LSTM x y", "node \"n_y\" (LSTM): operator LSTM occurs in no export of FastVLM that is known", 0},
    {"x:2,3 z:4", "Add x,z y", "node \"n_y\" (Add): shapes [2, 3] and [4] do not broadcast", 0},
    {"x:2,3 z:2,3", "MatMul x,z y", "node \"n_y\" (MatMul): matrices of shapes [2, 3] and [2, 3] cannot be multiplied",
     0},
    {"x:2,3", "Reshape x y", "node \"n_y\" (Reshape): a value of shape [2, 3] cannot be reshaped to []", 0},
    {"x:2,3 s!4,-1", "Reshape x,s y", "node \"n_y\" (Reshape): a value of shape [2, 3] cannot be reshaped to [4, 1]",
     0},
    {"x:2,3 s!-1,-1", "Reshape x,s y", "node \"n_y\" (Reshape): a target shape with dimension -1 twice", 0},
    {"x:2,3 s!-2,3", "Reshape x,s y", "node \"n_y\" (Reshape): a target shape with dimension -2", 0},
    {"x:2,3 s!2,3,0", "Reshape x,s y",
     "node \"n_y\" (Reshape): dimension 2 of the target shape copies one that is not there", 0},
    {"x:2,3 i^1", "Reshape x,i y", "node \"n_y\" (Reshape): its shape depends on values that are not known (\"i\")", 0},
    {"x:2,3 s!5", "Expand x,s y", "node \"n_y\" (Expand): shapes [2, 3] and [5] do not broadcast", 0},
    {"x:2,3 s!1", "Tile x,s y", "node \"n_y\" (Tile): 1 repeats of a value of rank 2", 0},
    {"x:2,3", "Transpose x y perm=[0]", "node \"n_y\" (Transpose): perm has 1 axes, the value has rank 2", 0},
    {"x:2,3", "Transpose x y perm=[0,0]", "node \"n_y\" (Transpose): axis 0 is given more than once", 0},
    {"x:2,3", "Transpose x y perm=[0,2]", "node \"n_y\" (Transpose): axis 2 of a value of rank 2", 0},
    {"x:2,3", "Transpose x y perm=0", "node \"n_y\" (Transpose): attribute \"perm\" is an int, expected ints", 0},
    {"x:2,3", "Softmax x y axis=2", "node \"n_y\" (Softmax): axis 2 of a value of rank 2", 0},
    {"x:2,3,4", "Softmax x y axis=0",
     "node \"n_y\" (Softmax): axis 0 of a value of rank 3; before opset 13 only the last one is supported", 11},
    {"x:2,3 z:2,4", "Concat x,z y axis=0",
     "node \"n_y\" (Concat): shapes [2, 3] and [2, 4] cannot be joined along axis 0", 0},
    {"x:2,3", "Concat x y axis=2", "node \"n_y\" (Concat): axis 2 of a value of rank 2", 0},
    {"x:2,3 a!0 b!1 c!0 d!0", "Slice x,a,b,c,d y", "node \"n_y\" (Slice): a step of 0", 0},
    {"x:2,3 a!0,0,0 b!1,1,1", "Slice x,a,b y",
     "node \"n_y\" (Slice): 3 starts, 3 ends, 0 axes, 0 steps for a value of rank 2", 0},
    {"x:2,3 a!0 b!1 c!5", "Slice x,a,b,c y", "node \"n_y\" (Slice): axis 5 of a value of rank 2", 0},
    {"x:2,3", "Split x y,z axis=1", "node \"n_y\" (Split): 3 elements do not split into 2 equal parts", 0},
    {"x:2,3 s!1,1", "Split x,s y,z axis=1", "node \"n_y\" (Split): 2 lengths for 2 parts of 3 elements", 0},
    {"i!0,5 x=3", "Gather x,i y", "node \"n_y\" (Gather): index 5 of a dimension of 3", 0},
    {"x:2,3", "Squeeze x y axes=[0]", "node \"n_y\" (Squeeze): dimension 0 is 2, not 1", 11},
    {"x:2,3", "Unsqueeze x y axes=[0,0]", "node \"n_y\" (Unsqueeze): axis 0 is given more than once", 11},
    {"x:1,3,8,8 w=4,2,3,3", "Conv x,w y",
     "node \"n_y\" (Conv): weights of shape [4, 2, 3, 3] with 1 groups do not fit an input of shape [1, 3, 8, 8]", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y kernel_shape=[5,5]",
     "node \"n_y\" (Conv): kernel_shape does not fit weights of shape [4, 3, 3, 3]", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y strides=[0,1]", "node \"n_y\" (Conv): attribute \"strides\" holds 0", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y strides=[1]",
     "node \"n_y\" (Conv): attribute \"strides\" has 1 elements for 2 spatial dimensions", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y pads=[1,1]",
     "node \"n_y\" (Conv): attribute \"pads\" has 2 elements for 2 spatial dimensions", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y pads=[-1,0,0,0]", "node \"n_y\" (Conv): attribute \"pads\" holds -1", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y auto_pad='SOME'", "node \"n_y\" (Conv): auto_pad = \"SOME\" is not known", 0},
    {"x:1,3,8,8 w=4,3,3,3 b=3", "Conv x,w,b y", "node \"n_y\" (Conv): a bias of 3 elements for 4 channels", 0},
    {"x:1,3,2,2 w=4,3,3,3", "Conv x,w y", "node \"n_y\" (Conv): a window of 3 over 2 elements", 0},
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y group=3",
     "node \"n_y\" (Conv): weights of shape [4, 3, 3, 3] with 3 groups do not fit an input of shape [1, 3, 8, 8]", 0},
    {"x:2,3 w=4,3", "Conv x,w y",
     "node \"n_y\" (Conv): an input of shape [2, 3]; expected batch, channels and one to three spatial dimensions", 0},
    {"x:1,3,8,8 w=4,3,3,3", "com.microsoft:FusedConv x,w y activation='Gelu'",
     "node \"n_y\" (FusedConv): the fused activation \"Gelu\" is not supported", 0},
    {"x:1,3,8,8", "AveragePool x y", "node \"n_y\" (AveragePool): attribute \"kernel_shape\" is missing", 0},
    {"x:1,3,8,8 w=2", "BatchNormalization x,w,w,w,w y",
     "node \"n_y\" (BatchNormalization): 2 statistics for 3 channels", 0},
    {"x:1,3,8,8 w=3", "BatchNormalization x,w,w,w,w y training_mode=1",
     "node \"n_y\" (BatchNormalization): attribute training_mode = 1 is not supported, only 0 is", 0},
    {"x:1,3,8,8 w=3,1,1", "SimplifiedLayerNormalization x,w y axis=1",
     "node \"n_y\" (SimplifiedLayerNormalization): it normalizes 192 elements together, with 3 weights; one for each "
     "element is supported",
     0},
    {"x:2,3", "Gelu x y approximate='best'",
     "node \"n_y\" (Gelu): approximate = \"best\" is neither \"none\" nor \"tanh\"", 20},
    {"x:2,3", "Cast x y to=8", "node \"n_y\" (Cast): a cast to STRING is not supported", 0},
    {"x:2,3", "Cast x y", "node \"n_y\" (Cast): a cast to UNDEFINED is not supported", 0},
    {"x:2,3", "ReduceMean x y axes=[2]", "node \"n_y\" (ReduceMean): axis 2 of a value of rank 2", 0},
    {"x:2,3", "ReduceMean x y axes=[0,-2]", "node \"n_y\" (ReduceMean): axis 0 is given more than once", 0},
    {"x:2,3", "ReduceMean x y axes=0.5", "node \"n_y\" (ReduceMean): attribute \"axes\" is a float, expected ints", 0},
    {"x:2,3", "NonZero x y", "node \"n_y\" (NonZero): its shape depends on values that are not known (\"x\")", 0},
    {"i^1", "ConstantOfShape i y",
     "node \"n_y\" (ConstantOfShape): its shape depends on values that are not known (\"i\")", 0},
    {"i!-1", "ConstantOfShape i y", "node \"n_y\" (ConstantOfShape): its shape holds -1", 0},
    {"i!0 j!5 k!0", "Range i,j,k y", "node \"n_y\" (Range): a range from 0 to 5 by 0", 0},
    {"i!9,9 j!0,3", "Div i,j y", "node \"n_y\" (Div): division of integers by zero", 0},
    {"i!4611686018427387904 j!3", "Mul i,j y",
     "node \"n_y\" (Mul): its integer result 1.38351e+19 is too large to be exact", 0},
    {"x?1e30", "Cast x y to=7", "node \"n_y\" (Cast): 1e+30 cannot be cast to INT64", 0},
    {"x:2,3", "Dropout x a,m; Identity m y",
     "node \"n_y\" (Identity): it reads \"m\", which is an output that is not supported", 0},
    {"x:2,3 s?0.1 z~", "QuantizeLinear x,s,z y", "output \"y\" of the graph is not one that can be computed", 0},
    {"x:2,3 s?0.1 z~", "QuantizeLinear x,s,z a; Relu a y",
     "node \"n_y\" (Relu): it reads \"a\", integers of an activation or their scale", 0},
    {"x:2,3 s?0.1 t?0.2 z~", "QuantizeLinear x,s,z a; DequantizeLinear a,t,z y",
     "node \"n_y\" (DequantizeLinear): \"a\" was quantized with another scale or zero point", 0},
    {"x:2,3 s?0 z~", "QuantizeLinear x,s,z a; DequantizeLinear a,s,z y",
     "node \"n_a\" (QuantizeLinear): the scale of an activation is 0", 0},
    {"x:2,3 s:1 z~", "QuantizeLinear x,s,z a; DequantizeLinear a,s,z y",
     "node \"n_a\" (QuantizeLinear): scale and zero point must be constants", 0},
    {"x:2,3 s?0.1", "DequantizeLinear x,s y",
     "node \"n_y\" (DequantizeLinear): its inputs are neither constants nor a quantized activation", 0},
    {"q#2,3 s=2", "DequantizeLinear q,s y axis=1",
     "node \"n_y\" (DequantizeLinear): scales of shape [2] for integers of shape [2, 3], axis 1, block 0", 0},
    {"q#2,3 s=3 z#2", "DequantizeLinear q,s,z y axis=1", "node \"n_y\" (DequantizeLinear): 2 zero points and 3 scales",
     0},
    {"q#2,3 z# x:2,2", "MatMulInteger x,q,z,z y",
     "node \"n_y\" (MatMulInteger): its first input must come from DynamicQuantizeLinear", 0},
    {"x:2,2 q#2,3 z#", "DynamicQuantizeLinear x a,s,b; MatMulInteger a,q,b,z c; Cast c y to=1",
     "output \"y\" of the graph is not one that can be computed", 0},
    {"x:2,2 q#2,3 z# t?3.0", "DynamicQuantizeLinear x a,s,b; MatMulInteger a,q,b,z c; Cast c d to=1; Add d,t y",
     "node \"n_y\" (Add): it reads \"c\", integers of an activation or their scale", 0},
    {"x:2,2 v:2,2 q#2,3 z# t?3.0",
     "DynamicQuantizeLinear x a,s,b; DynamicQuantizeLinear v aa,ss,bb; MatMulInteger a,q,b,z c; Cast c d to=1; Mul "
     "ss,t e; Mul d,e y",
     "node \"n_y\" (Mul): integers of an activation are multiplied by something else than their scales", 0},
    {"x:2,32 q~4,1,15 s=4", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=4 block_size=32",
     "node \"n_y\" (MatMulNBits): packed weight: 60 elements instead of 64", 0},
    {"x:2,32 q~4,1,16 s=5", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=4 block_size=32",
     "node \"n_y\" (MatMulNBits): scales: 5 elements instead of 4", 0},
    {"x:2,32 q~4,1,16 s=4 z~5", "com.microsoft:MatMulNBits x,q,s,z y K=32 N=4 bits=4 block_size=32",
     "node \"n_y\" (MatMulNBits): zero points: 5 elements instead of 4", 0},
    {"x:2,32 q~4,1,16 s=4", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=3 block_size=32",
     "node \"n_y\" (MatMulNBits): 3 bits are not supported, 4 and 8 are", 0},
    {"x:2,32 q~4,1,16 s=4", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=4 block_size=24",
     "node \"n_y\" (MatMulNBits): block_size = 24 is not a power of 2 from 16 up", 0},
    {"x:2,32 q~4,1,16 s=4", "com.microsoft:MatMulNBits x,q,s y N=4 bits=4 block_size=32",
     "node \"n_y\" (MatMulNBits): attribute K = 0; it must be from 1 to 2^30", 0},
    {"x:2,32 q~4,1,16 s=4", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=4 block_size=32 weight_prepacked=1",
     "node \"n_y\" (MatMulNBits): attribute weight_prepacked = 1 is not supported, only 0 is", 0},
    {"x:2,2 q~4,1,16 s=4 g!0,1", "com.microsoft:MatMulNBits x,q,s,,g y K=32 N=4 bits=4 block_size=32",
     "node \"n_y\" (MatMulNBits): its columns are reordered (g_idx)", 0},
    {"x:2,32 q~64 s=4", "com.microsoft:MatMulBnb4 x,q,s y K=32 N=4 block_size=32 quant_type=7",
     "node \"n_y\" (MatMulBnb4): quant_type = 7 is neither 0 (FP4) nor 1 (NF4)", 0},
    {"x:2,32 q~64 s=3", "com.microsoft:MatMulBnb4 x,q,s y K=32 N=4 block_size=32",
     "node \"n_y\" (MatMulBnb4): absmax: 3 elements instead of 4", 0},
    {"i^2 q~8,16 s=7", "com.microsoft:GatherBlockQuantized q,i,s y bits=4 block_size=32",
     "node \"n_y\" (GatherBlockQuantized): scales: 7 elements instead of 8", 0},
    {"i^2 q~8,16 s=8", "com.microsoft:GatherBlockQuantized q,i,s y bits=4 block_size=32 quantize_axis=0",
     "node \"n_y\" (GatherBlockQuantized): only gather_axis 0, quantize_axis 1 and 4 or 8 bits are supported", 0},
    {"x:1,4,8", "com.microsoft:GroupQueryAttention x,,,,,, y num_heads=3 kv_num_heads=2",
     "node \"n_y\" (GroupQueryAttention): 3 heads of 2 groups", 0},
    {"x:1,4,9", "com.microsoft:GroupQueryAttention x,,,,,, y num_heads=2 kv_num_heads=1",
     "node \"n_y\" (GroupQueryAttention): a query of shape [1, 4, 9] does not fit", 0},
    {"x:1,4,8 k:1,4,3", "com.microsoft:GroupQueryAttention x,k,k,,,, y num_heads=2 kv_num_heads=1",
     "node \"n_y\" (GroupQueryAttention): a key of shape [1, 4, 3] does not fit", 0},
    {"x:1,4,8 k:1,4,4", "com.microsoft:GroupQueryAttention x,k,,,,, y num_heads=2 kv_num_heads=1",
     "node \"n_y\" (GroupQueryAttention): it has a key without a value, or a value without a key", 0},
    {"x:1,4,8", "com.microsoft:GroupQueryAttention x,,,,,, y num_heads=0 kv_num_heads=1",
     "node \"n_y\" (GroupQueryAttention): attribute num_heads = 0; it must be from 1 to 2^30", 0},
    {"x:4,8 k:4,8", "Attention x,k,k y", "node \"n_y\" (Attention): a query of shape [4, 8] does not fit", 23},
    {"x:1,4,8 w=7,24", "com.microsoft:Attention x,w,w y num_heads=2",
     "node \"n_y\" (Attention): a weight of shape [7, 24] does not fit", 0},
    {"x:2,3", "Add x,x,x y", "node \"n_y\" (Add): 3 inputs, at most 2 are expected", 0},
    {"x:2,3", "Add x y", "node \"n_y\" (Add): input 1 is missing", 0},
    {"x:2,3", "Pow x,,x y", "node \"n_y\" (Pow): input 1 is missing", 0},
    {"x:2,3 m!2", "Trilu x,m,m y", "node \"n_y\" (Trilu): 3 inputs, at most 2 are expected", 0},
    {"x:4", "Trilu x y", "node \"n_y\" (Trilu): it needs a matrix", 0},
    {"x:2,3 s!0,0", "Pad x,s y", "node \"n_y\" (Pad): 2 pads for a value of rank 2", 0},
    {"x:2,3 s!-3,0,0,0", "Pad x,s y", "node \"n_y\" (Pad): pads -3 and 0 for a dimension of 2", 0},
    {"x:2,3", "Mod x,x y fmod=0.5", "node \"n_y\" (Mod): attribute \"fmod\" is a float, expected an int", 0},
    {"x:2,3", "BitShift x,x y direction='UP'", "node \"n_y\" (BitShift): direction \"UP\" is neither LEFT nor RIGHT",
     0},
    {"x:2,3", "Identity x y", "opset 6 of ai.onnx is not supported, 7 to 28 are", 6},
    {"x:2,3", "Identity x y", "opset 99 of ai.onnx is not supported, 7 to 28 are", 99},
    {"x:2,3 i!0 u=1", "ScatterND x,i,u y reduction='add'",
     "node \"n_y\" (ScatterND): reduction \"add\" is not supported", 0},
};

static void refusals(void **state)
{
    (void)state;
    char folder[256];
    char *path = test_path(test_folder(folder), "row.onnx");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fvlm_err err = {0};
        fvlm_graph *g = NULL;
        fvlm_net *net = NULL;
        if (!test_net(&net, &g, path, rows[i].tensors, rows[i].nodes, rows[i].opset, &err))
            fail_msg("row %zu: \"%s\" is accepted", i, rows[i].nodes);
        assert_null(net);
        if (strcmp(err.msg, rows[i].says) != 0)
            fail_msg("row %zu: \"%s\"\nsays \"%s\"\nwant \"%s\"", i, rows[i].nodes, err.msg, rows[i].says);
        fvlm_graph_close(&g);
    }
    printf("%zu refusals\n", sizeof rows / sizeof *rows);
    free(path);
}

static void other_domains(void **state)
{
    static const struct {
        const char *op, *domain, *says;
    } others[] = {
        {"ai.onnx.ml:Scaler", "ai.onnx.ml",
         "node \"n_y\" (Scaler): operator Scaler of domain ai.onnx.ml occurs in no export of FastVLM that is known"},
        {"com.microsoft.nchwc:Conv", "com.microsoft.nchwc",
         "node \"n_y\" (Conv): its weights are arranged for one kind of CPU (domain com.microsoft.nchwc), of which the "
         "file does not tell the block size; save the model at onnxruntime's level \"extended\" or below"},
    };
    char folder[256];
    char *path = test_path(test_folder(folder), "other.onnx");
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        onnx_model m = onnx_model_new();
        onnx_opset(&m, others[i].domain, 1);
        onnx_input(&m, "x", FVLM_ONNX_F32, "1,8,4,4");
        onnx_node(&m, others[i].op, "x", "y", "");
        onnx_output(&m, "y", FVLM_ONNX_F32, NULL);
        onnx_save(&m, path);
        fvlm_err err = {0};
        fvlm_graph *g = NULL;
        fvlm_net *net = NULL;
        must(fvlm_graph_open(&g, path, &err), &err);
        fvlm_net_input in = {.name = "x", .rank = 4, .dims = {1, 8, 4, 4}};
        assert_int_equal(fvlm_net_create(&net, g, &in, 1, &err), FVLM_UNSUPPORTED);
        assert_string_equal(err.msg, others[i].says);
        assert_null(net);
        in.dims[1] = 9;
        assert_int_equal(fvlm_net_create(&net, g, &in, 1, &err), FVLM_BAD_INPUT);
        assert_string_equal(err.msg, "input \"x\" does not take the shape [1, 9, 4, 4]");
        in.name = "z";
        assert_int_equal(fvlm_net_create(&net, g, &in, 1, &err), FVLM_UNSUPPORTED);
        assert_string_equal(err.msg, "an input \"x\" is not one that FastVLM has");
        fvlm_graph_close(&g);
    }
    free(path);
}

/* n nodes like each other, each on what the one before put out. */
static fvlm_status chain(const char *path, const char *op, const char *second, const char *attrs, size_t n, bool same,
                         fvlm_err *err)
{
    onnx_model m = onnx_model_new();
    float *zeros = calloc(65536, sizeof *zeros);
    onnx_floats(&m, "v0", "256,256", zeros);
    free(zeros);
    onnx_int64s(&m, "two", "2", (int64_t[]){2, 2});
    onnx_int64s(&m, "huge", "2", (int64_t[]){INT64_C(1) << 30, INT64_C(1) << 30});
    for (size_t i = 0; i < n; i++) {
        char in[64], out[32];
        snprintf(in, sizeof in, "v%zu%s%s", same ? 0 : i, *second ? "," : "", second);
        if (strcmp(second, "self") == 0) snprintf(in, sizeof in, "v%zu,v%zu", same ? 0 : i, same ? 0 : i);
        snprintf(out, sizeof out, "v%zu", i + 1);
        onnx_node(&m, op, in, out, attrs);
        if (i + 1 == n) onnx_output(&m, out, FVLM_ONNX_F32, NULL);
    }
    onnx_save(&m, path);
    fvlm_graph *g = NULL;
    fvlm_net *net = NULL;
    must(fvlm_graph_open(&g, path, err), err);
    fvlm_status st = fvlm_net_create(&net, g, NULL, 0, err);
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
    return st;
}

static void bombs(void **state)
{
    static const struct {
        const char *op, *second, *attrs;
        size_t n;
        bool same;
        const char *says; /* NULL: is accepted; its end otherwise */
    } all[] = {
        {"Concat", "self", "axis=0", 60, false, "a value of shape [2199023255552, 256] is too large"},
        {"Tile", "two", "", 60, false, "a value of shape [33554432, 33554432] is too large"},
        {"Tile", "huge", "", 1, false, "a value of shape [274877906944, 274877906944] is too large"},
        {"Expand", "huge", "", 1, false, "do not broadcast"},
        {"Add", "self", "", 5000, false, "the graph's values need more than 192 MB"},
        {"ReduceSum", "", "", 100000, true, "the graph's constants take too long to compute"},
        {"MatMul", "self", "", 1000, true, "the graph's constants take too long to compute"},
        {"Shape", "", "", 100000, true, "the graph's constants take too long to compute"},
        {"Reshape", "two", "", 2, false, "cannot be reshaped to [2, 2]"},
        {"Transpose", "", "", 100, false, NULL},
    };
    char folder[256];
    char *path = test_path(test_folder(folder), "bomb.onnx");
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fvlm_err err = {0};
        clock_t before = clock();
        fvlm_status st = chain(path, all[i].op, all[i].second, all[i].attrs, all[i].n, all[i].same, &err);
        double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
        if (!st != !all[i].says || (st && !strstr(err.msg, all[i].says)))
            fail_msg("%zu %s: says \"%s\"", all[i].n, all[i].op, err.msg);
        if (seconds > 30) fail_msg("%zu %s took %.1f s", all[i].n, all[i].op, seconds); /* also under ASan */
    }
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(other_domains),
                                       cmocka_unit_test(bombs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
