/* SPDX-License-Identifier: Apache-2.0 */
/* witness_recorded.c - recorded activations as a witness. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/source/safetensors.h"
#include "format/base/file.h"
#include "format/base/grow.h"
#include "verify/witness.h"

enum { PICTURE = -200 }; /* among the ids */

typedef struct {
    fvlm_witness base;
    int fd;
    fvlm_stamp stamp;
    const char *path;
    char *header;
    fvlm_safetensors index;
    fvlm_pixels pixels;
    int64_t *recorded_ids, *greedy;
    size_t n_recorded_ids, n_greedy;
    uint32_t *ids; /* [n_recorded_ids]: those of tokens */
    size_t n_ids, split;
    bool begun;   /* there is one input */
    size_t step;  /* logits met so far */
    float *block; /* in hand */
    size_t block_capacity;
} recorded_witness;

static fvlm_status read_header(recorded_witness *r, fvlm_err *err)
{
    uint8_t first[8];
    uint64_t n;
    fvlm_status st = fvlm_file_open(&r->fd, &r->stamp, r->path, err);
    if (st) return st;
    const uint64_t file_bytes = r->stamp.n_bytes;
    if (file_bytes < 8) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is not a safetensors file", r->path);
    st = fvlm_file_read(r->fd, r->path, 0, first, sizeof first, err);
    if (!st) st = fvlm_safetensors_length(&n, first, file_bytes, r->path, err);
    if (st) return st;
    r->header = malloc((size_t)n + 1);
    if (!r->header) return fvlm_fail_nomem(err);
    r->header[n] = '\0';
    st = fvlm_file_read(r->fd, r->path, 8, r->header, (size_t)n, err);
    if (st) return st;
    return fvlm_safetensors_parse(&r->index, r->header, (size_t)n, file_bytes, r->path, err);
}

static fvlm_status find_typed(const recorded_witness *r, const char *name, fvlm_source_type type, unsigned rank,
                              const fvlm_source_tensor **out, fvlm_err *err)
{
    const fvlm_source_tensor *t = r->index.tensors, *end = t + r->index.n_tensors;
    char shape[128];
    while (t < end && strcmp(t->name, name)) t++;
    *out = t;
    if (t == end) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": no tensor \"%s\"", r->path, name);
    if (t->type == (uint8_t)type && t->rank == rank) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"%s\" is %s, expected %s of rank %u", r->path, name,
                     fvlm_source_shape_text(t, shape), fvlm_source_type_name(type), rank);
}

static fvlm_status check_finite(const recorded_witness *r, const char *name, const float *x, size_t n, fvlm_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"%s\" holds values that are not finite", r->path, name);
    return FVLM_OK;
}

static fvlm_status read_ids(recorded_witness *r, const char *name, int64_t **ids, size_t *n, fvlm_err *err)
{
    const fvlm_source_tensor *t;
    fvlm_status st = find_typed(r, name, FVLM_SOURCE_I64, 1, &t, err);
    if (st) return st;
    *n = (size_t)t->n_elems;
    *ids = fvlm_alloc(*n, sizeof **ids);
    if (!*ids) return fvlm_fail_nomem(err);
    return fvlm_file_read(r->fd, r->path, t->offset, *ids, *n * sizeof **ids, err);
}

static fvlm_status read_pixels(recorded_witness *r, fvlm_err *err)
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
    if (!r->pixels.values) return fvlm_fail_nomem(err);
    st = fvlm_file_read(r->fd, r->path, t->offset, r->pixels.values, (size_t)t->n_bytes, err);
    return st ? st : check_finite(r, "pixels", r->pixels.values, (size_t)t->n_elems, err);
}

static fvlm_status refuse_id(const char *which, int64_t id, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_BAD_INPUT, "the recorded %s hold %" PRId64 ", which is not a token of this model", which,
                     id);
}

/* The prompt's ids, as those of this model's vocabulary. */
static fvlm_status take_prompt(recorded_witness *r, int64_t vocab, fvlm_err *err)
{
    bool picture = false;
    r->n_ids = 0;
    for (size_t i = 0; i < r->n_recorded_ids; i++) {
        const int64_t id = r->recorded_ids[i];
        if (id == PICTURE && !picture) {
            picture = true;
            r->split = r->n_ids;
        } else if (id >= 0 && id < vocab) {
            r->ids[r->n_ids++] = (uint32_t)id;
        } else {
            return refuse_id("input_ids", id, err);
        }
    }
    return picture ? FVLM_OK : fvlm_fail(err, FVLM_BAD_INPUT, "the recorded input_ids have no picture (-200)");
}

