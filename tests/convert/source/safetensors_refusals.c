/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a .safetensors header has one reading or is refused, with the byte where it breaks and a line that
 * says what is wrong. Every refusal of safetensors.c, and of json_pull.c as far as a header can reach it. */
#include "convert/source/safetensors.h"
#include "tests/support/check.h"

/* The inside of a good entry: 47 bytes; {"a":{ before it has 6. */
#define A "\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]"

typedef struct {
    const char *header;
    uint64_t n_data; /* bytes that follow it */
    fvlm_status code;
    uint64_t offset;     /* in the file: the header begins at byte 8 */
    const char *message; /* after: "m": byte OFFSET: */
} refusal;

static const refusal refusals[] = {
    /* the text */
    {"", 0, FVLM_BAD_INPUT, 8, "the header does not begin with '{'; is this a safetensors file?"},
    {" {}", 0, FVLM_BAD_INPUT, 8, "the header does not begin with '{'; is this a safetensors file?"},
    {"[]", 0, FVLM_BAD_INPUT, 8, "the header does not begin with '{'; is this a safetensors file?"},
    {"{", 0, FVLM_BAD_INPUT, 9, "the text ends where a string was expected"},
    {"{\"a\"", 0, FVLM_BAD_INPUT, 12, "the text ends where ':' was expected"},
    {"{\"a\":", 0, FVLM_BAD_INPUT, 13, "the text ends where '{', a tensor was expected"},
    {"{\"a\":{", 0, FVLM_BAD_INPUT, 14, "the text ends where a string was expected"},
    {"{\"a\" {" A "}}", 16, FVLM_BAD_INPUT, 13, "expected ':'"},
    {"{\"a\":[]}", 0, FVLM_BAD_INPUT, 13, "expected '{', a tensor"},
    {"{a:{" A "}}", 16, FVLM_BAD_INPUT, 9, "expected a string"},
    {"{\"a\":{" A "},}", 16, FVLM_BAD_INPUT, 63, "a comma before '}'; remove it"},
    {"{\"a\":{" A ",}}", 16, FVLM_BAD_INPUT, 62, "a comma before '}'; remove it"},
    {"{\"a\":{" A "} \"b\":{}}", 16, FVLM_BAD_INPUT, 63, "expected ',' or '}'"},
    {"{\"a\":{" A "}", 16, FVLM_BAD_INPUT, 62, "the text ends where ',' or '}' was expected"},
    {"{\"a\":{" A "}}x", 16, FVLM_BAD_INPUT, 63, "something follows the end of the JSON value"},
    {"{\"a\":{" A "}}{}", 16, FVLM_BAD_INPUT, 63, "something follows the end of the JSON value"},
    {"{\"a", 0, FVLM_BAD_INPUT, 9, "this string does not end"},
    {"{\"a\\", 0, FVLM_BAD_INPUT, 11, "unknown escape in a string"},
    {"{\"\\q\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "unknown escape in a string"},
    {"{\"\\u12g4\":{" A "}}", 16, FVLM_BAD_INPUT, 12, "\\u needs four hexadecimal digits"},
    {"{\"\\u0000\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "a string may not hold the character NUL"},
    {"{\"\\udc00\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "a low surrogate without a high one before it"},
    {"{\"\\ud800\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "a high surrogate without a low one after it"},
    {"{\"\\ud800\\u0041\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "a high surrogate without a low one after it"},
    {"{\"a\tb\":{" A "}}", 16, FVLM_BAD_INPUT, 11, "a raw control character in a string"},
    {"{\"\xff\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "not UTF-8"},
    {"{\"\xc0\xaf\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "not UTF-8"},
    {"{\"\xed\xa0\x80\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "not UTF-8"},
    {"{\"\xf4\x90\x80\x80\":{" A "}}", 16, FVLM_BAD_INPUT, 10, "not UTF-8"},
    {"{\"\xe2\x82", 0, FVLM_BAD_INPUT, 10, "not UTF-8"},
    /* names */
    {"{\"\":{" A "}}", 16, FVLM_BAD_INPUT, 9, "a tensor has no name"},
    {"{\"a\\nb\":{" A "}}", 16, FVLM_BAD_INPUT, 9, "a tensor's name contains a control character"},
    {"{\"a\\u007f\":{" A "}}", 16, FVLM_BAD_INPUT, 9, "a tensor's name contains a control character"},
    {"{\"a\":{" A "},\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]}}", 32, FVLM_BAD_INPUT, 63,
     "tensor \"a\" is given twice"},
    {"{\"a\":{" A "},\"a\":{" A "}}", 16, FVLM_BAD_INPUT, 63, "tensor \"a\" is given twice"},
    {"{\"\\u0061\":{" A "},\"a\":{" A "}}", 16, FVLM_BAD_INPUT, 68, "tensor \"a\" is given twice"},
    /* entries */
    {"{\"a\":{}}", 0, FVLM_BAD_INPUT, 9, "tensor \"a\": \"dtype\" is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", 0, FVLM_BAD_INPUT, 9, "tensor \"a\": \"shape\" is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0]}}", 0, FVLM_BAD_INPUT, 9, "tensor \"a\": \"data_offsets\" is missing"},
    {"{\"a\":{\"dtype\":\"F32\"," A "}}", 16, FVLM_BAD_INPUT, 28, "tensor \"a\": \"dtype\" is given twice"},
    {"{\"a\":{" A ",\"shape\":[4]}}", 16, FVLM_BAD_INPUT, 62, "tensor \"a\": \"shape\" is given twice"},
    {"{\"a\":{" A ",\"extra\":1}}", 16, FVLM_BAD_INPUT, 62, "tensor \"a\": unknown key \"extra\""},
    {"{\"a\":{\"dtype\":\"f32\"}}", 0, FVLM_BAD_INPUT, 22, "tensor \"a\": unknown dtype \"f32\""},
    {"{\"a\":{\"dtype\":32}}", 0, FVLM_BAD_INPUT, 22, "expected a string"},
    {"{\"a\":{\"dtype\":\"F4\"}}", 0, FVLM_BAD_INPUT, 22, "tensor \"a\": unknown dtype \"F4\""},
    {"{\"a\":{\"dtype\":\"U32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, FVLM_BAD_INPUT, 55,
     "tensor \"a\": data_offsets span 8 bytes, but U32 [3] takes 12"},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, FVLM_BAD_INPUT, 59,
     "tensor \"a\": data_offsets span 8 bytes, but F8_E4M3 [3] takes 3"},
    {"{\"a\":{\"shape\":4}}", 0, FVLM_BAD_INPUT, 22, "expected '[', a shape"},
    {"{\"a\":{\"shape\":[-1]}}", 0, FVLM_BAD_INPUT, 23, "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"shape\":[+1]}}", 0, FVLM_BAD_INPUT, 23, "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"shape\":[1.0]}}", 0, FVLM_BAD_INPUT, 23, "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"shape\":[1e2]}}", 0, FVLM_BAD_INPUT, 23, "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"shape\":[04]}}", 0, FVLM_BAD_INPUT, 23, "a number may not begin with 0"},
    {"{\"a\":{\"shape\":[\"4\"]}}", 0, FVLM_BAD_INPUT, 23, "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"shape\":[18446744073709551616]}}", 0, FVLM_BAD_INPUT, 23, "a number over 2^64 - 1"},
    {"{\"a\":{\"shape\":[4,]}}", 0, FVLM_BAD_INPUT, 25, "a comma before ']'; remove it"},
    {"{\"a\":{\"shape\":[4 4]}}", 0, FVLM_BAD_INPUT, 25, "expected ',' or ']'"},
    {"{\"a\":{\"shape\":[4294967296,4294967296]}}", 0, FVLM_BAD_INPUT, 22,
     "tensor \"a\": the shape has over 2^64 elements"},
    {"{\"a\":{\"shape\":[1,1,1,1,1,1,1,1,1]}}", 0, FVLM_LIMIT, 39, "tensor \"a\": more than 8 dimensions"},
    /* offsets */
    {"{\"a\":{\"data_offsets\":16}}", 0, FVLM_BAD_INPUT, 29, "expected '[', two offsets"},
    {"{\"a\":{\"data_offsets\":[0]}}", 0, FVLM_BAD_INPUT, 31, "expected ',' between two offsets"},
    {"{\"a\":{\"data_offsets\":[0,1,2]}}", 0, FVLM_BAD_INPUT, 33, "expected ']' after two offsets"},
    {"{\"a\":{\"data_offsets\":[-4,12]}}", 0, FVLM_BAD_INPUT, 30,
     "expected a whole number, 0 or more, in plain digits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}", 16, FVLM_BAD_INPUT, 55,
     "tensor \"a\": data ends (0) before it begins (16)"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,15]}}", 15, FVLM_BAD_INPUT, 55,
     "tensor \"a\": data_offsets span 15 bytes, but F32 [4] takes 16"},
    {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,16]}}", 16, FVLM_BAD_INPUT, 58,
     "tensor \"a\": data_offsets span 16 bytes, but BF16 [2, 3] takes 12"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]}}", 0, FVLM_BAD_INPUT, 54,
     "tensor \"a\": data_offsets span 0 bytes, but F32 [] takes 4"},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, FVLM_BAD_INPUT, 73,
     "tensor \"a\": I64 [4611686018427387904] has over 2^64 bytes"},
    {"{\"a\":{" A "}}", 15, FVLM_BAD_INPUT, 55,
     "tensor \"a\": data ends at 16, but the file holds only 15 bytes of data; download it again"},
    /* every byte behind the header belongs to exactly one tensor */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[4,20]}}", 20, FVLM_BAD_INPUT, 63,
     "4 bytes before tensor \"a\" belong to no tensor"},
    {"{\"a\":{" A "}}", 17, FVLM_BAD_INPUT, 79, "1 bytes after the last tensor belong to no tensor"},
    {"{}", 1, FVLM_BAD_INPUT, 10, "1 bytes after the last tensor belong to no tensor"},
    {"{\"a\":{" A "},\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[8,24]}}", 24, FVLM_BAD_INPUT, 125,
     "tensor \"b\" overlaps \"a\""},
    {"{\"a\":{" A "},\"b\":{" A "}}", 16, FVLM_BAD_INPUT, 117, "tensor \"b\" overlaps \"a\""},
    {"{\"a\":{" A "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}", 24, FVLM_BAD_INPUT, 134,
     "4 bytes before tensor \"b\" belong to no tensor"},
    /* __metadata__ */
    {"{\"__metadata__\":[]}", 0, FVLM_BAD_INPUT, 24, "expected '{', __metadata__"},
    {"{\"__metadata__\":{\"a\":1}}", 0, FVLM_BAD_INPUT, 29, "__metadata__ may contain only strings; \"a\" is not one"},
    {"{\"__metadata__\":{\"a\":null}}", 0, FVLM_BAD_INPUT, 29,
     "__metadata__ may contain only strings; \"a\" is not one"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}", 0, FVLM_BAD_INPUT, 24, "__metadata__ has the key \"a\" twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, FVLM_BAD_INPUT, 27, "__metadata__ is given twice"},
};
enum { N_REFUSALS = sizeof refusals / sizeof refusals[0] };

