/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.c - what reference/image makes of a file, for the oracle tests.
 *   pixels apple FILE          "WIDTH HEIGHT\n", then the bytes of convert("RGB")
 *   pixels seen FILE           the same as a person sees it
 *   pixels resize FILE W H     apple after resizing
 *   pixels square FILE SIDE    apple after padding and resizing, by the separate steps
 *   pixels f32 FILE SIDE [apple]  little-endian floats of fvlm_pixels_load */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/image/image.h"
#include "tests/support/rgb.h"
#include "tests/support/support.h"

static int complain(const fvlm_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return fvlm_exit_code(err->code);
}

static int print_f32(const char *path, uint32_t side, const char *how)
{
    fvlm_pixels p;
    fvlm_err err = {0};
    if (fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = side, .picture = fvlm_picture_named(how)}, &err)) return complain(&err);
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
    if (strcmp(what, "f32") == 0) return print_f32(path, a, argc > 4 ? argv[4] : NULL);
    test_rgb image;
    fvlm_err err = {0};
    size_t n_bytes;
    uint8_t *bytes = test_read_file(path, &n_bytes);
    if (!bytes) return 2;
    fvlm_status st = test_rgb_decode(&image, bytes, n_bytes, strcmp(what, "seen") ? FVLM_PICTURE_APPLE : FVLM_PICTURE_SEEN, &err);
    if (!st && strcmp(what, "square") == 0) test_rgb_square(&image);
    if (!st && a) st = test_rgb_resize(&image, a, b, NULL, &err);
    free(bytes);
    if (st) {
        test_rgb_free(&image);
        return complain(&err);
    }
    const size_t n = (size_t)image.width * image.height * 3;
    printf("%u %u\n", image.width, image.height);
    const bool ok = fwrite(image.rgb, 1, n, stdout) == n && fflush(stdout) == 0;
    test_rgb_free(&image);
    return ok ? 0 : 3;
}
