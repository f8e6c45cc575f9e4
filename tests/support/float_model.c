/* SPDX-License-Identifier: Apache-2.0 */
/* float_model.c - see float_model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/float_model.h"
#include "format/config.h"
#include "format/writer.h"

static const struct {
    const char *name;
    uint8_t kind, layout, rank;
    uint64_t dims[4];
} shapes[TEST_FLOAT_MODEL_N] = {
    {"vision.stem.0.weight", FVLM_F32, FVLM_PANELS, 4, {18, 3, 3, 3}},
    {"vision.stem.0.bias", FVLM_F32, FVLM_ROWS, 1, {18}},
    {"vision.stem.2.weight", FVLM_BF16, FVLM_PANELS, 4, {40, 18, 1, 1}},
    {"vision.stage0.block0.mixer.weight", FVLM_F32, FVLM_TAPS, 4, {40, 1, 3, 3}},
    {"vision.stage0.block0.ffn.fc1.weight", FVLM_F32, FVLM_PANELS, 4, {96, 70, 1, 1}},
    {"vision.stage1.block0.attn.qkv.weight", FVLM_F16, FVLM_PANELS, 2, {48, 32}},
    {"projector.0.weight", FVLM_BF16, FVLM_PANELS, 2, {33, 130}},
    {"llm.embed.weight", FVLM_BF16, FVLM_PANELS, 2, {300, 192}},
    {"llm.layer0.attn.q.weight", FVLM_BF16, FVLM_PANELS, 2, {64, 192}},
    {"llm.layer0.attn.q.bias", FVLM_BF16, FVLM_ROWS, 1, {64}},
    {"llm.layer0.ffn.down.weight", FVLM_BF16, FVLM_PANELS, 2, {192, 200}},
    {"llm.norm.weight", FVLM_BF16, FVLM_ROWS, 1, {192}},
};

static bool is_padding(const fvlm_tensor *t, size_t at)
{
    uint64_t k = 1;
    for (unsigned i = 1; i < t->rank; i++) k *= t->dims[i];
    return t->layout == FVLM_PANELS && at / 16 / k * 16 + at % 16 >= t->dims[0];
}

static uint8_t *make_bytes(const fvlm_tensor *t, test_rng *r, const test_plant *plants, size_t n_plants)
{
    const size_t width = fvlm_type_float_bytes(t->type), n = (size_t)t->n_bytes / width;
    uint8_t *bytes = fvlm_alloc((size_t)t->n_bytes, 1);
    for (size_t i = 0; bytes && i < n; i++) {
        float v = is_padding(t, i) ? 0 : 0.05f * test_normal(r);
        for (size_t p = 0; p < n_plants; p++)
            if (!strcmp(plants[p].tensor, t->name) && plants[p].at == i) v = plants[p].value;
        uint32_t u;
        memcpy(&u, &v, 4);
        if (width == 4)
            fvlm_store_u32(bytes + 4 * i, u);
        else
            fvlm_store_u16(bytes + 2 * i, t->type.kind == FVLM_F16 ? fvlm_f32_to_f16(v) : fvlm_f32_to_bf16(v));
    }
    return bytes;
}

fvlm_status test_float_model(const char *path, const test_plant *plants, size_t n_plants, fvlm_err *err)
{
    static const char tokenizer[] =
        "{\"tokens\":[\"a\",\"b\"],\"merges\":[],\"added\":[],\"pattern\":\"x\",\"normalizer\":null}";
    fvlm_writer *w;
    uint64_t n_bytes;
    size_t id;
    test_rng r = {5};
    fvlm_config config;
    fvlm_status st = fvlm_writer_create(&w, path, true, err);
    for (size_t i = 0; i < TEST_FLOAT_MODEL_N && !st; i++)
        st = fvlm_writer_declare(w, shapes[i].name, (fvlm_type){.kind = shapes[i].kind}, (fvlm_layout)shapes[i].layout,
                                 shapes[i].rank, shapes[i].dims, &id, err);
    if (!st) st = fvlm_writer_begin(w, &n_bytes, err);
    for (size_t i = 0; i < TEST_FLOAT_MODEL_N && !st; i++) {
        uint8_t *bytes = make_bytes(fvlm_writer_tensor(w, i), &r, plants, n_plants);
        st = fvlm_writer_append(w, i, bytes, (size_t)fvlm_writer_tensor(w, i)->n_bytes, err);
        free(bytes);
    }
    if (st) {
        fvlm_writer_discard(&w);
        return st;
    }
    test_config(&config);
    json_t *meta = json_pack("{s:o, s:{s:s}}", "config", fvlm_config_to_json(&config), "provenance", "tool", "a test");
    st = fvlm_writer_publish(&w, meta, tokenizer, sizeof tokenizer - 1, err);
    json_decref(meta);
    return st;
}
