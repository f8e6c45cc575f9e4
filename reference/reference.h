/* SPDX-License-Identifier: Apache-2.0 */
/* reference.h - the executor: open a .fvlm model, look at a picture, answer.
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
 * or pass by pass: fvlm_pixels_load, fvlm_model_tower, fvlm_model_project, then
 * fvlm_model_embed and fvlm_model_forward. One model, one thread at a time.
 */
#ifndef FVLM_REFERENCE_REFERENCE_H
#define FVLM_REFERENCE_REFERENCE_H

#include "format/reader.h"
#include "format/base/stop.h"
#include "reference/image/image.h"
#include "reference/ops/ops.h"
#include "reference/tokenizer/tokenizer.h"

/* Sees every block's output: name is canonical ("vision.stem", "vision.stage1.downsample",
 * "vision.stage3.pos", "vision.stage2.block7", "vision.final", "projector", "llm.embed",
 * "llm.layer3", "llm.norm", "logits"), x [rows, cols]; x is only lent. */
typedef void (*fvlm_observer)(void *ctx, const char *name, const float *x, size_t rows, size_t cols);

typedef struct {
    unsigned threads; /* 0 = all */
    const char *cpu;  /* see fvlm_exec_create */
    fvlm_act_mode act;
    bool act_by_file; /* act is chosen: int8 when the file holds integers, else f32 */
    bool check;       /* hold every tensor against its checksum before it is used: some 0.1 s for a gigabyte */
    const fvlm_stop *stop; /* polled after every block */
    fvlm_observer observer;
    void *observer_ctx;
    bool observe_chunks; /* the observer may see texts of more than 512 rows in chunks, which saves memory */
} fvlm_model_options;

/* "f32", "int8", or NULL for what suits the file; anything else is refused. */
fvlm_status fvlm_model_options_act(fvlm_model_options *o, const char *text, fvlm_err *err);

typedef struct fvlm_model fvlm_model;

/* Opens, checks that tensors and config agree, binds every tensor. */
fvlm_status fvlm_model_open(fvlm_model **out, const char *path, const fvlm_model_options *options, fvlm_err *err);
void fvlm_model_close(fvlm_model **m);
const fvlm_config *fvlm_model_config(const fvlm_model *m);
const fvlm_reader *fvlm_model_reader(const fvlm_model *m);
fvlm_exec *fvlm_model_exec(fvlm_model *m);
size_t fvlm_model_memory_bytes(const fvlm_model *m); /* activations and KV cache held now */

/* Image tokens of a picture of that side (a multiple of the stride). */
size_t fvlm_model_image_tokens(const fvlm_config *c, uint32_t side);

/* Blocks that the observer sees in one pass over a picture and a prompt. */
size_t fvlm_model_count_blocks(const fvlm_config *c);

/* Refuses a side that is no multiple of the stride, or above 4096. */
fvlm_status fvlm_model_check_side(const fvlm_model *m, uint32_t side, fvlm_err *err);

/* Tower: pixels -> features [tokens, out_dim]. Projector: -> rows [tokens, llm.hidden].
 * The first pass of a size allocates what it works in; the next ones allocate nothing. */
fvlm_status fvlm_model_tower(fvlm_model *m, const fvlm_pixels *pixels, float *features, fvlm_err *err);
fvlm_status fvlm_model_project(fvlm_model *m, const float *features, size_t tokens, float *rows, fvlm_err *err);

/* The language model. Positions are appended to the KV cache; logits [vocab] of the last
 * position, or of all n positions when all_logits. embeddings [n, hidden]. "llm.norm" and "logits" are
 * observed for the same positions. However a text is split into calls, the bits are the same. */
void fvlm_model_reset(fvlm_model *m);
fvlm_status fvlm_model_embed(fvlm_model *m, const uint32_t *ids, size_t n, float *embeddings, fvlm_err *err);
fvlm_status fvlm_model_forward(fvlm_model *m, const float *embeddings, size_t n, bool all_logits, float *logits,
                               fvlm_err *err);
size_t fvlm_model_context(const fvlm_model *m); /* most positions a text may take: the config's, at most 8192 */

/* Makes room for texts of so many positions, of which up to 'prompt' come in one call: passes within
 * that allocate nothing. Without it, forward makes room as it goes. */
fvlm_status fvlm_model_reserve(fvlm_model *m, size_t prompt, size_t positions, fvlm_err *err);

/* Prompt template of the model around the question, each side of <image> tokenized apart.
 * *ids is malloc'd; *split = how many ids come before the picture. With no picture the marker and
 * its newline are left out and *split is the count of ids. */
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

/* At most one of image and rows; neither: a question without a picture. Everything is lent. */
typedef struct {
    const char *image; /* path of a JPEG or PNG file */
    uint32_t side;     /* pixels a side that the image is resized to; 0: the model's own */
    const float *rows; /* [n_rows, llm.hidden], from fvlm_model_project */
    size_t n_rows;
    const char *text;
    fvlm_sampling sampling;
    fvlm_emit emit; /* may be NULL */
    void *emit_ctx;
} fvlm_question;

typedef struct {
    double image, vision, projector, prefill, decode; /* seconds */
    double ttft;                                      /* seconds from the image file to the first token */
    size_t decode_steps; /* forward passes in decode: one per token after the first, including the end token */
} fvlm_timing;

typedef struct {
    uint32_t *ids; /* malloc'd; freed by fvlm_answer_free */
    size_t n_ids;
    size_t prompt_tokens, image_tokens;
    bool ended; /* by a token of config.eos, which is not in ids; false: by max_new_tokens or a full context */
    fvlm_timing timing;
} fvlm_answer;

/* Answers one question; what earlier questions left in the KV cache is discarded. Everything that can be refused is
 * refused before the first pass. On failure *out is empty, though text may have been emitted. */
fvlm_status fvlm_model_answer(fvlm_model *m, const fvlm_question *question, fvlm_answer *out, fvlm_err *err);
void fvlm_answer_free(fvlm_answer *a);

#endif
