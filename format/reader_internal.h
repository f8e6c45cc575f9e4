/* SPDX-License-Identifier: Apache-2.0 */
/* reader_internal.h - private to format/: the inside of a reader, for reader.c, reader_check.c and writer.c. */
#ifndef FVLM_FORMAT_READER_INTERNAL_H
#define FVLM_FORMAT_READER_INTERNAL_H

#include <jansson.h>
#include <pthread.h>

#include "format/base/file.h"
#include "format/index.h"
#include "format/reader.h"

struct fvlm_reader {
    char *path;
    int fd;
    fvlm_stamp stamp;   /* of the file when it was opened */
    const uint8_t *map; /* the whole file; used for the bytes of tensors only */
    fvlm_header header;
    fvlm_index index;
    fvlm_config config;
    json_t *meta;
    pthread_mutex_t lock; /* guards tokenizer, which the first call of fvlm_reader_tokenizer decompresses */
    char *tokenizer;
};

/* Takes over fd, also on failure. */
fvlm_status fvlm_reader_open_fd(fvlm_reader **out, int fd, uint64_t n_bytes, const char *path, fvlm_err *err);

/* The decompressed tokenizer section, malloc'd; NULL on failure. Refuses one whose kind is not what the header says. */
fvlm_status fvlm_reader_unpack_tokenizer(char **text, const fvlm_reader *r, fvlm_err *err);

#endif
