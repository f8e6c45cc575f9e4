/* SPDX-License-Identifier: Apache-2.0 */
/* recorded.c - see recorded.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/source/safetensors.h"
#include "format/base/file.h"
#include "verify/recorded.h"

struct fvlm_recorded {
    int fd;
    fvlm_stamp stamp;
    char *path, *header;
    fvlm_safetensors index;
    fvlm_pixels pixels;
    int64_t *ids, *greedy;
    size_t n_ids, n_greedy;
    float *block;
    size_t room; /* floats that block has room for */
};

static fvlm_status read_header(fvlm_recorded *r, fvlm_err *err)
{
    uint8_t first[8];
    uint64_t n;
    fvlm_status st = fvlm_file_open(&r->fd, &r->stamp, r->path, err);
    if (st) return st;
    const uint64_t file_bytes = r->stamp.n_bytes;
    if (file_bytes < 8) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is not a safetensors file", r->path);
    st = fvlm_file_read(r->fd, r->path, 0, first, sizeof first, err);
    if (st == FVLM_OK) st = fvlm_safetensors_length(&n, first, file_bytes, r->path, err);
    if (st) return st;
    r->header = malloc((size_t)n + 1);
    if (!r->header) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    r->header[n] = '\0';
    st = fvlm_file_read(r->fd, r->path, 8, r->header, (size_t)n, err);
    if (st) return st;
    return fvlm_safetensors_parse(&r->index, r->header, (size_t)n, file_bytes, r->path, err);
}

static const fvlm_source_tensor *find(const fvlm_recorded *r, const char *name)
{
    for (size_t i = 0; i < r->index.n_tensors; i++)
        if (!strcmp(r->index.tensors[i].name, name)) return &r->index.tensors[i];
    return NULL;
}

static fvlm_status find_typed(const fvlm_recorded *r, const char *name, fvlm_source_type type, unsigned rank,
                              const fvlm_source_tensor **out, fvlm_err *err)
{
    const fvlm_source_tensor *t = *out = find(r, name);
    char shape[128];
    if (!t) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": no tensor \"%s\"", r->path, name);
    if (t->type == (uint8_t)type && t->rank == rank) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"%s\" is %s, expected %s of rank %u", r->path, name,
                     fvlm_source_shape_text(t, shape), fvlm_source_type_name(type), rank);
}

static fvlm_status read_ids(fvlm_recorded *r, const char *name, int64_t **ids, size_t *n, fvlm_err *err)
{
    const fvlm_source_tensor *t;
    fvlm_status st = find_typed(r, name, FVLM_SOURCE_I64, 1, &t, err);
    if (st) return st;
    *n = (size_t)t->n_elems;
    *ids = fvlm_alloc(*n, sizeof **ids);
    if (!*ids) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    return fvlm_file_read(r->fd, r->path, t->offset, *ids, *n * sizeof **ids, err);
}

static fvlm_status read_pixels(fvlm_recorded *r, fvlm_err *err)
{
    const fvlm_source_tensor *t;
    uint32_t side = 0;
    fvlm_status st = find_typed(r, "pixels", FVLM_SOURCE_F32, 2, &t, err);
    if (st) return st;
    while ((uint64_t)side * side < t->dims[0] && side < 65536) side++;
    if ((uint64_t)side * side != t->dims[0] || t->dims[1] != 3)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"pixels\" is not [side * side, 3]", r->path);
    r->pixels.side = side;
    r->pixels.values = fvlm_alloc((size_t)t->n_elems, sizeof(float));
    if (!r->pixels.values) return fvlm_fail(err, FVLM_NOMEM, "out of memory for the pixels");
    return fvlm_file_read(r->fd, r->path, t->offset, r->pixels.values, (size_t)t->n_bytes, err);
}

fvlm_status fvlm_recorded_open(fvlm_recorded **out, const char *path, fvlm_err *err)
{
    fvlm_recorded *r = *out = fvlm_alloc(1, sizeof *r);
    if (!r) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    r->fd = -1;
    r->path = fvlm_strdup(path);
    fvlm_status st = r->path ? read_header(r, err) : fvlm_fail(err, FVLM_NOMEM, "out of memory");
    if (st == FVLM_OK) st = read_pixels(r, err);
    if (st == FVLM_OK) st = read_ids(r, "input_ids", &r->ids, &r->n_ids, err);
    if (st == FVLM_OK) st = read_ids(r, "greedy", &r->greedy, &r->n_greedy, err);
    if (r->fd >= 0) st = fvlm_recorded_check_unchanged(r, st, err);
    if (st) fvlm_recorded_close(out);
    return st;
}

void fvlm_recorded_close(fvlm_recorded **rp)
{
    fvlm_recorded *r = *rp;
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    free(r->index.tensors);
    free(r->header);
    free(r->pixels.values);
    free(r->ids);
    free(r->greedy);
    free(r->block);
    free(r);
    *rp = NULL;
}

fvlm_status fvlm_recorded_check_unchanged(const fvlm_recorded *r, fvlm_status st, fvlm_err *err)
{
    return fvlm_stamp_check_unchanged(&r->stamp, r->fd, r->path, st, err);
}

const fvlm_pixels *fvlm_recorded_pixels(const fvlm_recorded *r)
{
    return &r->pixels;
}

const int64_t *fvlm_recorded_ids(const fvlm_recorded *r, size_t *n)
{
    *n = r->n_ids;
    return r->ids;
}

const int64_t *fvlm_recorded_greedy(const fvlm_recorded *r, size_t *n)
{
    *n = r->n_greedy;
    return r->greedy;
}

fvlm_status fvlm_recorded_block(fvlm_recorded *r, const char *name, size_t rows, size_t cols, const float **x,
                                fvlm_err *err)
{
    const fvlm_source_tensor *t;
    fvlm_status st = find_typed(r, name, FVLM_SOURCE_F32, 2, &t, err);
    if (st) return st;
    /* Rows of the vocabulary that no token has may be kept there and dropped here. */
    const bool wider = !strcmp(name, "logits") && rows == 1 && t->dims[0] == 1 && t->dims[1] > cols;
    if (!wider && (t->dims[0] != rows || t->dims[1] != cols))
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\": \"%s\" is [%" PRIu64 ", %" PRIu64 "], the model puts out [%zu, %zu]", r->path, name,
                         t->dims[0], t->dims[1], rows, cols);
    const size_t n = rows * cols;
    if (n > r->room) {
        free(r->block);
        r->room = n;
        r->block = fvlm_alloc(r->room, sizeof *r->block);
        if (!r->block) return r->room = 0, fvlm_fail(err, FVLM_NOMEM, "out of memory for \"%s\"", name);
    }
    *x = r->block;
    return fvlm_file_read(r->fd, r->path, t->offset, r->block, n * sizeof *r->block, err);
}
