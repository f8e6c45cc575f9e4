/* SPDX-License-Identifier: Apache-2.0 */
/* repair.c - see repair.h. */
#include "tests/support/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/info/info.h"

#define ENTRY(i) (48 + 64 * (size_t)(i))

void test_repair(test_image *x)
{
    for (size_t i = 0; i < FVLM_N_SECTIONS; i++) {
        uint8_t *e = x->bytes + ENTRY(i);
        uint64_t offset = fvlm_load_u64(e + 8), n = fvlm_load_u64(e + 16);
        if (i == FVLM_SECTION_DATA - 1 || offset > x->n_bytes || n > x->n_bytes - offset) continue;
        fvlm_hash h = fvlm_hash_of(x->bytes + offset, (size_t)n);
        memcpy(e + 32, h.bytes, 16);
    }
    fvlm_hash h = fvlm_hash_of(x->bytes, FVLM_HEADER_BYTES - 16);
    memcpy(x->bytes + FVLM_HEADER_BYTES - 16, h.bytes, 16);
}

void test_replace_section(test_image *x, uint32_t kind, const void *stored, size_t n_bytes, uint64_t raw_bytes)
{
    uint8_t *tokenizer = NULL;
    size_t tokenizer_bytes = 0, at = (size_t)fvlm_load_u64(x->bytes + ENTRY(kind - 1) + 8);
    if (kind == FVLM_SECTION_META) {
        const uint8_t *e = x->bytes + ENTRY(3);
        tokenizer_bytes = (size_t)fvlm_load_u64(e + 16);
        tokenizer = malloc(tokenizer_bytes + 1);
        memcpy(tokenizer, x->bytes + fvlm_load_u64(e + 8), tokenizer_bytes);
    }
    size_t next = (at + n_bytes + FVLM_SECTION_ALIGN - 1) / FVLM_SECTION_ALIGN * FVLM_SECTION_ALIGN;
    size_t total = kind == FVLM_SECTION_META ? next + tokenizer_bytes : at + n_bytes;
    uint8_t *bytes = calloc(total, 1);
    memcpy(bytes, x->bytes, at);
    memcpy(bytes + at, stored, n_bytes);
    fvlm_store_u64(bytes + ENTRY(kind - 1) + 16, n_bytes);
    fvlm_store_u64(bytes + ENTRY(kind - 1) + 24, raw_bytes);
    if (tokenizer) {
        memcpy(bytes + next, tokenizer, tokenizer_bytes);
        fvlm_store_u64(bytes + ENTRY(3) + 8, next);
        free(tokenizer);
    }
    fvlm_store_u64(bytes + 32, total);
    free(x->bytes);
    x->bytes = bytes;
    x->n_bytes = total;
    test_repair(x);
}

static void must(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "an accepted file is inconsistent: %s\n", what);
    abort();
}

/* Everything a caller may ask, and that no answer leads outside the file. */
static void touch(fvlm_reader *r, size_t file_bytes)
{
    volatile uint8_t byte = 0; /* so that every read happens */
    fvlm_err err;
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(r, i);
        uint64_t expected;
        must(t->offset <= file_bytes && t->n_bytes <= file_bytes - t->offset, "a tensor lies outside the file");
        must(!fvlm_type_tensor_bytes(&expected, t->type, (fvlm_layout)t->layout, t->rank, t->dims, &err) &&
                 expected == t->n_bytes,
             "a tensor's size");
        must(fvlm_reader_find(r, t->name) == t, "a name that is not found");
        must(i == 0 || strcmp(fvlm_reader_tensor(r, i - 1)->name, t->name) < 0, "names out of order");
        const uint8_t *p = fvlm_reader_bytes(r, t);
        for (uint64_t b = 0; b < t->n_bytes; b++) byte ^= p[b];
    }
    (void)byte;
    fvlm_info x;
    if (fvlm_info_gather(&x, r, &err) == FVLM_OK) {
        json_t *j = fvlm_info_json(&x, r, true);
        json_decref(j);
        FILE *nowhere = fopen("/dev/null", "w");
        if (!nowhere) abort();
        fvlm_info_print(nowhere, &x, r);
        fvlm_info_print_tensors(nowhere, r);
        fclose(nowhere);
    }
    must(fvlm_reader_config(r)->vision.n_stages >= 1, "a config without stages");
}

fvlm_status test_try(const test_image *x, fvlm_err *err)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC);
    if (fd < 0 || pwrite(fd, x->bytes, x->n_bytes, 0) != (ssize_t)x->n_bytes) abort();
    fvlm_reader *r;
    fvlm_status st = fvlm_reader_open_fd(&r, fd, x->n_bytes, "hostile.fvlm", err);
    if (!st) {
        touch(r, x->n_bytes);
        st = fvlm_reader_check(r, NULL, err);
    }
    fvlm_reader_close(&r);
    return st;
}
