/* SPDX-License-Identifier: Apache-2.0 */
/* reference.h - the executor: opens a .fvlm model and answers questions about images.
 *
 *   fvlm_model *m;  fvlm_err err;
 *   fvlm_model_options options = {.act_by_file = true, .check = true};
 *   fvlm_question q = {.image = "photo.jpg", .text = "What is this?",
 *                      .sampling = {.max_new_tokens = 256, .top_p = 1}, .emit = print};
 *   fvlm_answer a;
 *   if (fvlm_model_open(&m, "model.fvlm", &options, &err)) return complain(&err);
 *   if (fvlm_model_answer(m, &q, &a, &err)) complain(&err);
 *   fvlm_answer_free(&a);
 *   fvlm_model_close(&m);
 *
 * or pass by pass: fvlm_pixels_load, fvlm_model_tower, fvlm_model_project, then fvlm_model_embed and
 * fvlm_model_forward. A model may be used by one thread at a time; it runs threads of its own.
 * Every group of functions below names the file that implements it. */
#ifndef FVLM_REFERENCE_REFERENCE_H
#define FVLM_REFERENCE_REFERENCE_H

#include "format/reader.h"
#include "format/base/stop.h"
#include "reference/image/tiles.h"
#include "reference/ops/ops.h"
#include "reference/tokenizer/tokenizer.h"

/* ---- opening: model.c ---- */

/* Receives every block's output x [rows, cols], only lent. name is one of "vision.stem", "vision.stage1.downsample",
 * "vision.stage3.pos", "vision.stage2.block7", "vision.final", "projector", "llm.embed", "llm.layer3", "llm.norm",
 * "logits", with other numbers. Called by the thread that runs the pass. */
typedef void (*fvlm_observer)(void *ctx, const char *name, const float *x, size_t rows, size_t cols);

typedef struct {
    unsigned threads; /* 0 = all */
    const char *cpu;  /* as fvlm_cpu_select (format/base/cpu.h) takes it; NULL: the best */
    fvlm_act_mode act;
    bool act_by_file;      /* ignore act: int8 for a file with integer weights, else f32 */
    bool check;            /* compare every tensor with its checksum when opening: about 0.1 s per gigabyte */
    const fvlm_stop *stop; /* polled after every block and while the tokenizer works; NULL: never stop */
    fvlm_observer observer;
    void *observer_ctx;
    bool observe_chunks; /* the observer may receive texts of more than 512 rows in chunks, which saves memory */
} fvlm_model_options;

/* Sets act from "f32" or "int8", act_by_file for NULL; refuses anything else. */
fvlm_status fvlm_model_options_act(fvlm_model_options *o, const char *text, fvlm_err *err);

typedef struct fvlm_model fvlm_model;

/* Opens a file and checks that it has exactly the tensors that its config demands. On failure *out is NULL. The
 * options are copied and must not be NULL; what they point to must outlive the model. */
fvlm_status fvlm_model_open(fvlm_model **out, const char *path, const fvlm_model_options *options, fvlm_err *err);
void fvlm_model_close(fvlm_model **m);
const fvlm_config *fvlm_model_config(const fvlm_model *m);
const fvlm_reader *fvlm_model_reader(const fvlm_model *m);
const fvlm_tokenizer *fvlm_model_tokenizer(const fvlm_model *m); /* NULL without a language model */
fvlm_exec *fvlm_model_exec(fvlm_model *m);
size_t fvlm_model_memory_bytes(const fvlm_model *m); /* activations and KV cache held now */

/* How many blocks the observer receives for a prompt and a picture of n_squares: fvlm_tiles_count; 0: no picture. */
size_t fvlm_model_count_blocks(const fvlm_config *c, size_t n_squares);

/* ---- the image: vision.c, projector.c ---- */

/* Image tokens of an image of that side, a multiple of the stride. */
size_t fvlm_model_image_tokens(const fvlm_config *c, uint32_t side);

/* Refuses a side that is not a multiple of the stride, or above 4096. */
fvlm_status fvlm_model_check_side(const fvlm_model *m, uint32_t side, fvlm_err *err);

/* Tower: pixels to features [tokens, vision.out_dim]. Projector: features to rows [tokens, projector.out]; a model
 * without one refuses. The caller owns both. The first pass of a size allocates its scratch, later ones allocate
 * nothing. */
fvlm_status fvlm_model_tower(fvlm_model *m, const fvlm_pixels *pixels, float *features, fvlm_err *err);
fvlm_status fvlm_model_project(fvlm_model *m, const float *features, size_t tokens, float *rows, fvlm_err *err);

/* ---- pictures in tiles: tiling.c, encode.c ---- */

/* How a picture is divided into tiles. All zero: as the config says. */
typedef struct {
    uint32_t columns, rows; /* so many, as a config with this one size would have it; see SPEC.md, section 5.1 */
    bool off;               /* not at all: the picture padded to a square */
} fvlm_tiling;

/* Reads "2x2" (columns x rows), or "off". */
fvlm_status fvlm_tiling_parse(fvlm_tiling *out, const char *text, fvlm_err *err);

typedef struct {
    const char *path; /* of a JPEG, PNG or WebP file; "-": standard input */
    fvlm_picture picture;
    uint32_t side; /* pixels a side that it, or each of its tiles, is resized to; 0: the model's own */
    fvlm_tiling tiling;
} fvlm_image;

/* Refuses a side and a tiling that the model cannot run, without opening the file. */
fvlm_status fvlm_model_check_image(const fvlm_model *m, const fvlm_image *image, fvlm_err *err);

/* Reads the file; fvlm_tiles_free frees *out, which is empty on failure. */
fvlm_status fvlm_model_load_tiles(const fvlm_model *m, const fvlm_image *image, fvlm_tiles *out, fvlm_err *err);

