/* SPDX-License-Identifier: Apache-2.0 */
/* input.c - see input.h. The whole input is read into memory, since a mapping could change or vanish under the decoder.
 */
#include "reference/image/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/file.h"

#define MAX_FILE_BYTES ((uint64_t)2 << 30)
enum { MAX_STREAM_BYTES = 64000000, WAIT_MS = 50, NO_WRITER_MS = 3000 };

static bool is_stdin(const char *path)
{
    return !strcmp(path, "-");
}

const char *fvlm_image_input_name(const char *path, char out[512])
{
    snprintf(out, 512, is_stdin(path) ? "standard input" : "\"%s\"", path);
    return out;
}

static fvlm_status read_regular(const char *path, uint8_t **bytes, size_t *n_bytes, fvlm_err *err)
{
    int fd;
    fvlm_stamp stamp;
    fvlm_status st = fvlm_file_open(&fd, &stamp, path, err);
    if (st) return st;
    *n_bytes = (size_t)stamp.n_bytes;
    if (stamp.n_bytes > MAX_FILE_BYTES)
        st = fvlm_fail(err, FVLM_LIMIT, "\"%s\": an image file of more than 2 GiB", path);
    else if (!(*bytes = fvlm_alloc(*n_bytes, 1)))
        st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_file_read(fd, path, 0, *bytes, *n_bytes, err);
    st = fvlm_stamp_check_unchanged(&stamp, fd, path, st, err);
    close(fd);
    return st;
}

static bool make_room(uint8_t **bytes, size_t *capacity, size_t n_bytes)
{
    if (n_bytes < *capacity) return true;
    const size_t n = *capacity ? 2 * *capacity : 1 << 16;
    uint8_t *more = realloc(*bytes, n);
    if (!more) return false;
    *bytes = more;
    *capacity = n;
    return true;
}

/* Reads to the end. Of a pipe opened without blocking, poll does not report that nobody has opened it for writing: a
 * read says so (0, not EAGAIN). After NO_WRITER_MS of that it is refused; a writer may take as long as it likes. */
static fvlm_status read_stream(int fd, bool may_lack_writer, const char *name, const fvlm_stop *stop, uint8_t **bytes,
                               size_t *n_bytes, fvlm_err *err)
{
    size_t capacity = 0;
    if (isatty(fd))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "%s is a terminal: pipe a picture in (cat photo.jpg | fvlm ...) or name a file", name);
    for (int lacked = 0;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const fvlm_status st = fvlm_stop_check(stop, err);
        if (st) return st;
        if (!make_room(bytes, &capacity, *n_bytes)) return fvlm_fail_nomem(err);
        const int ready = poll(&p, 1, WAIT_MS);
        if (ready < 0 ? errno == EINTR : ready == 0 && !may_lack_writer) continue;
        const ssize_t n = read(fd, *bytes + *n_bytes, capacity - *n_bytes);
        if (n < 0 && errno == EAGAIN) lacked = 0;
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return fvlm_fail_errno(err, "%s", name);
        if (n == 0 && ready != 0) break;
        if (n == 0 && (lacked += WAIT_MS) >= NO_WRITER_MS)
            return fvlm_fail(err, FVLM_BAD_INPUT, "%s: a pipe to which nothing writes", name);
        *n_bytes += (size_t)n;
        may_lack_writer = may_lack_writer && n == 0;
        if (*n_bytes > MAX_STREAM_BYTES)
            return fvlm_fail(err, FVLM_LIMIT, "%s: more than %d MB; save the picture in a file and name that", name,
                             MAX_STREAM_BYTES / 1000000);
    }
    return *n_bytes ? FVLM_OK
                    : fvlm_fail(err, FVLM_BAD_INPUT, "%s: nothing came; is the command before it right?", name);
}

fvlm_status fvlm_image_read_input(const char *path, const fvlm_stop *stop, uint8_t **bytes, size_t *n_bytes,
                                  fvlm_err *err)
{
    char name[512];
    struct stat s;
    fvlm_image_input_name(path, name);
    if (is_stdin(path)) return read_stream(STDIN_FILENO, false, name, stop, bytes, n_bytes, err);
    if (stat(path, &s)) {
        if (strstr(path, "://"))
            return fvlm_fail(err, FVLM_BAD_INPUT, "%s: a web address; download the picture first: curl -Lo picture %s",
                             name, name);
        s.st_mode = S_IFREG, s.st_size = 1; /* opening it tells why */
    }
    /* Files of /proc have a size of 0. */
    if (!S_ISFIFO(s.st_mode) && !S_ISCHR(s.st_mode) && !(S_ISREG(s.st_mode) && s.st_size == 0))
        return read_regular(path, bytes, n_bytes, err);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fvlm_fail_errno(err, "%s", name);
    fvlm_status st = read_stream(fd, S_ISFIFO(s.st_mode), name, stop, bytes, n_bytes, err);
    if (st == FVLM_BAD_INPUT && S_ISREG(s.st_mode)) st = fvlm_fail(err, FVLM_BAD_INPUT, "%s: an empty file", name);
    close(fd);
    return st;
}
