/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.c - see cpu.h. The only file that asks the processor what it is. */
#define _GNU_SOURCE 1 /* sched_getaffinity */
#include "format/base/cpu.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define DOTPROD_BIT (1ul << 20) /* HWCAP_ASIMDDP */
#endif

static const char *const names[FVLM_CPU_COUNT] = {"scalar", "avx2", "avx512", "neon", "dotprod"};

const char *fvlm_cpu_name(fvlm_cpu cpu)
{
    return names[cpu];
}

bool fvlm_cpu_runs(fvlm_cpu cpu)
{
#if defined(__x86_64__)
    unsigned a, b, c = 0, d;
    __builtin_cpu_init();
    /* F16C has no name in __builtin_cpu_supports of older compilers. */
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    if (cpu == FVLM_CPU_AVX2) return avx2;
    if (cpu == FVLM_CPU_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    if (cpu == FVLM_CPU_NEON) return true;
    if (cpu == FVLM_CPU_DOTPROD) return (getauxval(AT_HWCAP) & DOTPROD_BIT) != 0;
#endif
    return cpu == FVLM_CPU_SCALAR;
}

fvlm_status fvlm_cpu_select(fvlm_cpu *out, const char *name, fvlm_err *err)
{
    const bool best = !name || !*name;
    *out = FVLM_CPU_SCALAR;
    for (fvlm_cpu c = 0; c < FVLM_CPU_COUNT; c++) {
        if (!best && strcmp(name, names[c]) != 0) continue;
        if (fvlm_cpu_runs(c)) *out = c;
        if (best) continue;
        return *out == c ? FVLM_OK : fvlm_fail(err, FVLM_UNSUPPORTED, "this machine cannot run %s kernels", name);
    }
    if (best) return FVLM_OK;
    return fvlm_fail(err, FVLM_USAGE, "CPU level \"%.40s\" is unknown; use scalar, avx2, avx512, neon or dotprod",
                     name);
}

/* ---- threads ---- */

/* Whether word is one of list, "a,b,c". */
static bool is_listed(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (!strncmp(at, word, n) && (!at[n] || at[n] == ',')) return true;
    return false;
}

/* Reads at most two numbers from a file of a group; returns how many. */
static int read_numbers(const char *mount, const char *group, const char *file, long *out)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s/%s", mount, group, file) >= (int)sizeof path) return 0;
    FILE *f = fopen(path, "re");
    const int n = f ? fscanf(f, "%ld %ld", &out[0], &out[1]) : 0;
    if (f) fclose(f);
    return n;
}

/* The group's limit as whole processors; 0: none. Version 2 has "QUOTA PERIOD" or "max PERIOD" in cpu.max, version 1
 * one number in each of two files, -1 for no limit. */
static unsigned group_limit(const char *mount, const char *group)
{
    long quota[2] = {0, 0}, period[2] = {0, 0};
    if (read_numbers(mount, group, "cpu.max", quota) == 2)
        period[0] = quota[1];
    else if (read_numbers(mount, group, "cpu.cfs_quota_us", quota) < 1 ||
             read_numbers(mount, group, "cpu.cfs_period_us", period) < 1)
        return 0;
    if (quota[0] <= 0 || period[0] <= 0) return 0;
    const long n = (quota[0] - 1) / period[0] + 1;
    return n < FVLM_MAX_THREADS ? (unsigned)n : FVLM_MAX_THREADS;
}

/* From our own group up: the tightest limit counts. */
static unsigned tightest_limit(const char *mount, char *group)
{
    unsigned least = 0;
    for (char *slash = group; slash;) {
        const unsigned n = group_limit(mount, group);
        if (n && (!least || n < least)) least = n;
        slash = strrchr(group, '/');
        if (slash) *slash = 0;
    }
    return least;
}

/* A line is "0::/GROUP" for version 2, and "4:cpu,cpuacct:/GROUP" for version 1, mounted in the folder cpu,cpuacct. */
unsigned fvlm_threads_in_cgroup(const char *mount, const char *membership)
{
    FILE *f = fopen(membership, "re");
    if (!f) return 0;
    char line[PATH_MAX], folder[PATH_MAX];
    unsigned least = 0;
    while (fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *controllers++ = 0;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        const bool version_2 = !strcmp(line, "0") && !*controllers;
        if (!version_2 && !is_listed(controllers, "cpu")) continue;
        const char *link = version_2 ? "" : "/";
        if (snprintf(folder, sizeof folder, "%s%s%s", mount, link, controllers) >= (int)sizeof folder) continue;
        const unsigned n = tightest_limit(folder, group);
        if (n && (!least || n < least)) least = n;
    }
    fclose(f);
    return least;
}

unsigned fvlm_threads_available(void)
{
    cpu_set_t mask;
    long n = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned quota = fvlm_threads_in_cgroup("/sys/fs/cgroup", "/proc/self/cgroup");
    if (quota && n > quota) n = quota;
    return n < 1 ? 1 : n > FVLM_MAX_THREADS ? FVLM_MAX_THREADS : (unsigned)n;
}

unsigned fvlm_threads_choose(uint64_t wanted)
{
    const unsigned all = fvlm_threads_available();
    return wanted == 0 || wanted > all ? all : (unsigned)wanted;
}
