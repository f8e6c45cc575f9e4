/* SPDX-License-Identifier: Apache-2.0 */
/* avx512.c - the kernels for AVX-512 (F, BW, DQ, VL, VNNI). The target is set here, after the
 * system's headers, for the kernels only: no compiler flags, and nothing else in the
 * program may use these instructions. */
#include "reference/ops/kernels/kernels.h"
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))),   \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif

#define V_ISA_AVX512
#define V_TABLE fvlm_kernels_avx512
#define V_NAME "avx512"
#include "reference/ops/kernels/kernels_tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
