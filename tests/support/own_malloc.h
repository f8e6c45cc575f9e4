/* SPDX-License-Identifier: Apache-2.0 */
/* own_malloc.h - malloc and its siblings in place of libc's, so that a test can count allocations, have them fail, or
 * see that all were freed. One file of a program includes it. A header, since a member of support.a would replace
 * malloc in every test. */
#ifndef FVLM_TESTS_SUPPORT_OWN_MALLOC_H
#define FVLM_TESTS_SUPPORT_OWN_MALLOC_H

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Called at every allocation; true: it fails with ENOMEM. The test defines it. */
bool test_allocation_fails(void);
/* In test_allocation_fails: how many bytes malloc was called for; 0 for its siblings. */
static size_t test_malloc_bytes __attribute__((unused));
/* Allocations that are not freed yet. */
static atomic_long test_n_live __attribute__((unused));

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
enum { TEST_OWNS_MALLOC = 1 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static inline bool fails_with_errno(void)
{
    if (!test_allocation_fails()) return false;
    errno = ENOMEM;
    return true;
}

static inline void *counted(void *p)
{
    test_n_live += p != NULL;
    return p;
}

void *malloc(size_t n)
{
    test_malloc_bytes = n;
    const bool fails = fails_with_errno();
    test_malloc_bytes = 0;
    return fails ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return fails_with_errno() ? NULL : counted(__libc_calloc(n, size));
}

void free(void *p)
{
    test_n_live -= p != NULL;
    __libc_free(p);
}

void *realloc(void *p, size_t n)
{
    if (fails_with_errno()) return NULL;
    void *q = __libc_realloc(p, n);
    test_n_live += (!p && q) - (p && !n && !q);
    return q;
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails_with_errno() ? NULL : counted(__libc_memalign(alignment, n));
}

void *memalign(size_t alignment, size_t n)
{
    return fails_with_errno() ? NULL : counted(__libc_memalign(alignment, n));
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    void *p = fails_with_errno() ? NULL : counted(__libc_memalign(alignment, n));
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}
#else
enum { TEST_OWNS_MALLOC = 0 }; /* the sanitizer has an allocator of its own */
#endif

#endif
