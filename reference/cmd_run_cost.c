/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run_cost.c - see cmd_run.h. */
#include <inttypes.h>
#include <stdio.h>

#include "format/base/memory.h"
#include "format/cli/terminal.h"
#include "reference/cmd_run.h"

void fvlm_run_cost_begin(unsigned picture_notes, double open_seconds)
{
    char notes[FVLM_PIXELS_NOTES_CHARS];
    if (picture_notes) fprintf(stderr, "\npicture    %s", fvlm_pixels_describe_notes(picture_notes, notes));
    fprintf(stderr, "\nopen       %8.1f ms\n", open_seconds * 1e3);
}

void fvlm_run_cost_image(const fvlm_model *m, const fvlm_timing *t, uint32_t side)
{
    const fvlm_config *c = fvlm_model_config(m);
    fprintf(stderr, "image      %8.1f ms   to %" PRIu32 " x %" PRIu32 " pixels\n", t->image * 1e3, side, side);
    fprintf(stderr, "vision     %8.1f ms   %zu image tokens\n", t->vision * 1e3, fvlm_model_image_tokens(c, side));
    if (fvlm_config_has_projector(c)) fprintf(stderr, "projector  %8.1f ms\n", t->projector * 1e3);
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
