/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_convert.c - `fvlm convert`: turns a checkpoint into a .fvlm file. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/conversion_report.h"
#include "format/base/json.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"

static struct {
    const char *output, *type, *tokenizer, *head, *variant, *quantized, *conversation, *dialect, *vision;
    bool dry_run, json, verbose, quiet, force;
    uint64_t threads;
} opt;

static const fvlm_cli_option options[] = {
    FVLM_CLI_OUTPUT(&opt.output),
    {.name = "type",
     .arg = "TYPE",
     .help = "store every tensor in this type",
     .choices = "f32|bf16|f16",
     .hint = "for int8 and int4 run 'fvlm quant' on the result",
     .preset = "as stored",
     .text = &opt.type},
    {.name = "tokenizer",
     .arg = "FILE",
     .help = "which counts if two differ",
     .choices = "tokenizer.json|vocab.json|tokenizer.model",
     .preset = "refuse",
     .text = &opt.tokenizer},
    {.name = "head",
     .arg = "WHICH",
     .help = "head, if the files disagree",
     .choices = "own|tied",
     .preset = "refuse; own for ONNX",
     .text = &opt.head},
    {.name = "chat",
     .arg = "NAME",
     .help = "prompt template, by LLaVA's name such as v1 (default as stated)",
     .text = &opt.conversation},
    {.name = "variant",
     .arg = "SUFFIX",
     .help = "files of an ONNX folder",
     .choices = FVLM_CONVERT_VARIANTS,
     .preset = "fp32, or the only one",
     .text = &opt.variant},
    {.name = "quantized",
     .arg = "HOW",
     .help = "quantized weights",
     .choices = "keep|float",
     .preset = "keep where the groups fit",
     .text = &opt.quantized},
    {.name = "dialect",
     .arg = "NAME",
     .help = "whose tensor names these are, such as timm",
     .words = FVLM_CONVERT_DIALECTS,
     .preset = "recognized",
     .text = &opt.dialect},
    {.name = "vision",
     .arg = "FOLDER",
     .help = "take the vision tower from here, if the checkpoint has none",
     .text = &opt.vision},
    FVLM_CLI_DRY_RUN(&opt.dry_run),
    FVLM_CLI_FORCE(&opt.force),
    FVLM_CLI_VERBOSE(&opt.verbose),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    {0},
};

static int type_width = 5; /* of the table's column */

static void print_row(const char *part, const char *type, size_t tensors, size_t fused, uint64_t params, uint64_t bytes)
{
    char size[16], number[24] = "-";
    if (fused) snprintf(number, sizeof number, "%zu", fused);
    printf("%-16s %-*s %8zu %6s %13" PRIu64 " %9s\n", part, type_width, type, tensors, number, params,
           fvlm_human_bytes(bytes, size));
}

static void print_plan(const fvlm_conversion_report *r)
{
    uint64_t params = 0;
    size_t fused = 0;
    for (size_t i = 0; i < r->n_shares; i++)
        if (r->shares[i].type.kind == FVLM_INT) type_width = 13;
    printf("%-16s %-*s %8s %6s %13s %9s\n", "part", type_width, "type", "tensors", "fused", "parameters", "size");
    for (size_t i = 0; i < r->n_shares; i++) {
        const fvlm_conversion_share *s = &r->shares[i];
        char type[24];
        print_row(fvlm_part_name(s->part), fvlm_type_name(s->type, type), s->n_tensors, s->n_fused, s->n_params,
                  s->n_bytes);
        params += s->n_params;
        fused += s->n_fused;
    }
    print_row("total", "", r->n_tensors, fused, params, r->tensor_bytes);
}

static void print_dropped(const fvlm_conversion_report *r)
{
    char size[16];
    for (size_t i = 0; i < r->n_dropped; i++)
        fvlm_terminal_print(stdout, "dropped   %zu tensor%s: %s (%s)\n", r->dropped[i].n_tensors,
                            r->dropped[i].n_tensors == 1 ? "" : "s", r->dropped[i].rule,
                            fvlm_human_bytes(r->dropped[i].n_bytes, size));
    if (r->rows_dropped) printf("dropped   %" PRIu64 " unreachable embedding rows\n", r->rows_dropped);
}

