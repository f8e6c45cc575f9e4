/* SPDX-License-Identifier: Apache-2.0 */
/* ops_bits.c - guards the numeric contract: every operation gives the same bits on every
 * instruction set this machine has, at 1, 2 and 3 threads, in both activation modes, and
 * touches no byte beyond its arrays (each ends at a page that may not be touched).
 *
 * Plain TAP, no cmocka: tests/cli/arm64_bits.sh builds it for ARM too and compares the last
 * line, a hash of all results, between the two machines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/ops/ops.h"
#include "tests/support/ops_cases.h"

static const char *const levels[] = {"scalar", "avx2", "avx512", "neon", "dotprod"};
#define N_LEVELS 5

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

static cases_out run(size_t which, const char *level, unsigned threads, fvlm_act_mode mode, bool *there)
{
    fvlm_err err = {0};
    fvlm_exec *e;
    cases_out out = {0};
    *there = fvlm_exec_create(&e, threads, level, mode, &err) == FVLM_OK;
    if (!*there) return out;
    cases_rng r = {0x9e3779b97f4a7c15ull + which};
    ops_cases[which].run(e, &r, &out);
    if (!fvlm_exec_ok(e)) exit(3);
    fvlm_exec_destroy(&e);
    return out;
}

/* First place where two results differ, or n. */
static size_t differs(const cases_out *a, const cases_out *b)
{
    if (a->n != b->n) return 0;
    for (size_t i = 0; i < a->n; i++)
        if (memcmp(&a->values[i], &b->values[i], sizeof *a->values) != 0) return i;
    return a->n;
}

int main(int argc, char **argv)
{
    /* Emulated machines are slow: "quick" runs each level once, on 2 threads. */
    const bool quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    static const char *const modes[] = {"f32", "int8"};
    uint64_t hash = 0xcbf29ce484222325ull;
    unsigned pairs = 0, expected = 0, here = 0, failed = 0, number = 0;
    for (size_t l = 0; l < N_LEVELS; l++) {
        bool there;
        fvlm_exec *e;
        there = fvlm_exec_create(&e, 1, levels[l], FVLM_ACT_F32, NULL) == FVLM_OK;
        if (there)
            fvlm_exec_destroy(&e), here++;
        else
            printf("# %s: this machine cannot run it\n", levels[l]);
    }
    for (size_t c = 0; c < n_ops_cases; c++)
        for (unsigned mode = 0; mode < (ops_cases[c].weights ? 2u : 1u); mode++) {
            bool there;
            expected += here;
            cases_out want = run(c, "scalar", 1, mode ? FVLM_ACT_INT8 : FVLM_ACT_F32, &there);
            hash = fnv(hash, want.values, want.n * sizeof *want.values);
            for (size_t l = 0; l < N_LEVELS; l++) {
                unsigned bad = 0;
                bool any = false;
                for (unsigned threads = quick ? 2 : 1; threads <= (quick ? 2 : 3); threads++) {
                    cases_out got = run(c, levels[l], threads, mode ? FVLM_ACT_INT8 : FVLM_ACT_F32, &there);
                    any = there;
                    if (!there) break;
                    const size_t at = differs(&want, &got);
                    if (at < want.n || want.n != got.n) {
                        bad++;
                        printf("# %s, %s, act %s, %u threads: value %zu is %a, scalar has %a\n", ops_cases[c].name,
                               levels[l], modes[mode], threads, at, (double)got.values[at], (double)want.values[at]);
                    }
                    free(got.values);
                }
                if (!any) continue;
                pairs++;
                failed += bad > 0;
                printf("%sok %u - %s on %s, act %s: %zu values equal to scalar\n", bad ? "not " : "", ++number,
                       ops_cases[c].name, levels[l], modes[mode], want.n);
            }
            free(want.values);
        }
    const bool all = pairs == expected;
    printf("%sok %u - %u of %u pairs of operation and level run, %u levels here\n", all ? "" : "not ", ++number, pairs,
           expected, here);
    printf("1..%u\nhash %016llx\n", number, (unsigned long long)hash);
    return failed || !all;
}
