/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what fusion writes does what the parts did. The twin below is written from the definitions, in f64,
 * from Apple's tensor names alone: convolution by its sum, BatchNorm on outputs, branches added, residuals added.
 * It knows nothing of recipes. The bound is what rounding the fused weights to f32 can do, and no more. */
#include <math.h>

#include "convert/elements.h"
#include "convert/fuse.h"
#include "convert/prove.h"
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

#define BN_EPS 1e-5
#define SIDE 11

/* Channels-first picture. */
typedef struct {
    size_t c, side;
    double *v;
} map;

static map map_new(size_t c, size_t side)
{
    map m = {c, side, calloc(c * side * side, sizeof(double))};
    assert_non_null(m.v);
    return m;
}

static map map_random(size_t c, size_t side, uint64_t seed)
{
    map m = map_new(c, side);
    test_rng r = {seed};
    for (size_t i = 0; i < c * side * side; i++) m.v[i] = (double)test_normal(&r);
    return m;
}

static double pixel(const map *m, size_t c, long y, long x)
{
    long side = (long)m->side;
    return y < 0 || x < 0 || y >= side || x >= side ? 0 : m->v[(c * m->side + (size_t)y) * m->side + (size_t)x];
}

/* y[o] = b[o] + sum over i, ky, kx; absolute = the same over absolute values. */
static map convolve(const map *x, const double *w, const double *b, size_t out, size_t in, size_t k, size_t stride,
                    bool absolute)
{
    map y = map_new(out, (x->side + stride - 1) / stride);
    size_t groups = x->c / in;
    for (size_t o = 0; o < out; o++)
        for (size_t oy = 0; oy < y.side; oy++)
            for (size_t ox = 0; ox < y.side; ox++) {
                double sum = b ? absolute ? fabs(b[o]) : b[o] : 0;
                for (size_t i = 0; i < in; i++)
                    for (size_t t = 0; t < k * k; t++) {
                        double term = w[(o * in + i) * k * k + t] * pixel(x, o / (out / groups) * in + i,
                                                                          (long)(oy * stride + t / k) - (long)(k / 2),
                                                                          (long)(ox * stride + t % k) - (long)(k / 2));
                        sum += absolute ? fabs(term) : term;
                    }
                y.v[(o * y.side + oy) * y.side + ox] = sum;
            }
    return y;
}

/* ---- the parts, by name ---- */

static const test_checkpoint *model;

static const double *values(const char *at, const char *name)
{
    char full[400];
    snprintf(full, sizeof full, "%s.%s", at, name);
    return test_tensor_find(model, full)->values;
}

static bool there(const char *at, const char *name)
{
    char full[400];
    snprintf(full, sizeof full, "%s.%s", at, name);
    for (size_t i = 0; i < model->n; i++)
        if (!strcmp(model->items[i].name, full)) return true;
    return false;
}

static void batch_norm(map *x, const char *at)
{
    const double *w = values(at, "weight"), *b = values(at, "bias"), *mean = values(at, "running_mean"),
                 *var = values(at, "running_var");
    size_t n = x->side * x->side;
    for (size_t i = 0; i < x->c * n; i++)
        x->v[i] = w[i / n] * (x->v[i] - mean[i / n]) / sqrt(var[i / n] + BN_EPS) + b[i / n];
}

static map conv_at(const map *x, const char *at, size_t stride)
{
    char name[400];
    snprintf(name, sizeof name, "%s.weight", at);
    const test_tensor *t = test_tensor_find(model, name);
    size_t k = t->rank == 4 ? t->dims[2] : 1;
    return convolve(x, t->values, there(at, "bias") ? values(at, "bias") : NULL, t->dims[0], t->dims[1], k, stride,
                    false);
}

static map conv_bn(const map *x, const char *at, size_t stride)
{
    char path[300];
    snprintf(path, sizeof path, "%s.conv", at);
    map y = conv_at(x, path, stride);
    snprintf(path, sizeof path, "%s.bn", at);
    if (there(path, "weight")) batch_norm(&y, path);
    return y;
}

