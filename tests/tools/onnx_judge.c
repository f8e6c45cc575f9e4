/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_judge.c - runs an ONNX file with verify/judge, for the oracle tests.
 *   onnx_judge MODEL OUT [THREADS] [INPUT=FILE.npy | INPUT#TYPE=FILE.npy]...
 * Inputs are .npy files, C order, of the type's form in memory; '<f2' stands for FLOAT16. TYPE is a number of
 * TensorProto.DataType, for types that numpy does not have: BFLOAT16 from '<f4', INT4 and UINT4 from bytes. Writes
 * OUT/0.npy, OUT/1.npy, ..., for the graph's outputs in order, halves as '<f4', and prints for each its name, type and
 * shape; last, the most bytes that lived at once and the seconds of the run. With JUDGE_VALUES=1 also every value, as
 * OUT/vID.npy. Exit codes as fvlm's. Without arguments it lists the known operators. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "verify/judge/judge.h"

static const struct {
    const char *descr;
    int32_t type;
    size_t bytes;
} types[] = {
    {"<f4", FVLM_ONNX_F32, 4}, {"<f8", FVLM_ONNX_F64, 8}, {"|i1", FVLM_ONNX_I8, 1},   {"|u1", FVLM_ONNX_U8, 1},
    {"<i2", FVLM_ONNX_I16, 2}, {"<u2", FVLM_ONNX_U16, 2}, {"<i4", FVLM_ONNX_I32, 4},  {"<u4", FVLM_ONNX_U32, 4},
    {"<i8", FVLM_ONNX_I64, 8}, {"<u8", FVLM_ONNX_U64, 8}, {"|b1", FVLM_ONNX_BOOL, 1}, {"<f2", FVLM_ONNX_F16, 2},
};

static int fail(const fvlm_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return fvlm_exit_code(err->code);
}

/* Header: magic, version 1, length, a Python dict. */
static bool read_npy(fvlm_judge_tensor *t, const char *path, int32_t type)
{
    char head[10], text[512] = "", descr[8];
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 1, 10, f) != 10) return false;
    const size_t n = fvlm_load_u16((const uint8_t *)head + 8);
    if (n >= sizeof text || fread(text, 1, n, f) != n) return false;
    const char *d = strstr(text, "'descr': '"), *s = strstr(text, "'shape': (");
    if (!d || !s || sscanf(d, "'descr': '%7[^']'", descr) != 1) return false;
    *t = (fvlm_judge_tensor){.n_elems = 1};
    for (s += 10; *s != ')' && *s; s += *s == ',' || *s == ' ')
        if (*s >= '0' && *s <= '9') {
            t->dims[t->rank] = strtoull(s, (char **)(uintptr_t)&s, 10);
            t->n_elems *= t->dims[t->rank++];
        }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].descr, descr)) continue;
        uint8_t *bytes = fvlm_alloc(t->n_elems, types[i].bytes < 4 ? 4 : types[i].bytes);
        if (!bytes || fread(bytes, types[i].bytes, t->n_elems, f) != t->n_elems) return false;
        if (types[i].type == FVLM_ONNX_F16) /* from the end, in place */
            for (uint64_t k = t->n_elems; k-- > 0;) {
                const float x = fvlm_f16_to_f32(fvlm_load_u16(bytes + 2 * k));
                memcpy(bytes + 4 * k, &x, 4);
            }
        t->type = type ? type : types[i].type;
        t->data = bytes;
        return fclose(f) == 0;
    }
    return false;
}

static void write_npy(const char *folder, const char *name, const fvlm_judge_tensor *t)
{
    char path[4096], shape[256] = "", head[512];
    const char *descr = t->type == FVLM_ONNX_U4 ? "|u1" : t->type == FVLM_ONNX_I4 ? "|i1" : "<f4";
    size_t bytes = t->type == FVLM_ONNX_U4 || t->type == FVLM_ONNX_I4 ? 1 : 4;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == t->type && t->type != FVLM_ONNX_F16) descr = types[i].descr, bytes = types[i].bytes;
    for (unsigned i = 0; i < t->rank; i++) sprintf(shape + strlen(shape), "%" PRIu64 ",", t->dims[i]);
    const int n =
        snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", descr, shape);
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *f = fopen(path, "wb");
    const uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)n, (uint8_t)(n >> 8)};
    if (!f || fwrite(start, 1, 10, f) != 10 || fwrite(head, 1, (size_t)n, f) != (size_t)n ||
        fwrite(t->data, bytes, t->n_elems, f) != t->n_elems || fclose(f)) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(3);
    }
}

static fvlm_status show_value(void *folder, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    char file[32];
    (void)err;
    snprintf(file, sizeof file, "v%u", id);
    write_npy(folder, file, t);
    printf("value %u %s %s\n", id, fvlm_onnx_type_name(t->type), name);
    return FVLM_OK;
}

static fvlm_status set_input(fvlm_judge *j, char *arg, fvlm_err *err)
{
    fvlm_judge_tensor t;
    char *file = strrchr(arg, '='), *mark = NULL;
    if (!file) return fvlm_fail(err, FVLM_USAGE, "%s: expected INPUT=FILE", arg);
    *file++ = '\0';
    for (char *c = arg; (c = strchr(c, '#')) != NULL; c++) mark = c;
    const bool typed = mark && mark[1] && strspn(mark + 1, "0123456789") == strlen(mark + 1);
    if (!read_npy(&t, file, typed ? atoi(mark + 1) : 0)) return fvlm_fail(err, FVLM_IO, "cannot read %s", file);
    if (typed) *mark = '\0';
    fvlm_status st = fvlm_judge_set_input(j, arg, &t, err);
    free((void *)(uintptr_t)t.data);
    return st;
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_graph *g = NULL;
    fvlm_judge *j = NULL;
    fvlm_pool *pool = NULL;
    if (argc < 3) {
        const char *domain, *attrs, *op;
        for (size_t i = 0; (op = fvlm_judge_known_op(i, &domain, &attrs)) != NULL; i++)
            printf("%s%s%s\n", domain, *domain ? " " : "", op);
        return 2;
    }
    int first = 3;
    unsigned threads = 1;
    if (argc > 3 && !strchr(argv[3], '=')) threads = (unsigned)atoi(argv[first++]);
    if (fvlm_graph_open(&g, argv[1], &err) || fvlm_pool_create(&pool, threads, &err)) return fail(&err);
    if (fvlm_judge_create(&j, g, &(fvlm_judge_options){.pool = pool}, &err)) return fail(&err);
    for (int i = first; i < argc; i++)
        if (set_input(j, argv[i], &err)) return fail(&err);
    fvlm_judge_observer observer = {.value = getenv("JUDGE_VALUES") ? show_value : NULL, .ctx = argv[2]};
    const double start = fvlm_clock_seconds();
    if (fvlm_judge_run(j, &observer, &err)) return fail(&err);
    const double seconds = fvlm_clock_seconds() - start;
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++) {
        const char *name = fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->name;
        char file[32];
        fvlm_judge_tensor t;
        if (fvlm_judge_get_output(j, name, &t, &err)) return fail(&err);
        snprintf(file, sizeof file, "%zu", i);
        write_npy(argv[2], file, &t);
        printf("output %s %s\n", fvlm_onnx_type_name(t.type), name);
    }
    printf("peak %" PRIu64 " seconds %.3f\n", fvlm_judge_peak_bytes(j), seconds);
    fvlm_judge_destroy(&j);
    fvlm_graph_close(&g);
    fvlm_pool_destroy(&pool);
    return 0;
}
