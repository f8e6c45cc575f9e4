/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - see graph.h. The file is mapped; skeleton.c checks it and copies what is small; protobuf-c unpacks that
 * copy into an arena, which the graph keeps; graph_build.c and its helpers make nodes and values of it. */
#include "convert/graph/graph.h"

#include <stdlib.h>
#include <unistd.h>

#include "convert/graph/graph_internal.h"
#include "convert/graph/skeleton.h"
#include "convert/source/magic.h"
#include "format/base/mapped.h"

#define MAX_MEMORY ((size_t)256 << 20) /* of the arena; a large network takes 20 MB */
#define HASH_BLOCK ((size_t)1 << 20)

/* ---- opening ---- */

static void *arena_alloc(void *arena, size_t size)
{
    return fvlm_graph_arena_take(arena, 1, size);
}

static void arena_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

/* Other files are named by their first bytes. */
static fvlm_status open_model(fvlm_graph *g, const char *path, fvlm_err *err)
{
    int fd;
    fvlm_stamp stamp;
    uint8_t first[FVLM_MAGIC_BYTES];
    fvlm_status st = fvlm_file_open(&fd, &stamp, path, err);
    if (st) return st;
    const size_t n = stamp.n_bytes < sizeof first ? (size_t)stamp.n_bytes : sizeof first;
    st = fvlm_graph_add_file(g, fd, &stamp, NULL, path, err);
    if (!st) st = fvlm_file_read(fd, path, 0, first, n, err);
    if (!st) st = fvlm_magic_check_weights(first, n, path, err);
    if (!st && n > 8 && first[8] == '{' && fvlm_load_u64(first) < stamp.n_bytes)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a safetensors file, expected an ONNX model", path);
    return st;
}

static fvlm_status unpack(FvlmOnnx__ModelProto **out, fvlm_graph *g, fvlm_err *err)
{
    const fvlm_graph_open_file *f = &g->files[0];
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &g->arena};
    fvlm_skeleton copy;
    fvlm_status st = fvlm_skeleton_make(&copy, f->map, (size_t)f->stamp.n_bytes, f->path, err);
    if (!st) {
        *out = fvlm_onnx__model_proto__unpack(&allocator, copy.n_bytes, copy.bytes);
        if (!*out) st = fvlm_graph_fail_memory(g, err);
        if (st) st = fvlm_err_prefix(err, "\"%s\"", f->path);
    }
    free(copy.bytes);
    return st;
}

fvlm_status fvlm_graph_open(fvlm_graph **out, const char *path, fvlm_err *err)
{
    FvlmOnnx__ModelProto *model;
    *out = NULL;
    fvlm_graph *g = fvlm_alloc(1, sizeof *g);
    if (!g) return fvlm_fail_nomem(err);
    g->folder = -1;
    g->arena.limit = MAX_MEMORY;
    g->files = fvlm_alloc(FVLM_GRAPH_MAX_FILES, sizeof *g->files);
    fvlm_status st = g->files ? open_model(g, path, err) : fvlm_fail_nomem(err);
    if (!st) st = unpack(&model, g, err);
    if (!st && fvlm_graph_build(g, model, err)) st = fvlm_err_prefix(err, "\"%s\"", path);
    if (g->n_files) st = fvlm_graph_check_unchanged(g, st, err);
    if (st)
        fvlm_graph_close(&g);
    else
        *out = g;
    return st;
}

void fvlm_graph_close(fvlm_graph **graph)
{
    fvlm_graph *g = *graph;
    *graph = NULL;
    if (!g) return;
    for (size_t i = 0; i < g->n_files; i++) {
        fvlm_mapped_close(g->files[i].map, (size_t)g->files[i].stamp.n_bytes);
        close(g->files[i].fd);
        free(g->files[i].path);
        free(g->files[i].location);
    }
    for (size_t i = 0; i < g->n_decoded; i++) free(g->decoded[i]);
    if (g->folder >= 0) close(g->folder);
    fvlm_graph_arena_free(&g->arena);
    free(g->decoded);
    free(g->files);
    free(g);
}

/* ---- files ---- */

fvlm_status fvlm_graph_hash(fvlm_hash *out, const fvlm_graph *g, size_t file, const fvlm_stop *stop, fvlm_err *err)
{
    const fvlm_graph_open_file *f = &g->files[file];
    fvlm_hasher *h;
    fvlm_status st = fvlm_hasher_create(&h, err);
    for (uint64_t at = 0; !st && at < f->stamp.n_bytes; at += HASH_BLOCK) {
        const uint64_t left = f->stamp.n_bytes - at;
        fvlm_hasher_add(h, f->map + at, left < HASH_BLOCK ? (size_t)left : HASH_BLOCK);
        st = fvlm_stop_check(stop, err);
    }
    if (!st) *out = fvlm_hasher_get(h);
    fvlm_hasher_destroy(&h);
    return st;
}

fvlm_status fvlm_graph_check_unchanged(const fvlm_graph *g, fvlm_status st, fvlm_err *err)
{
    for (size_t i = 0; i < g->n_files; i++)
        st = fvlm_stamp_check_unchanged(&g->files[i].stamp, g->files[i].fd, g->files[i].path, st, err);
    return st;
}
