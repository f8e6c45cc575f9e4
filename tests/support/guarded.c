/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    void *base;
    size_t size;
} blocks[4096];
static size_t n_blocks;

void *guarded(size_t n_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (n_bytes + page - 1) / page * page;
    char *base = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + body, page, PROT_NONE) != 0 || n_blocks == 4096) {
        perror("guarded");
        exit(3);
    }
    blocks[n_blocks].base = base;
    blocks[n_blocks++].size = body + page;
    return base + body - n_bytes;
}

void guarded_free_all(void)
{
    while (n_blocks > 0) {
        n_blocks--;
        munmap(blocks[n_blocks].base, blocks[n_blocks].size);
    }
}