static fvlm_status parse(const char *header, uint64_t n_data, size_t *n_tensors, fvlm_err *err)
{
    size_t n = strlen(header);
    fvlm_safetensors out;
    char *copy = malloc(n ? n : 1); /* exactly as long: a read past it is an error of the sanitizer */
    memcpy(copy, header, n);
    fvlm_status st = fvlm_safetensors_parse(&out, copy, n, 8 + n + n_data, "m", err);
    *n_tensors = out.n_tensors;
    fvlm_safetensors_free(&out);
    free(copy);
    return st;
}

static void refuses_each(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N_REFUSALS; i++) {
        const refusal *r = &refusals[i];
        char want[400];
        fvlm_err err = {0};
        size_t n_tensors;
        snprintf(want, sizeof want, "\"m\": byte %u: %s", (unsigned)r->offset, r->message);
        fvlm_status st = parse(r->header, r->n_data, &n_tensors, &err);
        if (strcmp(err.msg, want) != 0) fail_msg("%s\n got: %s\nwant: %s", r->header, err.msg, want);
        assert_int_equal(st, r->code);
        assert_int_equal(err.code, r->code);
        assert_int_equal(err.offset, r->offset);
        assert_int_equal(n_tensors, 0);
    }
    print_message("# %u headers refused, each with its message and offset\n", N_REFUSALS);
}

