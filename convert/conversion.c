/* SPDX-License-Identifier: Apache-2.0 */
/* conversion.c - plans a conversion and runs it on all threads.
 *
 * A task packs one recipe or hashes one weights file. Costly tasks go first, so that the threads finish together. No
 * byte depends on which thread runs a task. */
#include <stdlib.h>
#include <string.h>

#include "convert/conversion.h"
#include "convert/halves.h"
#include "convert/graph/onnx_paths.h"
#include "convert/graph/onnx_source.h"
#include "format/base/clock.h"
#include "format/base/memory.h"
#include "format/base/pool.h"
#include "format/config.h"

/* ---- plan ---- */

/* A weight that is stored as integers of one of our types, and that nothing is folded into, stays so. */
static bool keeps_codes(const fvlm_recipe *m)
{
    return !m->fused && m->layout == FVLM_PANELS && m->branch[0].kernel->codes.kind;
}

static fvlm_status choose_types(fvlm_conversion *c, const char *type, fvlm_err *err)
{
    fvlm_type forced = {0};
    const char *quantized = c->options.quantized;
    if (quantized && strcmp(quantized, "keep") && strcmp(quantized, "float"))
        return fvlm_fail(err, FVLM_USAGE, "quantized \"%.40s\" is not keep or float", quantized);
    const bool keep = quantized ? !strcmp(quantized, "keep") : !type;
    if (keep && type)
        return fvlm_fail(err, FVLM_USAGE,
                         "a type for every tensor, and quantized weights kept as they are: give one of the two");
    if (type) {
        fvlm_status st = fvlm_type_parse(&forced, type, err);
        if (st || forced.kind == FVLM_INT)
            return fvlm_fail(err, FVLM_USAGE,
                             "type \"%.40s\" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result",
                             type);
    }
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        fvlm_planned *p = &c->planned[i];
        p->packing.weight = forced.kind              ? forced
                            : keep && keeps_codes(m) ? m->branch[0].kernel->codes
                                                     : fvlm_pack_weight_type(m);
        p->packing.bias = forced.kind ? forced : fvlm_pack_bias_type(m);
        fvlm_status st = fvlm_type_tensor_bytes(&p->weight_bytes, p->packing.weight, m->layout, m->rank, m->dims, err);
        if (!st && m->has_bias)
            st = fvlm_type_tensor_bytes(&p->bias_bytes, p->packing.bias, FVLM_ROWS, 1, &m->out, err);
        if (st) return fvlm_err_prefix(err, "\"%s\"", m->name);
        if (m->fused) c->n_fused++;
        if (p->packing.weight.kind == FVLM_INT)
            c->n_codes++;
        else if (fvlm_recipe_is_quantized(m))
            c->n_dequantized++;
        c->n_tensors += m->has_bias ? 2 : 1;
        c->tensor_bytes += p->weight_bytes + p->bias_bytes;
    }
    return FVLM_OK;
}

/* Refuses now what the reader would refuse when it opens the file. */
static fvlm_status check_config(const fvlm_config *config, fvlm_err *err)
{
    fvlm_config again;
    json_t *json = fvlm_config_to_json(config);
    if (!json) return fvlm_fail_nomem(err);
    fvlm_status st = fvlm_config_from_json(&again, json, err);
    json_decref(json);
    return st;
}

/* What checkpoint.h reads from files, for a vision tower that has none. */
static void describe_tower(fvlm_checkpoint *out, const fvlm_onnx_facts *facts)
{
    *out = (fvlm_checkpoint){0};
    out->config.vision.image_size = facts->config.vision.image_size;
    out->config.projector.in = facts->config.projector.in;
    out->config.projector.hidden = facts->config.projector.hidden;
    out->config.projector.out = facts->config.projector.out;
}

