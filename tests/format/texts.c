/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: metadata and tokenizer are exactly one plain zstd frame of the declared size, and JSON
 * within limits; anything else is refused, however well its hashes fit. */
#include <zstd.h>

#include "format/base/json.h"
#include "tests/support/check.h"
#include "tests/support/repair.h"
#include "tests/support/support.h"
#include "verify/info/info.h"

static uint8_t *whole;
static size_t n_whole;
static char *meta; /* the sample's metadata as JSON */
static size_t n_meta;

static uint8_t packed[1 << 22];

static size_t pack(const void *raw, size_t n, int content_size)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, content_size);
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
    size_t r = ZSTD_compress2(z, packed, sizeof packed, raw, n);
    assert_false(ZSTD_isError(r));
    ZSTD_freeCCtx(z);
    return r;
}

/* The sample with another section: packed[n]; opened and verified. */
static fvlm_status with_section(uint32_t kind, size_t n, uint64_t raw_bytes, fvlm_err *err)
{
    test_image x = {malloc(n_whole), n_whole};
    memcpy(x.bytes, whole, n_whole);
    test_replace_section(&x, kind, packed, n, raw_bytes);
    fvlm_status st = test_try(&x, err);
    free(x.bytes);
    return st;
}

static fvlm_status with_meta(const char *text, size_t n, fvlm_err *err)
{
    return with_section(FVLM_SECTION_META, pack(text, n, 1), n, err);
}

