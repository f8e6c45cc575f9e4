/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_internal.h - readers of config.json that checkpoint.c calls in turn. private to convert/. */
#ifndef FVLM_CONVERT_CHECKPOINT_INTERNAL_H
#define FVLM_CONVERT_CHECKPOINT_INTERNAL_H

#include "convert/source/source.h"
#include "format/base/json_fields.h"
#include "format/config.h"

/* Fails with: r->name: text, unless r has failed before. */
void fvlm_config_refuse(fvlm_json_fields *r, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* A value for messages: 4, "yarn", an object. */
const char *fvlm_config_value(const json_t *v, char out[64]);

/* Whether v is absent, null, false, 0, "", [] or {}: what a key is set to that does nothing. */
bool fvlm_config_is_off(const json_t *v);
bool fvlm_config_is_number(const json_t *v, double value);

/* Some tools repeat the language model's keys in an object of their own, the i-th of these. It must agree with what is
 * outside. False if there is none. */
#define FVLM_CONFIG_NESTS 3
typedef struct {
    const json_t *object;
    char name[64]; /* for messages */
} fvlm_config_nest;
bool fvlm_config_get_nest(fvlm_config_nest *out, const fvlm_json_fields *r, size_t i);

/* Brings the config of transformers' or mlx-vlm's port into the keys of Apple's LLaVA. *config may be replaced. */
fvlm_status fvlm_config_port(json_t **config, fvlm_source *src, fvlm_err *err);

/* What goes with a family of language models. */
typedef struct {
    fvlm_family family;
    const char *model_types[4], *architectures[4]; /* NULL behind the last; no architectures: any */
    const char *conversation, *why;                /* conversations.h: the template if the checkpoint states none */
    bool states_bias, states_conversation, scales_rope, may_add_bos;
    bool free_head_dim;   /* head_dim need not be hidden_size / num_attention_heads */
    double default_theta; /* of a config.json without rope_theta; 0: it is required */
} fvlm_family_traits;

/* checkpoint_family.c. Never NULL; has refused if r->st is set. */
const fvlm_family_traits *fvlm_config_read_family(fvlm_json_fields *r);
void fvlm_config_read_bias(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_config *c);

/* Keys that change the arithmetic: each has the value that the executor implements, or is
 * refused by name. Keys about training are ignored. */
void fvlm_config_check_keys(fvlm_json_fields *r);

/* The base of the rotary embeddings, in each of its spellings, and how they are scaled. Refuses what the family does
 * not scale by. */
void fvlm_config_read_rope(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_config *c);

/* How pictures become squares: padded, or in tiles ("anyres"), of which it fills in c->tiles. c->vision.image_size is
 * known. checkpoint_tiles.c. */
void fvlm_config_read_tiles(fvlm_json_fields *r, fvlm_config *c);

/* preprocessor_config.json and processor_config.json, if they are there: pictures are prepared as the executor does it,
 * for this side. */
fvlm_status fvlm_preprocessor_check(fvlm_source *src, uint32_t side, fvlm_err *err);

#endif
