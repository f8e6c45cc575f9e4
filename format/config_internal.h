/* SPDX-License-Identifier: Apache-2.0 */
/* config_internal.h - private to format/: the second half of reading a config. */
#ifndef FVLM_FORMAT_CONFIG_INTERNAL_H
#define FVLM_FORMAT_CONFIG_INTERNAL_H

#include "format/config.h"

/* Checks which sizes divide others and which are equal. Every field is within its own limits. */
fvlm_status fvlm_config_check_sizes(const fvlm_config *c, fvlm_err *err);

/* config_family.c: what other families than Qwen2 add to the object "llm". */
void fvlm_config_family_to_json(struct json_t **llm, const fvlm_config *c);
fvlm_status fvlm_config_family_from_json(fvlm_config *out, const struct json_t *llm, fvlm_err *err);

/* config_tiles.c: the object "tiles". Reading needs vision.image_size. */
struct json_t *fvlm_config_tiles_to_json(const fvlm_config *c);
fvlm_status fvlm_config_tiles_from_json(fvlm_config *out, const struct json_t *tiles, fvlm_err *err);

#endif
