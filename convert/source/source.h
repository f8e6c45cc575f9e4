/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - a checkpoint as a table of named tensors, each a byte range of a file, or computed (views.h).
 *
 *   fvlm_source *src;
 *   if (fvlm_source_open(&src, "FastVLM-0.5B", &err)) return complain(&err);
 *   const fvlm_source_tensor *t = fvlm_source_find(src, "model.norm.weight");
 *   fvlm_source_read(src, t, 0, t->n_bytes, buffer, &err);
 *   fvlm_source_close(&src);
 *
 * Files of safetensors are read with pread, never mapped: what is mapped can change or vanish at any time. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_H
#define FVLM_CONVERT_SOURCE_SOURCE_H

#include <jansson.h>

#include "convert/source/source_tensor.h"
#include "format/base/stop.h"
#include "format/reader.h"

#define FVLM_SOURCE_MAX_FILES 1024
#define FVLM_SOURCE_MAX_TENSORS (1u << 20)
#define FVLM_SOURCE_MAX_CONFIG_BYTES (1u << 20) /* of config.json and its like */

typedef struct fvlm_source fvlm_source;

typedef struct {
    const char *name; /* inside the folder; owned by the source */
    uint64_t n_bytes;
    fvlm_hash hash; /* valid once the file is hashed */
    bool attached;  /* inside the folder of the attached source (renames.h) */
} fvlm_source_file;

/* Opens a folder with model.safetensors, or with model.safetensors.index.json and its shards, and reads all headers. A
 * folder of Hugging Face's cache leads to its snapshot. Checkpoints of other kinds are refused by name (kinds.h). On
 * failure *out is NULL and nothing is left open. */
fvlm_status fvlm_source_open(fvlm_source **out, const char *folder, fvlm_err *err);
void fvlm_source_close(fvlm_source **src); /* NULL is fine */

const char *fvlm_source_folder(const fvlm_source *src);
const char *fvlm_source_prefix(const fvlm_source *src); /* that was stripped from every name; "" if none */

/* What the user should know although nothing is refused, one line each; further ones than 16 are dropped. */
fvlm_status fvlm_source_warn(fvlm_source *src, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);
size_t fvlm_source_n_warnings(const fvlm_source *src);
const char *fvlm_source_warning_at(const fvlm_source *src, size_t i);

/* The same for lines of the report about what was found, at most 16. */
fvlm_status fvlm_source_note(fvlm_source *src, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);
size_t fvlm_source_n_notes(const fvlm_source *src);
const char *fvlm_source_note_at(const fvlm_source *src, size_t i);

size_t fvlm_source_n_tensors(const fvlm_source *src);
const fvlm_source_tensor *fvlm_source_tensor_at(const fvlm_source *src, size_t i); /* sorted by key */

/* The tensor with this key, or the one that __metadata__ says it is an alias of; NULL if absent. */
const fvlm_source_tensor *fvlm_source_find(const fvlm_source *src, const char *name);
/* Whether a shard holds this tensor, but the index does not list it. */
bool fvlm_source_is_unlisted(const fvlm_source *src, const char *name);
size_t fvlm_source_first_at_or_after(const fvlm_source *src, const char *key); /* index; n_tensors if none */

/* Reads n_bytes of tensor t, beginning at its byte 'at'. Thread-safe. */
fvlm_status fvlm_source_read(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                             void *out, fvlm_err *err);

/* Reads a text file of the folder, without its byte order mark: malloc'd, with a NUL after its n_bytes. If it is
 * absent, *text is NULL and the status FVLM_OK. Each file read is added to the list of files, for the provenance. */
fvlm_status fvlm_source_text(fvlm_source *src, const char *name, uint64_t max_bytes, char **text, size_t *n_bytes,
                             fvlm_err *err);
/* The same for a file that must hold a JSON object. The caller owns *out, which is NULL on failure, and if the file is
 * absent. */
fvlm_status fvlm_source_json(json_t **out, fvlm_source *src, const char *name, uint64_t max_bytes, fvlm_err *err);

/* Reads a JSON file of the folder without adding it to the list of files. *out is NULL if it is absent or damaged. */
fvlm_status fvlm_source_peek_json(json_t **out, const fvlm_source *src, const char *name, uint64_t max_bytes,
                                  fvlm_err *err);

/* Reads a text file of the folder as fvlm_source_text does, without adding it to the list of files. *text is NULL if it
 * is absent or cannot be read as text. */
fvlm_status fvlm_source_peek_text(char **text, size_t *n_bytes, const fvlm_source *src, const char *name,
                                  uint64_t max_bytes, fvlm_err *err);

bool fvlm_source_has(const fvlm_source *src, const char *name); /* or a link of this name, even if it dangles */

size_t fvlm_source_n_files(const fvlm_source *src); /* the files of views first */
fvlm_source_file fvlm_source_file_at(const fvlm_source *src, size_t i);

/* Hashes weights file i (text files are hashed as they are read). Threads may hash different files at once. */
fvlm_status fvlm_source_hash(fvlm_source *src, size_t i, const fvlm_stop *stop, fvlm_err *err);

/* Whether path is one of the source's own files, under whatever name. */
bool fvlm_source_holds(const fvlm_source *src, const char *path);

/* Call it after the last read. Returns st, or FVLM_CHANGED if a file has changed since it was opened: see
 * fvlm_stamp_check_unchanged. */
fvlm_status fvlm_source_check_unchanged(const fvlm_source *src, fvlm_status st, fvlm_err *err);

#endif
