/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: config.json's "anyres" becomes the config's tiles, with model.image_newline where LLaVA has it, or is refused
 * with one line that names the key. Exact messages. */
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

#define CONFIG "\"config.json\": "
#define ANYRES "\"image_aspect_ratio\": \"anyres\", \"image_grid_pinpoints\": "

static char folder[256];
static test_recipes r;
static fvlm_err err;

/* The message about the folder whose "image_aspect_ratio" is replaced by these keys, "" if it is read; r is then open
 * until the next call. */
static const char *verdict(const char *keys)
{
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_config_replace(&c, "\"image_aspect_ratio\": \"pad\"", keys);
    test_write_text(folder, "config.json", c.config);
    test_checkpoint_free(&c);
    test_recipes_close(&r);
    r = (test_recipes){0};
    err = (fvlm_err){0};
    test_recipes_open(&r, folder, &err);
    return err.msg;
}

static void read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *message;
    } cases[] = {
        {"\"image_aspect_ratio\": \"anyres\"",
         CONFIG "\"image_aspect_ratio\" is \"anyres\", but there is no \"image_grid_pinpoints\"; it lists the sizes of "
                "pictures"},
        {ANYRES "null",
         CONFIG "\"image_aspect_ratio\" is \"anyres\", but there is no \"image_grid_pinpoints\"; it lists the sizes of "
                "pictures"},
        {"\"image_aspect_ratio\": \"anyres_max_9\", \"image_grid_pinpoints\": [[256, 512]]",
         CONFIG "\"image_aspect_ratio\" is \"anyres_max_9\"; only \"pad\" and \"anyres\" are supported"},
        {ANYRES "\"(1x1),...,(6x6)\"",
         CONFIG "\"image_grid_pinpoints\" is \"(1x1),...,(6x6)\", expected a list of [width, height]"},
        {ANYRES "7", CONFIG "\"image_grid_pinpoints\" is 7, expected a list of [width, height]"},
        {ANYRES "[]", CONFIG "\"image_grid_pinpoints\" lists 0 sizes, expected 1 to 256"},
        {ANYRES "[256, 512]", CONFIG "\"image_grid_pinpoints\"[0] is a whole number, expected [width, height]"},
        {ANYRES "[[256, 512], [256, 256, 256]]",
         CONFIG "\"image_grid_pinpoints\"[1] is not two numbers, expected [width, height]"},
        {ANYRES "[[256, 336]]", CONFIG "\"image_grid_pinpoints\"[0] has 336 pixels, which tiles of 256 do not divide"},
        {ANYRES "[[256, 512], [4352, 256]]",
         CONFIG "\"image_grid_pinpoints\"[1] has 4352 pixels; at most 4096 are supported"},
        {ANYRES "[[256, 9000000000000000000]]",
         CONFIG "\"image_grid_pinpoints\"[0] has 9000000000000000000 pixels; at most 4096 are supported"},
        {ANYRES "[[256, 0]]", CONFIG "\"image_grid_pinpoints\"[0] has 0, expected pixels"},
        {ANYRES "[[256, -256]]", CONFIG "\"image_grid_pinpoints\"[0] has -256, expected pixels"},
        {ANYRES "[[256, \"256\"]]", CONFIG "\"image_grid_pinpoints\"[0] has \"256\", expected pixels"},
        {ANYRES "[[256, 512.0]]", CONFIG "\"image_grid_pinpoints\"[0] has 512, expected pixels"},
        {ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"maxpool2x2\"",
         CONFIG "\"mm_patch_merge_type\" is \"maxpool2x2\"; only \"flat\", \"spatial\" and \"spatial_unpad\" are "
                "supported"},
        {ANYRES "[[256, 512]], \"mm_patch_merge_type\": null",
         CONFIG "\"mm_patch_merge_type\" is null, expected \"flat\""},
        {ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"spatial_unpad\"",
         "1 tensor is missing: \"model.image_newline\""},
        {"\"image_aspect_ratio\": \"pad\", \"mm_patch_merge_type\": \"spatial\"",
         CONFIG "\"mm_patch_merge_type\" is \"spatial\"; only \"flat\" is supported"},
        {"\"image_aspect_ratio\": \"pad\", \"mm_patch_merge_type\": null", ""},
        {"\"image_aspect_ratio\": \"pad\", \"image_grid_pinpoints\": []", ""},
        {ANYRES "[[256, 512]]", ""},
        {ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"flat\"", ""},
        {ANYRES "[[512, 256], [256, 512], [4096, 256]], \"mm_patch_merge_type\": \"spatial\"", ""},
        {ANYRES "\"[(512, 256), (256, 512), (4096, 256)]\", \"mm_patch_merge_type\": \"spatial\"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(verdict(cases[i].keys), cases[i].message)) fail_msg("%s: \"%s\"", cases[i].keys, err.msg);
    const uint32_t want[3][2] = {{512, 256}, {256, 512}, {4096, 256}};
    const fvlm_config *c = &r.names.config;
    assert_int_equal(c->tiles.n_sizes, 3);
    assert_memory_equal(c->tiles.size, want, sizeof want);
    assert_int_equal(c->tiles.merge, FVLM_MERGE_SPATIAL);
}

static void many_sizes(void **state)
{
    (void)state;
    char keys[9000] = ANYRES "[";
    for (size_t i = 0; i < 257; i++) strcat(keys, i ? ", [256, 512]" : "[256, 512]");
    strcat(keys, "]}");
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    char text[12000];
    const char *at = strstr(c.config, "\"image_aspect_ratio\"");
    snprintf(text, sizeof text, "%.*s%s", (int)(at - c.config), c.config, keys);
    test_write_text(folder, "config.json", text);
    test_checkpoint_free(&c);
    test_recipes_close(&r);
    r = (test_recipes){0};
    assert_int_not_equal(test_recipes_open(&r, folder, &err), FVLM_OK);
    assert_string_equal(err.msg, CONFIG "\"image_grid_pinpoints\" lists 257 sizes, expected 1 to 256");
}

/* The newline's values are those of the file; without a use for it, it is left over. */
static void newline(void **state)
{
    (void)state;
    const uint64_t wide = 32, narrow = 16;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_tensor *t = test_tensor_add(&c, "model.image_newline", FVLM_SOURCE_BF16, 1, &wide);
    double values[32];
    for (size_t i = 0; i < 32; i++) values[i] = t->values[i] = (double)i / 8 - 2;
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    assert_string_equal(verdict(ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"spatial_unpad\""), "");
    const fvlm_recipe *m = test_recipe_find(&r, "projector.newline");
    test_packed p;
    assert_int_equal(test_pack(&p, &r, m, (fvlm_type){0}, &err), FVLM_OK);
    assert_null(p.b);
    for (size_t i = 0; i < 32; i++) assert_true(p.w[i] == values[i]);
    test_packed_free(&p);
    assert_non_null(
        strstr(verdict(ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"spatial\""), "model.image_newline"));
    assert_non_null(strstr(verdict("\"image_aspect_ratio\": \"pad\""), "model.image_newline"));

    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_tensor_add(&c, "model.image_newline", FVLM_SOURCE_BF16, 1, &narrow);
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    assert_string_equal(verdict(ANYRES "[[256, 512]], \"mm_patch_merge_type\": \"spatial_unpad\""),
                        "tensor \"model.image_newline\" is BF16 [16], expected [32]");
}

static int set_up(void **state)
{
    (void)state;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, test_folder(folder));
    test_checkpoint_free(&c);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    test_recipes_close(&r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_or_refused),
        cmocka_unit_test(many_sizes),
        cmocka_unit_test(newline),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
