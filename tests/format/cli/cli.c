/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a misused option is named, suggested if it was nearly right, and ends in usage status;
 * numbers are taken strictly; numbers for people are short and right. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/cli/cli.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"
#include "tests/support/check.h"

static bool quiet, verbose;
static const char *output;
static uint64_t threads;
static double top_p;
static uint64_t runs;
static const char *act;
static fvlm_cli_numbers sizes;
static fvlm_cli_list rules, args;
static const fvlm_cli_option options[] = {
    {.name = "output", .letter = 'o', .arg = "FILE", .help = "where to write", .text = &output},
    {.name = "threads", .arg = "N", .help = "how many", .number = &threads},
    {.name = "runs", .arg = "N", .help = "runs", .min = 2, .max = 9, .number = &runs},
    {.name = "cores", .arg = "N", .help = "cores", .max = 9, .capped = true, .number = &runs},
    {.name = "size", .arg = "LIST", .help = "sides", .min = 64, .max = 4096, .numbers = &sizes},
    {.name = "mode", .arg = "MODE", .help = "mode", .choices = "f32|int8|both", .hint = "ask", .text = &act},
    {.name = "top-p", .arg = "P", .help = "nucleus", .real = &top_p},
    {.name = "set", .arg = "RULE", .help = "a rule", .list = &rules},
    {.name = "quiet", .letter = 'q', .help = "say nothing", .flag = &quiet},
    {.name = "verbose", .letter = 'v', .help = "say more", .flag = &verbose},
    {0},
};
static const fvlm_cli_command command = {
    .name = "convert", .summary = "summary", .args = "FOLDER", .max_args = 2, .options = options, .examples = ""};

static fvlm_err err;

static fvlm_status parse(char *a, char *b, char *c)
{
    char *argv[] = {(char *)"convert", a, b, c, NULL};
    int argc = 1;
    while (argv[argc]) argc++;
    quiet = verbose = false;
    output = NULL;
    threads = 99;
    top_p = 99;
    fvlm_cli_list_free(&rules);
    fvlm_cli_list_free(&args);
    memset(&err, 0, sizeof err);
    return fvlm_cli_parse(&command, argc, argv, &args, &err);
}

static char *s(const char *text)
{
    return (char *)(uintptr_t)text; /* argv is not const */
}

static void forms(void **state)
{
    (void)state;
    assert_int_equal(parse(s("--output"), s("f"), s("x")), FVLM_OK);
    assert_string_equal(output, "f");
    assert_int_equal(args.n, 1);
    assert_string_equal(args.items[0], "x");
    assert_int_equal(parse(s("--output=a=b"), NULL, NULL), FVLM_OK);
    assert_string_equal(output, "a=b");
    assert_int_equal(parse(s("-o"), s("f"), NULL), FVLM_OK);
    assert_string_equal(output, "f");
    assert_int_equal(parse(s("-of"), NULL, NULL), FVLM_OK);
    assert_string_equal(output, "f");
    assert_int_equal(parse(s("-qvof"), NULL, NULL), FVLM_OK);
    assert_true(quiet && verbose);
    assert_string_equal(output, "f");
    assert_int_equal(parse(s("--set"), s("a"), s("--set=b")), FVLM_OK);
    assert_int_equal(rules.n, 2);
    assert_string_equal(rules.items[1], "b");
    assert_int_equal(parse(s("--"), s("--output"), s("-q")), FVLM_OK);
    assert_int_equal(args.n, 2);
    assert_int_equal(parse(s("-"), NULL, NULL), FVLM_OK);
    assert_int_equal(args.n, 1);
    assert_int_equal(parse(s("--threads"), s("18446744073709551615"), NULL), FVLM_OK);
    assert_true(threads == UINT64_MAX);
    assert_int_equal(parse(s("--top-p"), s("-0.5e1"), NULL), FVLM_OK);
    assert_true(top_p == -5);
}

static void refuses(char *a, char *b, const char *message)
{
    assert_int_equal(parse(a, b, NULL), FVLM_USAGE);
    char want[256];
    snprintf(want, sizeof want, "%s; try 'fvlm convert --help'", message);
    assert_string_equal(err.msg, want);
}

