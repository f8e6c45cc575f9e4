/* SPDX-License-Identifier: Apache-2.0 */
/* recipes.c - see recipes.h. */
#include "tests/support/recipes.h"

#include "tests/support/check.h"

fvlm_status test_recipes_open(test_recipes *r, const char *folder, fvlm_err *err)
{
    return test_recipes_open_head(r, folder, NULL, err);
}

fvlm_status test_recipes_open_head(test_recipes *r, const char *folder, const char *head, fvlm_err *err)
{
    memset(r, 0, sizeof *r);
    fvlm_status st = fvlm_source_open(&r->source, folder, err);
    if (!st) st = fvlm_naming_apply(&r->naming, r->source, NULL, err);
    if (!st) st = fvlm_checkpoint_read(&r->checkpoint, r->source, &(fvlm_vocabulary_options){0}, NULL, err);
    if (!st) st = fvlm_names_resolve(&r->names, r->source, &r->checkpoint, &r->naming, head, err);
    if (st) test_recipes_close(r);
    return st;
}

void test_recipes_close(test_recipes *r)
{
    fvlm_names_free(&r->names);
    fvlm_checkpoint_free(&r->checkpoint);
    fvlm_source_close(&r->source);
}

const fvlm_recipe *test_recipe_find(const test_recipes *r, const char *name)
{
    for (size_t i = 0; i < r->names.recipes.n; i++)
        if (!strcmp(r->names.recipes.items[i].name, name)) return &r->names.recipes.items[i];
    fail_msg("no recipe %s", name);
    return NULL;
}

static fvlm_status collect(void *ctx, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err)
{
    test_packed *p = ctx;
    uint8_t **to = id ? &p->bias : &p->weight;
    size_t *n = id ? &p->bias_bytes : &p->weight_bytes;
    (void)err;
    *to = realloc(*to, *n + n_bytes);
    assert_non_null(*to);
    memcpy(*to + *n, bytes, n_bytes);
    *n += n_bytes;
    return FVLM_OK;
}

static double value_at(const uint8_t *stored, fvlm_type type, size_t i)
{
    float f;
    uint32_t bits;
    if (type.kind == FVLM_BF16) return (double)fvlm_bf16_to_f32(fvlm_load_u16(stored + 2 * i));
    if (type.kind == FVLM_F16) return (double)fvlm_f16_to_f32(fvlm_load_u16(stored + 2 * i));
    bits = fvlm_load_u32(stored + 4 * i);
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Where weight [o][i][tap] lies: the formulas of types.h, by hand. */
static size_t place_of(const fvlm_recipe *m, size_t o, size_t i, size_t tap)
{
    size_t in = (size_t)m->in, taps = (size_t)m->k * m->k, k = tap * in + i;
    if (m->layout == FVLM_TAPS) return tap * (size_t)m->out + o;
    if (m->layout == FVLM_PANELS) return (o / 16 * in * taps + k) * 16 + o % 16;
    return o;
}

fvlm_status test_pack(test_packed *p, const test_recipes *r, const fvlm_recipe *m, fvlm_type type, fvlm_err *err)
{
    *p = (test_packed){.packing = {.weight = type.kind ? type : fvlm_pack_weight_type(m),
                                   .bias = type.kind ? type : fvlm_pack_bias_type(m),
                                   .bias_id = 1}};
    fvlm_sink sink = {collect, p};
    atomic_ullong done = 0;
    fvlm_status st = fvlm_pack_recipe(m, r->source, &p->packing, &sink, &done, NULL, err);
    if (st) {
        test_packed_free(p);
        return st;
    }
    uint64_t n_bytes;
    assert_int_equal(fvlm_type_tensor_bytes(&n_bytes, p->packing.weight, m->layout, m->rank, m->dims, NULL), FVLM_OK);
    assert_int_equal(n_bytes, p->weight_bytes);
    assert_int_equal(p->bias_bytes, m->has_bias ? m->out * fvlm_type_float_bytes(p->packing.bias) : 0);
    assert_int_equal(done, fvlm_pack_source_bytes(m));
    size_t out = (size_t)m->out, in = (size_t)m->in, taps = (size_t)m->k * m->k;
    p->w = calloc(out * in * taps, sizeof *p->w);
    p->b = m->has_bias ? calloc(out, sizeof *p->b) : NULL;
    for (size_t o = 0; o < out; o++) {
        for (size_t j = 0; j < in * taps; j++)
            p->w[o * in * taps + j] = value_at(p->weight, p->packing.weight, place_of(m, o, j / taps, j % taps));
        if (p->b) p->b[o] = value_at(p->bias, p->packing.bias, o);
    }
    return FVLM_OK;
}

void test_packed_free(test_packed *p)
{
    free(p->weight);
    free(p->bias);
    free(p->w);
    free(p->b);
    *p = (test_packed){0};
}
