/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: however a file spells an operation, a net has it in the one form that net.h names, with resolved attributes,
 * and nothing for what changes nothing. Each row is a small graph and the nodes that must be left of it. */
#include <inttypes.h>

#include "convert/graph/net.h"
#include "tests/support/check.h"
#include "tests/support/net_rows.h"
#include "tests/support/support.h"

/* tensors and nodes: see net_rows.h. What is left: "OP[attributes](inputs)"; #0 is what node 0 puts out, w' a
 * transposed weight, w/4 a packed one (fvlm_packed_kind), w/4+o one with offsets o (o' [groups][rows]), =2 a scalar.
 * The last item is the output and its shape. */
static const struct {
    const char *tensors, *nodes, *left;
    int64_t opset;
} rows[] = {
    /* nothing */
    {"x:2,3", "Identity x a; Dropout a b; Cast b c to=10; Cast c y to=1", "x[2,3]", 0},
    {"x:2,3 s!2,3", "Reshape x,s y", "x[2,3]", 0},
    {"x:2,3", "Transpose x y perm=[0,1]", "x[2,3]", 0},
    {"x:2,3 s!0,0 e!9,9", "Slice x,s,e y", "x[2,3]", 0},
    {"x:2,3 s!1,3", "Expand x,s y", "x[2,3]", 0},
    {"x:2,3 s!1,1", "Tile x,s y", "x[2,3]", 0},
    {"x:2,3", "Concat x y axis=0", "x[2,3]", 0},
    {"p:2,0,4 x:2,3,4", "Concat p,x y axis=1", "x[2,3,4]", 0},
    {"x:2,3 o?1 z?0", "Mul x,o a; Div a,o b; Add z,b c; Sub c,z d; Pow d,o y", "x[2,3]", 0},
    {"x:2,3", "Sum x y", "x[2,3]", 0},
    {"x:1,3,2,2 s!3 n!1,1,1,1",
     "ConstantOfShape s z; Unsqueeze z m axes=[1,2]; Sub x,m a; Exp m o; Div a,o b; Mul b,o c; Add m,c y", "x[1,3,2,2]",
     11},
    {"x:2,4 w=4,3 s!3", "ConstantOfShape s z; MatMul x,w a; Add a,z y", "MatMul(x,w) Add(#0,z) #1[2,3]", 0},
    {"x:1,3 s!2,3", "ConstantOfShape s z; Add x,z y", "Add(x,z) #0[2,3]", 0},
    {"x:1,2,3 z:1,2,3 g=3 s!3",
     "ConstantOfShape s b; com.microsoft:SkipSimplifiedLayerNormalization x,z,g,b y epsilon=1e-6",
     "Add(x,z) RMSNormalization[2,1e-06](#0,g) #1[1,2,3]", 0},
    {"x:2,3", "Transpose x a; Transpose a y", "x[2,3]", 0},
    {"x:2,3 m!0", "IsNaN x a; Where a,m,x b; Identity b y", "x[2,3]", 0},
    {"x:2,3 s?0.1 z~", "QuantizeLinear x,s,z a; DequantizeLinear a,s,z y", "x[2,3]", 0},
    {"x:4,3 s?0.1 z~", "QuantizeLinear x,s,z a; Transpose a b; DequantizeLinear b,s,z y", "Transpose[1,0](x) #0[3,4]",
     0},
    {"x:2,3 q:2,3", "Clip x y", "x[2,3]", 0},
    /* shapes */
    {"x:1,2,3", "Squeeze x a axes=[0]; Unsqueeze a b axes=[1]; Flatten b y", "Reshape(x) #0[2,3]", 11},
    {"x:2,1,3", "Transpose x y perm=[1,0,2]", "Reshape(x) #0[1,2,3]", 0},
    {"x:2,3,4", "Transpose x a perm=[0,2,1]; Transpose a y perm=[1,0,2]", "Transpose[2,0,1](x) #0[4,2,3]", 0},
    {"x:2,4", "Split x y,z axis=1", "Slice[0+1,0+1](x) #0[2,2]", 0},
    {"x:2,4", "Split x z,y axis=1", "Slice[0+1,2+1](x) #0[2,2]", 0},
    {"x:2,3 i!1", "Gather x,i y axis=1", "Slice[0+1,1+1](x) #0[2,1]", 0},
    {"x:2,6 i!4,2,0", "Gather x,i y axis=1", "Slice[0+1,4-2](x) #0[2,3]", 0},
    {"x:2,6 i!4,2,1", "Gather x,i y axis=1", "Gather[1](x,i) #0[2,3]", 0},
    {"x:2,6 a!2 b!6 c!1 d!2", "Slice x,a,b,c t; Slice t,a,b,c y", "Slice[0+1,4+1](x) #0[2,2]", 0},
    {"x:2,3 s!2,3,2", "Unsqueeze x a axes=[2]; Expand a,s y", "Reshape(x) Expand(#0) #1[2,3,2]", 11},
    {"x:2,3 z:2,4", "Concat x,z y axis=-1", "Concat[1](x,z) #0[2,7]", 0},
    /* reductions and pools */
    {"x:2,3,4", "ReduceMean x y axes=[-1,1] keepdims=0", "ReduceMean[1,2](x) Reshape(#0) #1[2]", 0},
    {"x:1,2,4,4", "GlobalAveragePool x y", "ReduceMean[2,3](x) #0[1,2,1,1]", 0},
    {"x:1,2,4,6", "AveragePool x y kernel_shape=[4,6]", "ReduceMean[2,3](x) #0[1,2,1,1]", 0},
    {"x:1,2,4,4", "AveragePool x y kernel_shape=[2,2] strides=[2,2]", "AveragePool[2x2s2x2p0,0,0,0](x) #0[1,2,2,2]", 0},
    {"x:1,2,5,5", "MaxPool x y kernel_shape=[2,2] strides=[2,2] ceil_mode=1", "MaxPool[2x2s2x2p0,0,0,0](x) #0[1,2,3,3]",
     0},
    {"x:2,3", "Softmax x y axis=-1", "Softmax[1](x) #0[2,3]", 0},
    {"x:2,3", "Softmax x y", "Softmax[1](x) #0[2,3]", 11},
    /* convolutions */
    {"x:1,3,8,8 w=4,3,3,3", "Conv x,w y pads=[1,1,1,1] strides=[2,2]", "Conv[3x3s2x2p1,1,1,1](x,w) #0[1,4,4,4]", 0},
    {"x:1,4,7,7 w=8,1,7,7 b=8", "Conv x,w,b y pads=[3,3,3,3] group=4", "Conv[7x7s1x1p3,3,3,3g4](x,w,b) #0[1,8,7,7]", 0},
    {"x:1,1,5,5 w=1,1,2,2", "Conv x,w y auto_pad='SAME_UPPER'", "Conv[2x2s1x1p0,0,1,1](x,w) #0[1,1,5,5]", 0},
    {"x:1,1,5,5 w=1,1,2,2", "Conv x,w y auto_pad='SAME_LOWER'", "Conv[2x2s1x1p1,1,0,0](x,w) #0[1,1,5,5]", 0},
    {"x:1,1,5,5 w=1,1,2,2", "Conv x,w y auto_pad='VALID' dilations=[2,2]", "Conv[2x2s1x1p0,0,0,0](x,w) #0[1,1,3,3]", 0},
    {"x:1,3,8,8 w=4,3,3,3 p!0,0,1,0,0,0,2,1", "Pad x,p a; Conv a,w y strides=[2,2] pads=[0,1,0,0]",
     "Conv[3x3s2x2p1,1,2,1](x,w) #0[1,4,5,4]", 0},
    {"x:1,3,8,8 w=4,3,3,3 p!0,0,1,1,0,0,1,1 v?0.5", "Pad x,p,v a; Conv a,w y",
     "Pad[0.5](x) Conv[3x3s1x1p0,0,0,0](#0,w) #1[1,4,8,8]", 0},
    {"x:1,2,8,8 w=4,3,3,3 p!0,1,1,1,0,0,1,1", "Pad x,p a; Conv a,w y", "Pad(x) Conv[3x3s1x1p0,0,0,0](#0,w) #1[1,4,8,8]",
     0},
    {"x:1,3,8,8 w=4,3,3,3 p!0,0,-1,1,0,0,1,1", "Pad x,p a; Conv a,w y",
     "Pad(x) Conv[3x3s1x1p0,0,0,0](#0,w) #1[1,4,6,8]", 0},
    {"x:1,3,8,8 w=3,3,1,1 b=3 z:1,3,8,8", "com.microsoft:FusedConv x,w,b,z y activation='Relu'",
     "Conv[1x1s1x1p0,0,0,0](x,w,b) Add(#0,z) Relu(#1) #2[1,3,8,8]", 0},
    /* products */
    {"x:2,3 w=4,3 b=4", "Gemm x,w,b y transB=1", "MatMul(x,w') Add(#0,b) #1[2,4]", 0},
    {"x:2,3 w=3,4", "Gemm x,w y", "MatMul(x,w) #0[2,4]", 0},
    {"x:2,3 w=3,4 b=4", "com.microsoft:FusedGemm x,w,b y activation='Sigmoid'",
     "MatMul(x,w) Add(#0,b) Sigmoid(#1) #2[2,4]", 0},
    {"x:1,2,5,3 z:1,2,4,3", "com.microsoft:FusedMatMul x,z y transB=1 alpha=0.25",
     "Transpose[0,1,3,2](z) MatMul(x,#0) Mul(#1,=0.25) #2[1,2,5,4]", 0},
    {"x:2,3 w=4,3", "Transpose w a; MatMul x,a y", "MatMul(x,w') #0[2,4]", 0},
    {"x:2,3 w=4,3,1,1", "Squeeze w a axes=[2,3]; Transpose a b; MatMul x,b y", "MatMul(x,w') #0[2,4]", 11},
    {"x:2,3 w=4,3", "Transpose w a; Transpose a b; Transpose b c; MatMul x,c y", "MatMul(x,w') #0[2,4]", 0},
    {"x:2,3 w=3,4", "Cast w a to=10; MatMul x,a y", "MatMul(x,w) #0[2,4]", 0},
    {"x:2,3 w=4,3", "Gemm x,w y transB=1 alpha=2.0", "MatMul(x,w') Mul(#0,=2) #1[2,4]", 0},
    /* functions */
    {"x:2,3", "Gelu x y", "Gelu(x) #0[2,3]", 20},
    {"x:2,3", "Gelu x y approximate='tanh'", "FastGelu(x) #0[2,3]", 20},
    {"x:2,3", "com.microsoft:Gelu x y", "Gelu(x) #0[2,3]", 0},
    {"x:2,3 b=3", "com.microsoft:BiasGelu x,b y", "Add(x,b) Gelu(#0) #1[2,3]", 0},
    {"x:2,3 b=3", "com.microsoft:FastGelu x,b y", "Add(x,b) FastGelu(#0) #1[2,3]", 0},
    {"x:2,3", "com.microsoft:QuickGelu x y alpha=1.0", "QuickGelu[1](x) #0[2,3]", 0},
    {"x:2,3", "Swish x y", "QuickGelu[1](x) #0[2,3]", 24},
    /* normalizations */
    {"x:2,3 w=3 b=3", "LayerNormalization x,w,b y epsilon=0.25", "LayerNormalization[1,0.25](x,w,b) #0[2,3]", 0},
    {"x:2,3 w=3", "SimplifiedLayerNormalization x,w y epsilon=0.5", "RMSNormalization[1,0.5](x,w) #0[2,3]", 0},
    {"x:2,3 w=3", "RMSNormalization x,w y epsilon=0.5", "RMSNormalization[1,0.5](x,w) #0[2,3]", 23},
    {"x:2,3 z:2,3 w=3 b=3", "com.microsoft:SkipLayerNormalization x,z,w,b y epsilon=0.5",
     "Add(x,z) LayerNormalization[1,0.5](#0,w,b) #1[2,3]", 0},
    {"x:2,3 z:2,3 w=3 b=3", "com.microsoft:SkipSimplifiedLayerNormalization x,z,w,b a,,,s epsilon=0.5; Add a,s y",
     "Add(x,z) Add(#0,b) RMSNormalization[1,0.5](#1,w) Add(#2,#1) #3[2,3]", 0},
    {"x:1,2,3,3 w=2", "BatchNormalization x,w,w,w,w y", "BatchNormalization[1e-05](x,w,w,w,w) #0[1,2,3,3]", 0},
    /* integers */
    {"x:2,3 q#3,4 s?0.5", "DequantizeLinear q,s a; MatMul x,a y", "MatMul(x,q/4) #0[2,4]", 0},
    {"x:2,3 q#4,3 s=4", "DequantizeLinear q,s a axis=0; Transpose a b; MatMul x,b y", "MatMul(x,q'/4) #0[2,4]", 0},
    {"x:2,3 q#4,3 s=4", "Transpose q t; DequantizeLinear t,s a axis=1; MatMul x,a y", "MatMul(x,q'/4) #0[2,4]", 0},
    {"x:2,3 q#3,4 s?0.5 z#",
     "DynamicQuantizeLinear x a,sa,za; MatMulInteger a,q,za,z i; Cast i f to=1; Mul sa,s t; Mul f,t y",
     "MatMul(x,q/4) #0[2,4]", 0},
    {"x:1,3,4,4 q#2,3,1,1 s?0.5 z#",
     "DynamicQuantizeLinear x a,sa,za; ConvInteger a,q,za,z i; Cast i f to=1; Mul sa,s t; Mul t,f y",
     "Conv[1x1s1x1p0,0,0,0](x,q/4) #0[1,2,4,4]", 0},
    {"x:2,3 v:3,4",
     "DynamicQuantizeLinear x a,sa,za; DynamicQuantizeLinear v b,sb,zb; MatMulInteger a,b,za,zb i; "
     "Cast i f to=1; Mul sa,sb t; Mul f,t y",
     "MatMul(x,v) #0[2,4]", 0},
    {"x:2,3 q#3,4 s?0.5 z# b=4",
     "DynamicQuantizeLinear x a,sa,za; com.microsoft:MatMulIntegerToFloat a,q,sa,s,za,z,b y",
     "MatMul(x,q/4) Add(#0,b) #1[2,4]", 0},
    {"x:2,3 q#3,4 s?0.5", "com.microsoft:DynamicQuantizeMatMul x,q,s y", "MatMul(x,q/4) #0[2,4]", 0},
    {"x:1,3,4,4 w=2,3,1,1 s?0.5 z~", "Conv x,w a; QuantizeLinear a,s,z b; DequantizeLinear b,s,z y",
     "Conv[1x1s1x1p0,0,0,0](x,w) Relu(#0) #1[1,2,4,4]", 0},
    {"x:1,3,4,4 q#2,3,1,1 s?0.5 z~ k#",
     "QuantizeLinear x,s,z a; QLinearConv a,s,z,q,s,k,s,k b; DequantizeLinear b,s,k y",
     "Conv[1x1s1x1p0,0,0,0](x,q/4) #0[1,2,4,4]", 0},
    {"x:2,3 q#3,4 s?0.5 k#", "QuantizeLinear x,s,k a; QLinearMatMul a,s,k,q,s,k,s,k b; DequantizeLinear b,s,k y",
     "MatMul(x,q/4) #0[2,4]", 0},
    {"x:2,3 s?0.5 k#", "QuantizeLinear x,s,k a; com.microsoft:QLinearAdd a,s,k,a,s,k,s,k b; DequantizeLinear b,s,k y",
     "Add(x,x) #0[2,3]", 0},
    {"x:2,32 q~4,1,16 s=4", "com.microsoft:MatMulNBits x,q,s y K=32 N=4 bits=4 block_size=32", "MatMul(x,q'/1) #0[2,4]",
     0},
    {"x:2,32 q~64 s=4 b=4", "com.microsoft:MatMulBnb4 x,q,s t K=32 N=4 block_size=32 quant_type=1; Add t,b y",
     "MatMul(x,q'/2) Add(#0,b) #1[2,4]", 0},
    {"i:2,3 q~8,16 s=8", "Cast i a to=7; com.microsoft:GatherBlockQuantized q,a,s y bits=4 block_size=32",
     "Cast(i) Gather[0](q/3,#0) #1[2,3,32]", 0},
    {"i:2,3 q#8,16 s?0.5", "Cast i a to=7; Gather q,a b; DequantizeLinear b,s y",
     "Cast(i) Gather[0](q/4,#0) #1[2,3,16]", 0},
    /* offsets of packed weights, added as a product with the sums of groups */
    {"x:2,4 q#4,3 s=2,3 e%4,2/10100101 o=2,3",
     "DequantizeLinear q,s w axis=0 block_size=2; MatMul x,w a; MatMul x,e g; MatMul g,o b; Add a,b y",
     "MatMul(x,q/4+o') #0[2,3]", 21},
    {"x:1,4,2,2 q#3,4,1,1 s=3,2,1,1 e%2,4,1,1/11000011 o=3,2,1,1",
     "DequantizeLinear q,s w axis=1 block_size=2; Conv x,w a; Conv x,e g; Conv g,o b; Add b,a y",
     "Conv[1x1s1x1p0,0,0,0](x,q/4+o) #0[1,3,2,2]", 21},
    {"i:2 q#8,4 s=8,2 e%2,4/11000011 o=8,2",
     "Cast i j to=7; DequantizeLinear q,s w axis=1 block_size=2; Gather w,j a; Gather o,j g; MatMul g,e b; Add a,b y",
     "Cast(i) Gather[0](q/4+o,#0) #1[2,4]", 21},
    /* not so: an input in another group, the sums of another input, and blocks of three, of as many groups as in the
     * layer before, which are not those of the matrix that both share */
    {"x:2,4 q#4,3 s=2,3 e%4,2/10100110 o=2,3",
     "DequantizeLinear q,s w axis=0 block_size=2; MatMul x,w a; MatMul x,e g; MatMul g,o b; Add a,b y",
     "MatMul(x,q/4) MatMul(x,e) MatMul(#1,o) Add(#0,#2) #3[2,3]", 21},
    {"x:2,4 z:2,4 q#4,3 s=2,3 e%4,2/10100101 o=2,3",
     "DequantizeLinear q,s w axis=0 block_size=2; MatMul x,w a; MatMul z,e g; MatMul g,o b; Add a,b y",
     "MatMul(x,q/4) MatMul(z,e) MatMul(#1,o) Add(#0,#2) #3[2,3]", 21},
    {"x:2,4 q#4,4 s=2,4 r#4,3 t=2,3 e%4,2/10100101 o=2,4 p=2,3",
     "DequantizeLinear q,s w axis=0 block_size=2; MatMul x,w a; MatMul x,e g; MatMul g,o b; Add a,b c; "
     "DequantizeLinear r,t v axis=0 block_size=3; MatMul c,v d; MatMul c,e h; MatMul h,p k; Add d,k y",
     "MatMul(x,q/4+o') MatMul(#0,r/4) MatMul(#0,e) MatMul(#2,p) Add(#1,#3) #4[2,3]", 21},
};

