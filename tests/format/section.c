/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a text is compressed and read back the same, small, empty or too large for one call; compressing the large
 * one ends at a set stop flag. */
#include "format/section.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/support.h"

enum { LARGE = (7 << 20) + 123 };

static char *text_of(size_t n)
{
    test_rng r = {9};
    char *text = malloc(n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) text[i] = (char)('a' + test_below(&r, 4));
    text[n] = 0;
    return text;
}

static void comes_back(size_t n)
{
    char folder[256], *text = text_of(n), *back = NULL;
    uint8_t *packed;
    size_t n_packed;
    fvlm_err err = {0};
    assert_int_equal(fvlm_section_pack(&packed, &n_packed, text, n, NULL, &err), FVLM_OK);
    char *path = test_path(test_folder(folder), "section");
    assert_true(test_write_file(path, packed, n_packed));
    const int fd = open(path, O_RDONLY);
    const fvlm_section s = {.kind = FVLM_SECTION_TOKENIZER,
                            .encoding = FVLM_ENCODING_ZSTD,
                            .n_bytes = n_packed,
                            .raw_bytes = n,
                            .hash = fvlm_hash_of(packed, n_packed)};
    if (fvlm_section_unpack(&back, &s, fd, path, "text", &err)) fail_msg("%s", err.msg);
    assert_memory_equal(back, text, n + 1);
    close(fd);
    free(back);
    free(packed);
    free(path);
    free(text);
}

static void every_size_comes_back(void **state)
{
    (void)state;
    comes_back(0);
    comes_back(5);
    comes_back(6 << 20);
    comes_back((6 << 20) + 1);
    comes_back(LARGE);
}

static void a_set_flag_stops(void **state)
{
    (void)state;
    char *text = text_of(LARGE);
    uint8_t *packed = NULL;
    size_t n;
    fvlm_stop stop;
    fvlm_err err = {0};
    atomic_init(&stop, true);
    assert_int_equal(fvlm_section_pack(&packed, &n, text, LARGE, &stop, &err), FVLM_INTERRUPTED);
    assert_null(packed);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_size_comes_back), cmocka_unit_test(a_set_flag_stops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