/* Opens ONNX files and reads what lies beside them. */
static fvlm_status read_onnx(fvlm_conversion *c, const char *path, fvlm_vocabulary_options *tokenizer, fvlm_err *err)
{
    fvlm_onnx_facts *facts = fvlm_alloc(1, sizeof *facts);
    fvlm_status st = facts ? fvlm_onnx_open(&c->source, facts, path, c->options.variant, err) : fvlm_fail_nomem(err);
    if (!st && facts->has_llm) {
        tokenizer->rows = facts->rows;
        st = fvlm_checkpoint_read(&c->checkpoint, c->source, tokenizer, c->options.conversation, err);
        if (!st && c->checkpoint.config.llm.family != FVLM_QWEN2)
            st = fvlm_fail(err, FVLM_UNSUPPORTED,
                           "\"config.json\" describes a %s, whose ONNX files are not supported, only Qwen2's; give the "
                           "safetensors checkpoint",
                           fvlm_family_name(c->checkpoint.config.llm.family));
        if (!st) st = fvlm_onnx_check(facts, &c->checkpoint.config, &c->checkpoint.embed_rows, err);
    } else if (!st) {
        describe_tower(&c->checkpoint, facts);
    }
    free(facts);
    return st;
}

/* The same for a folder of safetensors. */
static fvlm_status read_folder(fvlm_conversion *c, const char *path, const fvlm_vocabulary_options *tokenizer,
                               fvlm_err *err)
{
    fvlm_halves halves;
    fvlm_status st = fvlm_source_open(&c->source, path, err);
    if (!st) st = fvlm_naming_apply(&c->naming, c->source, c->options.dialect, err);
    if (!st && c->options.vision) st = fvlm_halves_add_tower(c->source, c->options.vision, err);
    if (!st) st = fvlm_halves_find(&halves, c->source, &c->naming, err);
    if (st) return st;
    return halves == FVLM_TOWER_ALONE
               ? fvlm_checkpoint_read_tower(&c->checkpoint, c->source, err)
               : fvlm_checkpoint_read(&c->checkpoint, c->source, tokenizer, c->options.conversation, err);
}

static fvlm_status read_source(fvlm_conversion *c, const char *path, fvlm_err *err)
{
    const fvlm_convert_options *o = &c->options;
    fvlm_vocabulary_options tokenizer = {.use = o->tokenizer, .stop = o->stop};
    c->onnx = o->variant || fvlm_onnx_paths_are(path, NULL);
    if (!c->onnx) return read_folder(c, path, &tokenizer, err);
    if (o->dialect || o->vision)
        return fvlm_fail(err, FVLM_USAGE, "--%s: \"%s\" is ONNX, not safetensors; leave the option out",
                         o->dialect ? "dialect" : "vision", path);
    return read_onnx(c, path, &tokenizer, err);
}

fvlm_status fvlm_conversion_plan(fvlm_conversion **out, const char *folder, const fvlm_convert_options *o,
                                 fvlm_err *err)
{
    *out = NULL;
    fvlm_conversion *c = fvlm_alloc(1, sizeof *c);
    if (!c) return fvlm_fail_nomem(err);
    c->options = *o;
    fvlm_status st = read_source(c, folder, err);
    if (!st) st = fvlm_names_resolve(&c->names, c->source, &c->checkpoint, &c->naming, o->head, err);
    if (!st) st = check_config(&c->names.config, err);
    if (!st) st = fvlm_recipes_check(&c->names.recipes, &c->names.config, err);
    if (!st) {
        c->planned = fvlm_alloc(c->names.recipes.n, sizeof *c->planned);
        st = c->planned ? choose_types(c, o->type, err) : fvlm_fail_nomem(err);
    }
    if (c->source) st = fvlm_source_check_unchanged(c->source, st, err);
    if (st)
        fvlm_conversion_free(&c);
    else
        *out = c;
    return st;
}

void fvlm_conversion_free(fvlm_conversion **conversion)
{
    fvlm_conversion *c = *conversion;
    *conversion = NULL;
    if (!c) return;
    fvlm_names_free(&c->names);
    fvlm_checkpoint_free(&c->checkpoint);
    fvlm_source_close(&c->source);
    free(c->planned);
    free(c);
}

/* ---- work ---- */

typedef struct {
    uint64_t cost;
    bool hash; /* of file 'index'; else pack recipe 'index' */
    size_t index;
} task;

typedef struct {
    fvlm_conversion *c;
    fvlm_writer *writer;
    task *tasks;
    size_t n_tasks;
    uint64_t total;
    atomic_ullong done;
    unsigned appends; /* by the calling thread, the only one that reports progress */
} work;

typedef struct {
    work *w;
    unsigned thread;
} sink_context;

