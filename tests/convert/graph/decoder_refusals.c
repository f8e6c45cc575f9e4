/* SPDX-License-Identifier: Apache-2.0 */
/* decoder_refusals.c - guards that no decoder is accepted that computes something else than Qwen2: one change of a
 * sound one, and the exact message, which names the node and what was expected there.
 *
 * One file, however long: it is one table, a row for each change. */
#include <math.h>

#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_decoder.h"
#include "tests/support/support.h"

static char folder[256], file[300];

/* A change of the node 'output', then a node in front of 'before'. */
typedef struct {
    decoder_style style;
    const char *output, *op, *inputs, *attrs;
    const char *before, *new_op, *new_inputs, *new_output, *new_attrs;
    void (*change)(decoder_graph *g);
    const char *message;
} refusal;

static void halve_frequencies(decoder_graph *g)
{
    for (int i = 0; i < DECODER_DIM / 2; i++) decoder_graph_weight(g, "inv_freq")[i] /= 2;
}

static void raise_one_frequency(decoder_graph *g)
{
    decoder_graph_weight(g, "inv_freq")[2] *= 1.01F;
}

static void spoil_far_cosine(decoder_graph *g)
{
    decoder_graph_weight(g, "cos_cache")[100 * DECODER_DIM / 2 + 1] += 0.001F;
}

static void spoil_far_sine(decoder_graph *g)
{
    decoder_graph_weight(g, "sin_cache")[127 * DECODER_DIM / 2 + 3] *= 1.01F;
}

static void weaken_mask(decoder_graph *g)
{
    *decoder_graph_weight(g, "minus") = -100;
}

static void lower_scale(decoder_graph *g)
{
    *decoder_graph_weight(g, "root") = 8;
}

static void take_first_token(decoder_graph *g)
{
    decoder_graph_ints(g, "minus1", "", (int64_t[]){0});
}

static void take_first_of_two(decoder_graph *g)
{
    decoder_graph_ints(g, "minus1", "2", (int64_t[]){-1, -2});
}

static void raise_eps(decoder_graph *g)
{
    *decoder_graph_weight(g, "eps") = 0.5F;
}

static void add_ones(decoder_graph *g)
{
    float ones[DECODER_HIDDEN];
    for (int i = 0; i < DECODER_HIDDEN; i++) ones[i] = 1;
    decoder_graph_floats(g, "ones", "48", ones);
    decoder_graph_floats(g, "ones8", "8", ones);
    decoder_graph_floats(g, "ones6", "6", ones);
    decoder_graph_floats(g, "seven", "", (float[]){7});
}

/* Heads are cut out of the channels of all tokens, as if [tokens, heads] were [heads, tokens]. */
static void cut_queries_wrongly(decoder_graph *g)
{
    decoder_graph_ints(g, "wrong", "4", (int64_t[]){1, DECODER_HEADS, -1, DECODER_DIM});
    decoder_graph_change(g, "l1.q.split", NULL, "l1.q,wrong", NULL);
    decoder_graph_change(g, "l1.q.heads", "Identity", NULL, "");
}

/* Head h of the queries reads key head h mod 2 instead of h / 3. */
static void tile_keys(decoder_graph *g)
{
    decoder_graph_ints(g, "tiles", "5", (int64_t[]){1, 3, 1, 1, 1});
    decoder_graph_change(g, "l0.k.five", NULL, "l0.k.all,axis1", NULL);
    decoder_graph_change(g, "l0.k.wide", NULL, "l0.k.five,tiles", NULL);
}

static void tile_values(decoder_graph *g)
{
    decoder_graph_ints(g, "tiles", "5", (int64_t[]){1, 3, 1, 1, 1});
    decoder_graph_change(g, "l0.v.five", NULL, "l0.v.all,axis1", NULL);
    decoder_graph_change(g, "l0.v.wide", NULL, "l0.v.five,tiles", NULL);
}

static void swap_caches(decoder_graph *g)
{
    decoder_graph_change(g, "l0.k.all", NULL, "past_key_values.0.value,l0.k.rotated", NULL);
    decoder_graph_change(g, "l0.v.all", NULL, "past_key_values.0.key,l0.v.heads", NULL);
}

/* Keys more than n positions back are masked, too. */
static void add_window(decoder_graph *g, int64_t n)
{
    decoder_graph_ints(g, "window", "", &n);
    decoder_graph_insert(g, "mask", "Sub", "queries,window", "first", "");
    decoder_graph_insert(g, "mask", "GreaterOrEqual", "keys,first", "near", "");
    decoder_graph_insert(g, "mask", "And", "seen,near", "both", "");
    decoder_graph_change(g, "mask", NULL, "both,nothing,minus", NULL);
}