/* to += factor * x, and x is gone; to may be empty. */
static void add(map *to, map x, double factor)
{
    if (!to->v) *to = map_new(x.c, x.side);
    assert_int_equal(to->side, x.side);
    for (size_t i = 0; i < x.c * x.side * x.side; i++) to->v[i] += factor * x.v[i];
    free(x.v);
}

static map copy(const map *x)
{
    map y = map_new(x->c, x->side);
    memcpy(y.v, x->v, x->c * x->side * x->side * sizeof *x->v);
    return y;
}

static map mobile_one(const map *x, const char *at, size_t stride)
{
    map y = {0};
    char path[256];
    for (int k = 0; k < 4; k++) {
        snprintf(path, sizeof path, "%s.rbr_conv.%d", at, k);
        if (there(path, "conv.weight")) add(&y, conv_bn(x, path, stride), 1);
    }
    snprintf(path, sizeof path, "%s.rbr_scale", at);
    if (there(path, "conv.weight")) add(&y, conv_bn(x, path, stride), 1);
    snprintf(path, sizeof path, "%s.rbr_skip", at);
    if (there(path, "weight")) {
        map skip = copy(x);
        batch_norm(&skip, path);
        add(&y, skip, 1);
    }
    return y;
}

static void scale_rows(map *y, const double *s)
{
    for (size_t i = 0; i < y->c * y->side * y->side; i++) y->v[i] *= s[i / (y->side * y->side)];
}

static map rep_mixer(const map *x, const char *at)
{
    char path[256];
    snprintf(path, sizeof path, "%s.mixer", at);
    map y = mobile_one(x, path, 1);
    snprintf(path, sizeof path, "%s.norm", at);
    add(&y, mobile_one(x, path, 1), -1);
    scale_rows(&y, values(at, "layer_scale"));
    add(&y, copy(x), 1);
    return y;
}

static map large_kernel(const map *x, const char *at)
{
    char path[256];
    map y = {0};
    snprintf(path, sizeof path, "%s.lkb_origin", at);
    add(&y, conv_bn(x, path, 2), 1);
    snprintf(path, sizeof path, "%s.small_conv", at);
    add(&y, conv_bn(x, path, 2), 1);
    return y;
}

static map position(const map *x, const char *at)
{
    char path[256];
    snprintf(path, sizeof path, "%s.pe", at);
    map y = conv_at(x, path, 1);
    add(&y, copy(x), 1);
    return y;
}

static map with_scale(const map *x, const char *at, const char *scale_at, const char *scale)
{
    map y = conv_at(x, at, 1);
    scale_rows(&y, values(scale_at, scale));
    return y;
}

static map qkv(const map *x, const char *block)
{
    char path[256];
    map z = copy(x);
    snprintf(path, sizeof path, "%s.norm", block);
    scale_rows(&z, values(path, "weight"));
    const double *shift = values(path, "bias");
    for (size_t i = 0; i < z.c * z.side * z.side; i++) z.v[i] += shift[i / (z.side * z.side)];
    snprintf(path, sizeof path, "%s.token_mixer.qkv", block);
    map y = conv_at(&z, path, 1);
    for (size_t i = 0; i < y.c / 3 * y.side * y.side; i++) y.v[i] *= pow(32, -0.5);
    free(z.v);
    return y;
}

/* ---- fused against unfused ---- */

#define T TEST_TOWER
typedef enum { MOBILE, REPMIXER, LARGE, POSITION, CONV_BN, SCALED, QKV } kind;

