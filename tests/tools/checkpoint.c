/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - writes the small random checkpoint of tests/support/checkpoint.h into a folder, for tests/cli.
 *
 *   checkpoint FOLDER {fused|train} {f32|f16|bf16} [set NAME INDEX VALUE | remove NAME | rename FROM TO]... */
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"

static const char *const *args;
static int n_args;

/* Runs as a cmocka test, because the helpers assert. */
static void write_it(void **state)
{
    (void)state;
    test_checkpoint c;
    unsigned type = !strcmp(args[2], "f32")   ? FVLM_SOURCE_F32
                    : !strcmp(args[2], "f16") ? FVLM_SOURCE_F16
                                              : FVLM_SOURCE_BF16;
    test_checkpoint_make(&c, !strcmp(args[1], "train"), type);
    for (int i = 3; i < n_args; i++) {
        const char *what = args[i];
        if (!strcmp(what, "set") && i + 3 < n_args) {
            test_tensor *t = test_tensor_find(&c, args[i + 1]);
            size_t at = (size_t)strtoul(args[i + 2], NULL, 10);
            assert_true(at < t->n);
            t->values[at] = strtod(args[i + 3], NULL);
            i += 3;
        } else if (!strcmp(what, "remove") && i + 1 < n_args) {
            test_tensor_remove(&c, args[++i]);
        } else if (!strcmp(what, "rename") && i + 2 < n_args) {
            test_tensor *t = test_tensor_find(&c, args[i + 1]);
            snprintf(t->name, sizeof t->name, "%s", args[i + 2]);
            i += 2;
        } else {
            fail_msg("unknown change %s", what);
        }
    }
    test_checkpoint_write(&c, args[0]);
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
