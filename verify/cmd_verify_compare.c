/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify_compare.c - see cmd_verify.h: progress lines around what the rest of verify/ does. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/onnx_paths.h"
#include "format/base/clock.h"
#include "format/cli/cli.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"
#include "verify/baseline.h"
#include "verify/cmd_verify.h"
#include "verify/same_model.h"
#include "verify/verdict.h"

enum { TOKENS = 64 }; /* of each answer: four answers of this length are enough positions */

static bool has_integers(const fvlm_reader *r)
{
    size_t i = 0;
    while (i < fvlm_reader_n_tensors(r) && fvlm_reader_tensor(r, i)->type.kind != FVLM_INT) i++;
    return i < fvlm_reader_n_tensors(r);
}

fvlm_status fvlm_verify_check_hashes(const fvlm_reader *r, fvlm_verify_findings *f, fvlm_err *err)
{
    fvlm_progress progress;
    const double started = fvlm_clock_seconds();
    fvlm_progress_start(&progress, "verify", f->asked->quiet || f->asked->json);
    const fvlm_check_options o = {f->pool, fvlm_progress_update, &progress, fvlm_cli_stop()};
    const fvlm_status st = fvlm_reader_check(r, &o, err);
    fvlm_progress_end(&progress);
    f->report.n_tensors = fvlm_reader_n_tensors(r);
    f->report.n_bytes = fvlm_reader_file_bytes(r);
    f->report.seconds = fvlm_clock_seconds() - started;
    f->integers = has_integers(r);
    return st;
}

static void choose_acts(fvlm_parity_options *o, const fvlm_verify_findings *f)
{
    const char *act = f->asked->act ? f->asked->act : f->integers ? "both" : "f32";
    if (strcmp(act, "int8")) o->acts[o->n_acts++] = FVLM_ACT_F32;
    if (strcmp(act, "f32")) o->acts[o->n_acts++] = FVLM_ACT_INT8;
}

/* check: the source's checksums are still to be checked. */
static fvlm_status compare_weights(fvlm_reader *model, const char *source, bool check, fvlm_verify_findings *f,
                                   fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_progress progress;
    fvlm_status st = fvlm_reader_open(&r, source, err);
    if (st) return st;
    fvlm_progress_start(&progress, "weights", f->asked->quiet || f->asked->json);
    const fvlm_check_options o = {f->pool, fvlm_progress_update, &progress, fvlm_cli_stop()};
    if (check) st = fvlm_reader_check(r, &(fvlm_check_options){.pool = f->pool, .stop = o.stop}, err);
    if (!st) st = fvlm_same_model_check(model, r, f->asked->against, err);
    if (!st) st = fvlm_same_model_describe(model, r, &f->differences, err);
    if (!st) st = fvlm_weights_compare(&f->weights, model, r, &o, err);
    fvlm_progress_end(&progress);
    st = fvlm_reader_check_unchanged(r, st, err);
    if (!st) f->report.weights = &f->weights;
    f->report.differences = f->differences;
    f->report.swapped = !f->integers && has_integers(r);
    fvlm_reader_close(&r);
    return st;
}

fvlm_status fvlm_verify_compare_outputs(const char *model, const char *source, const char *recorded,
                                        fvlm_verify_findings *f, fvlm_err *err)
{
    const fvlm_verify_asked *a = f->asked;
    fvlm_progress progress;
    fvlm_parity_options o = {.model = model,
                             .source = source,
                             .recorded = recorded,
                             .images = a->images,
                             .n_images = a->n_images,
                             .picture = fvlm_picture_named(a->picture),
                             .prompt = a->prompt ? a->prompt : "Describe the image.",
                             .side = (uint32_t)a->size,
                             .tiling = f->tiling,
                             .tokens = a->tokens ? (uint32_t)a->tokens : TOKENS,
                             .onnx = f->onnx ? a->against : NULL,
                             .variant = a->variant,
                             .positions = FVLM_MIN_POSITIONS,
                             .limits = {.by_kl = a->max_kl >= 0,
                                        .by_top1 = a->min_agree >= 0,
                                        .by_error = a->max_error >= 0,
                                        .kl = a->max_kl,
                                        .top1 = a->min_agree / 100,
                                        .error = a->max_error},
                             .threads = (unsigned)a->threads,
                             .cpu = a->cpu,
                             .stop = fvlm_cli_stop(),
                             .progress = fvlm_progress_update,
                             .progress_ctx = &progress};
    choose_acts(&o, f);
    fvlm_progress_start(&progress, "compare", a->quiet || a->json);
    fvlm_status st = fvlm_parity_run(&f->parity, &o, err);
    fvlm_progress_end(&progress);
    if (!st) f->report.parity = &f->parity;
    return st;
}

