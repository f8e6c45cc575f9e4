/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: whichever allocation or system call fails while a model is written or read, the result is
 * an error with a message or the right answer; the target is the old file or a whole new one, and no
 * temporary file stays behind. Interrupted and short transfers change nothing. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/own_malloc.h"
#include "tests/support/support.h"
#include "verify/info/info.h"

/* ---- the machine that fails: these definitions stand before libc's ---- */

static size_t allocations, calls;         /* counted while armed */
static size_t fail_allocation, fail_call; /* which one fails, counted from 1; 0 = none */
static bool armed, and_all_after;         /* fail once, or from then on */
static int fail_errno;
static size_t longest_transfer = SIZE_MAX; /* short reads and writes */

static bool hit(size_t *count, size_t fail)
{
    if (!armed) return false;
    ++*count;
    return fail && (*count == fail || (and_all_after && *count > fail));
}

static bool call_fails(void)
{
    if (!hit(&calls, fail_call)) return false;
    errno = fail_errno;
    return true;
}

bool test_allocation_fails(void)
{
    return hit(&allocations, fail_allocation);
}

static size_t shorter(size_t n)
{
    return armed && n > longest_transfer ? longest_transfer : n;
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    return call_fails() ? -1 : syscall(SYS_pread64, fd, out, shorter(n), at);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    return call_fails() ? -1 : syscall(SYS_pwrite64, fd, from, shorter(n), at);
}

int open(const char *path, int flags, ...)
{
    return call_fails() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

int openat(int dir, const char *path, int flags, ...)
{
    return call_fails() ? -1 : (int)syscall(SYS_openat, dir, path, flags, 0600);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return call_fails() ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, n);
}

int fsync(int fd)
{
    return call_fails() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fchmod(int fd, mode_t mode)
{
    return call_fails() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return call_fails() ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return call_fails() ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

/* ---- what must hold ---- */

static char folder[256];
static char *path;
static uint8_t *whole;
static size_t n_whole;

static void disarm(void)
{
    armed = false;
    longest_transfer = SIZE_MAX;
    fail_allocation = fail_call = 0;
}

static void arm(size_t allocation, size_t call, int cause, bool all_after)
{
    allocations = calls = 0;
    fail_allocation = allocation;
    fail_call = call;
    fail_errno = cause;
    and_all_after = all_after;
    armed = true;
}

static bool target_is(const void *bytes, size_t n_bytes)
{
    size_t n;
    uint8_t *found = test_read_file(path, &n);
    bool same = found && n == n_bytes && memcmp(found, bytes, n) == 0;
    free(found);
    return same;
}

/* Writes the sample over an old file. Returns whether the fault was reached. */
static bool write_once(size_t allocation, size_t call, int cause, bool all_after)
{
    fvlm_err err = {0};
    test_write_file(path, "old", 3);
    arm(allocation, call, cause, all_after);
    fvlm_status st = test_sample(path, true, false, NULL, &err);
    bool reached = allocation ? allocations >= allocation : calls >= call;
    disarm();
    bool old = target_is("old", 3), new = target_is(whole, n_whole);
    if (st == FVLM_OK ? !new : !(old || new) || !err.msg[0])
        fail_msg("allocation %zu, call %zu, %s: status %d \"%s\", target %s", allocation, call, strerror(cause), st,
                 err.msg,
                 old   ? "old"
                 : new ? "new"
                       : "torn");
    if (test_count_entries(folder) != 1) fail_msg("allocation %zu, call %zu: a stray file", allocation, call);
    return reached;
}

static fvlm_status read_all(fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_info x;
    fvlm_status st = fvlm_reader_open(&r, path, err);
    if (!st) st = fvlm_reader_check(r, NULL, err);
    if (!st) st = fvlm_info_gather(&x, r, err);
    if (!st) json_decref(fvlm_info_json(&x, r, true));
    fvlm_reader_close(&r);
    return st;
}

static bool read_once(size_t allocation, size_t call, int cause, bool all_after)
{
    fvlm_err err = {0};
    arm(allocation, call, cause, all_after);
    fvlm_status st = read_all(&err);
    bool reached = allocation ? allocations >= allocation : calls >= call;
    disarm();
    if (st && !err.msg[0]) fail_msg("allocation %zu, call %zu: no message", allocation, call);
    if (st && allocation && st != FVLM_NOMEM) fail_msg("allocation %zu: status %d \"%s\"", allocation, st, err.msg);
    if (st == FVLM_OK && call && cause != EINTR && reached) fail_msg("call %zu failed unseen", call);
    return reached;
}

typedef bool (*flow)(size_t allocation, size_t call, int cause, bool all_after);

static size_t every_point(flow f, bool allocation, int cause)
{
    size_t n = 0;
    for (int all_after = 0; all_after <= (cause == EINTR ? 0 : 1); all_after++)
        for (size_t k = 1; f(allocation ? k : 0, allocation ? 0 : k, cause, all_after); k++) n++;
    return n;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    size_t written = every_point(write_once, true, ENOMEM);
    test_write_file(path, whole, n_whole);
    size_t read = every_point(read_once, true, ENOMEM);
    print_message("# %zu failing allocations while writing, %zu while reading\n", written, read);
    assert_true(written > 200 && read > 200);
}

static void every_system_call(void **state)
{
    (void)state;
    static const int causes[] = {EIO, ENOSPC, EACCES, EINTR};
    size_t written = 0, read = 0;
    for (size_t i = 0; i < 4; i++) written += every_point(write_once, false, causes[i]);
    test_write_file(path, whole, n_whole);
    for (size_t i = 0; i < 4; i++) read += every_point(read_once, false, causes[i]);
    print_message("# %zu failing system calls while writing, %zu while reading\n", written, read);
    assert_true(written > 200 && read > 100);
}

static void short_transfers(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 7, 4095};
    fvlm_err err;
    for (size_t i = 0; i < 3; i++) {
        test_write_file(path, "old", 3);
        arm(0, 0, 0, false);
        longest_transfer = lengths[i];
        fvlm_status st = test_sample(path, true, false, NULL, &err);
        fvlm_status read = st ? st : read_all(&err);
        disarm();
        assert_int_equal(st, FVLM_OK);
        assert_int_equal(read, FVLM_OK);
        assert_true(target_is(whole, n_whole));
    }
}

int main(void)
{
    fvlm_err err = {0};
    path = test_path(test_folder(folder), "model.fvlm");
    if (test_sample(path, true, false, NULL, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    whole = test_read_file(path, &n_whole);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation), cmocka_unit_test(every_system_call),
                                       cmocka_unit_test(short_transfers)};
    int failed = cmocka_run_group_tests_name("faults", tests, NULL, NULL);
    free(whole);
    free(path);
    return failed;
}
