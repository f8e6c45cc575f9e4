/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: what the writer was given is what a reader finds, for every type in every layout; and
 * the file's bytes depend on its contents only, not on the order of writing or the threads.
 *     container FILE    only writes the sample to FILE, for tests/oracle/test_format.py */
#include "tests/support/check.h"
#include "tests/support/support.h"

static char folder[256];

static char *make(const char *name, bool reverse, fvlm_pool *pool)
{
    char *path = test_path(folder, name);
    fvlm_err err = {0};
    if (test_sample(path, false, reverse, pool, &err)) fail_msg("%s", err.msg);
    return path;
}

static void round_trip(void **state)
{
    (void)state;
    char *path = make("round-trip.fvlm", false, NULL);
    fvlm_reader *r;
    fvlm_err err;
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_n_tensors(r), test_sample_n());
    for (size_t i = 0; i < test_sample_n(); i++) {
        char name[64];
        fvlm_tensor want;
        test_sample_tensor(i, name, &want);
        const fvlm_tensor *t = fvlm_reader_find(r, name);
        assert_non_null(t);
        assert_true(fvlm_type_equal(t->type, want.type));
        assert_int_equal(t->layout, want.layout);
        assert_int_equal(t->rank, want.rank);
        assert_memory_equal(t->dims, want.dims, sizeof t->dims);
        assert_int_equal(t->offset % 64, 0);
        assert_int_equal((uintptr_t)fvlm_reader_bytes(r, t) % 64, 0);
        uint8_t *bytes = test_sample_bytes(&want);
        assert_memory_equal(fvlm_reader_bytes(r, t), bytes, want.n_bytes);
        fvlm_hash h = fvlm_hash_of(bytes, want.n_bytes);
        assert_memory_equal(&h, &t->hash, sizeof h);
        uint8_t *copy, piece[3];
        const fvlm_stop stopped = true;
        assert_int_equal(fvlm_reader_copy(r, t, &copy, &stopped, &err), FVLM_INTERRUPTED);
        assert_null(copy);
        assert_int_equal(fvlm_reader_copy(r, t, &copy, NULL, &err), FVLM_OK);
        assert_memory_equal(copy, bytes, want.n_bytes);
        assert_int_equal(fvlm_reader_read(r, t, want.n_bytes - 3, 3, piece, &err), FVLM_OK);
        assert_memory_equal(piece, bytes + want.n_bytes - 3, 3);
        assert_int_equal(fvlm_reader_read(r, t, want.n_bytes - 2, 3, piece, &err), FVLM_BAD_INPUT);
        assert_int_equal(fvlm_reader_read(r, t, want.n_bytes + 1, 0, piece, &err), FVLM_BAD_INPUT);
        free(copy);
        free(bytes);
    }
    for (size_t i = 1; i < fvlm_reader_n_tensors(r); i++)
        assert_true(strcmp(fvlm_reader_tensor(r, i - 1)->name, fvlm_reader_tensor(r, i)->name) < 0);
    assert_null(fvlm_reader_find(r, "panels"));
    assert_null(fvlm_reader_find(r, ""));
    fvlm_reader_close(&r);
    assert_null(r);
    free(path);
}

static void texts_come_back(void **state)
{
    (void)state;
    char *path = make("texts.fvlm", false, NULL);
    fvlm_reader *r;
    fvlm_err err;
    const char *tokenizer;
    size_t n;
    fvlm_config want;
    test_config(&want);
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_tokenizer(r, &tokenizer, &n, &err), FVLM_OK);
    assert_int_equal(n, strlen(tokenizer));
    assert_non_null(strstr(tokenizer, "\"tokens\":[\"a\",\"b\"]"));
    const fvlm_config *c = fvlm_reader_config(r);
    assert_int_equal(c->vision.stage[1].heads, 2);
    assert_true(c->vision.norm_eps == want.vision.norm_eps && c->llm.norm_eps == want.llm.norm_eps);
    assert_string_equal(c->prompt, want.prompt);
    const json_t *provenance = json_object_get(fvlm_reader_meta(r), "provenance");
    assert_string_equal(json_string_value(json_object_get(provenance, "tool")), "a test");
    fvlm_reader_close(&r);
    free(path);
}

static void verifies(void **state)
{
    (void)state;
    char *path = make("verifies.fvlm", false, NULL);
    fvlm_reader *r;
    fvlm_err err;
    fvlm_pool *pool;
    assert_int_equal(fvlm_pool_create(&pool, 3, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_check(r, NULL, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_check(r, &(fvlm_check_options){.pool = pool}, &err), FVLM_OK);
    fvlm_reader_close(&r);
    fvlm_pool_destroy(&pool);
    free(path);
}

static void same_bytes(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_pool *pool;
    assert_int_equal(fvlm_pool_create(&pool, 4, &err), FVLM_OK);
    char *a = make("a.fvlm", false, NULL), *b = make("b.fvlm", true, NULL);
    size_t na, nb;
    uint8_t *first = test_read_file(a, &na), *second = test_read_file(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(first, second, na);
    free(second);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d.fvlm", i);
        char *c = make(name, false, pool);
        second = test_read_file(c, &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(first, second, na);
        free(second);
        free(c);
    }
    free(first);
    free(a);
    free(b);
    fvlm_pool_destroy(&pool);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        fvlm_err err = {0};
        fvlm_status st = test_sample(argv[1], true, false, NULL, &err);
        return st ? printf("%s\n", err.msg), 1 : 0;
    }
    test_folder(folder);
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(texts_come_back),
                                       cmocka_unit_test(verifies), cmocka_unit_test(same_bytes)};
    return cmocka_run_group_tests_name("container", tests, NULL, NULL);
}
