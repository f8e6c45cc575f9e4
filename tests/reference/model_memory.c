/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a pass allocates nothing once a pass of its size was made (in the language model: once its positions are
 * reserved); FastViTHD at 1024 x 1024 needs 50 to 70 MB of activations. */
#include <stdatomic.h>

#include "tests/support/check.h"
#include "tests/support/model_run.h"
#include "tests/support/own_malloc.h"

static atomic_size_t calls; /* every allocation of the program is counted */

bool test_allocation_fails(void)
{
    calls++;
    return false;
}

static void pass(fvlm_model *m, const fvlm_pixels *p, float *features, float *rows, float *logits)
{
    const size_t tokens = fvlm_model_image_tokens(fvlm_model_config(m), p->side);
    fvlm_err err = {0};
    assert_int_equal(fvlm_model_tower(m, p, features, &err), FVLM_OK);
    assert_int_equal(fvlm_model_project(m, features, tokens, rows, &err), FVLM_OK);
    fvlm_model_reset(m);
    assert_int_equal(fvlm_model_forward(m, rows, tokens, false, logits, &err), FVLM_OK);
    for (size_t i = 0; i < 20; i++) assert_int_equal(fvlm_model_forward(m, rows, 1, false, logits, &err), FVLM_OK);
}

static size_t tower_bytes(const fvlm_config *c, uint32_t side)
{
    const fvlm_tower_memory t = fvlm_tower_memory_for(c, side);
    return fvlm_tower_memory_bytes(&t);
}

static void no_allocation_in_a_pass(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    char path[512];
    fvlm_err err = {0};
    for (int quantized = 0; quantized < 2; quantized++) {
        random_model r = random_model_small();
        if (quantized) assert_int_equal(fvlm_type_parse(&r.type, "int4", &err), FVLM_OK);
        assert_int_equal(random_model_write(&r, scratch_path(path, "memory.fvlm"), &err), FVLM_OK);
        const fvlm_model_options o = {.threads = 2, .act_by_file = true};
        fvlm_model *m = open_model(path, &o);
        fvlm_pixels big = random_pixels(256, 1), small = random_pixels(64, 2);
        float *features = fvlm_alloc(16 * 192, sizeof *features), *rows = random_rows(16 * 48, 3);
        float *logits = fvlm_alloc(263, sizeof *logits);
        assert_int_equal(fvlm_model_reserve(m, 16, 36, &err), FVLM_OK);
        pass(m, &big, features, rows, logits);
        assert_true(fvlm_model_memory_bytes(m) > tower_bytes(fvlm_model_config(m), 256));
        const size_t before = calls;
        assert_true(before > 0);
        pass(m, &big, features, rows, logits);
        pass(m, &small, features, rows, logits);
        assert_int_equal(calls, before);
        fvlm_pixels_free(&big);
        fvlm_pixels_free(&small);
        free(features);
        free(rows);
        free(logits);
        fvlm_model_close(&m);
    }
}

static void full_size_activations(void **state)
{
    (void)state;
    random_model r = random_model_small();
    static const uint32_t dims[5] = {96, 192, 384, 768, 1536};
    for (int i = 0; i < 5; i++) {
        r.config.vision.stage[i].dim = dims[i];
        r.config.vision.stage[i].hidden = 4 * dims[i];
    }
    r.config.vision.out_dim = 3072;
    r.config.vision.se_dim = 192;
    assert_in_range(tower_bytes(&r.config, 1024), 50u << 20, 70u << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_in_a_pass),
        cmocka_unit_test(full_size_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