static void add_window_of_9(decoder_graph *g)
{
    add_window(g, 8);
}

static void add_window_of_4096(decoder_graph *g)
{
    add_window(g, 4095);
}

static void add_window_of_200(decoder_graph *g)
{
    add_window(g, 199);
}

/* All positions from 100 on are rotated alike: nothing that the short lengths show. */
static void end_positions_at_100(decoder_graph *g)
{
    decoder_graph_ints(g, "hundred", "", (int64_t[]){100});
    decoder_graph_insert(g, "l1.q.rotated", "Min", "position_ids,hundred", "clamped", "");
    decoder_graph_change(g, "l1.q.rotated", NULL, "l1.q,clamped,cos_cache,sin_cache", NULL);
}

static void add_token_types(decoder_graph *g)
{
    decoder_graph_input(g, g->n_inputs, "token_type_ids:9:batch,tokens");
}

static void add_input_ids(decoder_graph *g)
{
    decoder_graph_input(g, g->n_inputs, "input_ids:7:batch,tokens");
}

static void fix_batch(decoder_graph *g)
{
    decoder_graph_input(g, 1, "attention_mask:7:2,total");
}

static void forget_cache_shape(decoder_graph *g)
{
    decoder_graph_input(g, 3, "past_key_values.0.key:1:batch,heads,past,8");
}

static void fix_many_tokens(decoder_graph *g)
{
    decoder_graph_input(g, 0, "inputs_embeds:1:1,8192,48");
}

static void contradict_sizes(decoder_graph *g)
{
    decoder_graph_input(g, 0, "inputs_embeds:1:1,3,48");
    decoder_graph_input(g, 2, "position_ids:7:1,900");
}

static void contradict_past(decoder_graph *g)
{
    decoder_graph_input(g, 3, "past_key_values.0.key:1:1,2,7,8");
    decoder_graph_input(g, 4, "past_key_values.0.value:1:1,2,8,8");
}

static void keep_many_logits(decoder_graph *g)
{
    decoder_graph_input(g, g->n_inputs, "num_logits_to_keep:7:1000000");
}

static void fix_cache_batch(decoder_graph *g)
{
    decoder_graph_input(g, 6, "past_key_values.1.value:1:4,2,past,8");
}

static void forget_width(decoder_graph *g)
{
    decoder_graph_input(g, 0, "inputs_embeds:1:batch,tokens,width");
}

/* A node after the logits. */
static void after_logits(decoder_graph *g, const char *op, const char *inputs)
{
    decoder_graph_insert(g, "logits", op, inputs, "final_logits", ""); /* graphs may list nodes in any order */
    g->logits = "final_logits";
}

static void scale_logits(decoder_graph *g)
{
    after_logits(g, "Mul", "logits,seven");
}

static void cap_logits(decoder_graph *g)
{
    after_logits(g, "Tanh", "logits");
}

static void bias_logits(decoder_graph *g)
{
    float v[DECODER_VOCAB];
    for (int i = 0; i < DECODER_VOCAB; i++) v[i] = (float)i;
    decoder_graph_floats(g, "logits_bias", "56", v);
    after_logits(g, "Add", "logits,logits_bias");
}

#define ROTARY                                                                                                         \
    {                                                                                                                  \
        .core = DECODER_CORE_ROTARY                                                                                    \
    }
#define GROUPED                                                                                                        \
    {                                                                                                                  \
        .core = DECODER_CORE_GROUPED                                                                                   \
    }
#define SIMPLE                                                                                                         \
    {                                                                                                                  \
        .norm = DECODER_NORM_SIMPLE                                                                                    \
    }
#define ONNX                                                                                                           \
    {                                                                                                                  \
        .core = DECODER_CORE_ONNX, .norm = DECODER_NORM_SIMPLE                                                         \
    }

