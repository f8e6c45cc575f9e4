/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.c - what the executor makes of a picture in tiles, for tests/oracle/test_tiles.py.
 *   tiles pixels FILE SIDE WIDTH HEIGHT [WIDTH HEIGHT...]   read as upstream does: "COLUMNS ROWS\n", then the floats of
 *                                                           the overview and of each tile, [side, side, 3]
 *   tiles logits MODEL FILE TILES OUT [ID...]   TILES as --tiles takes it, "" the model's; ID -200 stands for the
 *                                               picture. To OUT: the picture's rows, then the last position's logits.
 *                                               Prints how many rows. All in f32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

enum { PICTURE = -200, MAX_SIZES = 64 };

static void must(fvlm_status st, const fvlm_err *err)
{
    if (!st) return;
    fprintf(stderr, "tiles: %s\n", err->msg);
    exit(1);
}

static void must_have(const void *memory)
{
    fvlm_err err;
    if (!memory) must(fvlm_fail_nomem(&err), &err);
}

static void put(const float *x, size_t n, FILE *to)
{
    if (fwrite(x, sizeof *x, n, to) != n) exit(1);
}

static int pixels(int argc, char **argv)
{
    uint32_t sizes[MAX_SIZES][2];
    size_t n = 0;
    fvlm_err err;
    fvlm_tiles t;
    const uint32_t side = (uint32_t)atoi(argv[1]);
    for (int i = 2; i + 1 < argc && n < MAX_SIZES; i += 2, n++) {
        sizes[n][0] = (uint32_t)atoi(argv[i]);
        sizes[n][1] = (uint32_t)atoi(argv[i + 1]);
    }
    const fvlm_pixels_options o = {.side = side, .picture = FVLM_PICTURE_APPLE};
    must(fvlm_tiles_load(&t, argv[0], &o, (const uint32_t(*)[2])sizes, n, &err), &err);
    const size_t values = (size_t)side * side * 3;
    float *tile = fvlm_alloc(values, sizeof *tile);
    must_have(tile);
    printf("%u %u\n", t.columns, t.rows);
    put(t.overview.values, values, stdout);
    for (size_t i = 0; i + 1 < fvlm_tiles_count(&t); i++) {
        fvlm_tiles_get(&t, i, tile);
        put(tile, values, stdout);
    }
    free(tile);
    fvlm_tiles_free(&t);
    return fflush(stdout) ? 1 : 0;
}

static int logits(int argc, char **argv)
{
    fvlm_model *m;
    fvlm_err err;
    const fvlm_model_options options = {.threads = 2};
    fvlm_image image = {.path = argv[1], .picture = FVLM_PICTURE_APPLE};
    fvlm_embedding e;
    must(fvlm_model_open(&m, argv[0], &options, &err), &err);
    if (*argv[2]) must(fvlm_tiling_parse(&image.tiling, argv[2], &err), &err);
    must(fvlm_model_encode(m, &image, &e, &err), &err);
    const size_t hidden = e.cols, vocab = fvlm_model_config(m)->llm.vocab;
    float *rows = fvlm_alloc(e.rows + (size_t)argc, hidden * sizeof *rows), *out = fvlm_alloc(vocab, sizeof *out);
    FILE *f = fopen(argv[3], "wb");
    must_have(rows), must_have(out), must_have(f);
    size_t n = 0;
    for (int i = 4; i < argc; i++) {
        const long id = strtol(argv[i], NULL, 10);
        const uint32_t token = (uint32_t)id;
        if (id == PICTURE)
            memcpy(rows + n * hidden, e.values, e.rows * hidden * sizeof *rows);
        else
            must(fvlm_model_embed(m, &token, 1, rows + n * hidden, &err), &err);
        n += id == PICTURE ? e.rows : 1;
    }
    must(fvlm_model_forward(m, rows, n, false, out, &err), &err);
    put(e.values, e.rows * hidden, f);
    put(out, vocab, f);
    printf("%zu\n", e.rows);
    free(rows);
    free(out);
    fvlm_embedding_free(&e);
    fvlm_model_close(&m);
    return fclose(f) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc >= 6 && !strcmp(argv[1], "pixels")) return pixels(argc - 2, argv + 2);
    if (argc >= 6 && !strcmp(argv[1], "logits")) return logits(argc - 2, argv + 2);
    return 2;
}