static void misuse(void **state)
{
    (void)state;
    refuses(s("--outptu"), NULL, "unknown option \"--outptu\", did you mean \"--output\"?");
    refuses(s("--thread=2"), NULL, "unknown option \"--thread\", did you mean \"--threads\"?");
    refuses(s("--quite"), NULL, "unknown option \"--quite\", did you mean \"--quiet\"?");
    refuses(s("--wibble"), NULL, "unknown option \"--wibble\"");
    refuses(s("--x"), NULL, "unknown option \"--x\"");
    refuses(s("-z"), NULL, "unknown option \"-z\"; an argument that begins with - goes after --");
    refuses(s("-qz"), NULL, "unknown option \"-z\"; an argument that begins with - goes after --");
    refuses(s("--output"), NULL, "--output needs FILE");
    refuses(s("-o"), NULL, "--output needs FILE");
    refuses(s("--output"), s("--quiet"), "--output needs FILE");
    refuses(s("-o"), s("-q"), "--output needs FILE");
    refuses(s("--output="), NULL, "--output needs FILE, but it is empty");
    refuses(s("--output=a"), s("-ob"), "--output is given twice");
    refuses(s("--folder"), s("x"), "\"--folder\" is an argument, not an option: fvlm convert FOLDER");
    refuses(s("--help=1"), NULL, "--help takes no value");
    refuses(s("-\xc3\xa9t\xc3\xa9"), NULL,
            "unknown option \"-\xc3\xa9\"; an argument that begins with - goes after --");
    refuses(s("--output"), s("-"), "--output: \"-\" is not a file name; fvlm does not write to standard output");
    refuses(s("--quiet=yes"), NULL, "--quiet takes no value");
    static const char *const numbers[] = {"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.0", "ten"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "--threads: \"%s\" is not a whole number", numbers[i]);
        refuses(s("--threads"), s(numbers[i]), message);
    }
    static const char *const reals[] = {"", "nan", "inf", "1e999", "0x1p3", "1,5", "0.5.", "--"};
    for (size_t i = 0; i + 1 < sizeof reals / sizeof reals[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "--top-p: \"%s\" is not a number", reals[i]);
        refuses(s("--top-p"), s(reals[i]), message);
    }
    refuses(s("--top-p"), s("--"), "--top-p needs P");
    char long_name[300];
    memset(long_name, '-', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(parse(long_name, NULL, NULL), FVLM_USAGE);
    assert_true(strlen(err.msg) < 160);
}

static void ranges(void **state)
{
    (void)state;
    assert_int_equal(parse(s("--runs=2"), NULL, NULL), FVLM_OK);
    assert_true(runs == 2);
    assert_int_equal(parse(s("--runs=9"), NULL, NULL), FVLM_OK);
    refuses(s("--runs=1"), NULL, "--runs: 1 is out of range, 2 to 9");
    refuses(s("--runs=18446744073709551615"), NULL, "--runs: 18446744073709551615 is out of range, 2 to 9");
    /* Threads are capped, however large the number. */
    const unsigned all = fvlm_threads_available();
    static const char *const many_threads[] = {"--cores=9", "--cores=96", "--cores=18446744073709551615",
                                               "--cores=99999999999999999999999999"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(parse(s(many_threads[i]), NULL, NULL), FVLM_OK);
        assert_true(runs == (all < 9 ? all : 9));
    }
    refuses(s("--runs=18446744073709551616"), NULL, "--runs: 18446744073709551616 is out of range, 2 to 9");
    refuses(s("--threads=18446744073709551616"), NULL,
            "--threads: 18446744073709551616 is out of range, 0 to 18446744073709551615");
    refuses(s("--size=64,99999999999999999999"), NULL, "--size: 99999999999999999999 is out of range, 64 to 4096");
    assert_int_equal(parse(s("--size"), s("64,4096"), NULL), FVLM_OK);
    assert_int_equal(sizes.n, 2);
    assert_int_equal(sizes.items[1], 4096);
    refuses(s("--size=64,63"), NULL, "--size: 63 is out of range, 64 to 4096");
    static const char *const lists[] = {"", ",", "64,", ",64", "64,,64", "64 ,64", "x", "64;64"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "--size: \"%s\" is not a list of whole numbers such as 1,2", lists[i]);
        refuses(s("--size"), s(lists[i]), message);
    }
    char many[200] = "64";
    for (int i = 1; i < FVLM_CLI_MAX_NUMBERS; i++) strcat(many, ",64");
    assert_int_equal(parse(s("--size"), many, NULL), FVLM_OK);
    strcat(many, ",64");
    refuses(s("--size"), many, "--size: more than 16 numbers");
    assert_int_equal(parse(s("--mode"), s("int8"), NULL), FVLM_OK);
    assert_string_equal(act, "int8");
    refuses(s("--mode=int"), NULL, "--mode: \"int\" is not f32, int8 or both; ask");
    refuses(s("--mode=f32|int8"), NULL, "--mode: \"f32|int8\" is not f32, int8 or both; ask");
    assert_int_equal(parse(s("a"), s("b"), s("c")), FVLM_USAGE);
    assert_string_equal(err.msg,
                        "expected FOLDER, got 3 arguments; the output goes after -o; try 'fvlm convert --help'");
}

