/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c - see weights.h. Tensors are cut into tasks of about a million weights. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "format/base/grow.h"
#include "verify/rounding.h"
#include "verify/same_model.h"
#include "verify/weights.h"

#define HEAD "llm.head.weight"
#define TASK_WEIGHTS ((size_t)1 << 20)
/* Sums of squares in f64 on both sides, over the same numbers in another order. */
#define SUM_SLACK 1e-9
/* What folding BatchNorm in f32 (PyTorch's exporters) and in f64 (convert) may differ by, relative to the largest
 * element: some units in the last place, as biases are sums. */
#define FOLDED_SLACK 3e-7f

typedef struct {
    const fvlm_tensor *model, *source;
    fvlm_weight model_weight, source_weight; /* the same two, if the model's is quantized */
    fvlm_rounding_history history;
    size_t first, n; /* stored elements of a float tensor, or panels of a quantized one */
    /* Found: */
    double error, plain; /* squared error of its groups; the same of the plain method */
    uint64_t n_groups, n_near, n_bad;
    char first_bad[FVLM_MAX_ELEMENT_NAME];
} task;

typedef struct {
    const fvlm_reader *model, *source;
    const fvlm_check_options *o;
    bool folded_apart; /* different exporters computed what is folded */
    fvlm_weights *out;
    task *tasks;
    size_t n_tasks, tasks_capacity;
    float *scratch; /* [threads][scratch_elems] */
    size_t scratch_elems;
    atomic_size_t done;
} job;

/* ---- floats ---- */

static void compare_floats(const job *j, task *t, float *scratch)
{
    float *x = scratch, *y = scratch + t->n, slack;
    const size_t source_width = fvlm_type_float_bytes(t->source->type),
                 model_width = fvlm_type_float_bytes(t->model->type);
    fvlm_decode_floats(t->source->type, fvlm_reader_bytes(j->source, t->source) + t->first * source_width, t->n, x);
    fvlm_decode_floats(t->model->type, fvlm_reader_bytes(j->model, t->model) + t->first * model_width, t->n, y);
    float near = 0;
    for (size_t i = 0; i < t->n && j->folded_apart; i++) near = fmaxf(near, FOLDED_SLACK * fabsf(x[i]));
    for (size_t i = 0; i < t->n; i++) {
        const float want = fvlm_rounding_history_apply(&t->history, x[i], &slack);
        const float off = fabsf(y[i] - want);
        if (off <= slack) continue; /* false for NaN */
        if (off <= slack + near)
            t->n_near++;
        else if (!t->n_bad++)
            fvlm_element_name(t->model, t->first + i, t->first_bad);
    }
}

/* ---- integers ---- */

/* w: the source's n weights of the group, rounded as its history says; slack: the largest of one of them. */
static void compare_group(task *t, const float *w, const float *stored, size_t n, float slack, size_t row, size_t from)
{
    double error = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)stored[i] - (double)w[i];
        error += d * d;
    }
    const double plain = fvlm_rounding_plain_error(t->model->type, w, n);
    t->error += error;
    t->plain += plain;
    t->n_groups++;
    if (sqrt(error) <= sqrt(plain) * (1 + SUM_SLACK) + 2 * (double)slack) return; /* false for NaN */
    if (!t->n_bad++)
        snprintf(t->first_bad, sizeof t->first_bad, "%s row %zu, inputs %zu to %zu", t->model->name, row, from,
                 from + n - 1);
}

static void compare_row(task *t, size_t row, float *scratch)
{
    const size_t k = t->model_weight.m.k, group = t->model_weight.m.group;
    float *w = scratch, *stored = scratch + k;
    fvlm_weight_row(&t->source_weight, row, w);
    fvlm_weight_row(&t->model_weight, row, stored);
    for (size_t from = 0; from < k; from += group) {
        const size_t n = group < k - from ? group : k - from;
        float slack, max_slack = 0;
        for (size_t i = from; i < from + n && t->history.n; i++) {
            w[i] = fvlm_rounding_history_apply(&t->history, w[i], &slack);
            if (slack > max_slack) max_slack = slack;
        }
        compare_group(t, w + from, stored + from, n, max_slack, row, from);
    }
}