static void print_tensors(const fvlm_conversion *c, const fvlm_conversion_report *r)
{
    for (size_t i = 0; i < r->n_tensors; i++) {
        fvlm_conversion_origin o;
        fvlm_conversion_describe_tensor(c, i, &o);
        if (o.n_from == 1)
            fvlm_terminal_print(stdout, "%-40s %s", o.name, o.from[0]);
        else
            fvlm_terminal_print(stdout, "%-40s %zu sources", o.name, o.n_from);
        for (size_t j = 0; j < o.n_steps; j++) fvlm_terminal_print(stdout, "%s %s", j ? "," : ":", o.steps[j]);
        if (o.error >= 0 && r->written) printf(" (error %.1e)", o.error);
        if (o.rounding > 0 && r->written) printf(" (scales rounded to bf16, error %.1e)", o.rounding);
        putchar('\n');
    }
}

static void print_summary(const fvlm_conversion_report *r, uint64_t file_bytes)
{
    char size[16], peak[16];
    fvlm_terminal_print(stdout, "wrote     %s: %zu tensors, %s, in %.1f s, peak memory %s\n", opt.output, r->n_tensors,
                        fvlm_human_bytes(file_bytes, size), r->seconds,
                        fvlm_human_bytes(r->peak_anonymous_bytes, peak));
    if (r->worst_module)
        fvlm_terminal_print(stdout, "fused     %zu modules; fused and unfused differ by at most %.1e in f64 (%s)\n",
                            r->n_fused, r->worst_error, r->worst_module);
}

static void print_quantized(const fvlm_conversion_report *r)
{
    if (r->n_codes)
        fvlm_terminal_print(stdout, "quantized %zu weight%s: codes kept", r->n_codes, r->n_codes == 1 ? "" : "s");
    if (r->n_codes && r->written && !r->worst_rounded) printf(", every value exactly as in the source");
    if (r->n_codes && r->written && r->worst_rounded)
        fvlm_terminal_print(stdout,
                            "; scales of %zu rounded to bf16: relative error %.1e overall (root mean square), %.1e "
                            "at worst (%s)",
                            r->n_codes - r->n_codes_exact, r->rounding, r->worst_rounding, r->worst_rounded);
    if (r->n_codes) putchar('\n');
    char type[24];
    if (r->requantize.kind)
        fvlm_terminal_print(stdout,
                            "rounding  of 8-bit scales and offsets costs more than '--quantized float' and then "
                            "'fvlm quant --type %s'\n",
                            fvlm_type_name(r->requantize, type));
    if (r->n_dequantized)
        fvlm_terminal_print(stdout,
                            "quantized %zu weight%s: stored as floats; 'fvlm quant' makes them int8 or int4 again\n",
                            r->n_dequantized, r->n_dequantized == 1 ? "" : "s");
}

/* A folder of Hugging Face's cache led to another, which is not in the path that was given. */
static void print_source(const fvlm_conversion_report *r, const char *given)
{
    const size_t n = strlen(r->folder);
    if (strcmp(r->folder, ".") && (strncmp(given, r->folder, n) || (given[n] && given[n] != '/')))
        fvlm_terminal_print(stdout, "source    %s\n", r->folder);
}

