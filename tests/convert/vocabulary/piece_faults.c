/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a SentencePiece model, or a tokenizer.json of its kind, is read, written as
 * a section, opened, and used to encode and decode a text, the result is "out of memory" and nothing is lost. */
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
    fvlm_status st;
    if (*bytes == '{') {
        char *copy = fvlm_strdup((const char *)bytes);
        st = copy ? fvlm_vocabulary_parse_tokenizer_json(&v, copy, n_bytes, err) : fvlm_fail_nomem(err);
        if (!st) st = fvlm_vocabulary_check(&v, "", err);
    } else {
        st = fvlm_piece_model_read(&v.pieces, bytes, n_bytes, NULL, err);
    }
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

#define S "\xe2\x96\x81"
static const char llama_json[] =
    "{\"added_tokens\": [{\"id\": 1, \"content\": \"<sep>\"}], \"normalizer\": null, \"pre_tokenizer\": {\"type\": "
    "\"Metaspace\", \"replacement\": \"" S
    "\", \"prepend_scheme\": \"first\", \"split\": false}, \"decoder\": {\"type\": "
    "\"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": \"" S "\"}, \"content\": \" \"}, "
    "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, "
    "\"stop\": 0}]}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true, \"vocab\": "
    "{\"<unk>\": 0, "
    "\"<sep>\": 1, \"e\": 2, \"d\": 3, \"ed\": 4, \"h\": 5, \"he\": 6, \"" S "\": 7, \"i\": 8, \"s\": 9}, \"merges\": "
    "[\"e d\", \"h e\"]}}";

static void every_allocation(void **state)
{
    (void)state;
    static const char *const models[] = {"unigram.model", "bpe.model", "tokenizer.json"};
    if (!TEST_OWNS_MALLOC) skip();
    for (size_t k = 0; k < 3; k++) {
        size_t n = sizeof llama_json - 1;
        fvlm_err err = {0};
        uint8_t *bytes = k < 2 ? test_pieces_read(models[k], &n) : (uint8_t *)fvlm_strdup(llama_json);
        failing = allocations = 0;
        assert_int_equal(run(bytes, n, &err), FVLM_OK);
        const size_t total = allocations;
        for (failing = 1; failing <= total; failing++) {
            allocations = 0;
            err = (fvlm_err){0};
            assert_int_equal(run(bytes, n, &err), FVLM_NOMEM);
            const char *at = strstr(err.msg, "out of memory"); /* of JSON, after the file and the byte */
            assert_true(at && (k == 2 || at == err.msg) && !at[strlen("out of memory")]);
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
