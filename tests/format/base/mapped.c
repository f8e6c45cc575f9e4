/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a mapped file that is cut short ends a guarded process with one line that names the file and exit code 3,
 * whichever and however many threads touch it; a SIGBUS from elsewhere ends it as it would have without us; a
 * library that nobody asked to leaves the signal alone. And what no signal tells, a file written over, longer or
 * grown again, is told by asking. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/base/file.h"
#include "format/base/mapped.h"
#include "format/cli/terminal.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

#define AGAIN "; run the command again when nothing writes to it"

static char folder[256];
static char *path; /* a fresh sample before each test */
static fvlm_err err;

static int setup(void **state)
{
    (void)state;
    return test_sample(path, true, false, NULL, &err);
}

/* ---- a child that is expected to die ---- */

typedef struct {
    int status;
    char out[4096], err[4096]; /* what it printed */
} ending;

static void read_all(int fd, char *text, size_t size)
{
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(fd, text + n, size - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(fd);
}

static ending ending_of(void (*work)(void))
{
    ending e;
    int out[2], complaints[2];
    assert_true(pipe(out) == 0 && pipe(complaints) == 0);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); /* cmocka has one of its own */
        dup2(out[1], STDOUT_FILENO);
        dup2(complaints[1], STDERR_FILENO);
        close(out[0]), close(out[1]), close(complaints[0]), close(complaints[1]);
        work();
        _exit(0);
    }
    close(out[1]), close(complaints[1]);
    read_all(out[0], e.out, sizeof e.out);
    read_all(complaints[0], e.err, sizeof e.err);
    assert_int_equal(waitpid(child, &e.status, 0), child);
    return e;
}

static void assert_told(const ending *e, const char *before)
{
    char want[600];
    snprintf(want, sizeof want, "%sfvlm: \"%s\" became shorter while it was in use" AGAIN "\n", before, path);
    assert_true(WIFEXITED(e->status));
    assert_int_equal(WEXITSTATUS(e->status), 3);
    assert_string_equal(e->err, want);
}

static void assert_killed(const ending *e)
{
    assert_true(WIFSIGNALED(e->status));
    assert_int_equal(WTERMSIG(e->status), SIGBUS);
    assert_null(strstr(e->err, "fvlm")); /* not empty: qemu announces the death of its guests */
}

/* ---- what the child does ---- */

static fvlm_reader *opened(void)
{
    fvlm_reader *r;
    if (fvlm_reader_open(&r, path, &err)) _exit(99);
    return r;
}

static void touch_last(const fvlm_reader *r)
{
    const fvlm_tensor *t = fvlm_reader_tensor(r, fvlm_reader_n_tensors(r) - 1);
    const volatile uint8_t *p = fvlm_reader_bytes(r, t);
    (void)p[t->n_bytes - 1];
}

static void cut(const char *file)
{
    if (truncate(file, 0)) _exit(98);
}

static void cut_and_touch(void)
{
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    const fvlm_reader *r = opened();
    cut(path);
    touch_last(r);
}

static void *touching(void *r)
{
    touch_last(r);
    return NULL;
}

static void touch_from_threads(void)
{
    pthread_t threads[16];
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    fvlm_reader *r = opened();
    cut(path);
    for (size_t i = 0; i < 16; i++)
        if (pthread_create(&threads[i], NULL, touching, r)) _exit(97);
    for (size_t i = 0; i < 16; i++) pthread_join(threads[i], NULL);
}

static void touch_blocked(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    cut_and_touch();
}

static void touch_under_a_bar(void)
{
    fvlm_terminal_line_is(FVLM_LINE_BAR);
    cut_and_touch();
}

static void touch_in_an_answer(void)
{
    fvlm_terminal_line_is(FVLM_LINE_TEXT);
    cut_and_touch();
}

/* The table has fewer places than this; those it has must all be given back. */
static void touch_after_many(void)
{
    fvlm_reader *many[100];
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++) many[i] = opened();
        for (size_t i = 0; i < 100; i++) fvlm_reader_close(&many[(i * 37 + round) % 100]);
    }
    cut_and_touch();
}

static void touch_elsewhere(void)
{
    char *other = test_path(folder, "other");
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    opened();
    if (!test_write_file(other, "something", 9)) _exit(96);
    const int fd = open(other, O_RDONLY);
    const volatile char *p = mmap(NULL, 9, PROT_READ, MAP_SHARED, fd, 0);
    cut(other);
    (void)p[0];
}

static void touch_closed(void)
{
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    fvlm_reader *r = opened();
    const fvlm_tensor *t = fvlm_reader_tensor(r, 0);
    void *page = (void *)((uintptr_t)fvlm_reader_bytes(r, t) & ~(uintptr_t)4095);
    const int fd = open(path, O_RDONLY);
    fvlm_reader_close(&r);
    /* Somebody else's mapping at the very place where ours was. */
    const volatile char *p = mmap(page, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    cut(path);
    (void)p[0];
}

static void send_one(void)
{
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    opened();
    kill(getpid(), SIGBUS);
    pause();
}

/* ---- tests ---- */

static void cut_short(void **state)
{
    (void)state;
    ending e = ending_of(cut_and_touch);
    assert_told(&e, "");
    assert_string_equal(e.out, "");
}

static void sixteen_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        setup(NULL);
        ending e = ending_of(touch_from_threads);
        assert_told(&e, "");
    }
}

static void signal_was_blocked(void **state)
{
    (void)state;
    ending e = ending_of(touch_blocked);
    assert_told(&e, "");
}

