/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails while a checkpoint in another program's names, or packed and in such names, is
 * converted, or one is found in Hugging Face's cache, the result is "out of memory" or the whole file, nothing is left
 * beside it, and no memory leaks; cut weights and a cut config.json are refused; and where a byte of them is changed,
 * the result is a plan or a message of one line. FVLM_FULL=1: every single allocation, else some of each dialect. */
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert.h"
#include "convert/source/source.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/dialect.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/support.h"

static char apple[256], folders[8][256], out_folder[256];
static char *out;
static fvlm_err err;
static const char *const dialects[] = {"transformers", "llava",    "mlx-vlm",    "apple-mlx",
                                       "timm",         "openclip", "mobileclip", "apple-tower"};

static void copy(const char *to, const char *name)
{
    size_t n;
    char *from = test_path(apple, name), *path = test_path(to, name);
    uint8_t *bytes = test_read_file(from, &n);
    assert_true(bytes && test_write_file(path, bytes, n));
    free(bytes);
    free(from);
    free(path);
}

static fvlm_status convert(size_t dialect)
{
    fvlm_conversion *c;
    memset(&err, 0, sizeof err);
    const fvlm_convert_options o = {
        .threads = 1, .force = true, .vision = !strcmp(dialects[dialect], "apple-mlx") ? folders[2] : NULL};
    fvlm_status st = fvlm_conversion_plan(&c, folders[dialect], &o, &err);
    if (!st) st = fvlm_conversion_write(c, out, &err);
    fvlm_conversion_free(&c);
    return st;
}

static size_t n_wrong;
#define wrong(...) (n_wrong++, print_message("# " __VA_ARGS__), print_message("\n"))

static fvlm_status fail_one(size_t dialect, size_t k, bool all_after)
{
    unlink(out);
    test_arm(k, all_after);
    const fvlm_status st = convert(dialect);
    const char *what = dialects[dialect], *fault = test_disarm(st, &err);
    if (fault) wrong("%s, fault %zu: %s", what, k, fault);
    if (test_count_entries(out_folder) != !st) wrong("%s, fault %zu leaves something behind", what, k);
    return st;
}

static void every_allocation(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    const bool full = getenv("FVLM_FULL") != NULL;
    for (size_t d = 0; d < 8; d++) {
        size_t n_whole, points = 0, went_on = 0;
        must(convert(d), &err); /* what is allocated once for the process */
        must(fail_one(d, SIZE_MAX, false), &err);
        uint8_t *whole = test_read_file(out, &n_whole);
        const size_t total = count;
        for (int all_after = 0; all_after < 2; all_after++)
            for (size_t k = 1 + d; k <= total; k += full ? 1 : 1 + total / 30, points++) {
                size_t n;
                if (fail_one(d, k, all_after)) continue;
                uint8_t *got = test_read_file(out, &n);
                if (n != n_whole || memcmp(got, whole, n) != 0) wrong("%s, fault %zu: another file", dialects[d], k);
                free(got);
                went_on++;
            }
        free(whole);
        print_message("# %s: %zu failing allocations of %zu; without %zu it went on\n", dialects[d], points, total,
                      went_on);
        assert_int_equal(n_wrong, 0);
        assert_true(total > 500 && points > 50 && went_on < points / 10);
    }
}

