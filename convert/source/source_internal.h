/* SPDX-License-Identifier: Apache-2.0 */
/* source_internal.h - the inside of a source; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_INTERNAL_H
#define FVLM_CONVERT_SOURCE_SOURCE_INTERNAL_H

#include "convert/source/source.h"
#include "format/base/file.h"

typedef struct {
    char *name; /* plain file name inside the folder */
    int fd;
    fvlm_stamp stamp; /* when it was opened */
    char *header;     /* of a weights file, decoded; owns the tensors' names */
    fvlm_hash hash;
    bool hashed;
} fvlm_open_file;

struct fvlm_source {
    int dir;
    char *folder;
    fvlm_open_file *files; /* FVLM_SOURCE_MAX_FILES */
    size_t n_files;
    fvlm_source_tensor *tensors;
    size_t n_tensors, capacity;
};

/* Opens a regular file of the folder; *index = its number. */
fvlm_status fvlm_source_add_file(fvlm_source *src, const char *name, size_t *index, fvlm_err *err);

/* Reads from file number 'file'; see fvlm_file_read. */
fvlm_status fvlm_source_read_file(const fvlm_source *src, size_t file, uint64_t at, size_t n_bytes, void *out,
                                  fvlm_err *err);

/* Opens these weights files, reads their headers and sorts the tensors by name. Refuses an empty table, and a tensor
 * that is in two files. */
fvlm_status fvlm_source_add_weights(fvlm_source *src, const char *const *names, size_t n, fvlm_err *err);

/* Adds every shard that the index file names and checks the index and the shards against each other. */
fvlm_status fvlm_source_add_shards(fvlm_source *src, const char *index, fvlm_err *err);

#endif
