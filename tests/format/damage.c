/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: every byte of a .fvlm file is covered. Each truncation and each single-bit flip of a
 * small file is refused by opening or by verify; flips in the header, index, metadata and
 * tokenizer already by opening. Prints how many were tried. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/reader_internal.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static uint8_t *whole;
static size_t n_whole;
static int fd; /* the file that is damaged, in memory */

/* Opens and verifies what fd holds now, n_bytes long. *opened tells how far it came. */
static fvlm_status check(size_t n_bytes, bool *opened, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_status st = fvlm_reader_open_fd(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), n_bytes, "damaged.fvlm", err);
    *opened = st == FVLM_OK;
    if (!st) st = fvlm_reader_check(r, NULL, err);
    fvlm_reader_close(&r);
    return st;
}

static void put(size_t at, const void *bytes, size_t n)
{
    assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
}

/* One reader stays open: verify reads all bytes again, the header included, and must see each flip
 * whenever it happened. */
static void every_bit_flip(void **state)
{
    (void)state;
    fvlm_reader *r;
    fvlm_err err;
    assert_int_equal(fvlm_reader_open_fd(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), n_whole, "damaged.fvlm", &err), FVLM_OK);
    size_t n_flips = 0;
    for (size_t i = 0; i < n_whole; i++)
        for (unsigned bit = i % UNDER_SANITIZER(8); bit < 8; bit += UNDER_SANITIZER(8), n_flips++) {
            uint8_t flipped = (uint8_t)(whole[i] ^ 1u << bit);
            put(i, &flipped, 1);
            err.msg[0] = 0;
            if (fvlm_reader_check(r, NULL, &err) == FVLM_OK) fail_msg("byte %zu bit %u was accepted", i, bit);
            assert_true(err.msg[0] != 0);
            put(i, &whole[i], 1);
        }
    assert_int_equal(fvlm_reader_check(r, NULL, &err), FVLM_OK);
    fvlm_reader_close(&r);
    print_message("# %zu bit flips refused\n", n_flips);
}

static size_t flips_refused_when_opened(size_t from, size_t n)
{
    fvlm_err err;
    bool opened;
    for (size_t i = from; i < from + n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t flipped = (uint8_t)(whole[i] ^ 1u << bit);
            put(i, &flipped, 1);
            if (check(n_whole, &opened, &err) == FVLM_OK || opened)
                fail_msg("byte %zu bit %u was accepted by opening", i, bit);
            put(i, &whole[i], 1);
        }
    return 8 * n;
}

static void structure_is_refused_when_opened(void **state)
{
    (void)state;
    fvlm_header h;
    fvlm_err err;
    assert_int_equal(fvlm_header_decode(&h, whole, n_whole, &err), FVLM_OK);
    size_t n = flips_refused_when_opened(0, FVLM_HEADER_BYTES);
    for (size_t s = 0; s < h.n_sections; s++)
        if (h.section[s].kind != FVLM_SECTION_DATA)
            n += flips_refused_when_opened((size_t)h.section[s].offset, (size_t)h.section[s].n_bytes);
    print_message("# %zu flips of the structure refused when opened\n", n);
}

static void every_truncation(void **state)
{
    (void)state;
    fvlm_err err;
    bool opened;
    for (size_t n = n_whole; n-- > 0;) {
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
        if (check(n, &opened, &err) == FVLM_OK) fail_msg("the first %zu bytes were accepted", n);
        assert_false(opened);
    }
    put(0, whole, n_whole);
    print_message("# %zu truncations refused\n", n_whole);
}

static void trailing_bytes(void **state)
{
    (void)state;
    fvlm_err err;
    bool opened;
    for (size_t extra = 1; extra <= 4096; extra *= 2) {
        put(n_whole + extra - 1, "", 1);
        assert_int_equal(check(n_whole + extra, &opened, &err), FVLM_BAD_INPUT);
        assert_non_null(strstr(err.msg, "too long"));
    }
    assert_int_equal(ftruncate(fd, (off_t)n_whole), 0);
}

/* Verify reads with pread, so that a file that shrinks under an open reader is an error and no signal,
 * and one that grew back with zeros is damage. */
static void changes_while_open(void **state)
{
    (void)state;
    fvlm_reader *r;
    fvlm_err err;
    for (size_t n = 0; n < n_whole; n += 4099) {
        assert_int_equal(fvlm_reader_open_fd(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), n_whole, "damaged.fvlm", &err),
                         FVLM_OK);
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
        assert_int_equal(fvlm_reader_check(r, NULL, &err), FVLM_BAD_INPUT);
        assert_non_null(strstr(err.msg, "more was expected"));
        assert_int_equal(ftruncate(fd, (off_t)n_whole), 0);
        if (fvlm_reader_check(r, NULL, &err) == FVLM_OK) fail_msg("zeros from %zu on were accepted", n);
        put(0, whole, n_whole);
        assert_int_equal(fvlm_reader_check(r, NULL, &err), FVLM_OK);
        fvlm_reader_close(&r);
    }
}

static void bursts(void **state)
{
    (void)state;
    fvlm_err err;
    bool opened;
    test_rng rng = {20261124};
    uint8_t burst[512];
    for (int i = 0; i < 2000; i++) {
        size_t n = 1 + (size_t)test_below(&rng, sizeof burst), at = (size_t)test_below(&rng, n_whole - n);
        test_fill(&rng, burst, n);
        burst[0] = (uint8_t)~whole[at];
        put(at, burst, n);
        if (check(n_whole, &opened, &err) == FVLM_OK) fail_msg("%zu bytes at %zu were accepted", n, at);
        put(at, whole + at, n);
    }
}

int main(void)
{
    char folder[256];
    fvlm_err err = {0};
    char *path = test_path(test_folder(folder), "whole.fvlm");
    if (test_sample(path, false, false, NULL, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    whole = test_read_file(path, &n_whole);
    fd = memfd_create("damaged", MFD_CLOEXEC);
    if (!whole || fd < 0 || pwrite(fd, whole, n_whole, 0) != (ssize_t)n_whole) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_flip),     cmocka_unit_test(structure_is_refused_when_opened),
        cmocka_unit_test(every_truncation),   cmocka_unit_test(trailing_bytes),
        cmocka_unit_test(changes_while_open), cmocka_unit_test(bursts)};
    int failed = cmocka_run_group_tests_name("damage", tests, NULL, NULL);
    free(whole);
    free(path);
    close(fd);
    return failed;
}
