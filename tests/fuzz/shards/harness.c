/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as model.safetensors.index.json beside two sound shards: refused with a message, or every
 * tensor is found by its name and can be read. */
#include "convert/source/source.h"
#include "tests/fuzz/harness.h"

static void write_shard(const char *name, const char *header)
{
    uint8_t bytes[512] = {0};
    const size_t n = strlen(header);
    bytes[0] = (uint8_t)n;
    memcpy(bytes + 8, header, n);
    fuzz_write(name, bytes, 8 + n + 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        write_shard("model-00001-of-00002.safetensors",
                    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}");
        write_shard("model-00002-of-00002.safetensors",
                    "{\"b\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
                    "\"c\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[8,16]}}");
        ready = true;
    }
    fuzz_write("model.safetensors.index.json", data, size);
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err);
    must_explain(st, &err);
    for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(src, i);
        uint8_t bytes[16];
        MUST(fvlm_source_find(src, t->name) == t && t->n_bytes <= sizeof bytes);
        MUST(!fvlm_source_read(src, t, 0, (size_t)t->n_bytes, bytes, &err));
    }
    if (!st) fvlm_source_close(&src);
    return 0;
}
