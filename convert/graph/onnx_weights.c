/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_weights.c - see onnx_weights.h. A weight is up to FVLM_MATCH_PARTS runs of rows, each stored in its own way
 * (stored.h), or computed numbers, or one value throughout. */
#include "convert/graph/onnx_weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/stored.h"
#include "format/base/bits.h"

#define MAX_FILES 1024 /* some exporters write a file for each tensor */

typedef struct {
    fvlm_stored parts[FVLM_MATCH_PARTS];
    unsigned n_parts;
    const double *numbers;
    float fill;
    uint64_t columns;
} weight;

struct fvlm_onnx_weights {
    fvlm_match match;
    fvlm_graph *graphs[FVLM_ONNX_MAX_GRAPHS];
    size_t n_graphs;
    weight *weights; /* [match.n] */
    fvlm_source_tensor *tensors;
    char **origins;
    fvlm_source_file files[MAX_FILES]; /* of all graphs, one after the other */
    char *file_names[MAX_FILES];
    size_t n_files, file_begin[FVLM_ONNX_MAX_GRAPHS + 1];
};

/* ---- reading ---- */

/* Rows, or part of one. */
static void read_range(const fvlm_onnx_weights *w, size_t view, fvlm_stored_range q, uint8_t *out)
{
    const weight *x = &w->weights[view];
    const unsigned type = w->tensors[view].type;
    for (unsigned p = 0; p < x->n_parts && q.n_rows; p++) {
        const fvlm_stored *s = &x->parts[p];
        if (q.first >= s->n_rows) {
            q.first -= s->n_rows;
            continue;
        }
        fvlm_stored_range here = q;
        if (here.n_rows > s->n_rows - q.first) here.n_rows = s->n_rows - q.first;
        fvlm_stored_read(s, here, type, out);
        out += here.n_rows * here.n_columns * fvlm_source_type_bytes(type);
        q.n_rows -= here.n_rows;
        q.first = 0;
    }
    const uint64_t at = q.first * x->columns + q.from;
    for (uint64_t i = 0; x->n_parts == 0 && i < q.n_rows * q.n_columns; i++) {
        const float value = x->numbers ? (float)x->numbers[at + i] : x->fill;
        memcpy(out + 4 * i, &value, 4);
    }
}

static fvlm_status read_view(const void *ctx, size_t view, uint64_t at, size_t n_bytes, void *out, fvlm_err *err)
{
    const fvlm_onnx_weights *w = ctx;
    const size_t size = fvlm_source_type_bytes(w->tensors[view].type);
    const uint64_t columns = w->weights[view].columns;
    if (at % size || n_bytes % size)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\": a part of an element was asked for",
                         w->tensors[view].name);
    uint8_t *to = out;
    for (uint64_t e = at / size, end = e + n_bytes / size; e < end;) {
        const uint64_t left = end - e, from = e % columns;
        fvlm_stored_range q = {e / columns, 1, from, columns - from < left ? columns - from : left};
        if (from == 0 && left >= columns) q.n_rows = left / columns;
        read_range(w, view, q, to);
        e += q.n_rows * q.n_columns;
        to += q.n_rows * q.n_columns * size;
    }
    return FVLM_OK;
}

static fvlm_status read_codes(const void *ctx, size_t view, uint64_t first, size_t n_rows, fvlm_source_codes out,
                              fvlm_err *err)
{
    (void)err;
    const fvlm_onnx_weights *w = ctx;
    const weight *x = &w->weights[view];
    const fvlm_type type = w->tensors[view].codes;
    const uint64_t group = type.group ? type.group : x->columns, n_groups = (x->columns + group - 1) / group;
    for (unsigned p = 0; p < x->n_parts && n_rows; p++) {
        const fvlm_stored *s = &x->parts[p];
        if (first >= s->n_rows) {
            first -= s->n_rows;
            continue;
        }
        const size_t n = s->n_rows - first < n_rows ? (size_t)(s->n_rows - first) : n_rows;
        fvlm_stored_codes(s, first, n, type, out);
        out.codes += n * x->columns;
        out.scales += n * n_groups;
        out.offsets += n * n_groups;
        n_rows -= n;
        first = 0;
    }
    return FVLM_OK;
}

/* ---- files ---- */

static size_t graph_of(const fvlm_onnx_weights *w, size_t file)
{
    size_t g = 0;
    while (file >= w->file_begin[g + 1]) g++;
    return g;
}

