/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as tokenizer.model: refused with a message, or the executor reads the section that convert
 * makes of them; every id of any text is one of its pieces and has bytes.
 *
 * Input: a byte n, a text of n bytes, the model. */
#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

static void check(const char *json, size_t n_json, const char *text, size_t n_text, size_t n_pieces)
{
    fvlm_err err = {0};
    fvlm_tokenizer *t;
    uint32_t *ids;
    size_t n, n_bytes;
    MUST(!fvlm_tokenizer_create(&t, json, n_json, NULL, &err));
    MUST(fvlm_tokenizer_size(t) == n_pieces);
    const fvlm_status st = fvlm_tokenizer_encode(t, text, n_text, &ids, &n, &err);
    must_explain(st, &err);
    fvlm_decoding d = {0};
    for (size_t i = 0; !st && i < n; i++) {
        MUST(ids[i] < n_pieces && fvlm_tokenizer_bytes(t, ids[i], &n_bytes));
        fvlm_tokenizer_decode(t, &d, ids[i], &n_bytes);
    }
    if (!st) free(ids);
    fvlm_tokenizer_destroy(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n_text = size ? (*data < size - 1 ? *data : size - 1) : 0;
    fvlm_err err = {0};
    fvlm_vocabulary v = {0};
    char *json = NULL;
    size_t n_json;
    if (!size) return 0;
    const uint8_t *model = data + 1 + n_text;
    fvlm_status st = fvlm_piece_model_read(&v.pieces, model, (size_t)(data + size - model), NULL, &err);
    for (size_t i = 0; !st && i < fvlm_piece_model_n(v.pieces); i++) { /* as piece_files.c does */
        MUST(fvlm_grow(&v.tokens, &v.tokens_capacity, i + 1, sizeof *v.tokens));
        v.tokens[v.n_tokens++] = fvlm_piece_model_text(v.pieces, i);
    }
    if (!st) st = fvlm_vocabulary_check(&v, "", &err);
    if (!st) st = fvlm_vocabulary_json(&json, &n_json, &v, &err);
    must_explain(st, &err);
    if (!st) check(json, n_json, (const char *)data + 1, n_text, v.n_tokens);
    free(json);
    fvlm_vocabulary_free(&v);
    return 0;
}