static void line_of_its_own(void **state)
{
    (void)state;
    ending e = ending_of(touch_under_a_bar);
    assert_told(&e, "\r\033[K");
    setup(NULL);
    e = ending_of(touch_in_an_answer);
    assert_told(&e, "");
    assert_string_equal(e.out, "\n");
}

static void many_readers(void **state)
{
    (void)state;
    ending e = ending_of(touch_after_many);
    assert_told(&e, "");
}

static void not_ours(void **state)
{
    (void)state;
    void (*const work[])(void) = {touch_elsewhere, touch_closed, send_one};
    for (size_t i = 0; i < sizeof work / sizeof *work; i++) {
        setup(NULL);
        ending e = ending_of(work[i]);
        assert_killed(&e);
    }
}

static void left_alone(void **state)
{
    (void)state;
    struct sigaction before, after;
    fvlm_reader *r;
    assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(sigaction(SIGBUS, NULL, &after), 0);
    fvlm_reader_close(&r);
    assert_true(before.sa_sigaction == after.sa_sigaction && before.sa_flags == after.sa_flags);
}

/* ---- what no signal tells ---- */

static void assert_settles(const fvlm_reader *r, const char *how)
{
    static const fvlm_status verdicts[] = {FVLM_OK, FVLM_BAD_INPUT, FVLM_UNSUPPORTED, FVLM_LIMIT, FVLM_MISMATCH};
    static const fvlm_status others[] = {FVLM_USAGE, FVLM_IO, FVLM_CHANGED, FVLM_NOMEM, FVLM_INTERRUPTED};
    char want[600];
    snprintf(want, sizeof want, "\"%s\" %s while it was in use" AGAIN, path, how);
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        err.msg[0] = 0;
        assert_int_equal(fvlm_reader_check_unchanged(r, verdicts[i], &err), FVLM_CHANGED);
        assert_string_equal(err.msg, want);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        strcpy(err.msg, "another cause");
        assert_int_equal(fvlm_reader_check_unchanged(r, others[i], &err), others[i]);
        assert_string_equal(err.msg, "another cause");
    }
}

static void changes_are_told(void **state)
{
    (void)state;
    fvlm_reader *r;
    struct stat s;
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_check_unchanged(r, FVLM_OK, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_check_unchanged(r, FVLM_MISMATCH, &err), FVLM_MISMATCH);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(truncate(path, s.st_size - 1), 0);
    assert_settles(r, "became shorter");
    assert_int_equal(truncate(path, s.st_size + 1), 0);
    assert_settles(r, "became longer");
    assert_int_equal(truncate(path, s.st_size), 0);
    usleep(20000); /* ticks of the file system's clock */
    const int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "", 1, s.st_size - 1), 1);
    close(fd);
    assert_settles(r, "was written to");
    fvlm_reader_close(&r);
}

/* Replaced, renamed, removed: the reader keeps what it opened, and that is whole. */
static void other_names_are_no_change(void **state)
{
    (void)state;
    fvlm_reader *r;
    char *elsewhere = test_path(folder, "elsewhere");
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    usleep(20000);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(test_sample(path, true, false, NULL, &err), FVLM_OK);
    assert_int_equal(unlink(elsewhere), 0);
    assert_int_equal(fvlm_reader_check(r, NULL, &err), FVLM_OK);
    assert_int_equal(fvlm_reader_check_unchanged(r, FVLM_OK, &err), FVLM_OK);
    fvlm_reader_close(&r);
    free(elsewhere);
}

/* A mapping that is not listed would not be guarded, so there is none: one more is refused by name, and closing one
 * makes room. */
static void no_more_than_listed(void **state)
{
    (void)state;
    static const uint8_t *maps[FVLM_MAX_MAPPED];
    const uint8_t *more = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++)
        assert_int_equal(fvlm_mapped_open(&maps[i], 64, fd, path, &err), FVLM_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fvlm_mapped_open(&more, 64, fd, "one.more", &err), FVLM_LIMIT);
        assert_string_equal(err.msg, "\"one.more\": over 4096 files are in use at once");
        assert_null(more);
    }
    fvlm_mapped_close(maps[7], 64);
    assert_int_equal(fvlm_mapped_open(&maps[7], 64, fd, path, &err), FVLM_OK);
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++) fvlm_mapped_close(maps[i], 64);
    assert_int_equal(fvlm_mapped_open(&maps[0], 64, -1, path, &err), FVLM_IO); /* and a failure keeps none */
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++)
        assert_int_equal(fvlm_mapped_open(&maps[i], 64, fd, path, &err), FVLM_OK);
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++) fvlm_mapped_close(maps[i], 64);
    close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    path = test_path(test_folder(folder), "mapped.fvlm");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cut_short, setup),
        cmocka_unit_test_setup(sixteen_threads, setup),
        cmocka_unit_test_setup(signal_was_blocked, setup),
        cmocka_unit_test_setup(line_of_its_own, setup),
        cmocka_unit_test_setup(many_readers, setup),
        cmocka_unit_test_setup(not_ours, setup),
        cmocka_unit_test_setup(left_alone, setup),
        cmocka_unit_test_setup(changes_are_told, setup),
        cmocka_unit_test_setup(other_names_are_no_change, setup),
        cmocka_unit_test_setup(no_more_than_listed, setup),
    };
    const int failed = cmocka_run_group_tests_name("mapped", tests, NULL, NULL);
    free(path);
    return failed;
}