/* Of two snapshots refs/main names one. */
static void make_cache(const char *hub)
{
    static const char *const below[] = {"models--a--FastVLM", "models--a--FastVLM/refs",
                                        "models--a--FastVLM/snapshots"};
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        char *path = test_path(hub, below[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    char *ref = test_path(hub, "models--a--FastVLM/refs/main");
    assert_true(test_write_file(ref, "c0ffee", 6));
    free(ref);
    for (size_t i = 0; i < 2; i++) {
        char *link = test_path(hub, i ? "models--a--FastVLM/snapshots/c0ffee" : "models--a--FastVLM/snapshots/beef");
        assert_int_equal(symlink(apple, link), 0);
        free(link);
    }
}

/* What is swallowed here would be a verdict on the folder. */
static void cache(void **state)
{
    (void)state;
    char hub[256];
    make_cache(test_folder(hub));
    if (!TEST_OWNS_MALLOC) skip();
    for (int all_after = 0; all_after < 2; all_after++) {
        size_t k = 1;
        for (;; k++) {
            fvlm_source *src;
            memset(&err, 0, sizeof err);
            test_arm(k, all_after);
            const fvlm_status st = fvlm_source_open(&src, hub, &err);
            if (src) fvlm_source_close(&src);
            const char *fault = test_disarm(st, &err);
            if (fault) fail_msg("fault %zu: %s", k, fault);
            if (count < k) break; /* none failed */
        }
        print_message("# %zu failing allocations\n", k - 1);
        assert_true(k > 40);
    }
}

/* ---- damage ---- */

static fvlm_status plan(size_t dialect)
{
    fvlm_conversion *c;
    memset(&err, 0, sizeof err);
    const fvlm_convert_options o = {.vision = !strcmp(dialects[dialect], "apple-mlx") ? folders[2] : NULL};
    const fvlm_status st = fvlm_conversion_plan(&c, folders[dialect], &o, &err);
    if (st) assert_true(err.code == st && err.msg[0] && !strchr(err.msg, '\n'));
    assert_true(st ? c == NULL : c != NULL);
    fvlm_conversion_free(&c);
    return st;
}

/* Cuts a file at 'n' lengths, and changes a byte or two of it 'n' times; of weights, their header. Returns how many of
 * the cut files were accepted. */
static size_t damage_file(size_t dialect, const char *name, size_t n, size_t *changes_accepted)
{
    size_t n_bytes, accepted = 0;
    char *path = test_path(folders[dialect], name);
    uint8_t *bytes = test_read_file(path, &n_bytes), *copy = malloc(n_bytes);
    test_rng r = {20261127 + dialect};
    const size_t end = strstr(name, ".safetensors") ? 8 + (size_t)fvlm_load_u64(bytes) : n_bytes;
    for (size_t i = 0; i < n; i++) {
        assert_true(test_write_file(path, bytes, end * i / n));
        accepted += !plan(dialect);
        memcpy(copy, bytes, n_bytes);
        for (size_t k = 0; k < 1 + i % 2; k++) copy[test_below(&r, end)] ^= (uint8_t)(1u << test_below(&r, 7));
        assert_true(test_write_file(path, copy, n_bytes));
        *changes_accepted += !plan(dialect);
    }
    assert_true(test_write_file(path, bytes, n_bytes));
    free(copy);
    free(bytes);
    free(path);
    return accepted;
}

static void damage(void **state)
{
    (void)state;
    const size_t n = 120 / UNDER_SANITIZER(4);
    for (size_t d = 0; d < 8; d++) {
        const bool clip = !strcmp(dialects[d], "openclip");
        size_t changed = 0;
        must(plan(d), &err);
        const size_t cut = damage_file(d, clip ? "open_clip_model.safetensors" : "model.safetensors", n, &changed);
        if (cut) fail_msg("%s: %zu cut files of weights are accepted", dialects[d], cut);
        const size_t of_weights = changed;
        if (strcmp(dialects[d], "mobileclip") && strcmp(dialects[d], "apple-tower"))
            assert_true(damage_file(d, clip ? "open_clip_config.json" : "config.json", n, &changed) <= 1);
        print_message("# %s: of %zu changed headers %zu are accepted, of as many changed configs %zu\n", dialects[d], n,
                      of_weights, changed - of_weights);
        assert_true(of_weights < n / 4); /* in what is dropped, and of types as wide */
        must(plan(d), &err);
    }
}

static int setup(void **state)
{
    test_checkpoint c;
    *state = (void *)(uintptr_t)test_folder(apple);
    out = test_path(test_folder(out_folder), "out.fvlm");
    test_checkpoint_make(&c, true, FVLM_SOURCE_BF16);
    test_checkpoint_pack(&c, "model.layers.0.mlp.up_proj", 4);
    test_checkpoint_pack_columns(&c, "model.layers.1.self_attn.q_proj", false);
    test_config_replace(&c, "{",
                        "{\"quantization\": {\"bits\": 4, \"group_size\": 32}, \"quantization_config\": "
                        "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32}, ");
    test_checkpoint_write(&c, apple);
    test_checkpoint_free(&c);
    for (size_t i = 0; i < 8; i++) {
        static const char *const texts[] = {"vocab.json", "merges.txt", "added_tokens.json", "generation_config.json"};
        test_dialect_write(apple, test_folder(folders[i]), dialects[i]);
        for (size_t k = 0; i < 4 && k < 4; k++) copy(folders[i], texts[k]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(cache),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests_name("names/dialect_faults", tests, setup, teardown);
}
