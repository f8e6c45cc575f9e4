/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the config's tiles are read completely or refused by name; a file has the must-understand bit exactly if its
 * config has tiles, so that an older reader refuses it. */
#include "format/config.h"
#include "tests/support/check.h"
#include "tests/support/random_model.h"
#include "tests/support/repair.h"
#include "tests/support/support.h"

/* The sample config, whose image_size is 64, with these tiles. */
static fvlm_status verdict(fvlm_config *c, const char *tiles, fvlm_err *err)
{
    test_config(c);
    c->vision.image_size = 64;
    json_t *all = fvlm_config_to_json(c), *t = json_loads(tiles, JSON_DECODE_ANY, NULL);
    assert_non_null(t);
    json_object_set_new(all, "tiles", t);
    *err = (fvlm_err){0};
    const fvlm_status st = fvlm_config_from_json(c, all, err);
    if (!st) {
        json_t *again = fvlm_config_to_json(c);
        assert_true(json_equal(all, again));
        json_decref(again);
    }
    json_decref(all);
    return st;
}

static void read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *tiles;
        fvlm_status status;
        const char *message;
    } cases[] = {
        {"{\"sizes\": [[64, 64]], \"merge\": \"flat\"}", FVLM_OK, ""},
        {"{\"sizes\": [[128, 64], [4096, 4096]], \"merge\": \"spatial\"}", FVLM_OK, ""},
        {"{\"sizes\": [[64, 128]], \"merge\": \"spatial_unpad\"}", FVLM_OK, ""},
        {"{\"merge\": \"flat\"}", FVLM_BAD_INPUT, "config.tiles.sizes is missing, expected an array"},
        {"{\"sizes\": [[64, 64]]}", FVLM_BAD_INPUT, "config.tiles.merge is missing, expected a string"},
        {"{\"sizes\": [], \"merge\": \"flat\"}", FVLM_LIMIT, "config.tiles.sizes has 0 entries, expected 1 to 256"},
        {"{\"sizes\": [[64, 64]], \"merge\": \"maxpool2x2\"}", FVLM_UNSUPPORTED,
         "config.tiles.merge is \"maxpool2x2\", expected \"flat\", \"spatial\" or \"spatial_unpad\""},
        {"{\"sizes\": [64], \"merge\": \"flat\"}", FVLM_BAD_INPUT, "config.tiles.sizes[0] is not [width, height]"},
        {"{\"sizes\": [[64, 64], [64]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[1] is not [width, height]"},
        {"{\"sizes\": [[64, 96]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[0][1] is not a multiple of config.vision.image_size (64) up to 4096"},
        {"{\"sizes\": [[4160, 64]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[0][0] is not a multiple of config.vision.image_size (64) up to 4096"},
        {"{\"sizes\": [[0, 64]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[0][0] is not a multiple of config.vision.image_size (64) up to 4096"},
        {"{\"sizes\": [[64, -64]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[0][1] is not a multiple of config.vision.image_size (64) up to 4096"},
        {"{\"sizes\": [[64.0, 64]], \"merge\": \"flat\"}", FVLM_BAD_INPUT,
         "config.tiles.sizes[0][0] is not a multiple of config.vision.image_size (64) up to 4096"},
        {"7", FVLM_BAD_INPUT, "config.tiles is a whole number, expected an object"},
    };
    fvlm_config c;
    fvlm_err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const fvlm_status st = verdict(&c, cases[i].tiles, &err);
        if (st != cases[i].status || strcmp(err.msg, cases[i].message))
            fail_msg("%s: status %d, \"%s\"", cases[i].tiles, st, err.msg);
    }
    for (size_t n = 256; n <= 257; n++) {
        json_t *sizes = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(sizes, json_pack("[i, i]", 64, 128));
        json_t *tiles = json_pack("{s:o, s:s}", "sizes", sizes, "merge", "flat");
        char *text = json_dumps(tiles, 0);
        assert_int_equal(verdict(&c, text, &err), n == 256 ? FVLM_OK : FVLM_LIMIT);
        free(text);
        json_decref(tiles);
    }
}

static void header_and_config(void **state)
{
    (void)state;
    char folder[256];
    char *path = test_path(test_folder(folder), "model.fvlm");
    for (unsigned tiled = 0; tiled < 2; tiled++) {
        random_model r = random_model_small();
        test_image x;
        fvlm_err err = {0};
        r.config.tiles.n_sizes = tiled;
        r.config.tiles.merge = tiled ? FVLM_MERGE_UNPAD : 0;
        r.config.tiles.size[0][0] = r.config.tiles.size[0][1] = tiled ? r.config.vision.image_size : 0;
        if (random_model_write(&r, path, &err)) fail_msg("%s", err.msg);
        x.bytes = test_read_file(path, &x.n_bytes);
        assert_int_equal(fvlm_load_u64(x.bytes + 16), tiled ? 8 : 0);
        assert_int_equal(test_try(&x, &err), FVLM_OK);
        x.bytes[16] ^= 8;
        test_repair(&x);
        assert_int_equal(test_try(&x, &err), FVLM_BAD_INPUT);
        if (!strstr(err.msg,
                    tiled ? "its header says that pictures are not divided into tiles, its config that they are"
                          : "its header says that pictures are divided into tiles, its config that they are not"))
            fail_msg("%s", err.msg);
        free(x.bytes);
        remove(path);
    }
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_or_refused),
        cmocka_unit_test(header_and_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
