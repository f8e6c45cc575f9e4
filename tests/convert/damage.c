/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a damaged .safetensors file gives a clean refusal or a correct result, never a crash (the sanitizers watch
 * this under make asan). Every truncation; 12,000 random mutations of a whole checkpoint's file, carried through
 * reading, naming, fusing and packing. */
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "convert/source/safetensors.h"
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

#define N_MUTATIONS (12000 / UNDER_SANITIZER(4))

/* Reads a file image as source.c does; true if it was accepted, and then every promise of the header is checked. */
static bool accepted(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t n_header;
    fvlm_err err = {0};
    fvlm_safetensors f;
    uint8_t first[8] = {0};
    memcpy(first, bytes, n_bytes < 8 ? n_bytes : 8);
    fvlm_status st = fvlm_safetensors_length(&n_header, first, n_bytes, "m", &err);
    char *header = st ? NULL : malloc((size_t)n_header + 1);
    if (!st) {
        memcpy(header, bytes + 8, (size_t)n_header);
        st = fvlm_safetensors_parse(&f, header, (size_t)n_header, n_bytes, "m", &err);
    }
    if (st) {
        assert_int_equal(err.code, st);
        assert_true(err.msg[0] && err.offset <= n_bytes);
        free(header);
        return false;
    }
    uint64_t covered = 8 + n_header;
    for (size_t i = 0; i < f.n_tensors; i++) {
        const fvlm_source_tensor *t = &f.tensors[i];
        assert_true(t->offset >= 8 + n_header && t->n_bytes <= n_bytes - t->offset);
        assert_int_equal(t->n_bytes, t->n_elems * fvlm_source_type_bytes(t->type));
        if (i > 0) assert_true(strcmp(f.tensors[i - 1].name, t->name) < 0);
        covered += t->n_bytes;
    }
    assert_int_equal(covered, n_bytes);
    fvlm_safetensors_free(&f);
    free(header);
    return true;
}

static void every_truncation(void **state)
{
    (void)state;
    test_checkpoint c;
    size_t n_bytes, n = 0;
    test_checkpoint_make(&c, true, FVLM_SOURCE_BF16);
    uint8_t *bytes = test_checkpoint_bytes(&c, 0, 40, &n_bytes); /* the stem and a RepMixer */
    assert_true(accepted(bytes, n_bytes));
    for (; n < n_bytes; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* exactly as long */
        memcpy(cut, bytes, n);
        if (accepted(cut, n)) fail_msg("cut to %zu of %zu bytes: accepted", n, n_bytes);
        free(cut);
    }
    print_message("# %zu truncations refused\n", n);
    free(bytes);
    test_checkpoint_free(&c);
}

/* ---- whole conversions of mutated files ---- */

typedef struct {
    uint8_t *bytes;
    size_t n_bytes, n_header;
} image;

/* One mutation, mostly where the structure is. Returns the place of the first byte changed. */
static size_t mutate(image *m, test_rng *r)
{
    static const char interesting[] = "0123456789{}[]\":,\\ -.eEABFx";
    bool header = test_below(r, 3) > 0;
    size_t at = (size_t)(header ? test_below(r, 8 + m->n_header) : test_below(r, m->n_bytes));
    size_t n = 1 + (size_t)test_below(r, 16), left = m->n_bytes - at;
    if (n > left) n = left;
    switch (test_below(r, 6)) {
    case 0: /* a bit */
        m->bytes[at] ^= (uint8_t)(1 << test_below(r, 8));
        break;
    case 1: /* a byte */
        m->bytes[at] = (uint8_t)test_u64(r);
        break;
    case 2: /* a character that JSON cares for */
        m->bytes[at] = (uint8_t)interesting[test_below(r, sizeof interesting - 1)];
        break;
    case 3: /* bytes gone */
        memmove(m->bytes + at, m->bytes + at + n, left - n);
        m->n_bytes -= n;
        break;
    case 4: /* bytes said twice; there is room */
        memmove(m->bytes + at + n, m->bytes + at, left);
        m->n_bytes += n;
        break;
    case 5: /* bytes from elsewhere */
        memmove(m->bytes + at, m->bytes + test_below(r, m->n_bytes - n + 1), n);
        break;
    }
    return at;
}

static bool uses(const fvlm_recipe *m, const fvlm_source_tensor *t)
{
    bool found = t == m->layer_scale || t == m->norm_gain || t == m->norm_shift;
    for (unsigned b = 0; b < m->n_branches; b++) {
        const fvlm_branch *x = &m->branch[b];
        found |=
            t == x->kernel || t == x->bias || t == x->bn.gamma || t == x->bn.beta || t == x->bn.mean || t == x->bn.var;
    }
    return found;
}

