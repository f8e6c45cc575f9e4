/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as model.safetensors.index.json beside two sound shards, and as model.safetensors: refused with
 * a message, or every tensor is found by its name and can be read. */
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

static void open_folder(void)
{
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err);
    must_explain(st, &err);
    for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(src, i);
        uint8_t bytes[64];
        MUST(fvlm_source_find(src, t->name) == t && !fvlm_source_is_unlisted(src, t->name));
        const size_t n = t->n_bytes < sizeof bytes ? (size_t)t->n_bytes : sizeof bytes;
        MUST(!fvlm_source_read(src, t, t->n_bytes - n, n, bytes, &err));
    }
    for (size_t i = 0; !st && i < fvlm_source_n_warnings(src); i++) MUST(fvlm_source_warning_at(src, i)[0]);
    if (!st) fvlm_source_close(&src);
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
    open_folder();
    fuzz_remove("model.safetensors.index.json");
    fuzz_write("model.safetensors", data, size);
    open_folder();
    fuzz_remove("model.safetensors");
    return 0;
}
