/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - the architecture of a model. convert derives it from tensor names, shapes and config.json; the metadata
 * holds it as JSON (SPEC.md, section 5). A config that a reader returns has passed all checks.
 * tensors.h lists the tensors that it demands.
 *
 * A vision tower alone, with or without a projector, is a model, too: its config has no llm, eos and prompt. */
#ifndef FVLM_FORMAT_CONFIG_H
#define FVLM_FORMAT_CONFIG_H

#include "format/base/base.h"

#define FVLM_MAX_STAGES 8
#define FVLM_MAX_WIDTH 262144 /* channels, hidden sizes */
#define FVLM_MAX_DEPTH 1024   /* blocks of a stage, layers */
#define FVLM_MAX_HEADS 1024
#define FVLM_MAX_CONTEXT (1u << 20) /* positions */
#define FVLM_MAX_TOKENS (1u << 21)  /* ids, merges and rows of the embedding; Qwen2 has 151,646 ids */
#define FVLM_MAX_ADDED_TOKENS 65536
#define FVLM_MAX_ADDED_BYTES (1u << 20) /* of all their texts */
#define FVLM_MAX_PIECE_BYTES 1024       /* of one piece of a SentencePiece model */
#define FVLM_MAX_SIDE 4096              /* of a picture, in pixels: 64 x 64 image tokens */
#define FVLM_MAX_EOS 1024
#define FVLM_MAX_TILE_SIZES 256
#define FVLM_MIN_ROPE_THETA 100.0 /* Qwen2 has 1e6, models of long contexts up to 5e10 */
#define FVLM_MAX_ROPE_THETA 1e12
#define FVLM_MIN_ROPE_BAND 1e-3 /* factors of llama3's scaling */
#define FVLM_MIN_NORM_EPS 1e-12 /* usual are 1e-5 and 1e-6 */
#define FVLM_MAX_NORM_EPS 0.1

struct json_t; /* of <jansson.h> */

typedef enum { FVLM_REPMIXER = 1, FVLM_ATTENTION = 2 } fvlm_mixer;

/* How the rows of a picture's tiles follow each other (LLaVA's mm_patch_merge_type). The whole picture comes first. */
typedef enum {
    FVLM_MERGE_FLAT = 1, /* tile by tile */
    FVLM_MERGE_SPATIAL,  /* as one picture, row by row through all tiles */
    FVLM_MERGE_UNPAD     /* the same without the padding, and projector.newline after each row */
} fvlm_merge;

/* Language models. A family is data: which biases it has, how positions are scaled, whether a token begins a text. */
typedef enum { FVLM_QWEN2 = 0, FVLM_LLAMA = 1 } fvlm_family;

/* Which of q, k, v and o have a bias. */
typedef enum { FVLM_BIAS_QKV = 0, FVLM_BIAS_NONE = 1, FVLM_BIAS_QKVO = 2 } fvlm_llm_bias;

/* How the frequencies of the rotary embedding are scaled; transformers' names. */
typedef enum { FVLM_ROPE_PLAIN = 0, FVLM_ROPE_LINEAR = 1, FVLM_ROPE_LLAMA3 = 2 } fvlm_rope_scaling;

typedef struct {
    uint32_t dim;    /* channels */
    uint32_t depth;  /* blocks */
    uint32_t hidden; /* width of the FFN's hidden layer */
    uint32_t mixer;  /* fvlm_mixer */
    uint32_t heads;  /* attention only: dim / head_dim */
    bool pos;        /* RepCPE before the first block */
} fvlm_stage;

typedef struct {
    struct {
        uint32_t image_size; /* side in pixels that the checkpoint was trained for, e.g. 1024 */
        uint32_t stride;     /* input pixels per side of an output token: 64 */
        uint32_t n_stages;
        fvlm_stage stage[FVLM_MAX_STAGES];
        uint32_t head_dim; /* of the attention stages: 32 */
        uint32_t out_dim;  /* channels of the final convolution, 3072 */
        uint32_t se_dim;   /* squeeze-and-excitation's inner width, 192 */
        double norm_eps;   /* LayerNormChannel, 1e-5 */
    } vision;
    struct {
        uint32_t in, hidden, out; /* 3072, H, H; all 0: there is none */
    } projector;
    struct { /* all 0: there is none */
        uint32_t hidden, layers, heads, kv_heads, head_dim, intermediate;
        uint32_t vocab;   /* rows of llm.embed.weight, e.g. 151646 */
        uint32_t context; /* maximum number of positions (tokenizer_model_max_length, 8192) */
        double rope_theta, norm_eps;
        bool tied;       /* the head is the embedding */
        uint32_t family; /* fvlm_family; the rest is 0 for Qwen2 */
        uint32_t bias;   /* fvlm_llm_bias */
        uint32_t rope_scaling;
        double rope_factor;                        /* both scalings */
        double rope_low, rope_high, rope_original; /* llama3: low and high factor, original context */
        bool has_bos;
        uint32_t bos; /* id that begins each text */
    } llm;
    uint32_t eos[FVLM_MAX_EOS]; /* ids that end an answer */
    uint32_t n_eos;
    char prompt[1024];                         /* template with "<image>" and "{prompt}" */
    struct {                                   /* LLaVA's anyres */
        uint32_t n_sizes;                      /* 0: pictures are not divided into tiles */
        uint32_t size[FVLM_MAX_TILE_SIZES][2]; /* width and height that a picture may be given, in pixels: multiples of
                                                  vision.image_size, the side of a tile */
        uint32_t merge;                        /* fvlm_merge; 0 without tiles */
    } tiles;
} fvlm_config;

/* The metadata's "config" object; the caller owns it (json_decref). NULL if out of memory. */
struct json_t *fvlm_config_to_json(const fvlm_config *c);

/* Reads every field and checks that it is present, of its type, within its limits, and consistent with the others.
 * Messages name the field: "config.vision.stages[2].dim". */
fvlm_status fvlm_config_from_json(fvlm_config *out, const struct json_t *json, fvlm_err *err);

/* Both look at the fields above. A config with a language model has a projector. */
bool fvlm_config_has_projector(const fvlm_config *c);
bool fvlm_config_has_llm(const fvlm_config *c);

/* The width of an image token as it leaves the vision part: the projector's, or without one the tower's. */
uint32_t fvlm_config_image_width(const fvlm_config *c);

/* Radians for each position of channels i and i + head_dim / 2 of a head, in f32 as transformers computes it:
 * theta^(-2i/head_dim), and the same scaled as llm.rope_scaling says, which is what the model computes with. */
float fvlm_config_rope_base(const fvlm_config *c, size_t i);
float fvlm_config_rope_frequency(const fvlm_config *c, size_t i);

const char *fvlm_family_name(uint32_t family); /* "qwen2", "llama" */

/* "flat", "spatial" or "spatial_unpad"; and back, 0 for any other text. */
const char *fvlm_merge_name(uint32_t merge);
uint32_t fvlm_merge_named(const char *text);

/* Whether the token ends an answer. */
bool fvlm_config_is_eos(const fvlm_config *c, uint32_t id);

#endif
