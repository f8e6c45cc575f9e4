/* SPDX-License-Identifier: Apache-2.0 */
/* decoder.c - guards that decoders and embeddings are found in every spelling, each weight under its right name with
 * its right rows, and that nothing is accepted that computes something else. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/onnx_decoder.h"
#include "tests/support/support.h"

static char folder[256], file[300];

static fvlm_status match(fvlm_match *m, fvlm_graph **g, decoder_graph *d, fvlm_err *err)
{
    decoder_graph_save(d, file);
    *m = (fvlm_match){0};
    fvlm_status st = fvlm_graph_open(g, file, err);
    if (st) return st;
    assert_int_equal(fvlm_match_role(*g), FVLM_GRAPH_DECODER);
    return fvlm_match_decoder(m, *g, err);
}

/* ---- what is accepted ---- */

static const fvlm_match_tensor *tensor(const fvlm_match *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->tensors[i].name, name)) return &m->tensors[i];
    fail_msg("%s was not found", name);
    return NULL;
}

/* Rows first .. first + rows - 1 of the stored tensor 'from'. columns 0: a vector. */
typedef struct {
    const char *name, *from;
    uint64_t rows, columns, first;
} wanted;

static void check(const fvlm_match *m, const wanted *w, bool turned)
{
    const fvlm_match_tensor *t = tensor(m, w->name);
    assert_int_equal(t->rank, w->columns ? 2 : 1);
    assert_int_equal(t->dims[0], w->rows);
    if (w->columns) assert_int_equal(t->dims[1], w->columns);
    if (!w->from) {
        assert_int_equal(t->n_parts, 0);
        assert_true(!t->numbers && t->fill == 0);
        return;
    }
    assert_int_equal(t->n_parts, 1);
    assert_string_equal(t->parts[0].weight.tensor->name, w->from);
    assert_int_equal(t->parts[0].first_row, w->first);
    assert_int_equal(t->parts[0].n_rows, w->rows);
    /* what is stored is [in, out], unless it is Gemm's */
    if (w->columns) assert_int_equal(t->parts[0].transposed != t->parts[0].weight.transposed, turned);
}

static void check_layer(const fvlm_match *m, const decoder_style *s, int layer)
{
    enum { H = DECODER_HIDDEN, KV = DECODER_KV * DECODER_DIM, F = DECODER_FFN };
    const bool one = s->core == DECODER_CORE_GROUPED;
    const wanted all[] = {
        {"input_layernorm.weight", "n1.weight", H, 0, 0},
        {"self_attn.q_proj.weight", one ? "qkv.weight" : "q.weight", H, H, 0},
        {"self_attn.q_proj.bias",
         s->no_bias ? NULL
         : one      ? "qkv.bias"
                    : "q.bias",
         H, 0, 0},
        {"self_attn.k_proj.weight", one ? "qkv.weight" : "k.weight", KV, H, one ? H : 0},
        {"self_attn.k_proj.bias",
         s->no_bias ? NULL
         : one      ? "qkv.bias"
                    : "k.bias",
         KV, 0, one ? H : 0},
        {"self_attn.v_proj.weight", one ? "qkv.weight" : "v.weight", KV, H, one ? H + KV : 0},
        {"self_attn.v_proj.bias",
         s->no_bias ? NULL
         : one      ? "qkv.bias"
                    : "v.bias",
         KV, 0, one ? H + KV : 0},
        {"self_attn.o_proj.weight", "o.weight", H, H, 0},
        {"post_attention_layernorm.weight", "n2.weight", H, 0, 0},
        {"mlp.gate_proj.weight", s->packed_gate ? "both.weight" : "gate.weight", F, H, 0},
        {"mlp.up_proj.weight", s->packed_gate ? "both.weight" : "up.weight", F, H, s->packed_gate ? F : 0},
        {"mlp.down_proj.weight", "down.weight", H, F, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char name[96], from[64];
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, all[i].name);
        snprintf(from, sizeof from, "l%d.%s", layer, all[i].from ? all[i].from : "");
        wanted w = all[i];
        w.name = name;
        if (w.from) w.from = from;
        check(m, &w, !s->gemm);
    }
}

