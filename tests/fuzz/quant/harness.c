/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any numbers as weights that are quantized: refused with a message, or every value that was written is
 * what its type allows (fvlm_weights_compare, which uses no code of quant).
 *
 * Input: u8 type, then u8 tensor, u16 index, u8 how many, f32 value, up to MAX_PLANTS values in all. */
#include "quant/quant.h"
#include "tests/fuzz/harness.h"
#include "tests/support/float_model.h"
#include "verify/weights.h"

enum { RECORD = 8, MAX_PLANTS = 64 };
static const char *const types[] = {"int8", "int4", "int8-asym-g32", "int4-sym-g32", "int4-sym-row", "int4-asym-g128"};
static const char *const tensors[] = {"vision.stem.0.weight",
                                      "vision.stem.2.weight",
                                      "vision.stage0.block0.mixer.weight",
                                      "vision.stage0.block0.ffn.fc1.weight",
                                      "vision.stage1.block0.attn.qkv.weight",
                                      "projector.0.weight",
                                      "llm.embed.weight",
                                      "llm.layer0.attn.q.bias"};

static size_t read_plants(test_plant plants[MAX_PLANTS], const uint8_t *data, size_t size)
{
    size_t n = 0;
    for (; size >= RECORD; data += RECORD, size -= RECORD)
        for (size_t i = 0; i < 1u + data[3] && n < MAX_PLANTS; i++) {
            plants[n] =
                (test_plant){tensors[data[0] % (sizeof tensors / sizeof *tensors)], fvlm_load_u16(data + 1) + i, 0};
            memcpy(&plants[n++].value, data + 4, 4);
        }
    return n;
}

static void compare(const char *quantized, const char *source)
{
    fvlm_err err = {0};
    fvlm_reader *a, *b;
    fvlm_weights w;
    MUST(!fvlm_reader_open(&a, quantized, &err) && !fvlm_reader_open(&b, source, &err));
    MUST(!fvlm_weights_compare(&w, a, b, NULL, &err));
    if (w.n_bad) fprintf(stderr, "%s\n", w.first_bad);
    MUST(w.n_bad == 0);
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char source[128], quantized[128];
    test_plant plants[MAX_PLANTS];
    fvlm_err err = {0};
    if (size < 1) return 0;
    snprintf(source, sizeof source, "%s/model.fvlm", fuzz_folder());
    snprintf(quantized, sizeof quantized, "%s/quantized.fvlm", fuzz_folder());
    const size_t n = read_plants(plants, data + 1, size - 1);
    MUST(!test_float_model(source, plants, n, &err));
    const fvlm_quant_options o = {.type = types[data[0] % (sizeof types / sizeof *types)], .threads = 1, .force = true};
    fvlm_quantization *q;
    fvlm_status st = fvlm_quantization_plan(&q, source, &o, &err);
    if (!st) st = fvlm_quantization_write(q, quantized, &err);
    must_explain(st, &err);
    fvlm_quantization_free(&q);
    if (!st) compare(quantized, source);
    return 0;
}
