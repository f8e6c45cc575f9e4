/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: names of instruction sets are taken as /proc/cpuinfo allows, with one message each for "unknown" and "not
 * on this machine"; threads are as many as affinity and control group allow. */
#include <sched.h>
#include <sys/stat.h>

#include "format/base/cpu.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

/* Is flag a word of a line of /proc/cpuinfo that begins with "flags" (x86) or "Features" (Arm)? */
static bool cpuinfo_has(const char *flag)
{
    static char line[16384];
    FILE *f = fopen("/proc/cpuinfo", "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0) continue;
        for (char *word = strtok(line, " \t\n"); word && !found; word = strtok(NULL, " \t\n"))
            found = strcmp(word, flag) == 0;
        break;
    }
    if (f) fclose(f);
    return found;
}

static bool machine_runs(const char *name)
{
    static const struct {
        const char *name, *flags[9];
    } needs[] = {
#if defined(__x86_64__)
        {"avx2", {"avx2", "fma", "f16c"}},
        {"avx512", {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}},
#elif defined(__aarch64__)
        {"neon", {"asimd"}},
        {"dotprod", {"asimddp"}},
#endif
        {"scalar", {NULL}},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        if (strcmp(needs[i].name, name) != 0) continue;
        bool all = true;
        for (size_t k = 0; needs[i].flags[k]; k++) all = all && cpuinfo_has(needs[i].flags[k]);
        return all;
    }
    return false;
}

static void names(void **state)
{
    (void)state;
    static const char *const name[FVLM_CPU_COUNT] = {"scalar", "avx2", "avx512", "neon", "dotprod"};
    fvlm_cpu best = FVLM_CPU_SCALAR, got;
    fvlm_err err;
    for (fvlm_cpu c = 0; c < FVLM_CPU_COUNT; c++) {
        char want[100];
        assert_string_equal(fvlm_cpu_name(c), name[c]);
        assert_int_equal(fvlm_cpu_runs(c), machine_runs(name[c]));
        if (machine_runs(name[c])) {
            best = c;
            assert_int_equal(fvlm_cpu_select(&got, name[c], &err), FVLM_OK);
            assert_int_equal(got, c);
        } else {
            snprintf(want, sizeof want, "this machine cannot run %s kernels", name[c]);
            assert_int_equal(fvlm_cpu_select(&got, name[c], &err), FVLM_UNSUPPORTED);
            assert_string_equal(err.msg, want);
        }
    }
    assert_int_equal(fvlm_cpu_select(&got, NULL, &err), FVLM_OK);
    assert_int_equal(got, best);
    assert_int_equal(fvlm_cpu_select(&got, "", &err), FVLM_OK);
    assert_int_equal(got, best);
    assert_int_equal(fvlm_cpu_select(&got, "sse9", &err), FVLM_USAGE);
    assert_string_equal(err.msg, "CPU level \"sse9\" is unknown; use scalar, avx2, avx512, neon or dotprod");
    assert_int_equal(fvlm_cpu_select(&got, "AVX2", &err), FVLM_USAGE);
}

static void affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const unsigned n = fvlm_threads_available();
    assert_in_range(n, 1, FVLM_MAX_THREADS);
    assert_true(n <= (unsigned)CPU_COUNT(&all));
    assert_int_equal(fvlm_threads_choose(0), n);
    assert_int_equal(fvlm_threads_choose(n), n);
    assert_int_equal(fvlm_threads_choose(1), 1);
    assert_int_equal(fvlm_threads_choose(UINT64_MAX), n);
    size_t first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(fvlm_threads_available(), 1);
    assert_int_equal(fvlm_threads_choose(64), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(fvlm_threads_available(), n);
}

static void put(const char *folder, const char *name, const char *text)
{
    char *path = test_path(folder, name);
    assert_true(test_write_file(path, text, strlen(text)));
    free(path);
}