/* Control characters never reach a terminal as they are. */
static void escapes(void **state)
{
    (void)state;
    char *text;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    fvlm_terminal_print(to, "%s|\n", "a\n\t\033[31m\x7f \xc2\x9b\xc2\xa0\xc3\xa9 \xff\xe2\x82 \xe2\x82\xac");
    fvlm_terminal_print(to, "%s", "\r");
    /* bidirectional controls, separators, a byte order mark; not the joiner that emoji use */
    fvlm_terminal_print(to, "%s\n", "\xd8\x9c\xe2\x80\x8e\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf\xe2\x80\x8d");
    fvlm_terminal_write(to, "1\n\t2\033\0\xc2\x85", 8);
    fclose(to);
    assert_string_equal(text, "a\\n\\x09\\x1b[31m\\x7f \\u009b\xc2\xa0\xc3\xa9 \\xff\\xe2\\x82 \xe2\x82\xac|\n"
                              "\\x0d\\u061c\\u200e\\u202e\\u2066\\u2028\\ufeff\xe2\x80\x8d\n1\n\t2\\x1b\\x00\\u0085");
    free(text);
}

static void human_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {999, "999 B"},
                 {1000, "1.00 kB"},
                 {1004, "1.00 kB"},
                 {9994, "9.99 kB"},
                 {9995, "10.0 kB"},
                 {99949, "99.9 kB"},
                 {99950, "100 kB"},
                 {999499, "999 kB"},
                 {999500, "1.00 MB"},
                 {1517667520, "1.52 GB"},
                 {15529176000, "15.5 GB"},
                 {UINT64_MAX, "18.4 EB"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[16];
        assert_string_equal(fvlm_human_bytes(cases[i].n, out), cases[i].text);
    }
}

/* What half-done work of so many seconds leaves on stderr, a terminal or not. A terminal delivers
 * later than write() returns, so reading goes on to an end mark. */
static void progress_text(bool terminal, bool silent, double seconds, char *out, size_t room)
{
    int pipe_ends[2], seen = -1, shown = -1;
    if (terminal) {
        seen = posix_openpt(O_RDWR | O_NOCTTY);
        if (seen < 0) skip(); /* a chroot without /dev/pts */
        assert_int_equal(grantpt(seen) | unlockpt(seen), 0);
        shown = open(ptsname(seen), O_RDWR | O_NOCTTY);
    } else {
        assert_int_equal(pipe(pipe_ends), 0);
        seen = pipe_ends[0];
        shown = pipe_ends[1];
    }
    int kept = dup(STDERR_FILENO);
    dup2(shown, STDERR_FILENO);
    fvlm_progress p;
    fvlm_progress_start(&p, "convert", silent);
    p.started -= seconds;
    p.shown -= seconds;
    fvlm_progress_update(&p, 1, 2);
    p.shown += seconds; /* however long the first took, the second comes too soon after it */
    fvlm_progress_update(&p, 1, 2);
    fvlm_progress_end(&p);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_equal(write(shown, "~", 1), 1);
    size_t n = 0;
    while (n + 1 < room && read(seen, out + n, 1) == 1 && out[n] != '~') n++;
    close(seen);
    close(shown);
    out[n] = 0;
}

