/* SPDX-License-Identifier: Apache-2.0 */
/* npy.h - the header of a .npy file (NumPy's format 1.0) of little-endian f32. */
#ifndef FVLM_FORMAT_BASE_NPY_H
#define FVLM_FORMAT_BASE_NPY_H

#include "format/base/base.h"

enum { FVLM_NPY_MAX_HEADER = 256 };

/* Fills out and returns the header's size, a multiple of 64. The elements follow it, the last dimension fastest. rank
 * is at most 4. */
size_t fvlm_npy_header(unsigned rank, const uint64_t *dims, uint8_t out[FVLM_NPY_MAX_HEADER]);

#endif
