/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: the small tools of format/base: bit patterns, clock, memory, stop flag, and files opened by folder. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/base/clock.h"
#include "format/base/file.h"
#include "format/base/memory.h"
#include "format/base/stop.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static void bit_patterns(void **state)
{
    (void)state;
    static const struct {
        double value;
        uint32_t f32;
    } cases[] = {{0.0, 0},           {-0.0, 0x80000000}, {1.0, 0x3f800000},
                 {-2.5, 0xc0200000}, {0x1p-149, 1},      {0x1.fffffep127, 0x7f7fffff}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fvlm_f32_bits((float)cases[i].value), cases[i].f32);
        assert_int_equal(fvlm_f32_bits(fvlm_f32_from_bits(cases[i].f32)), cases[i].f32);
        assert_true(fvlm_f32_from_bits(cases[i].f32) == (float)cases[i].value);
    }
}

static void clock_goes_on(void **state)
{
    (void)state;
    const double before = fvlm_clock_seconds();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    const double after = fvlm_clock_seconds();
    assert_true(after - before >= 0.02 && after - before < 60);
}

static void peak_memory(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    const uint64_t before = fvlm_memory_peak_anonymous_bytes();
    assert_true(before > 0 && fvlm_memory_peak_bytes() > 0);
    void *block = malloc(BYTES);
    assert_non_null(block);
    memset(block, 1, BYTES);
    const uint64_t during = fvlm_memory_peak_anonymous_bytes();
    assert_true(during >= before + BYTES / 2);
    assert_true(fvlm_memory_peak_bytes() >= BYTES);
    free(block);
    assert_true(fvlm_memory_peak_anonymous_bytes() >= during);
}

static void stop_flag(void **state)
{
    (void)state;
    fvlm_stop stop = false;
    fvlm_err err = {0};
    assert_int_equal(fvlm_stop_check(NULL, &err), FVLM_OK);
    assert_int_equal(fvlm_stop_check(&stop, &err), FVLM_OK);
    atomic_store(&stop, true);
    assert_int_equal(fvlm_stop_check(&stop, &err), FVLM_INTERRUPTED);
    assert_string_equal(err.msg, "interrupted");
    assert_int_equal(fvlm_fail_nomem(&err), FVLM_NOMEM);
    assert_string_equal(err.msg, "out of memory");
}

/* Regular files and links to them, named relative to a folder and shown by another name. */
static void open_at(void **state)
{
    (void)state;
    char folder[256], text[4] = {0};
    test_folder(folder);
    char *file = test_path(folder, "file"), *link = test_path(folder, "link"), *fifo = test_path(folder, "fifo"),
         *sub = test_path(folder, "sub");
    assert_true(test_write_file(file, "abc", 3));
    assert_true(symlink("file", link) == 0 && mkfifo(fifo, 0600) == 0 && mkdir(sub, 0700) == 0);
    const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    fvlm_err err;
    fvlm_stamp stamp;
    int fd;
    static const char *const good[] = {"file", "link"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fvlm_file_open_at(&fd, &stamp, dir, good[i], "shown", &err), FVLM_OK);
        assert_int_equal(stamp.n_bytes, 3);
        assert_int_equal(fvlm_file_read(fd, "shown", 0, text, 3, &err), FVLM_OK);
        assert_string_equal(text, "abc");
        close(fd);
    }
    static const struct {
        const char *name, *msg;
        fvlm_status st;
    } bad[] = {{"none", "\"shown\": No such file or directory", FVLM_IO},
               {"sub", "\"shown\" is a folder, expected a file", FVLM_BAD_INPUT},
               {"fifo", "\"shown\" is not a regular file", FVLM_BAD_INPUT}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fvlm_file_open_at(&fd, &stamp, dir, bad[i].name, "shown", &err), bad[i].st);
        assert_string_equal(err.msg, bad[i].msg);
        assert_int_equal(fd, -1);
    }
    close(dir);
    free(file);
    free(link);
    free(fifo);
    free(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bit_patterns), cmocka_unit_test(clock_goes_on),
                                       cmocka_unit_test(peak_memory), cmocka_unit_test(stop_flag),
                                       cmocka_unit_test(open_at)};
    return cmocka_run_group_tests_name("small", tests, NULL, NULL);
}
