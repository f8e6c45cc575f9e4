/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the tower and the projector are found in graphs however exporters spell them, each weight under the name that
 * it has in Apple's checkpoint and with its own bytes; and a graph that computes anything else is refused by the name
 * of the node, with what was expected there. The graphs are made from a checkpoint whose tensors' names are those of
 * the initializers, which the matcher does not read.
 *
 * One file, however long: the spellings and the changes are two tables over the same graphs. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_tower.h"
#include "tests/support/support.h"

static char folder[256];
static test_checkpoint checkpoints[2]; /* fused, as trained */

/* The graph in this style, matched. */
static fvlm_status match(fvlm_match *m, fvlm_graph **g, bool train_time, const tower_style *style, fvlm_err *err)
{
    char *path = test_path(folder, "m.onnx");
    onnx_model model = onnx_tower(&checkpoints[train_time], style);
    onnx_save(&model, path);
    *m = (fvlm_match){0};
    *g = NULL;
    fvlm_status st = fvlm_graph_open(g, path, err);
    if (!st) st = fvlm_match_vision(m, *g, TEST_TOWER_SIDE, err);
    free(path);
    return st;
}

static const fvlm_match_tensor *find(const fvlm_match *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->tensors[i].name, name)) return &m->tensors[i];
    return NULL;
}

static bool is_wanted(const char *name, const tower_style *style)
{
    const size_t n = strlen(name);
    if (strstr(name, "num_batches_tracked") || strstr(name, "head.proj")) return false;
    if (n > 11 && style->without_scale && strstr(name, ".layer_scale") && !strstr(name, "token_mixer")) return false;
    if (!strncmp(name, "model.mm_projector", 18)) return !style->without_projector && !style->map_output;
    return !strncmp(name, TEST_TOWER, strlen(TEST_TOWER));
}

/* The stored part of a matched tensor is the checkpoint's tensor. */
static void check_tensor(const fvlm_match_tensor *t, const test_tensor *want, bool apart)
{
    assert_int_equal(t->rank, want->rank);
    for (unsigned i = 0; i < t->rank; i++) assert_int_equal(t->dims[i], want->dims[i]);
    if (t->n_parts == 3) {
        assert_true(apart);
        for (unsigned i = 0; i < 3; i++) {
            char name[300];
            snprintf(name, sizeof name, "%s.%c", want->name, "qkv"[i]);
            assert_string_equal(t->parts[i].weight.tensor->name, name);
            assert_true(t->parts[i].transposed && t->parts[i].first_row == 0 && t->parts[i].n_rows == 64);
        }
        return;
    }
    assert_int_equal(t->n_parts, 1);
    const fvlm_match_part *p = &t->parts[0];
    assert_string_equal(p->weight.tensor->name, want->name);
    assert_int_equal(p->first_row, 0);
    assert_int_equal(p->n_rows, want->dims[0]);
    const size_t rows = (size_t)want->dims[0], columns = want->n / rows;
    const bool transposed = p->transposed != p->weight.transposed;
    const double factor = p->twice ? 2 : 1;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < columns; k++) {
            float v; /* perhaps unaligned */
            memcpy(&v, p->weight.tensor->bytes + sizeof v * (transposed ? k * rows + r : r * columns + k), sizeof v);
            if (factor * (double)v != want->values[r * columns + k]) fail_msg("%s: element %zu, %zu", want->name, r, k);
        }
}

static void check_style(bool train_time, const tower_style *style)
{
    fvlm_match m;
    fvlm_graph *g;
    fvlm_err err = {0};
    const test_checkpoint *c = &checkpoints[train_time];
    must(match(&m, &g, train_time, style, &err), &err);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!is_wanted(c->items[i].name, style)) continue;
        const fvlm_match_tensor *t = find(&m, c->items[i].name);
        if (!t) fail_msg("%s is missing", c->items[i].name);
        check_tensor(t, &c->items[i], style->qkv == QKV_APART);
        n++;
    }
    for (size_t i = 0; i < m.n && style->without_scale; i++) { /* folded into the layer before it */
        if (m.tensors[i].n_parts) continue;
        assert_non_null(strstr(m.tensors[i].name, ".layer_scale"));
        assert_true(m.tensors[i].fill == 1 && !m.tensors[i].numbers);
        n++;
    }
    assert_int_equal(m.n, n); /* nothing else */
    assert_true(m.has_tower && m.has_projector == !(style->without_projector || style->map_output));
    assert_int_equal(m.image_size, TEST_TOWER_SIDE);
    assert_int_equal(m.vision_width, m.has_projector ? 32 : 128);
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
}

