/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - see target.h: what targets call. */
#include "convert/export/target.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/base/json.h"

fvlm_status fvlm_export_note(fvlm_export *x, fvlm_err *err, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!fvlm_grow(&x->notes, &x->notes_capacity, x->n_notes + 1, sizeof *x->notes)) return fvlm_fail_nomem(err);
    x->notes[x->n_notes] = fvlm_strdup(text);
    if (!x->notes[x->n_notes]) return fvlm_fail_nomem(err);
    x->n_notes++;
    return FVLM_OK;
}

fvlm_status fvlm_export_add_tensor(fvlm_export *x, const fvlm_export_tensor *t, fvlm_err *err)
{
    if (!fvlm_grow(&x->tensors, &x->tensors_capacity, x->n_tensors + 1, sizeof *x->tensors))
        return fvlm_fail_nomem(err);
    x->tensors[x->n_tensors] = *t;
    x->tensors[x->n_tensors].name = fvlm_strdup(t->name);
    if (!x->tensors[x->n_tensors].name) return fvlm_fail_nomem(err);
    x->n_tensors++;
    return FVLM_OK;
}

json_t *fvlm_export_provenance(const fvlm_export *x)
{
    static const char *const keys[][2] = {{"provenance", "fvlm.provenance"}, {"transforms", "fvlm.transforms"}};
    char identity[33];
    fvlm_hash_text(fvlm_reader_identity(x->reader), identity);
    json_t *j = json_pack("{s:s, s:s}", "fvlm.version", FVLM_VERSION, "fvlm.identity", identity);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(x->meta, keys[i][0]);
        char *text = v ? fvlm_json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
        if (v) fvlm_json_set(&j, keys[i][1], text ? json_string(text) : NULL);
        free(text);
    }
    return j;
}

fvlm_status fvlm_export_open_file(fvlm_export *x, const char *name, fvlm_output **out, fvlm_err *err)
{
    const char *base = strrchr(x->path, '/');
    *out = NULL;
    if (!x->target->folder) name = base && base[1] ? base + 1 : x->path;
    if (!fvlm_grow(&x->files, &x->files_capacity, x->n_files + 1, sizeof *x->files)) return fvlm_fail_nomem(err);
    x->files[x->n_files] = (fvlm_export_file){.name = fvlm_strdup(name)};
    if (!x->files[x->n_files].name) return fvlm_fail_nomem(err);
    x->n_files++;
    fvlm_status st = x->folder ? fvlm_output_folder_open(x->folder, name, &x->open, err)
                               : fvlm_output_create(&x->open, x->path, x->options.force, err);
    *out = x->open;
    return st;
}

fvlm_status fvlm_export_close_file(fvlm_export *x, uint64_t n_bytes, fvlm_status st, fvlm_err *err)
{
    x->files[x->n_files - 1].n_bytes = n_bytes;
    if (!x->folder) st = fvlm_reader_check_unchanged(x->reader, st, err);
    if (!st) st = fvlm_stop_check(x->options.stop, err);
    if (!st) return fvlm_output_publish(&x->open, err);
    fvlm_output_discard(&x->open);
    return st;
}

fvlm_status fvlm_export_close_text(FILE *to, char **text, fvlm_err *err)
{
    const bool failed = !to || ferror(to);
    if ((!to || fclose(to) == 0) && !failed && *text) return FVLM_OK;
    free(*text);
    *text = NULL;
    return fvlm_fail_nomem(err);
}

fvlm_status fvlm_export_write_text(fvlm_export *x, const char *name, const char *text, size_t n_bytes, fvlm_err *err)
{
    fvlm_output *file = NULL;
    fvlm_status st = fvlm_export_open_file(x, name, &file, err);
    if (st) return st;
    return fvlm_export_close_file(x, n_bytes, fvlm_output_write(file, 0, text, n_bytes, err), err);
}

fvlm_status fvlm_export_write_json(fvlm_export *x, const char *name, json_t *json, fvlm_err *err)
{
    char *text = json ? fvlm_json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!text) return fvlm_fail_nomem(err);
    const size_t n = strlen(text);
    text[n] = '\n'; /* in place of its NUL */
    fvlm_status st = fvlm_export_write_text(x, name, text, n + 1, err);
    free(text);
    return st;
}
