/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a file without a language model, with and without a projector, encodes pictures to the same bits as the whole
 * model with the same weights; everything that needs the missing parts is refused by name; header, config, tokenizer
 * and tensors of such a file must agree; ordinary files do not use the feature bit. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/repair.h"
#include "tests/support/support.h"

enum { WHOLE, WITH_PROJECTOR, TOWER, N_KINDS };

static void write_model(const random_model *r, const char *path)
{
    fvlm_err err = {0};
    if (random_model_write(r, path, &err) != FVLM_OK) fail_msg("%s", err.msg);
}

/* The vision part comes first, so its weights are the same in all three. */
static random_model model_of(int kind)
{
    random_model r = random_model_small();
    if (kind != WHOLE) random_model_without_llm(&r, kind == WITH_PROJECTOR);
    return r;
}

static const char *write_kind(int kind, char path[512])
{
    const random_model r = model_of(kind);
    scratch_path(path, "model.fvlm");
    write_model(&r, path);
    return path;
}

static void same_bits(void **state)
{
    (void)state;
    char path[512], picture[512];
    scratch_path(picture, "picture.png");
    assert_true(test_write_picture(picture, 150, 90));
    float *tower = NULL, *rows = NULL; /* of the whole model */
    for (int kind = WHOLE; kind < N_KINDS; kind++) {
        kept k = {.n = 0};
        const fvlm_model_options o = {.threads = 2, .observer = keep, .observer_ctx = &k};
        fvlm_model *m = open_model(write_kind(kind, path), &o);
        const fvlm_config *c = fvlm_model_config(m);
        fvlm_err err = {0};
        fvlm_embedding e;
        const fvlm_image image = {.path = picture};
        if (fvlm_model_encode(m, &image, &e, &err) != FVLM_OK) fail_msg("%s", err.msg);
        assert_int_equal(e.rows, 4);
        assert_int_equal(e.cols, kind == TOWER ? c->vision.out_dim : c->projector.out);
        assert_int_equal(fvlm_model_count_blocks(c, 1), k.n + (kind == WHOLE ? 3 + c->llm.layers : 0));
        const kept_block *final = kept_find(&k, "vision.final");
        const size_t n_tower = 4 * (size_t)c->vision.out_dim, n_rows = e.rows * e.cols;
        if (kind == WHOLE) {
            tower = malloc(n_tower * sizeof *tower);
            rows = malloc(n_rows * sizeof *rows);
            memcpy(tower, final->x, n_tower * sizeof *tower);
            memcpy(rows, e.values, n_rows * sizeof *rows);
        }
        assert_memory_equal(tower, final->x, n_tower * sizeof *tower);
        assert_memory_equal(kind == TOWER ? tower : rows, e.values, n_rows * sizeof *rows);
        fvlm_embedding_free(&e);
        fvlm_model_close(&m);
        kept_free(&k);
    }
    free(tower);
    free(rows);
}

static void expect_refusal(fvlm_status st, const fvlm_err *err, const char *path, const char *want)
{
    char all[700];
    snprintf(all, sizeof all, "\"%s\" %s", path, want);
    assert_int_equal(st, FVLM_UNSUPPORTED);
    assert_string_equal(err->msg, all);
}

static void what_is_missing(void **state)
{
    (void)state;
    static const char want[] = "has no language model: it encodes pictures and answers no questions";
    char path[512];
    for (int kind = WITH_PROJECTOR; kind < N_KINDS; kind++) {
        const fvlm_model_options o = {.threads = 1};
        fvlm_model *m = open_model(write_kind(kind, path), &o);
        fvlm_err err = {0};
        float x[256] = {0};
        uint32_t id = 0, *ids;
        size_t n, split;
        fvlm_answer a;
        const fvlm_question q = {.text = "What is this?", .sampling = {4, 0, 1, 0}};
        assert_null(fvlm_model_tokenizer(m));
        expect_refusal(fvlm_model_answer(m, &q, &a, &err), &err, path, want);
        expect_refusal(fvlm_prompt_ids(m, "What?", true, &ids, &n, &split, &err), &err, path, want);
        assert_null(ids);
        expect_refusal(fvlm_model_embed(m, &id, 1, x, &err), &err, path, want);
        expect_refusal(fvlm_model_forward(m, x, 1, false, x, &err), &err, path, want);
        expect_refusal(fvlm_model_reserve(m, 1, 1, &err), &err, path, want);
        if (kind == TOWER) expect_refusal(fvlm_model_project(m, x, 1, x, &err), &err, path, "has no projector");
        fvlm_model_reset(m);
        fvlm_model_close(&m);
    }
}

