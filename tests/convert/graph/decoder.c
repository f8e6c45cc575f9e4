/* SPDX-License-Identifier: Apache-2.0 */
/* decoder.c - guards that decoders are found in every spelling, each weight under its right name with its right rows;
 * decoder_refusals.c, that nothing else is. One file, however long: the spellings are changes of one graph, checked by
 * one set of helpers. */
#include "convert/graph/match.h"
#include "convert/graph/onnx_source.h"
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

static void take_whole_mask(decoder_graph *g)
{
    decoder_graph_input(g, 1, "attention_mask:1:1,1,tokens,total");
    for (int i = 0; i < DECODER_LAYERS; i++) {
        char out[32], in[64];
        snprintf(out, sizeof out, "l%d.masked", i);
        snprintf(in, sizeof in, "l%d.scaled,attention_mask", i);
        decoder_graph_change(g, out, NULL, in, NULL);
    }
}

static void fix_all_sizes(decoder_graph *g)
{
    decoder_graph_input(g, 0, "inputs_embeds:1:1,7,48");
    decoder_graph_input(g, 1, "attention_mask:7:1,16");
    decoder_graph_input(g, 2, "position_ids:7:1,7");
}

static void fix_past(decoder_graph *g)
{
    for (size_t i = 3; i < g->n_inputs; i++) {
        char text[80];
        snprintf(text, sizeof text, "past_key_values.%zu.%s:1:1,2,9,8", (i - 3) / 2, i % 2 ? "key" : "value");
        decoder_graph_input(g, i, text);
    }
}

static void position_by_cache(decoder_graph *g)
{
    decoder_graph_input(g, 2, "cache_position:7:tokens");
    decoder_graph_change(g, "columns", NULL, "batch,axis2", NULL);
    decoder_graph_insert(g, "columns", "Unsqueeze", "cache_position,axis0", "batch", "");
}

