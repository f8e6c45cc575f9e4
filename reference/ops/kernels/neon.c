/* SPDX-License-Identifier: Apache-2.0 */
/* neon.c - the kernels for NEON, which every 64-bit ARM has. */
#include "reference/ops/kernels/kernels.h"
#if defined(__aarch64__)

#define V_ISA_NEON
#define V_TABLE fvlm_kernels_neon
#define V_NAME "neon"
#include "reference/ops/kernels/kernels_tmpl.h"

#endif
