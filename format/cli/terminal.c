/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.c - see terminal.h. */
#define _GNU_SOURCE 1 /* vasprintf */
#include "format/cli/terminal.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/utf8.h"

static void print_escaped(FILE *to, const char *text, size_t n_bytes, bool lines)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t at = 0, n; at < n_bytes; at += n) {
        int32_t c;
        n = fvlm_utf8_next(s + at, n_bytes - at, &c);
        if (c < 0)
            for (size_t i = 0; i < n; i++) fprintf(to, "\\x%02x", s[at + i]);
        else if (c == '\n' && !lines)
            fputs("\\n", to);
        else if (fvlm_utf8_is_control(c) && !(lines && (c == '\n' || c == '\t')))
            fprintf(to, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        else
            fwrite(s + at, 1, n, to);
    }
}

void fvlm_terminal_write(FILE *to, const char *text, size_t n_bytes)
{
    print_escaped(to, text, n_bytes, true);
}

/* In one write, also to an unbuffered stderr, so that lines of several processes do not mix. */
void fvlm_terminal_print(FILE *to, const char *fmt, ...)
{
    char *text = NULL, *escaped = NULL;
    size_t n_escaped = 0;
    va_list args;
    va_start(args, fmt);
    const int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) return; /* out of memory: nothing can be printed */
    const size_t length = strlen(fmt);
    const bool ends = length > 0 && fmt[length - 1] == '\n';
    FILE *line = open_memstream(&escaped, &n_escaped);
    if (line) {
        print_escaped(line, text, (size_t)n - ends, false);
        if (ends) fputc('\n', line);
        if (fclose(line) == 0) fwrite(escaped, 1, n_escaped, to);
    }
    free(escaped);
    free(text);
}

static volatile sig_atomic_t current_line = FVLM_LINE_FREE;

void fvlm_terminal_line_is(fvlm_terminal_line what)
{
    current_line = (sig_atomic_t)what;
}

void fvlm_terminal_write_now(int fd, const char *text)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
    const ssize_t ignored = write(fd, text, strlen(text));
    (void)ignored; /* nobody is left to tell */
}

void fvlm_terminal_line_clear(void)
{
    if (current_line == FVLM_LINE_BAR) fvlm_terminal_write_now(STDERR_FILENO, "\r\033[K");
    if (current_line == FVLM_LINE_TEXT) fvlm_terminal_write_now(STDOUT_FILENO, "\n");
    current_line = FVLM_LINE_FREE;
}

static const char *scaled(uint64_t n, const char *suffix, char out[16])
{
    static const char unit[] = " kMGTPE";
    double v = (double)n;
    unsigned u = 0;
    for (; v >= 999.5; u++) v /= 1000;
    const int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
    snprintf(out, 16, "%.*f %c%s", decimals, v, unit[u], suffix);
    return out;
}

const char *fvlm_human_bytes(uint64_t n, char out[16])
{
    if (n >= 1000) return scaled(n, "B", out);
    snprintf(out, 16, "%" PRIu64 " B", n);
    return out;
}

const char *fvlm_human_count(uint64_t n, char out[16])
{
    if (n >= 10000) return scaled(n, "", out);
    snprintf(out, 16, "%" PRIu64, n);
    return out;
}
