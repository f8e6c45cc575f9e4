/* SPDX-License-Identifier: Apache-2.0 */
/* lacking.c - runs a program on a system where some calls fail:
 *   lacking linkat=EPERM renameat2=EINVAL -- PROGRAM ARGUMENT...
 * A seccomp filter answers the calls. Exits 77 where the kernel has none. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A call fails always, or only if argument 'arg' has all bits of 'bits', and argument 4 is not -1 for a mapping. */
static const struct {
    const char *name;
    unsigned nr, arg;
    uint32_t bits;
} calls[] = {{"linkat", SYS_linkat, 0, 0},
             {"renameat2", SYS_renameat2, 0, 0},
             {"fsync", SYS_fsync, 0, 0},
             {"sync_file_range", SYS_sync_file_range, 0, 0},
             {"fallocate", SYS_fallocate, 0, 0},
             {"ftruncate", SYS_ftruncate, 0, 0},
             {"fchmod", SYS_fchmod, 0, 0},
             {"flock", SYS_flock, 0, 0},
             {"tmpfile", SYS_openat, 2, O_TMPFILE},
             {"map-shared", SYS_mmap, 3, MAP_SHARED}};
static const struct {
    const char *name;
    int value;
} errors[] = {{"EINVAL", EINVAL}, {"ENOSYS", ENOSYS}, {"EOPNOTSUPP", EOPNOTSUPP}, {"EPERM", EPERM},
              {"EMLINK", EMLINK}, {"ENODEV", ENODEV}, {"ENOSPC", ENOSPC},         {"EIO", EIO}};

static struct sock_filter code[128];
static unsigned short n;

static void add(unsigned short op, unsigned jump_true, unsigned jump_false, uint32_t k)
{
    code[n++] = (struct sock_filter){op, (uint8_t)jump_true, (uint8_t)jump_false, k};
}

static int usage(const char *what)
{
    fprintf(stderr, "lacking: %s\n", what);
    return 2;
}

static int add_rule(char *text)
{
    char *equals = strchr(text, '=');
    if (!equals) return usage(text);
    *equals = 0;
    size_t c = 0, e = 0;
    while (c < sizeof calls / sizeof calls[0] && strcmp(calls[c].name, text) != 0) c++;
    while (e < sizeof errors / sizeof errors[0] && strcmp(errors[e].name, equals + 1) != 0) e++;
    if (c == sizeof calls / sizeof calls[0] || e == sizeof errors / sizeof errors[0] || n > 100) return usage(text);
    const uint32_t low = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * calls[c].arg);
    add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, calls[c].bits ? 4 : 1, calls[c].nr);
    if (calls[c].bits) {
        add(BPF_LD | BPF_W | BPF_ABS, 0, 0, low);
        add(BPF_ALU | BPF_AND | BPF_K, 0, 0, calls[c].bits);
        add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, calls[c].bits);
    }
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (uint32_t)errors[e].value);
    return 0;
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (add_rule(argv[i]) != 0) return 2;
    if (i + 1 >= argc) return usage("CALL=ERROR... -- PROGRAM ARGUMENT...");
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 77;
    execv(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 127;
}
