/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: an output file appears whole or not at all. Existing targets need force, links are
 * followed, only regular files are replaced, modes are kept, a full disk is an error that leaves
 * the old file, and temporary files of killed runs are removed, those of living ones not. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/base/file.h"
#include "format/base/output.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static char folder[256];
static fvlm_err err;

static fvlm_status write_text(const char *path, const char *text, bool force)
{
    fvlm_output *o;
    fvlm_status st = fvlm_output_create(&o, path, force, &err);
    if (st) return st;
    st = fvlm_output_reserve(o, strlen(text), &err);
    if (!st) st = fvlm_output_write(o, 0, text, strlen(text), &err);
    if (!st) return fvlm_output_publish(&o, &err);
    fvlm_output_discard(&o);
    return st;
}

static bool holds(const char *path, const char *text)
{
    size_t n;
    char *found = (char *)test_read_file(path, &n);
    bool same = found && n == strlen(text) && memcmp(found, text, n) == 0;
    free(found);
    return same;
}

static int setup(void **state)
{
    *state = (void *)(uintptr_t)test_folder(folder);
    memset(&err, 0, sizeof err);
    return 0;
}

static char *in(const char *name)
{
    return test_path(folder, name);
}

static void new_and_replaced(void **state)
{
    (void)state;
    char *path = in("a");
    assert_int_equal(write_text(path, "one", false), FVLM_OK);
    assert_true(holds(path, "one"));
    assert_int_equal(write_text(path, "two", false), FVLM_EXISTS);
    assert_non_null(strstr(err.msg, "a\" exists"));
    assert_true(holds(path, "one"));
    assert_int_equal(write_text(path, "three", true), FVLM_OK);
    assert_true(holds(path, "three"));
    assert_int_equal(test_count_entries(folder), 1);
    free(path);
}

