/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a picture is divided into the pixels that Pillow gives for LLaVA's anyres, and the rows of its squares follow
 * each other as in LLaVA, newlines included (recorded values: tiles_cases.h). A model with tiles answers from those
 * rows, square by square; --tiles makes of a model without them one with that size. What does not fit is refused, with
 * exact messages. */
#include "reference/image/tiles.h"
#include "format/base/hash.h"
#include "reference/splice.h"
#include "tests/reference/tiles_cases.h"
#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"

static char folder[256];
static size_t n_observed;

static void count(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    (void)ctx, (void)name, (void)x, (void)rows, (void)cols;
    n_observed++;
}

static const fvlm_model_options two_threads = {.threads = 2, .observer = count};

static void same_hash(const char *what, uint32_t w, uint32_t h, const void *bytes, size_t n, const char *want)
{
    char got[33];
    const fvlm_hash found = fvlm_hash_of(bytes, n);
    for (size_t i = 0; i < 16; i++) snprintf(got + 2 * i, 3, "%02x", found.bytes[i]);
    if (strcmp(got, want)) fail_msg("%u x %u, %s: other values", w, h, what);
}

/* The bytes that v * (1/255) was made of. */
static void to_bytes(const float *values, uint8_t *out)
{
    for (size_t i = 0; i < TILES_SIDE * TILES_SIDE * 3; i++) {
        out[i] = (uint8_t)(values[i] * 255.0f + 0.5f);
        assert_true(values[i] == (float)(out[i] * (1 / 255.0)));
    }
}

static void pixels_are_pillows(void **state)
{
    (void)state;
    char *path = test_path(folder, "picture.png"), what[32];
    for (size_t i = 0; i < N_TILES_PICTURES; i++) {
        fvlm_tiles t;
        fvlm_err err = {0};
        float values[TILES_SIDE * TILES_SIDE * 3];
        uint8_t bytes[sizeof values / sizeof *values];
        const uint32_t w = tiles_pictures[i].width, h = tiles_pictures[i].height;
        assert_true(test_write_file(path, tiles_pictures[i].bytes, tiles_pictures[i].n_bytes));
        if (fvlm_tiles_load(&t, path, &(fvlm_pixels_options){.side = TILES_SIDE}, tiles_sizes, N_TILES_SIZES, &err))
            fail_msg("%s", err.msg);
        if (t.columns != tiles_pictures[i].columns || t.rows != tiles_pictures[i].rows)
            fail_msg("%u x %u: %u x %u tiles", w, h, t.columns, t.rows);
        assert_int_equal(t.width, w);
        assert_int_equal(t.height, h);
        to_bytes(t.overview.values, bytes);
        same_hash("overview", w, h, bytes, sizeof bytes, tiles_pictures[i].squares[0]);
        for (size_t k = 0; k + 1 < fvlm_tiles_count(&t); k++) {
            memset(values, 0x7f, sizeof values);
            fvlm_tiles_get(&t, k, values);
            to_bytes(values, bytes);
            snprintf(what, sizeof what, "tile %zu", k);
            same_hash(what, w, h, bytes, sizeof bytes, tiles_pictures[i].squares[k + 1]);
        }
        fvlm_tiles_free(&t);
    }
    free(path);
}