static fvlm_status print_report(const fvlm_conversion *c, const char *given, fvlm_err *err)
{
    fvlm_conversion_report r;
    struct stat about;
    fvlm_conversion_describe(c, &r);
    for (size_t i = 0; i < r.n_warnings && !opt.quiet; i++)
        fvlm_terminal_print(stderr, "fvlm: warning: %s\n", r.warnings[i]);
    const uint64_t file_bytes = r.written && stat(opt.output, &about) == 0 ? (uint64_t)about.st_size : 0;
    if (opt.json) {
        json_t *j = fvlm_conversion_report_json(c, &r, opt.verbose);
        if (r.written) fvlm_json_set(&j, "file", fvlm_json_lossy_string(opt.output));
        if (r.written) fvlm_json_set(&j, "file_bytes", json_integer((json_int_t)file_bytes));
        return fvlm_cli_print_json(j, err);
    }
    if (opt.quiet) return FVLM_OK;
    print_source(&r, given);
    if (r.dialect && strcmp(r.dialect, "apple"))
        fvlm_terminal_print(stdout, "dialect   %s: names of %s\n", r.dialect, r.dialect_what);
    for (size_t i = 0; i < r.n_notes; i++) fvlm_terminal_print(stdout, "%-9s %s\n", r.notes_about, r.notes[i]);
    if (opt.verbose) print_tensors(c, &r);
    if (r.written)
        print_summary(&r, file_bytes);
    else
        print_plan(&r);
    print_quantized(&r);
    print_dropped(&r);
    if (r.conversation) fvlm_terminal_print(stdout, "prompt    %s, %s\n", r.conversation, r.conversation_why);
    return FVLM_OK;
}

/* Options that would do nothing for this checkpoint. --head may be given where there is nothing to choose, but not
 * where the result would be the other head. */
static fvlm_status check_fit(const fvlm_conversion *c, const char *given, fvlm_err *err)
{
    fvlm_conversion_report r;
    fvlm_conversion_describe(c, &r);
    const char *of_llm = opt.head ? "head" : opt.tokenizer ? "tokenizer" : opt.conversation ? "chat" : NULL;
    if (of_llm && !fvlm_config_has_llm(r.config))
        return fvlm_fail(err, FVLM_USAGE, "--%s: \"%s\" has no language model; leave the option out", of_llm, given);
    if (opt.quantized && !r.n_codes && !r.n_dequantized)
        return fvlm_fail(err, FVLM_USAGE, "--quantized: \"%s\" has no quantized weights; leave the option out", given);
    if (opt.head && !strcmp(opt.head, "tied") && !r.config->llm.tied)
        return fvlm_fail(
            err, FVLM_USAGE,
            "--head tied: config.json does not tie the head, and lm_head.weight differs from the embedding; "
            "leave the option out");
    if (opt.head && !strcmp(opt.head, "own") && !r.head_stored)
        return fvlm_fail(err, FVLM_USAGE,
                         "--head own: the checkpoint stores no head beside the embedding; leave the option out");
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    if (!opt.output && !opt.dry_run) return fvlm_cli_no_output(err);
    fvlm_progress bar;
    fvlm_convert_options o = {.type = opt.type,
                              .tokenizer = opt.tokenizer,
                              .head = opt.head,
                              .conversation = opt.conversation,
                              .variant = opt.variant,
                              .quantized = opt.quantized,
                              .dialect = opt.dialect,
                              .vision = opt.vision,
                              .threads = (unsigned)opt.threads,
                              .force = opt.force,
                              .progress = fvlm_progress_update,
                              .progress_ctx = &bar,
                              .stop = fvlm_cli_stop()};
    fvlm_conversion *c;
    fvlm_status st = fvlm_conversion_plan(&c, args->items[0], &o, err);
    if (!st) st = check_fit(c, args->items[0], err);
    if (!st && !opt.dry_run) {
        fvlm_progress_start(&bar, "convert", opt.quiet || opt.json);
        st = fvlm_conversion_write(c, opt.output, err);
        fvlm_progress_end(&bar);
    }
    if (!st) st = print_report(c, args->items[0], err);
    fvlm_conversion_free(&c);
    return st;
}

const fvlm_cli_command fvlm_convert_command = {
    .name = "convert",
    .summary = "fuse and pack a checkpoint (safetensors or ONNX) into one .fvlm file",
    .args = "CHECKPOINT",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm convert FastVLM-0.5B -o fastvlm.fvlm\n"
                "fvlm convert FastVLM-0.5B-ONNX --variant q4 -o fastvlm-q4.fvlm\n",
    .run = run,
};
