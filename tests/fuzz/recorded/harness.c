/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as recorded activations (`verify --against-activations`): refused with a message, or what is
 * read lies inside the file. */
#include "tests/fuzz/harness.h"
#include "verify/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fvlm_err err = {0};
    fvlm_witness *w;
    const fvlm_parity_options o = {.recorded = fuzz_file(data, size)};
    bool more;
    fvlm_status st = fvlm_witness_recorded_open(&w, &o, &err);
    must_explain(st, &err);
    if (st) return 0;
    fvlm_runner_input in;
    size_t sum = 0;
    if (w->kind->begin(w, 0, &in, &more, &err) || !more) abort();
    if (in.pixels->values)
        for (size_t i = 0; i < (size_t)in.pixels->side * in.pixels->side * 3; i++) sum += in.pixels->values[i] > 0;
    const float *x;
    must_explain(w->kind->block(w, "logits", 1, 4, &x, &err), &err);
    for (fvlm_runner_token t = w->kind->next(w); !t.ended; t = w->kind->next(w)) sum += t.id;
    volatile size_t kept = sum; /* so that every read happens */
    (void)kept;
    w->kind->close(w);
    return 0;
}
