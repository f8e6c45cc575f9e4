/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - see memory.h. */
#include "format/base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line "Name:   123 kB" of /proc/self/status; 0 if there is none. */
static uint64_t status_kilobytes(const char *name)
{
    FILE *f = fopen("/proc/self/status", "re");
    if (!f) return 0;
    char line[256];
    uint64_t kb = 0;
    const size_t n = strlen(name);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            kb = strtoull(line + n + 1, NULL, 10);
            break;
        }
    fclose(f);
    return kb;
}

uint64_t fvlm_memory_peak_bytes(void)
{
    return status_kilobytes("VmHWM") * 1024;
}

uint64_t fvlm_memory_peak_anonymous_bytes(void)
{
    static _Atomic uint64_t peak;
    uint64_t now = status_kilobytes("RssAnon") * 1024, before = atomic_load(&peak);
    while (now > before && !atomic_compare_exchange_weak(&peak, &before, now)) {
    }
    return now > before ? now : before;
}
