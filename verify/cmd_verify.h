/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify.h - private to `fvlm verify`: cmd_verify.c reads the options, cmd_verify_compare.c compares. */
#ifndef FVLM_VERIFY_CMD_VERIFY_H
#define FVLM_VERIFY_CMD_VERIFY_H

#include "verify/report/verify_report.h"

/* What the user asked for. */
typedef struct {
    const char *against, *variant, *vision, *activations, *prompt, *act, *cpu, *picture, *tiles;
    const char *const *images;
    size_t n_images;
    uint64_t tokens, size, threads;
    double max_kl, min_agree, max_error; /* below 0: not given */
    bool json, quiet;
} fvlm_verify_asked;

typedef struct {
    const fvlm_verify_asked *asked;
    fvlm_verify_report report; /* points to the next two once they are there */
    fvlm_weights weights;
    fvlm_parity parity;
    fvlm_tiling tiling; /* of asked->tiles */
    bool integers;      /* the model holds quantized tensors */
    bool onnx;          /* the source is one or more ONNX files */
    const char *other;  /* how they are other files than the model was made from; NULL: they are the same */
    char *unconverted;  /* why convert makes nothing of them; NULL: it does */
    char *differences;
    fvlm_pool *pool;
} fvlm_verify_findings;

/* All return on the first fault. What they allocate in *f is the caller's, also then. */
fvlm_status fvlm_verify_check_hashes(const fvlm_reader *r, fvlm_verify_findings *f, fvlm_err *err);
/* Weights and, if images are given, outputs, with what --against names. */
fvlm_status fvlm_verify_compare_source(fvlm_reader *model, fvlm_verify_findings *f, fvlm_err *err);
/* Compares with a source, with recorded activations, or with ONNX files, of which 'source' is the conversion. */
fvlm_status fvlm_verify_compare_outputs(const char *model, const char *source, const char *recorded,
                                        fvlm_verify_findings *f, fvlm_err *err);

#endif
