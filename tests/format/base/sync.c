/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a signal ends a process at once although fvlm_sync waits for a slow disk, and what the disk reports arrives.
 * The disk is this file's fsync: it cannot be interrupted, as the kernel's, or fails. */
#define _GNU_SOURCE 1
#include "format/base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/base/clock.h"
#include "tests/support/check.h"

static int error;         /* what fsync fails with; 0: it does not */
static unsigned slow_for; /* seconds that fsync takes */

int fsync(int fd)
{
    sigset_t all, kept;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &kept);
    for (unsigned left = slow_for; left;) left = sleep(left);
    sigprocmask(SIG_SETMASK, &kept, NULL);
    if (!error) return (int)syscall(SYS_fsync, fd);
    errno = error;
    return -1;
}

static int new_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

static void a_signal_ends_it(void **state)
{
    (void)state;
    const int fd = new_file();
    const struct timespec pause = {.tv_nsec = 100000000};
    slow_for = 5;
    const pid_t child = fork();
    if (child == 0) _exit(fvlm_sync(fd));
    assert_true(child > 0);
    nanosleep(&pause, NULL);
    const double began = fvlm_clock_seconds();
    assert_int_equal(kill(child, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_true(fvlm_clock_seconds() - began < 2);
    slow_for = 0;
    close(fd);
}

static void no_lock_outlives_the_caller(void **state)
{
    (void)state;
    char name[] = "/tmp/fvlm-sync-XXXXXX";
    const int fd = mkstemp(name);
    const struct timespec pause = {.tv_nsec = 100000000};
    assert_true(fd >= 0);
    slow_for = 5;
    const pid_t child = fork();
    if (child == 0) {
        const int own = open(name, O_RDWR);
        _exit(own < 0 || flock(own, LOCK_EX) != 0 || fvlm_sync(own) != 0);
    }
    assert_true(child > 0);
    nanosleep(&pause, NULL);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    slow_for = 0;
    unlink(name);
    close(fd);
}

static void errors_arrive(void **state)
{
    (void)state;
    static const int errors[] = {EIO, ENOSPC, EDQUOT};
    const int fd = new_file();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        error = errors[i];
        assert_int_equal(fvlm_sync(fd), -1);
        assert_int_equal(errno, error);
    }
    error = ENOSYS;
    assert_int_equal(fvlm_sync(fd), 0);
    error = 0;
    assert_int_equal(fvlm_sync(fd), 0);
    close(fd);
    assert_int_equal(fvlm_sync(fd), -1);
    assert_int_equal(errno, EBADF);
}

static void no_child_is_left(void **state)
{
    (void)state;
    const int fd = new_file();
    assert_int_equal(fvlm_sync(fd), 0);
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_ends_it),
        cmocka_unit_test(no_lock_outlives_the_caller),
        cmocka_unit_test(errors_arrive),
        cmocka_unit_test(no_child_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