static fvlm_status hash_file(const void *ctx, size_t file, fvlm_hash *out, const fvlm_stop *stop, fvlm_err *err)
{
    const fvlm_onnx_weights *w = ctx;
    const size_t g = graph_of(w, file);
    return fvlm_graph_hash(out, w->graphs[g], file - w->file_begin[g], stop, err);
}

static const char *path_of(const void *ctx, size_t file)
{
    const fvlm_onnx_weights *w = ctx;
    const size_t g = graph_of(w, file);
    return fvlm_graph_file_at(w->graphs[g], file - w->file_begin[g]).path;
}

static fvlm_status check_unchanged(const void *ctx, fvlm_status st, fvlm_err *err)
{
    const fvlm_onnx_weights *w = ctx;
    for (size_t g = 0; g < w->n_graphs; g++) st = fvlm_graph_check_unchanged(w->graphs[g], st, err);
    return st;
}

static void close_weights(void *ctx)
{
    fvlm_onnx_weights *w = ctx;
    for (size_t i = 0; w->origins && i < w->match.n; i++) free(w->origins[i]);
    for (size_t i = 0; i < w->n_files; i++) free(w->file_names[i]);
    fvlm_match_free(&w->match);
    for (size_t g = 0; g < w->n_graphs; g++) fvlm_graph_close(&w->graphs[g]);
    free(w->origins);
    free(w->weights);
    free(w->tensors);
    free(w);
}

static const fvlm_source_reader reader = {read_view, read_codes, hash_file, path_of, check_unchanged, close_weights};

/* The model's file under its name, its data under theirs, in the same folder. */
static fvlm_status add_files(fvlm_onnx_weights *w, const fvlm_graph *g, const char *name, fvlm_err *err)
{
    const char *slash = strrchr(name, '/');
    const char *model = fvlm_graph_file_at(g, 0).path, *model_slash = strrchr(model, '/');
    const size_t folder = model_slash ? (size_t)(model_slash - model) + 1 : 0;
    for (size_t i = 0; i < fvlm_graph_n_files(g); i++) {
        if (w->n_files == MAX_FILES) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": more than %d files", name, MAX_FILES);
        const fvlm_graph_file f = fvlm_graph_file_at(g, i);
        const char *rest = strncmp(f.path, model, folder) ? f.path : f.path + folder;
        char *kept = i ? fvlm_asprintf("%.*s%s", slash ? (int)(slash - name) + 1 : 0, name, rest) : fvlm_strdup(name);
        if (!kept) return fvlm_fail_nomem(err);
        w->file_names[w->n_files] = kept;
        w->files[w->n_files++] = (fvlm_source_file){.name = kept, .n_bytes = f.n_bytes};
    }
    return FVLM_OK;
}

/* ---- making ---- */

/* What the weight is in the file: "vision_encoder.onnx: onnx::Conv_12 (node /conv/Conv)". */
static char *describe(const fvlm_match_tensor *t, const char *file)
{
    char what[512] = "";
    size_t n = 0;
    for (unsigned p = 0; p < t->n_parts && n < sizeof what; p++)
        n += (size_t)snprintf(what + n, sizeof what - n, "%s%s%.160s", p ? ", " : "", t->parts[p].twice ? "2 * " : "",
                              t->parts[p].weight.tensor->name);
    if (t->n_parts == 0 && t->numbers) snprintf(what, sizeof what, "a computed constant");
    if (t->n_parts == 0 && !t->numbers) snprintf(what, sizeof what, "%g throughout", (double)t->fill);
    if (!t->node) return fvlm_asprintf("%s: %s", file, what);
    return fvlm_asprintf("%s: %s (node %.160s)", file, what, t->node->name[0] ? t->node->name : t->node->op);
}

/* The type that all parts have; kind 0 if they differ. Symmetric groups among asymmetric ones are asymmetric, too. */
static fvlm_type codes_of(const weight *x)
{
    fvlm_type all = x->n_parts ? fvlm_stored_type(&x->parts[0]) : (fvlm_type){0};
    for (unsigned p = 1; p < x->n_parts; p++) {
        fvlm_type one = fvlm_stored_type(&x->parts[p]);
        const uint8_t asymmetric = all.asymmetric | one.asymmetric;
        all.asymmetric = one.asymmetric = asymmetric;
        if (!fvlm_type_equal(all, one)) return (fvlm_type){0};
    }
    return all.kind ? all : (fvlm_type){0};
}