static const refusal refusals[] = {
    {.output = "l1.silu",
     .inputs = "l1.up,l1.sigmoid",
     .message = "node \"n_l1.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.sigmoid",
     .op = "Tanh",
     .message = "node \"n_l0.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.silu",
     .op = "Add",
     .message = "node \"n_l0.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.inner", .op = "Add", .message = "node \"n_l0.inner\" (Add): expected silu(gate) * up, found Add"},
    {.style = {.swish = true},
     .output = "l1.silu",
     .attrs = "alpha=1.702",
     .message = "node \"n_l1.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.style = {.swish = true},
     .output = "l1.silu",
     .op = "com.microsoft:Gelu",
     .attrs = "",
     .message = "node \"n_l1.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.up",
     .inputs = "l0.n1,l0.up.weight",
     .message = "node \"n_l0.inner\" (Mul): expected gate and up of one input, found different ones"},
    {.output = "l0.inner",
     .inputs = "l0.silu,l0.up2",
     .before = "l0.inner",
     .new_op = "Mul",
     .new_inputs = "l0.up,seven",
     .new_output = "l0.up2",
     .new_attrs = "",
     .message = "node \"n_l0.inner\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.inner",
     .inputs = "l0.silu,l0.up2",
     .before = "l0.inner",
     .new_op = "Relu",
     .new_inputs = "l0.up",
     .new_output = "l0.up2",
     .new_attrs = "",
     .message = "node \"n_l0.up2\" (Relu): expected the up projection, a MatMul by a constant, found Relu"},
    {.output = "l0.down",
     .inputs = "l0.silu,l0.down.weight",
     .message = "node \"n_l0.silu\" (Mul): expected silu(gate) * up, found another product"},
    {.output = "l0.middle",
     .op = "Identity",
     .inputs = "l0.o",
     .message = "node \"n_l0.o\" (MatMul): expected x + attention(norm(x)), which ends in a MatMul by a constant, "
                "found MatMul"},
    {.output = "l1.middle",
     .inputs = "l1.n1,l1.o",
     .message =
         "node \"n_l1.n1\" (Mul): expected the norm of the stream that the attention is added to, found another input"},
    {.output = "l0.middle",
     .inputs = "inputs_embeds,l0.attention",
     .message = "node \"n_l0.middle\" (Add): expected x + attention(norm(x)), which ends in a MatMul by a constant, "
                "found another sum"},
    {.output = "x1",
     .op = "Mul",
     .message = "node \"n_l1.n1\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "x1",
     .inputs = "inputs_embeds,l0.down",
     .message =
         "node \"n_l0.n2\" (Mul): expected the norm of the stream that the FFN is added to, found another input"},
    {.output = "l0.middle",
     .inputs = "inputs_embeds,l0.ob",
     .before = "l0.middle",
     .new_op = "Add",
     .new_inputs = "l0.o,ones",
     .new_output = "l0.ob",
     .new_attrs = "",
     .message = "node \"n_l0.ob\" (Add): expected no bias in \"model.layers.0.self_attn.o_proj\": Qwen2 has none "
                "there, found one"},
    {.output = "l1.n2.square",
     .inputs = "l1.n1,two",
     .message = "node \"n_l1.n2\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "l1.n2.mean",
     .attrs = "axes=[1] keepdims=1",
     .message = "node \"n_l1.n2\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "l1.n2.mean",
     .op = "ReduceSum",
     .inputs = "l1.n2.square",
     .attrs = "axes=[-1] keepdims=1",
     .message = "node \"n_l1.n2\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "l0.n1.square",
     .inputs = "inputs_embeds,seven",
     .message = "node \"n_l0.n1\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "l0.n1.plus",
     .op = "Sub",
     .message = "node \"n_l0.n1\" (Mul): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found another product"},
    {.output = "l0.n1",
     .op = "Add",
     .inputs = "l0.n1.weight,l0.n1.unit",
     .message = "node \"n_l0.n1\" (Add): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), "
                "found Add"},
    {.style = SIMPLE,
     .output = "l0.n1",
     .op = "LayerNormalization",
     .message = "node \"n_l0.n1\" (LayerNormalization): expected RMSNorm over the last dimension: gamma * x / "
                "sqrt(mean(x^2) + eps), found LayerNormalization"},
    {.style = SIMPLE,
     .output = "l1.n2",
     .attrs = "epsilon=1e-5",
     .message = "node \"n_l1.down\" (MatMul): expected one epsilon, 1e-06, in all norms, found different ones"},
    {.style = SIMPLE,
     .output = "l1.n2",
     .attrs = "axis=1 epsilon=1e-6",
     .message = "node \"n_l1.n2\" (SimplifiedLayerNormalization): it normalizes 144 elements together, with 48 "
                "weights; one for each element is supported"},
    {.change = raise_eps, .message = "node \"n_final\" (Mul): expected an epsilon from 1e-12 to 0.1, found 0.5"},
    {.style = ROTARY,
     .output = "l0.q.rotated",
     .attrs = "num_heads=6 interleaved=1",
     .message = "node \"n_l0.q.rotated\" (RotaryEmbedding): expected each query head rotated by its position in pairs "
                "(i, i + 4), theta 1e+06, found no rotation of these pairs"},
    {.style = ROTARY,
     .output = "l0.k.rotated",
     .attrs = "num_heads=2 interleaved=1",
     .message = "node \"n_l0.k.rotated\" (RotaryEmbedding): expected each key head rotated by its position in pairs "
                "(i, i + 4), theta 1e+06, found no rotation of these pairs"},
    {.style = ROTARY,
     .output = "l0.q.rotated",
     .attrs = "num_heads=6 scale=2.0",
     .message = "node \"n_l0.q.rotated\" (RotaryEmbedding): expected scale 1, is_packed_batching 0, and no attributes "
                "that are not known"},
    {.style = ROTARY,
     .output = "l1.k.rotated",
     .op = "Identity",
     .inputs = "l1.k",
     .attrs = "",
     .message = "node \"n_l1.k\" (Add): expected each key head rotated by its position in pairs (i, i + 4), theta "
                "1e+06, found a rotation by 0 instead of 2 at pair 0 of position 2"},
    {.style = ROTARY,
     .output = "l1.k.rotated",
     .inputs = "l1.k,position_ids,sin_cache,cos_cache",
     .message = "node \"n_l1.k.rotated\" (RotaryEmbedding): expected each key head rotated by its position in pairs "
                "(i, i + 4), theta 1e+06, found a rotation by -0.429204 instead of 2 at pair 0 of position 2"},
    {.style = ROTARY,
     .change = end_positions_at_100,
     .message = "node \"n_l1.q.rotated\" (RotaryEmbedding): expected each query head rotated by its position in pairs "
                "(i, i + 4), theta 1e+06, found a rotation by -0.530965 instead of 8191 at pair 0 of position 8191"},
    {.style = ROTARY,
     .change = spoil_far_cosine,
     .message = "node \"n_l1.q.rotated\" (RotaryEmbedding): expected cosine and sine of 3.16227766 at row 100, column "
                "1 of the rotary tables, theta 1e+06, found -0.998786092 and -0.0206835307"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 kv_groups_shared=1",
     .message =
         "node \"n_l0.attention\" (GroupQueryAttention): expected attributes that are known, found kv_groups_shared"},
    {.style = ROTARY,
     .output = "l1.q.rotated",
     .attrs = "num_heads=6 yarn_factor=4.0",
     .message = "node \"n_l1.q.rotated\" (RotaryEmbedding): expected scale 1, is_packed_batching 0, and no attributes "
                "that are not known"},
    {.style = ONNX,
     .output = "l0.mixed",
     .attrs = "sink_size=4",
     .message = "node \"n_l0.mixed\" (Attention): expected attributes that are known, found sink_size"},
    {.style = GROUPED,
     .change = spoil_far_sine,
     .message = "node \"n_l1.attention\" (GroupQueryAttention): expected cosine and sine of 0.00401609263 at row 127, "
                "column 3 of the rotary tables, theta 1e+06, found 0.999991953 and 0.00405624276"},
    {.change = halve_frequencies,
     .message = "node \"n_l1.q.rotated\" (Add): expected each query head rotated by its position in pairs (i, i + 4), "
                "theta 4e+06, found a rotation by 1 instead of 2 at pair 0 of position 2"},
    {.change = raise_one_frequency,
     .message = "node \"n_l1.q.rotated\" (Add): expected each query head rotated by its position in pairs (i, i + 4), "
                "theta 980300, found a rotation by 0.0632455 instead of 0.0635609 at pair 1 of position 2"},
    {.output = "l1.q.neg",
     .op = "Identity",
     .message = "node \"n_l1.q.rotated\" (Add): expected each query head rotated by its position in pairs (i, i + 4), "
                "theta 1e+06, found a rotation by -2 instead of 2 at pair 0 of position 2"},
    {.output = "l1.q.turned",
     .inputs = "l1.q.low,l1.q.neg",
     .message = "node \"n_l1.q.rotated\" (Add): expected heads rotated by their positions in pairs (i, i + 4), angles "
                "position * theta^(-2i/8), found another order or other angles"},
    {.output = "l1.k.rotated",
     .op = "Sub",
     .message = "node \"n_l1.k.t\" (Transpose): expected each key head rotated by its position in pairs (i, i + 4), "
                "theta 1e+06, found a rotation by -2 instead of 2 at pair 0 of position 2"},
    {.output = "l0.k.all",
     .inputs = "past_key_values.0.key,l0.k.heads",
     .message = "node \"n_l0.k.t\" (Transpose): expected each key head rotated by its position in pairs (i, i + 4), "
                "theta 1e+06, found a rotation by 0 instead of 2 at pair 0 of position 2"},
    {.output = "l0.v.all",
     .inputs = "past_key_values.0.value,l0.k.rotated",
     .message = "node \"n_l0.v.repeated\" (Reshape): expected the values of each head in the order of their "
                "projection, found another order"},
    {.output = "floats",
     .inputs = "earlier",
     .before = "floats",
     .new_op = "Sub",
     .new_inputs = "columns,one",
     .new_output = "earlier",
     .new_attrs = "",
     .message = "node \"n_l1.q.rotated\" (Add): expected each query head rotated by its position in pairs (i, i + 4), "
                "theta 4e+06, found a rotation by 1 instead of 2 at pair 0 of position 2"},
    {.output = "angles",
     .inputs = "slow,inv_freq",
     .before = "angles",
     .new_op = "Div",
     .new_inputs = "floats,seven",
     .new_output = "slow",
     .new_attrs = "",
     .message = "node \"n_l1.q.rotated\" (Add): expected each query head rotated by its position in pairs (i, i + 4), "
                "theta 2.401e+09, found a rotation by 0.285714 instead of 2 at pair 0 of position 2"},
    {.change = cut_queries_wrongly,
     .message = "node \"n_l1.q.rotated\" (Add): expected the queries of each head in the order of their projection, "
                "found another order"},
    {.change = tile_keys,
     .message = "node \"n_l0.k.t\" (Transpose): expected the keys of each head in the order of their projection, found "
                "another order"},
    {.change = tile_values,
     .message = "node \"n_l0.v.repeated\" (Reshape): expected the values of each head in the order of their "
                "projection, found another order"},
    {.output = "l0.mixed.t",
     .op = "Identity",
     .attrs = "",
     .message = "node \"n_l0.attention\" (Reshape): expected the outputs of 6 heads side by side, found another order"},
    {.output = "l0.v.all",
     .inputs = "past_key_values.0.value,l0.v.scaled",
     .before = "l0.v.all",
     .new_op = "Mul",
     .new_inputs = "l0.v.heads,seven",
     .new_output = "l0.v.scaled",
     .new_attrs = "",
     .message =
         "node \"n_l0.v.repeated\" (Reshape): expected unscaled values, repeated as often as the keys, found others"},
    {.output = "l1.q.product",
     .inputs = "x1,l1.q.weight",
     .message = "node \"n_l1.mixed\" (MatMul): expected queries, keys and values of one input, found different ones"},
    {.output = "l0.scores",
     .inputs = "l0.q.normed,l0.k.t",
     .before = "l0.scores",
     .new_op = "SimplifiedLayerNormalization",
     .new_inputs = "l0.q.rotated,ones8",
     .new_output = "l0.q.normed",
     .new_attrs = "",
     .message = "node \"n_l0.q.normed\" (SimplifiedLayerNormalization): expected the queries of each head in the order "
                "of their projection, found another order"},
    {.output = "l0.q.cos",
     .inputs = "l0.q.normed,cos",
     .before = "l0.q.cos",
     .new_op = "SimplifiedLayerNormalization",
     .new_inputs = "l0.q.heads,ones8",
     .new_output = "l0.q.normed",
     .new_attrs = "",
     .message = "node \"n_l0.q.rotated\" (Add): expected queries that come from one projection, found something else"},
    {.output = "l0.scaled",
     .op = "Identity",
     .inputs = "l0.scores",
     .message = "node \"n_l0.mixed\" (MatMul): expected scores scaled by 1 / sqrt(8) = 0.353553, found 1"},
    {.change = lower_scale,
     .message = "node \"n_l1.mixed\" (MatMul): expected scores scaled by 1 / sqrt(8) = 0.353553, found 0.125"},
    {.output = "l0.scaled",
     .op = "Div",
     .inputs = "l0.scores,inv_freq2",
     .before = "l0.scaled",
     .new_op = "Slice",
     .new_inputs = "mask,axis0,half",
     .new_output = "inv_freq2",
     .new_attrs = "",
     .message = "node \"n_l0.scaled\" (Div): expected scores that are only scaled and masked, found Div"},
    {.output = "l0.masked",
     .op = "Identity",
     .inputs = "l0.scaled",
     .message =
         "node \"n_l0.probs\" (Softmax): expected a causal mask (-1e4 or less there), found 0 at query 2, key 3"},
    {.output = "seen",
     .op = "GreaterOrEqual",
     .message = "node \"n_l1.probs\" (Softmax): expected a causal mask (0 there), found -inf at query 2, key 0"},
    {.output = "seen",
     .op = "Less",
     .message = "node \"n_l1.probs\" (Softmax): expected a causal mask (0 there), found -inf at query 2, key 2"},
    {.change = add_window_of_4096,
     .message = "node \"n_l1.probs\" (Softmax): expected a causal mask (0 there), found -inf at query 8191, key 0"},
    {.style = {.no_cache = true},
     .change = add_window_of_200,
     .message = "node \"n_l1.probs\" (Softmax): expected a causal mask (0 there), found -inf at query 200, key 0"},
    {.change = add_window_of_9,
     .message = "node \"n_l1.probs\" (Softmax): expected a causal mask (0 there), found -inf at query 61, key 0"},
    {.change = weaken_mask,
     .message =
         "node \"n_l1.probs\" (Softmax): expected a causal mask (-1e4 or less there), found -100 at query 2, key 3"},
    {.output = "l0.probs",
     .attrs = "axis=2",
     .message = "node \"n_l0.probs\" (Softmax): expected a softmax over 5 keys for each of 3 queries, found one of "
                "another axis or shape"},
    {.output = "l0.masked",
     .inputs = "l0.capped,mask",
     .before = "l0.masked",
     .new_op = "Tanh",
     .new_inputs = "l0.scaled",
     .new_output = "l0.capped",
     .new_attrs = "",
     .message = "node \"n_l0.capped\" (Tanh): expected scores that are only scaled and masked, found Tanh"},
    {.output = "l0.probs",
     .op = "Sigmoid",
     .attrs = "",
     .message = "node \"n_l0.probs\" (Sigmoid): expected a softmax over 5 keys for each of 3 queries, found Sigmoid"},
    {.output = "l0.mixed",
     .inputs = "l0.masked,l0.v.repeated",
     .message = "node \"n_l0.masked\" (Add): expected a softmax over 5 keys for each of 3 queries, found Add"},
    {.output = "l1.k.all",
     .inputs = "past_key_values.0.key,l1.k.rotated",
     .message = "input \"past_key_values.0.key\": expected what its name says, found the cache of the keys of layer 1"},
    {.output = "l0.v.all",
     .inputs = "past_key_values.0.key,l0.v.heads",
     .message = "node \"n_l0.mixed\" (MatMul): expected a cache of keys and another of values, found one"},
    {.change = swap_caches,
     .message =
         "input \"past_key_values.0.value\": expected what its name says, found the cache of the keys of layer 0"},
    {.output = "l0.k.all",
     .inputs = "l0.k.rotated,past_key_values.0.key",
     .message = "node \"n_l0.k.t\" (Transpose): expected keys that come from one projection, found something else"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 local_window_size=4",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected local_window_size -1, or at least the "
                "positions of the context, found 4"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 local_window_size=64",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected local_window_size -1, or at least the "
                "positions of the context, found 64"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 softcap=30.0",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected no softcap, found one"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 smooth_softmax=1",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected smooth_softmax 0, found 1"},
    {.style = ROTARY,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 scale=0.5",
     .message =
         "node \"n_l0.attention\" (GroupQueryAttention): expected scores scaled by 1 / sqrt(8) = 0.353553, found 0.5"},
    {.style = ROTARY,
     .output = "l1.attention",
     .inputs = "l1.q.rotated,l1.k.rotated,l1.v,past_key_values.1.key,past_key_values.1.value,last,total32,cos_cache,"
               "sin_cache",
     .attrs = "num_heads=6 kv_num_heads=2 do_rotary=1",
     .message = "node \"n_l1.q.rotated\" (RotaryEmbedding): expected the queries of each head in the order of their "
                "projection, found another order"},
    {.style = ROTARY,
     .output = "l1.attention",
     .inputs = "l1.q.rotated,l1.k.rotated,l1.v,past_key_values.1.key,past_key_values.1.value,last,total32,,,,,ones6",
     .message = "node \"n_l1.attention\" (GroupQueryAttention): expected no head_sink, found one"},
    {.style = ROTARY,
     .output = "last1",
     .inputs = "total",
     .message = "node \"n_l1.attention\" (GroupQueryAttention): expected seqlens_k 4, the past and new tokens less "
                "one, found another"},
    {.style = ROTARY,
     .output = "last64",
     .op = "Add",
     .message = "node \"n_l1.attention\" (GroupQueryAttention): expected seqlens_k 4, the past and new tokens less "
                "one, found another"},
    {.style = ROTARY,
     .output = "l1.attention",
     .inputs = "l1.q.rotated,l1.k.rotated,l1.v,past_key_values.0.key,past_key_values.1.value,last,total32",
     .message = "input \"past_key_values.0.key\": expected what its name says, found the cache of the keys of layer 1"},
    {.style = ROTARY,
     .output = "l1.attention",
     .inputs = "l1.q.rotated,l1.k.rotated,l1.v,past_key_values.1.value,past_key_values.1.key,last,total32",
     .message =
         "input \"past_key_values.1.value\": expected what its name says, found the cache of the keys of layer 1"},
    {.style = ROTARY,
     .output = "l1.attention",
     .inputs = "l1.k.rotated,l1.k.rotated,l1.v,past_key_values.1.key,past_key_values.1.value,last,total32",
     .attrs = "num_heads=2 kv_num_heads=2",
     .message = "node \"n_l1.o\" (MatMul): matrices of shapes [1, 3, 16] and [48, 48] cannot be multiplied"},
    {.style = GROUPED,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2 do_rotary=1 rotary_interleaved=1",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected rotary_interleaved 0, found 1"},
    {.style = GROUPED,
     .output = "l0.attention",
     .attrs = "num_heads=6 kv_num_heads=2",
     .message = "node \"n_l0.qkv\" (Add): expected each query head rotated by its position in pairs (i, i + 4), theta "
                "1e+06, found a rotation by 0 instead of 2 at pair 0 of position 2"},
    {.style = GROUPED,
     .output = "l0.attention",
     .attrs = "num_heads=4 kv_num_heads=3 do_rotary=1",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): 4 heads of 3 groups"},
    {.style = GROUPED,
     .output = "l0.attention",
     .inputs = "l0.qkv,,,past_key_values.0.key,past_key_values.0.value,last,total32,sin_cache,cos_cache",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected cosine and sine of 0 at row 0, column 0 of "
                "the rotary tables, theta 1e+06, found 0 and 1"},
    {.style = GROUPED,
     .output = "l0.attention",
     .inputs = "l0.qkv,,,past_key_values.0.key,past_key_values.0.value,last,total32",
     .message = "node \"n_l0.attention\" (GroupQueryAttention): expected cos_cache and sin_cache [positions, 4], found "
                "others"},
    {.style = ONNX,
     .output = "l0.mixed",
     .attrs = "softcap=30.0",
     .message = "node \"n_l0.mixed\" (Attention): expected no softcap, found one"},
    {.style = ONNX,
     .output = "l0.mixed",
     .attrs = "scale=1.0",
     .message = "node \"n_l0.mixed\" (Attention): expected scores scaled by 1 / sqrt(8) = 0.353553, found 1"},
    {.style = ONNX,
     .output = "l0.mixed",
     .inputs = "l0.q.rotated,l0.k.rotated,l0.v.heads,,past_key_values.0.key,past_key_values.0.value",
     .message = "node \"n_l0.mixed\" (Attention): expected a causal mask, found none"},
    {.style = ONNX,
     .output = "l0.mixed",
     .attrs = "left_window_size=4",
     .message = "node \"n_l0.mixed\" (Attention): expected left_window_size -1, found 4"},
    {.style = ONNX,
     .output = "l0.mixed",
     .op = "com.microsoft:MultiHeadAttention",
     .inputs = "l0.q,l0.k,l0.v",
     .attrs = "num_heads=2",
     .message = "node \"n_l0.mixed.t\" (Transpose): perm has 4 axes, the value has rank 3"},
    {.output = "l0.attention",
     .op = "com.microsoft:MultiHeadAttention",
     .inputs = "l0.q,l0.q,l0.q",
     .attrs = "num_heads=4",
     .message =
         "node \"n_l0.attention\" (MultiHeadAttention): expected a causal attention: softmax(q k) v, Attention or "
         "GroupQueryAttention, found MultiHeadAttention"},
    {.output = "logits",
     .inputs = "x2,logits.weight",
     .message =
         "node \"n_x2\" (Add): expected RMSNorm over the last dimension: gamma * x / sqrt(mean(x^2) + eps), found Add"},
    {.change = scale_logits,
     .message = "node \"n_final_logits\" (Mul): expected the logits by a MatMul by a constant, the head, found Mul"},
    {.change = cap_logits,
     .message = "node \"n_final_logits\" (Tanh): expected the logits by a MatMul by a constant, the head, found Tanh"},
    {.change = bias_logits,
     .message = "node \"n_final_logits\" (Add): expected no bias in \"lm_head\": Qwen2 has none there, found one"},
    {.style = {.last_only = true},
     .change = take_first_token,
     .message = "node \"n_last_token\" (Gather): expected all tokens, or the last ones, found Gather"},
    {.style = {.last_only = true},
     .change = take_first_of_two,
     .message = "node \"n_last_token\" (Gather): expected all tokens, or the last ones, found Gather"},
    {.style = {.ids = true},
     .output = "l0.middle",
     .inputs = "x0s,l0.o",
     .before = "l0.middle",
     .new_op = "Mul",
     .new_inputs = "x0,seven",
     .new_output = "x0s",
     .new_attrs = "",
     .message =
         "node \"n_l0.n1\" (Mul): expected the norm of the stream that the attention is added to, found another input"},
    {.style = {.ids = true},
     .output = "x0",
     .inputs = "embed,shifted",
     .before = "x0",
     .new_op = "Add",
     .new_inputs = "input_ids,one",
     .new_output = "shifted",
     .new_attrs = "",
     .message = "node \"n_x0\" (Gather): expected the decoder's input, or x + FFN(norm(x)), which ends in a MatMul by "
                "a constant, found Gather"},
    {.change = contradict_sizes, .message = "input \"inputs_embeds\": dimension 1 is 3, expected 900"},
    {.change = contradict_past, .message = "input \"past_key_values.0.key\": dimension 2 is 7, expected 8"},
    {.change = keep_many_logits, .message = "input \"num_logits_to_keep\": dimension 0 is 1000000, expected 1"},
    {.change = fix_cache_batch,
     .message = "input \"past_key_values.1.value\": its batch is 4; expected 1 or a dynamic one"},
    {.change = forget_width, .message = "input \"inputs_embeds\": its last dimension, the hidden size, is not fixed"},
    {.change = add_token_types,
     .message = "input \"token_type_ids\": expected input_ids or inputs_embeds, attention_mask, position_ids and "
                "caches [batch, heads, positions, size], found BOOL of rank 2"},
    {.change = add_input_ids, .message = "decoder: expected either inputs_embeds or input_ids, found both"},
    {.change = fix_batch, .message = "input \"attention_mask\": its batch is 2; expected 1 or a dynamic one"},
    {.change = forget_cache_shape,
     .message =
         "input \"past_key_values.0.key\": expected a cache [batch, heads, positions, size] of fixed heads and size"},
    {.change = fix_many_tokens,
     .message = "decoder: its inputs have 8192 tokens after -1; up to 4096 are supported, or dynamic sizes"},
};

