/* SPDX-License-Identifier: Apache-2.0 */
/* conversion_report.h - what a conversion will do and, once written, has done, as plain structs.
 *
 *   fvlm_conversion_report r;
 *   fvlm_conversion_describe(c, &r);
 *   fvlm_conversion_origin o;
 *   for (size_t i = 0; i < r.n_tensors; i++) fvlm_conversion_describe_tensor(c, i, &o);
 *
 * Texts are borrowed from the conversion and valid until it is freed. Nothing here can fail. */
#ifndef FVLM_CONVERT_CONVERSION_REPORT_H
#define FVLM_CONVERT_CONVERSION_REPORT_H

#include "convert/convert.h"
#include "format/tensors.h"

struct json_t; /* of <jansson.h> */

/* The tensors of one part and type. */
typedef struct {
    fvlm_part part;
    fvlm_type type;
    size_t n_tensors, n_fused;
    uint64_t n_params, n_bytes;
} fvlm_conversion_share;

#define FVLM_CONVERSION_TYPES 19 /* f32, f16, bf16; 8 and 4 bits, symmetric and asymmetric, four groups */

/* Source tensors that are left out on purpose. */
typedef struct {
    const char *rule; /* "BatchNorm counters" */
    size_t n_tensors;
    uint64_t n_bytes;
} fvlm_conversion_dropped;

/* How one tensor of the container is made. */
typedef struct {
    char name[FVLM_MAX_NAME + 8];
    const char *from[64]; /* source tensors */
    size_t n_from;
    char steps[8][40]; /* "batch norm folded" */
    size_t n_steps;
    double error;    /* after writing: of the fusion, relative, in f64; -1 if nothing is fused */
    double rounding; /* after writing, of kept codes: what rounding their scales to bf16 changed, as relative root mean
                        square; -1 if it is not such a weight */
} fvlm_conversion_origin;

typedef struct {
    const char *type; /* "keep", "f32", "bf16", "f16" */
    bool written;
    size_t n_tensors, n_fused;                            /* n_fused: modules */
    uint64_t tensor_bytes, tokenizer_bytes, rows_dropped; /* rows_dropped: of the embedding, beyond the tokenizer */
    fvlm_conversion_share shares[FVLM_CONVERSION_TYPES * FVLM_N_PARTS]; /* in the order of the file */
    size_t n_shares;
    const fvlm_conversion_dropped *dropped;
    size_t n_dropped;
    const char *folder;                 /* the checkpoint's; in Hugging Face's cache, the snapshot's */
    const char *dialect, *dialect_what; /* of the tensors' names: "timm", "timm's FastViT"; NULL: found by structure */
    const char *conversation, *conversation_why; /* the prompt's template and why; NULL: no language model */
    bool head_stored;                            /* lm_head.weight is a tensor of its own in the checkpoint */
    const char *warnings[24];
    size_t n_warnings;
    const char *notes_about; /* "onnx", "packed", or with a tower of another source "found" */
    const char *notes[20];   /* what was found in an ONNX file; forms of packed weights */
    size_t n_notes;
    size_t n_codes, n_dequantized; /* quantized weights: whose codes are kept; that become floats */
    const fvlm_config *config;
    /* after writing: */
    double worst_error;       /* of all fusions */
    const char *worst_module; /* NULL: nothing was fused */
    size_t n_codes_exact;     /* of n_codes: not even a scale was rounded */
    double rounding;          /* of all kept codes: see fvlm_conversion_origin */
    double worst_rounding;
    const char *worst_rounded; /* module; NULL: all are exact */
    fvlm_type requantize; /* of the first weight whose floats lose less when they are quantized again than its scales
                             do when they are rounded: 8 bits with offsets (convert/README.md); kind 0: none */
    double seconds;
    uint64_t peak_anonymous_bytes; /* of the whole process so far */
} fvlm_conversion_report;

void fvlm_conversion_describe(const fvlm_conversion *c, fvlm_conversion_report *out);
void fvlm_conversion_describe_tensor(const fvlm_conversion *c, size_t i, fvlm_conversion_origin *out);

/* The same as JSON, with "origins" (all tensors) on request; NULL if out of memory. The caller owns it. */
struct json_t *fvlm_conversion_report_json(const fvlm_conversion *c, const fvlm_conversion_report *r, bool origins);

#endif