/* Bare weights must be the file's own bytes, wherever the layout put them; fused ones finite and proven. */
static void check_packed(const test_recipes *r, const fvlm_recipe *m, const test_packed *p)
{
    size_t n = (size_t)(m->out * m->in * m->k * m->k);
    for (size_t i = 0; i < n; i++) assert_true(isfinite(p->w[i]));
    if (m->fused) {
        assert_true(p->packing.error <= 1e-10);
        return;
    }
    const fvlm_source_tensor *t = m->branch[0].kernel;
    uint8_t *raw = malloc(n * 2);
    assert_int_equal(t->type, FVLM_SOURCE_BF16);
    assert_int_equal(fvlm_source_read(r->source, t, 0, n * 2, raw, NULL), FVLM_OK);
    for (size_t i = 0; i < n; i++) assert_true(p->w[i] == (double)fvlm_bf16_to_f32(fvlm_load_u16(raw + 2 * i)));
    free(raw);
}

/* Through the whole of convert but the output file; true if nothing was refused. */
static bool converts(const char *folder, size_t changed)
{
    test_recipes r;
    fvlm_err err = {0};
    fvlm_status st = test_recipes_open(&r, folder, &err);
    if (st) {
        assert_true(err.code == st && err.msg[0]);
        return false;
    }
    for (size_t i = 0; i < r.names.recipes.n && !st; i++) {
        const fvlm_recipe *m = &r.names.recipes.items[i];
        bool hit = false;
        for (size_t k = 0; k < fvlm_source_n_tensors(r.source) && !hit; k++) {
            const fvlm_source_tensor *t = fvlm_source_tensor_at(r.source, k);
            hit = changed < t->offset + t->n_bytes && changed + 16 > t->offset && uses(m, t);
        }
        test_packed p;
        if (!hit) continue;
        st = test_pack(&p, &r, m, (fvlm_type){0}, &err);
        if (!st) {
            check_packed(&r, m, &p);
            test_packed_free(&p);
        } else {
            assert_true(err.msg[0]);
        }
    }
    test_recipes_close(&r);
    return !st;
}

static void random_mutations(void **state)
{
    (void)state;
    char folder[256];
    test_checkpoint c;
    test_rng r = {20261124};
    image whole = {0};
    size_t n_accepted = 0;
    test_checkpoint_make(&c, true, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, test_folder(folder));
    whole.bytes = test_checkpoint_bytes(&c, 0, c.n, &whole.n_bytes);
    whole.n_header = (size_t)fvlm_load_u64(whole.bytes);
    char *path = test_path(folder, "model.safetensors");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && converts(folder, 0));
    image m = whole;
    m.bytes = malloc(whole.n_bytes + 64);
    for (int i = 0; i < N_MUTATIONS; i++) {
        m.n_bytes = whole.n_bytes;
        memcpy(m.bytes, whole.bytes, whole.n_bytes);
        size_t at = mutate(&m, &r);
        for (uint64_t more = test_below(&r, 3); more; more--) mutate(&m, &r);
        assert_int_equal(pwrite(fd, m.bytes, m.n_bytes, 0), m.n_bytes);
        assert_int_equal(ftruncate(fd, (off_t)m.n_bytes), 0);
        bool ok = accepted(m.bytes, m.n_bytes);
        if (converts(folder, at)) {
            assert_true(ok);
            n_accepted++;
        }
    }
    print_message("# %d mutations: %zu converted correctly, the others refused\n", N_MUTATIONS, n_accepted);
    assert_true(n_accepted > N_MUTATIONS / 20 && n_accepted < N_MUTATIONS / 2);
    close(fd);
    free(path);
    free(m.bytes);
    free(whole.bytes);
    test_checkpoint_free(&c);
}

/* The other files' texts: truncated and mutated, a verdict every time. */
static void small_files(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "vocab.json", "merges.txt", "added_tokens.json",
                                        "generation_config.json"};
    char folder[256];
    test_checkpoint c;
    test_rng r = {77};
    size_t n_runs = 0, n_accepted = 0;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, test_folder(folder));
    for (size_t k = 0; k < 5; k++) {
        char *path = test_path(folder, names[k]);
        size_t n;
        uint8_t *bytes = test_read_file(path, &n), *copy = malloc(n + 1);
        assert_non_null(bytes);
        for (size_t i = 0; i < 400; i++, n_runs++) {
            memcpy(copy, bytes, n);
            size_t cut = i < 200 ? n * i / 200 : n;
            if (cut == n) copy[test_below(&r, n)] = (uint8_t)test_u64(&r);
            assert_true(test_write_file(path, copy, cut));
            n_accepted += converts(folder, SIZE_MAX - 16);
        }
        assert_true(test_write_file(path, bytes, n));
        free(bytes);
        free(copy);
        free(path);
    }
    assert_true(converts(folder, SIZE_MAX - 16));
    print_message("# %zu damaged small files, %zu of them still a checkpoint\n", n_runs, n_accepted);
    assert_true(n_accepted > n_runs / 50 && n_accepted < n_runs / 5);
    test_checkpoint_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(random_mutations),
        cmocka_unit_test(small_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