static void compare_panels(task *t, float *scratch)
{
    const size_t first = t->first * FVLM_PANEL, end = first + t->n * FVLM_PANEL;
    for (size_t row = first; row < end && row < t->model_weight.m.n; row++) compare_row(t, row, scratch);
}

/* ---- the tasks ---- */

/* An fvlm_fallible_task. */
static fvlm_status run_task(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    job *j = ctx;
    task *t = &j->tasks[i];
    float *scratch = j->scratch + thread * j->scratch_elems;
    const fvlm_status st = fvlm_stop_check(j->o->stop, err);
    if (st) return st;
    if (t->model->type.kind == FVLM_INT)
        compare_panels(t, scratch);
    else
        compare_floats(j, t, scratch);
    const size_t done = atomic_fetch_add(&j->done, 1) + 1;
    if (thread == 0 && j->o->progress) j->o->progress(j->o->progress_ctx, done, j->n_tasks);
    return FVLM_OK;
}

/* Cuts n elements, or panels of k inputs, into tasks. The scratch holds both sides of a task, or of a row. */
static fvlm_status add_tasks(job *j, task whole, size_t n, size_t k, fvlm_err *err)
{
    const bool panels = whole.model->type.kind == FVLM_INT;
    const size_t elems = panels ? k * FVLM_PANEL : 1, step = elems < TASK_WEIGHTS ? TASK_WEIGHTS / elems : 1;
    const size_t scratch = 2 * (panels ? k : step < n ? step : n);
    if (!fvlm_grow(&j->tasks, &j->tasks_capacity, j->n_tasks + n / step + 1, sizeof *j->tasks))
        return fvlm_fail_nomem(err);
    if (scratch > j->scratch_elems) j->scratch_elems = scratch;
    for (whole.first = 0; whole.first < n; whole.first += step) {
        whole.n = step < n - whole.first ? step : n - whole.first;
        j->tasks[j->n_tasks++] = whole;
    }
    return FVLM_OK;
}

static bool same_shape(const fvlm_tensor *a, const fvlm_tensor *b)
{
    return b && a->layout == b->layout && a->rank == b->rank && !memcmp(a->dims, b->dims, a->rank * sizeof *a->dims);
}

static fvlm_status plan_integers(job *j, task *whole, fvlm_err *err)
{
    fvlm_status st =
        fvlm_weight_bind(&whole->source_weight, whole->source, fvlm_reader_bytes(j->source, whole->source), err);
    if (!st) st = fvlm_weight_bind(&whole->model_weight, whole->model, fvlm_reader_bytes(j->model, whole->model), err);
    if (st) return st;
    j->out->n_quantized++;
    return add_tasks(j, *whole, whole->model_weight.m.n_panels, whole->model_weight.m.k, err);
}

/* The source's tensor of this name. The head of a source that ties it is the embedding. */
static const fvlm_tensor *find_source(const fvlm_reader *source, const char *name)
{
    const fvlm_tensor *t = fvlm_reader_find(source, name);
    return t || strcmp(name, HEAD) ? t : fvlm_reader_find(source, "llm.embed.weight");
}

static size_t count_without_head(const fvlm_reader *r)
{
    return fvlm_reader_n_tensors(r) - (fvlm_reader_find(r, HEAD) ? 1 : 0);
}

static const json_t *origin_of(const fvlm_reader *r, const fvlm_tensor *t)
{
    return json_object_get(json_object_get(json_object_get(fvlm_reader_meta(r), "tensors"), t->name), "from");
}

/* Whether both were made from the same quantized weight: then another quantizer is no reason for a difference. */
static bool same_origin(const job *j, const fvlm_tensor *t, const fvlm_tensor *source)
{
    const json_t *a = origin_of(j->model, t), *b = origin_of(j->source, source);
    return a && b && json_equal(a, b) && fvlm_rounding_is_foreign(j->model, t) &&
           fvlm_rounding_is_foreign(j->source, source);
}

