/* SPDX-License-Identifier: Apache-2.0 */
/* harness.h - what the libFuzzer targets share. Built by tests/fuzz/run.sh. */
#ifndef FVLM_TESTS_FUZZ_HARNESS_H
#define FVLM_TESTS_FUZZ_HARNESS_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) abort();                                                                                     \
    } while (0)

/* A refusal has a code and a message; FUZZ_SHOW=1 prints it, to see how far one input gets. */
static inline void must_explain(fvlm_status st, const fvlm_err *err)
{
    static int show = -1;
    if (show < 0) show = getenv("FUZZ_SHOW") != NULL;
    if (show) fprintf(stderr, "%s\n", st ? err->msg : "accepted");
    MUST(!st || (err->code == st && err->msg[0]));
}

/* A file in memory that holds the bytes, by a path that can be opened; the next call replaces it. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

/* A folder of this process under /dev/shm. */
static inline const char *fuzz_folder(void)
{
    static char path[64];
    if (!path[0]) {
        snprintf(path, sizeof path, "/dev/shm/fvlm-fuzz-%ld", (long)getpid());
        MUST(mkdir(path, 0700) == 0);
    }
    return path;
}

static inline void fuzz_write(const char *name, const void *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static inline void fuzz_remove(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    unlink(path);
}

/* Writes the files that data..end holds with a zero byte between them; an empty one is absent. Returns what follows. */
static inline const uint8_t *fuzz_split(const uint8_t *data, const uint8_t *end, const char *const *names,
                                        size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        const uint8_t *next = data < end ? memchr(data, 0, (size_t)(end - data)) : NULL;
        const size_t n = next ? (size_t)(next - data) : (size_t)(end - data);
        if (n)
            fuzz_write(names[i], data, n);
        else
            fuzz_remove(names[i]);
        data = next ? next + 1 : end;
    }
    return data;
}

/* A model.safetensors of one number, without which no folder is a checkpoint. */
static inline void fuzz_write_weights(void)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    uint8_t bytes[8 + sizeof header - 1 + 4] = {sizeof header - 1};
    memcpy(bytes + 8, header, sizeof header - 1);
    fuzz_write("model.safetensors", bytes, sizeof bytes);
}

#endif
