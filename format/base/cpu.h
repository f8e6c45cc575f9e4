/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h - what this machine's processors can do, and how many this process may use. */
#ifndef FVLM_FORMAT_BASE_CPU_H
#define FVLM_FORMAT_BASE_CPU_H

#include "format/base/base.h"

/* Sets of instructions that code is compiled for. On each architecture, a later one includes the earlier ones:
 * scalar < avx2 < avx512 on x86-64, scalar < neon < dotprod on AArch64. */
typedef enum {
    FVLM_CPU_SCALAR,
    FVLM_CPU_AVX2,   /* with FMA and F16C */
    FVLM_CPU_AVX512, /* F, BW, DQ, VL and VNNI */
    FVLM_CPU_NEON,
    FVLM_CPU_DOTPROD,
    FVLM_CPU_COUNT
} fvlm_cpu;

const char *fvlm_cpu_name(fvlm_cpu cpu); /* "avx2", as --cpu takes it */
bool fvlm_cpu_runs(fvlm_cpu cpu);        /* on this machine */

/* The set called name; NULL or "": the best this machine runs. An unknown name is FVLM_USAGE, one that
 * this machine does not run FVLM_UNSUPPORTED. */
fvlm_status fvlm_cpu_select(fvlm_cpu *out, const char *name, fvlm_err *err);

#define FVLM_MAX_THREADS 64

/* How many threads can run at once: processors in this thread's affinity mask, at most the processor time that the
 * control group grants, 1 to FVLM_MAX_THREADS. */
unsigned fvlm_threads_available(void);

/* How many threads to start when the user says "wanted": 0 means all, and more than are available is not
 * an error but all. */
unsigned fvlm_threads_choose(uint64_t wanted);

/* The control group's part of the above, rounded up to whole processors; 0 if there is no limit. mount is where the
 * hierarchy lies (/sys/fs/cgroup), membership the list of our groups (/proc/self/cgroup). */
unsigned fvlm_threads_in_cgroup(const char *mount, const char *membership);

#endif
