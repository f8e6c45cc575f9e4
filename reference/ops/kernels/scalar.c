/* SPDX-License-Identifier: Apache-2.0 */
/* scalar.c - the kernels in plain C: the definition that the others must equal. */
#define V_TABLE fvlm_kernels_scalar
#define V_NAME "scalar"
#include "reference/ops/kernels/kernels_tmpl.h"