static void nothing_until_published(void **state)
{
    (void)state;
    char *path = in("a");
    fvlm_output *o;
    assert_int_equal(fvlm_output_create(&o, path, false, &err), FVLM_OK);
    assert_int_equal(fvlm_output_write(o, 0, "x", 1, &err), FVLM_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    fvlm_output_discard(&o);
    assert_null(o);
    assert_int_equal(test_count_entries(folder), 0);
    free(path);
}

/* Somebody else makes the file between create and publish. */
static void appears_meanwhile(void **state)
{
    (void)state;
    char *path = in("a");
    fvlm_output *o;
    assert_int_equal(fvlm_output_create(&o, path, false, &err), FVLM_OK);
    test_write_file(path, "theirs", 6);
    assert_int_equal(fvlm_output_publish(&o, &err), FVLM_BAD_INPUT);
    assert_non_null(strstr(err.msg, "exists"));
    assert_true(holds(path, "theirs"));
    assert_int_equal(test_count_entries(folder), 1);
    free(path);
}

static void links_are_followed(void **state)
{
    (void)state;
    char *real = in("real"), *link1 = in("link1"), *link2 = in("link2"), *sub = in("sub"), *deep = in("sub/deep");
    mkdir(sub, 0700);
    assert_int_equal(symlink("real", link1), 0);
    assert_int_equal(symlink("../link1", deep), 0);
    assert_int_equal(write_text(deep, "one", false), FVLM_OK); /* dangling: creates what it points to */
    assert_true(holds(real, "one"));
    assert_int_equal(write_text(link1, "two", false), FVLM_BAD_INPUT);
    assert_int_equal(write_text(link1, "two", true), FVLM_OK);
    struct stat s;
    assert_int_equal(lstat(link1, &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_true(holds(real, "two"));
    assert_int_equal(symlink("link2", link2), 0); /* points at itself */
    assert_int_equal(write_text(link2, "x", true), FVLM_IO);
    assert_non_null(strstr(err.msg, "Too many levels"));
    free(real), free(link1), free(link2), free(sub), free(deep);
}

static void only_regular_files(void **state)
{
    (void)state;
    char *fifo = in("fifo"), *none = in("none/a");
    mkfifo(fifo, 0600);
    const char *bad[] = {"/dev/full", "/dev/null", "/dev/stdout", fifo, folder, "/", ".", ".."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fvlm_status st = write_text(bad[i], "x", true);
        /* /dev/stdout may be a pipe whose link text is no path */
        if (st != FVLM_BAD_INPUT && strcmp(bad[i], "/dev/stdout") != 0) fail_msg("%s: %d %s", bad[i], st, err.msg);
        assert_true(st != FVLM_OK || strcmp(bad[i], "/dev/stdout") == 0);
    }
    assert_int_equal(write_text(none, "x", false), FVLM_IO);
    assert_non_null(strstr(err.msg, "cannot open its folder: No such file"));
    assert_int_equal(write_text("", "x", false), FVLM_BAD_INPUT);
    free(fifo), free(none);
}

static void modes(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 027, 0777}, old[] = {0600, 0644, 0640, 0755, 0444};
    char *path = in("a");
    struct stat s;
    for (size_t i = 0; i < 5; i++) {
        mode_t before = umask(masks[i]);
        unlink(path);
        assert_int_equal(write_text(path, "x", false), FVLM_OK);
        assert_int_equal(stat(path, &s), 0);
        assert_int_equal(s.st_mode & 07777, 0666 & ~masks[i]);
        for (size_t k = 0; k < 5; k++) {
            chmod(path, old[k]);
            assert_int_equal(write_text(path, "y", true), FVLM_OK);
            assert_int_equal(stat(path, &s), 0);
            assert_int_equal(s.st_mode & 07777, old[k]);
        }
        umask(before);
    }
    free(path);
}

static void stale_files(void **state)
{
    (void)state;
    char *path = in("a.fvlm"), *dead = in(".fvlm-a.fvlm-0badcafe.tmp"), *alive = in(".fvlm-a.fvlm-0badcaff.tmp"),
         *other = in(".fvlm-b.fvlm-0badcafe.tmp"), *lookalike = in(".fvlm-a.fvlm-0badcaf.tmp");
    test_write_file(dead, "x", 1);
    test_write_file(alive, "x", 1);
    test_write_file(other, "x", 1);
    test_write_file(lookalike, "x", 1);
    int fd = open(alive, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(write_text(path, "x", false), FVLM_OK);
    assert_int_not_equal(access(dead, F_OK), 0);
    assert_int_equal(access(alive, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(access(lookalike, F_OK), 0);
    close(fd);
    free(path), free(dead), free(alive), free(other), free(lookalike);
}

/* As nobody: root may write anywhere. */
static void read_only_folder(void **state)
{
    (void)state;
    char *path = in("a");
    chmod(folder, 0555);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
        _exit(write_text(path, "x", false) == FVLM_IO && strstr(err.msg, "Permission denied") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    chmod(folder, 0755);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(test_count_entries(folder), 0);
    free(path);
}

static void file_size_limit(void **state)
{
    (void)state;
    char *path = in("a.fvlm");
    test_write_file(path, "old", 3);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {65536, 65536};
        signal(SIGXFSZ, SIG_IGN); /* as the command line does: EFBIG instead of death */
        setrlimit(RLIMIT_FSIZE, &limit);
        fvlm_status st = test_sample(path, true, false, NULL, &err);
        bool told = strstr(err.msg, "File too large; the previous file is untouched") && strstr(err.msg, path);
        _exit(st == FVLM_IO && told ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status)); /* not killed by SIGXFSZ */
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(holds(path, "old"));
    assert_int_equal(test_count_entries(folder), 1);
    free(path);
}

/* A real file system of every size from too small to enough. */
static void full_disk(void **state)
{
    (void)state;
    char *path = in("a.fvlm");
    size_t refused = 0, fine = 0;
    for (unsigned kb = 4; kb <= 132; kb += 4) {
        char options[32];
        snprintf(options, sizeof options, "size=%uk", kb);
        if (mount("none", folder, "tmpfs", 0, options) != 0) {
            print_message("# skipped: cannot mount a tmpfs here (%s)\n", strerror(errno));
            free(path);
            skip();
        }
        test_write_file(path, "old", 3);
        fvlm_status st = test_sample(path, true, false, NULL, &err);
        if (st) {
            bool told = strstr(err.msg, "No space left on device; the previous file is untouched") != NULL;
            bool old = holds(path, "old");
            size_t entries = test_count_entries(folder);
            umount(folder);
            if (st != FVLM_IO || !told || !old || entries != 1)
                fail_msg("%u kB: %s, %zu entries, old %s", kb, err.msg, entries, old ? "there" : "gone");
            refused++;
        } else {
            fvlm_reader *r;
            st = fvlm_reader_open(&r, path, &err);
            fvlm_reader_close(&r);
            umount(folder);
            assert_int_equal(st, FVLM_OK);
            fine++;
        }
    }
    print_message("# %zu disk sizes refused, %zu large enough\n", refused, fine);
    assert_true(refused > 10 && fine > 0);
    free(path);
}

static void same_file(void **state)
{
    (void)state;
    char *a = in("a"), *hard = in("hard"), *soft = in("soft"), *b = in("b");
    test_write_file(a, "x", 1);
    test_write_file(b, "x", 1);
    assert_int_equal(link(a, hard), 0);
    assert_int_equal(symlink("a", soft), 0);
    assert_true(fvlm_file_same(a, a) && fvlm_file_same(a, hard) && fvlm_file_same(soft, hard));
    assert_false(fvlm_file_same(a, b) || fvlm_file_same(a, "/nonexistent") ||
                 fvlm_file_same("/nonexistent", "/nonexistent"));
    free(a), free(hard), free(soft), free(b);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(new_and_replaced, setup),   cmocka_unit_test_setup(nothing_until_published, setup),
        cmocka_unit_test_setup(appears_meanwhile, setup),  cmocka_unit_test_setup(links_are_followed, setup),
        cmocka_unit_test_setup(only_regular_files, setup), cmocka_unit_test_setup(modes, setup),
        cmocka_unit_test_setup(stale_files, setup),        cmocka_unit_test_setup(read_only_folder, setup),
        cmocka_unit_test_setup(file_size_limit, setup),    cmocka_unit_test_setup(full_disk, setup),
        cmocka_unit_test_setup(same_file, setup)};
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
