/* SPDX-License-Identifier: Apache-2.0 */
/* avx2.c - the kernels for AVX2 with FMA and F16C. */
#include "reference/ops/kernels/kernels.h"
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "format/base/target.h"

#define V_ISA_AVX2
#define V_TABLE fvlm_kernels_avx2
#define V_NAME "avx2"
FVLM_TARGET_AVX2
#include "reference/ops/kernels/kernels_tmpl.h"
FVLM_TARGET_END
#endif