static const struct {
    const char *recipe, *at;
    kind what;
    size_t stride;
    const char *scale_at, *scale;
} fusions[] = {
    {"vision.stem.0", T "patch_embed.0", MOBILE, 2, 0, 0},
    {"vision.stem.1", T "patch_embed.1", MOBILE, 2, 0, 0},
    {"vision.stem.2", T "patch_embed.2", MOBILE, 1, 0, 0},
    {"vision.stage0.block0.mixer", T "network.0.0.token_mixer", REPMIXER, 1, 0, 0},
    {"vision.stage0.block1.mixer", T "network.0.1.token_mixer", REPMIXER, 1, 0, 0},
    {"vision.stage1.block0.mixer", T "network.3.0.token_mixer", REPMIXER, 1, 0, 0},
    {"vision.stage0.block0.ffn.dw", T "network.0.0.convffn.conv", CONV_BN, 1, 0, 0},
    {"vision.stage0.block1.ffn.dw", T "network.0.1.convffn.conv", CONV_BN, 1, 0, 0},
    {"vision.stage1.block0.ffn.dw", T "network.3.0.convffn.conv", CONV_BN, 1, 0, 0},
    {"vision.stage2.block0.ffn.dw", T "network.5.0.convffn.conv", CONV_BN, 1, 0, 0},
    {"vision.stage0.block0.ffn.fc2", T "network.0.0.convffn.fc2", SCALED, 1, T "network.0.0", "layer_scale"},
    {"vision.stage0.block1.ffn.fc2", T "network.0.1.convffn.fc2", SCALED, 1, T "network.0.1", "layer_scale"},
    {"vision.stage1.block0.ffn.fc2", T "network.3.0.convffn.fc2", SCALED, 1, T "network.3.0", "layer_scale"},
    {"vision.stage2.block0.ffn.fc2", T "network.5.0.convffn.fc2", SCALED, 1, T "network.5.0", "layer_scale_2"},
    {"vision.stage2.block0.attn.proj", T "network.5.0.token_mixer.proj", SCALED, 1, T "network.5.0", "layer_scale_1"},
    {"vision.stage2.block0.attn.qkv", T "network.5.0", QKV, 1, 0, 0},
    {"vision.stage1.downsample.dw", T "network.1.proj.0", LARGE, 2, 0, 0},
    {"vision.stage2.downsample.dw", T "network.4.proj.0", LARGE, 2, 0, 0},
    {"vision.stage1.downsample.pw", T "network.1.proj.1", MOBILE, 1, 0, 0},
    {"vision.stage2.downsample.pw", T "network.4.proj.1", MOBILE, 1, 0, 0},
    {"vision.stage1.pos", T "network.2", POSITION, 1, 0, 0},
    {"vision.final.dw", T "conv_exp", MOBILE, 1, 0, 0},
};
enum { N_FUSIONS = sizeof fusions / sizeof fusions[0], N_BARE = 6 /* with BatchNorm folded */ };

static map run_parts(unsigned i, const map *x)
{
    const char *at = fusions[i].at;
    switch (fusions[i].what) {
    case MOBILE:
        return mobile_one(x, at, fusions[i].stride);
    case REPMIXER:
        return rep_mixer(x, at);
    case LARGE:
        return large_kernel(x, at);
    case POSITION:
        return position(x, at);
    case CONV_BN:
        return conv_bn(x, at, 1);
    case SCALED:
        return with_scale(x, at, fusions[i].scale_at, fusions[i].scale);
    case QKV:
        return qkv(x, at);
    }
    return (map){0};
}

/* Rounding each fused weight and bias to f32 moves an output by at most 2^-24 of the sum of magnitudes. */
static double worst_excess(const test_packed *p, const fvlm_recipe *m, const map *x, const map *want, double unit)
{
    map got = convolve(x, p->w, p->b, (size_t)m->out, (size_t)m->in, m->k, m->stride, false);
    map size = convolve(x, p->w, p->b, (size_t)m->out, (size_t)m->in, m->k, m->stride, true);
    double worst = 0;
    assert_int_equal(got.side, want->side);
    for (size_t i = 0; i < got.c * got.side * got.side; i++) {
        double share = fabs(got.v[i] - want->v[i]) / (size.v[i] * unit);
        if (!(share <= worst)) worst = share;
    }
    free(got.v);
    free(size.v);
    return worst;
}