/* Codes were kept on both sides, and differ. */
static fvlm_status refuse_codes(job *j, const fvlm_tensor *t)
{
    j->out->n_tensors++;
    j->out->n_quantized++;
    if (!j->out->n_bad++) snprintf(j->out->first_bad, sizeof j->out->first_bad, "%s", t->name);
    return FVLM_OK;
}

static fvlm_status plan_tensor(job *j, const fvlm_tensor *t, fvlm_err *err)
{
    task whole = {.model = t, .source = find_source(j->source, t->name)};
    if (!same_shape(t, whole.source))
        return fvlm_fail(err, FVLM_MISMATCH, "tensor \"%s\" is missing or of another shape in \"%s\"", t->name,
                         fvlm_reader_path(j->source));
    const bool same_type = fvlm_type_equal(t->type, whole.source->type);
    if (same_type && fvlm_hash_equal(&t->hash, &whole.source->hash))
        return j->out->n_tensors++, j->out->n_same++, FVLM_OK;
    const bool again = same_origin(j, t, whole.source);
    if (whole.source->type.kind == FVLM_INT) {
        if (again && same_type) return refuse_codes(j, t);
        return j->out->n_skipped++, FVLM_OK;
    }
    if (!again && fvlm_rounding_is_foreign(j->model, t)) return j->out->n_foreign++, FVLM_OK;
    j->out->n_tensors++;
    fvlm_status st = fvlm_rounding_history_of(&whole.history, j->model, t, err);
    if (st) return st;
    if (t->type.kind == FVLM_INT) return plan_integers(j, &whole, err);
    j->out->n_rounded++;
    return add_tasks(j, whole, (size_t)t->n_bytes / fvlm_type_float_bytes(t->type), 1, err);
}

/* In the order of the file, which is about the order of a pass: the first bad one is the one to look at. */
static fvlm_status plan(job *j, fvlm_err *err)
{
    const size_t n = fvlm_reader_n_tensors(j->model);
    if (count_without_head(j->model) != count_without_head(j->source))
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\" and \"%s\" hold different numbers of tensors",
                         fvlm_reader_path(j->model), fvlm_reader_path(j->source));
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < n && !st; i++) st = plan_tensor(j, fvlm_reader_tensor_in_file(j->model, i), err);
    return st;
}

/* Adds up in the order of the tasks. */
static void sum_up(const job *j)
{
    fvlm_weights *out = j->out;
    double error = 0, plain = 0;
    for (size_t i = 0; i < j->n_tasks; i++) {
        const task *t = &j->tasks[i];
        error += t->error;
        plain += t->plain;
        out->n_groups += t->n_groups;
        out->n_near += t->n_near;
        if (t->n_bad && !out->n_bad) memcpy(out->first_bad, t->first_bad, sizeof out->first_bad);
        out->n_bad += t->n_bad;
    }
    out->share = plain > 0 ? sqrt(error / plain) : 0;
}

fvlm_status fvlm_weights_compare(fvlm_weights *out, const fvlm_reader *model, const fvlm_reader *source,
                                 const fvlm_check_options *o, fvlm_err *err)
{
    static const fvlm_check_options none = {0};
    const double started = fvlm_clock_seconds();
    job j = {.model = model,
             .source = source,
             .o = o ? o : &none,
             .folded_apart = fvlm_same_model_folded_apart(model, source),
             .out = out};
    *out = (fvlm_weights){0};
    fvlm_status st = plan(&j, err);
    if (!st) {
        j.scratch = fvlm_alloc(fvlm_pool_threads(j.o->pool) * j.scratch_elems, sizeof *j.scratch);
        st = j.scratch ? fvlm_pool_try(j.o->pool, j.n_tasks, run_task, &j, err) : fvlm_fail_nomem(err);
    }
    if (!st) sum_up(&j);
    free(j.scratch);
    free(j.tasks);
    out->seconds = fvlm_clock_seconds() - started;
    return st;
}
