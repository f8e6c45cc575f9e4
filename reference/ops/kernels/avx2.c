/* SPDX-License-Identifier: Apache-2.0 */
/* avx2.c - the kernels for AVX2 with FMA and F16C. The target is set here, after the
 * system's headers, for the kernels only: no compiler flags, and nothing else in the
 * program may use these instructions. */
#include "reference/ops/kernels/kernels.h"
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#define V_ISA_AVX2
#define V_TABLE fvlm_kernels_avx2
#define V_NAME "avx2"
#include "reference/ops/kernels/kernels_tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
