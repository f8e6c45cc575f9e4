/* SPDX-License-Identifier: Apache-2.0 */
/* export_safetensors_write.c - the files of a safetensors export: headers, tensors, index. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/export_safetensors.h"
#include "format/base/json.h"

/* ---- rows ---- */

typedef struct {
    const fvlm_safetensors_plan *plan;
    const fvlm_entry *entry;
} source;

/* Row n as f32. */
static void read_row(const source *s, uint64_t n, float *row, float *scratch)
{
    const fvlm_entry *e = s->entry;
    const fvlm_attention_bias *bias =
        e->kind == FVLM_ENTRY_SHIFT || e->kind == FVLM_ENTRY_PROJ_BIAS ? &s->plan->attention[e->attention].bias : NULL;
    if (bias) {
        memcpy(row, e->kind == FVLM_ENTRY_SHIFT ? bias->shift : bias->proj_bias, e->cols * sizeof *row);
    } else if (e->kind == FVLM_ENTRY_CONSTANT) {
        for (size_t k = 0; k < e->cols; k++) row[k] = e->constant;
    } else if (n >= e->values.rows) {
        memset(row, 0, e->cols * sizeof *row);
    } else {
        fvlm_export_values_row(&e->values, n, row, scratch);
    }
    if (e->kind == FVLM_ENTRY_QKV && n < e->q_rows) {
        const double scale = sqrt((double)e->head_dim);
        for (size_t k = 0; k < e->cols; k++) row[k] = (float)(row[k] * scale);
    }
}

/* An fvlm_export_fill. */
static fvlm_status fill(const fvlm_export_stream *stream, uint64_t first, size_t n, uint8_t *bytes,
                        fvlm_export_thread *t, fvlm_err *err)
{
    const source *s = stream->ctx;
    const fvlm_entry *e = s->entry;
    const char *name = e->values.tensor ? e->values.tensor->name : "";
    float *row = t->scratch;
    fvlm_status st = FVLM_OK;
    if (e->kind == FVLM_ENTRY_COUNTER) {
        memset(bytes, 0, 8);
        return FVLM_OK;
    }
    for (size_t i = 0; i < n && !st; i++) {
        read_row(s, first + i, row, row + e->cols);
        st = fvlm_export_round_row(name, first + i, e->cols, e->type, t, bytes + i * stream->row_bytes, err);
    }
    return st;
}

/* ---- the biases of attention, a block for each task ---- */

static fvlm_status find_bias(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    (void)thread;
    const fvlm_export *x = ctx;
    fvlm_safetensors_plan *p = x->plan;
    fvlm_attention_bias_free(&p->attention[i].bias);
    return fvlm_attention_bias_find(&p->attention[i].bias, x->reader, p->attention[i].name, x->options.stop, err);
}

/* ---- the header ---- */

static void write_entry(FILE *to, const fvlm_export_tensor *t, const fvlm_entry *e)
{
    fprintf(to, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, t->type);
    for (unsigned i = 0; i < e->rank; i++) fprintf(to, "%s%" PRIu64, i ? "," : "", e->dims[i]);
    fprintf(to, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", e->at, e->at + e->rows * e->row_bytes);
}

/* The 8 bytes of its length, the JSON, and spaces up to a multiple of 8. *text is malloc'd. */
static fvlm_status make_header(const fvlm_export *x, size_t shard, char **text, size_t *n_bytes, fvlm_err *err)
{
    const fvlm_safetensors_plan *p = x->plan;
    json_t *meta = fvlm_export_provenance(x);
    fvlm_json_set(&meta, "format", json_string("pt"));
    char *about = meta ? fvlm_json_dumps(meta, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(meta);
    *text = NULL;
    FILE *to = about ? open_memstream(text, n_bytes) : NULL;
    if (to) {
        fprintf(to, "01234567{\"__metadata__\":%s", about);
        for (size_t i = 0; i < p->n; i++)
            if (p->entries[i].shard == shard) write_entry(to, &x->tensors[i], &p->entries[i]);
        fputc('}', to);
        while (!ferror(to) && ftell(to) % 8 != 0) fputc(' ', to);
    }
    free(about);
    fvlm_status st = fvlm_export_close_text(to, text, err);
    if (!st) fvlm_store_u64((uint8_t *)*text, *n_bytes - 8);
    return st;
}

/* ---- the files ---- */

static const char *file_name(const fvlm_safetensors_plan *p, size_t shard, char out[64])
{
    if (p->n_shards == 1) return "model.safetensors";
    snprintf(out, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, p->n_shards);
    return out;
}

static fvlm_status write_shard(fvlm_export *x, size_t shard, fvlm_err *err)
{
    const fvlm_safetensors_plan *p = x->plan;
    char name[64], *header = NULL;
    size_t n = 0, header_bytes = 0;
    uint64_t tensor_bytes = 0;
    fvlm_export_stream *streams = fvlm_alloc(p->n, sizeof *streams);
    source *sources = fvlm_alloc(p->n, sizeof *sources);
    fvlm_status st = streams && sources ? make_header(x, shard, &header, &header_bytes, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; !st && i < p->n; i++) {
        const fvlm_entry *e = &p->entries[i];
        if (e->shard != shard) continue;
        sources[n] = (source){p, e};
        streams[n] = (fvlm_export_stream){.fill = fill,
                                          .ctx = &sources[n],
                                          .at = header_bytes + e->at,
                                          .rows = e->rows,
                                          .row_bytes = e->row_bytes,
                                          .scratch_bytes = 2 * e->cols * sizeof(float),
                                          .report = &x->tensors[i]};
        n++;
        tensor_bytes += e->rows * e->row_bytes;
    }
    if (!st)
        st = fvlm_export_write_streams(x, file_name(p, shard, name), header, header_bytes, streams, n,
                                       header_bytes + tensor_bytes, err);
    free(header);
    free(streams);
    free(sources);
    return st;
}

static fvlm_status write_index(fvlm_export *x, fvlm_err *err)
{
    const fvlm_safetensors_plan *p = x->plan;
    char name[64];
    json_t *map = json_object();
    for (size_t i = 0; map && i < p->n; i++)
        fvlm_json_set(&map, x->tensors[i].name, json_string(file_name(p, p->entries[i].shard, name)));
    json_t *j = json_pack("{s:{s:I}}", "metadata", "total_size", (json_int_t)p->tensor_bytes);
    fvlm_json_set(&j, "weight_map", map);
    return fvlm_export_write_json(x, "model.safetensors.index.json", j, err);
}

fvlm_status fvlm_safetensors_write(fvlm_export *x, fvlm_err *err)
{
    fvlm_safetensors_plan *p = x->plan;
    x->total = p->tensor_bytes;
    fvlm_status st = fvlm_pool_try(x->pool, p->n_attention, find_bias, x, err);
    for (size_t i = 0; !st && i < p->n_shards; i++) st = write_shard(x, i, err);
    for (size_t i = 0; i < p->n; i++)
        if (p->entries[i].kind == FVLM_ENTRY_SHIFT)
            x->tensors[i].error = p->attention[p->entries[i].attention].bias.error;
    if (!st && p->n_shards > 1) st = write_index(x, err);
    return st ? st : fvlm_export_write_side_files(x, p->naming, p->image_row, p->image_id, err);
}
