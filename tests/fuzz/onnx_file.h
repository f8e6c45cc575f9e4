/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_file.h - any bytes as an ONNX file: refused with a message, or opened and given to use_graph(), which a harness
 * defines. Most mutations keep the lengths of its messages right. */
#include "tests/fuzz/onnx.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static void use_graph(const fvlm_graph *g);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    const fvlm_status st = fvlm_graph_open(&g, fuzz_onnx(data, size), &err);
    must_explain(st, &err);
    if (st) return 0;
    use_graph(g);
    fvlm_graph_close(&g);
    return 0;
}

static size_t any_bytes(uint8_t *bytes, size_t n, size_t max, uint64_t *state)
{
    (void)state;
    return LLVMFuzzerMutate(bytes, n, max);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t out[1 << 17];
    uint64_t state = seed;
    if (fuzz_chance(&state, 8) == 0 || size + 4096 > sizeof out || size > max) return LLVMFuzzerMutate(data, size, max);
    size_t n = fuzz_edit(data, size, out, sizeof out, 0, &state, any_bytes);
    if (n > max) n = max;
    memcpy(data, out, n);
    return n;
}