/* Every spelling of every part, alone and together. */
static void finds_every_spelling(void **state)
{
    (void)state;
    static const decoder_style styles[] = {
        {0},
        {.norm = DECODER_NORM_DIV},
        {.norm = DECODER_NORM_SIMPLE},
        {.norm = DECODER_NORM_SKIP},
        {.core = DECODER_CORE_ROTARY},
        {.core = DECODER_CORE_GROUPED},
        {.core = DECODER_CORE_GROUPED, .norm = DECODER_NORM_SKIP, .packed_gate = true, .swish = true},
        {.core = DECODER_CORE_ONNX, .norm = DECODER_NORM_SIMPLE},
        {.core = DECODER_CORE_ONNX, .norm = DECODER_NORM_SKIP, .no_cache = true},
        {.packed_gate = true},
        {.gemm = true},
        {.gemm = true, .core = DECODER_CORE_ROTARY, .packed_gate = true},
        {.ids = true},
        {.ids = true, .last_only = true, .norm = DECODER_NORM_SKIP},
        {.no_cache = true},
        {.no_cache = true, .core = DECODER_CORE_ROTARY},
        {.no_cache = true, .core = DECODER_CORE_GROUPED},
        {.last_only = true},
        {.swish = true},
        {.no_bias = true},
        {.no_bias = true, .core = DECODER_CORE_GROUPED},
    };
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        const decoder_style *s = &styles[i];
        fvlm_match m;
        fvlm_graph *g = NULL;
        fvlm_err err;
        must(match(&m, &g, decoder_graph_new(s), &err), &err);
        for (int layer = 0; layer < DECODER_LAYERS; layer++) check_layer(&m, s, layer);
        check(&m, &(wanted){"model.norm.weight", "final.weight", DECODER_HIDDEN, 0, 0}, false);
        check(&m, &(wanted){"lm_head.weight", s->ids ? "embed" : "logits.weight", DECODER_VOCAB, DECODER_HIDDEN, 0},
              !s->gemm && !s->ids);
        if (s->ids) check(&m, &(wanted){"model.embed_tokens.weight", "embed", DECODER_VOCAB, DECODER_HIDDEN, 0}, false);
        assert_int_equal(m.n, 12 * DECODER_LAYERS + 2 + (s->ids ? 1 : 0));
        assert_true(m.has_llm && m.has_head && m.has_embedding == s->ids && !m.has_tower);
        assert_int_equal(m.config.llm.hidden, DECODER_HIDDEN);
        assert_int_equal(m.config.llm.layers, DECODER_LAYERS);
        assert_int_equal(m.config.llm.heads, DECODER_HEADS);
        assert_int_equal(m.config.llm.kv_heads, DECODER_KV);
        assert_int_equal(m.config.llm.head_dim, DECODER_DIM);
        assert_int_equal(m.config.llm.intermediate, DECODER_FFN);
        assert_int_equal(m.config.llm.vocab, DECODER_VOCAB);
        assert_true(m.config.llm.rope_theta == 1e6 && m.config.llm.norm_eps == 1e-6);
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
}

static void set_input(decoder_graph *g, size_t i, const char *text)
{
    if (i < g->n_inputs)
        free(g->inputs[i]);
    else
        g->n_inputs = i + 1;
    g->inputs[i] = fvlm_strdup(text);
    assert_non_null(g->inputs[i]);
}

static void take_whole_mask(decoder_graph *g)
{
    set_input(g, 1, "attention_mask:1:1,1,tokens,total");
    for (int i = 0; i < DECODER_LAYERS; i++) {
        char out[32], in[64];
        snprintf(out, sizeof out, "l%d.masked", i);
        snprintf(in, sizeof in, "l%d.scaled,attention_mask", i);
        decoder_graph_change(g, out, NULL, in, NULL);
    }
}

static void fix_all_sizes(decoder_graph *g)
{
    set_input(g, 0, "inputs_embeds:1:1,7,48");
    set_input(g, 1, "attention_mask:7:1,16");
    set_input(g, 2, "position_ids:7:1,7");
}

static void fix_past(decoder_graph *g)
{
    for (size_t i = 3; i < g->n_inputs; i++) {
        char text[80];
        snprintf(text, sizeof text, "past_key_values.%zu.%s:1:1,2,9,8", (i - 3) / 2, i % 2 ? "key" : "value");
        set_input(g, i, text);
    }
}

static void position_by_cache(decoder_graph *g)
{
    set_input(g, 2, "cache_position:7:tokens");
    decoder_graph_change(g, "columns", NULL, "batch,axis2", NULL);
    decoder_graph_insert(g, "columns", "Unsqueeze", "cache_position,axis0", "batch", "");
}

/* The last so many tokens: Slice from -n to the end. */
static void keep_some_logits(decoder_graph *g)
{
    set_input(g, g->n_inputs, "num_logits_to_keep:7:");
    decoder_graph_ints(g, "last_end", "1", (int64_t[]){INT64_MAX});
    decoder_graph_insert(g, "logits", "Neg", "num_logits_to_keep", "minus_n", "");
    decoder_graph_insert(g, "logits", "Unsqueeze", "minus_n,axis0", "minus_n1", "");
    decoder_graph_insert(g, "logits", "Slice", "final,minus_n1,last_end,axis1", "kept", "");
    decoder_graph_change(g, "logits", NULL, "kept,logits.weight", NULL);
}

