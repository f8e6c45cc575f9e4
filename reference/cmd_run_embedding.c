/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run_embedding.c - see cmd_run.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "format/base/file.h"
#include "format/base/json.h"
#include "format/base/memory.h"
#include "format/base/npy.h"
#include "format/base/output.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/terminal.h"
#include "reference/cmd_run.h"

enum { SHOWN_ROWS = 4, SHOWN_COLS = 8 };

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Smallest, mean and largest norm of a row. */
static void row_norms(const fvlm_embedding *e, double out[3])
{
    out[0] = INFINITY, out[1] = out[2] = 0;
    for (size_t i = 0; i < e->rows; i++) {
        const double norm = norm_of(e->values + i * e->cols, e->cols);
        out[0] = fmin(out[0], norm);
        out[1] += norm / (double)e->rows;
        out[2] = fmax(out[2], norm);
    }
}

static fvlm_status write_npy(const fvlm_embedding *e, const fvlm_run_embedding_options *o, fvlm_err *err)
{
    const uint64_t dims[] = {e->rows, e->cols};
    uint8_t header[FVLM_NPY_MAX_HEADER];
    const size_t n_header = fvlm_npy_header(2, dims, header), n = e->rows * e->cols;
    fvlm_output *out = NULL;
    if (fvlm_file_same(o->model, o->output) || fvlm_file_same(o->image.path, o->output))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the input itself; write to another name", o->output);
    uint8_t *bytes = fvlm_alloc(n, 4);
    fvlm_status st = bytes ? fvlm_output_create(&out, o->output, o->force, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; i < n && !st; i++) fvlm_store_u32(bytes + 4 * i, fvlm_f32_bits(e->values[i]));
    if (!st) st = fvlm_output_write(out, 0, header, n_header, err);
    if (!st) st = fvlm_output_write(out, n_header, bytes, 4 * n, err);
    if (!st) st = fvlm_output_publish(&out, err);
    fvlm_output_discard(&out);
    free(bytes);
    return st;
}

static json_t *values_json(const fvlm_embedding *e)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < e->rows; i++) {
        json_t *row = json_array();
        for (size_t k = 0; k < e->cols; k++) fvlm_json_append(&row, json_real((double)e->values[i * e->cols + k]));
        fvlm_json_append(&rows, row);
    }
    return rows;
}

static json_t *report(fvlm_model *m, const fvlm_embedding *e, const fvlm_run_embedding_options *o, uint32_t side)
{
    const fvlm_timing *t = &e->timing;
    fvlm_exec *x = fvlm_model_exec(m);
    char notes[FVLM_PIXELS_NOTES_CHARS];
    double norms[3];
    row_norms(e, norms);
    json_t *all = json_pack(
        "{s:o, s:o, s:[I, I], s:{s:f, s:f, s:f, s:f}, s:s, s:s, s:i, s:i, s:s, s:s, s:{s:f, s:f, s:f, s:f}, s:I, s:I}",
        "model", fvlm_json_lossy_string(o->model), "image", fvlm_json_lossy_string(o->image.path), "shape",
        (json_int_t)e->rows, (json_int_t)e->cols, "norm", "all", norm_of(e->values, e->rows * e->cols), "row_min",
        norms[0], "row_mean", norms[1], "row_max", norms[2], "activations", fvlm_act_name(fvlm_exec_mode(x)), "cpu",
        fvlm_exec_cpu(x), "threads", (int)fvlm_pool_threads(fvlm_exec_pool(x)), "size", (int)side, "picture",
        o->image.picture == FVLM_PICTURE_APPLE ? "apple" : "seen", "picture_notes",
        fvlm_pixels_describe_notes(e->picture_notes, notes), "seconds", "open", o->open_seconds, "image", t->image,
        "vision", t->vision, "projector", t->projector, "peak_bytes", (json_int_t)fvlm_memory_peak_bytes(),
        "peak_anonymous_bytes", (json_int_t)fvlm_memory_peak_anonymous_bytes());
    if (e->tiling.columns) fvlm_json_set(&all, "tiles", fvlm_run_cost_tiles_json(&e->tiling));
    if (o->output)
        fvlm_json_set(&all, "output", fvlm_json_lossy_string(o->output));
    else
        fvlm_json_set(&all, "embedding", values_json(e));
    return all;
}

static void print(const fvlm_embedding *e, const fvlm_run_embedding_options *o)
{
    const fvlm_tiling_cost *t = &e->tiling;
    const size_t side = (size_t)lround(sqrt((double)(t->columns ? t->each[0].tokens : e->rows)));
    char tiles[80] = "";
    if (t->columns)
        snprintf(tiles, sizeof tiles, " of the overview, then %" PRIu32 " x %" PRIu32 " tiles", t->columns, t->rows);
    double norms[3];
    row_norms(e, norms);
    fvlm_terminal_print(stdout, "%s: %zu x %zu, one row for each of %zu x %zu image tokens%s\n", o->image.path, e->rows,
                        e->cols, side, side, tiles);
    printf("norm of a row: mean %.5g, from %.5g to %.5g\n", norms[1], norms[0], norms[2]);
    for (size_t i = 0; i < e->rows && i < SHOWN_ROWS; i++) {
        printf("row %-4zu", i);
        for (size_t k = 0; k < e->cols && k < SHOWN_COLS; k++) printf(" %11.5g", (double)e->values[i * e->cols + k]);
        puts(e->cols > SHOWN_COLS ? " ..." : "");
    }
    if (e->rows > SHOWN_ROWS) puts("...");
    puts("all numbers: -o FILE.npy, or --json");
}

static void tell_written(const fvlm_embedding *e, const char *path)
{
    fvlm_terminal_print(stderr, "wrote      %s: %zu x %zu, f32\n", path, e->rows, e->cols);
}

fvlm_status fvlm_run_embedding(fvlm_model *m, const fvlm_run_embedding_options *o, fvlm_err *err)
{
    const uint32_t side = o->image.side ? o->image.side : fvlm_model_config(m)->vision.image_size;
    fvlm_embedding e;
    fvlm_status st = fvlm_model_encode(m, &o->image, &e, err);
    if (!st && o->output) st = write_npy(&e, o, err);
    if (!st && o->json) st = fvlm_cli_print_json(report(m, &e, o, side), err);
    if (!st && !o->json && !o->output) print(&e, o);
    st = fvlm_cli_flush(st, err); /* the embedding comes before the figures, which go to stderr */
    if (!st && !o->quiet && !o->json) {
        if (o->output) tell_written(&e, o->output);
        fvlm_run_cost_begin(e.picture_notes, o->open_seconds);
        fvlm_run_cost_image(m, &e.timing, &e.tiling, side, e.rows);
        fvlm_run_cost_end(m);
    }
    fvlm_embedding_free(&e);
    return st;
}