static void frames(void **state)
{
    (void)state;
    fvlm_err err;
    for (uint32_t kind = FVLM_SECTION_META; kind <= FVLM_SECTION_TOKENIZER; kind++) {
        size_t n = pack(meta, n_meta, 1);
        assert_int_equal(with_section(kind, n, n_meta, &err), FVLM_OK);
        assert_int_equal(with_section(kind, n, n_meta - 1, &err), FVLM_BAD_INPUT);
        assert_int_equal(with_section(kind, n, n_meta + 1, &err), FVLM_BAD_INPUT);
        assert_non_null(strstr(err.msg, "is not one zstd frame"));
        assert_int_equal(with_section(kind, n - 1, n_meta, &err), FVLM_BAD_INPUT);
        packed[n] = 0; /* a byte after the frame */
        assert_int_equal(with_section(kind, n + 1, n_meta, &err), FVLM_BAD_INPUT);
        memcpy(packed + n, packed, n); /* a second frame */
        assert_int_equal(with_section(kind, 2 * n, 2 * n_meta, &err), FVLM_BAD_INPUT);
        memmove(packed + 12, packed, n); /* a skippable frame of 4 bytes before it */
        memcpy(packed, "\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);
        assert_int_equal(with_section(kind, n + 12, n_meta, &err), FVLM_BAD_INPUT);
        n = pack(meta, n_meta, 1);
        packed[n - 1] ^= 1; /* the frame's own checksum */
        assert_int_equal(with_section(kind, n, n_meta, &err), FVLM_BAD_INPUT);
        assert_non_null(strstr(err.msg, "does not decompress"));
        n = pack(meta, n_meta, 0); /* does not tell its size */
        assert_int_equal(with_section(kind, n, n_meta, &err), FVLM_BAD_INPUT);
        assert_int_equal(with_section(kind, 0, 0, &err), FVLM_BAD_INPUT);
    }
}

/* A frame that names a dictionary: its flag set by hand (RFC 8878, 3.1.1.1). */
static void dictionary(void **state)
{
    (void)state;
    fvlm_err err;
    size_t n = pack(meta, n_meta, 1);
    /* descriptor bits 0-1 = 1: one byte of id after the window byte, which a single segment has not */
    bool single = packed[4] & 0x20;
    size_t id_at = single ? 5 : 6;
    memmove(packed + id_at + 1, packed + id_at, n - id_at);
    packed[4] |= 1;
    packed[id_at] = 7;
    assert_int_equal(ZSTD_getDictID_fromFrame(packed, n + 1), 7);
    assert_int_equal(with_section(FVLM_SECTION_META, n + 1, n_meta, &err), FVLM_BAD_INPUT);
    assert_non_null(strstr(err.msg, "is not one zstd frame"));
}

static void bombs(void **state)
{
    (void)state;
    fvlm_err err;
    size_t n_zeros = FVLM_MAX_META_BYTES + 1;
    char *zeros = calloc(n_zeros, 1);
    size_t n = pack(zeros, n_zeros, 1);
    assert_int_equal(with_section(FVLM_SECTION_META, n, n_zeros, &err), FVLM_LIMIT);
    assert_int_equal(with_section(FVLM_SECTION_META, n, UINT64_MAX, &err), FVLM_LIMIT);
    memset(zeros, '[', n_zeros);
    assert_int_equal(with_meta(zeros, FVLM_MAX_META_BYTES, &err), FVLM_LIMIT);
    assert_non_null(strstr(err.msg, "nested"));
    for (size_t i = 1; i < n_zeros; i++) zeros[i] = i % 2 ? '1' : ',';
    assert_int_equal(with_meta(zeros, FVLM_MAX_META_BYTES, &err), FVLM_LIMIT);
    assert_non_null(strstr(err.msg, "values"));
    memset(zeros, ' ', n_zeros);
    assert_int_equal(with_meta(zeros, FVLM_MAX_META_BYTES, &err), FVLM_BAD_INPUT);
    free(zeros);
}

/* A tokenizer of the largest allowed size is counted: it has more values than a tree may have. */
static void large_tokenizer(void **state)
{
    (void)state;
    enum { N = FVLM_MAX_TOKENS };
    char folder[256], *path = test_path(test_folder(folder), "large.fvlm");
    char *text = malloc(5 * (size_t)N + 100);
    size_t n = (size_t)sprintf(text, "{\"added\":[{\"id\":0},{\"id\":1}],\"x\":{\"tokens\":[1]},\"tokens\":[\"a\"");
    for (size_t i = 1; i < N; i++) memcpy(text + n, ",\"b\"", 4), n += 4;
    n += (size_t)sprintf(text + n, "],\"merges\":[]}");
    test_image x = {malloc(n_whole), n_whole};
    memcpy(x.bytes, whole, n_whole);
    test_replace_section(&x, FVLM_SECTION_TOKENIZER, packed, pack(text, n, 1), n);
    assert_true(test_write_file(path, x.bytes, x.n_bytes));
    fvlm_reader *r;
    fvlm_err err = {0};
    fvlm_info info;
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    if (fvlm_info_gather(&info, r, &err)) fail_msg("%s", err.msg);
    assert_int_equal(info.tokens, N);
    assert_int_equal(info.merges, 0);
    assert_int_equal(info.added, 2);
    fvlm_reader_close(&r);
    free(x.bytes);
    free(text);
    free(path);
}

static void json_depth(void **state)
{
    (void)state;
    char text[512];
    fvlm_err err;
    json_t *j;
    for (int depth = 62; depth <= 66; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        fvlm_status st = fvlm_json_parse(&j, text, 2 * (size_t)depth, FVLM_JSON_SECTION, "text", &err);
        assert_int_equal(st, depth <= FVLM_MAX_JSON_DEPTH ? FVLM_OK : FVLM_LIMIT);
        json_decref(j);
    }
}

/* One reading or refusal: what parsers are known to disagree about. */
static void json_ambiguous(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "{}x",
                                      "{}{}",
                                      "[1,]",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":1,\"\\u0061\":2}",
                                      "[01]",
                                      "[+1]",
                                      "[.5]",
                                      "[1.]",
                                      "[1e]",
                                      "[-]",
                                      "[NaN]",
                                      "[Infinity]",
                                      "['a']",
                                      "[\"\t\"]",
                                      "[\"\\x\"]",
                                      "[\"\\ud800\"]",
                                      "[\"\\udc00\"]",
                                      "\xef\xbb\xbf{}",
                                      "[\"\xff\"]",
                                      "[\"\xc0\x80\"]",
                                      "[\"\xed\xa0\x80\"]",
                                      "[\"a]",
                                      "[tru]",
                                      "{a:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "[1 2]",
                                      "// x\n{}",
                                      "[\"\\u0000\"]",
                                      "[1e999]",
                                      "[99999999999999999999]",
                                      "[\"\xf4\x90\x80\x80\"]",
                                      "]",
                                      "[}",
                                      "{]",
                                      "[\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *j;
        fvlm_err err = {0};
        if (fvlm_json_parse(&j, bad[i], strlen(bad[i]), FVLM_JSON_SECTION, "text", &err) != FVLM_BAD_INPUT)
            fail_msg("accepted: %s", bad[i]);
        assert_null(j);
        assert_memory_equal(err.msg, "text: byte ", 11);
    }
    json_t *j;
    fvlm_err err;
    assert_int_equal(fvlm_json_parse(&j, "{}\0", 3, FVLM_JSON_SECTION, "text", &err), FVLM_BAD_INPUT);
    print_message("# %zu ill-formed texts\n", sizeof bad / sizeof bad[0]);
}

