/* SPDX-License-Identifier: Apache-2.0 */
/* parity_files.h - a small model, a picture, and names for what is made of them: for the tests of fvlm_parity_run. */
#ifndef FVLM_TESTS_VERIFY_PARITY_FILES_H
#define FVLM_TESTS_VERIFY_PARITY_FILES_H

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"
#include "verify/verdict.h"

static char folder[256];
static char *model, *edited, *picture, *other;
static const char *images[1];

static inline int set_up(void **state)
{
    (void)state;
    fvlm_err err;
    const random_model r = random_model_small();
    test_folder(folder);
    model = test_path(folder, "model.fvlm");
    edited = test_path(folder, "edited.fvlm");
    other = test_path(folder, "other");
    images[0] = picture = test_path(folder, "picture.png");
    return random_model_write(&r, model, &err) || !test_write_picture(picture, 90, 60);
}

static inline int tear_down(void **state)
{
    (void)state;
    free(model);
    free(edited);
    free(other);
    free(picture);
    return 0;
}

static inline fvlm_parity_options options_for(const char *file)
{
    return (fvlm_parity_options){.model = file,
                                 .source = model,
                                 .acts = {FVLM_ACT_F32},
                                 .n_acts = 1,
                                 .images = images,
                                 .n_images = 1,
                                 .prompt = "abc",
                                 .tokens = 3,
                                 .threads = 2};
}

static inline fvlm_parity beside_source(const char *file)
{
    fvlm_parity p;
    fvlm_err err = {0};
    const fvlm_parity_options o = options_for(file);
    must(fvlm_parity_run(&p, &o, &err), &err);
    return p;
}

static inline void add_one(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)ctx;
    float v;
    assert_int_equal(t->type.kind, FVLM_F32);
    memcpy(&v, bytes, sizeof v);
    v += 1;
    memcpy(bytes, &v, sizeof v);
}

static inline void quantize(const char *type)
{
    fvlm_err err;
    must(test_quantize(model, other, type, &err), &err);
}

#endif
