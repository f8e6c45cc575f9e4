/* SPDX-License-Identifier: Apache-2.0 */
/* dotprod.c - the kernels for NEON with the dot product of ARMv8.2. */
#include "reference/ops/kernels/kernels.h"
#if defined(__aarch64__)

#include <math.h>
#include <string.h>

#include "format/base/target.h"

#define V_ISA_NEON
#define V_ISA_DOTPROD
#define V_TABLE fvlm_kernels_dotprod
#define V_NAME "dotprod"
FVLM_TARGET_DOTPROD
#include <arm_neon.h>
#include "reference/ops/kernels/kernels_tmpl.h"
FVLM_TARGET_END
#endif