/* A copy of the hierarchy: /a/b is ours, limits lie in each. */
static void control_groups(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    char *a = test_path(folder, "a"), *b = test_path(folder, "a/b"), *self = test_path(folder, "self");
    assert_true(mkdir(a, 0700) == 0 && mkdir(b, 0700) == 0);
    put(folder, "self", "1:name=systemd:/x\n0::/a/b\n");
    assert_int_equal(fvlm_threads_in_cgroup(folder, self), 0);
    static const struct {
        const char *own, *parent, *top;
        unsigned want;
    } cases[] = {
        {"max 100000\n", "max 100000\n", "max 100000\n", 0},
        {"200000 100000\n", "max 100000\n", "max 100000\n", 2},
        {"200001 100000\n", "max 100000\n", "max 100000\n", 3}, /* rounded up */
        {"10000 100000\n", "max 100000\n", "max 100000\n", 1},
        {"max 100000\n", "400000 100000\n", "max 100000\n", 4},
        {"800000 100000\n", "max 100000\n", "300000 100000\n", 3}, /* the tightest counts */
        {"150000 50000\n", "700000 100000\n", "900000 100000\n", 3},
        {"18446744073709551615 1\n", "max 1\n", "max 1\n", FVLM_MAX_THREADS},
        {"0 100000\n", "5 0\n", "nonsense\n", 0},
        {"", "", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(folder, "a/b/cpu.max", cases[i].own);
        put(folder, "a/cpu.max", cases[i].parent);
        put(folder, "cpu.max", cases[i].top);
        assert_int_equal(fvlm_threads_in_cgroup(folder, self), cases[i].want);
    }
    put(folder, "cpu.max", "500000 100000\n");
    put(folder, "self", "0::/not/visible/from/here\n"); /* a container sees its own group as the root */
    assert_int_equal(fvlm_threads_in_cgroup(folder, self), 5);
    put(folder, "self", "0::/\n");
    assert_int_equal(fvlm_threads_in_cgroup(folder, self), 5);
    assert_int_equal(fvlm_threads_in_cgroup(folder, "/nowhere"), 0);
    free(a);
    free(b);
    free(self);
}

/* Version 1: each controller has its own hierarchy, and the quota two files. */
static void control_groups_version_1(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    static const char *const folders[] = {"cpu,cpuacct", "cpu,cpuacct/docker", "cpuset"};
    for (size_t i = 0; i < 3; i++) {
        char *path = test_path(folder, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    char *self = test_path(folder, "self");
    put(folder, "cpuset/cpu.cfs_quota_us", "100000\n"); /* another controller: not ours */
    put(folder, "cpuset/cpu.cfs_period_us", "100000\n");
    put(folder, "self", "12:cpuset:/\n4:cpu,cpuacct:/docker\n1:name=systemd:/\n");
    static const struct {
        const char *quota, *period, *top_quota;
        unsigned want;
    } cases[] = {{"-1\n", "100000\n", "-1\n", 0},         {"150000\n", "100000\n", "-1\n", 2},
                 {"50000\n", "100000\n", "-1\n", 1},      {"-1\n", "100000\n", "300000\n", 3},
                 {"800000\n", "100000\n", "200000\n", 2}, {"nonsense\n", "100000\n", "\n", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(folder, "cpu,cpuacct/docker/cpu.cfs_quota_us", cases[i].quota);
        put(folder, "cpu,cpuacct/docker/cpu.cfs_period_us", cases[i].period);
        put(folder, "cpu,cpuacct/cpu.cfs_quota_us", cases[i].top_quota);
        put(folder, "cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assert_int_equal(fvlm_threads_in_cgroup(folder, self), cases[i].want);
    }
    put(folder, "cpu,cpuacct/cpu.cfs_quota_us", "500000\n");
    put(folder, "self", "4:cpu,cpuacct:/not/visible/from/here\n"); /* a container sees its own group as the root */
    assert_int_equal(fvlm_threads_in_cgroup(folder, self), 5);
    free(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(affinity),
                                       cmocka_unit_test(control_groups), cmocka_unit_test(control_groups_version_1)};
    return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
