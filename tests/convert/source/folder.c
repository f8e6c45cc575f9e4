/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a folder is a whole checkpoint or refused with one line: shards held against their index, hostile names in
 * it. Exact messages. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

static char folder[256];
static fvlm_err err;

/* The folder's verdict, with the folder's own path taken out. */
static const char *verdict(void)
{
    test_recipes r;
    err = (fvlm_err){0};
    if (!test_recipes_open(&r, folder, &err)) test_recipes_close(&r);
    test_hide_folder(err.msg, folder);
    return err.msg;
}

static void write_fresh(void)
{
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
}

/* ---- shards ---- */

#define INDEX "model.safetensors.index.json"

/* Three shards; the map says what the shards hold, but for tensor 'moved', which it puts in 'to' (NULL: leaves out). */
static void write_shards(const test_checkpoint *c, size_t moved, const char *to)
{
    const size_t cut[] = {0, c->n / 3, c->n / 2, c->n};
    static char index[65536];
    size_t n = (size_t)sprintf(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    bool first = true;
    for (size_t s = 0; s < 3; s++) {
        char name[64];
        size_t n_bytes;
        snprintf(name, sizeof name, "model-0000%zu-of-00003.safetensors", s + 1);
        uint8_t *bytes = test_checkpoint_bytes(c, cut[s], cut[s + 1], &n_bytes);
        char *path = test_path(folder, name);
        assert_true(test_write_file(path, bytes, n_bytes));
        free(path);
        free(bytes);
        for (size_t i = cut[s]; i < cut[s + 1]; i++) {
            const char *where = i == moved ? to : name;
            if (where) n += (size_t)sprintf(index + n, "%s\"%s\": \"%s\"", first ? "" : ", ", c->items[i].name, where);
            if (where) first = false;
        }
    }
    sprintf(index + n, "}}");
    test_write_text(folder, INDEX, index);
    test_remove_file(folder, "model.safetensors");
}

static void sharded_is_the_same(void **state)
{
    (void)state;
    test_checkpoint c;
    test_recipes whole, parts;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    write_fresh();
    assert_int_equal(test_recipes_open(&whole, folder, &err), FVLM_OK);
    write_shards(&c, c.n, NULL);
    if (test_recipes_open(&parts, folder, &err)) fail_msg("%s", err.msg);
    assert_int_equal(whole.names.recipes.n, parts.names.recipes.n);
    for (size_t i = 0; i < whole.names.recipes.n; i++) {
        test_packed a, b;
        assert_int_equal(test_pack(&a, &whole, &whole.names.recipes.items[i], (fvlm_type){0}, &err), FVLM_OK);
        assert_int_equal(test_pack(&b, &parts, &parts.names.recipes.items[i], (fvlm_type){0}, &err), FVLM_OK);
        assert_memory_equal(a.weight, b.weight, a.weight_bytes);
        assert_int_equal(a.bias_bytes, b.bias_bytes);
        if (a.bias) assert_memory_equal(a.bias, b.bias, a.bias_bytes);
        test_packed_free(&a);
        test_packed_free(&b);
    }
    test_recipes_close(&whole);
    test_recipes_close(&parts);
    test_checkpoint_free(&c);
}

static void index_refusals(void **state)
{
    (void)state;
    test_checkpoint c;
    char want[400];
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    write_fresh();
    static const struct {
        const char *to, *message;
    } moves[] = {
        {NULL,
         "1 tensor is missing: \"%s\"; a shard holds it, but the index does not list it: download the index again"},
        {"model-00002-of-00003.safetensors",
         "\"" INDEX "\" says that tensor \"%s\" is in \"model-00002-of-00003.safetensors\", but it is not"},
        {"gone.safetensors",
         "\"" INDEX "\" names the shard \"gone.safetensors\", which is not in the folder; download it%.0s"},
        {"../x", "\"" INDEX
                 "\": weight_map[\"%s\"] is \"../x\"; a shard must be a plain file name, in the folder of the index"},
        {"/etc/passwd",
         "\"" INDEX
         "\": weight_map[\"%s\"] is \"/etc/passwd\"; a shard must be a plain file name, in the folder of the index"},
        {"sub/x", "\"" INDEX
                  "\": weight_map[\"%s\"] is \"sub/x\"; a shard must be a plain file name, in the folder of the index"},
        {"..",
         "\"" INDEX "\": weight_map[\"%s\"] is \"..\"; a shard must be a plain file name, in the folder of the index"},
        {"",
         "\"" INDEX "\": weight_map[\"%s\"] is \"\"; a shard must be a plain file name, in the folder of the index"},
        {"a\\\\b", "\"" INDEX
                   "\": weight_map[\"%s\"] is \"a\\b\"; a shard must be a plain file name, in the folder of the index"},
    };
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        write_shards(&c, 3, moves[i].to);
        snprintf(want, sizeof want, moves[i].message, c.items[3].name);
        assert_string_equal(verdict(), want);
    }
    write_shards(&c, c.n, NULL); /* a name that no shard holds */
    size_t n;
    char *path = test_path(folder, INDEX), *text = (char *)test_read_file(path, &n), longer[65536];
    snprintf(longer, sizeof longer, "%.*s, \"ghost\": \"model-00001-of-00003.safetensors\"}}", (int)n - 2, text);
    test_write_text(folder, INDEX, longer);
    assert_string_equal(verdict(),
                        "\"" INDEX
                        "\" says that tensor \"ghost\" is in \"model-00001-of-00003.safetensors\", but it is not");
    free(path);
    free(text);
    static const struct {
        const char *index, *message;
    } texts[] = {
        {"{\"weight_map\": {\"a\": 1}}",
         "\"" INDEX "\": weight_map[\"a\"] is a whole number, expected a shard's file name"},
        {"{\"weight_map\": []}", "\"" INDEX "\": weight_map is an array, expected an object"},
        {"{}", "\"" INDEX "\": weight_map is missing, expected an object"},
        {"{\"weight_map\": {}}", "\"F\" has no tensors"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        test_write_text(folder, INDEX, texts[i].index);
        assert_string_equal(verdict(), texts[i].message);
    }
    test_checkpoint_free(&c);
}

static void same_tensor_twice(void **state)
{
    (void)state;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    write_shards(&c, c.n, NULL);
    size_t n_bytes;
    uint8_t *bytes =
        test_checkpoint_bytes(&c, c.n / 3 - 1, c.n / 2, &n_bytes); /* the second shard, and one of the first */
    char *path = test_path(folder, "model-00002-of-00003.safetensors"), want[400];
    assert_true(test_write_file(path, bytes, n_bytes));
    snprintf(want, sizeof want,
             "tensor \"%s\" is in \"model-00001-of-00003.safetensors\" and in \"model-00002-of-00003.safetensors\"; "
             "download the folder again",
             c.items[c.n / 3 - 1].name);
    assert_string_equal(verdict(), want);
    free(bytes);
    free(path);
    test_checkpoint_free(&c);
}

static void no_regular_file(void **state)
{
    (void)state;
    write_fresh();
    test_remove_file(folder, INDEX);
    test_remove_file(folder, "model.safetensors");
    assert_string_equal(verdict(), "\"F\" has config.json, but no weights: neither model.safetensors nor " INDEX
                                   "; download them");
    char *path = test_path(folder, "model.safetensors");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_string_equal(verdict(), "\"F/model.safetensors\" is a folder, expected a file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not hang */
    assert_string_equal(verdict(), "\"F/model.safetensors\" is not a regular file");
    unlink(path);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_string_equal(verdict(),
                        "\"F/model.safetensors\" is a link to \"nowhere\", which is missing; run the download again");
    unlink(path);
    free(path);
}

/* Hugging Face's cache: every file is a symlink to somewhere else. */
static void symlinks_are_followed(void **state)
{
    (void)state;
    char other[256];
    test_folder(other);
    write_fresh();
    char *from = test_path(folder, "model.safetensors"), *to = test_path(other, "blob");
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(symlink(to, from), 0);
    assert_string_equal(verdict(), "");
    unlink(from);
    free(from);
    free(to);
}

static int set_up(void **state)
{
    (void)state;
    test_folder(folder);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    static const char *const names[] = {INDEX, "model.safetensors", "model-00001-of-00003.safetensors",
                                        "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) test_remove_file(folder, names[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sharded_is_the_same, clean_up),
        cmocka_unit_test_teardown(index_refusals, clean_up),
        cmocka_unit_test_teardown(same_tensor_twice, clean_up),
        cmocka_unit_test_teardown(no_regular_file, clean_up),
        cmocka_unit_test_teardown(symlinks_are_followed, clean_up),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