/* Makes every convolution with BatchNorm one with a bias, as exporters of ONNX do. Its values are arbitrary. */
static void fold_batch_norms(test_checkpoint *c)
{
    static const char *const gone[] = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"};
    static const char end[] = ".bn.running_var";
    for (size_t i = c->n; i-- > 0;) {
        char at[256], name[300];
        const size_t n = strlen(c->items[i].name) - strlen(end);
        if (strlen(c->items[i].name) < strlen(end) || strcmp(c->items[i].name + n, end) != 0) continue;
        snprintf(at, sizeof at, "%.*s", (int)n, c->items[i].name);
        snprintf(name, sizeof name, "%s.conv.bias", at);
        test_tensor *bias = test_tensor_add(c, name, c->items[i].type, 1, c->items[i].dims);
        for (size_t k = 0; k < bias->n; k++) bias->values[k] = 0.25 + (double)(k % 7) / 8;
        for (size_t k = 0; k < sizeof gone / sizeof *gone; k++) {
            snprintf(name, sizeof name, "%s.bn.%s", at, gone[k]);
            test_tensor_remove(c, name);
        }
        i = c->n; /* they have moved */
    }
}

static void check_fusions(unsigned type, fvlm_type stored, double unit, bool folded)
{
    char folder[256];
    test_checkpoint c;
    test_recipes r;
    fvlm_err err = {0};
    test_checkpoint_make(&c, true, type);
    if (folded) fold_batch_norms(&c);
    test_checkpoint_write(&c, test_folder(folder));
    if (test_recipes_open(&r, folder, &err)) fail_msg("%s", err.msg);
    model = &c;
    double worst = 0;
    size_t n_fused = 0;
    for (size_t i = 0; i < r.names.recipes.n; i++) n_fused += r.names.recipes.items[i].fused;
    assert_int_equal(n_fused + (folded ? N_BARE : 0), N_FUSIONS); /* every fused module has its twin */
    for (unsigned i = 0; i < N_FUSIONS; i++) {
        test_packed p;
        const fvlm_recipe *m = test_recipe_find(&r, fusions[i].recipe);
        assert_true(m->fused || folded);
        if (test_pack(&p, &r, m, stored, &err)) fail_msg("%s", err.msg);
        map x = map_random((size_t)(m->in * m->groups), m->k == 1 ? 4 : SIDE, 1234 + i), want = run_parts(i, &x);
        double share = worst_excess(&p, m, &x, &want, unit);
        if (!(share <= 1 / (1 - unit) + 1e-6)) fail_msg("%s: %g of what rounding allows", m->name, share);
        if (share > worst) worst = share;
        assert_true(p.packing.error > 0 || !m->fused);
        assert_true(p.packing.error < 1e-13);
        free(x.v);
        free(want.v);
        test_packed_free(&p);
    }
    print_message("# %u fused modules, source type %u: worst difference %.2f of what one rounding allows\n", N_FUSIONS,
                  type, worst);
    test_recipes_close(&r);
    test_checkpoint_free(&c);
}

static void from_f32(void **state)
{
    (void)state;
    check_fusions(FVLM_SOURCE_F32, (fvlm_type){0}, 0x1p-24, false);
}

static void from_bf16(void **state)
{
    (void)state;
    check_fusions(FVLM_SOURCE_BF16, (fvlm_type){0}, 0x1p-24, false);
}

static void from_f16(void **state)
{
    (void)state;
    check_fusions(FVLM_SOURCE_F16, (fvlm_type){0}, 0x1p-24, false);
}

/* Exporters of ONNX fold BatchNorm into the convolution before it, and leave the branches. */
static void from_folded_branches(void **state)
{
    (void)state;
    check_fusions(FVLM_SOURCE_F32, (fvlm_type){0}, 0x1p-24, true);
}

/* One rounding to bf16, not two: still within half a unit of bf16. */
static void to_bf16(void **state)
{
    (void)state;
    check_fusions(FVLM_SOURCE_F32, (fvlm_type){.kind = FVLM_BF16}, 0x1p-8, false);
}

