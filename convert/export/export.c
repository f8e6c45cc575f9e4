/* SPDX-License-Identifier: Apache-2.0 */
/* export.c - see export.h: the table of targets, and what is the same for all of them. */
#include "convert/export/export.h"

#include <stdlib.h>
#include <string.h>

#include "convert/export/target.h"
#include "format/base/clock.h"
#include "format/base/file.h"
#include "format/base/json.h"
#include "format/base/memory.h"

static const fvlm_export_target *const targets[] = {&fvlm_export_safetensors, &fvlm_export_onnx, &fvlm_export_gguf};

/* ---- the plan ---- */

static fvlm_status find_target(fvlm_export *x, fvlm_err *err)
{
    const fvlm_export_options *o = &x->options;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0] && !x->target; i++)
        if (o->to && !strcmp(targets[i]->name, o->to)) x->target = targets[i];
    if (!x->target)
        return fvlm_fail(err, FVLM_USAGE, "--to: \"%.64s\" is not one of " FVLM_EXPORT_TARGETS, o->to ? o->to : "");
    if (o->naming && !x->target->takes_naming)
        return fvlm_fail(err, FVLM_USAGE, "--naming is an option of --to safetensors; leave it out");
    if (o->shard_size && !x->target->takes_shards)
        return fvlm_fail(err, FVLM_USAGE, "--shard-size is an option of --to safetensors; leave it out");
    return FVLM_OK;
}

static fvlm_status read_type(fvlm_export *x, fvlm_err *err)
{
    const char *type = x->options.type;
    fvlm_status st = type ? fvlm_type_parse(&x->floats, type, err) : FVLM_OK;
    if (!st && x->floats.kind == FVLM_INT)
        st = fvlm_fail(err, FVLM_USAGE, "--type: \"%.64s\" is not one of f32|bf16|f16", type);
    return st;
}

/* The file holds exactly the tensors that its config demands, in the layouts that they must have. */
static fvlm_status check_tensors(const fvlm_export *x, fvlm_err *err)
{
    fvlm_tensors want = {.config = x->config};
    size_t n = 0;
    for (; fvlm_tensors_next(&want); n++) {
        const fvlm_tensor *t = fvlm_reader_find(x->reader, want.name);
        if (!t)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": tensor \"%s\" is missing", fvlm_reader_path(x->reader),
                             want.name);
        if (fvlm_tensors_fit(&want, t, err)) return fvlm_err_prefix(err, "\"%s\"", fvlm_reader_path(x->reader));
    }
    if (n == fvlm_reader_n_tensors(x->reader)) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has %zu tensors, but its config demands %zu",
                     fvlm_reader_path(x->reader), fvlm_reader_n_tensors(x->reader), n);
}

/* What targets write is Qwen2 or Llama. A config that says more about its language model is another's, and must not
 * pass for them. */
static fvlm_status check_llm(const fvlm_export *x, fvlm_err *err)
{
    static const char *const known[] = {"hidden",       "layers", "heads",   "kv_heads",   "head_dim",
                                        "intermediate", "vocab",  "context", "rope_theta", "norm_eps",
                                        "tied",         "family", "bias",    "bos",        "rope_scaling"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(json_object_get(x->meta, "config"), "llm"), key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0] && !found; i++) found = !strcmp(key, known[i]);
        if (!found)
            return fvlm_fail(
                err, FVLM_UNSUPPORTED,
                "\"%s\": only Qwen2 and Llama are exported, and config.llm.%.40s says that this is another",
                fvlm_reader_path(x->reader), key);
    }
    return FVLM_OK;
}

fvlm_status fvlm_export_plan(fvlm_export **out, const char *model, const fvlm_export_options *o, fvlm_err *err)
{
    *out = NULL;
    fvlm_export *x = calloc(1, sizeof *x);
    if (!x) return fvlm_fail_nomem(err);
    x->options = *o;
    fvlm_status st = find_target(x, err);
    if (!st) st = read_type(x, err);
    if (!st) st = fvlm_reader_open(&x->reader, model, err);
    if (!st) {
        x->config = fvlm_reader_config(x->reader);
        x->meta = fvlm_reader_meta(x->reader);
        st = check_llm(x, err);
        if (!st) st = check_tensors(x, err);
    }
    if (!st) st = x->target->plan(x, err);
    if (st) fvlm_export_free(&x);
    *out = x;
    return st;
}

void fvlm_export_free(fvlm_export **out)
{
    fvlm_export *x = *out;
    if (!x) return;
    *out = NULL;
    if (x->plan) x->target->free(x->plan);
    for (size_t i = 0; i < x->n_tensors; i++) free((char *)x->tensors[i].name);
    for (size_t i = 0; i < x->n_files; i++) free((char *)x->files[i].name);
    for (size_t i = 0; i < x->n_notes; i++) free(x->notes[i]);
    free(x->tensors);
    free(x->files);
    free(x->notes);
    fvlm_reader_close(&x->reader);
    free(x);
}

