/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as a name or an answer that is printed: what arrives at the terminal is UTF-8, on one line
 * where it is a name, and steers neither the terminal nor the direction of text; in JSON it is the same text or U+FFFD.
 */
#include <jansson.h>

#include "format/base/json.h"
#include "format/cli/terminal.h"
#include "tests/fuzz/harness.h"

static bool within(uint32_t c, uint32_t low, uint32_t high)
{
    return c >= low && c <= high;
}

/* Strict UTF-8 without C0, DEL, C1 and the controls of bidirectional text; lines: but for newline and tab. */
static bool is_harmless(const uint8_t *s, size_t n, bool lines)
{
    for (size_t i = 0; i < n;) {
        uint32_t c = s[i];
        const size_t more = c < 0x80 ? 0 : within(c, 0xc2, 0xdf) ? 1 : within(c, 0xe0, 0xef) ? 2 : 3;
        if (within(c, 0x80, 0xc1) || c > 0xf4 || i + more >= n) return false;
        if (more) c &= 0x3fu >> more;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80) return false;
            c = c << 6 | (s[i + k] & 0x3f);
        }
        if ((more == 2 && c < 0x800) || (more == 3 && c < 0x10000) || c > 0x10ffff || within(c, 0xd800, 0xdfff))
            return false;
        const bool control = c < 0x20 || within(c, 0x7f, 0x9f) || c == 0x61c || within(c, 0x200e, 0x200f) ||
                             within(c, 0x202a, 0x202e) || within(c, 0x2066, 0x2069);
        if (control && !(lines && (c == '\n' || c == '\t'))) return false;
        i += more + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(size + 1, 1), *printed;
    size_t n;
    MUST(text);
    memcpy(text, data, size);

    FILE *to = open_memstream(&printed, &n);
    fvlm_terminal_print(to, "\"%s\"\n", text);
    fclose(to);
    MUST(n >= 3 && printed[n - 1] == '\n' && is_harmless((uint8_t *)printed, n - 1, false));
    free(printed);

    to = open_memstream(&printed, &n);
    fvlm_terminal_write(to, text, size);
    fclose(to);
    MUST(is_harmless((uint8_t *)printed, n, true));
    free(printed);

    json_t *string = fvlm_json_lossy_string(text), *plain = json_string(text); /* NULL where it is not UTF-8 */
    MUST(string && (!plain || json_equal(string, plain)));
    json_decref(string);
    json_decref(plain);
    free(text);
    return 0;
}
