/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any names of tensors beside any config.json: refused with a message, or planned as a conversion; every
 * name that a dialect takes is given back by it, and no other name becomes one of the tower's or the projector's.
 *
 * Input: config.json, preprocessor_config.json and open_clip_config.json, each with a zero byte behind it, and lines
 * "NAME DIM DIM..."; a first line "!DIALECT" forces one. The tensors are f32 zeros. */
#include "convert/conversion.h"
#include "convert/names/naming.h"
#include "tests/fuzz/harness.h"
#include "tests/support/checkpoint.h"

enum { MAX_ELEMENTS = 1 << 16, MAX_TENSORS = 512, MAX_HEADER = 1 << 17 };

static const char *const names[] = {"config.json", "preprocessor_config.json", "open_clip_config.json"};
static char dialect[16];

/* Appends a line's tensor to the header. */
static size_t add_tensor(char *header, size_t n, size_t *n_data, const char *line, size_t length)
{
    const char *end = line + length, *p = memchr(line, ' ', length);
    size_t elements = 1, rank = 0;
    char name[256], shape[64] = "";
    if (!p) p = end;
    if (p == line || (size_t)(p - line) >= sizeof name) return n;
    for (size_t i = 0; i < (size_t)(p - line); i++)
        name[i] = line[i] < 33 || line[i] > 126 || line[i] == '"' || line[i] == '\\' ? '_' : line[i];
    name[p - line] = 0;
    while (p < end && rank < 4) {
        size_t dim = 0;
        while (p < end && (*p < '0' || *p > '9')) p++;
        if (p == end) break;
        while (p < end && *p >= '0' && *p <= '9' && dim < MAX_ELEMENTS) dim = 10 * dim + (size_t)(*p++ - '0');
        dim = dim ? dim % 2048 : 1;
        if (!dim || elements * dim > MAX_ELEMENTS) dim = 1;
        elements *= dim;
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%zu", rank++ ? "," : "", dim);
    }
    n += (size_t)sprintf(header + n, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                         n > 1 ? "," : "", name, shape, *n_data, *n_data + 4 * elements);
    *n_data += 4 * elements;
    return n;
}

static void write_weights(const char *lines, const char *end)
{
    static char header[MAX_HEADER];
    char path[128];
    size_t n = 1, n_data = 0, n_tensors = 0;
    header[0] = '{';
    dialect[0] = 0;
    while (lines < end && n_tensors < MAX_TENSORS && n + 512 < MAX_HEADER) {
        const char *next = memchr(lines, '\n', (size_t)(end - lines));
        const size_t length = (size_t)((next ? next : end) - lines);
        if (*lines == '!' && !dialect[0])
            snprintf(dialect, sizeof dialect, "%.*s", (int)length - 1, lines + 1);
        else
            n = add_tensor(header, n, &n_data, lines, length);
        lines = next ? next + 1 : end;
        n_tensors++;
    }
    header[n++] = '}';
    uint8_t length[8];
    for (size_t i = 0; i < 8; i++) length[i] = (uint8_t)(n >> 8 * i);
    snprintf(path, sizeof path, "%s/model.safetensors", fuzz_folder());
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(fd >= 0 && write(fd, length, 8) == 8 && write(fd, header, n) == (ssize_t)n);
    MUST(ftruncate(fd, (off_t)(8 + n + n_data)) == 0);
    close(fd);
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Both ways lead to the same name. Of a head without the prefix of its language model there are two. */
static void check_name(const fvlm_naming *n, const fvlm_source_tensor *t)
{
    char back[FVLM_PATTERN_MAX_NAME];
    if (begins_with(t->key, "left over: ")) return;
    fvlm_naming_original(n, t->key, back);
    MUST(strcmp(back, t->name) == 0 || begins_with(t->key, "lm_head."));
}

static void check_names(const char *forced)
{
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_naming n;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err);
    if (!st) st = fvlm_naming_apply(&n, src, forced, &err);
    must_explain(st, &err);
    for (size_t i = 0; !st && i < fvlm_source_n_tensors(src); i++) check_name(&n, fvlm_source_tensor_at(src, i));
    if (src) fvlm_source_close(&src);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    test_checkpoint c;
    (void)argc;
    (void)argv;
    test_checkpoint_make(&c, false, FVLM_SOURCE_F32);
    test_checkpoint_write(&c, fuzz_folder()); /* for the tokenizer */
    test_checkpoint_free(&c);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size, *lines = fuzz_split(data, end, names, 3);
    write_weights((const char *)lines, (const char *)end);
    const char *forced = dialect[0] ? dialect : NULL;
    check_names(forced);
    fvlm_err err = {0};
    fvlm_conversion *c;
    const fvlm_convert_options o = {.dialect = forced};
    must_explain(fvlm_conversion_plan(&c, fuzz_folder(), &o, &err), &err);
    fvlm_conversion_free(&c);
    return 0;
}