/* ---- writing ---- */

/* By their ends, so that a folder with anything else in it is not replaced. */
static bool is_ours(const char *name)
{
    static const char *const ends[] = {".safetensors", ".json",      ".jinja",         "merges.txt",
                                       ".onnx",        ".onnx_data", "tokenizer.model"};
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t k = strlen(ends[i]);
        if (n >= k && !strcmp(name + n - k, ends[i])) return true;
    }
    return false;
}

static fvlm_status write_all(fvlm_export *x, fvlm_err *err)
{
    const fvlm_check_options check = {.pool = x->pool, .stop = x->options.stop};
    fvlm_status st = fvlm_reader_check(x->reader, &check, err);
    if (!st) st = x->target->write(x, err);
    if (x->open) fvlm_output_discard(&x->open);
    return fvlm_reader_check_unchanged(x->reader, st, err);
}

fvlm_status fvlm_export_write(fvlm_export *x, const char *path, fvlm_err *err)
{
    const double begun = fvlm_clock_seconds();
    x->path = path;
    x->done = x->total = 0;
    if (fvlm_file_same(fvlm_reader_path(x->reader), path))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the input itself; write to another name", path);
    fvlm_status st = fvlm_pool_create(&x->pool, x->options.threads, err);
    if (st) return st;
    if (x->target->folder) st = fvlm_output_folder_create(&x->folder, path, x->options.force, is_ours, err);
    if (!st) st = write_all(x, err);
    if (!st && x->folder) st = fvlm_output_folder_publish(&x->folder, err);
    fvlm_output_folder_discard(&x->folder);
    fvlm_pool_destroy(&x->pool);
    x->written = !st;
    x->seconds = fvlm_clock_seconds() - begun;
    return st;
}

/* ---- the report ---- */

void fvlm_export_describe(const fvlm_export *x, fvlm_export_report *out)
{
    *out = (fvlm_export_report){.target = x->target->name,
                                .written = x->written,
                                .folder = x->target->folder,
                                .files = x->files,
                                .n_files = x->n_files,
                                .tensors = x->tensors,
                                .n_tensors = x->n_tensors,
                                .notes = (const char *const *)x->notes,
                                .n_notes = x->n_notes,
                                .seconds = x->seconds,
                                .peak_anonymous_bytes = fvlm_memory_peak_anonymous_bytes()};
    for (size_t i = 0; i < x->n_tensors; i++) out->tensor_bytes += x->tensors[i].n_bytes;
}

static json_t *tensor_json(const fvlm_export_tensor *t, bool written)
{
    json_t *j = json_pack("{s:o, s:s, s:I}", "name", fvlm_json_lossy_string(t->name), "type", t->type, "bytes",
                          (json_int_t)t->n_bytes);
    if (t->from) fvlm_json_set(&j, "from", fvlm_json_lossy_string(t->from));
    if (t->cause) fvlm_json_set(&j, "cause", json_string(t->cause));
    if (written) fvlm_json_set(&j, "error", json_real(t->error));
    return j;
}

json_t *fvlm_export_report_json(const fvlm_export *x, bool tensors)
{
    fvlm_export_report r;
    fvlm_export_describe(x, &r);
    json_t *notes = json_array(), *files = json_array(), *list = tensors ? json_array() : NULL;
    for (size_t i = 0; i < r.n_notes; i++) fvlm_json_append(&notes, fvlm_json_lossy_string(r.notes[i]));
    for (size_t i = 0; i < r.n_files; i++)
        fvlm_json_append(&files,
                         json_pack("{s:s, s:I}", "name", r.files[i].name, "bytes", (json_int_t)r.files[i].n_bytes));
    for (size_t i = 0; list && i < r.n_tensors; i++) fvlm_json_append(&list, tensor_json(&r.tensors[i], r.written));
    json_t *j = json_pack("{s:s, s:b, s:I, s:I}", "to", r.target, "written", r.written, "tensors",
                          (json_int_t)r.n_tensors, "tensor_bytes", (json_int_t)r.tensor_bytes);
    fvlm_json_set(&j, "notes", notes);
    if (r.written) fvlm_json_set(&j, "files", files);
    if (!r.written) json_decref(files);
    if (tensors) fvlm_json_set(&j, "list", list);
    if (r.written) fvlm_json_set(&j, "seconds", json_real(r.seconds));
    fvlm_json_set(&j, "peak_anonymous_bytes", json_integer((json_int_t)r.peak_anonymous_bytes));
    return j;
}
