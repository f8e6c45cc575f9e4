/* SPDX-License-Identifier: Apache-2.0 */
/* baseline.c - see baseline.h. The temporary file lies in a folder of its own and loses its name as soon as it is
 * written, so that nothing is left behind however the process ends. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert.h"
#include "format/base/leftovers.h"
#include "verify/baseline.h"

/* Converts into path, then keeps only a descriptor. */
static fvlm_status convert_folder(fvlm_baseline *out, const char *folder, const fvlm_convert_options *o,
                                  const char *path, fvlm_err *err)
{
    fvlm_conversion *c = NULL;
    struct stat about;
    fvlm_status st = fvlm_conversion_plan(&c, folder, o, err);
    if (!st) {
        st = fvlm_conversion_write(c, path, err);
        if (st == FVLM_IO)
            fvlm_err_prefix(err, "converting the source into a temporary file (TMPDIR chooses the folder)");
    }
    fvlm_conversion_free(&c);
    if (st) return st;
    out->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0 || fstat(out->fd, &about)) return fvlm_fail_errno(err, "\"%s\"", path);
    out->n_bytes = (uint64_t)about.st_size;
    snprintf(out->fd_path, sizeof out->fd_path, "/dev/fd/%d", out->fd);
    out->path = out->fd_path;
    return FVLM_OK;
}

fvlm_status fvlm_baseline_open(fvlm_baseline *out, const char *what, bool onnx, const fvlm_convert_options *o,
                               fvlm_err *err)
{
    struct stat about;
    char folder[1100], path[1200];
    const char *tmp = getenv("TMPDIR");
    *out = (fvlm_baseline){.path = what, .fd = -1, .folder = tmp && tmp[0] ? tmp : "/tmp"};
    if (stat(what, &about)) return fvlm_fail_errno(err, "\"%s\"", what);
    if (!S_ISDIR(about.st_mode) && !onnx) return FVLM_OK;
    if (snprintf(folder, sizeof folder, "%s/fvlm-verify-XXXXXX", out->folder) >= (int)sizeof folder)
        return fvlm_fail(err, FVLM_LIMIT, "TMPDIR is too long");
    if (!mkdtemp(folder)) return fvlm_fail_errno(err, "a temporary folder in \"%s\"", out->folder);
    snprintf(path, sizeof path, "%s/source.fvlm", folder);
    fvlm_leftover *of_folder = fvlm_leftovers_add(AT_FDCWD, folder, true);
    fvlm_leftover *of_file = fvlm_leftovers_add(AT_FDCWD, path, false);
    fvlm_status st = convert_folder(out, what, o, path, err);
    unlink(path);
    rmdir(folder);
    fvlm_leftovers_forget(of_file);
    fvlm_leftovers_forget(of_folder);
    if (st) fvlm_baseline_close(out);
    return st;
}

void fvlm_baseline_close(fvlm_baseline *a)
{
    if (a->fd >= 0) close(a->fd);
    a->fd = -1;
}