/* What fusion leaves alone keeps its type and every value; the embedding keeps the rows that an id reaches. */
static void left_alone(void **state)
{
    (void)state;
    for (unsigned type = FVLM_SOURCE_F32; type <= FVLM_SOURCE_BF16; type++) {
        char folder[256];
        test_checkpoint c;
        test_recipes r;
        fvlm_err err = {0};
        size_t n = 0;
        test_checkpoint_make(&c, false, type);
        test_checkpoint_write(&c, test_folder(folder));
        if (test_recipes_open(&r, folder, &err)) fail_msg("%s", err.msg);
        for (size_t i = 0; i < r.names.recipes.n; i++) {
            const fvlm_recipe *m = &r.names.recipes.items[i];
            if (m->fused) continue;
            test_packed p;
            if (test_pack(&p, &r, m, (fvlm_type){0}, &err)) fail_msg("%s", err.msg);
            const test_tensor *t = test_tensor_find(&c, m->branch[0].kernel->name);
            assert_int_equal(p.packing.weight.kind, type); /* fvlm_source_type and fvlm_kind agree on floats */
            for (size_t j = 0; j < m->out * m->in * m->k * m->k; j++)
                if (t->values[j] != p.w[j]) fail_msg("%s: value %zu", m->name, j);
            if (p.b)
                assert_memory_equal(p.b, test_tensor_find(&c, m->branch[0].bias->name)->values,
                                    m->out * sizeof(double));
            assert_true(p.packing.error == 0);
            n++;
            test_packed_free(&p);
        }
        assert_int_equal(test_recipe_find(&r, "llm.embed")->out, TEST_IDS);
        assert_int_equal(n, 40);
        test_recipes_close(&r);
        test_checkpoint_free(&c);
    }
}

/* Row 0 of the recipe through fuse.c and prove.c, one weight and the bias changed in between. */
static double error_with(const test_recipes *r, const fvlm_recipe *m, size_t element, double change, double shift)
{
    fvlm_fusion f;
    fvlm_proof *p;
    double *kernels[FVLM_MAX_BRANCHES] = {0}, *w = calloc((size_t)m->in * m->k * m->k, sizeof *w);
    assert_int_equal(fvlm_fusion_prepare(&f, m, r->source, NULL), FVLM_OK);
    assert_int_equal(fvlm_proof_create(&p, m, r->source, NULL), FVLM_OK);
    for (unsigned b = 0; b < m->n_branches; b++)
        if (m->branch[b].kernel)
            assert_int_equal(fvlm_elements_read(r->source, m->branch[b].kernel, &kernels[b], NULL), FVLM_OK);
    double bias = fvlm_fusion_row(&f, 0, kernels, w);
    double largest = 0;
    for (size_t i = 0; i < m->in * m->k * m->k; i++) largest = fmax(largest, fabs(w[i]));
    w[element] += change * largest;
    fvlm_proof_row(p, 0, kernels, w, bias + shift);
    double error = fvlm_proof_error(p);
    for (unsigned b = 0; b < m->n_branches; b++) free(kernels[b]);
    free(w);
    fvlm_proof_free(&p);
    fvlm_fusion_free(&f);
    return error;
}

/* Every weight of the row takes part, corners of the kernel too, and so does the bias. */
static void test_proof_of(const test_recipes *r, const fvlm_recipe *m)
{
    size_t n = (size_t)m->in * m->k * m->k;
    assert_true(error_with(r, m, 0, 0, 0) < 1e-14);
    for (size_t i = 0; i < n; i++)
        if (error_with(r, m, i, 1e-6, 0) < FVLM_PROOF_BOUND) fail_msg("%s: weight %zu", m->name, i);
    assert_true(error_with(r, m, 0, 0, 1e-7) > FVLM_PROOF_BOUND);
    assert_true(error_with(r, m, 0, NAN, 0) > FVLM_PROOF_BOUND);
}

/* The proof is no formality: a fused row with any one weight changed by 1e-6 of the row's largest fails it. */
static void proof_notices(void **state)
{
    (void)state;
    char folder[256];
    test_checkpoint c;
    test_recipes r;
    fvlm_err err = {0};
    test_checkpoint_make(&c, true, FVLM_SOURCE_F32);
    test_checkpoint_write(&c, test_folder(folder));
    if (test_recipes_open(&r, folder, &err)) fail_msg("%s", err.msg);
    for (unsigned i = 0; i < N_FUSIONS; i++) test_proof_of(&r, test_recipe_find(&r, fusions[i].recipe));
    test_recipes_close(&r);
    test_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_f32),      cmocka_unit_test(from_bf16),
        cmocka_unit_test(from_f16),      cmocka_unit_test(from_folded_branches),
        cmocka_unit_test(to_bf16),       cmocka_unit_test(left_alone),
        cmocka_unit_test(proof_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
