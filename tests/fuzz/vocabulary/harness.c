/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as the tokenizer files of a checkpoint: refused with a message, or the executor reads what
 * convert makes of them, and every id of any text is below the number that convert reports.
 *
 * Input: a letter ('t' uses tokenizer.json, 'v' vocab.json, anything else neither), then the files of 'names' in their
 * order and a text, with a zero byte between them; an empty file is absent. */
#include "convert/vocabulary/vocabulary.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

static const char *const names[] = {
    "vocab.json",    "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json",
    "tokenizer.json"};

static void check(const char *json, size_t n_json, uint32_t n_ids, const char *text, size_t n_text)
{
    fvlm_err err = {0};
    fvlm_tokenizer *t;
    uint32_t *ids;
    size_t n, n_bytes;
    MUST(!fvlm_tokenizer_create(&t, json, n_json, NULL, &err));
    MUST(fvlm_tokenizer_size(t) == n_ids);
    const fvlm_status st = fvlm_tokenizer_encode(t, text, n_text, &ids, &n, &err);
    must_explain(st, &err);
    for (size_t i = 0; !st && i < n; i++) MUST(ids[i] < n_ids && fvlm_tokenizer_bytes(t, ids[i], &n_bytes));
    if (!st) free(ids);
    fvlm_tokenizer_destroy(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    const uint8_t *end = data + size;
    const char *use = *data == 't' || *data == 'T'   ? "tokenizer.json"
                      : *data == 'v' || *data == 'V' ? "vocab.json"
                                                     : NULL;
    const bool llama = *data >= 'A' && *data <= 'Z';
    const fvlm_vocabulary_options o = {.use = use, .may_add_bos = llama, .needed = llama ? "" : NULL};
    data++;
    data = fuzz_split(data, end, names, sizeof names / sizeof *names);
    fuzz_write_weights();
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_vocabulary_text text;
    MUST(!fvlm_source_open(&src, fuzz_folder(), &err));
    const fvlm_status st = fvlm_vocabulary_read(&text, src, &o, &err);
    must_explain(st, &err);
    if (!st) check(text.json, text.n_bytes, text.n_ids, (const char *)data, (size_t)(end - data));
    free(text.json);
    fvlm_source_close(&src);
    return 0;
}
