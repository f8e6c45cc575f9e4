/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - writes the small random checkpoint of tests/support/checkpoint.h into a folder, for tests/cli.
 *
 *   checkpoint FOLDER {fused|train} {f32|f16|bf16} [CHANGE]...
 *
 *   set NAME INDEX VALUE    one element of a tensor
 *   remove NAME             a tensor
 *   rename FROM TO          every tensor whose name begins with FROM: TO in its place
 *   add NAME DTYPE N        a vector of zeros
 *   retype NAME DTYPE       a tensor's type
 *   note KEY VALUE          in __metadata__
 *   config FROM TO          the first FROM in config.json becomes TO
 *   pack MODULE BITS        the weight as MLX packs it: BITS bits that divide 32, groups of 32, scales in bf16
 *   columns MODULE gptq|awq the weight as GPTQ or AWQ packs it: 4 bits, groups of 32, scales in f16
 *   shards N                N shards and an index instead of model.safetensors; the last change */
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/support.h"

static const char *const *args;
static int n_args;

static void rename_all(test_checkpoint *c, const char *from, const char *to)
{
    size_t n = strlen(from);
    bool found = false;
    for (size_t i = 0; i < c->n; i++) {
        char rest[256];
        if (strncmp(c->items[i].name, from, n)) continue;
        found = true;
        snprintf(rest, sizeof rest, "%s", c->items[i].name + n);
        snprintf(c->items[i].name, sizeof c->items[i].name, "%.100s%.150s", to, rest);
    }
    assert_true(found);
}

static void write_shards(const test_checkpoint *c, size_t n_shards, const char *folder)
{
    char *index = malloc(64 + 400 * c->n), name[64];
    size_t n = (size_t)sprintf(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (size_t s = 0; s < n_shards; s++) {
        size_t n_bytes, first = s * c->n / n_shards, end = (s + 1) * c->n / n_shards;
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", s + 1, n_shards);
        uint8_t *bytes = test_checkpoint_bytes(c, first, end, &n_bytes);
        char *path = test_path(folder, name);
        assert_true(test_write_file(path, bytes, n_bytes));
        free(path);
        free(bytes);
        for (size_t i = first; i < end; i++)
            n += (size_t)sprintf(index + n, "%s\n\"%s\": \"%s\"", i ? "," : "", c->items[i].name, name);
    }
    sprintf(index + n, "\n}}\n");
    test_write_text(folder, "model.safetensors.index.json", index);
    test_remove_file(folder, "model.safetensors");
    free(index);
}

/* Makes the change at args[i]; returns the number of its arguments, 0 if it is unknown. */
static int change(test_checkpoint *c, int i)
{
    const char *what = args[i], *const *a = args + i + 1;
    const int n = n_args - i - 1;
    if (!strcmp(what, "set") && n >= 3) {
        test_tensor *t = test_tensor_find(c, a[0]);
        size_t at = (size_t)strtoul(a[1], NULL, 10);
        assert_true(at < t->n);
        t->values[at] = strtod(a[2], NULL);
        return 3;
    }
    if (!strcmp(what, "remove") && n >= 1) {
        test_tensor_remove(c, a[0]);
        return 1;
    }
    if (!strcmp(what, "add") && n >= 3) {
        const uint64_t dim = strtoul(a[2], NULL, 10);
        test_tensor *t = test_tensor_add(c, a[0], fvlm_source_type_parse(a[1]), 1, &dim);
        memset(t->values, 0, t->n * sizeof *t->values);
        return 3;
    }
    if (n < 2) return 0;
    if (!strcmp(what, "rename"))
        rename_all(c, a[0], a[1]);
    else if (!strcmp(what, "retype"))
        test_tensor_find(c, a[0])->type = fvlm_source_type_parse(a[1]);
    else if (!strcmp(what, "pack"))
        test_checkpoint_pack(c, a[0], (unsigned)strtoul(a[1], NULL, 10));
    else if (!strcmp(what, "columns"))
        test_checkpoint_pack_columns(c, a[0], !strcmp(a[1], "awq"));
    else if (!strcmp(what, "note"))
        snprintf(c->notes + strlen(c->notes), sizeof c->notes - strlen(c->notes), ",\"%s\":\"%s\"", a[0], a[1]);
    else if (!strcmp(what, "config"))
        test_config_replace(c, a[0], a[1]);
    else
        return 0;
    return 2;
}

/* Runs as a cmocka test, because the helpers assert. */
static void write_it(void **state)
{
    (void)state;
    test_checkpoint c;
    unsigned type = !strcmp(args[2], "f32")   ? FVLM_SOURCE_F32
                    : !strcmp(args[2], "f16") ? FVLM_SOURCE_F16
                                              : FVLM_SOURCE_BF16;
    test_checkpoint_make(&c, !strcmp(args[1], "train"), type);
    size_t n_shards = 0;
    for (int i = 3; i < n_args; i++) {
        if (!strcmp(args[i], "shards") && i + 2 == n_args) {
            n_shards = strtoul(args[++i], NULL, 10);
            continue;
        }
        const int n = change(&c, i);
        if (n == 0) fail_msg("unknown change %s", args[i]);
        i += n;
    }
    test_checkpoint_write(&c, args[0]);
    if (n_shards) write_shards(&c, n_shards, args[0]);
    test_checkpoint_free(&c);
}

int main(int argc, char **argv)
{
    args = (const char *const *)argv + 1;
    n_args = argc - 1;
    if (n_args < 3) {
        fprintf(stderr, "usage: checkpoint FOLDER fused|train f32|f16|bf16 [change]...\n");
        return 2;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(write_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