/* Files that people edit: any number is one, as Python writes and reads them; faults have line and column. */
static void json_of_people(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        double value;
    } numbers[] = {
        {"9223372036854775807", 0x1p63},
        {"9223372036854775808", 0x1p63},
        {"-9223372036854775809", -0x1p63},
        {"1000000000000000019884624838656", 1e30},
        {"1e999", FVLM_JSON_NOT_FINITE},
        {"-1e999", -FVLM_JSON_NOT_FINITE},
        {"NaN", -FVLM_JSON_NOT_FINITE},
        {"Infinity", FVLM_JSON_NOT_FINITE},
        {"-Infinity", -FVLM_JSON_NOT_FINITE},
        {"1e-999", 0},
        {"-0", 0},
        {"-0.0", 0},
        {"0.1", 0.1},
    };
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\n  \"a\": 1,\n}", "\"f\": line 3, column 1: a comma before '}'; remove it"},
        {"[1,\n ]", "\"f\": line 2, column 2: a comma before ']'; remove it"},
        {"{\"a\": [1, 2,]}", "\"f\": line 1, column 13: a comma before ']'; remove it"},
        {"{\n  // x\n  \"a\": 1}", "\"f\": line 2, column 3: expected a string; JSON has no comments"},
        {"{\"a\": 1 # x\n}", "\"f\": line 1, column 9: expected ',' or '}'; JSON has no comments"},
        {"{'a': 1}", "\"f\": line 1, column 2: expected a string; JSON has only double quotes"},
        {"{\"a\": 1,\r\n \"b\": True}", "\"f\": line 2, column 7: expected a value"},
        {"{\"a\": \"\\n\\n\",\n \"a\": 2}", "\"f\": line 2, column 2: \"a\" is given twice"},
        {"{\"a\": 1}\n\n x", "\"f\": line 3, column 2: something follows the end of the JSON value"},
        {"{\"a\": nan}", "\"f\": line 1, column 7: expected a value"},
        {"{\"a\": -NaN}", "\"f\": line 1, column 7: expected a value"},
        {"{\"a\": Infinit}", "\"f\": line 1, column 7: expected a value"},
        {"{\n\n", "\"f\": line 3, column 1: the text ends where a string was expected"},
    };
    fvlm_err err = {0};
    json_t *j;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "[%s]", numbers[i].number);
        assert_int_equal(fvlm_json_parse(&j, text, strlen(text), FVLM_JSON_CONFIG, "f", &err), FVLM_OK);
        const double value = json_number_value(json_array_get(j, 0));
        if (value != numbers[i].value) fail_msg("%s is read as %g", text, value);
        json_decref(j);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fvlm_json_parse(&j, bad[i].text, strlen(bad[i].text), FVLM_JSON_CONFIG, "f", &err),
                         FVLM_BAD_INPUT);
        assert_string_equal(err.msg, bad[i].message);
        assert_null(j);
    }
    char digits[402] = {'['};
    memset(digits + 1, '9', 400);
    digits[401] = ']';
    assert_int_equal(fvlm_json_parse(&j, digits, sizeof digits, FVLM_JSON_CONFIG, "f", &err), FVLM_OK);
    assert_true(json_real_value(json_array_get(j, 0)) == FVLM_JSON_NOT_FINITE);
    json_decref(j);
}

static void random_metadata(void **state)
{
    (void)state;
    test_rng rng = {5};
    fvlm_err err;
    size_t accepted = 0;
    char *text = malloc(n_meta);
    for (int i = 0; i < 4000; i++) {
        memcpy(text, meta, n_meta);
        size_t n = n_meta;
        for (uint64_t edits = 1 + test_below(&rng, 3); edits > 0; edits--) {
            size_t at = (size_t)test_below(&rng, n), from = (size_t)test_below(&rng, n);
            static const char bytes[] = "{}[]\",:0123456789-.e\\ntf \x01\xff";
            if (test_below(&rng, 3))
                text[at] = bytes[test_below(&rng, sizeof bytes - 1)];
            else
                memmove(text + at, text + from, (n - (at > from ? at : from)) % 24);
            if (test_below(&rng, 16) == 0) n = at + 1;
        }
        accepted += with_meta(text, n, &err) == FVLM_OK;
    }
    free(text);
    print_message("# 4000 edits of the metadata, %zu still valid\n", accepted);
}

int main(void)
{
    char folder[256];
    fvlm_err err = {0};
    fvlm_reader *r;
    char *path = test_path(test_folder(folder), "whole.fvlm");
    if (test_sample(path, false, false, NULL, &err) || fvlm_reader_open(&r, path, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    whole = test_read_file(path, &n_whole);
    meta = json_dumps(fvlm_reader_meta(r), JSON_COMPACT | JSON_SORT_KEYS);
    n_meta = strlen(meta);
    fvlm_reader_close(&r);
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames),         cmocka_unit_test(dictionary),
                                       cmocka_unit_test(bombs),          cmocka_unit_test(large_tokenizer),
                                       cmocka_unit_test(json_depth),     cmocka_unit_test(json_ambiguous),
                                       cmocka_unit_test(json_of_people), cmocka_unit_test(random_metadata)};
    int failed = cmocka_run_group_tests_name("texts", tests, NULL, NULL);
    free(whole);
    free(meta);
    free(path);
    return failed;
}
