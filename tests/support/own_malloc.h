/* SPDX-License-Identifier: Apache-2.0 */
/* own_malloc.h - malloc and its siblings in place of libc's, so that a test can count allocations or have them fail.
 * One file of a program includes it. A header, since a member of support.a would replace malloc in every test. */
#ifndef FVLM_TESTS_SUPPORT_OWN_MALLOC_H
#define FVLM_TESTS_SUPPORT_OWN_MALLOC_H

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

/* Called at every allocation; true: it fails with ENOMEM. The test defines it. */
bool test_allocation_fails(void);
/* What malloc is called for meanwhile, in bytes; 0 in its siblings. */
static size_t test_malloc_bytes __attribute__((unused));

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
enum { TEST_OWNS_MALLOC = 1 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static inline bool fails_with_errno(void)
{
    if (!test_allocation_fails()) return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    test_malloc_bytes = n;
    const bool fails = fails_with_errno();
    test_malloc_bytes = 0;
    return fails ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails_with_errno() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails_with_errno() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails_with_errno() ? NULL : __libc_memalign(alignment, n);
}

void *memalign(size_t alignment, size_t n)
{
    return fails_with_errno() ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    void *p = fails_with_errno() ? NULL : __libc_memalign(alignment, n);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}
#else
enum { TEST_OWNS_MALLOC = 0 }; /* the sanitizer has an allocator of its own */
#endif

#endif
