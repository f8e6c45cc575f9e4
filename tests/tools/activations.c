/* SPDX-License-Identifier: Apache-2.0 */
/* activations.c - runs a model on given pixels and ids and writes what every block put out, each as a
 * .npy file [rows, cols] named as the observer names it. The tests in tests/oracle/ hold these against
 * PyTorch; `fvlm verify` compares too, but judges itself, which a test should not rely on.
 *
 *   activations MODEL PIXELS OUT_FOLDER NEW CPU THREADS ACT [ID...]
 *
 * PIXELS: raw f32 [side, side, 3]. ID -200 stands for the picture; without ids only the vision part runs. CPU "" = the
 * best. ACT f32 or int8. Prints the NEW greedy ids that follow, without regard to the end-of-answer id. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

#define PICTURE -200

typedef struct {
    const char *folder;
    bool done; /* only the prompt's pass is written */
} writing;

static void die(const char *text)
{
    fprintf(stderr, "activations: %s\n", text);
    exit(1);
}

static void must(fvlm_status st, const fvlm_err *err)
{
    if (st != FVLM_OK) die(err->msg);
}

/* An fvlm_observer. */
static void write_npy(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    const writing *w = ctx;
    if (w->done) return;
    char path[4096], header[128]; /* 10 bytes, then 118 of text that ends in a newline */
    snprintf(path, sizeof path, "%s/%s.npy", w->folder, name);
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n =
        snprintf(header + 10, 117, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    header[10 + n] = ' ';
    header[127] = '\n';
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(header, 1, sizeof header, f) != sizeof header || fwrite(x, sizeof *x * cols, rows, f) != rows ||
        fclose(f) != 0)
        die("cannot write the output");
}

static fvlm_pixels read_pixels(const char *path)
{
    fvlm_pixels p = {0};
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) die("cannot read the pixels");
    const size_t n = (size_t)ftell(f) / sizeof(float);
    while ((size_t)p.side * p.side * 3 < n) p.side++;
    p.values = malloc(n * sizeof(float));
    rewind(f);
    if (!p.values || (size_t)p.side * p.side * 3 != n || fread(p.values, sizeof(float), n, f) != n)
        die("the pixels are not [side, side, 3]");
    fclose(f);
    return p;
}

/* The vision part, with the projector if there is one. */
static void encode(fvlm_model *m, const fvlm_pixels *p, float *to)
{
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, p->side);
    float *features = fvlm_alloc(tokens, c->vision.out_dim * sizeof(float));
    fvlm_err err;
    if (!features) die("out of memory");
    must(fvlm_model_tower(m, p, features, &err), &err);
    if (fvlm_config_has_projector(c)) must(fvlm_model_project(m, features, tokens, to, &err), &err);
    free(features);
}

/* The prompt's embeddings, the picture's rows in place of PICTURE. *n = how many. */
static float *embed(fvlm_model *m, const fvlm_pixels *p, char **ids, int n_ids, size_t *n)
{
    const fvlm_config *c = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(c, p->side), hidden = c->llm.hidden;
    float *rows = fvlm_alloc((size_t)n_ids + tokens, hidden * sizeof(float));
    if (!rows) die("out of memory");
    fvlm_err err;
    *n = 0;
    for (int i = 0; i < n_ids; i++) {
        const long id = strtol(ids[i], NULL, 10);
        const uint32_t token = (uint32_t)id;
        float *to = rows + *n * hidden;
        if (id == PICTURE) {
            encode(m, p, to);
        } else {
            must(fvlm_model_embed(m, &token, 1, to, &err), &err);
        }
        *n += id == PICTURE ? tokens : 1;
    }
    return rows;
}

static uint32_t best_of(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (uint32_t)best;
}

static void answer(fvlm_model *m, const fvlm_pixels *p, char **ids, int n_ids, int n_new, writing *w)
{
    const size_t vocab = fvlm_model_config(m)->llm.vocab;
    float *logits = fvlm_alloc(vocab, sizeof(float));
    fvlm_err err;
    size_t n;
    float *rows = embed(m, p, ids, n_ids, &n);
    if (!logits) die("out of memory");
    must(fvlm_model_forward(m, rows, n, false, logits, &err), &err);
    w->done = true;
    for (int i = 0; i < n_new; i++) {
        const uint32_t id = best_of(logits, vocab);
        printf("%u\n", id);
        must(fvlm_model_embed(m, &id, 1, rows, &err), &err);
        must(fvlm_model_forward(m, rows, 1, false, logits, &err), &err);
    }
    free(rows);
    free(logits);
}

int main(int argc, char **argv)
{
    if (argc < 8) die("usage: activations MODEL PIXELS OUT_FOLDER NEW CPU THREADS ACT [ID...]");
    fvlm_err err;
    fvlm_model *m;
    writing w = {.folder = argv[3]};
    const fvlm_model_options options = {.cpu = argv[5],
                                        .threads = (unsigned)atoi(argv[6]),
                                        .act = strcmp(argv[7], "int8") == 0 ? FVLM_ACT_INT8 : FVLM_ACT_F32,
                                        .observer = write_npy,
                                        .observer_ctx = &w};
    must(fvlm_model_open(&m, argv[1], &options, &err), &err);
    fvlm_pixels pixels = read_pixels(argv[2]);
    if (argc == 8) {
        const fvlm_config *c = fvlm_model_config(m);
        float *rows = fvlm_alloc(fvlm_model_image_tokens(c, pixels.side), c->projector.out * sizeof(float));
        if (!rows && fvlm_config_has_projector(c)) die("out of memory");
        encode(m, &pixels, rows);
        free(rows);
    } else {
        answer(m, &pixels, argv + 8, argc - 8, atoi(argv[4]), &w);
    }
    fvlm_pixels_free(&pixels);
    fvlm_model_close(&m);
    return 0;
}