static void progress(void **state)
{
    (void)state;
    char text[256];
    progress_text(true, false, 0, text, sizeof text);
    assert_string_equal(text, "");
    progress_text(true, true, 20, text, sizeof text);
    assert_string_equal(text, "");
    progress_text(false, false, 20, text, sizeof text);
    assert_string_equal(text, "");
    progress_text(true, false, 20, text, sizeof text);
    assert_string_equal(text, "\rconvert  50 % ###############............... 20 s left \033[K\r\033[K");
    progress_text(true, false, 600, text, sizeof text);
    assert_non_null(strstr(text, " 10 min left"));
}

static int to_send;

static fvlm_status signalled(const fvlm_cli_list *a, fvlm_err *e)
{
    (void)a;
    if (*fvlm_cli_stop()) _exit(2);
    raise(SIGPIPE); /* ignored */
    if (to_send) raise(to_send);
    if (*fvlm_cli_stop() != (to_send != 0)) _exit(4);
    return fvlm_fail(e, FVLM_INTERRUPTED, "interrupted");
}

/* A signal sets the flag; after clean-up the program dies by it, as a shell expects. Without one it exits with 3. */
static void signals(void **state)
{
    (void)state;
    static const int sent[] = {SIGINT, SIGTERM, SIGHUP, 0};
    static const fvlm_cli_command try_signal = {.name = "try", .args = "", .run = signalled};
    char *argv[] = {"try", NULL};
    for (size_t i = 0; i < 4; i++) {
        to_send = sent[i];
        pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO);
            _exit(fvlm_cli_main(&try_signal, 1, argv));
        }
        int status;
        waitpid(child, &status, 0);
        if (to_send) assert_true(WIFSIGNALED(status) && WTERMSIG(status) == to_send);
        if (!to_send) assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    }
}

static fvlm_status stopped(const fvlm_cli_list *a, fvlm_err *e)
{
    assert_int_equal(a->n, 1);
    raise(SIGINT);
    return fvlm_stop_check(fvlm_cli_stop(), e);
}

static fvlm_status exists(const fvlm_cli_list *a, fvlm_err *e)
{
    return fvlm_fail(e, FVLM_EXISTS, "\"%s\" exists", a->items[0]);
}

/* Runs 'run' as a command with the argument "a\033b" in a child: its stderr, and its wait status. */
static int frame(fvlm_status (*run)(const fvlm_cli_list *, fvlm_err *), char *out, size_t capacity)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        const fvlm_cli_command c = {
            .name = "test", .summary = "", .args = "FILE", .min_args = 1, .max_args = 1, .examples = "", .run = run};
        char *argv[] = {s("test"), s("a\033b"), NULL};
        signal(SIGINT, SIG_DFL); /* a background job of a shell starts with it ignored */
        dup2(ends[1], STDERR_FILENO);
        _exit(fvlm_cli_main(&c, 2, argv));
    }
    close(ends[1]);
    size_t n = 0;
    while (n + 1 < capacity && read(ends[0], out + n, 1) == 1) n++;
    out[n] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

/* Every command ends alike: one line, control characters escaped, and the exit code or the signal. */
static void endings(void **state)
{
    (void)state;
    char text[200];
    int status = frame(stopped, text, sizeof text);
    assert_string_equal(text, "fvlm: interrupted\n");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    status = frame(exists, text, sizeof text);
    assert_string_equal(text, "fvlm: \"a\\x1bb\" exists; --force replaces it\n");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms),       cmocka_unit_test(misuse),
                                       cmocka_unit_test(ranges),      cmocka_unit_test(escapes),
                                       cmocka_unit_test(human_bytes), cmocka_unit_test(progress),
                                       cmocka_unit_test(signals),     cmocka_unit_test(endings)};
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
