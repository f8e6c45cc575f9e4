/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any words as a command line: parsed or refused with a message; and for quant, any --type and --set, which
 * are regular expressions and names of types, against a model's tensors.
 *
 * Input: u8 command, then arguments with a zero byte after each. */
#include "format/cli/cli.h"
#include "quant/quant.h"
#include "tests/fuzz/harness.h"
#include "tests/support/float_model.h"

static const fvlm_cli_command *const commands[] = {&fvlm_convert_command, &fvlm_quant_command, &fvlm_verify_command,
                                                   &fvlm_run_command,     &fvlm_info_command,  &fvlm_bench_command,
                                                   &fvlm_export_command};
enum { N_COMMANDS = sizeof commands / sizeof *commands, MAX_ARGS = 32, QUANT = 1 };

/* The values of --type, and of each --set REGEX=TYPE, as cmd_quant.c takes them apart. */
static void plan(int argc, char **argv)
{
    static char path[128];
    fvlm_err err = {0};
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/model.fvlm", fuzz_folder());
        MUST(!test_float_model(path, NULL, 0, &err));
    }
    fvlm_quant_rule rules[MAX_ARGS];
    fvlm_quant_options o = {.type = "int8", .rules = rules, .threads = 1};
    for (int i = 1; i < argc; i++) {
        char *equals = strrchr(argv[i], '=');
        if (equals) {
            *equals = '\0';
            rules[o.n_rules++] = (fvlm_quant_rule){argv[i], equals + 1};
        } else {
            o.type = argv[i];
        }
    }
    fvlm_quantization *q;
    const fvlm_status st = fvlm_quantization_plan(&q, path, &o, &err);
    must_explain(st, &err);
    fvlm_quantization_free(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) return 0;
    char *text = calloc(size + 1, 1), *argv[MAX_ARGS + 2] = {NULL};
    int argc = 1;
    MUST(text);
    memcpy(text, data + 1, size - 1);
    const fvlm_cli_command *command = commands[data[0] % N_COMMANDS];
    argv[0] = (char *)(uintptr_t)command->name;
    for (char *p = text; p < text + size - 1 && argc <= MAX_ARGS; p += strlen(p) + 1) argv[argc++] = p;
    fvlm_cli_list args = {0};
    fvlm_err err = {0};
    must_explain(fvlm_cli_parse(command, argc, argv, &args, &err), &err);
    for (size_t i = 0; i < args.n; i++) MUST(args.items[i] >= text && args.items[i] < text + size);
    fvlm_cli_list_free(&args);
    for (const fvlm_cli_option *o = command->options; o->name; o++)
        if (o->list) fvlm_cli_list_free(o->list);
    if (data[0] % N_COMMANDS == QUANT) plan(argc, argv);
    free(text);
    return 0;
}