/* Each change of a sound decoder is refused, naming the node and what was expected there. */
static void refuses_changes(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const refusal *r = &refusals[i];
        decoder_graph *d = decoder_graph_new(&r->style);
        add_ones(d);
        if (r->output) decoder_graph_change(d, r->output, r->op, r->inputs, r->attrs);
        if (r->before) decoder_graph_insert(d, r->before, r->new_op, r->new_inputs, r->new_output, r->new_attrs);
        if (r->change) r->change(d);
        fvlm_match m = {0};
        fvlm_graph *g = NULL;
        fvlm_err err = {0};
        decoder_graph_save(d, file);
        must(fvlm_graph_open(&g, file, &err), &err);
        assert_int_equal(fvlm_match_role(g), FVLM_GRAPH_DECODER);
        const fvlm_status st = fvlm_match_decoder(&m, g, &err);
        if (!st || strcmp(err.msg, r->message) != 0) {
            print_error("%zu\nhave %s\nwant %s\n", i, st ? err.msg : "(accepted)", r->message);
            wrong++;
        }
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
    print_message("%zu refusals\n", sizeof refusals / sizeof refusals[0]);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    snprintf(file, sizeof file, "%s/decoder.onnx", test_folder(folder));
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_changes)};
    return cmocka_run_group_tests_name("decoder_refusals", tests, NULL, NULL);
}