static fvlm_status append(void *ctx, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err)
{
    sink_context *s = ctx;
    fvlm_status st = fvlm_writer_append(s->w->writer, id, bytes, n_bytes, err);
    if (s->thread == 0) {
        const fvlm_convert_options *o = &s->w->c->options;
        if (o->progress) o->progress(o->progress_ctx, s->w->done, s->w->total);
        if (s->w->appends++ % 64 == 0) fvlm_memory_peak_anonymous_bytes();
    }
    return st;
}

static fvlm_status run_task(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    work *w = ctx;
    fvlm_conversion *c = w->c;
    const task *t = &w->tasks[i];
    if (t->hash) {
        fvlm_status st = fvlm_source_hash(c->source, t->index, c->options.stop, err);
        w->done += fvlm_source_file_at(c->source, t->index).n_bytes;
        return st;
    }
    sink_context s = {w, thread};
    fvlm_sink sink = {append, &s};
    return fvlm_pack_recipe(&c->names.recipes.items[t->index], c->source, &c->planned[t->index].packing, &sink,
                            &w->done, c->options.stop, err);
}

static int costly_first(const void *a, const void *b)
{
    const task *x = a, *y = b;
    if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
    if (x->hash != y->hash) return x->hash ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static fvlm_status list_tasks(work *w, fvlm_err *err)
{
    fvlm_conversion *c = w->c;
    size_t n_files = fvlm_source_n_files(c->source);
    w->tasks = fvlm_alloc(c->names.recipes.n + n_files, sizeof *w->tasks);
    if (!w->tasks) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < n_files; i++) {
        uint64_t n = fvlm_source_file_at(c->source, i).n_bytes;
        w->tasks[w->n_tasks++] = (task){n / 4, true, i}; /* reading only */
        w->total += n;
    }
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        uint64_t n = fvlm_pack_source_bytes(m);
        w->tasks[w->n_tasks++] = (task){m->fused ? 8 * n : n, false, i}; /* arithmetic in f64, and the proof */
        w->total += n;
    }
    qsort(w->tasks, w->n_tasks, sizeof *w->tasks, costly_first);
    return FVLM_OK;
}

static fvlm_status declare(work *w, fvlm_err *err)
{
    char name[FVLM_MAX_NAME + 8];
    uint64_t n_bytes;
    fvlm_conversion *c = w->c;
    for (size_t i = 0; i < c->names.recipes.n; i++) {
        const fvlm_recipe *m = &c->names.recipes.items[i];
        fvlm_packing *p = &c->planned[i].packing;
        snprintf(name, sizeof name, "%s.weight", m->name);
        fvlm_status st =
            fvlm_writer_declare(w->writer, name, p->weight, m->layout, m->rank, m->dims, &p->weight_id, err);
        snprintf(name, sizeof name, "%s.bias", m->name);
        if (!st && m->has_bias)
            st = fvlm_writer_declare(w->writer, name, p->bias, FVLM_ROWS, 1, &m->out, &p->bias_id, err);
        if (st) return st;
    }
    return fvlm_writer_begin(w->writer, &n_bytes, err);
}

fvlm_status fvlm_conversion_write(fvlm_conversion *c, const char *path, fvlm_err *err)
{
    double began = fvlm_clock_seconds();
    if (fvlm_source_holds(c->source, path))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a file of the checkpoint itself; write to another name", path);
    fvlm_pool *pool = NULL;
    work w = {.c = c};
    fvlm_status st = fvlm_pool_create(&pool, c->options.threads, err);
    if (!st) st = fvlm_writer_create(&w.writer, path, c->options.force, err);
    if (!st) {
        fvlm_writer_use_pool(w.writer, pool, c->options.stop);
        st = declare(&w, err);
    }
    if (!st) st = list_tasks(&w, err);
    if (!st) st = fvlm_pool_try(pool, w.n_tasks, run_task, &w, err);
    fvlm_memory_peak_anonymous_bytes();
    st = fvlm_source_check_unchanged(c->source, st, err); /* all of it has been read */
    json_t *meta = st ? NULL : fvlm_conversion_metadata(c);
    if (!st && !meta) st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_writer_publish(&w.writer, meta, c->checkpoint.tokenizer, c->checkpoint.tokenizer_bytes, err);
    json_decref(meta);
    fvlm_writer_discard(&w.writer);
    fvlm_pool_destroy(&pool);
    free(w.tasks);
    c->written = !st;
    c->seconds = fvlm_clock_seconds() - began;
    return st;
}