static void every_spelling(void **state)
{
    (void)state;
    unsigned n = 0;
    for (int train_time = 0; train_time < 2; train_time++) {
        for (int i = 0; i < GELU_KINDS; i++, n++) check_style(train_time, &(tower_style){.gelu = (tower_gelu)i});
        for (int i = 0; i < NORM_KINDS; i++, n++) check_style(train_time, &(tower_style){.norm = (tower_norm)i});
        for (int i = 0; i < LINEAR_KINDS; i++, n++) check_style(train_time, &(tower_style){.linear = (tower_linear)i});
        for (int i = 0; i < QKV_KINDS; i++, n++) check_style(train_time, &(tower_style){.qkv = (tower_qkv)i});
        for (int i = 0; i < SCALE_KINDS; i++, n++) check_style(train_time, &(tower_style){.scale = (tower_scale)i});
        for (int i = 0; i < POOL_KINDS; i++, n++) check_style(train_time, &(tower_style){.pool = (tower_pool)i});
        check_style(train_time, &(tower_style){.dynamic = true});
        check_style(train_time, &(tower_style){.without_scale = true});
        check_style(train_time, &(tower_style){.without_projector = true});
        check_style(train_time, &(tower_style){.map_output = true});
        check_style(train_time, &(tower_style){.pooled = true});
        check_style(train_time, &(tower_style){.pooled = true, .map_output = true});
        n += 6;
    }
    print_message("# %u spellings, one at a time\n", n);
}

/* Spellings do not disturb one another. */
static void mixed_spellings(void **state)
{
    (void)state;
    test_rng r = {7};
    for (int i = 0; i < 100; i++) {
        const tower_style style = {.gelu = (tower_gelu)test_below(&r, GELU_KINDS),
                                   .norm = (tower_norm)test_below(&r, NORM_KINDS),
                                   .linear = (tower_linear)test_below(&r, LINEAR_KINDS),
                                   .qkv = (tower_qkv)test_below(&r, QKV_KINDS),
                                   .scale = (tower_scale)test_below(&r, SCALE_KINDS),
                                   .pool = (tower_pool)test_below(&r, POOL_KINDS),
                                   .swap = test_below(&r, 2),
                                   .dynamic = test_below(&r, 2),
                                   .without_scale = test_below(&r, 4) == 0,
                                   .without_projector = test_below(&r, 4) == 0};
        check_style(test_below(&r, 2), &style);
    }
}

/* ---- refusals ---- */

/* One change to a good graph, and what is said about it. That shapes fit is the net's to check: not here. */
typedef struct {
    bool train_time;
    tower_style style;
    const char *refusal;
} refused;

#define EDIT(...) .edit = {{__VA_ARGS__}}
#define TWICE                                                                                                          \
    "x * (1 + erf(x / sqrt 2)), twice a GELU, to be read by convolutions or by one linear layer, whose weights hold "  \
    "the half"
