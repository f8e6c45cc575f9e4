/* SPDX-License-Identifier: Apache-2.0 */
/* npy.c - see npy.h. */
#include "format/base/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/base/bits.h"

/* A Python dict, padded so that the data begin on 64 bytes. */
size_t fvlm_npy_header(unsigned rank, const uint64_t *dims, uint8_t out[FVLM_NPY_MAX_HEADER])
{
    char shape[96] = "";
    for (unsigned d = 0, at = 0; d < rank; d++)
        at += (unsigned)snprintf(shape + at, sizeof shape - at, "%" PRIu64 ",%s", dims[d], d + 1 < rank ? " " : "");
    char *text = (char *)out + 10;
    const size_t n = (size_t)snprintf(text, FVLM_NPY_MAX_HEADER - 16,
                                      "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    const size_t total = (10 + n + 1 + 63) / 64 * 64;
    memset(text + n, ' ', total - 10 - n);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    fvlm_store_u16(out + 8, (uint16_t)(total - 10));
    out[total - 1] = '\n';
    return total;
}