/* Row number r of square s is s * 16 + r, the newline 9999. */
static void rows_are_llavas(void **state)
{
    (void)state;
    enum { ALL = SPLICE_TOKENS * SPLICE_TOKENS, MOST = 5 * ALL + 64 };
    for (size_t i = 0; i < N_SPLICES; i++)
        for (uint32_t merge = FVLM_MERGE_FLAT; merge <= FVLM_MERGE_UNPAD; merge++) {
            const uint32_t w = splices[i].width, h = splices[i].height;
            const size_t chosen = fvlm_tiles_choose(splice_sizes, N_SPLICE_SIZES, w, h), m = merge - FVLM_MERGE_FLAT;
            assert_int_equal(chosen, splices[i].size);
            const fvlm_tiles t = {.overview.side = 1024,
                                  .columns = splice_sizes[chosen][0] / 1024,
                                  .rows = splice_sizes[chosen][1] / 1024,
                                  .width = w,
                                  .height = h};
            fvlm_config c = {.vision.stride = 1024 / SPLICE_TOKENS, .tiles = {.n_sizes = 1, .merge = merge}};
            const fvlm_splice s = fvlm_splice_plan(&c, &t);
            assert_int_equal(s.tokens, splices[i].merged[m].tokens);
            float rows[MOST], newline = 9999;
            size_t copied = s.newlines;
            assert_true(s.tokens <= MOST);
            for (size_t k = 0; k < MOST; k++) rows[k] = -1;
            for (size_t square = 0; square < fvlm_tiles_count(&t); square++) {
                float from[ALL];
                for (size_t r = 0; r < ALL; r++) from[r] = (float)(square * ALL + r);
                copied += fvlm_splice_copy(&s, square, from, 1, rows);
            }
            fvlm_splice_copy_newlines(&s, &newline, 1, rows);
            assert_int_equal(copied, s.tokens);
            for (size_t k = s.tokens; k < MOST; k++) assert_true(rows[k] == -1);
            same_hash(fvlm_merge_name(merge), w, h, rows, s.tokens * sizeof *rows, splices[i].merged[m].order);
        }
}

/* ---- models ---- */

static void write_model(const random_model *r, const char *path)
{
    fvlm_err err = {0};
    remove(path);
    if (random_model_write(r, path, &err)) fail_msg("%s", err.msg);
}

static random_model tiled_model(fvlm_merge merge)
{
    random_model r = random_model_small();
    const uint32_t side = r.config.vision.image_size;
    r.config.tiles.merge = merge;
    r.config.tiles.n_sizes = 2;
    r.config.tiles.size[0][0] = 2 * side, r.config.tiles.size[0][1] = side;
    r.config.tiles.size[1][0] = side, r.config.tiles.size[1][1] = 2 * side;
    return r;
}

/* A square by itself, through the functions that know nothing of tiles. */
static void square_alone(fvlm_model *m, const fvlm_tiles *t, size_t square, float *rows)
{
    const fvlm_config *c = fvlm_model_config(m);
    const uint32_t side = t->overview.side;
    const size_t n = fvlm_model_image_tokens(c, side);
    fvlm_err err;
    fvlm_pixels p = {.side = side, .values = fvlm_alloc((size_t)side * side * 3, sizeof(float))};
    float *features = fvlm_alloc(n * c->vision.out_dim, sizeof(float));
    if (square)
        fvlm_tiles_get(t, square - 1, p.values);
    else
        memcpy(p.values, t->overview.values, (size_t)side * side * 3 * sizeof(float));
    assert_int_equal(fvlm_model_tower(m, &p, features, &err), FVLM_OK);
    assert_int_equal(fvlm_model_project(m, features, n, rows, &err), FVLM_OK);
    fvlm_pixels_free(&p);
    free(features);
}

