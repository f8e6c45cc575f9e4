/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.c - what image.h makes of a file, for the oracle tests.
 *   pixels rgb FILE            "WIDTH HEIGHT\n", then the bytes of convert("RGB")
 *   pixels resize FILE W H     the same after resizing
 *   pixels square FILE SIDE    the same after padding and resizing, by the separate steps
 *   pixels f32 FILE SIDE       little-endian floats of fvlm_pixels_load */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/image/image.h"

static int complain(const fvlm_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return fvlm_exit_code(err->code);
}

static int print_f32(const char *path, uint32_t side)
{
    fvlm_pixels p;
    fvlm_err err = {0};
    if (fvlm_pixels_load(&p, path, side, &err)) return complain(&err);
    const size_t n = (size_t)side * side * 3;
    const bool ok = fwrite(p.values, sizeof *p.values, n, stdout) == n;
    fvlm_pixels_free(&p);
    return ok ? 0 : 3;
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    const char *what = argv[1], *path = argv[2];
    const uint32_t a = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    const uint32_t b = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : a;
    if (strcmp(what, "f32") == 0) return print_f32(path, a);
    fvlm_rgb image;
    fvlm_err err = {0};
    if (fvlm_rgb_load(&image, path, &err)) return complain(&err);
    fvlm_status st = FVLM_OK;
    if (strcmp(what, "square") == 0) st = fvlm_rgb_square(&image, &err);
    if (!st && a) st = fvlm_rgb_resize(&image, a, b, &err);
    if (st) return complain(&err);
    const size_t n = (size_t)image.width * image.height * 3;
    printf("%u %u\n", image.width, image.height);
    const bool ok = fwrite(image.rgb, 1, n, stdout) == n && fflush(stdout) == 0;
    fvlm_rgb_free(&image);
    return ok ? 0 : 3;
}
