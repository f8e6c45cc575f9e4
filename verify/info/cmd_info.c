/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_info.c - `fvlm info`: what is inside a file. */
#include <inttypes.h>
#include <stdio.h>

#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/terminal.h"
#include "verify/info/info.h"

static struct {
    const char *dump, *output;
    bool tensors, json, force, quiet;
} opt;

static const fvlm_cli_option options[] = {
    {.name = "tensors", .help = "list every tensor: type, layout, shape, size, origin", .flag = &opt.tensors},
    {.name = "dump",
     .arg = "TENSOR",
     .help = "write this tensor to FILE as f32 in logical order (.npy)",
     .text = &opt.dump},
    FVLM_CLI_OUTPUT(&opt.output),
    FVLM_CLI_FORCE(&opt.force),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    {0},
};

static fvlm_status print(const fvlm_info *x, const fvlm_reader *r, fvlm_err *err)
{
    if (opt.json) return fvlm_cli_print_json(fvlm_info_json(x, r, opt.tensors), err);
    if (opt.quiet) return FVLM_OK;
    fvlm_info_print(stdout, x, r);
    if (opt.tensors) fvlm_info_print_tensors(stdout, r);
    return FVLM_OK;
}

static fvlm_status dump(const fvlm_reader *r, fvlm_err *err)
{
    const fvlm_status st = fvlm_info_dump(r, opt.dump, opt.output, opt.force, fvlm_cli_stop(), err);
    const fvlm_tensor *t = fvlm_reader_find(r, opt.dump);
    if (st || opt.quiet) return st;
    fvlm_terminal_print(stderr, "wrote      %s: ", opt.output);
    for (unsigned i = 0; i < t->rank; i++) fprintf(stderr, "%s%" PRIu64, i ? " x " : "", t->dims[i]);
    fputs(", f32\n", stderr);
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_info x;
    if (!opt.dump != !opt.output)
        return fvlm_fail(err, FVLM_USAGE, "--dump TENSOR and --output FILE must be given together");
    if (opt.force && !opt.output) return fvlm_fail(err, FVLM_USAGE, "--force replaces a file; give -o FILE, too");
    if (opt.dump && (opt.json || opt.tensors))
        return fvlm_fail(err, FVLM_USAGE, "--dump writes the tensor to FILE; leave out --json and --tensors");
    fvlm_status st = fvlm_reader_open(&r, args->items[0], err);
    if (!st && opt.dump)
        st = dump(r, err);
    else if (!st) {
        st = fvlm_reader_check_unchanged(r, fvlm_info_gather(&x, r, err), err);
        if (!st) st = print(&x, r, err);
    }
    fvlm_reader_close(&r);
    return st;
}

const fvlm_cli_command fvlm_info_command = {
    .name = "info",
    .summary = "show what is inside a .fvlm file: architecture, types, sizes, origin",
    .args = "MODEL.fvlm",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm info fastvlm-int4.fvlm\n"
                "fvlm info fastvlm-int4.fvlm --dump llm.norm.weight -o norm.npy\n",
    .run = run,
};