static void say(char *text, const char *fmt, ...) FVLM_PRINTF(2, 3);
static void say(char *text, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + strlen(text), 2000 - strlen(text), fmt, args);
    va_end(args);
}

static void say_value(char *text, const fvlm_net_value *v)
{
    if (!v)
        say(text, "-");
    else if (v->producer)
        say(text, "#%zu", v->producer->index);
    else if (v->weight.tensor)
        say(text, "%s%s", v->weight.tensor->name, v->weight.transposed ? "'" : "");
    else if (v->numbers && v->n_elems == 1)
        say(text, "=%g", v->numbers[0]);
    else
        say(text, "%s", v->name);
    if (!v || !v->weight.packed.kind) return;
    say(text, "/%d", (int)v->weight.packed.kind);
    if (v->weight.packed.offsets)
        say(text, "+%s%s", v->weight.packed.offsets->name, v->weight.packed.offsets_turned ? "'" : "");
}

static void say_attributes(char *text, const fvlm_net_node *n)
{
    unsigned rank = n->inputs[0]->rank;
    const fvlm_net_window *w = n->window;
    if (strcmp(n->op, "Transpose") == 0)
        for (unsigned d = 0; d < rank; d++) say(text, "%c%u", d ? ',' : '[', n->perm[d]);
    else if (strcmp(n->op, "Slice") == 0)
        for (unsigned d = 0; d < rank; d++) say(text, "%c%" PRId64 "%+" PRId64, d ? ',' : '[', n->start[d], n->step[d]);
    else if (n->axes)
        for (unsigned d = 0, k = 0; d < rank; d++) {
            if (n->axes >> d & 1) say(text, "%c%u", k++ ? ',' : '[', d);
        }
    else if (w)
        say(text, "[%dx%ds%dx%dp%d,%d,%d,%d", (int)w->kernel[0], (int)w->kernel[1], (int)w->stride[0],
            (int)w->stride[1], (int)w->pad_before[0], (int)w->pad_before[1], (int)w->pad_after[0],
            (int)w->pad_after[1]);
    else if (strstr("Softmax Concat Gather", n->op))
        say(text, "[%u", n->axis);
    else if (strstr("LayerNormalization RMSNormalization", n->op))
        say(text, "[%u,%g", n->axis, n->epsilon);
    else if (n->epsilon != 0 || n->alpha != 0)
        say(text, "[%g", n->epsilon + n->alpha);
    else
        return;
    if (w && w->group > 1 && strcmp(n->op, "Conv") == 0) say(text, "g%d", (int)w->group);
    say(text, "]");
}

