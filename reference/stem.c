/* SPDX-License-Identifier: Apache-2.0 */
/* stem.c - both 3x3 stride-2 convolutions of the stem in bands of rows, so that the first one's output, 100 MB at
 * 1024 pixels, never exists as a whole.
 *
 * A band that makes output rows [b, e) is cut out of the image, and the kernels pad at the cut as if it were the
 * image's edge. Padding at the bottom harms nothing, since an output row reads one input row above it and none
 * below its own two. Padding at the top makes one row wrong in each convolution:
 *
 *     image rows             first convolution      second convolution
 *     4b-6 +-------- cut     2b-3 +- - - - wrong
 *          |  read           2b-2 +--------         b-1 +- - - - wrong
 *          |                      |  read           b   +--------
 *          |                      |                     |  kept
 *     4e   +-------- cut     2e   +--------         e   +--------
 *
 * The first convolution's wrong row is skipped. The second's lands on the last row of the band above. Bands are
 * therefore made from the bottom up, and the band above overwrites it. */
#include "reference/stem.h"

/* Rows [first, end), and the row above them that is made from the padding at the cut. */
static fvlm_stem_rows with_halo(size_t first, size_t end)
{
    const size_t halo = first > 0;
    return (fvlm_stem_rows){.first = first - halo, .end = end, .halo = halo};
}

size_t fvlm_stem_count_bands(size_t rows)
{
    return (rows + FVLM_STEM_BAND - 1) / FVLM_STEM_BAND;
}

fvlm_stem_band fvlm_stem_band_at(size_t rows, size_t i)
{
    const size_t first = i * FVLM_STEM_BAND, end = first + FVLM_STEM_BAND;
    const fvlm_stem_rows output = with_halo(first, end < rows ? end : rows);
    const fvlm_stem_rows half = with_halo(2 * output.first, 2 * output.end);
    return (fvlm_stem_band){.pixel = 2 * half.first, .pixel_end = 2 * half.end, .half = half, .output = output};
}

size_t fvlm_stem_scratch(size_t side, size_t dim)
{
    return (2 * FVLM_STEM_BAND + 3) * (side / 2) * dim; /* half rows [2b-3, 2e) */
}

void fvlm_stem_run(fvlm_exec *e, const fvlm_vision_weights *v, const fvlm_pixels *pixels, float *scratch, float *output)
{
    const size_t side = pixels->side, dim = v->stem1.out_c;
    const size_t image_row = side * 3, half_row = side / 2 * dim, output_row = side / 4 * dim;
    for (size_t i = fvlm_stem_count_bands(side / 4); i-- > 0;) {
        const fvlm_stem_band b = fvlm_stem_band_at(side / 4, i);
        const size_t half = b.half.first + b.half.halo;
        fvlm_op_stem(e, pixels->values + b.pixel * image_row, b.pixel_end - b.pixel, side, &v->stem0.weight,
                     v->stem0.bias, scratch);
        fvlm_op_depthwise(e, scratch + b.half.halo * half_row, b.half.end - half, side / 2, &v->stem1, FVLM_GELU,
                          output + b.output.first * output_row);
    }
}
