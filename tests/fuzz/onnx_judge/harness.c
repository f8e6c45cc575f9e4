/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as an ONNX file that opens: run by the interpreter with small inputs, within limits of memory
 * and work; refused with a message, or every output can be read. */
#include "tests/fuzz/onnx_file.h"
#include "verify/judge/judge.h"

enum { MAX_ELEMS = 4096 };

/* Small numbers in every type; symbols become 2. False if it is too large. */
static bool set_input(fvlm_judge *j, const fvlm_graph_value *v, fvlm_err *err)
{
    static _Alignas(16) uint8_t data[8 * MAX_ELEMS];
    fvlm_judge_tensor t = {.type = v->type, .rank = v->rank, .n_elems = 1, .data = data};
    for (unsigned d = 0; d < v->rank; d++) {
        t.dims[d] = v->dims[d] < 0 ? 2 : (uint64_t)v->dims[d];
        if (!fvlm_checked_mul(t.n_elems, t.dims[d], &t.n_elems) || t.n_elems > MAX_ELEMS) return false;
    }
    for (uint64_t i = 0; i < t.n_elems; i++) {
        const uint8_t small = (uint8_t)(i % 2);
        switch (v->type) {
        case FVLM_ONNX_F32:
        case FVLM_ONNX_F16:
        case FVLM_ONNX_BF16:
            fvlm_store_u32(data + 4 * i, fvlm_f32_bits((float)(i % 7) - 3));
            break;
        case FVLM_ONNX_F64:
        case FVLM_ONNX_I64:
        case FVLM_ONNX_U64:
            fvlm_store_u64(data + 8 * i, small);
            break;
        case FVLM_ONNX_I32:
        case FVLM_ONNX_U32:
            fvlm_store_u32(data + 4 * i, small);
            break;
        case FVLM_ONNX_I16:
        case FVLM_ONNX_U16:
            fvlm_store_u16(data + 2 * i, small);
            break;
        default:
            data[i] = small;
        }
    }
    const fvlm_status st = fvlm_judge_set_input(j, v->name, &t, err);
    must_explain(st, err);
    return !st;
}

static void use_graph(const fvlm_graph *g)
{
    static volatile uint64_t sum;
    fvlm_err err = {0};
    fvlm_judge *j;
    const fvlm_judge_options options = {.max_bytes = 1 << 24, .max_work = 1 << 22};
    fvlm_status st = fvlm_judge_create(&j, g, &options, &err);
    must_explain(st, &err);
    bool ready = !st;
    for (size_t i = 0; ready && i < fvlm_graph_n_inputs(g); i++)
        ready = set_input(j, fvlm_graph_value_at(g, fvlm_graph_input_at(g, i)), &err);
    if (ready) {
        st = fvlm_judge_run(j, NULL, &err);
        must_explain(st, &err);
        for (size_t i = 0; !st && i < fvlm_graph_n_outputs(g); i++) {
            fvlm_judge_tensor t;
            MUST(!fvlm_judge_get_output(j, fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->name, &t, &err));
            const uint8_t *bytes = t.data;
            for (uint64_t k = 0; k < t.n_elems; k++) sum += bytes[k];
        }
    }
    fvlm_judge_destroy(&j);
}
