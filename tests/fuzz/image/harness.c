/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as a picture: refused with a message, or a square of values from 0 to 1. */
#include "reference/image/image.h"
#include "tests/fuzz/harness.h"

enum { SIDE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fvlm_err err = {0};
    fvlm_pixels p;
    fvlm_status st = fvlm_pixels_load(&p, fuzz_file(data, size), &(fvlm_pixels_options){.side = SIDE}, &err);
    must_explain(st, &err);
    if (st) return 0;
    MUST(p.side == SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++) MUST(p.values[i] >= 0 && p.values[i] <= 1);
    fvlm_pixels_free(&p);
    return 0;
}
