/* SPDX-License-Identifier: Apache-2.0 */
/* mapped.c - see mapped.h. The list is a fixed table without locks because a signal handler reads it: a thread may be
 * interrupted while it holds one. */
#include "format/base/mapped.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/file.h"
#include "format/base/utf8.h"

/* begin is written last and cleared first: while it is set, the rest is valid. The thread that faults is using its
 * mapping, so that mapping is not being closed. */
typedef struct {
    atomic_bool taken;
    _Atomic uintptr_t begin; /* 0: free */
    _Atomic size_t n_bytes;
    _Atomic int fd;
    const char *_Atomic path;
} slot;

static slot slots[FVLM_MAX_MAPPED];
static void (*before_exit)(void); /* set once, before there are threads */

static slot *take_slot(void)
{
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++)
        if (!atomic_exchange(&slots[i].taken, true)) return &slots[i];
    return NULL;
}

static fvlm_status map_file(void **out, size_t n_bytes, int fd, const char *path, fvlm_err *err)
{
    void *p = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    /* Some FUSE and 9p map privately only, or not at all: then it is read into memory. */
    if (p == MAP_FAILED) p = mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return fvlm_fail_errno(err, "\"%s\": cannot map it", path);
        const fvlm_status st = fvlm_file_read(fd, path, 0, p, n_bytes, err);
        if (st) munmap(p, n_bytes);
        if (st) return st;
    }
    *out = p;
    return FVLM_OK;
}

fvlm_status fvlm_mapped_open(const uint8_t **out, size_t n_bytes, int fd, const char *path, fvlm_err *err)
{
    slot *s = take_slot();
    void *p = NULL;
    if (!s) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": over %d files are in use at once", path, FVLM_MAX_MAPPED);
    const fvlm_status st = map_file(&p, n_bytes, fd, path, err);
    if (st) {
        s->taken = false;
        return st;
    }
    *out = p;
    s->n_bytes = n_bytes;
    s->fd = fd;
    s->path = path;
    s->begin = (uintptr_t)p;
    return FVLM_OK;
}

void fvlm_mapped_close(const uint8_t *map, size_t n_bytes)
{
    if (!map) return;
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++) {
        if (slots[i].begin != (uintptr_t)map) continue;
        slots[i].begin = 0;
        slots[i].taken = false;
        break;
    }
    munmap((void *)(uintptr_t)map, n_bytes);
}

/* ---- the signal: from here on only async-signal-safe calls ---- */

static const slot *slot_of(uintptr_t address)
{
    for (size_t i = 0; i < FVLM_MAX_MAPPED; i++) {
        const uintptr_t begin = slots[i].begin;
        if (begin && address >= begin && address - begin < slots[i].n_bytes) return &slots[i];
    }
    return NULL;
}

static void append(char *line, size_t size, const char *text)
{
    const size_t at = strlen(line), n = strlen(text), fits = n < size - at ? n : size - at - 1;
    memcpy(line + at, text, fits);
    line[at + fits] = 0;
}

static void report(const slot *s)
{
    struct stat now;
    char line[PATH_MAX + 256] = "fvlm: \"";
    const bool cut = fstat(s->fd, &now) == 0 && (uint64_t)now.st_size < s->n_bytes;
    append(line, sizeof line, s->path);
    const size_t length = strlen(line);
    for (size_t at = 0, n; at < length; at += n) {
        int32_t c;
        n = fvlm_utf8_next((uint8_t *)line + at, length - at, &c);
        if (c < 0 || fvlm_utf8_is_control(c)) memset(line + at, '?', n);
    }
    append(line, sizeof line,
           cut ? "\" became shorter while it was in use" FVLM_TRY_AGAIN "\n"
               : "\" could not be read while it was in use; check the disk, then the file with 'fvlm verify'\n");
    if (before_exit) before_exit();
    for (size_t at = 0, n = strlen(line); at < n;) {
        const ssize_t written = write(STDERR_FILENO, line + at, n - at);
        if (written <= 0) break;
        at += (size_t)written;
    }
}

/* A SIGBUS that was sent by a process has no address (si_code <= 0). One outside our mappings has its default effect.
 */
static void on_bus(int sig, siginfo_t *info, void *context)
{
    static atomic_flag reported = ATOMIC_FLAG_INIT;
    (void)context;
    const slot *s = info->si_code > 0 ? slot_of((uintptr_t)info->si_addr) : NULL;
    if (!s) {
        signal(sig, SIG_DFL);
        raise(sig); /* blocked here: delivered when this function returns */
        return;
    }
    while (atomic_flag_test_and_set(&reported)) pause(); /* another thread is about to exit */
    report(s);
    _exit(fvlm_exit_code(FVLM_CHANGED));
}

void fvlm_mapped_guard(void (*hook)(void))
{
    before_exit = hook;
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigset_t bus;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    sigprocmask(SIG_UNBLOCK, &bus, NULL); /* a fault while its signal is blocked kills, handler or not */
}
