/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run_cost.c - see cmd_run.h. */
#include <inttypes.h>
#include <stdio.h>

#include "format/base/json.h"
#include "format/base/memory.h"
#include "format/cli/terminal.h"
#include "reference/cmd_run.h"

void fvlm_run_cost_begin(unsigned picture_notes, double open_seconds)
{
    char notes[FVLM_PIXELS_NOTES_CHARS];
    if (picture_notes) fprintf(stderr, "\npicture    %s", fvlm_pixels_describe_notes(picture_notes, notes));
    fprintf(stderr, "\nopen       %8.1f ms\n", open_seconds * 1e3);
}

/* "overview", or "tile 2,1": column and row from 1. */
static const char *square_name(const fvlm_tiling_cost *t, size_t i, char out[40])
{
    if (i == 0)
        snprintf(out, 40, "overview");
    else
        snprintf(out, 40, "tile %zu,%zu", (i - 1) % t->columns + 1, (i - 1) / t->columns + 1);
    return out;
}

void fvlm_run_cost_image(const fvlm_model *m, const fvlm_timing *t, const fvlm_tiling_cost *tiling, uint32_t side,
                         size_t image_tokens)
{
    char name[40];
    const size_t n = tiling->columns ? 1 + (size_t)tiling->columns * tiling->rows : 0;
    fprintf(stderr, "image      %8.1f ms   to ", t->image * 1e3);
    if (n) fprintf(stderr, "an overview and %" PRIu32 " x %" PRIu32 " tiles of ", tiling->columns, tiling->rows);
    fprintf(stderr, "%" PRIu32 " x %" PRIu32 " pixels\nvision     %8.1f ms   %zu image tokens", side, side,
            t->vision * 1e3, image_tokens);
    if (tiling->newlines) fprintf(stderr, ", %zu of them line ends", tiling->newlines);
    fputc('\n', stderr);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %-10s%8.1f ms   %zu tokens\n", square_name(tiling, i, name), tiling->each[i].vision * 1e3,
                tiling->each[i].tokens);
    if (fvlm_config_has_projector(fvlm_model_config(m))) fprintf(stderr, "projector  %8.1f ms\n", t->projector * 1e3);
}

double fvlm_run_cost_decode_rate(const fvlm_timing *t)
{
    return t->decode_steps && t->decode > 0 ? (double)t->decode_steps / t->decode : 0;
}

void fvlm_run_cost_answer(fvlm_model *m, const fvlm_answer *a, uint32_t side, double open_seconds)
{
    const fvlm_timing *t = &a->timing;
    const double rate = fvlm_run_cost_decode_rate(t);
    fvlm_run_cost_begin(a->picture_notes, open_seconds);
    if (a->image_tokens) fvlm_run_cost_image(m, t, &a->tiling, side, a->image_tokens);
    fprintf(stderr, "prefill    %8.1f ms   %zu positions\n", t->prefill * 1e3, a->prompt_tokens + a->image_tokens);
    fprintf(stderr, "TTFT       %8.1f ms   from %s to first token\n", t->ttft * 1e3,
            a->image_tokens ? "image" : "prompt");
    if (rate > 0) fprintf(stderr, "decode     %8.1f tokens/s, %zu token%s\n", rate, a->n_ids, a->n_ids == 1 ? "" : "s");
    fvlm_run_cost_end(m);
}

json_t *fvlm_run_cost_tiles_json(const fvlm_tiling_cost *tiling)
{
    char name[40];
    json_t *squares = json_array();
    for (size_t i = 0; i < 1 + (size_t)tiling->columns * tiling->rows; i++) {
        const fvlm_tile_cost *c = &tiling->each[i];
        fvlm_json_append(&squares,
                         json_pack("{s:s, s:I, s:{s:f, s:f}}", "name", square_name(tiling, i, name), "tokens",
                                   (json_int_t)c->tokens, "seconds", "vision", c->vision, "projector", c->projector));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "columns", (json_int_t)tiling->columns, "rows", (json_int_t)tiling->rows,
                     "newlines", (json_int_t)tiling->newlines, "squares", squares);
}

void fvlm_run_cost_end(fvlm_model *m)
{
    char peak[16], own[16];
    fprintf(stderr, "memory     peak %s (%s besides the mapped model)\n",
            fvlm_human_bytes(fvlm_memory_peak_bytes(), peak),
            fvlm_human_bytes(fvlm_memory_peak_anonymous_bytes(), own));
    fvlm_exec *e = fvlm_model_exec(m);
    const unsigned threads = fvlm_pool_threads(fvlm_exec_pool(e));
    fprintf(stderr, "with       %s activations, %s, %u thread%s\n", fvlm_act_name(fvlm_exec_mode(e)), fvlm_exec_cpu(e),
            threads, threads == 1 ? "" : "s");
}
