/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.c - ids of texts, for the oracle tests.
 *   tokens TOKENIZER.json < TEXTS     each text is a little-endian u32 length and its bytes
 * Prints a line for each: the ids, a tab, the bytes they spell in hex (of a SentencePiece model: the text they decode
 * to); last, the CPU time of loading. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "reference/tokenizer/tokenizer.h"
#include "tests/support/pieces.h"

static char *read_all(FILE *f, size_t *n)
{
    size_t room = 1 << 20;
    char *s = malloc(room);
    for (*n = 0; s; *n += fread(s + *n, 1, room - *n, f)) {
        if (feof(f) || ferror(f)) return s;
        if (*n == room) s = realloc(s, room *= 2);
    }
    return s;
}

static void print_hex(void *ctx, const char *s, size_t n)
{
    (void)ctx;
    for (size_t k = 0; k < n; k++) printf("%02x", (unsigned)(unsigned char)s[k]);
}

static int print_ids(const fvlm_tokenizer *t, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) printf(i ? " %u" : "%u", ids[i]);
    putchar('\t');
    const bool pieces = fvlm_tokenizer_replaces_each_byte(t);
    if (pieces) test_tokens_decode(t, ids, n, print_hex, NULL);
    for (size_t i = 0; !pieces && i < n; i++) {
        size_t n_bytes;
        const char *s = fvlm_tokenizer_bytes(t, ids[i], &n_bytes);
        print_hex(NULL, s, n_bytes);
    }
    return putchar('\n') == '\n' ? 0 : 3;
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_tokenizer *t = NULL;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    size_t n_json, n_texts;
    if (!f) return 2;
    char *json = read_all(f, &n_json), *texts = read_all(stdin, &n_texts);
    fclose(f);
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    int rc = json && texts ? fvlm_exit_code(fvlm_tokenizer_create(&t, json, n_json, NULL, &err)) : 3;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    fvlm_cursor c = fvlm_cursor_over(texts, n_texts);
    while (!rc && c.ok && c.pos < c.n_bytes) {
        const uint32_t n_bytes = fvlm_cursor_take_u32(&c);
        const char *s = (const char *)fvlm_cursor_take(&c, n_bytes);
        uint32_t *ids;
        size_t n;
        if (!s) break;
        rc = fvlm_exit_code(fvlm_tokenizer_encode(t, s, n_bytes, &ids, &n, &err));
        if (!rc) rc = print_ids(t, ids, n);
        free(ids);
    }
    if (rc) fprintf(stderr, "%s\n", err.msg);
    fprintf(stderr, "loaded in %.1f ms of CPU time\n",
            (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
    fvlm_tokenizer_destroy(&t);
    free(json);
    free(texts);
    return rc;
}