/* Rows that stand for the picture. */
size_t fvlm_model_tiles_tokens(const fvlm_config *c, const fvlm_tiles *t);

/* What a square cost: the overview or a tile. */
typedef struct {
    double vision, projector; /* seconds */
    size_t tokens;            /* of it that are kept */
} fvlm_tile_cost;

/* Squares to rows [tokens, image width], one square after the other. each [fvlm_tiles_count(t)] may be NULL. */
fvlm_status fvlm_model_encode_tiles(fvlm_model *m, const fvlm_tiles *t, float *rows, fvlm_tile_cost *each,
                                    fvlm_err *err);

/* What dividing a picture gave. */
typedef struct {
    uint32_t columns, rows; /* 0: it was not divided, and 'each' is NULL */
    size_t newlines;        /* rows of projector.newline */
    fvlm_tile_cost *each;   /* [1 + columns * rows]: the overview, then the tiles row by row; malloc'd */
} fvlm_tiling_cost;

/* ---- the language model: llm.c ----
 * A file may hold the vision part alone (config.h). Its model refuses what follows, except for the image alone. */

/* Empties the KV cache; the second keeps the first positions, at most those that it holds. */
void fvlm_model_reset(fvlm_model *m);
void fvlm_model_rewind(fvlm_model *m, size_t positions);

/* embeddings [n, llm.hidden]: the ids' rows of the embedding. */
fvlm_status fvlm_model_embed(fvlm_model *m, const uint32_t *ids, size_t n, float *embeddings, fvlm_err *err);

/* Appends n positions to the KV cache. logits [vocab] of the last position, or [n, vocab] if all_logits; "llm.norm"
 * and "logits" are observed for the same positions. The bits do not depend on how a text is split into calls. */
fvlm_status fvlm_model_forward(fvlm_model *m, const float *embeddings, size_t n, bool all_logits, float *logits,
                               fvlm_err *err);
size_t fvlm_model_context(const fvlm_model *m); /* most positions a text may take: the config's, at most 8192 */

/* Allocates for texts of so many positions, of which up to prompt come in one call: passes within that allocate
 * nothing. Without it, forward allocates as it goes. */
fvlm_status fvlm_model_reserve(fvlm_model *m, size_t prompt, size_t positions, fvlm_err *err);

/* ---- a question and its answer: prompt.c, sample.c, generate.c ---- */

/* The ids of the question in the model's prompt template, each side of <image> tokenized by itself. *ids is malloc'd,
 * NULL on failure; *split of the *n ids come before the image. Without an image, the marker and its newline are left
 * out, and *split is *n. */
fvlm_status fvlm_prompt_ids(const fvlm_model *m, const char *question, bool with_image, uint32_t **ids, size_t *n,
                            size_t *split, fvlm_err *err);

typedef struct {
    uint32_t max_new_tokens; /* 256 is usual */
    double temperature;      /* 0 = greedy */
    double top_p;            /* 1 = all */
    uint64_t seed;
} fvlm_sampling;

/* Receives the answer as it is generated, in chunks of whole UTF-8 characters; text is only lent. */
typedef void (*fvlm_emit)(void *ctx, const char *text, size_t n_bytes);

/* At most one of image and rows; neither: a question without an image. Everything is lent. */
typedef struct {
    const char *image; /* path of a JPEG, PNG or WebP file; "-": standard input */
    fvlm_picture picture;
    uint32_t side; /* pixels a side that the image, or each of its tiles, is resized to; 0: the model's own */
    fvlm_tiling tiling;
    const float *rows; /* [n_rows, llm.hidden], from fvlm_model_project */
    size_t n_rows;
    const char *text;
    fvlm_sampling sampling;
    fvlm_emit emit; /* may be NULL */
    void *emit_ctx;
} fvlm_question;

/* ---- an image alone: encode.c ---- */

typedef struct {
    double image, vision, projector, prefill, decode; /* seconds */
    /* Time to first token: from the call of fvlm_model_answer, before the picture's file is opened, until the token is
     * known. It covers the parts above but decode, the prompt's ids and the memory. Opening the model comes before. */
    double ttft;
    size_t decode_steps; /* forward passes in decode: one per token after the first, including the end token */
} fvlm_timing;

typedef struct {
    float *values; /* [rows, cols], malloc'd: a row for each image token, as the language model would receive it;
                      without a projector as the tower puts it out */
    size_t rows, cols;
    unsigned picture_notes; /* fvlm_pixels.notes */
    fvlm_timing timing;     /* image, vision, projector */
    fvlm_tiling_cost tiling;
} fvlm_embedding;

/* On failure *out is empty. */
fvlm_status fvlm_model_encode(fvlm_model *m, const fvlm_image *image, fvlm_embedding *out, fvlm_err *err);
void fvlm_embedding_free(fvlm_embedding *e);

/* ---- the answer ---- */

typedef struct {
    uint32_t *ids; /* malloc'd; freed by fvlm_answer_free */
    size_t n_ids;
    size_t prompt_tokens, image_tokens;
    unsigned picture_notes; /* fvlm_pixels.notes */
    bool ended; /* by a token of config.eos, which is not in ids; false: by max_new_tokens or a full context */
    fvlm_timing timing;
    fvlm_tiling_cost tiling;
} fvlm_answer;

/* Answers one question; what earlier questions left in the KV cache is discarded. Everything that can be refused is
 * refused before the first pass. On failure *out is empty, though text may have been emitted. */
fvlm_status fvlm_model_answer(fvlm_model *m, const fvlm_question *question, fvlm_answer *out, fvlm_err *err);
void fvlm_answer_free(fvlm_answer *a);

#endif
