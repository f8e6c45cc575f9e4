/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a SentencePiece model is read, written as a section, opened, and used to
 * encode and decode a text, the result is "out of memory" and nothing is lost. */
#include "convert/vocabulary/vocabulary_parts.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/support/check.h"
#include "tests/support/own_malloc.h"
#include "tests/support/pieces.h"

static size_t allocations, failing; /* counted while armed; failing: which one, from 1 */
static bool armed;

bool test_allocation_fails(void)
{
    return armed && ++allocations == failing;
}

static fvlm_status run(const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    static const char text[] = "Red Shirt said\xff <sep>\xe3\x80\x80 of they \xef\xac\x81ve";
    fvlm_vocabulary v = {0};
    fvlm_tokenizer *t = NULL;
    char *json = NULL;
    uint32_t *ids = NULL;
    size_t n_json = 0, n = 0;
    armed = true;
    fvlm_status st = fvlm_piece_model_read(&v.pieces, bytes, n_bytes, NULL, err);
    if (!st) st = fvlm_vocabulary_json(&json, &n_json, &v, err);
    if (!st) st = fvlm_tokenizer_create(&t, json, n_json, NULL, err);
    if (!st) st = fvlm_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, err);
    armed = false;
    assert_true(st || n > 10);
    free(ids);
    free(json);
    fvlm_tokenizer_destroy(&t);
    fvlm_vocabulary_free(&v);
    return st;
}

static void every_allocation(void **state)
{
    (void)state;
    static const char *const models[] = {"unigram.model", "bpe.model"};
    if (!TEST_OWNS_MALLOC) skip();
    for (size_t k = 0; k < 2; k++) {
        size_t n;
        fvlm_err err = {0};
        uint8_t *bytes = test_pieces_read(models[k], &n);
        failing = allocations = 0;
        assert_int_equal(run(bytes, n, &err), FVLM_OK);
        const size_t total = allocations;
        for (failing = 1; failing <= total; failing++) {
            allocations = 0;
            err = (fvlm_err){0};
            assert_int_equal(run(bytes, n, &err), FVLM_NOMEM);
            assert_string_equal(err.msg, "out of memory");
        }
        print_message("# %s: %zu allocations\n", models[k], total);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests_name("vocabulary/piece_faults", tests, NULL, NULL);
}
