/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the embedding's table is found, and nothing is accepted that changes token ids or rows besides. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

static char folder[256], file[300];

/* All rows as they are stored. */
static void check_table(const fvlm_match_tensor *t)
{
    assert_string_equal(t->name, "model.embed_tokens.weight");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dims[0], 56);
    assert_int_equal(t->dims[1], 48);
    assert_int_equal(t->n_parts, 1);
    assert_string_equal(t->parts[0].weight.tensor->name, "table");
    assert_int_equal(t->parts[0].first_row, 0);
    assert_int_equal(t->parts[0].n_rows, 56);
    assert_int_equal(t->parts[0].transposed != t->parts[0].weight.transposed, false);
}

static void expect_embedding(onnx_model *m, const char *message)
{
    onnx_save(m, file);
    fvlm_match found = {0};
    fvlm_graph *g = NULL;
    fvlm_err err = {0};
    must(fvlm_graph_open(&g, file, &err), &err);
    const fvlm_status st = fvlm_match_embedding(&found, g, &err);
    if (message) {
        assert_int_equal(st, FVLM_UNSUPPORTED);
        assert_string_equal(err.msg, message);
    } else {
        must(st, &err);
        assert_int_equal(fvlm_match_role(g), FVLM_GRAPH_EMBEDDING);
        assert_int_equal(found.n, 1);
        check_table(&found.tensors[0]);
        assert_true(found.has_embedding && !found.has_llm);
        assert_int_equal(found.config.llm.hidden, 48);
    }
    fvlm_match_free(&found);
    fvlm_graph_close(&g);
}

/* A graph with a table and these inputs; nodes are added by the caller. */
static onnx_model embedding(const char *ids)
{
    onnx_model m = onnx_model_new();
    onnx_input(&m, "input_ids", FVLM_ONNX_I64, ids);
    onnx_weight(&m, "table", "56,48", 3);
    onnx_floats(&m, "seven", "", (float[]){7});
    onnx_int64s(&m, "one", "", (int64_t[]){1});
    onnx_output(&m, "inputs_embeds", FVLM_ONNX_F32, NULL);
    return m;
}

/* The table, and nothing that is done to ids or rows besides. */
static void finds_embeddings(void **state)
{
    (void)state;
    static const char *const expected = "expected the embedding, a Gather of rows of a constant by the token ids, "
                                        "unscaled, found";
    static const struct {
        const char *op, *inputs, *output, *attrs, *op2, *inputs2, *attrs2, *message;
    } cases[] = {
        {"Gather", "table,input_ids", "inputs_embeds", "", NULL, NULL, NULL, NULL},
        {"Cast", "input_ids", "ids", "to=6", "Gather", "table,ids", "axis=0", NULL},
        {"Cast", "input_ids", "ids", "to=2", "Gather", "table,ids", "", "node \"n_inputs_embeds\" (Gather): %s Gather"},
        {"Gather", "table,input_ids", "rows", "", "Identity", "rows", "", NULL},
        {"Gather", "table,input_ids", "rows", "", "Mul", "rows,seven", "", "node \"n_inputs_embeds\" (Mul): %s Mul"},
        {"Gather", "table,input_ids", "rows", "", "Neg", "rows", "", "node \"n_inputs_embeds\" (Neg): %s Neg"},
        {"Gather", "table,input_ids", "rows", "", "Add", "rows,rows", "", "node \"n_inputs_embeds\" (Add): %s Add"},
        {"Gather", "table,input_ids", "rows", "", "Transpose", "rows", "perm=[0,2,1]",
         "node \"n_inputs_embeds\" (Transpose): %s Transpose"},
        {"Gather", "table,input_ids", "inputs_embeds", "axis=1", NULL, NULL, NULL,
         "node \"n_inputs_embeds\" (Gather): %s Gather"},
        {"Add", "input_ids,one", "ids", "", "Gather", "table,ids", "", "node \"n_inputs_embeds\" (Gather): %s Gather"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        onnx_model m = embedding(i % 2 ? "1,9" : "batch,tokens");
        char message[256];
        onnx_node(&m, cases[i].op, cases[i].inputs, cases[i].output, cases[i].attrs);
        if (cases[i].op2) onnx_node(&m, cases[i].op2, cases[i].inputs2, "inputs_embeds", cases[i].attrs2);
        const char *at = cases[i].message ? strstr(cases[i].message, "%s") : NULL;
        if (at) {
            snprintf(message, sizeof message, "%.*s%s%s", (int)(at - cases[i].message), cases[i].message, expected,
                     at + 2);
        }
        expect_embedding(&m, at ? message : NULL);
    }
    onnx_model m = embedding("1,9");
    onnx_input(&m, "mask", FVLM_ONNX_I64, "1,9");
    onnx_node(&m, "Gather", "table,input_ids", "inputs_embeds", "");
    expect_embedding(&m, "embedding: expected one input, token ids, and one output");
}

int main(void)
{
    snprintf(file, sizeof file, "%s/embedding.onnx", test_folder(folder));
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_embeddings)};
    return cmocka_run_group_tests_name("embedding", tests, NULL, NULL);
}
