/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as the small files of a checkpoint folder: refused with a message, or the tokenizer made of
 * them is one that the executor reads.
 *
 * Input: the files of 'names' in their order, with a zero byte between them; an empty one is absent. */
#include "convert/checkpoint.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

static const char *const names[] = {"config.json",       "generation_config.json", "vocab.json",           "merges.txt",
                                    "added_tokens.json", "tokenizer.json",         "tokenizer_config.json"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_split(data, data + size, names, sizeof names / sizeof *names);
    fuzz_write_weights();
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_checkpoint c;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err); /* refused if config.json is of another kind */
    must_explain(st, &err);
    if (st) return 0;
    st = fvlm_checkpoint_read(&c, src, &(fvlm_vocabulary_options){0}, NULL, &err);
    must_explain(st, &err);
    if (!st) {
        fvlm_tokenizer *t;
        st = fvlm_tokenizer_create(&t, c.tokenizer, c.tokenizer_bytes, NULL, &err);
        must_explain(st, &err);
        fvlm_tokenizer_destroy(&t);
        fvlm_checkpoint_free(&c);
    }
    fvlm_source_close(&src);
    return 0;
}
