/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as recorded activations (`verify --against-activations`): refused with a message, or what is
 * read lies inside the file. */
#include "tests/fuzz/harness.h"
#include "verify/recorded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fvlm_err err = {0};
    fvlm_recorded *r;
    fvlm_status st = fvlm_recorded_open(&r, fuzz_file(data, size), &err);
    must_explain(st, &err);
    if (st) return 0;
    size_t n, sum = 0;
    const int64_t *ids = fvlm_recorded_ids(r, &n);
    for (size_t i = 0; i < n; i++) sum += (size_t)ids[i];
    ids = fvlm_recorded_greedy(r, &n);
    for (size_t i = 0; i < n; i++) sum += (size_t)ids[i];
    const fvlm_pixels *p = fvlm_recorded_pixels(r);
    if (p && p->values)
        for (size_t i = 0; i < (size_t)p->side * p->side * 3; i++) sum += p->values[i] > 0;
    volatile size_t kept = sum; /* so that every read happens */
    (void)kept;
    const float *x;
    must_explain(fvlm_recorded_block(r, "logits", 1, 4, &x, &err), &err);
    fvlm_recorded_close(&r);
    return 0;
}
