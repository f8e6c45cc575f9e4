/* SPDX-License-Identifier: Apache-2.0 */
/* judge_case.c - one node as a model of its own, in a file in memory. */
#include "tests/support/judge_case.h"

#include <inttypes.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

static void put(void *data, int32_t type, uint64_t i, double x)
{
    switch (type) {
    case F32:
    case F16:
        ((float *)data)[i] = (float)x;
        break;
    case F64:
        ((double *)data)[i] = x;
        break;
    case I64:
        ((int64_t *)data)[i] = (int64_t)x;
        break;
    case I32:
        ((int32_t *)data)[i] = (int32_t)x;
        break;
    case I8:
    case I4:
        ((int8_t *)data)[i] = (int8_t)x;
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)x;
    }
}

static double get(const void *data, int32_t type, uint64_t i)
{
    switch (type) {
    case F32:
    case F16:
        return (double)((const float *)data)[i];
    case F64:
        return ((const double *)data)[i];
    case I64:
        return (double)((const int64_t *)data)[i];
    case I32:
        return ((const int32_t *)data)[i];
    case I8:
    case I4:
        return ((const int8_t *)data)[i];
    default:
        return ((const uint8_t *)data)[i];
    }
}

fvlm_judge_tensor judge_tensor(const judge_operand *o, void **data)
{
    fvlm_judge_tensor t = {.type = o->type, .n_elems = onnx_count(o->shape)};
    for (const char *s = o->shape; *s; s += *s == ',') t.dims[t.rank++] = strtoull(s, (char **)(uintptr_t)&s, 10);
    t.data = *data = fvlm_alloc((size_t)t.n_elems, 8);
    for (uint64_t i = 0; i < t.n_elems; i++) put(*data, o->type, i, o->numbers[i % o->n]);
    return t;
}

fvlm_graph *judge_open(onnx_model *m)
{
    onnx_bytes bytes = onnx_finish(m);
    const int fd = memfd_create("judge", 0);
    char path[64];
    fvlm_graph *g;
    fvlm_err err = {0};
    assert_true(fd >= 0 && write(fd, bytes.bytes, bytes.n) == (ssize_t)bytes.n);
    onnx_free(&bytes);
    sprintf(path, "/proc/self/fd/%d", fd);
    must(fvlm_graph_open(&g, path, &err), &err);
    close(fd);
    return g;
}

/* A graph whose inputs are x0, x1, ..., and whose outputs are y0, y1, ... */
static fvlm_graph *make_graph(const char *op, int64_t opset, const char *attrs, const judge_operand *in, size_t n_in,
                              size_t n_out)
{
    char inputs[256] = "", outputs[256] = "";
    onnx_model m = onnx_model_of(10, opset);
    onnx_opset(&m, "com.microsoft.nchwc", 1);
    for (size_t i = 0; i < n_in; i++) {
        char name[32];
        sprintf(name, "x%zu", i);
        if (in[i].shape) onnx_input(&m, name, in[i].type, in[i].shape);
        sprintf(inputs + strlen(inputs), "%s%s", i ? "," : "", in[i].shape ? name : "");
    }
    for (size_t i = 0; i < n_out; i++) {
        char name[32];
        sprintf(name, "y%zu", i);
        onnx_output(&m, name, 0, NULL);
        sprintf(outputs + strlen(outputs), "%s%s", i ? "," : "", name);
    }
    onnx_node(&m, op, inputs, outputs, attrs);
    return judge_open(&m);
}

/* Creates, sets and runs; the judge is NULL if it could not be created. */
static fvlm_status run(fvlm_judge **j, const fvlm_graph *g, const judge_operand *in, size_t n_in, fvlm_err *err)
{
    fvlm_status st = fvlm_judge_create(j, g, &(fvlm_judge_options){0}, err);
    for (size_t i = 0; i < n_in && !st; i++) {
        char name[32];
        void *data;
        if (!in[i].shape) continue;
        sprintf(name, "x%zu", i);
        const fvlm_judge_tensor t = judge_tensor(&in[i], &data);
        st = fvlm_judge_set_input(*j, name, &t, err);
        free(data);
    }
    return st ? st : fvlm_judge_run(*j, NULL, err);
}

static void compare(const char *op, const char *name, const judge_operand *expected, const fvlm_judge_tensor *got)
{
    void *data;
    const fvlm_judge_tensor t = judge_tensor(expected, &data);
    if (got->type != t.type || got->rank != t.rank || memcmp(got->dims, t.dims, t.rank * sizeof *t.dims) != 0)
        fail_msg("%s: %s is %s of rank %u and %" PRIu64 " elements, expected %s [%s]", op, name,
                 fvlm_onnx_type_name(got->type), got->rank, got->n_elems, fvlm_onnx_type_name(t.type), expected->shape);
    for (uint64_t i = 0; i < t.n_elems; i++) {
        const double x = get(got->data, t.type, i), y = get(data, t.type, i);
        const bool real = (t.type == F32 || t.type == F16 || t.type == F64) && isfinite(y);
        if (x == y || (isnan(x) && isnan(y)) || (real && fabs(x - y) <= 2e-6 * (1 + fabs(y)))) continue;
        fail_msg("%s: %s[%" PRIu64 "] is %.9g, expected %.9g", op, name, i, x, y);
    }
    free(data);
}

void judge_expect(const char *op, int64_t opset, const char *attrs, const judge_operand *in, size_t n_in,
                  const judge_operand *out, size_t n_out)
{
    fvlm_graph *g = make_graph(op, opset, attrs, in, n_in, n_out);
    fvlm_judge *j;
    fvlm_err err = {0};
    if (run(&j, g, in, n_in, &err)) fail_msg("%s: %s", op, err.msg);
    for (size_t i = 0; i < n_out; i++) {
        char name[32];
        fvlm_judge_tensor t;
        sprintf(name, "y%zu", i);
        must(fvlm_judge_get_output(j, name, &t, &err), &err);
        compare(op, name, &out[i], &t);
    }
    fvlm_judge_destroy(&j);
    fvlm_graph_close(&g);
}

void judge_refuse(const char *op, int64_t opset, const char *attrs, const judge_operand *in, size_t n_in,
                  const char *message)
{
    fvlm_graph *g = make_graph(op, opset, attrs, in, n_in, 1);
    fvlm_judge *j;
    fvlm_err err = {0};
    char expected[600], name[192];
    const fvlm_status st = run(&j, g, in, n_in, &err);
    snprintf(expected, sizeof expected, "%s: %s", fvlm_graph_node_text(g, fvlm_graph_node_at(g, 0), name), message);
    assert_string_equal(st ? err.msg : "accepted", expected);
    assert_int_equal(fvlm_exit_code(st), 1);
    fvlm_judge_destroy(&j);
    fvlm_graph_close(&g);
}
