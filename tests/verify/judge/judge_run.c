/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a run of several nodes: every value is observed once, in order; values are freed after their last use;
 * outputs are the same for any number of threads and after a second run; halves are rounded where judge.h says; what is
 * missing or does not fit is refused; limits, the stop flag and an observer's failure end a run with nothing left
 * behind. */
#include "tests/support/judge_case.h"

/* y = relu(conv(x) + shift), 64 times over; a value has 64 kB. */
enum { N_STEPS = 64, VALUE_BYTES = 4 * 16 * 32 * 32, WEIGHT_BYTES = 4 * 16 * (16 * 9 + 1) }; /* unaligned: loaded */

static fvlm_graph *open_chain(void)
{
    onnx_model m = onnx_model_new();
    char from[16] = "x", sum[16], to[16], conv[16];
    onnx_input(&m, "x", F32, "1,16,32,32");
    onnx_weight(&m, "w", "16,16,3,3", 1);
    onnx_weight(&m, "shift", "16,1,1", 2);
    for (int i = 0; i < N_STEPS; i++) {
        sprintf(conv, "c%d", i);
        sprintf(sum, "s%d", i);
        sprintf(to, i == N_STEPS - 1 ? "y" : "r%d", i);
        char inputs[40];
        sprintf(inputs, "%s,w", from);
        onnx_node(&m, "Conv", inputs, conv, "pads=[1,1,1,1]");
        sprintf(inputs, "%s,shift", conv);
        onnx_node(&m, "Add", inputs, sum, "");
        onnx_node(&m, "Tanh", sum, to, "");
        strcpy(from, to);
    }
    onnx_output(&m, "y", F32, NULL);
    return judge_open(&m);
}

static const judge_operand picture = T(F32, "1,16,32,32", 0.5, -1, 0.25, 2, 0.125);

static void set(fvlm_judge *j, const char *name, const judge_operand *o)
{
    void *data;
    fvlm_err err = {0};
    const fvlm_judge_tensor t = judge_tensor(o, &data);
    must(fvlm_judge_set_input(j, name, &t, &err), &err);
    free(data);
}

typedef struct {
    size_t n, progress;
    uint64_t elems;
    char last[16];
    size_t fail_at;
} seen;

static fvlm_status see(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    seen *s = ctx;
    (void)id;
    s->elems += t->n_elems;
    snprintf(s->last, sizeof s->last, "%s", name);
    return ++s->n == s->fail_at ? fvlm_fail(err, FVLM_MISMATCH, "enough") : FVLM_OK;
}

static void count_progress(void *ctx, size_t done, size_t n)
{
    assert_int_equal(n, 3 * N_STEPS);
    ((seen *)ctx)->progress = done;
}

static void test_values(void **state)
{
    (void)state;
    fvlm_graph *g = open_chain();
    fvlm_err err = {0};
    float first[16 * 32 * 32];
    for (unsigned threads = 1; threads <= 3; threads++) {
        fvlm_pool *pool;
        fvlm_judge *j;
        fvlm_judge_tensor y;
        must(fvlm_pool_create(&pool, threads, &err), &err);
        must(fvlm_judge_create(&j, g, &(fvlm_judge_options){.pool = pool}, &err), &err);
        set(j, "x", &picture);
        for (int again = 0; again < 2; again++) {
            seen s = {0};
            must(fvlm_judge_run(j, &(fvlm_judge_observer){see, count_progress, &s}, &err), &err);
            assert_true(s.n == 3 * N_STEPS && s.progress == s.n && s.elems == s.n * (VALUE_BYTES / 4));
            assert_string_equal(s.last, "y");
            must(fvlm_judge_get_output(j, "y", &y, &err), &err);
            if (threads == 1 && !again) memcpy(first, y.data, sizeof first);
            assert_memory_equal(first, y.data, sizeof first);
            /* the input as set, and two values of one node */
            assert_true(fvlm_judge_peak_bytes(j) <= 3 * VALUE_BYTES + WEIGHT_BYTES &&
                        fvlm_judge_peak_bytes(j) >= 2 * VALUE_BYTES);
        }
        fvlm_judge_destroy(&j);
        fvlm_pool_destroy(&pool);
    }
    fvlm_graph_close(&g);
}

