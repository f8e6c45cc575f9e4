/* SPDX-License-Identifier: Apache-2.0 */
/* magic.c - see magic.h. */
#include "convert/source/magic.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define AGAIN "download it again"
#define UNPACK "unpack it and give the folder"
#define APPLE "give Apple's own checkpoint, in safetensors"
#define EXPORT "give an ONNX export, or Apple's own checkpoint"

typedef struct {
    const char *bytes;
    unsigned n, at;
    const char *what;
    const char *advice; /* for a file of the checkpoint; NULL: AGAIN */
    const char *given;  /* for a file given instead of a folder; NULL: the same */
} magic;

#define AT(at, text) text, sizeof text - 1, at

enum { N_POINTERS = 2 };
static const magic magics[] = {
    /* pointers first */
    {AT(0, "version https://git-lfs.github.com/spec/"), "a Git LFS pointer, not the file itself",
     "run 'git lfs pull' in its folder", NULL},
    {AT(0, "# xet version"), "a Xet pointer, not the file itself", NULL, NULL},
    {AT(0, "\x89"
           "FVLM"),
     "a .fvlm file", APPLE,
     "convert makes .fvlm files from checkpoint folders; 'fvlm run', 'fvlm quant' and 'fvlm verify' read them"},
    {AT(0, "GGUF"), "a GGUF file (llama.cpp)", APPLE, NULL},
    {AT(0, "PK\3\4"), "a zip archive (PyTorch's .bin and .pth files are zip archives, too)", APPLE, UNPACK},
    {AT(0, "\x80\2"), "a pickled PyTorch checkpoint", APPLE, NULL},
    {AT(0, "\x80\4"), "a pickled Python object", APPLE, NULL},
    {AT(0, "\x1f\x8b"), "compressed with gzip", "unpack it", UNPACK},
    {AT(0, "\xfd"
           "7zXZ"),
     "compressed with xz", "unpack it", UNPACK},
    {AT(0, "\x28\xb5\x2f\xfd"), "compressed with zstd", "unpack it", UNPACK},
    {AT(0, "BZh"), "compressed with bzip2", "unpack it", UNPACK},
    {AT(0, "7z\xbc\xaf"), "a 7z archive", "unpack it", UNPACK},
    {AT(257, "ustar"), "a tar archive", "unpack it", UNPACK},
    {AT(0, "\x89HDF"), "an HDF5 file (TensorFlow or Keras)", APPLE, NULL},
    {AT(4, "TFL3"), "a LiteRT (TensorFlow Lite) model", APPLE, NULL},
    {AT(0, "PAR1"), "a Parquet file (a dataset)", APPLE, NULL},
    {AT(0, "\x93NUMPY"), "a NumPy array", APPLE, NULL},
    {AT(0, "\x89PNG"), "a picture", NULL, "'fvlm run MODEL.fvlm PICTURE PROMPT' reads pictures"},
    {AT(0, "\xff\xd8\xff"), "a picture", NULL, "'fvlm run MODEL.fvlm PICTURE PROMPT' reads pictures"},
};

static const magic *find(const uint8_t *first, size_t n, bool binary_only)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const magic *m = &magics[i];
        bool binary = false;
        for (unsigned j = 0; j < m->n; j++) binary |= (unsigned char)(m->bytes[j] - ' ') >= 0x5f;
        if (binary_only && !binary && i >= N_POINTERS) continue; /* a text file may begin so */
        if (m->at < n && m->n <= n - m->at && !memcmp(first + m->at, m->bytes, m->n)) return m;
    }
    return NULL;
}

static size_t skip_space(const char *text, size_t n)
{
    size_t i = n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* byte order mark */
    while (i < n && strchr(" \t\r\n", text[i]) && text[i]) i++;
    return i;
}

static bool is_html(const char *text, size_t n)
{
    static const char *const begins[] = {"<!doctype html", "<html>", "<html ", "<head>", "<?xml ", "<!-- "};
    size_t at = skip_space(text, n);
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        size_t m = strlen(begins[i]);
        if (m <= n - at && !strncasecmp(text + at, begins[i], m)) return true;
    }
    return false;
}

static bool is_zeros(const uint8_t *first, size_t n)
{
    while (n > 0 && first[n - 1] == 0) n--;
    return n == 0;
}

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n > m && !strcasecmp(path + n - m, end);
}

/* Both kinds of files of a checkpoint. */
static fvlm_status check(const uint8_t *first, size_t n, bool text, const char *what, fvlm_err *err)
{
    if (n == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is empty; " AGAIN, what);
    const magic *m = find(first, n, text);
    if (m && m->advice && !strcmp(m->advice, APPLE) && ends_with(what, ".onnx"))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s; " EXPORT, what, m->what);
    if (m) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s; %s", what, m->what, m->advice ? m->advice : AGAIN);
    if (is_html((const char *)first, n))
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "\"%s\" is a web page, not the file itself; " AGAIN ", logged in if its repository requires it", what);
    if (is_zeros(first, n))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" begins with zeros: the download is incomplete; " AGAIN, what);
    return FVLM_OK;
}

/* The first line, if it is text: *n_shown of its bytes are worth showing. */
static bool is_text(const char *text, size_t n, int *n_shown)
{
    size_t i = 0;
    while (i < n && i < 60 && (unsigned char)(text[i] - ' ') < 0x5f) i++;
    *n_shown = (int)i;
    return i == n || i == 60 || (i > 0 && strchr("\r\n", text[i]) && text[i]);
}

fvlm_status fvlm_magic_check_weights(const void *first, size_t n, const char *what, fvlm_err *err)
{
    int shown;
    fvlm_status st = check(first, n, false, what, err);
    if (!st && n >= 8 && is_text(first, n, &shown)) /* an error of a server, as text or JSON */
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is text, not weights: '%.*s'; " AGAIN, what, shown,
                       (const char *)first);
    return st;
}

fvlm_status fvlm_magic_check_text(const void *first, size_t n, const char *what, fvlm_err *err)
{
    return check(first, n, true, what, err);
}

/* ir_version, then the field of a ModelProto that exporters write next: producer_name to graph, or opset_import. */
static bool is_onnx(const uint8_t *first, size_t n)
{
    return n > 3 && first[0] == 0x08 && first[1] >= 3 && first[1] < 20 && first[3] != 0 && first[2] &&
           strchr("\x12\x1a\x22\x28\x32\x3a\x42", first[2]);
}

fvlm_status fvlm_magic_refuse_file(const void *first, size_t n, const char *path, fvlm_err *err)
{
    static const char *const pickles[] = {".pt", ".pth", ".bin", ".ckpt", ".pkl"};
    const magic *m = find(first, n, false);
    bool pickle = false;
    for (size_t i = 0; i < sizeof pickles / sizeof pickles[0]; i++) pickle |= ends_with(path, pickles[i]);
    if (ends_with(path, ".onnx_data") || ends_with(path, ".onnx.data"))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\" is the data of an ONNX file; give the .onnx file beside it, or their folder", path);
    if (is_onnx(first, n))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\" begins like an ONNX model, but its name does not end in .onnx; rename it", path);
    if (pickle && (!m || m->what != magics[0].what))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" is a pickled PyTorch checkpoint; " APPLE, path);
    if (m)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s; %s", path, m->what,
                         m->given    ? m->given
                         : m->advice ? m->advice
                                     : AGAIN);
    if (is_html(first, n)) return check(first, n, true, path, err);
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\" is a file; give the folder that holds it, with config.json and the tokenizer beside it",
                     path);
}
