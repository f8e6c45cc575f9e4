/* SPDX-License-Identifier: Apache-2.0 */
/* source_internal.h - the inside of a source; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_INTERNAL_H
#define FVLM_CONVERT_SOURCE_SOURCE_INTERNAL_H

#include "convert/source/views.h"
#include "format/base/file.h"

typedef struct {
    char *name; /* plain file name inside the folder */
    int fd;
    fvlm_stamp stamp; /* when it was opened */
    char *header;     /* of a weights file, decoded; owns the tensors' names */
    fvlm_hash hash;
    bool hashed;
} fvlm_open_file;

#define FVLM_SOURCE_MAX_WARNINGS 16

/* A file that views are computed from. */
typedef struct {
    char *name;
    uint64_t n_bytes;
    fvlm_hash hash;
    bool hashed;
} fvlm_view_file;

/* A name that __metadata__ gives as another name of a stored tensor; both texts are owned by a header. */
typedef struct {
    const char *name, *stored;
} fvlm_alias;

struct fvlm_source {
    int dir;
    char *folder;
    fvlm_open_file *files; /* FVLM_SOURCE_MAX_FILES */
    size_t n_files;
    fvlm_source_tensor *tensors;
    size_t n_tensors, capacity;
    fvlm_alias *aliases;
    size_t n_aliases, alias_capacity;
    const char **unlisted; /* names of tensors that the index does not list; owned by the headers */
    size_t n_unlisted;
    char *prefix; /* stripped from every name; "" if none */
    char *warnings[FVLM_SOURCE_MAX_WARNINGS], *notes[FVLM_SOURCE_MAX_WARNINGS];
    size_t n_warnings, n_notes;
    const fvlm_source_reader *reader; /* of views; NULL if there are none */
    void *reader_ctx;
    fvlm_view_file *view_files;
    size_t n_view_files;
    char **view_texts; /* names and origins of the tensors */
    size_t n_view_texts;
    char **keys; /* of renamed tensors */
    size_t n_keys;
    fvlm_source *attached; /* whose tensors are in this table, too; owned; or NULL */
};

/* Sorts the tensors by name; refuses an empty table, and a tensor that is there twice. */
fvlm_status fvlm_source_sort(fvlm_source *src, fvlm_err *err);

void fvlm_source_free_views(fvlm_source *src);

/* Opens a regular file of the folder; *index = its number. */
fvlm_status fvlm_source_add_file(fvlm_source *src, const char *name, size_t *index, fvlm_err *err);

/* Reads from file number 'file'; see fvlm_file_read. */
fvlm_status fvlm_source_read_file(const fvlm_source *src, size_t file, uint64_t at, size_t n_bytes, void *out,
                                  fvlm_err *err);

/* Opens these weights files, reads their headers and sorts the tensors by name. Refuses an empty table, and a tensor
 * that is in two files. */
fvlm_status fvlm_source_add_weights(fvlm_source *src, const char *const *names, size_t n, fvlm_err *err);

void fvlm_source_sort_aliases(fvlm_source *src); /* by name; call it when names have changed */

#endif