static void test_ends(void **state)
{
    (void)state;
    fvlm_graph *g = open_chain();
    fvlm_judge *j;
    fvlm_err err = {0};
    fvlm_judge_tensor y;
    fvlm_stop stop = false;
    must(fvlm_judge_create(&j, g, &(fvlm_judge_options){.stop = &stop, .max_bytes = 3 * VALUE_BYTES + WEIGHT_BYTES},
                           &err),
         &err);
    assert_int_equal(fvlm_judge_run(j, NULL, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "input \"x\" is not set");
    assert_int_equal(fvlm_judge_get_output(j, "y", &y, &err), FVLM_USAGE);
    assert_string_equal(err.msg, "output \"y\" has not been computed");
    assert_int_equal(fvlm_judge_get_output(j, "z", &y, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "the graph has no output \"z\"");
    set(j, "x", &picture);
    must(fvlm_judge_run(j, NULL, &err), &err);
    stop = true;
    assert_int_equal(fvlm_judge_run(j, NULL, &err), FVLM_INTERRUPTED);
    stop = false;
    seen s = {.fail_at = 7};
    assert_int_equal(fvlm_judge_run(j, &(fvlm_judge_observer){see, NULL, &s}, &err), FVLM_MISMATCH);
    assert_string_equal(err.msg, "enough");
    assert_int_equal(fvlm_judge_get_output(j, "y", &y, &err), FVLM_USAGE);
    must(fvlm_judge_run(j, NULL, &err), &err);
    fvlm_judge_destroy(&j);

    must(fvlm_judge_create(&j, g, &(fvlm_judge_options){.max_bytes = 2 * VALUE_BYTES + WEIGHT_BYTES}, &err), &err);
    set(j, "x", &picture);
    assert_int_equal(fvlm_judge_run(j, NULL, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "node \"n_s0\" (Add): a value of 65536 bytes; all values may have 140352");
    fvlm_judge_destroy(&j);
    must(fvlm_judge_create(&j, g, &(fvlm_judge_options){.max_work = 1000}, &err), &err);
    set(j, "x", &picture);
    assert_int_equal(fvlm_judge_run(j, NULL, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "node \"n_c0\" (Conv): 2359296 multiplications; 1000 are the most");
    fvlm_judge_destroy(&j);
    fvlm_judge_destroy(&j); /* NULL is fine */
    fvlm_graph_close(&g);
}

static void test_inputs(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    onnx_input(&m, "x", F16, "batch,2");
    onnx_node(&m, "Add", "x,x", "y", "");
    onnx_node(&m, "Cast", "y", "z", "to=1");
    onnx_output(&m, "x", F16, "batch,2");
    onnx_output(&m, "z", F32, NULL);
    onnx_weight(&m, "w", "3", 5);
    onnx_output(&m, "w", F32, NULL);
    fvlm_graph *g = judge_open(&m);
    fvlm_judge *j;
    fvlm_err err = {0};
    fvlm_judge_tensor t;
    must(fvlm_judge_create(&j, g, &(fvlm_judge_options){0}, &err), &err);
    const float numbers[] = {2049, 0.1F}; /* 2049 is no half: 2048 */
    const fvlm_judge_tensor good = {F16, 2, {1, 2}, 2, numbers};
    fvlm_judge_tensor bad = good;
    assert_int_equal(fvlm_judge_set_input(j, "q", &good, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "the graph has no input \"q\"");
    bad.type = F32;
    assert_int_equal(fvlm_judge_set_input(j, "x", &bad, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "input \"x\" is FLOAT16, not FLOAT");
    bad = (fvlm_judge_tensor){F16, 2, {2, 1}, 2, numbers};
    assert_int_equal(fvlm_judge_set_input(j, "x", &bad, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "input \"x\": [2, 1] is not the shape that the graph declares");
    bad = (fvlm_judge_tensor){F16, 2, {1, 2}, 3, numbers};
    assert_int_equal(fvlm_judge_set_input(j, "x", &bad, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "input \"x\": 3 elements, expected 2");
    must(fvlm_judge_set_input(j, "x", &good, &err), &err);
    must(fvlm_judge_run(j, NULL, &err), &err);
    must(fvlm_judge_get_output(j, "x", &t, &err), &err);
    assert_true(t.type == F16 && ((const float *)t.data)[0] == 2048);
    must(fvlm_judge_get_output(j, "z", &t, &err), &err);
    const float tenth = fvlm_f16_to_f32(fvlm_f32_to_f16(0.1F));
    assert_true(t.type == F32 && ((const float *)t.data)[0] == 4096 && ((const float *)t.data)[1] == 2 * tenth);
    must(fvlm_judge_get_output(j, "w", &t, &err), &err); /* an initializer */
    assert_int_equal(t.n_elems, 3);
    fvlm_judge_destroy(&j);
    fvlm_graph_close(&g);
}

/* Operators that are refused are refused before anything runs. */
static void test_creation(void **state)
{
    (void)state;
    onnx_model m = onnx_model_new();
    fvlm_judge *j;
    fvlm_err err = {0};
    const char *domain, *attrs;
    onnx_input(&m, "x", F32, "2");
    onnx_node(&m, "Add", "x,x", "y", "");
    onnx_node(&m, "Mystery", "y", "z", "");
    onnx_output(&m, "z", F32, NULL);
    fvlm_graph *g = judge_open(&m);
    assert_int_equal(fvlm_judge_create(&j, g, &(fvlm_judge_options){0}, &err), FVLM_UNSUPPORTED);
    assert_null(j);
    assert_string_equal(err.msg, "node \"n_z\" (Mystery): operator Mystery of ai.onnx is not known");
    fvlm_graph_close(&g);
    size_t n = 0;
    while (fvlm_judge_known_op(n, &domain, &attrs)) n++;
    assert_true(n > 140);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_creation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