static void accepts(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t n_data;
        size_t n_tensors;
    } good[] = {
        {"{}", 0, 0},
        {"{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}}", 0, 0},
        {"{\"a\":{" A "}}      ", 16, 1},                                           /* space padded */
        {"{ \"a\" : { " A " }\n}\t\r", 16, 1},                                      /* white space anywhere */
        {"{\"a\":{\"data_offsets\":[0,2],\"shape\":[],\"dtype\":\"BF16\"}}", 2, 1}, /* a scalar, keys in any order */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, 1}, /* no elements */
        {"{\"\\u00e9\\ud83d\\ude00\":{" A "}}", 16, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t n_tensors;
        fvlm_err err = {0};
        if (parse(good[i].header, good[i].n_data, &n_tensors, &err)) fail_msg("%s: %s", good[i].header, err.msg);
        assert_int_equal(n_tensors, good[i].n_tensors);
    }
}

/* Unaligned data is legal, and the sorted list tells where it lies. */
static void unaligned(void **state)
{
    (void)state;
    char header[] = "{\"z\\u007a\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[6,14]}}";
    size_t n = strlen(header);
    fvlm_safetensors out;
    assert_int_equal(fvlm_safetensors_parse(&out, header, n, 8 + n + 14, "m", NULL), FVLM_OK);
    assert_int_equal(out.n_tensors, 2);
    assert_string_equal(out.tensors[0].name, "b");
    assert_int_equal(out.tensors[0].offset, 8 + n + 6);
    assert_int_equal(out.tensors[0].n_bytes, 8);
    assert_int_equal(out.tensors[0].rank, 2);
    assert_string_equal(out.tensors[1].name, "zz");
    assert_int_equal(out.tensors[1].offset, 8 + n);
    assert_int_equal(out.tensors[1].type, FVLM_SOURCE_BF16);
    fvlm_safetensors_free(&out);
}

