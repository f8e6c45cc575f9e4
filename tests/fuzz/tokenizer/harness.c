/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as the tokenizer section of a .fvlm file, and any text through the tokenizer that comes of it:
 * every id has bytes or none, and the ids of a text are below the size.
 *
 * Input: JSON, a zero byte, text. */
#include "reference/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    const size_t n_json = end ? (size_t)(end - data) : size, n_text = end ? size - n_json - 1 : 0;
    fvlm_err err = {0};
    fvlm_tokenizer *t;
    char *json = malloc(n_json + 1); /* exact, so that a read past the end is seen */
    memcpy(json, data, n_json);
    fvlm_status st = fvlm_tokenizer_create(&t, json, n_json, NULL, &err);
    must_explain(st, &err);
    free(json);
    if (st) return 0;
    uint32_t *ids = NULL;
    size_t n = 0, n_bytes;
    st = fvlm_tokenizer_encode(t, (const char *)data + size - n_text, n_text, &ids, &n, &err);
    must_explain(st, &err);
    for (size_t i = 0; !st && i < n; i++) MUST(fvlm_tokenizer_bytes(t, ids[i], &n_bytes));
    if (!st) free(ids);
    fvlm_tokenizer_destroy(&t);
    return 0;
}
