/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.c - what convert makes of a folder's tokenizer files, without a model, for tests/cases and the oracle
 * tests.
 *   vocabulary FOLDER [tokenizer.json|vocab.json|tokenizer.model|"" [llama]]
 * Prints the tokenizer section, or the refusal; and warnings. llama: as for a model of that family whose prompt needs
 * no tokens. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary.h"

/* A folder opens if it has weights: one number is enough. Those that are there stay. */
static bool write_weights(const char *folder)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    const char length[8] = {sizeof header - 1}, zeros[4] = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *f = fopen(path, "wbx");
    if (!f && errno == EEXIST) return true;
    const bool ok = f && fwrite(length, 8, 1, f) == 1 && fwrite(header, sizeof header - 1, 1, f) == 1 &&
                    fwrite(zeros, 4, 1, f) == 1;
    return f && fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_source *src = NULL;
    fvlm_vocabulary_text text = {0};
    if (argc < 2 || argc > 4 || !write_weights(argv[1])) return 2;
    const bool llama = argc > 3 && !strcmp(argv[3], "llama");
    const char *use = argc > 2 && argv[2][0] ? argv[2] : NULL;
    const fvlm_vocabulary_options o = {.use = use, .may_add_bos = llama, .needed = llama ? "" : NULL};
    fvlm_status st = fvlm_source_open(&src, argv[1], &err);
    if (!st) st = fvlm_vocabulary_read(&text, src, &o, &err);
    if (st)
        fprintf(stderr, "%s\n", err.msg);
    else
        fwrite(text.json, 1, text.n_bytes, stdout);
    for (size_t i = 0; src && i < fvlm_source_n_warnings(src); i++)
        fprintf(stderr, "warning: %s\n", fvlm_source_warning_at(src, i));
    free(text.json);
    fvlm_source_close(&src);
    return fvlm_exit_code(st);
}
