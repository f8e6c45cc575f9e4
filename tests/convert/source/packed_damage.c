/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: damage to packed weights or their config.json, and allocations that fail, never crash: refused with a
 * message, or all is read. */
#include "convert/source/views.h"
#include "tests/support/check.h"
#include "tests/support/own_malloc.h"
#include "tests/support/packed_folder.h"

static fvlm_err err;
static bool armed;
static size_t allocations, failing;

bool test_allocation_fails(void)
{
    return armed && ++allocations == failing;
}

/* Opens the folder and reads all that it has: refused with a message, or read to the end. */
static bool reads_all(void)
{
    fvlm_source *src;
    err = (fvlm_err){0};
    fvlm_status st = fvlm_source_open(&src, packed_folder.path, &err);
    for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(src, i);
        assert_true(t->n_bytes <= 1 << 22); /* of files this small */
        uint8_t *all = malloc((size_t)t->n_bytes + 1);
        if (all) st = fvlm_source_read(src, t, 0, (size_t)t->n_bytes, all, &err);
        free(all);
        if (!st && t->codes.kind) {
            const size_t rows = (size_t)t->dims[0], columns = (size_t)t->dims[1];
            uint8_t *codes = malloc(rows * columns);
            float *scales = malloc(rows * columns * 4);
            double *offsets = malloc(rows * columns * 8);
            if (codes && scales && offsets)
                st = fvlm_source_read_codes(src, t, 0, rows, (fvlm_source_codes){codes, scales, offsets}, &err);
            for (size_t k = 0; codes && !st && k < rows * columns; k++) assert_true(codes[k] >> t->codes.bits == 0);
            free(codes);
            free(scales);
            free(offsets);
        }
    }
    const bool opened = src != NULL;
    if (opened) fvlm_source_close(&src);
    if (st) assert_true(err.code == st && err.msg[0]);
    return !st;
}

static void make_form(size_t i)
{
    if (i == 0) packed_make_mlx(8, 64, 32, 3, "BF16");
    if (i == 1) packed_make_columns(32, 64, 32, 3, "F16", (packed_columns){.mixed = true});
    if (i == 2) packed_make_columns(32, 64, 32, 4, "F16", (packed_columns){.awq = true});
}

static void damage(void **state)
{
    (void)state;
    for (size_t form = 0; form < 3; form++) {
        size_t n, accepted = 0, cuts = 0;
        make_form(form);
        packed_write();
        assert_true(reads_all());
        uint8_t *bytes = packed_file(&n);
        for (size_t cut = 0; cut < n; cut += cut < 500 ? 1 : 29, cuts++) {
            packed_write_as("model.safetensors", bytes, cut);
            if (reads_all()) fail_msg("cut to %zu of %zu bytes: accepted", cut, n);
        }
        for (size_t i = 0; i < 800; i++) {
            uint8_t *copy = malloc(n);
            memcpy(copy, bytes, n);
            const size_t end = i % 3 ? 8 + (size_t)fvlm_load_u64(bytes) : n; /* the header, mostly */
            for (size_t k = 0; k < 1 + i % 2; k++)
                copy[8 + test_below(&packed_folder.rng, end - 8)] ^= (uint8_t)(1u << test_below(&packed_folder.rng, 8));
            packed_write_as("model.safetensors", copy, n);
            accepted += reads_all();
            free(copy);
        }
        packed_write_as("model.safetensors", bytes, n);
        for (size_t i = 0; i < 300; i++) {
            char config[512];
            memcpy(config, packed_folder.config, sizeof config);
            config[test_below(&packed_folder.rng, strlen(config))] ^= (char)(1 << test_below(&packed_folder.rng, 7));
            packed_write_as("config.json", config, strlen(config));
            accepted += reads_all();
        }
        free(bytes);
        print_message("# %zu truncations refused; %zu of 1100 changes accepted\n", cuts, accepted);
        assert_true(accepted > 40 && accepted < 800); /* of data, of names */
    }
}

static void failing_allocations(void **state)
{
    (void)state;
    for (size_t form = 0; TEST_OWNS_MALLOC && form < 3; form++) {
        make_form(form);
        packed_write();
        for (failing = 1;; failing++) {
            allocations = 0;
            armed = true;
            fvlm_source *src;
            err = (fvlm_err){0};
            fvlm_status st = fvlm_source_open(&src, packed_folder.path, &err);
            float x[64];
            for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++)
                st = fvlm_source_read(src, fvlm_source_tensor_at(src, i), 0, 4, x, &err);
            armed = false;
            if (src) fvlm_source_close(&src);
            if (st) assert_true(err.code == st && err.msg[0]);
            if (allocations < failing) break; /* none failed */
            /* what cannot be told for lack of memory is left out: warnings */
        }
        print_message("# %zu allocations\n", failing - 1);
        assert_true(failing > 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage),
        cmocka_unit_test(failing_allocations),
    };
    test_folder(packed_folder.path);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    packed_clear();
    return failed;
}
