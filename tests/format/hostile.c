/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a crafted file with correct checksums is refused or read consistently, never more: no
 * crash, no wrap, no reading outside (run under ASan and UBSan by `make asan`). Every integer field
 * of header and index x boundary values, pairs of fields, random edits, all with repaired hashes. */
#include "tests/support/check.h"
#include "tests/support/repair.h"
#include "tests/support/support.h"

static uint8_t *whole;
static size_t n_whole;
static size_t index_at, index_bytes;

typedef struct {
    size_t at;
    unsigned n_bytes;
} field;

static field fields[512];
static size_t n_fields;

static void add_field(size_t at, unsigned n_bytes)
{
    fields[n_fields++] = (field){at, n_bytes};
}

/* Every integer of the header, of the index head, and of the first, two middle and last entries. */
static void list_fields(void)
{
    static const unsigned entry[][2] = {{0, 4},  {4, 2},  {6, 2},  {8, 1},  {9, 1},  {10, 1}, {11, 1}, {12, 1},
                                        {13, 1}, {14, 2}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 8}};
    for (size_t at = 8; at < 16; at += 4) add_field(at, 4);
    for (size_t at = 16; at < 48; at += 8) add_field(at, 8);
    for (size_t s = 0; s < 4; s++) {
        size_t at = 48 + 64 * s;
        add_field(at, 4);
        add_field(at + 4, 4);
        for (size_t k = 8; k < 32; k += 8) add_field(at + k, 8);
        add_field(at + 48, 8);
    }
    add_field(index_at, 8);
    add_field(index_at + 8, 8);
    size_t n = test_sample_n();
    const size_t entries[] = {0, 4, n - 1, 13, 20};
    for (size_t e = 0; e < sizeof entries / sizeof entries[0]; e++)
        for (size_t f = 0; f < sizeof entry / sizeof entry[0]; f++)
            add_field(index_at + 16 + 80 * entries[e] + entry[f][0], entry[f][1]);
}

static uint64_t load(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void store(uint8_t *p, unsigned n, uint64_t v)
{
    for (unsigned i = 0; i < n; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* Values at which arithmetic goes wrong; v is the field's own, left what remains of the file. */
static size_t boundary_values(uint64_t v, uint64_t left, uint64_t out[40])
{
    const uint64_t all[] = {0,
                            1,
                            2,
                            3,
                            4,
                            5,
                            v - 1,
                            v + 1,
                            v * 2,
                            v ^ 1,
                            127,
                            128,
                            255,
                            256,
                            65535,
                            65536,
                            1u << 20,
                            INT32_MAX,
                            1u << 31,
                            ~0u,
                            1ull << 32,
                            1ull << 33,
                            INT64_MAX,
                            1ull << 63,
                            ~0ull,
                            ~0ull - 1,
                            ~0ull - 15,
                            ~0ull - 63,
                            ~0ull - 16383,
                            left - 1,
                            left,
                            left + 1};
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static test_image fresh(void)
{
    test_image x = {malloc(n_whole), n_whole};
    memcpy(x.bytes, whole, n_whole);
    return x;
}

static bool same_as_whole(const test_image *x)
{
    return x->n_bytes == n_whole && memcmp(x->bytes, whole, n_whole) == 0;
}

/* Fields that may change with the file still accepted: bits that readers may ignore, and an entry's
 * group, kind, layout and dimensions where the other value describes as many bytes (f16 for bf16). The
 * tensor is then another one; test_try holds it against its own size. */
static bool may_differ(const field *f)
{
    size_t in_entry = f->at < index_at + 16 ? 0 : (f->at - index_at - 16) % 80;
    return f->at == 24 || in_entry == 6 || in_entry == 8 || in_entry == 11 || (in_entry >= 16 && in_entry < 48);
}

static void every_field_every_boundary(void **state)
{
    (void)state;
    size_t n = 0, accepted = 0;
    fvlm_err err;
    for (size_t i = 0; i < n_fields; i++) {
        uint64_t values[40], v = load(whole + fields[i].at, fields[i].n_bytes);
        size_t n_values = boundary_values(v, n_whole - v, values);
        for (size_t k = 0; k < n_values; k++, n++) {
            test_image x = fresh();
            store(x.bytes + fields[i].at, fields[i].n_bytes, values[k]);
            bool unchanged = same_as_whole(&x);
            test_repair(&x);
            fvlm_status st = test_try(&x, &err);
            if (st == FVLM_OK && !unchanged && !may_differ(&fields[i]))
                fail_msg("byte %zu = %llx was accepted", fields[i].at, (unsigned long long)values[k]);
            accepted += st == FVLM_OK;
            free(x.bytes);
        }
    }
    print_message("# %zu fields, %zu files, %zu accepted (same, or another valid tensor)\n", n_fields, n, accepted);
    assert_true(accepted >= 200 && n - accepted >= 3000);
}

static void pairs_of_fields(void **state)
{
    (void)state;
    static const uint64_t extremes[] = {0, ~0ull, 1ull << 63};
    size_t n = 0, accepted = 0;
    fvlm_err err;
    for (size_t i = 0; i < n_fields; i++)
        for (size_t k = i + 1; k < n_fields; k++) {
            test_image x = fresh();
            store(x.bytes + fields[i].at, fields[i].n_bytes, extremes[(i + k) % 3]);
            store(x.bytes + fields[k].at, fields[k].n_bytes, extremes[(i * 7 + k) % 3]);
            test_repair(&x);
            accepted += test_try(&x, &err) == FVLM_OK;
            free(x.bytes);
            n++;
        }
    print_message("# %zu pairs, %zu accepted\n", n, accepted);
    assert_true(accepted >= 200 && n - accepted >= 5500);
}

/* Edits that keep most of the structure: copied entries, swapped fields, random bytes. */
static void random_edits(void **state)
{
    (void)state;
    test_rng rng = {77};
    fvlm_err err;
    size_t accepted = 0, n = 20000;
    for (size_t i = 0; i < n; i++) {
        test_image x = fresh();
        for (uint64_t edits = 1 + test_below(&rng, 4); edits > 0; edits--) {
            size_t at = index_at + (size_t)test_below(&rng, index_bytes);
            size_t from = index_at + (size_t)test_below(&rng, index_bytes);
            size_t room = index_bytes - ((at > from ? at : from) - index_at), len = 1 + (size_t)test_below(&rng, 80);
            if (test_below(&rng, 4) == 0) at = (size_t)test_below(&rng, 48 + 4 * 64), from = at ^ 8, room = 8;
            if (test_below(&rng, 2))
                memmove(x.bytes + at, x.bytes + from, len < room ? len : room);
            else
                x.bytes[at] = (uint8_t)test_u64(&rng);
        }
        test_repair(&x);
        accepted += test_try(&x, &err) == FVLM_OK && !same_as_whole(&x);
        free(x.bytes);
    }
    print_message("# %zu random edits, %zu still well formed\n", n, accepted);
    assert_true(accepted >= 60 && n - accepted >= 19000);
}

int main(void)
{
    char folder[256];
    fvlm_err err = {0};
    char *path = test_path(test_folder(folder), "whole.fvlm");
    if (test_sample(path, false, false, NULL, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    whole = test_read_file(path, &n_whole);
    index_at = (size_t)fvlm_load_u64(whole + 48 + 8);
    index_bytes = (size_t)fvlm_load_u64(whole + 48 + 16);
    list_fields();
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_field_every_boundary), cmocka_unit_test(pairs_of_fields),
                                       cmocka_unit_test(random_edits)};
    int failed = cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
    free(whole);
    free(path);
    return failed;
}
