/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - from a picture's file to the rows that stand for it. */
#include <stdlib.h>

#include "format/base/clock.h"
#include "reference/model.h"

static double lap(double *since)
{
    const double now = fvlm_clock_seconds(), took = now - *since;
    *since = now;
    return took;
}

fvlm_status fvlm_model_encode_into(fvlm_model *m, const fvlm_image *image, float *features, float *rows, fvlm_timing *t,
                                   unsigned *notes, fvlm_err *err)
{
    const bool project = fvlm_config_has_projector(m->config);
    const fvlm_pixels_options o = {
        .side = image->side, .picture = image->picture, .cpu = fvlm_exec_cpu(m->exec), .stop = m->options.stop};
    fvlm_pixels pixels = {0};
    double since = fvlm_clock_seconds();
    fvlm_status st = fvlm_pixels_load(&pixels, image->path, &o, err);
    *notes = pixels.notes;
    t->image = lap(&since);
    if (!st) st = fvlm_model_tower(m, &pixels, project ? features : rows, err);
    t->vision = lap(&since);
    if (!st && project)
        st = fvlm_model_project(m, features, fvlm_model_image_tokens(m->config, image->side), rows, err);
    t->projector = lap(&since);
    fvlm_pixels_free(&pixels);
    return st;
}

fvlm_status fvlm_model_encode(fvlm_model *m, const fvlm_image *image, fvlm_embedding *out, fvlm_err *err)
{
    const fvlm_config *c = m->config;
    const fvlm_image sized = {image->path, image->picture, image->side ? image->side : c->vision.image_size};
    *out = (fvlm_embedding){.cols = fvlm_config_image_width(c)};
    fvlm_status st = fvlm_model_check_side(m, sized.side, err);
    if (st) return st;
    out->rows = fvlm_model_image_tokens(c, sized.side);
    out->values = fvlm_alloc(out->rows * out->cols, sizeof(float));
    float *features = fvlm_alloc(fvlm_config_has_projector(c) ? out->rows * c->vision.out_dim : 0, sizeof(float));
    if (!out->values || !features) st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_model_encode_into(m, &sized, features, out->values, &out->timing, &out->picture_notes, err);
    st = fvlm_reader_check_unchanged(m->reader, st, err);
    free(features);
    if (st) fvlm_embedding_free(out);
    return st;
}

void fvlm_embedding_free(fvlm_embedding *e)
{
    free(e->values);
    *e = (fvlm_embedding){0};
}
