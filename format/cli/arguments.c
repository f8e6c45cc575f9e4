/* SPDX-License-Identifier: Apache-2.0 */
/* arguments.c - refuses by name, before the work begins, what newcomers often give instead of a model, a picture or a
 * checkpoint folder. Everything else that may be wrong is left to the command. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/cli/cli.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcasecmp(text + n - m, end) == 0;
}

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The name in the folder of path that is most like path's, malloc'd; NULL if none is. */
static char *similar_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? fvlm_asprintf("%.*s", (int)(slash - path + 1), path) : fvlm_strdup(".");
    DIR *d = folder ? opendir(folder) : NULL;
    char *best = NULL;
    size_t best_edits = strlen(name) < 5 ? 2 : 3; /* fewer than this */
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !strcmp(e->d_name, name)) continue;
        const size_t n = strlen(name);
        const bool longer =
            n > 0 && strncmp(e->d_name, name, n) == 0 && e->d_name[n] == '.'; /* the suffix is missing */
        const size_t edits = longer || !strcasecmp(e->d_name, name) ? 0 : fvlm_cli_edit_distance(e->d_name, name);
        if (edits >= best_edits) continue;
        free(best);
        best = fvlm_asprintf("%.*s%s", slash ? (int)(slash - path + 1) : 0, path, e->d_name);
        best_edits = edits;
    }
    if (d) closedir(d);
    free(folder);
    return best;
}

/* Fails unless something is at path. */
static fvlm_status check_there(const char *path, const char *download, fvlm_err *err)
{
    struct stat s;
    if (!strncasecmp(path, "http://", 7) || !strncasecmp(path, "https://", 8))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a URL; download it first%s", path, download);
    if (stat(path, &s) == 0) return FVLM_OK;
    if (!strcmp(path, "-"))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"-\" is not a file name; fvlm does not read from a pipe");
    if (errno != ENOENT) return fvlm_fail_errno(err, "\"%s\"", path);
    if (lstat(path, &s) == 0) return fvlm_fail(err, FVLM_IO, "\"%s\" is a link to a file that does not exist", path);
    char *similar = similar_name(path);
    fvlm_fail(err, FVLM_IO, "\"%s\": %s%s%s%s", path, strerror(ENOENT), similar ? "; did you mean \"" : "",
              similar ? similar : "", similar ? "\"?" : "");
    free(similar);
    return FVLM_IO;
}

/* ---- models ---- */

static fvlm_status refuse_folder(const char *path, fvlm_err *err)
{
    char *config = fvlm_asprintf("%s/config.json", path);
    const bool checkpoint = config && is_file(config);
    free(config);
    if (checkpoint)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a checkpoint folder; convert it first: 'fvlm convert'", path);
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a folder; give the .fvlm file in it", path);
}

/* What a file is that begins with these 16 bytes; NULL: unknown. */
static const char *foreign_kind(const char *path, const uint8_t first[16])
{
    static const struct {
        unsigned at, n;
        const char *bytes, *kind;
    } kinds[] = {{0, 4, "GGUF", "a GGUF file"},
                 {8, 2, "{\"", "a safetensors file"},
                 {0, 4, "PK\3\4", "a PyTorch or zip file"},
                 {0, 3, "\xff\xd8\xff", "a picture"},
                 {0, 4, "\x89PNG", "a picture"},
                 {8, 4, "WEBP", "a picture"},
                 {0, 4, "GIF8", "a picture"},
                 {4, 8, "ftypheic", "a picture"},
                 {4, 8, "ftypavif", "a picture"},
                 {0, 11, "version htt", "a Git LFS pointer"},
                 {0, 5, "<!DOC", "a web page"},
                 {0, 5, "<html", "a web page"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!memcmp(first + kinds[i].at, kinds[i].bytes, kinds[i].n)) return kinds[i].kind;
    return ends_with(path, ".onnx") ? "an ONNX file" : NULL;
}

/* Left to the reader: what cannot be opened, and every unknown kind. */
static void read_beginning(const char *path, uint8_t first[16])
{
    memset(first, 0, 16);
    const int fd = is_file(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1; /* reading a pipe would consume it */
    if (fd >= 0 && read(fd, first, 16) < 0) first[0] = 0;
    if (fd >= 0) close(fd);
}

static fvlm_status refuse_pointer(const char *path, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\" is a Git LFS pointer, not the file itself; run 'git lfs pull' in its folder", path);
}

static fvlm_status check_model(const fvlm_cli_command *cmd, const char *path, fvlm_err *err)
{
    struct stat s;
    uint8_t first[16];
    fvlm_status st = check_there(path, "", err);
    if (st) return st;
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return refuse_folder(path, err);
    if (!is_file(path)) return FVLM_OK;
    if (s.st_size == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is empty; was the copy interrupted?", path);
    read_beginning(path, first);
    const char *kind = foreign_kind(path, first);
    if (!kind) return FVLM_OK;
    if (!strcmp(kind, "a picture") || !strcmp(kind, "a web page"))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s, not a .fvlm model; usage: fvlm %s %s", path, kind,
                         cmd->name, cmd->args);
    if (!strcmp(kind, "a Git LFS pointer")) return refuse_pointer(path, err);
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\" is %s, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'", path,
                     kind);
}

