/* SPDX-License-Identifier: Apache-2.0 */
/* export.h - writes a .fvlm file in a format of other programs.
 *
 *   fvlm_export *x;
 *   fvlm_export_options o = {.to = "safetensors"};
 *   fvlm_status st = fvlm_export_plan(&x, "fastvlm.fvlm", &o, &err);
 *   if (!st) st = fvlm_export_write(x, "FastVLM", &err);
 *   fvlm_export_free(&x);
 *
 * The values written are those that the executor computes with in f32 mode; where a type cannot hold them, the report
 * counts what was rounded. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_H
#define FVLM_CONVERT_EXPORT_EXPORT_H

#include "format/reader.h"

#define FVLM_EXPORT_TARGETS "safetensors|onnx|gguf"
#define FVLM_EXPORT_SHARD_SIZE 5000000000u

typedef struct {
    const char *to;            /* one of FVLM_EXPORT_TARGETS */
    const char *naming;        /* of safetensors: "apple" (NULL) or "transformers" */
    const char *type;          /* "f32", "bf16", "f16" for every weight; NULL: what holds its values exactly */
    uint64_t shard_size;       /* of safetensors: bytes of tensors in a file; 0: FVLM_EXPORT_SHARD_SIZE */
    unsigned threads;          /* 0 = all; never changes a byte */
    bool force;                /* replace an existing output */
    fvlm_progress_fn progress; /* called by the thread that called fvlm_export_write; may be NULL */
    void *progress_ctx;
    const fvlm_stop *stop; /* may be NULL */
} fvlm_export_options;

typedef struct fvlm_export fvlm_export;

/* Opens the model and decides names, types and sizes; reads no weights but, for gguf, scales. Refuses a model that the
 * target cannot hold (FVLM_UNSUPPORTED) and options that do not belong to the target (FVLM_USAGE). What *o points to
 * must outlive *out, which is NULL on failure. One thread at a time. */
fvlm_status fvlm_export_plan(fvlm_export **out, const char *model, const fvlm_export_options *o, fvlm_err *err);

/* Checks every hash of the model, then writes a folder or, for a target of one file, that file. The same model, version
 * and options give the same bytes. On failure nothing appears at path, and what was there is unchanged. */
fvlm_status fvlm_export_write(fvlm_export *x, const char *path, fvlm_err *err);

void fvlm_export_free(fvlm_export **x); /* NULL is fine; sets NULL */

/* ---- what is planned or, once written, done. Texts are borrowed from x. ---- */

typedef struct {
    const char *name; /* in the folder, or of the one file */
    uint64_t n_bytes; /* after writing */
} fvlm_export_file;

typedef struct {
    const char *name;  /* in the output */
    const char *from;  /* tensor of the model; NULL: made up, such as a layer scale of ones */
    const char *type;  /* in the output: "F32", "Q8_0" */
    const char *cause; /* why it has another type than the model's; NULL: it has the model's */
    uint64_t n_bytes;
    double error; /* after writing: what rounding changed, as relative root mean square; 0 if nothing */
} fvlm_export_tensor;

typedef struct {
    const char *target;
    bool written;
    bool folder;
    const fvlm_export_file *files;
    size_t n_files;
    const fvlm_export_tensor *tensors; /* in the order of the output */
    size_t n_tensors;
    uint64_t tensor_bytes;
    const char *const *notes; /* what a user should know, one line each */
    size_t n_notes;
    double seconds;                /* after writing */
    uint64_t peak_anonymous_bytes; /* of the whole process so far */
} fvlm_export_report;

void fvlm_export_describe(const fvlm_export *x, fvlm_export_report *out);

struct json_t *fvlm_export_report_json(const fvlm_export *x,
                                       bool tensors); /* NULL if out of memory; the caller owns it */

#endif