/* Every row of the answer's picture is that of its square, or the newline; and the answer is that of those rows. */
static void answers_from_rows(void **state)
{
    (void)state;
    char *path = test_path(folder, "tiled.fvlm"), *picture = test_path(folder, "wide.png");
    assert_true(test_write_picture(picture, 300, 100));
    for (uint32_t merge = FVLM_MERGE_FLAT; merge <= FVLM_MERGE_UNPAD; merge++) {
        const random_model r = tiled_model((fvlm_merge)merge);
        write_model(&r, path);
        fvlm_model *m = open_model(path, &two_threads);
        const fvlm_config *c = fvlm_model_config(m);
        const fvlm_image image = {.path = picture};
        const size_t width = c->llm.hidden, n = fvlm_model_image_tokens(c, c->vision.image_size);
        fvlm_err err = {0};
        fvlm_tiles t;
        fvlm_embedding e;
        assert_int_equal(fvlm_model_load_tiles(m, &image, &t, &err), FVLM_OK);
        assert_int_equal(t.columns, 2);
        assert_int_equal(t.rows, 1);
        n_observed = 0;
        assert_int_equal(fvlm_model_encode(m, &image, &e, &err), FVLM_OK);
        assert_int_equal(n_observed, fvlm_model_count_blocks(c, 3) - fvlm_model_count_blocks(c, 0));
        assert_int_equal(e.rows, fvlm_model_tiles_tokens(c, &t));
        assert_int_equal(e.tiling.columns, 2);
        const fvlm_splice s = fvlm_splice_plan(c, &t);
        float *want = fvlm_alloc(e.rows * width, sizeof *want), *alone = fvlm_alloc(n * width, sizeof *alone);
        size_t tokens = e.tiling.newlines;
        for (size_t square = 0; square < 3; square++) {
            square_alone(m, &t, square, alone);
            assert_int_equal(fvlm_splice_copy(&s, square, alone, width, want), e.tiling.each[square].tokens);
            tokens += e.tiling.each[square].tokens;
        }
        assert_int_equal(tokens, e.rows);
        assert_int_equal(e.tiling.newlines > 0, merge == FVLM_MERGE_UNPAD);
        if (merge == FVLM_MERGE_UNPAD) {
            const fvlm_tensor *newline = fvlm_reader_find(fvlm_model_reader(m), "projector.newline.weight");
            float values[512];
            assert_non_null(newline);
            assert_int_equal(newline->n_bytes, width * sizeof(float));
            memcpy(values, fvlm_reader_bytes(fvlm_model_reader(m), newline), width * sizeof(float));
            fvlm_splice_copy_newlines(&s, values, width, want);
        }
        assert_memory_equal(e.values, want, e.rows * width * sizeof *want);

        fvlm_answer a, b;
        const fvlm_question q = {.image = picture, .text = "hello", .sampling = {6, 0, 1, 0}};
        const fvlm_question of_rows = {.rows = want, .n_rows = e.rows, .text = "hello", .sampling = {6, 0, 1, 0}};
        assert_int_equal(fvlm_model_answer(m, &q, &a, &err), FVLM_OK);
        assert_int_equal(fvlm_model_answer(m, &of_rows, &b, &err), FVLM_OK);
        assert_int_equal(a.image_tokens, e.rows);
        assert_int_equal(a.tiling.columns, 2);
        assert_int_equal(a.n_ids, b.n_ids);
        assert_memory_equal(a.ids, b.ids, a.n_ids * sizeof *a.ids);
        fvlm_answer_free(&a);
        fvlm_answer_free(&b);
        fvlm_embedding_free(&e);
        fvlm_tiles_free(&t);
        free(want);
        free(alone);
        fvlm_model_close(&m);
    }
    free(path);
    free(picture);
}

