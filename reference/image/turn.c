/* SPDX-License-Identifier: Apache-2.0 */
/* turn.c - turns an image as its EXIF orientation says, while its rows pass through. A mirrored row is written at once;
 * a picture that stands on its head or lies on its side is collected, in 3 bytes a pixel. */
#include <stdlib.h>
#include <string.h>

#include "reference/image/formats.h"

enum { BLOCK = 16 }; /* columns that become rows together: 48 bytes of each row, about a cache line */

static bool on_its_side(unsigned orientation)
{
    return orientation >= 5;
}

fvlm_status fvlm_image_begin(fvlm_image_job *job, uint32_t width, uint32_t height, unsigned orientation, fvlm_err *err)
{
    job->width = width;
    job->height = height;
    job->orientation = job->picture == FVLM_PICTURE_APPLE ? 1 : orientation;
    if (job->orientation > 1) {
        job->notes |= FVLM_PIXELS_TURNED;
        job->turned = fvlm_alloc(job->orientation == 2 ? 1 : height, (size_t)width * 3);
        if (!job->turned) return fvlm_fail_nomem(err);
    }
    const bool side = on_its_side(job->orientation);
    return job->begin(job->ctx, side ? height : width, side ? width : height, err);
}

static void mirror(const uint8_t *in, size_t width, uint8_t *out)
{
    for (size_t x = 0; x < width; x++) memcpy(out + 3 * (width - 1 - x), in + 3 * x, 3);
}

fvlm_status fvlm_image_row(fvlm_image_job *job, const uint8_t *rgb, fvlm_err *err)
{
    const size_t n = (size_t)job->width * 3;
    if (job->orientation <= 2) {
        if (job->orientation == 2) mirror(rgb, job->width, job->turned);
        job->row(job->ctx, job->orientation == 2 ? job->turned : rgb);
    } else {
        memcpy(job->turned + job->n_rows * n, rgb, n);
    }
    job->n_rows++;
    return fvlm_stop_check(job->stop, err);
}

/* Orientations 3 and 4: from bottom to top, 3 mirrored too. */
static fvlm_status end_upside_down(fvlm_image_job *job, uint8_t *row, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t y = job->height; y-- > 0 && !st; st = fvlm_stop_check(job->stop, err)) {
        const uint8_t *in = job->turned + y * job->width * 3;
        if (job->orientation == 3) mirror(in, job->width, row);
        job->row(job->ctx, job->orientation == 3 ? row : in);
    }
    return st;
}

/* Orientations 5 to 8: columns become rows. 5 and 6 from left to right, 7 and 8 from right to left; 5 and 8 keep top to
 * bottom as left to right, 6 and 7 reverse it. rows [BLOCK][height][3]. */
static fvlm_status end_on_its_side(fvlm_image_job *job, uint8_t *rows, fvlm_err *err)
{
    const size_t w = job->width, h = job->height;
    const bool from_right = job->orientation >= 7, reversed = job->orientation == 6 || job->orientation == 7;
    fvlm_status st = FVLM_OK;
    for (size_t done = 0; done < w && !st; done += BLOCK, st = fvlm_stop_check(job->stop, err)) {
        const size_t n = w - done < BLOCK ? w - done : BLOCK;
        const size_t left = from_right ? w - done - n : done;
        for (size_t y = 0; y < h; y++) {
            const uint8_t *in = job->turned + (y * w + left) * 3;
            const size_t x = reversed ? h - 1 - y : y;
            for (size_t i = 0; i < n; i++) memcpy(rows + ((from_right ? n - 1 - i : i) * h + x) * 3, in + 3 * i, 3);
        }
        for (size_t i = 0; i < n; i++) job->row(job->ctx, rows + i * h * 3);
    }
    return st;
}

fvlm_status fvlm_image_end(fvlm_image_job *job, fvlm_err *err)
{
    if (job->orientation <= 2) return FVLM_OK;
    const bool side = on_its_side(job->orientation);
    uint8_t *rows = fvlm_alloc(side ? BLOCK : 1, (size_t)(side ? job->height : job->width) * 3);
    if (!rows) return fvlm_fail_nomem(err);
    const fvlm_status st = side ? end_on_its_side(job, rows, err) : end_upside_down(job, rows, err);
    free(rows);
    return st;
}