static void check_row(size_t i, const char *path)
{
    char text[2000] = "";
    fvlm_err err = {0};
    fvlm_graph *g = NULL;
    fvlm_net *net = NULL;
    if (test_net(&net, &g, path, rows[i].tensors, rows[i].nodes, rows[i].opset, &err))
        fail_msg("row %zu: %s: %s", i, rows[i].nodes, err.msg);
    for (size_t k = 0; k < fvlm_net_n_nodes(net); k++) {
        const fvlm_net_node *n = fvlm_net_node_at(net, k);
        say(text, "%s", n->op);
        say_attributes(text, n);
        for (size_t j = 0; j < n->n_inputs; j++) say(text, j ? "," : "("), say_value(text, n->inputs[j]);
        say(text, ") ");
    }
    const fvlm_net_value *y = fvlm_net_output_value(net, "y");
    say_value(text, y);
    for (unsigned d = 0; d < y->rank; d++) say(text, "%c%" PRIu64, d ? ',' : '[', y->dims[d]);
    say(text, "]");
    if (strcmp(text, rows[i].left) != 0)
        fail_msg("row %zu: %s\nleft %s\nwant %s", i, rows[i].nodes, text, rows[i].left);
    fvlm_net_destroy(&net);
    fvlm_graph_close(&g);
}

static void forms(void **state)
{
    (void)state;
    char folder[256];
    char *path = test_path(test_folder(folder), "row.onnx");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_row(i, path);
    printf("%zu graphs in their form\n", sizeof rows / sizeof *rows);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
