/* SPDX-License-Identifier: Apache-2.0 */
/* avx512.c - the kernels for AVX-512 (F, BW, DQ, VL, VNNI). */
#include "reference/ops/kernels/kernels.h"
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "format/base/target.h"

#define V_ISA_AVX512
#define V_TABLE fvlm_kernels_avx512
#define V_NAME "avx512"
FVLM_TARGET_AVX512
#include "reference/ops/kernels/kernels_tmpl.h"
FVLM_TARGET_END
#endif