static void length(void **state)
{
    (void)state;
    static const struct {
        uint64_t n_header, file_bytes;
        const char *message;
    } cases[] = {
        {0, 0, "\"m\": byte 0: the file ends inside its first 8 bytes, the header's length; download it again"},
        {0, 7, "\"m\": byte 7: the file ends inside its first 8 bytes, the header's length; download it again"},
        {3, 10, "\"m\": byte 10: the file ends inside its header of 3 bytes; download it again"},
        {100000000, 100000007,
         "\"m\": byte 100000007: the file ends inside its header of 100000000 bytes; download it again"},
        {100000001, 200000000,
         "\"m\": byte 0: the header says it has 100000001 bytes, at most 100000000 are allowed; is this a safetensors "
         "file?"},
        {UINT64_MAX, 200,
         "\"m\": byte 0: the header says it has 18446744073709551615 bytes, at most 100000000 are allowed; is this a "
         "safetensors file?"},
        {2, 10, ""},
        {100000000, 100000008, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t first[8];
        uint64_t n = 77;
        fvlm_err err = {0};
        fvlm_store_u64(first, cases[i].n_header);
        fvlm_status st = fvlm_safetensors_length(&n, first, cases[i].file_bytes, "m", &err);
        assert_string_equal(err.msg, cases[i].message);
        if (!st) assert_int_equal(n, cases[i].n_header);
    }
}

static void long_names(void **state)
{
    (void)state;
    for (size_t n_name = 4096; n_name <= 4097; n_name++) {
        char *header = malloc(n_name + 200);
        fvlm_err err = {0};
        size_t n_tensors;
        memcpy(header, "{\"", 2);
        memset(header + 2, 'x', n_name);
        strcpy(header + 2 + n_name, "\":{" A "}}");
        fvlm_status st = parse(header, 16, &n_tensors, &err);
        assert_int_equal(st, n_name == 4096 ? FVLM_OK : FVLM_LIMIT);
        if (st) assert_string_equal(err.msg, "\"m\": byte 9: a name of 4097 bytes, at most 4096 are allowed");
        free(header);
    }
}

/* 20 MB each of spaces, of opening brackets and of 250,000 names: under the runner's time limit only if linear. */
static void large_headers(void **state)
{
    (void)state;
    size_t n = 20u << 20, at = 1;
    char *text = malloc(n);
    fvlm_safetensors out;
    memset(text, ' ', n);
    text[0] = '{', text[n - 1] = '}';
    assert_int_equal(fvlm_safetensors_parse(&out, text, n, 8 + n, "m", NULL), FVLM_OK);
    memset(text, '[', n);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(fvlm_safetensors_parse(&out, text, n, 8 + n, "m", NULL), FVLM_BAD_INPUT);
    memset(text, ' ', n);
    for (unsigned i = 0; at < n - 200; i++)
        at += (size_t)sprintf(text + at,
                              "%s\"same beginning, different end %08x\":{\"dtype\":\"F32\",\"shape\":[0],"
                              "\"data_offsets\":[0,0]}",
                              i ? "," : "", i * 2654435761u);
    text[0] = '{', text[at] = '}';
    assert_int_equal(fvlm_safetensors_parse(&out, text, n, 8 + n, "m", NULL), FVLM_OK);
    assert_true(out.n_tensors > 200000);
    fvlm_safetensors_free(&out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_each), cmocka_unit_test(accepts),    cmocka_unit_test(unaligned),
        cmocka_unit_test(length),       cmocka_unit_test(long_names), cmocka_unit_test(large_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
