/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: every field of the first 4 KiB is checked, and each refusal names what is wrong and, where bytes break a
 * rule, at which byte. The hash is made right again, so that it is the field's own check that answers. */
#include "format/header.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

enum { SECTIONS = 48, SECTION = 64, N = 4, HASH = FVLM_HEADER_BYTES - 16 };

/* A header of four sections, 100 bytes each. */
static uint64_t sound(uint8_t bytes[FVLM_HEADER_BYTES])
{
    fvlm_header h = {.n_sections = N};
    for (uint32_t i = 0; i < N; i++)
        h.section[i] = (fvlm_section){.kind = i + 1,
                                      .encoding = i == 2 ? FVLM_ENCODING_ZSTD : FVLM_ENCODING_RAW,
                                      .offset = (i + 1) * FVLM_SECTION_ALIGN,
                                      .n_bytes = 100,
                                      .raw_bytes = i == 2 ? 300 : 100};
    h.file_bytes = N * FVLM_SECTION_ALIGN + 100;
    fvlm_header_encode(&h, bytes);
    return h.file_bytes;
}

static const struct {
    size_t at;
    uint8_t value;
    fvlm_status status;
    const char *message;
} cases[] = {
    {0, 0x88, FVLM_BAD_INPUT, "not a .fvlm file (make one with 'fvlm convert')"},
    {8, 2, FVLM_UNSUPPORTED, "format version 2; this fvlm reads version 1"},
    {12, 3, FVLM_BAD_INPUT, "3 sections, expected 4 to 63"},
    {12, 64, FVLM_BAD_INPUT, "64 sections, expected 4 to 63"},
    {16, 16, FVLM_UNSUPPORTED, "needs features 0x10 that this fvlm does not have"},
    {16, 33, FVLM_UNSUPPORTED, "needs features 0x20 that this fvlm does not have"},
    {23, 0x80, FVLM_UNSUPPORTED, "needs features 0x8000000000000000 that this fvlm does not have"},
    {32, 99, FVLM_BAD_INPUT, "too long: it has 65636 bytes, its header says 65635"},
    {32, 101, FVLM_BAD_INPUT, "cut short: it has 65636 bytes, its header says 65637"},
    {40, 1, FVLM_BAD_INPUT, "reserved bytes of the header are not zero"},
    {47, 1, FVLM_BAD_INPUT, "reserved bytes of the header are not zero"},
    {SECTIONS + 8, 1, FVLM_BAD_INPUT, "section 0 begins at 16385, expected 16384"},
    {SECTIONS + 48, 1, FVLM_BAD_INPUT, "section 0: reserved bytes are not zero"},
    {SECTIONS + 63, 1, FVLM_BAD_INPUT, "section 0: reserved bytes are not zero"},
    {SECTIONS + SECTION + 16, 99, FVLM_BAD_INPUT, "section 1 is stored raw, but its two sizes differ"},
    {SECTIONS + N * SECTION, 1, FVLM_BAD_INPUT, "bytes after the section table are not zero"},
    {HASH - 1, 1, FVLM_BAD_INPUT, "bytes after the section table are not zero"},
};

static void every_field(void **state)
{
    (void)state;
    uint8_t bytes[FVLM_HEADER_BYTES];
    fvlm_header h;
    fvlm_err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t n_bytes = sound(bytes);
        assert_int_equal(fvlm_header_decode(&h, bytes, n_bytes, &err), FVLM_OK);
        bytes[cases[i].at] = cases[i].value;
        assert_int_equal(fvlm_header_decode(&h, bytes, n_bytes, &err),
                         cases[i].at ? FVLM_MISMATCH : FVLM_BAD_INPUT); /* the hash; the magic number comes first */
        const fvlm_hash hash = fvlm_hash_of(bytes, HASH);
        memcpy(bytes + HASH, hash.bytes, 16);
        assert_int_equal(fvlm_header_decode(&h, bytes, n_bytes, &err), cases[i].status);
        assert_string_equal(err.msg, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_field)};
    return cmocka_run_group_tests_name("format header", tests, NULL, NULL);
}
