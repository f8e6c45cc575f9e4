/* SPDX-License-Identifier: Apache-2.0 */
/* graph_tensor_external.c - where the elements of a TensorProto lie in a file of external data. */
#include <inttypes.h>

#include "convert/graph/graph_internal.h"
#include "convert/source/magic.h"

/* A number of bytes as text: plain digits. */
static fvlm_status parse(uint64_t *out, const char *key, const char *text, fvlm_err *err)
{
    const size_t n = strspn(text, "0123456789");
    uint64_t v = 0;
    bool ok = n > 0 && text[n] == 0;
    for (size_t i = 0; ok && i < n; i++)
        ok = fvlm_checked_mul(v, 10, &v) && fvlm_checked_add(v, (uint64_t)(text[i] - '0'), &v) && v <= INT64_MAX;
    *out = v;
    return ok ? FVLM_OK
              : fvlm_fail(err, FVLM_BAD_INPUT, "external data: %s is \"%.40s\", expected a number of bytes in digits",
                          key, text);
}

fvlm_status fvlm_graph_read_external(fvlm_graph_tensor *out, fvlm_graph *g, const FvlmOnnx__TensorProto *t,
                                     const char *text, fvlm_err *err)
{
    enum { LOCATION, OFFSET, LENGTH, CHECKSUM, N_KEYS };
    static const char *const keys[N_KEYS] = {"location", "offset", "length", "checksum"};
    const char *given[N_KEYS] = {NULL};
    for (size_t i = 0; i < t->n_external_data; i++) {
        const FvlmOnnx__StringStringEntryProto *e = t->external_data[i];
        const char *key = e->key ? e->key : "";
        size_t k = 0;
        while (k < N_KEYS && strcmp(keys[k], key)) k++;
        if (k == N_KEYS) return fvlm_fail(err, FVLM_UNSUPPORTED, "external data: unknown key \"%.100s\"", key);
        if (given[k]) return fvlm_fail(err, FVLM_BAD_INPUT, "external data: %s is given twice", key);
        given[k] = e->value ? e->value : "";
    }
    if (!given[LOCATION]) return fvlm_fail(err, FVLM_BAD_INPUT, "external data: the location is missing");
    uint64_t offset = 0, length = out->n_bytes, end;
    fvlm_status st = given[OFFSET] ? parse(&offset, "offset", given[OFFSET], err) : FVLM_OK;
    if (!st && given[LENGTH]) st = parse(&length, "length", given[LENGTH], err);
    if (!st && length != out->n_bytes)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "external data: length is %" PRIu64 ", but %s needs %" PRIu64, length, text,
                       out->n_bytes);
    if (!st) st = fvlm_graph_find_external(&out->file, g, given[LOCATION], err);
    if (st) return st;
    const fvlm_graph_open_file *f = &g->files[out->file];
    if (!fvlm_checked_add(offset, length, &end) || end > f->stamp.n_bytes) {
        const size_t n = f->stamp.n_bytes < FVLM_MAGIC_BYTES ? (size_t)f->stamp.n_bytes : FVLM_MAGIC_BYTES;
        st = n ? fvlm_magic_check_weights(f->map, n, f->location, err) : FVLM_OK; /* a Git LFS pointer, a web page */
        if (st) return fvlm_err_prefix(err, "external data");
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "external data \"%s\" has %" PRIu64 " bytes; %" PRIu64 " at byte %" PRIu64
                         " are beyond its end. Is it cut short?",
                         f->location, f->stamp.n_bytes, length, offset);
    }
    out->bytes = length ? f->map + offset : (const uint8_t *)"";
    return FVLM_OK;
}
