/* SPDX-License-Identifier: Apache-2.0 */
/* grow.h - the growable array: a pointer, a capacity and a count that the owner keeps. */
#ifndef FVLM_FORMAT_BASE_GROW_H
#define FVLM_FORMAT_BASE_GROW_H

#include <stdlib.h>

#include "format/base/base.h"

/* Makes the array hold at least 'need' elements: at least doubles its capacity when that is too small. New elements
 * are zero. array is the address of the pointer (T **), which is NULL at first and freed with free(). False when out
 * of memory; nothing has changed then. */
static inline bool fvlm_grow(void *array, size_t *capacity, size_t need, size_t elem_size)
{
    if (need <= *capacity) return true;
    size_t n = *capacity > SIZE_MAX / 2 ? need : 2 * *capacity;
    if (n < 8) n = 8;
    if (n < need) n = need;
    if (n > PTRDIFF_MAX / elem_size) return false;
    void *block;
    memcpy(&block, array, sizeof block); /* T * and void * may not alias */
    block = realloc(block, n * elem_size);
    if (!block) return false;
    memset((char *)block + *capacity * elem_size, 0, (n - *capacity) * elem_size);
    memcpy(array, &block, sizeof block);
    *capacity = n;
    return true;
}

#endif
