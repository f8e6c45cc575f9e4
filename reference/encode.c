/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - from a picture's file to the rows that stand for it, square by square. */
#include <stdlib.h>

#include "format/base/clock.h"
#include "reference/model.h"
#include "reference/splice.h"
#include "reference/tiling.h"

static uint32_t side_of(const fvlm_model *m, const fvlm_image *image)
{
    return image->side ? image->side : m->config->vision.image_size;
}

static fvlm_status choose(fvlm_tiling_choice *out, const fvlm_model *m, const fvlm_image *image, fvlm_err *err)
{
    const uint32_t side = side_of(m, image);
    const fvlm_status st = fvlm_model_check_side(m, side, err);
    return st ? st : fvlm_tiling_sizes(out, m->config, &image->tiling, side, err);
}

fvlm_status fvlm_model_check_image(const fvlm_model *m, const fvlm_image *image, fvlm_err *err)
{
    fvlm_tiling_choice ignored;
    return choose(&ignored, m, image, err);
}

fvlm_status fvlm_model_load_tiles(const fvlm_model *m, const fvlm_image *image, fvlm_tiles *out, fvlm_err *err)
{
    const fvlm_pixels_options o = {
        .side = side_of(m, image), .picture = image->picture, .cpu = fvlm_exec_cpu(m->exec), .stop = m->options.stop};
    fvlm_tiling_choice choice;
    *out = (fvlm_tiles){0};
    const fvlm_status st = choose(&choice, m, image, err);
    return st ? st
              : fvlm_tiles_load(out, image->path, &o, choice.sizes ? choice.sizes : (const uint32_t(*)[2])choice.own,
                                choice.n, err);
}

size_t fvlm_model_tiles_tokens(const fvlm_config *c, const fvlm_tiles *t)
{
    return fvlm_splice_plan(c, t).tokens;
}

/* ---- one square ---- */

typedef struct {
    fvlm_splice splice;
    fvlm_pixels pixels; /* of the tile in hand */
    float *features;    /* [tokens of a square, vision.out_dim] */
    float *square;      /* [tokens of a square, image width] */
} scratch;

static void free_scratch(scratch *s)
{
    fvlm_pixels_free(&s->pixels);
    free(s->features);
    free(s->square);
}

/* A picture that is not divided needs only the features, and those only before a projector. */
static fvlm_status reserve(scratch *s, const fvlm_model *m, const fvlm_tiles *t, fvlm_err *err)
{
    const fvlm_config *c = m->config;
    const size_t side = t->overview.side, n = s->splice.side * s->splice.side;
    s->pixels =
        (fvlm_pixels){.side = t->overview.side, .values = fvlm_alloc(t->columns ? side * side * 3 : 0, sizeof(float))};
    s->features = fvlm_alloc(fvlm_config_has_projector(c) ? n * c->vision.out_dim : 0, sizeof(float));
    s->square = fvlm_alloc(t->columns ? n * fvlm_config_image_width(c) : 0, sizeof(float));
    return s->pixels.values && s->features && s->square ? FVLM_OK : fvlm_fail_nomem(err);
}

/* Square to rows [tokens of a square, image width]. Sets the cost's seconds. */
static fvlm_status encode_square(fvlm_model *m, const scratch *s, const fvlm_pixels *pixels, float *rows,
                                 fvlm_tile_cost *cost, fvlm_err *err)
{
    const bool project = fvlm_config_has_projector(m->config);
    const double started = fvlm_clock_seconds();
    fvlm_status st = fvlm_model_tower(m, pixels, project ? s->features : rows, err);
    const double seen = fvlm_clock_seconds();
    if (!st && project) st = fvlm_model_project(m, s->features, s->splice.side * s->splice.side, rows, err);
    cost->vision = seen - started;
    cost->projector = fvlm_clock_seconds() - seen;
    return st;
}

fvlm_status fvlm_model_encode_tiles(fvlm_model *m, const fvlm_tiles *t, float *rows, fvlm_tile_cost *each,
                                    fvlm_err *err)
{
    const size_t width = fvlm_config_image_width(m->config);
    scratch s = {.splice = fvlm_splice_plan(m->config, t)};
    fvlm_status st = reserve(&s, m, t, err);
    for (size_t i = 0; i < fvlm_tiles_count(t) && !st; i++) {
        fvlm_tile_cost cost;
        float *to = t->columns ? s.square : rows;
        if (i > 0) fvlm_tiles_get(t, i - 1, s.pixels.values);
        st = encode_square(m, &s, i > 0 ? &s.pixels : &t->overview, to, &cost, err);
        cost.tokens = st ? 0 : t->columns ? fvlm_splice_copy(&s.splice, i, to, width, rows) : s.splice.tokens;
        if (each) each[i] = cost;
    }
    if (!st) fvlm_splice_copy_newlines(&s.splice, m->weights.newline, width, rows);
    free_scratch(&s);
    return st;
}

/* ---- timed ---- */

fvlm_status fvlm_model_encode_timed(fvlm_model *m, const fvlm_tiles *t, float *rows, fvlm_timing *timing,
                                    fvlm_tiling_cost *tiling, fvlm_err *err)
{
    const size_t n = fvlm_tiles_count(t);
    fvlm_tile_cost *each = fvlm_alloc(n, sizeof *each);
    *tiling = (fvlm_tiling_cost){0};
    if (!each) return fvlm_fail_nomem(err);
    const fvlm_status st = fvlm_model_encode_tiles(m, t, rows, each, err);
    for (size_t i = 0; i < n && !st; i++) {
        timing->vision += each[i].vision;
        timing->projector += each[i].projector;
    }
    *tiling = (fvlm_tiling_cost){.columns = t->columns,
                                 .rows = t->rows,
                                 .newlines = fvlm_splice_plan(m->config, t).newlines,
                                 .each = t->columns ? each : NULL};
    if (!t->columns) free(each);
    return st;
}

fvlm_status fvlm_model_load_timed(const fvlm_model *m, const fvlm_image *image, fvlm_tiles *out, double *seconds,
                                  fvlm_err *err)
{
    const double started = fvlm_clock_seconds();
    const fvlm_status st = fvlm_model_load_tiles(m, image, out, err);
    *seconds = fvlm_clock_seconds() - started;
    return st;
}

fvlm_status fvlm_model_encode(fvlm_model *m, const fvlm_image *image, fvlm_embedding *out, fvlm_err *err)
{
    fvlm_tiles tiles;
    *out = (fvlm_embedding){.cols = fvlm_config_image_width(m->config)};
    fvlm_status st = fvlm_model_load_timed(m, image, &tiles, &out->timing.image, err);
    if (st) return st;
    out->picture_notes = tiles.overview.notes;
    out->rows = fvlm_model_tiles_tokens(m->config, &tiles);
    out->values = fvlm_alloc(out->rows * out->cols, sizeof(float));
    if (!out->values) st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_model_encode_timed(m, &tiles, out->values, &out->timing, &out->tiling, err);
    st = fvlm_reader_check_unchanged(m->reader, st, err);
    fvlm_tiles_free(&tiles);
    if (st) fvlm_embedding_free(out);
    return st;
}

void fvlm_embedding_free(fvlm_embedding *e)
{
    free(e->values);
    free(e->tiling.each);
    *e = (fvlm_embedding){0};
}