/* A model without tiles, told to divide pictures so, gives what the same model with that one size gives. */
static void own_tiling(void **state)
{
    (void)state;
    char *plain = test_path(folder, "plain.fvlm"), *tiled = test_path(folder, "one.fvlm"),
         *picture = test_path(folder, "tall.png");
    random_model r = random_model_small();
    const uint32_t side = r.config.vision.image_size;
    fvlm_err err = {0};
    fvlm_embedding a, b;
    assert_true(test_write_picture(picture, 90, 200));
    write_model(&r, plain);
    r.config.tiles.merge = FVLM_MERGE_FLAT;
    r.config.tiles.n_sizes = 1;
    r.config.tiles.size[0][0] = 2 * side, r.config.tiles.size[0][1] = 3 * side;
    write_model(&r, tiled);
    fvlm_model *m = open_model(plain, &two_threads), *n = open_model(tiled, &two_threads);
    const fvlm_image told = {.path = picture, .tiling = {.columns = 2, .rows = 3}},
                     off = {.path = picture, .tiling.off = true}, usual = {.path = picture};
    assert_int_equal(fvlm_model_encode(m, &told, &a, &err), FVLM_OK);
    assert_int_equal(fvlm_model_encode(n, &usual, &b, &err), FVLM_OK);
    assert_int_equal(a.rows, 7 * fvlm_model_image_tokens(fvlm_model_config(m), side));
    assert_int_equal(a.rows, b.rows);
    assert_memory_equal(a.values, b.values, a.rows * a.cols * sizeof(float));
    fvlm_embedding_free(&a);
    fvlm_embedding_free(&b);
    assert_int_equal(fvlm_model_encode(m, &usual, &a, &err), FVLM_OK);
    assert_int_equal(fvlm_model_encode(n, &off, &b, &err), FVLM_OK);
    assert_null(b.tiling.each);
    assert_int_equal(a.rows, b.rows);
    assert_memory_equal(a.values, b.values, a.rows * a.cols * sizeof(float));
    fvlm_embedding_free(&a);
    fvlm_embedding_free(&b);
    fvlm_model_close(&m);
    fvlm_model_close(&n);
    free(plain);
    free(tiled);
    free(picture);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t columns, rows;
        bool off;
    } sound[] = {{"2x2", 2, 2, false},
                 {"1x1", 1, 1, false},
                 {"64x1", 64, 1, false},
                 {"4x12", 4, 12, false},
                 {"off", 0, 0, true}};
    static const char *const bad[] = {"",     "2",    "x",   "2x",   "x2",    "0x1",          "1x0", "65x1", "1x65",
                                      "2x2 ", " 2x2", "2X2", "-1x1", "2x2x2", "4294967298x1", "Off", "2*2"};
    char want[256];
    fvlm_tiling t;
    fvlm_err err = {0};
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++) {
        assert_int_equal(fvlm_tiling_parse(&t, sound[i].text, &err), FVLM_OK);
        assert_true(t.columns == sound[i].columns && t.rows == sound[i].rows && t.off == sound[i].off);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fvlm_tiling_parse(&t, bad[i], &err), FVLM_USAGE);
        snprintf(want, sizeof want, "tiles \"%s\": should be columns x rows such as 2x2, each 1 to 64, or \"off\"",
                 bad[i]);
        assert_string_equal(err.msg, want);
    }
    char *path = test_path(folder, "refusing.fvlm"), *picture = test_path(folder, "square.png");
    assert_true(test_write_picture(picture, 50, 50));
    random_model r = tiled_model(FVLM_MERGE_FLAT);
    r.config.llm.context = 40;
    write_model(&r, path);
    fvlm_model *m = open_model(path, &two_threads);
    const uint32_t side = r.config.vision.image_size, stride = r.config.vision.stride;
    fvlm_image image = {.path = picture, .side = side + stride};
    assert_int_equal(fvlm_model_check_image(m, &image, &err), FVLM_USAGE);
    snprintf(want, sizeof want,
             "image side %u: the model divides pictures of %u x %u pixels, which tiles of that side do not fill; "
             "give another size, or the tiles",
             side + stride, 2 * side, side);
    assert_string_equal(err.msg, want);
    image.tiling = (fvlm_tiling){.columns = 1, .rows = 64};
    image.side = 128;
    assert_int_equal(fvlm_model_check_image(m, &image, &err), FVLM_LIMIT);
    assert_string_equal(err.msg,
                        "1 x 64 tiles of 128 pixels make a picture of 128 x 8192; at most 4096 a side are supported");
    image.tiling = (fvlm_tiling){.off = true};
    image.side = side + stride;
    assert_int_equal(fvlm_model_check_image(m, &image, &err), FVLM_OK);
    const fvlm_question q = {
        .image = picture, .tiling = {.columns = 8, .rows = 8}, .text = "hello", .sampling = {4, 0, 1, 0}};
    fvlm_answer a;
    assert_int_equal(fvlm_model_answer(m, &q, &a, &err), FVLM_LIMIT);
    const size_t tokens = 65 * fvlm_model_image_tokens(fvlm_model_config(m), side);
    const char *rest = strstr(err.msg, " positions, ");
    snprintf(want, sizeof want,
             " positions, the overview and 8 x 8 tiles %zu; the context holds 40, answer included: take fewer tiles or "
             "a smaller "
             "size",
             tokens);
    assert_non_null(rest);
    assert_string_equal(rest, want);
    fvlm_model_close(&m);
    r = tiled_model(FVLM_MERGE_UNPAD);
    r.leave_out = "projector.newline";
    write_model(&r, path);
    const fvlm_model_options o = {.threads = 1};
    assert_int_equal(fvlm_model_open(&m, path, &o, &err), FVLM_BAD_INPUT);
    assert_non_null(strstr(err.msg, ": 1 tensor is missing: projector.newline.weight"));
    free(path);
    free(picture);
}

static int set_up(void **state)
{
    (void)state;
    test_folder(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_pillows), cmocka_unit_test(rows_are_llavas), cmocka_unit_test(answers_from_rows),
        cmocka_unit_test(own_tiling),         cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