fvlm_status fvlm_cli_check_source(const char *path, fvlm_err *err)
{
    uint8_t first[16];
    read_beginning(path, first);
    const char *kind = is_file(path) ? foreign_kind(path, first) : NULL;
    if (!kind || !strcmp(kind, "an ONNX file")) return FVLM_OK;
    if (!strcmp(kind, "a Git LFS pointer")) return refuse_pointer(path, err);
    if (!strcmp(kind, "a safetensors file"))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s; give the checkpoint folder that holds it", path, kind);
    return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is %s; give the checkpoint folder of the model, or a .fvlm file",
                     path, kind);
}

/* ---- pictures and folders ---- */

static fvlm_status check_image(const fvlm_cli_command *cmd, const char *path, const char *prompt, fvlm_err *err)
{
    uint8_t first[16];
    if (!strcmp(path, "none") || !strcmp(path, "-")) return FVLM_OK;
    if (!is_file(path) && prompt && is_file(prompt))
        return fvlm_fail(err, FVLM_USAGE, "\"%s\" is not a file, but the prompt \"%s\" is; usage: fvlm %s %s", path,
                         prompt, cmd->name, cmd->args);
    fvlm_status st = check_there(path, "", err);
    if (st) return st;
    read_beginning(path, first);
    if (!memcmp(first,
                "\x89"
                "FVLM",
                5) ||
        ends_with(path, ".fvlm"))
        return fvlm_fail(err, FVLM_USAGE, "\"%s\" is a .fvlm model, not a picture; usage: fvlm %s %s", path, cmd->name,
                         cmd->args);
    return FVLM_OK;
}

/* "apple/FastVLM-0.5B" is a repository of Hugging Face. */
static fvlm_status check_checkpoint(const char *path, fvlm_err *err)
{
    fvlm_status st = check_there(path, ": hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B", err);
    const char *slash = strchr(path, '/');
    struct stat s;
    if (st != FVLM_IO || lstat(path, &s) == 0 || errno != ENOENT || !slash || slash == path || path[0] == '.' ||
        strchr(slash + 1, '/') || !slash[1] || strstr(err->msg, "did you mean"))
        return st;
    return fvlm_fail(err, FVLM_IO, "\"%s\": %s; to download it: hf download %s --local-dir %s", path, strerror(ENOENT),
                     path, slash + 1);
}

fvlm_status fvlm_cli_check_arguments(const fvlm_cli_command *cmd, const fvlm_cli_list *args, fvlm_err *err)
{
    const char *words = cmd->args, *word;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0, n; i < args->n && !st && (n = fvlm_cli_next_word(&words, &word)) > 0; i++) {
        const char *path = args->items[i];
        if (!strncmp(word, "MODEL.fvlm", n)) st = check_model(cmd, path, err);
        if (!strncmp(word, "IMAGE", n)) st = check_image(cmd, path, i + 1 < args->n ? args->items[i + 1] : NULL, err);
        if (!strncmp(word, "CHECKPOINT", n)) st = check_checkpoint(path, err);
    }
    return st;
}