static void tensors_and_config(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *leave_out, *extra, *want;
    } cases[] = {
        {TOWER, "vision.final.dw.bias", NULL, "1 tensor is missing: vision.final.dw.bias"},
        {WITH_PROJECTOR, "projector.2", NULL, "2 tensors are missing: projector.2.weight, projector.2.bias"},
        {TOWER, NULL, "projector.0.bias", "1 tensor is not part of the model: projector.0.bias"},
        {WITH_PROJECTOR, NULL, "llm.norm.weight", "1 tensor is not part of the model: llm.norm.weight"},
    };
    char path[512], all[700];
    scratch_path(path, "model.fvlm");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        random_model r = model_of(cases[i].kind);
        r.leave_out = cases[i].leave_out;
        r.extra = cases[i].extra;
        write_model(&r, path);
        fvlm_err err = {0};
        fvlm_model *m;
        const fvlm_model_options o = {.threads = 1};
        assert_int_equal(fvlm_model_open(&m, path, &o, &err), FVLM_BAD_INPUT);
        snprintf(all, sizeof all, "\"%s\": %s", path, cases[i].want);
        assert_string_equal(err.msg, all);
    }
}

static void header_and_config(void **state)
{
    (void)state;
    char path[512];
    for (int kind = WHOLE; kind < N_KINDS; kind++) {
        test_image x;
        fvlm_err err = {0};
        write_kind(kind, path);
        x.bytes = test_read_file(path, &x.n_bytes);
        assert_int_equal(fvlm_load_u64(x.bytes + 16), kind == WHOLE ? 0 : 1);
        assert_int_equal(fvlm_load_u64(x.bytes + 24), 0);
        assert_int_equal(test_try(&x, &err), FVLM_OK);
        x.bytes[16] ^= 1;
        test_repair(&x);
        assert_int_equal(test_try(&x, &err), FVLM_BAD_INPUT);
        if (!strstr(err.msg, kind == WHOLE
                                 ? "its header says that it has no language model, its config that it has one"
                                 : "its header says that it has a language model, its config that it has none"))
            fail_msg("%s", err.msg);
        free(x.bytes);
    }
}

/* A tokenizer that belongs to nothing. */
static void no_tokenizer(void **state)
{
    (void)state;
    char path[512];
    test_image x;
    fvlm_err err = {0};
    write_kind(TOWER, path);
    x.bytes = test_read_file(path, &x.n_bytes);
    uint8_t *entry = x.bytes + 48 + 3 * 64;
    const uint64_t at = fvlm_load_u64(entry + 8);
    fvlm_store_u32(entry + 4, 0); /* stored as it is: 13 bytes of a zstd frame */
    fvlm_store_u64(entry + 24, fvlm_load_u64(entry + 16));
    assert_true(at > 0);
    test_repair(&x);
    assert_int_equal(test_try(&x, &err), FVLM_BAD_INPUT);
    if (!strstr(err.msg, "it has a tokenizer, but no language model")) fail_msg("%s", err.msg);
    free(x.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),         cmocka_unit_test(what_is_missing), cmocka_unit_test(tensors_and_config),
        cmocka_unit_test(header_and_config), cmocka_unit_test(no_tokenizer),
    };
    return cmocka_run_group_tests_name("tower only", tests, NULL, NULL);
}