/* The choices that the model was made with. */
static fvlm_convert_options repeat_options(const fvlm_reader *model, const fvlm_verify_findings *f,
                                           fvlm_progress *progress)
{
    const fvlm_verify_asked *a = f->asked;
    const fvlm_config *c = fvlm_reader_config(model);
    const json_t *made = json_object_get(json_object_get(fvlm_reader_meta(model), "provenance"), "options");
    const char *type = json_string_value(json_object_get(made, "type"));
    const char *quantized = json_string_value(json_object_get(made, "quantized"));
    return (fvlm_convert_options){.threads = (unsigned)a->threads,
                                  .head = !fvlm_config_has_llm(c) ? NULL
                                          : c->llm.tied           ? "tied"
                                                                  : "own",
                                  .tokenizer = json_string_value(json_object_get(made, "tokenizer")),
                                  .conversation = json_string_value(json_object_get(made, "conversation")),
                                  .variant = a->variant,
                                  /* graphs have none, whatever the model was made from */
                                  .dialect = f->onnx ? NULL : json_string_value(json_object_get(made, "dialect")),
                                  .vision = a->vision,
                                  .quantized = quantized                           ? quantized
                                               : type && strcmp(type, "keep") != 0 ? "float"
                                                                                   : NULL,
                                  .progress = fvlm_progress_update,
                                  .progress_ctx = progress,
                                  .stop = fvlm_cli_stop()};
}

/* Converts the source. A choice of the tokenizer that it does not offer is not the user's, and is dropped. */
static fvlm_status open_source(fvlm_baseline *out, const fvlm_reader *model, const fvlm_verify_findings *f,
                               fvlm_err *err)
{
    const fvlm_verify_asked *a = f->asked;
    fvlm_progress progress;
    fvlm_convert_options o = repeat_options(model, f, &progress);
    fvlm_progress_start(&progress, "convert", a->quiet || a->json);
    fvlm_status st = fvlm_baseline_open(out, a->against, f->onnx, &o, err);
    if (st == FVLM_USAGE && o.tokenizer) {
        o.tokenizer = NULL;
        st = fvlm_baseline_open(out, a->against, f->onnx, &o, err);
    }
    fvlm_progress_end(&progress);
    return st;
}

fvlm_status fvlm_verify_compare_source(fvlm_reader *model, fvlm_verify_findings *f, fvlm_err *err)
{
    const fvlm_verify_asked *a = f->asked;
    fvlm_baseline against;
    f->onnx = fvlm_onnx_paths_are(a->against, a->variant);
    if (a->variant && !f->onnx)
        return fvlm_fail(err, FVLM_USAGE, "--variant: \"%s\" has no ONNX files; leave the option out", a->against);
    if (f->onnx && f->tiling.columns)
        return fvlm_fail(err, FVLM_USAGE, "--tiles: ONNX graphs are compared without tiles; leave the option out");
    fvlm_status st = open_source(&against, model, f, err);
    /* What convert does not recognize can still be run. */
    if (f->onnx && a->n_images && (st == FVLM_UNSUPPORTED || st == FVLM_BAD_INPUT)) {
        f->unconverted = fvlm_asprintf("convert does not read these files: %s", err->msg);
        if (!f->unconverted) return fvlm_fail_nomem(err);
        f->report.no_weights = f->unconverted;
        return fvlm_verify_compare_outputs(fvlm_reader_path(model), NULL, NULL, f, err);
    }
    if (!st && a->vision && !against.n_bytes)
        st = fvlm_fail(err, FVLM_USAGE, "--vision: \"%s\" is a .fvlm file; leave the option out", a->against);
    if (!st && against.n_bytes && !a->quiet && !a->json) {
        char size[16];
        fvlm_terminal_print(stdout, "converted %s into a temporary file of %s in %s\n", a->against,
                            fvlm_human_bytes(against.n_bytes, size), against.folder);
    }
    if (!st && f->onnx) st = fvlm_same_model_made_from(&f->other, model, against.path, err);
    if (a->n_images) f->report.no_weights = f->other;
    if (!st && !f->report.no_weights) st = compare_weights(model, against.path, !against.n_bytes, f, err);
    if (!st && a->n_images) st = fvlm_verify_compare_outputs(fvlm_reader_path(model), against.path, NULL, f, err);
    fvlm_baseline_close(&against);
    return st;
}
