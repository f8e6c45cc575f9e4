/* SPDX-License-Identifier: Apache-2.0 */
/* observe.c - the end of a block: its values are finite, or the pass ends with an error that names the block and, if
 * that is the cause, the damaged weight. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/model.h"

/* ---- the cause: weights that are not finite ---- */

static size_t first_not_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i])) i++;
    return i;
}

static fvlm_status blame(const fvlm_model *m, const char *block, const fvlm_tensor *t, uint64_t at, float value,
                         fvlm_err *err)
{
    char name[FVLM_MAX_ELEMENT_NAME];
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\": %s gives values that are not finite: %s is %s; convert the model again from undamaged "
                     "weights",
                     fvlm_reader_path(m->reader), block, fvlm_element_name(t, at, name),
                     isnan(value) ? "NaN" : "infinite");
}

/* The index in storage order of element [n, k] of a matrix in panels. */
static uint64_t element_at(uint64_t n, uint64_t k, uint64_t width)
{
    return (n / FVLM_PANEL * width + k) * FVLM_PANEL + n % FVLM_PANEL;
}

/* A matrix, row by row as the passes decode it. */
static fvlm_status check_panels(const fvlm_model *m, const char *block, const fvlm_tensor *t, fvlm_err *err)
{
    fvlm_weight w;
    fvlm_status st = fvlm_weight_bind(&w, t, fvlm_reader_bytes(m->reader, t), err);
    float *row = st ? NULL : fvlm_alloc(w.m.k, sizeof *row);
    if (!st && !row) st = fvlm_fail_nomem(err);
    for (size_t n = 0; n < w.m.n && !st; n++) {
        fvlm_weight_row(&w, n, row);
        const size_t k = first_not_finite(row, w.m.k);
        if (k < w.m.k)
            st = blame(m, block, t, element_at(n, k, w.m.k), row[k], err);
        else
            st = fvlm_stop_check(m->options.stop, err);
    }
    free(row);
    return st;
}

static fvlm_status check_vector(const fvlm_model *m, const char *block, const fvlm_tensor *t, fvlm_err *err)
{
    const size_t width = fvlm_type_float_bytes(t->type), n = (size_t)t->n_bytes / width;
    const uint8_t *bytes = fvlm_reader_bytes(m->reader, t);
    for (size_t i = 0; i < n; i++) {
        float value;
        fvlm_decode_floats(t->type, bytes + i * width, 1, &value);
        if (!isfinite(value)) return blame(m, block, t, i, value, err);
    }
    return FVLM_OK;
}

/* Tensors are named after their block; the logits are the head's, which may be the embedding. */
static bool belongs(const fvlm_model *m, const char *tensor, const char *block)
{
    if (!strcmp(block, "logits")) block = m->config->llm.tied ? "llm.embed" : "llm.head";
    const size_t n = strlen(block);
    return !strncmp(tensor, block, n) && tensor[n] == '.';
}

fvlm_status fvlm_model_check_embedding(const fvlm_model *m, uint32_t id, const float *row, fvlm_err *err)
{
    const size_t width = m->config->llm.hidden, k = first_not_finite(row, width);
    if (k == width) return FVLM_OK;
    const fvlm_tensor *t = fvlm_reader_find(m->reader, "llm.embed.weight");
    return blame(m, "llm.embed", t, element_at(id, k, width), row[k], err);
}

static fvlm_status explain(const fvlm_model *m, const char *block, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    if (!strcmp(block, "llm.embed")) /* the model's own rows have been checked */
        return fvlm_fail(err, FVLM_BAD_INPUT, "the rows given to the language model are not finite");
    for (size_t i = 0; i < fvlm_reader_n_tensors(m->reader) && !st; i++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(m->reader, i);
        if (!belongs(m, t->name, block)) continue;
        st = t->layout == FVLM_PANELS ? check_panels(m, block, t, err) : check_vector(m, block, t, err);
    }
    if (st) return st;
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\": %s gives values that are not finite: they exceed what f32 can hold; weights or scales of "
                     "this block, or of one before it, are out of range",
                     fvlm_reader_path(m->reader), block);
}

/* ---- the end of a block ---- */

fvlm_status fvlm_model_observe(const fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                               fvlm_err *err)
{
    if (!fvlm_exec_ok(m->exec)) return fvlm_fail_nomem(err); /* x is undefined */
    if (!fvlm_exec_take_finite(m->exec)) return explain(m, name, err);
    if (m->options.observer) m->options.observer(m->options.observer_ctx, name, x, rows, cols);
    return fvlm_stop_check(m->options.stop, err);
}

fvlm_status fvlm_model_observe_checked(const fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                                       fvlm_err *err)
{
    fvlm_op_check_finite(m->exec, x, rows * cols);
    return fvlm_model_observe(m, name, x, rows, cols, err);
}
