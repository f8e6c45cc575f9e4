/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_info.c - `fvlm info`: what is inside a file. */
#include <stdlib.h>
#include <string.h>

#include "format/cli/cli.h"
#include "verify/info/info.h"

static bool opt_tensors, opt_json, opt_force;
static const char *opt_dump, *opt_output;
static const fvlm_cli_option options[] = {
    {.name = "tensors", .help = "list every tensor: type, layout, shape, size, how it was made", .flag = &opt_tensors},
    {.name = "json", .help = "print it all as one JSON object", .flag = &opt_json},
    {.name = "dump", .arg = "NAME", .help = "write tensor NAME as f32 in logical order (.npy)", .text = &opt_dump},
    {.name = "output", .letter = 'o', .arg = "FILE", .help = "the file that --dump writes", .text = &opt_output},
    {.name = "force", .help = "let --dump replace an existing FILE", .flag = &opt_force},
    {0},
};

const fvlm_cli_command fvlm_info_command = {
    .name = "info",
    .summary = "what is inside a .fvlm file: architecture, sizes, types, where it came from",
    .positional = "MODEL.fvlm",
    .options = options,
    .examples = "fvlm info fastvlm-int4.fvlm\n"
                "fvlm info fastvlm-int4.fvlm --dump llm.norm.weight -o norm.npy\n",
};

static fvlm_status print_json(const fvlm_info *x, const fvlm_reader *r, fvlm_err *err)
{
    json_t *j = fvlm_info_json(x, r, opt_tensors);
    bool ok = j && json_dumpf(j, stdout, JSON_INDENT(2)) == 0;
    json_decref(j);
    if (ok) putchar('\n');
    return ok ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "cannot print the information as JSON");
}

static fvlm_status run(const char *path, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_info x;
    fvlm_status st = fvlm_reader_open(&r, path, err);
    if (!st && opt_dump) {
        st = fvlm_info_dump(r, opt_dump, opt_output, opt_force, err);
        fvlm_reader_close(&r);
        return st;
    }
    if (!st) st = fvlm_reader_check_unchanged(r, fvlm_info_gather(&x, r, err), err);
    if (!st && opt_json) st = print_json(&x, r, err);
    if (!st && !opt_json) {
        fvlm_info_print(stdout, &x, r);
        if (opt_tensors) fvlm_info_print_tensors(stdout, r);
    }
    fvlm_reader_close(&r);
    if (!st && fflush(stdout) != 0) st = fvlm_fail_errno(err, "cannot write the output");
    return st;
}

int fvlm_cmd_info(int argc, char **argv)
{
    fvlm_cli_list args = {0};
    bool help;
    fvlm_err err = {0};
    fvlm_signals_install();
    fvlm_status st = fvlm_cli_parse(&fvlm_info_command, argc, argv, &args, &help, &err);
    if (!st && !help) {
        if (args.n != 1)
            st = fvlm_fail(&err, FVLM_USAGE, "info takes one file; try 'fvlm info --help'");
        else if (!opt_dump != !opt_output)
            st = fvlm_fail(&err, FVLM_USAGE, "--dump NAME and --output FILE go together; try 'fvlm info --help'");
        else
            st = run(args.items[0], &err);
    }
    fvlm_cli_list_free(&args);
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return st ? fvlm_cli_complain(&err) : 0;
}