/* The last so many tokens: Slice from -n to the end. */
static void keep_some_logits(decoder_graph *g)
{
    decoder_graph_input(g, g->n_inputs, "num_logits_to_keep:7:");
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

/* The scale of the heads as an attribute, which is absent otherwise. */
static void state_scale(decoder_graph *g)
{
    decoder_graph_change(g, "l0.attention", NULL, NULL, "num_heads=6 kv_num_heads=2 scale=0.35355339");
}

/* Rows of tables for the positions, as transformers did before version 4.38. */
static void gather_tables(decoder_graph *g)
{
    decoder_graph_insert(g, "cos3", "Concat", "cos_cache,cos_cache", "all_cos", "axis=1");
    decoder_graph_insert(g, "cos3", "Concat", "sin_cache,sin_cache", "all_sin", "axis=-1");
    decoder_graph_change(g, "cos3", "Gather", "all_cos,position_ids", NULL);
    decoder_graph_change(g, "sin3", "Gather", "all_sin,position_ids", NULL);
}

/* The operator of ai.onnx, on heads and on channels. */
static void rotate_by_operator(decoder_graph *g)
{
    decoder_graph_change(g, "l0.q.rotated", "RotaryEmbedding", "l0.q.heads,cos_cache,sin_cache,position_ids", "");
    decoder_graph_change(g, "l0.k.rotated", "RotaryEmbedding", "l0.k.heads,cos_cache,sin_cache,position_ids",
                         "interleaved=0 rotary_embedding_dim=8");
    decoder_graph_insert(g, "l1.q.split", "RotaryEmbedding", "l1.q,cos_cache,sin_cache,position_ids", "l1.q.r",
                         "num_heads=6");
    decoder_graph_change(g, "l1.q.split", NULL, "l1.q.r,heads_q", NULL);
    decoder_graph_change(g, "l1.q.rotated", "Identity", "l1.q.heads", "");
}

/* Inputs of all kinds, and spellings that exporters use now and then. */
static void finds_it_with_other_inputs(void **state)
{
    (void)state;
    static const struct {
        decoder_style style;
        void (*change[2])(decoder_graph *g);
    } cases[] = {
        {{0}, {take_whole_mask}},
        {{.no_cache = true}, {take_whole_mask}},
        {{0}, {fix_all_sizes}},
        {{0}, {fix_past}},
        {{0}, {fix_past, fix_all_sizes}},
        {{0}, {position_by_cache}},
        {{0}, {keep_some_logits}},
        {{0}, {scale_both}},
        {{0}, {mask_by_where}},
        {{0}, {rotate_by_halves}},
        {{0}, {gather_tables}},
        {{0}, {rotate_by_operator}},
        {{.core = DECODER_CORE_ROTARY}, {state_scale}},
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

/* ---- packed projections ---- */

static void pack(decoder_graph *g)
{
    enum { ROWS = DECODER_HIDDEN + 2 * DECODER_KV * DECODER_DIM };
    float *w = fvlm_alloc(DECODER_HIDDEN * ROWS, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < DECODER_HIDDEN * ROWS; i++) w[i] = (float)(i % 97) / 97;
    decoder_graph_floats(g, "packed.weight", "48,80", w);
    decoder_graph_floats(g, "packed.bias", "80", w);
    free(w);
    decoder_graph_insert(g, "l0.q", "MatMul", "l0.n1,packed.weight", "packed.product", "");
    decoder_graph_insert(g, "l0.q", "Add", "packed.product,packed.bias", "packed", "");
}

/* Split along the channels; parts are "p.q", "p.k" and "p.v" in the order that they are packed in. */
static void split(decoder_graph *g, const int64_t sizes[3], const char *parts, const char *axis)
{
    pack(g);
    decoder_graph_ints(g, "sizes", "3", sizes);
    decoder_graph_insert(g, "l0.q", "Split", "packed,sizes", parts, axis);
    decoder_graph_change(g, "l0.q", "Identity", "p.q", "");
    decoder_graph_change(g, "l0.k", "Identity", "p.k", "");
    decoder_graph_change(g, "l0.v", "Identity", "p.v", "");
}

static void split_channels(decoder_graph *g)
{
    split(g, (int64_t[]){48, 16, 16}, "p.q,p.k,p.v", "axis=-1");
}

/* The order of a packed matrix is what the graph makes of it. */
static void split_keys_first(decoder_graph *g)
{
    split(g, (int64_t[]){16, 48, 16}, "p.k,p.q,p.v", "axis=2");
}

/* Cut into 10 heads first; values, keys and queries are taken by Gather and Slice. */
static void split_heads(decoder_graph *g)
{
    pack(g);
    decoder_graph_ints(g, "ten", "4", (int64_t[]){1, -1, 10, 8});
    decoder_graph_ints(g, "six", "1", (int64_t[]){6});
    decoder_graph_ints(g, "of_keys", "2", (int64_t[]){6, 7});
    decoder_graph_ints(g, "of_values", "2", (int64_t[]){-2, -1});
    decoder_graph_insert(g, "l0.q", "Reshape", "packed,ten", "packed.heads", "");
    decoder_graph_insert(g, "l0.q", "Transpose", "packed.heads", "packed.t", "perm=[2,0,1,3]");
    decoder_graph_insert(g, "l0.q", "Slice", "packed.t,axis0,six,axis0", "p.q", "");
    decoder_graph_insert(g, "l0.q", "Gather", "packed.t,of_keys", "p.k", "");
    decoder_graph_insert(g, "l0.q", "Gather", "packed.t,of_values", "p.v", "axis=0");
    decoder_graph_change(g, "l0.q.heads", "Transpose", "p.q", "perm=[1,0,2,3]");
    decoder_graph_change(g, "l0.k.heads", "Transpose", "p.k", "perm=[1,0,2,3]");
    decoder_graph_change(g, "l0.v.heads", "Transpose", "p.v", "perm=[1,0,2,3]");
}

/* Rows of a packed matrix go where its outputs go. */
static void finds_packed_projections(void **state)
{
    (void)state;
    static const struct {
        void (*change)(decoder_graph *g);
        uint64_t q, k, v;
    } cases[] = {{split_channels, 0, 48, 64}, {split_heads, 0, 48, 64}, {split_keys_first, 16, 0, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        decoder_graph *d = decoder_graph_new(&(decoder_style){0});
        cases[i].change(d);
        fvlm_match m;
        fvlm_graph *g = NULL;
        fvlm_err err;
        must(match(&m, &g, d, &err), &err);
        const wanted all[] = {
            {"model.layers.0.self_attn.q_proj.weight", "packed.weight", 48, 48, cases[i].q},
            {"model.layers.0.self_attn.q_proj.bias", "packed.bias", 48, 0, cases[i].q},
            {"model.layers.0.self_attn.k_proj.weight", "packed.weight", 16, 48, cases[i].k},
            {"model.layers.0.self_attn.k_proj.bias", "packed.bias", 16, 0, cases[i].k},
            {"model.layers.0.self_attn.v_proj.weight", "packed.weight", 16, 48, cases[i].v},
            {"model.layers.0.self_attn.v_proj.bias", "packed.bias", 16, 0, cases[i].v},
        };
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) check(&m, &all[k], true);
        check_layer(&m, &(decoder_style){0}, 1);
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
}

/* ---- windows ---- */

/* A window of attention that the context never fills is accepted; config.json decides which context. */
static void compares_windows(void **state)
{
    (void)state;
    const decoder_style style = {.core = DECODER_CORE_ROTARY};
    decoder_graph *d = decoder_graph_new(&style);
    decoder_graph_change(d, "l0.attention", NULL, NULL, "num_heads=6 kv_num_heads=2 local_window_size=9000");
    decoder_graph_change(d, "l1.attention", NULL, NULL, "num_heads=6 kv_num_heads=2 local_window_size=10000");
    fvlm_match m;
    fvlm_graph *g;
    fvlm_err err;
    must(match(&m, &g, d, &err), &err);
    fvlm_onnx_facts facts = {.has_llm = true, .config = m.config, .decoder = "d.onnx"};
    fvlm_config said = m.config;
    uint32_t rows = 0;
    said.llm.context = 9000;
    must(fvlm_onnx_check(&facts, &said, &rows, &err), &err);
    said.llm.context = 9001;
    assert_int_equal(fvlm_onnx_check(&facts, &said, &rows, &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "\"d.onnx\": its attention sees 9000 positions (local_window_size), fewer than the "
                                 "context of 9001 that \"config.json\" has; sliding windows are not supported");
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
}

int main(void)
{
    snprintf(file, sizeof file, "%s/decoder.onnx", test_folder(folder));
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_every_spelling),
                                       cmocka_unit_test(finds_it_with_other_inputs),
                                       cmocka_unit_test(finds_packed_projections), cmocka_unit_test(compares_windows)};
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