static fvlm_status accept(fvlm_witness *base, const fvlm_model *m, fvlm_err *err)
{
    recorded_witness *r = (recorded_witness *)base;
    const int64_t vocab = fvlm_model_config(m)->llm.vocab;
    if (!fvlm_config_has_llm(fvlm_model_config(m)))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" has no language model; recorded activations are those of a whole model",
                         fvlm_reader_path(fvlm_model_reader(m)));
    fvlm_status st = fvlm_model_check_side(m, r->pixels.side, err);
    if (!st) st = take_prompt(r, vocab, err);
    for (size_t i = 0; i < r->n_greedy && !st; i++)
        if (r->greedy[i] < 0 || r->greedy[i] >= vocab) st = refuse_id("greedy ids", r->greedy[i], err);
    return st;
}

static fvlm_status begin(fvlm_witness *base, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err)
{
    recorded_witness *r = (recorded_witness *)base;
    (void)positions, (void)err;
    *more = !r->begun;
    r->begun = true;
    *in = (fvlm_runner_input){.pixels = &r->pixels,
                              .image = r->path,
                              .ids = r->ids,
                              .n_ids = r->n_ids,
                              .split = r->split,
                              .n_tokens = r->n_greedy};
    r->step = 0;
    return FVLM_OK;
}

static fvlm_status block(fvlm_witness *base, const char *name, size_t rows, size_t cols, const float **x, fvlm_err *err)
{
    recorded_witness *r = (recorded_witness *)base;
    const fvlm_source_tensor *t;
    *x = NULL;
    if (r->step > 0) return FVLM_OK; /* of the steps only the tokens were recorded */
    fvlm_status st = find_typed(r, name, FVLM_SOURCE_F32, 2, &t, err);
    if (st) return st;
    /* The recording may have logits of vocabulary rows that belong to no token and were dropped here. */
    const bool wider = !strcmp(name, "logits") && rows == 1 && t->dims[0] == 1 && t->dims[1] > cols;
    if (!wider && (t->dims[0] != rows || t->dims[1] != cols))
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\": \"%s\" is [%" PRIu64 ", %" PRIu64 "], the model puts out [%zu, %zu]", r->path, name,
                         t->dims[0], t->dims[1], rows, cols);
    if (!fvlm_grow(&r->block, &r->block_capacity, rows * cols, sizeof *r->block)) return fvlm_fail_nomem(err);
    *x = r->block;
    st = fvlm_file_read(r->fd, r->path, t->offset, r->block, rows * cols * sizeof *r->block, err);
    return st ? st : check_finite(r, name, r->block, rows * cols, err);
}

static fvlm_runner_token next(fvlm_witness *base)
{
    recorded_witness *r = (recorded_witness *)base;
    const size_t i = r->step++;
    return i < r->n_greedy ? (fvlm_runner_token){(uint32_t)r->greedy[i], false} : (fvlm_runner_token){0, true};
}

static fvlm_status check_unchanged(const fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    const recorded_witness *r = (const recorded_witness *)base;
    return fvlm_stamp_check_unchanged(&r->stamp, r->fd, r->path, st, err);
}

static void close_witness(fvlm_witness *base)
{
    recorded_witness *r = (recorded_witness *)base;
    if (r->fd >= 0) close(r->fd);
    fvlm_safetensors_free(&r->index);
    free(r->header);
    free(r->pixels.values);
    free(r->recorded_ids);
    free(r->greedy);
    free(r->ids);
    free(r->block);
    free(r);
}

static const fvlm_witness_kind kind = {accept, begin, block, next, NULL, NULL, check_unchanged, close_witness, NULL};

fvlm_status fvlm_witness_recorded_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err)
{
    recorded_witness *r = fvlm_alloc(1, sizeof *r);
    *out = NULL;
    if (!r) return fvlm_fail_nomem(err);
    r->fd = -1;
    r->path = o->recorded;
    fvlm_status st = read_header(r, err);
    if (!st) st = read_pixels(r, err);
    if (!st) st = read_ids(r, "input_ids", &r->recorded_ids, &r->n_recorded_ids, err);
    if (!st) st = read_ids(r, "greedy", &r->greedy, &r->n_greedy, err);
    if (!st && !(r->ids = fvlm_alloc(r->n_recorded_ids, sizeof *r->ids))) st = fvlm_fail_nomem(err);
    if (r->fd >= 0) st = check_unchanged(&r->base, st, err);
    if (st) {
        close_witness(&r->base);
        return st;
    }
    r->base = (fvlm_witness){.kind = &kind};
    *out = &r->base;
    return FVLM_OK;
}
