/* SPDX-License-Identifier: Apache-2.0 */
/* dotprod.c - the kernels for NEON with the dot product of ARMv8.2. The target is set
 * here, for the kernels only. */
#include "reference/ops/kernels/kernels.h"
#if defined(__aarch64__)

#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include <arm_neon.h>

#define V_ISA_NEON
#define V_ISA_DOTPROD
#define V_TABLE fvlm_kernels_dotprod
#define V_NAME "dotprod"
#include "reference/ops/kernels/kernels_tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
