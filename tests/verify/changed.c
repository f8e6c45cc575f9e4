/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: whatever used a file that was written to meanwhile says so instead of giving its result: no token is shown
 * that was computed from it, nothing quantized from it is published, no parity with it is reported. The file changes at
 * a moment that we choose: tests/cli/changing.sh has the random ones. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quant/quant.h"
#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"
#include "verify/parity.h"

static char folder[256];
static char *model, *source, *picture, *out;
static fvlm_err err;

/* Fresh files, older than a tick of the file system's clock. */
static int setup(void **state)
{
    (void)state;
    const random_model r = random_model_small();
    const bool ok = !random_model_write(&r, model, &err) && !random_model_write(&r, source, &err);
    usleep(20000);
    return !ok;
}

/* ---- what somebody else does to a file ---- */

typedef enum { WRITTEN, LONGER, REGROWN, N_CHANGES } change;

static const char *const told[N_CHANGES] = {"was written to", "became longer", "was written to"};

typedef struct {
    const char *path;
    change how;
    unsigned at, calls; /* the change comes with call number 'at' */
} plot;

static void advance(plot *p)
{
    struct stat s;
    if (++p->calls != p->at) return;
    const int fd = open(p->path, O_WRONLY);
    assert_true(fd >= 0 && fstat(fd, &s) == 0);
    if (p->how == WRITTEN) assert_int_equal(pwrite(fd, "\x7f", 1, s.st_size / 2), 1);
    if (p->how == LONGER) assert_int_equal(pwrite(fd, "", 1, s.st_size), 1);
    if (p->how == REGROWN) assert_true(ftruncate(fd, 4096) == 0 && ftruncate(fd, s.st_size) == 0);
    close(fd);
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    advance(ctx);
}

static void observe(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    (void)x, (void)rows, (void)cols;
    if (strcmp(name, "logits") == 0) advance(ctx);
}

static void assert_changed(fvlm_status st, const plot *p)
{
    char want[600];
    snprintf(want, sizeof want, "\"%s\" %s while it was in use; run the command again when nothing writes to it",
             p->path, told[p->how]);
    if (st != FVLM_CHANGED || strcmp(err.msg, want)) fail_msg("status %d: %s\nexpected: %s", (int)st, err.msg, want);
}

/* ---- an answer ---- */

typedef struct {
    char bytes[256];
    size_t n;
} heard;

static void hear(void *ctx, const char *text, size_t n_bytes)
{
    heard *h = ctx;
    assert_true(h->n + n_bytes < sizeof h->bytes);
    memcpy(h->bytes + h->n, text, n_bytes);
    h->n += n_bytes;
}

/* Twenty tokens at most; the file changes when logits are there for the at-th time. */
static fvlm_status answer(heard *h, plot *p, uint32_t tokens)
{
    const fvlm_model_options o = {.threads = 2, .check = true, .observer = observe, .observer_ctx = p};
    const fvlm_question q = {.image = picture,
                             .side = 64,
                             .text = "abc",
                             .sampling = {.max_new_tokens = tokens, .top_p = 1},
                             .emit = hear,
                             .emit_ctx = h};
    fvlm_answer a;
    fvlm_model *m = open_model(model, &o);
    *h = (heard){.n = 0};
    const fvlm_status st = fvlm_model_answer(m, &q, &a, &err);
    fvlm_answer_free(&a);
    fvlm_model_close(&m);
    return st;
}

static void no_token_of_a_changed_file(void **state)
{
    for (change how = 0; how < N_CHANGES; how++)
        for (unsigned at = 1; at <= 10; at += 9) {
            heard right = {.n = 0}, h;
            plot never = {0}, p = {.path = model, .how = how, .at = at};
            assert_int_equal(setup(state), 0);
            if (at > 1) assert_int_equal(answer(&right, &never, at - 1), FVLM_OK);
            assert_changed(answer(&h, &p, 20), &p);
            assert_int_equal(p.calls, at);
            assert_true(h.n <= right.n);
            assert_memory_equal(h.bytes, right.bytes, h.n);
        }
}

/* ---- quantization ---- */

static void nothing_published(void **state)
{
    for (change how = 0; how < N_CHANGES; how++) {
        plot p = {.path = model, .how = how, .at = 1};
        const fvlm_quant_options o = {.type = "int4", .threads = 1, .progress = progress, .progress_ctx = &p};
        fvlm_quantization *q;
        assert_int_equal(setup(state), 0);
        const size_t before = test_count_entries(folder);
        assert_int_equal(fvlm_quantization_plan(&q, model, &o, &err), FVLM_OK);
        assert_changed(fvlm_quantization_write(q, out, &err), &p);
        fvlm_quantization_free(&q);
        assert_int_equal(test_count_entries(folder), before);
    }
}

/* The plan keeps hold of the file it was made for, whatever its name means by now. */
static void replaced_after_the_plan(void **state)
{
    (void)state;
    const fvlm_quant_options o = {.type = "int8", .threads = 2};
    fvlm_quantization *q;
    random_model r = random_model_small();
    size_t n, n_again;
    assert_int_equal(test_quantize(model, out, "int8", &err), FVLM_OK);
    uint8_t *want = test_read_file(out, &n);
    assert_int_equal(unlink(out), 0);
    assert_int_equal(fvlm_quantization_plan(&q, model, &o, &err), FVLM_OK);
    r.seed++;
    assert_int_equal(unlink(model), 0);
    assert_int_equal(random_model_write(&r, model, &err), FVLM_OK);
    assert_int_equal(fvlm_quantization_write(q, out, &err), FVLM_OK);
    fvlm_quantization_free(&q);
    uint8_t *got = test_read_file(out, &n_again);
    assert_int_equal(n_again, n);
    assert_memory_equal(got, want, n);
    assert_int_equal(unlink(out), 0);
    free(want);
    free(got);
}

/* ---- parity ---- */

static void no_parity_with_a_changed_file(void **state)
{
    const char *images[] = {picture}, *const victims[] = {model, source};
    for (change how = 0; how < N_CHANGES; how++)
        for (size_t v = 0; v < 2; v++) {
            plot p = {.path = victims[v], .how = how, .at = 3};
            fvlm_parity parity;
            const fvlm_parity_options o = {.model = model,
                                           .source = source,
                                           .acts = {FVLM_ACT_F32},
                                           .n_acts = 1,
                                           .images = images,
                                           .n_images = 1,
                                           .prompt = "abc",
                                           .tokens = 1,
                                           .threads = 2,
                                           .progress = progress,
                                           .progress_ctx = &p};
            assert_int_equal(setup(state), 0);
            assert_changed(fvlm_parity_run(&parity, &o, &err), &p);
        }
}

int main(void)
{
    model = test_path(test_folder(folder), "model.fvlm");
    source = test_path(folder, "source.fvlm");
    picture = test_path(folder, "picture.png");
    out = test_path(folder, "out.fvlm");
    if (!test_write_picture(picture, 90, 60)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_token_of_a_changed_file), cmocka_unit_test(nothing_published),
        cmocka_unit_test_setup(replaced_after_the_plan, setup), cmocka_unit_test(no_parity_with_a_changed_file)};
    const int failed = cmocka_run_group_tests_name("changed", tests, NULL, NULL);
    free(model), free(source), free(picture), free(out);
    return failed;
}
