/* SPDX-License-Identifier: Apache-2.0 */
/* image.h - any bytes that begin as one format does, as a picture: refused with a message, or a square of values from 0
 * to 1. Both ways to read a picture take the same files. A harness defines IS_FORMAT(data, size). */
#include "reference/image/image.h"
#include "tests/fuzz/harness.h"

enum { SIDE = 16 };

static fvlm_status read_as(fvlm_picture picture, const char *path)
{
    fvlm_err err = {0};
    fvlm_pixels p;
    const fvlm_status st = fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = SIDE, .picture = picture}, &err);
    must_explain(st, &err);
    if (st) return st;
    MUST(p.side == SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++) MUST(p.values[i] >= 0 && p.values[i] <= 1);
    fvlm_pixels_free(&p);
    return FVLM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!IS_FORMAT(data, size)) return 0;
    const char *path = fuzz_file(data, size);
    const fvlm_status seen = read_as(FVLM_PICTURE_SEEN, path);
    MUST(seen == read_as(FVLM_PICTURE_APPLE, path));
    return 0;
}