static fvlm_status bind_parts(weight *x, const fvlm_match_tensor *t, const char *origin, fvlm_err *err)
{
    uint64_t rows = 0, n = 1;
    char text[1024];
    for (unsigned i = 0; i < t->rank; i++)
        if (!fvlm_checked_mul(n, t->dims[i], &n) || n == 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "%s: a tensor of no size, or too large", origin);
    x->columns = t->rank ? n / t->dims[0] : 1;
    snprintf(text, sizeof text, "\"%.900s\"", origin);
    for (unsigned p = 0; p < t->n_parts; p++) {
        fvlm_status st = fvlm_stored_bind(&x->parts[p], &t->parts[p], x->columns, text, err);
        if (st) return st;
        rows += t->parts[p].n_rows;
    }
    x->n_parts = t->n_parts;
    if (t->n_parts && rows != (t->rank ? t->dims[0] : 1))
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s: %" PRIu64 " rows, expected %" PRIu64, text, rows, t->dims[0]);
    return FVLM_OK;
}

static fvlm_status make_tensor(fvlm_onnx_weights *w, size_t i, const char *file, fvlm_err *err)
{
    const fvlm_match_tensor *t = &w->match.tensors[i];
    weight *x = &w->weights[i];
    char *origin = w->origins[i] = describe(t, file);
    if (!origin) return fvlm_fail_nomem(err);
    x->numbers = t->numbers;
    x->fill = t->fill;
    fvlm_status st = bind_parts(x, t, origin, err);
    if (st) return st;
    bool packed = false;
    unsigned type = x->n_parts ? x->parts[0].elements.type : FVLM_SOURCE_F32;
    for (unsigned p = 0; p < x->n_parts; p++) {
        packed |= !x->parts[p].elements.type;
        if (x->parts[p].elements.type != type) type = FVLM_SOURCE_F32;
    }
    fvlm_source_tensor *to = &w->tensors[i];
    *to = (fvlm_source_tensor){.name = t->name,
                               .type = (uint8_t)(type ? type : FVLM_SOURCE_F32),
                               .rank = (uint8_t)t->rank,
                               .n_elems = 1,
                               .origin = origin,
                               .codes = codes_of(x),
                               .filled = !t->n_parts && !t->numbers,
                               .fill = t->fill};
    to->dequantized = packed && !to->codes.kind;
    for (unsigned d = 0; d < t->rank; d++) {
        to->dims[d] = t->dims[d];
        to->n_elems *= t->dims[d]; /* checked by bind_parts */
    }
    if (!fvlm_checked_mul(to->n_elems, fvlm_source_type_bytes(to->type), &to->n_bytes))
        return fvlm_fail(err, FVLM_LIMIT, "%s: too large", origin);
    return FVLM_OK;
}

fvlm_status fvlm_onnx_weights_create(fvlm_onnx_weights **out, fvlm_match *match, fvlm_onnx_weights_graph *graphs,
                                     size_t n, fvlm_err *err)
{
    fvlm_onnx_weights *w = *out = fvlm_alloc(1, sizeof *w);
    if (!w) {
        for (size_t g = 0; g < n; g++) fvlm_graph_close(&graphs[g].graph);
        fvlm_match_free(match);
        return fvlm_fail_nomem(err);
    }
    w->match = *match;
    *match = (fvlm_match){0};
    for (size_t g = 0; g < n; g++) {
        w->graphs[w->n_graphs++] = graphs[g].graph;
        graphs[g].graph = NULL;
    }
    w->weights = fvlm_alloc(w->match.n, sizeof *w->weights);
    w->tensors = fvlm_alloc(w->match.n, sizeof *w->tensors);
    w->origins = fvlm_alloc(w->match.n, sizeof *w->origins);
    fvlm_status st = w->weights && w->tensors && w->origins ? FVLM_OK : fvlm_fail_nomem(err);
    size_t i = 0;
    for (size_t g = 0; g < n && !st; g++) {
        st = add_files(w, w->graphs[g], graphs[g].name, err);
        w->file_begin[g + 1] = w->n_files;
        for (; i < graphs[g].end && !st; i++) st = make_tensor(w, i, graphs[g].name, err);
    }
    if (st) {
        close_weights(w);
        *out = NULL;
    }
    return st;
}

fvlm_status fvlm_onnx_weights_give(fvlm_onnx_weights **weights, fvlm_source *src, fvlm_err *err)
{
    fvlm_onnx_weights *w = *weights;
    *weights = NULL;
    return fvlm_source_add_views(src, &reader, w, w->tensors, w->match.n, w->files, w->n_files, err);
}