static const refused refusals[] = {
    {false,
     {EDIT("stem.0", NULL, NULL, "strides=[2,2] pads=[0,0,0,0]")},
     "not FastVLM\'s vision encoder: node \"n_stem.0\" (Conv): expected the first convolution of FastViTHD's stem "
     "(3x3, stride 2, padding half its side), found a 3x3 convolution, stride 2x2, padding 0,0,0,0, dilation 1x1, 1 "
     "groups, 3 -> 16 channels"},
    {false,
     {EDIT("stem.0", NULL, NULL, "strides=[2,2] pads=[2,2,2,2] dilations=[2,2]")},
     "not FastVLM\'s vision encoder: node \"n_stem.0\" (Conv): expected the first convolution of FastViTHD's stem "
     "(3x3, stride 2, padding half its side), found a 3x3 convolution, stride 2x2, padding 2,2,2,2, dilation 2x2, 1 "
     "groups, 3 -> 16 channels"},
    {false,
     {EDIT("stem.0", NULL, NULL, "strides=[2,2] auto_pad='SAME_UPPER'")},
     "not FastVLM\'s vision encoder: node \"n_stem.0\" (Conv): expected the first convolution of FastViTHD's stem "
     "(3x3, stride 2, padding half its side), found a 3x3 convolution, stride 2x2, padding 0,0,1,1, dilation 1x1, 1 "
     "groups, 3 -> 16 channels"},
    {false,
     {EDIT("stem.0", "+Relu", NULL, NULL)},
     "node \"n_stem.0\" (Relu): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, found "
     "Relu"},
    {false,
     {EDIT("stem.0.gelu.erf", "Tanh", NULL, NULL)},
     "node \"n_stem.0.gelu\" (Mul): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, found "
     "its approximation by tanh"},
    {false,
     {EDIT("stem.0.gelu.add", NULL, "stem.0.gelu.erf,two", NULL)},
     "node \"n_stem.0.gelu\" (Mul): expected the exact GELU, x / 2 * (1 + erf(x / sqrt 2)), after a convolution of "
     "FastViTHD's stem, found other constants"},
    {false,
     {EDIT("stem.0.gelu", NULL, "stem.0.gelu.mul,two", NULL)},
     "node \"n_stem.0.gelu\" (Mul): expected the exact GELU, x / 2 * (1 + erf(x / sqrt 2)), after a convolution of "
     "FastViTHD's stem, found other constants"},
    {true, /* twice the GELU, with more readers than layers */
     {EDIT("stem.1.gelu", NULL, "stem.1.gelu.mul,one", NULL)},
     "not FastVLM's vision encoder: node \"n_stem.1.gelu.mul\" (Mul): expected " TWICE ", found another use of it"},
    {false,
     {EDIT("d4.pw.gelu", NULL, "d4.pw.gelu.mul,one", NULL)},
     "node \"n_d4.pw.gelu.mul\" (Mul): expected " TWICE ", found another use of it"},
    {false,
     {.without_projector = true, EDIT("exp.gated.gelu", NULL, "exp.gated.gelu.mul,one", NULL)},
     "node \"n_exp.gated.gelu.mul\" (Mul): expected " TWICE ", found another use of it"},
    {false,
     {EDIT("stem.1.gelu.div", NULL, "stem.1,two", NULL)},
     "node \"n_stem.1.gelu\" (Mul): expected the exact GELU, x / 2 * (1 + erf(x / sqrt 2)), after a convolution of "
     "FastViTHD's stem, found other constants"},
    {false,
     {EDIT("stem.1.gelu.mul", NULL, "stem.1.gelu.erf,stem.1.gelu.add", NULL)},
     "node \"n_stem.1.gelu.div\" (Div): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, "
     "found another product with Erf"},
    {false,
     {.gelu = GELU_OPERATOR, EDIT("stem.1.gelu", NULL, NULL, "approximate='tanh'")},
     "node \"n_stem.1.gelu\" (Gelu): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, found "
     "its approximation by tanh"},
    {false,
     {EDIT("stem.1.gelu", "com.microsoft:FastGelu", "stem.1", NULL)},
     "node \"n_stem.1.gelu\" (FastGelu): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, "
     "found its approximation by tanh"},
    {false,
     {EDIT("stem.1.gelu", "com.microsoft:QuickGelu", "stem.1", "alpha=1.702")},
     "node \"n_stem.1.gelu\" (QuickGelu): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, "
     "found its approximation by a sigmoid, or SiLU"},
    {false,
     {EDIT("stem.2.gelu", "Sigmoid", "stem.2", NULL)},
     "node \"n_stem.2.gelu\" (Sigmoid): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, "
     "found its approximation by a sigmoid, or SiLU"},
    {false,
     {EDIT("b0.0.mixed", "-", NULL, NULL)},
     "node \"n_b0.0.ffn\" (Add): expected a RepMixer or attention before it, found a ConvFFN"},
    {false,
     {EDIT("b0.0.mixed", NULL, NULL, "group=16 strides=[1,1] pads=[2,2,2,2] dilations=[2,2]")},
     "node \"n_b0.0.mixed\" (Conv): expected a RepMixer or attention block, a downsample or the tower's last "
     "convolution, found a 3x3 convolution, stride 1x1, padding 2,2,2,2, dilation 2x2, 16 groups, 16 -> 16 channels"},
    {false,
     {EDIT("b0.0.ffn.conv", "+Relu", NULL, NULL)},
     "node \"n_b0.0.ffn.conv\" (Relu): expected the FFN's depthwise convolution with stride 1, of the block's input, "
     "found Relu"},
    {false,
     {EDIT("b0.0.ffn.conv.bn", NULL, NULL, "epsilon=1e-3")},
     "node \"n_b0.0.ffn.conv.bn\" (BatchNormalization): expected the FFN's depthwise convolution with stride 1, of the "
     "block's input, found BatchNormalization with eps 0.001"},
    {false,
     {EDIT("b0.0.fc1", "+Neg", NULL, NULL)},
     "node \"n_b0.0.fc1\" (Neg): expected the FFN's fc1, a 1x1 convolution or a product with a constant matrix, found "
     "Neg"},
    {false,
     {EDIT("b0.0.fc1.gelu.erf", "Sin", NULL, NULL)},
     "node \"n_b0.0.fc1.gelu\" (Mul): expected the exact GELU (with Erf) between the FFN's layers, found a product "
     "without Erf"},
    {false,
     {EDIT("b0.0.ffn", NULL, "b0.0.ffn.scaled,b0.0.fc2", NULL)},
     "node \"n_b0.0.ffn.conv\" (Conv): expected a position encoding: a depthwise convolution without BatchNorm, "
     "perhaps added to its input, found other branches"},
    {false,
     {EDIT("b0.0.ffn", NULL, "b0.0.ffn.scaled,stem.2.gelu", NULL)},
     "node \"n_b0.0.ffn.conv\" (Conv): expected the FFN's depthwise convolution with stride 1, of the block's input, "
     "found a 7x7 convolution, stride 1x1, padding 3,3,3,3, dilation 1x1, 16 groups, 16 -> 16 channels"},
    {false,
     {EDIT("b0.0.ffn", "Sub", NULL, NULL)},
     "node \"n_b0.0.ffn\" (Sub): expected a block that adds to its input, found Sub"},
    {false,
     {EDIT("b0.0.ffn", "+Relu", NULL, NULL)},
     "node \"n_b0.0.ffn\" (Relu): expected a RepMixer or attention block, a downsample or the tower's last "
     "convolution, found Relu"},
    {false,
     {EDIT("b0.0.ffn.scaled", NULL, "b0.0.fc2,b0.0.fc2", NULL)},
     "node \"n_b0.0.ffn.scaled\" (Mul): expected the last layer of a block, a 1x1 convolution or a product with a "
     "constant matrix, found Mul"},
    {false,
     {EDIT("b0.0.ffn", "+Transpose", NULL, "perm=[0,1,3,2]")},
     "node \"n_b0.0.ffn\" (Transpose): expected a RepMixer or attention block, a downsample or the tower's last "
     "convolution, found Transpose"},
    {false,
     {EDIT("d1.dw.gelu.erf", "-", NULL, NULL)},
     "node \"n_d1.dw.gelu\" (Mul): expected the exact GELU (with Erf) after a downsample's first convolution, found a "
     "product without Erf"},
    {false,
     {EDIT("d1.pw", "+Sigmoid", NULL, NULL)},
     "node \"n_d1.pw\" (Sigmoid): expected the exact GELU (with Erf) after a downsample's second convolution, found "
     "its approximation by a sigmoid, or SiLU"},
    {false,
     {EDIT("pos", "+Relu", NULL, NULL)},
     "node \"n_pos\" (Relu): expected a ConvFFN, attention, a convolution or squeeze-and-excitation after a depthwise "
     "convolution, found Relu"},
    {false,
     {EDIT("b5.0.variance", NULL, NULL, "axes=[2] keepdims=1")},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Div"},
    {false,
     {EDIT("b5.0.with_eps", NULL, "b5.0.variance,eps3", NULL)},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention with eps 1e-05, found eps 0.001"},
    {false,
     {EDIT("b5.0.with_eps", NULL, "b5.0.variance,eps6", NULL)},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention with eps 1e-05, found eps 1e-06"},
    {false,
     {EDIT("b5.0.squares", NULL, "b5.0.centred,i0", NULL)},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Div"},
    {false,
     {EDIT("b5.0.root", "Exp", NULL, NULL)},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Div"},
    {false,
     {EDIT("b5.0.normalized", "Mul", NULL, NULL)},
     "node \"n_b5.0.normalized\" (Mul): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Mul"},
    {false,
     {EDIT("b5.0.centred", "Add", NULL, NULL)},
     "node \"n_b5.0.normalized\" (Div): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Div"},
    {false,
     {.norm = NORM_OPERATOR, EDIT("b5.0.norm", NULL, NULL, "axis=-1 epsilon=1e-6")},
     "node \"n_b5.0.norm\" (LayerNormalization): expected the norm in front of attention with eps 1e-05, found eps "
     "1e-06"},
    {false,
     {.norm = NORM_OPERATOR, EDIT("b5.0.normed", NULL, NULL, "perm=[0,3,2,1]")},
     "node \"n_b5.0.tokens\" (Transpose): expected the norm in front of attention, a LayerNorm over the 64 channels of "
     "each pixel, found Transpose"},
    {false,
     {EDIT("b5.0.qkv.turned", NULL, NULL, "perm=[2,0,3,4,1]")},
     "node \"n_b5.0.scores\" (MatMul): expected the scores of attention, 16 by 16 pixels, found other shapes"},
    {false,
     {EDIT("b5.0.tokens", "+Relu", NULL, NULL)},
     "node \"n_b5.0.tokens\" (Relu): expected the norm in front of attention, a LayerNorm over the 64 channels of each "
     "pixel, found Relu"},
    {false,
     {EDIT("b5.0.q.scaled", NULL, "b5.0.q,half", NULL)},
     "node \"n_b5.0.attended\" (MatMul): expected attention to scale its scores by 1 / sqrt(32), found 0.5"},
    {false,
     {.scale = SCALE_SCORES, EDIT("b5.0.scores.scaled", NULL, "b5.0.scores,root16", NULL)},
     "node \"n_b5.0.attended\" (MatMul): expected attention to scale its scores by 1 / sqrt(32), found 0.25"},
    {false,
     {.scale = SCALE_SCORES, EDIT("b5.0.scores.scaled", "Add", NULL, NULL)},
     "node \"n_b5.0.scores.scaled\" (Add): expected the scores of attention, a product of queries and keys, found Add"},
    {false,
     {EDIT("b5.0.weights", NULL, NULL, "axis=2")},
     "node \"n_b5.0.weights\" (Softmax): expected the Softmax of attention, over its last dimension, found Softmax"},
    {false,
     {EDIT("b5.0.weights", "Sigmoid", NULL, NULL)},
     "node \"n_b5.0.weights\" (Sigmoid): expected the Softmax of attention, over its last dimension, found Sigmoid"},
    {false,
     {EDIT("b5.0.weights", "+Relu", NULL, NULL)},
     "node \"n_b5.0.weights\" (Relu): expected the Softmax of attention, over its last dimension, found Relu"},
    {false,
     {EDIT("b5.0.attended.turned", NULL, NULL, "perm=[0,1,2,3]")},
     "node \"n_b5.0.attended\" (MatMul): expected the result of attention to have its heads side by side, found "
     "another order"},
    {false,
     {EDIT("b5.0.attended.turned", NULL, NULL, "perm=[0,2,3,1]")},
     "node \"n_b5.0.attended\" (MatMul): expected the result of attention to have its heads side by side, found "
     "another order"},
    {false,
     {.qkv = QKV_MULTI_HEAD, EDIT("b5.0.attended", NULL, NULL, "num_heads=4")},
     "node \"n_b5.0.attended\" (MultiHeadAttention): expected attention to split its 64 channels into heads of 32, "
     "found 4 heads of 16"},
    {false,
     {.qkv = QKV_MULTI_HEAD, EDIT("b5.0.attended", NULL, NULL, "num_heads=2 scale=0.5")},
     "node \"n_b5.0.attended\" (MultiHeadAttention): expected attention to scale its scores by 1 / sqrt(32), found "
     "0.5"},
    {false,
     {.qkv = QKV_MULTI_HEAD, EDIT("b5.0.attended", NULL, NULL, "num_heads=2 unidirectional=1")},
     "node \"n_b5.0.attended\" (MultiHeadAttention): expected attention with unidirectional = 0, found another value"},
    {false,
     {.qkv = QKV_OWN_LAYER, EDIT("b5.0.attended", NULL, NULL, "num_heads=1")},
     "node \"n_b5.0.attended\" (Attention): expected attention to split its 64 channels into heads of 32, found 1 head "
     "of 64"},
    {false,
     {.qkv = QKV_OWN_LAYER, EDIT("b5.0.attended", NULL, NULL, "num_heads=2 unidirectional=1")},
     "node \"n_b5.0.attended\" (Attention): expected attention with unidirectional = 0, found another value"},
    {false,
     {EDIT("b5.0.proj.biased", "+Relu", NULL, NULL)},
     "node \"n_b5.0.proj.biased\" (Relu): expected the last layer of a block, a 1x1 convolution or a product with a "
     "constant matrix, found Relu"},
    {false,
     {EDIT("b5.0.attention", NULL, "b5.0.attention.scaled,b5.0.attention.scaled", NULL)},
     "node \"n_b5.0.centred\" (Sub): expected a RepMixer or attention block, a downsample or the tower's last "
     "convolution, found Sub"},
    {false,
     {EDIT("exp.pool", "ReduceMax", NULL, "axes=[2,3] keepdims=1")},
     "node \"n_exp.pool\" (ReduceMax): expected the mean of all pixels, for squeeze-and-excitation, found ReduceMax"},
    {false,
     {.pool = POOL_MEAN, EDIT("exp.pool", NULL, NULL, "axes=[2] keepdims=1")},
     "node \"n_exp.gated\" (Mul): expected squeeze-and-excitation, a product with one number for each channel, found a "
     "product of other shapes"},
    {false,
     {EDIT("exp.relu", "Tanh", NULL, NULL)},
     "node \"n_exp.relu\" (Tanh): expected the Relu of squeeze-and-excitation, found Tanh"},
    {false,
     {EDIT("exp.gate", "HardSigmoid", NULL, NULL)},
     "node \"n_exp.gate\" (HardSigmoid): expected the Sigmoid of squeeze-and-excitation, found HardSigmoid"},
    {false,
     {EDIT("exp.gated", "-", NULL, NULL)},
     "node \"n_exp.gated.gelu.mul\" (Mul): expected squeeze-and-excitation, a product with one number for each "
     "channel, found a product of other shapes"},
    {false,
     {EDIT("exp.gated", "Add", NULL, NULL)},
     "node \"n_exp.gated\" (Add): expected a ConvFFN, attention, a convolution or squeeze-and-excitation after a "
     "depthwise convolution, found Add"},
    {false,
     {EDIT("exp.gated.gelu", "+Relu", NULL, NULL)},
     "node \"n_exp.gated.gelu\" (Relu): expected the projector's first layer, a 1x1 convolution or a product with a "
     "constant matrix, found Relu"},
    {false,
     {EDIT("projector.0.biased", "+Relu", NULL, NULL)},
     "node \"n_projector.0.biased\" (Relu): expected the exact GELU (with Erf) between the projector's layers, found "
     "Relu"},
    {false,
     {EDIT("projector.0.gelu.erf", "Tanh", NULL, NULL)},
     "node \"n_projector.0.gelu\" (Mul): expected the exact GELU (with Erf) between the projector's layers, found its "
     "approximation by tanh"},
    {false,
     {EDIT("projector.2.biased", "+Softmax", NULL, "axis=-1")},
     "node \"n_projector.2.biased\" (Softmax): expected the tokens, [16, 32], as the output, found Softmax"},
    {false,
     {EDIT("image_features", "ReduceMean", NULL, "axes=[1] keepdims=1")},
     "node \"n_image_features\" (ReduceMean): expected the tokens, [16, 32], as the output, found ReduceMean"},
    {false,
     {.edit = {{"b5.0.qkv.heads", NULL, "b5.0.qkv.product,heads_outside", NULL},
               {"b5.0.qkv.turned", NULL, NULL, "perm=[3,0,2,1,4]"}}},
     "node \"n_b5.0.attended\" (MatMul): expected queries of attention in the order [2 heads][32 channels] of the rows "
     "of one layer, found another order"},
    {false,
     {.edit = {{"b5.0.qkv.heads", NULL, "b5.0.qkv.product,heads_inside", NULL},
               {"b5.0.qkv.turned", NULL, NULL, "perm=[2,0,4,1,3]"}}},
     "node \"n_b5.0.attended\" (MatMul): expected queries of attention in the order [2 heads][32 channels] of the rows "
     "of one layer, found another order"},
    {false,
     {EDIT("b5.0.q.scaled", "+Relu", NULL, NULL)},
     "node \"n_b5.0.q.scaled\" (Relu): expected a layer that computes the queries of attention, found Relu"},
    {false,
     {EDIT("b5.0.v", "+Tanh", NULL, NULL)},
     "node \"n_b5.0.v\" (Tanh): expected a layer that computes the values of attention, found Tanh"},
    {false,
     {.qkv = QKV_MULTI_HEAD, EDIT("b5.0.attended", NULL, "b5.0.q.rows,b5.0.k.rows,b5.0.v.rows,,,b5.0.q.rows", NULL)},
     "node \"n_b5.0.attended\" (MultiHeadAttention): expected attention without mask, bias and cache (input 5), found "
     "more inputs"},
    {false,
     {.linear = LINEAR_MATMUL, EDIT("b0.0.fc1", NULL, NULL, "perm=[0,3,2,1]")},
     "node \"n_b0.0.fc1\" (Transpose): expected the FFN's fc1, a 1x1 convolution or a product with a constant matrix, "
     "found Transpose"},
    {false,
     {.linear = LINEAR_GEMM, EDIT("b0.0.fc2.gemm", NULL, NULL, "transB=1 alpha=0.5")},
     "node \"n_b0.0.fc2.gemm\" (Gemm): expected the last layer of a block, a 1x1 convolution or a product with a "
     "constant matrix, found Gemm"},
    {false,
     {.without_projector = true, EDIT("tokens", NULL, NULL, "perm=[0,1,2]")},
     "node \"n_tokens.flat\" (Reshape): expected the tokens in rows of the picture, [16, 128], found Reshape"},
    {false,
     {.map_output = true, EDIT("image_features", "Transpose", NULL, "perm=[0,1,3,2]")},
     "node \"n_image_features\" (Transpose): expected the projector's first layer, or the tokens as the output, found "
     "Transpose"},
    {false,
     {.map_output = true, EDIT("image_features", "GlobalAveragePool", NULL, NULL)},
     "node \"n_image_features\" (GlobalAveragePool): expected the projector's first layer, or the tokens as the "
     "output, found GlobalAveragePool"},
    {false,
     {.qkv = QKV_ATTENTION, EDIT("b5.0.attended", NULL, NULL, "is_causal=1")},
     "node \"n_b5.0.attended\" (Attention): expected attention with is_causal = 0, found another value"},
    {false,
     {.qkv = QKV_ATTENTION, EDIT("b5.0.attended", NULL, NULL, "scale=0.2")},
     "node \"n_b5.0.attended\" (Attention): expected attention to scale its scores by 1 / sqrt(32), found 0.2"},
    {false,
     {.qkv = QKV_ATTENTION, EDIT("b5.0.attended", NULL, NULL, "softcap=2.0")},
     "node \"n_b5.0.attended\" (Attention): expected attention without softcap, with as many heads of keys as of "
     "queries, found another kind"},
    {false,
     {.qkv = QKV_ATTENTION, EDIT("b5.0.attended.turned", NULL, NULL, "perm=[0,2,3,1]")},
     "node \"n_b5.0.attended\" (Attention): expected the result of attention to have its heads side by side, found "
     "another order"},
    {false,
     {.qkv = QKV_MULTI_HEAD, EDIT("b5.0.attended", NULL, NULL, "num_heads=2 smooth_softmax=1")},
     "node \"n_b5.0.attended\" (MultiHeadAttention): expected attributes that are known, found smooth_softmax"},
    {true,
     {EDIT("stem.2.with_conv0", "Sub", "stem.2.skip.bn,stem.2.conv0.bn", NULL)},
     "node \"n_stem.2.conv0\" (Conv): expected the branches of "
     "\"model.vision_tower.vision_tower.model.patch_embed.2\": convolutions of one size, one of 1x1, one identity, "
     "each with BatchNorm, found a 1x1 convolution, stride 1x1, padding 0,0,0,0, dilation 1x1, 1 groups, 16 -> 16 "
     "channels"},
    {true,
     {EDIT("d1.dw", "Mul", NULL, NULL)},
     "node \"n_d1.dw\" (Mul): expected a RepMixer or attention block, a downsample or the tower's last convolution, "
     "found Mul"},
    {true,
     {EDIT("d1.large.bn", NULL, NULL, "epsilon=1e-4")},
     "node \"n_d1.large.bn\" (BatchNormalization): expected a RepMixer or attention block, a downsample or the tower's "
     "last convolution, found BatchNormalization with eps 0.0001"},
    {true,
     {EDIT("b0.0.difference", "Add", NULL, NULL)},
     "node \"n_b0.0.norm.skip.bn\" (BatchNormalization): expected the branches of "
     "\"model.vision_tower.vision_tower.model.network.0.0.token_mixer.mixer\": convolutions of one size, one of 1x1, "
     "one identity, each with BatchNorm, found another branch"},
    {true,
     {EDIT("b0.0.mixed", NULL, "stem.2.with_conv0,b0.0.mixed_scaled", NULL)},
     "node \"n_b0.0.mixed\" (Add): expected the exact GELU (with Erf) after a convolution of FastViTHD's stem, found "
     "Add"},
    {true,
     {EDIT("pos", "Sub", NULL, NULL)},
     "node \"n_pos\" (Sub): expected a position encoding: a depthwise convolution without BatchNorm, perhaps added to "
     "its input, found other branches"},
    {true,
     {EDIT("exp.with_conv1", "Mul", NULL, NULL)},
     "node \"n_exp.with_conv1\" (Mul): expected a RepMixer or attention block, a downsample or the tower's last "
     "convolution, found Mul"},
};

static void every_refusal(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        fvlm_match m;
        fvlm_graph *g;
        fvlm_err err = {0};
        const fvlm_status st = match(&m, &g, refusals[i].train_time, &refusals[i].style, &err);
        if (!st || strcmp(err.msg, refusals[i].refusal) != 0) {
            print_message("# refusal %zu, \"%s\": %s\n", i, refusals[i].refusal, st ? err.msg : "accepted");
            wrong++;
        }
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
    print_message("# %zu refusals\n", sizeof refusals / sizeof *refusals);
    assert_int_equal(wrong, 0);
}

/* Whatever a graph is like, matching ends, in a refusal with a text or in tensors with shapes: three changes at a time.
 */
static void many_changes(void **state)
{
    (void)state;
    test_rng r = {11};
    unsigned accepted = 0;
    for (int i = 0; i < 400; i++) {
        tower_style style = {.gelu = (tower_gelu)test_below(&r, GELU_KINDS),
                             .norm = (tower_norm)test_below(&r, NORM_KINDS),
                             .linear = (tower_linear)test_below(&r, LINEAR_KINDS),
                             .qkv = (tower_qkv)test_below(&r, QKV_KINDS)};
        for (int k = 0; k < 3; k++)
            style.edit[k] = refusals[test_below(&r, sizeof refusals / sizeof *refusals)].style.edit[0];
        fvlm_match m;
        fvlm_graph *g;
        fvlm_err err = {0};
        const fvlm_status st = match(&m, &g, test_below(&r, 2), &style, &err);
        if (st)
            assert_true(err.code == st && err.msg[0] && !strchr(err.msg, '\n'));
        else
            accepted++;
        for (size_t k = 0; k < m.n && !st; k++) assert_true(m.tensors[k].rank > 0 && m.tensors[k].dims[0] > 0);
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
    print_message("# of 400, %u accepted: changes of nodes that the spelling does not have\n", accepted);
    assert_true(accepted > 0 && accepted < 200);
}

/* Shapes of the picture, roles, and queries that are other rows of the layer: a legal model with other weights. */
static void inputs_and_rows(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *refusal;
    } shapes[] = {
        {"4,3,64,64",
         "input \"pixel_values\" has the shape [4, 3, 64, 64]; one square picture, [1, 3, S, S], or dynamic "
         "sizes are needed"},
        {"1,3,64,128", "input \"pixel_values\" has the shape [1, 3, 64, 128]; one square picture, [1, 3, S, S], or "
                       "dynamic sizes are needed"},
        {"b,c,h,w", NULL},
        {"1,3,64,w", NULL},
        {"b,3,8192,8192", "input \"pixel_values\" is a picture of 8192 pixels a side; at most 4096 are supported"}};
    fvlm_match m;
    fvlm_graph *g;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        fvlm_err err = {0};
        const fvlm_status st = match(&m, &g, false, &(tower_style){.input = shapes[i].shape}, &err);
        assert_int_equal(fvlm_match_role(g), FVLM_GRAPH_VISION);
        assert_string_equal(st ? err.msg : "", shapes[i].refusal ? shapes[i].refusal : "");
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
    fvlm_err err = {0};
    assert_int_equal(match(&m, &g, false, &(tower_style){.input = "1,64,64,3"}, &err), FVLM_UNSUPPORTED);
    assert_int_equal(fvlm_match_role(g), FVLM_GRAPH_FOREIGN);
    assert_non_null(
        strstr(err.msg, "is not a vision encoder: its only input must be a picture, [batch, 3, height, width]"));
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
    const tower_style rows = {.qkv = QKV_SLICE, EDIT("b5.0.q.rows", NULL, "b5.0.qkv.product,s64,s128,axis2", NULL)};
    must(match(&m, &g, false, &rows, &err), &err);
    const fvlm_match_tensor *t = find(&m, TEST_TOWER "network.5.0.token_mixer.qkv.weight");
    assert_non_null(t);
    assert_int_equal(t->n_parts, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(t->parts[i].first_row, i == 2 ? 128 : 64);
        assert_int_equal(t->parts[i].n_rows, 64);
    }
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling), cmocka_unit_test(mixed_spellings), cmocka_unit_test(every_refusal),
        cmocka_unit_test(many_changes),   cmocka_unit_test(inputs_and_rows),
    };
    test_folder(folder);
    for (int i = 0; i < 2; i++) test_checkpoint_make(&checkpoints[i], i, FVLM_SOURCE_F32);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < 2; i++) test_checkpoint_free(&checkpoints[i]);
    return failed;
}