/* 1 / sqrt(dim) as its root on queries and on keys, as PyTorch's attention is spelled. */
static void scale_both(decoder_graph *g)
{
    decoder_graph_floats(g, "fourth_root", "", (float[]){0.59460355750136053F});
    decoder_graph_insert(g, "l0.scores", "Mul", "l0.q.rotated,fourth_root", "l0.qs", "");
    decoder_graph_insert(g, "l0.scores", "Mul", "l0.k.t,fourth_root", "l0.ks", "");
    decoder_graph_change(g, "l0.scores", NULL, "l0.qs,l0.ks", NULL);
    decoder_graph_change(g, "l0.scaled", "Identity", "l0.scores", NULL);
}

/* Masked scores are replaced. */
static void mask_by_where(decoder_graph *g)
{
    decoder_graph_floats(g, "lowest", "", (float[]){-3.4028234663852886e38F});
    decoder_graph_change(g, "l1.masked", "Where", "seen,l1.scaled,lowest", NULL);
}

/* Products of halves instead of rotate_half. */
static void rotate_by_halves(decoder_graph *g)
{
    decoder_graph_insert(g, "l0.q.rotated", "Slice", "cos,axis0,half,axis3", "cos_half", "");
    decoder_graph_insert(g, "l0.q.rotated", "Slice", "sin,axis0,half,axis3", "sin_half", "");
    decoder_graph_insert(g, "l0.q.rotated", "Mul", "l0.q.low,cos_half", "h.a", "");
    decoder_graph_insert(g, "l0.q.rotated", "Mul", "l0.q.high,sin_half", "h.b", "");
    decoder_graph_insert(g, "l0.q.rotated", "Sub", "h.a,h.b", "h.first", "");
    decoder_graph_insert(g, "l0.q.rotated", "Mul", "l0.q.high,cos_half", "h.c", "");
    decoder_graph_insert(g, "l0.q.rotated", "Mul", "l0.q.low,sin_half", "h.d", "");
    decoder_graph_insert(g, "l0.q.rotated", "Add", "h.c,h.d", "h.second", "");
    decoder_graph_change(g, "l0.q.rotated", "Concat", "h.first,h.second", "axis=-1");
}

/* Inputs of all kinds, and spellings that exporters use now and then. */
static void finds_it_with_other_inputs(void **state)
{
    (void)state;
    static const struct {
        decoder_style style;
        void (*change[2])(decoder_graph *g);
    } cases[] = {
        {{0}, {take_whole_mask}},         {{.no_cache = true}, {take_whole_mask}},
        {{0}, {fix_all_sizes}},           {{0}, {fix_past}},
        {{0}, {fix_past, fix_all_sizes}}, {{0}, {position_by_cache}},
        {{0}, {keep_some_logits}},        {{0}, {scale_both}},
        {{0}, {mask_by_where}},           {{0}, {rotate_by_halves}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        decoder_graph *d = decoder_graph_new(&cases[i].style);
        for (int k = 0; k < 2; k++)
            if (cases[i].change[k]) cases[i].change[k](d);
        fvlm_match m;
        fvlm_graph *g = NULL;
        fvlm_err err;
        must(match(&m, &g, d, &err), &err);
        for (int layer = 0; layer < DECODER_LAYERS; layer++) check_layer(&m, &cases[i].style, layer);
        assert_true(m.config.llm.rope_theta == 1e6 && m.config.llm.norm_eps == 1e-6);
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
}

/* ---- what is refused ---- */

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

/* Keys more than 8 positions back are masked, too. */
static void add_window(decoder_graph *g)
{
    decoder_graph_ints(g, "eight", "", (int64_t[]){8});
    decoder_graph_insert(g, "mask", "Sub", "queries,eight", "first", "");
    decoder_graph_insert(g, "mask", "GreaterOrEqual", "keys,first", "near", "");
    decoder_graph_insert(g, "mask", "And", "seen,near", "both", "");
    decoder_graph_change(g, "mask", NULL, "both,nothing,minus", NULL);
}

static void add_token_types(decoder_graph *g)
{
    set_input(g, g->n_inputs, "token_type_ids:9:batch,tokens");
}

static void add_input_ids(decoder_graph *g)
{
    set_input(g, g->n_inputs, "input_ids:7:batch,tokens");
}

static void fix_batch(decoder_graph *g)
{
    set_input(g, 1, "attention_mask:7:2,total");
}

static void forget_cache_shape(decoder_graph *g)
{
    set_input(g, 3, "past_key_values.0.key:1:batch,heads,past,8");
}

static void fix_many_tokens(decoder_graph *g)
{
    set_input(g, 0, "inputs_embeds:1:1,8192,48");
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
#include "tests/convert/graph/decoder_refusals.h"
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
        fvlm_match m;
        fvlm_graph *g = NULL;
        fvlm_err err = {0};
        const fvlm_status st = match(&m, &g, d, &err);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_every_spelling),
                                       cmocka_unit_test(finds_it_with_other_inputs), cmocka_unit_test(refuses_changes)};
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
