/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/net_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/onnx_build.h"

static int32_t type_of(char c)
{
    return c == '!' ? FVLM_ONNX_I64 : c == '#' ? FVLM_ONNX_I8 : c == '~' ? FVLM_ONNX_U8 : FVLM_ONNX_F32;
}

static void add_tensor(onnx_model *m, char *word)
{
    char *at = word + strcspn(word, ":^=#~!?%"), kind = *at;
    *at++ = 0;
    static const uint8_t zeros[1 << 17];
    if (kind == ':') {
        onnx_input(m, word, FVLM_ONNX_F32, at);
    } else if (kind == '^') {
        onnx_input(m, word, FVLM_ONNX_I64, at);
    } else if (kind == '?') {
        onnx_floats(m, word, "", (float[]){strtof(at, NULL)});
    } else if (kind == '%') {
        float v[64];
        char *digits = strchr(at, '/');
        *digits++ = 0;
        for (size_t i = 0; digits[i]; i++) v[i] = (float)(digits[i] - '0');
        onnx_floats(m, word, at, v);
    } else if (kind == '!') {
        int64_t v[8];
        char shape[8];
        size_t n = 0;
        for (char *p = at; *p; p += *p == ',') v[n++] = strtoll(p, &p, 10);
        snprintf(shape, sizeof shape, "%zu", n);
        onnx_int64s(m, word, shape, v);
    } else if (kind == '=') {
        onnx_weight(m, word, at, 7);
    } else {
        onnx_tensor(m, word, type_of(kind), at, zeros, (size_t)onnx_count(at));
    }
}

fvlm_status test_net(fvlm_net **net, fvlm_graph **g, const char *path, const char *tensors, const char *nodes,
                     int64_t opset, fvlm_err *err)
{
    onnx_model m = onnx_model_of(8, opset ? opset : 17);
    char *t = fvlm_strdup(tensors), *n = fvlm_strdup(nodes), *save;
    for (char *word = strtok_r(t, " ", &save); word; word = strtok_r(NULL, " ", &save)) add_tensor(&m, word);
    for (char *node = strtok_r(n, ";", &save); node; node = strtok_r(NULL, ";", &save)) {
        char *inner, *op = strtok_r(node, " ", &inner), *in = strtok_r(NULL, " ", &inner);
        char *out = strtok_r(NULL, " ", &inner);
        onnx_node(&m, op, in, out, inner ? inner : "");
    }
    onnx_output(&m, "y", FVLM_ONNX_F32, NULL);
    onnx_save(&m, path);
    free(t);
    free(n);
    fvlm_status st = fvlm_graph_open(g, path, err);
    if (st) return st;
    fvlm_net_input in[8] = {0};
    size_t n_in = fvlm_graph_n_inputs(*g);
    for (size_t k = 0; k < n_in; k++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(*g, fvlm_graph_input_at(*g, k));
        in[k] = (fvlm_net_input){.name = v->name, .rank = v->rank};
        for (unsigned d = 0; d < v->rank; d++) in[k].dims[d] = (uint64_t)v->dims[d];
    }
    return fvlm_net_create(net, *g, in, n_in, err);
}
