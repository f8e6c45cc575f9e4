/* SPDX-License-Identifier: Apache-2.0 */
/* export_folder.h - private to convert/export: the small files beside the weights of a folder that transformers loads:
 * config.json, generation_config.json, preprocessor_config.json and the tokenizer's. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_FOLDER_H
#define FVLM_CONVERT_EXPORT_EXPORT_FOLDER_H

#include "convert/export/export_names.h"
#include "convert/export/export_tokens.h"
#include "convert/export/target.h"

/* Writes all of them. image_token: the tokenizer has none of this text, so <image> is added with that id; its embedding
 * is one row more than the model's. */
fvlm_status fvlm_export_write_side_files(fvlm_export *x, fvlm_export_naming naming, bool image_token, uint32_t image_id,
                                         fvlm_err *err);

/* export_tokenizer_files.c: tokenizer_config.json with vocab.json, merges.txt, added_tokens.json and tokenizer.json, or
 * with tokenizer.model. t holds the token <image> if there is to be one. */
fvlm_status fvlm_export_write_tokenizer(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err);

/* Refuses a language model that config.json cannot describe, and a tokenizer that no file can. */
fvlm_status fvlm_export_check_folder(const fvlm_export *x, fvlm_err *err);

/* export_pieces.c: tokenizer.model. */
fvlm_status fvlm_export_write_pieces(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err);

/* export_chat.c: the conversation around the prompt, in Jinja, malloc'd; NULL: the prompt has none of the known styles.
 */
fvlm_status fvlm_export_chat_template(char **out, const fvlm_config *c, fvlm_err *err);
/* Notes if there is none, and what convert needs to know then. */
fvlm_status fvlm_export_note_chat(fvlm_export *x, fvlm_err *err);

/* export_config.c: config.json in Apple's keys or in transformers' of fast_vlm; NULL if out of memory. */
json_t *fvlm_export_config_apple(const fvlm_export *x, const fvlm_tokens *t);
json_t *fvlm_export_config_transformers(const fvlm_export *x, const fvlm_tokens *t, uint32_t image_id, bool image_row);

#endif
