/* SPDX-License-Identifier: Apache-2.0 */
/* target.h - private to convert/export: what a target is, and what all targets share: the plan of tensors, streaming
 * them into files, and the list of files. A new target is one row in export.c and an implementation of plan. */
#ifndef FVLM_CONVERT_EXPORT_TARGET_H
#define FVLM_CONVERT_EXPORT_TARGET_H

#include <jansson.h>
#include <stdio.h>

#include "convert/export/export.h"
#include "format/base/output_folder.h"
#include "format/base/pool.h"
#include "format/tensors.h"

typedef struct {
    const char *name; /* of --to */
    bool folder;
    bool takes_naming, takes_shards; /* options of the command that belong to it */
    /* Sets x->plan, adds tensors and notes, and refuses models that cannot be written. */
    fvlm_status (*plan)(fvlm_export *x, fvlm_err *err);
    /* Writes every file by fvlm_export_open_file and fvlm_export_close_file. The hashes of the model have been checked.
     */
    fvlm_status (*write)(fvlm_export *x, fvlm_err *err);
    void (*free)(void *plan); /* NULL is fine */
} fvlm_export_target;

extern const fvlm_export_target fvlm_export_safetensors, fvlm_export_onnx, fvlm_export_gguf;

struct fvlm_export {
    fvlm_reader *reader;
    const fvlm_config *config;
    const json_t *meta;
    fvlm_export_options options;
    fvlm_type floats; /* what options.type names; kind 0: none */
    const fvlm_export_target *target;
    void *plan;                  /* the target's */
    fvlm_export_tensor *tensors; /* names malloc'd */
    size_t n_tensors, tensors_capacity;
    fvlm_export_file *files; /* names malloc'd */
    size_t n_files, files_capacity;
    char **notes;
    size_t n_notes, notes_capacity;
    bool written;
    double seconds;
    /* while writing: */
    const char *path;
    fvlm_output_folder *folder;
    fvlm_output *open; /* the file that is being written */
    fvlm_pool *pool;
    uint64_t done, total; /* for the progress bar */
};

/* A line of the report. */
fvlm_status fvlm_export_note(fvlm_export *x, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* Adds a row of the report and copies name. */
fvlm_status fvlm_export_add_tensor(fvlm_export *x, const fvlm_export_tensor *t, fvlm_err *err);

/* What the output says about its origin, as an object of strings: fvlm.version, fvlm.identity and, as JSON inside a
 * string, fvlm.provenance and fvlm.transforms if the model has them. NULL if out of memory; the caller owns it. */
json_t *fvlm_export_provenance(const fvlm_export *x);

/* ---- files ---- */

/* The next file; name may begin with one subfolder. A target of one file ignores it. */
fvlm_status fvlm_export_open_file(fvlm_export *x, const char *name, fvlm_output **out, fvlm_err *err);
/* Publishes it if st is 0, else discards it; returns st or the failure. */
fvlm_status fvlm_export_close_file(fvlm_export *x, uint64_t n_bytes, fvlm_status st, fvlm_err *err);

/* Closes what open_memstream has opened for *text, or NULL. On failure (FVLM_NOMEM) *text is freed and NULL. */
fvlm_status fvlm_export_close_text(FILE *to, char **text, fvlm_err *err);

/* A whole file of text, and of JSON, indented; takes json over, and fails with FVLM_NOMEM if it is NULL. */
fvlm_status fvlm_export_write_text(fvlm_export *x, const char *name, const char *text, size_t n_bytes, fvlm_err *err);
fvlm_status fvlm_export_write_json(fvlm_export *x, const char *name, json_t *json, fvlm_err *err);

/* ---- files of tensors, on all threads ---- */

/* What a thread has for itself. */
typedef struct {
    void *scratch;       /* scratch_bytes */
    double changed, all; /* sums of squares: of what rounding changed, and of the values */
} fvlm_export_thread;

/* Writes rows first .. first + n - 1 into bytes, which has n * row_bytes, and adds to the sums of t. */
typedef struct fvlm_export_stream fvlm_export_stream;
typedef fvlm_status (*fvlm_export_fill)(const fvlm_export_stream *s, uint64_t first, size_t n, uint8_t *bytes,
                                        fvlm_export_thread *t, fvlm_err *err);
struct fvlm_export_stream {
    fvlm_export_fill fill;
    const void *ctx;
    uint64_t at; /* byte of the file */
    uint64_t rows;
    size_t row_bytes;
    size_t scratch_bytes;
    fvlm_export_tensor *report; /* its error is set */
};

/* A whole file of n_bytes: the header, then the streams. x->total must count the bytes of all streams of all files. */
fvlm_status fvlm_export_write_streams(fvlm_export *x, const char *name, const char *header, size_t header_bytes,
                                      const fvlm_export_stream *streams, size_t n, uint64_t n_bytes, fvlm_err *err);

#endif
