/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: SIGKILL at any moment of writing leaves the old file or the new one, whole, and at most
 * one stray temporary file, which the next run removes. Both ways of writing are tried: the file
 * without a name, and (in a root folder without /proc) the one with a temporary name. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "format/base/output.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

#define N_BYTES 300000

static char folder[256];
static char *target, *inside; /* the target's path seen from here, and from the child */

static fvlm_status write_filled(const char *path, char c)
{
    static char bytes[N_BYTES];
    fvlm_output *o;
    fvlm_err err;
    memset(bytes, c, sizeof bytes);
    fvlm_status st = fvlm_output_create(&o, path, true, &err);
    if (st) return st;
    st = fvlm_output_reserve(o, N_BYTES, &err);
    for (size_t at = 0; at < N_BYTES && !st; at += 10000) st = fvlm_output_write(o, at, bytes + at, 10000, &err);
    if (!st) return fvlm_output_publish(&o, &err);
    fvlm_output_discard(&o);
    return st;
}

/* All one letter and complete, or absent before the first success. */
static bool is_whole(void)
{
    size_t n;
    char *bytes = (char *)test_read_file(target, &n);
    if (!bytes) return false;
    bool ok = n == N_BYTES;
    for (size_t i = 1; i < n && ok; i++) ok = bytes[i] == bytes[0];
    free(bytes);
    return ok;
}

static void kill_after(pid_t child, uint64_t microseconds)
{
    struct timespec t = {.tv_nsec = (long)microseconds * 1000};
    nanosleep(&t, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void kill_writers(bool hidden_proc)
{
    test_rng rng = {hidden_proc ? 11 : 12};
    size_t strays = 0, rounds = 150;
    assert_int_equal(write_filled(target, '0'), FVLM_OK);
    for (size_t i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (hidden_proc && (chroot(folder) != 0 || chdir("/") != 0)) _exit(1);
            for (char c = 'a';; c = (char)(c == 'z' ? 'a' : c + 1)) write_filled(hidden_proc ? inside : target, c);
        }
        kill_after(child, 200 + test_below(&rng, 6000));
        if (!is_whole()) fail_msg("round %zu: the target is torn", i);
        size_t entries = test_count_entries(folder);
        if (entries > 2) fail_msg("round %zu: %zu files in the folder", i, entries);
        strays += entries == 2;
    }
    assert_int_equal(write_filled(target, 'A'), FVLM_OK);
    assert_int_equal(test_count_entries(folder), 1);
    print_message("# %zu kills, %zu left a temporary file, which the next run removed\n", rounds, strays);
}

static void without_a_name(void **state)
{
    (void)state;
    kill_writers(false);
}

static void with_a_temporary_name(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    kill_writers(true);
}

static void a_whole_model(void **state)
{
    (void)state;
    test_rng rng = {13};
    fvlm_err err;
    size_t absent = 0, rounds = 100;
    char *path = test_path(folder, "model.fvlm");
    for (size_t i = 0; i < rounds; i++) {
        if (i % 4 == 0) unlink(path);
        pid_t child = fork();
        if (child == 0)
            for (;;) test_sample(path, true, false, NULL, &err);
        kill_after(child, 200 + test_below(&rng, 6000));
        fvlm_reader *r;
        if (access(path, F_OK) != 0) {
            absent++;
            continue;
        }
        if (fvlm_reader_open(&r, path, &err) || fvlm_reader_check(r, NULL, &err)) fail_msg("round %zu: %s", i, err.msg);
        fvlm_reader_close(&r);
    }
    print_message("# %zu kills of a model's writer: %zu left none, the rest a verified file\n", rounds, absent);
    free(path);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    target = test_path(test_folder(folder), "target");
    inside = fvlm_strdup("/target");
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_a_name), cmocka_unit_test(with_a_temporary_name),
                                       cmocka_unit_test(a_whole_model)};
    int failed = cmocka_run_group_tests_name("kill", tests, NULL, NULL);
    free(target);
    free(inside);
    return failed;
}
