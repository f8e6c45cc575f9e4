/* SPDX-License-Identifier: Apache-2.0 */
/* tower.c - tower MODEL.fvlm OUT.fvlm [projector]: the same file without its language model, and without its projector
 * unless that is asked for. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/reader.h"
#include "format/writer.h"

static bool is_kept(const fvlm_tensor *t, bool projector)
{
    return !strncmp(t->name, "vision.", 7) || (projector && !strncmp(t->name, "projector.", 10));
}

static fvlm_status copy_tensors(const fvlm_reader *r, fvlm_writer *w, bool projector, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    uint64_t n_bytes;
    size_t id = 0;
    const size_t n = fvlm_reader_n_tensors(r);
    for (size_t i = 0; i < n && !st; i++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(r, i);
        if (is_kept(t, projector))
            st = fvlm_writer_declare(w, t->name, t->type, (fvlm_layout)t->layout, t->rank, t->dims, &id, err);
    }
    if (!st) st = fvlm_writer_begin(w, &n_bytes, err);
    id = 0;
    for (size_t i = 0; i < n && !st; i++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(r, i);
        if (is_kept(t, projector)) st = fvlm_writer_append(w, id++, fvlm_reader_bytes(r, t), (size_t)t->n_bytes, err);
    }
    return st;
}

int main(int argc, char **argv)
{
    static const char *const of_llm[] = {"llm", "eos", "prompt"};
    fvlm_err err;
    fvlm_reader *r = NULL;
    fvlm_writer *w = NULL;
    const bool projector = argc > 3 && !strcmp(argv[3], "projector");
    if (argc < 3 || argc > 4 || (argc == 4 && !projector)) {
        fputs("usage: tower MODEL.fvlm OUT.fvlm [projector]\n", stderr);
        return 2;
    }
    fvlm_status st = fvlm_reader_open(&r, argv[1], &err);
    if (!st) st = fvlm_writer_create(&w, argv[2], true, &err);
    if (!st) st = copy_tensors(r, w, projector, &err);
    json_t *meta = st ? NULL : json_deep_copy(fvlm_reader_meta(r)), *config = json_object_get(meta, "config");
    for (size_t i = 0; i < 3; i++) json_object_del(config, of_llm[i]);
    if (!projector) json_object_del(config, "projector");
    if (!st) st = fvlm_writer_publish(&w, meta, "", 0, &err);
    json_decref(meta);
    fvlm_writer_discard(&w);
    fvlm_reader_close(&r);
    if (st) fprintf(stderr, "tower: %s\n", err.msg);
    return fvlm_exit_code(st);
}
