/* SPDX-License-Identifier: Apache-2.0 */
/* resize_passes.c - see resize_passes.h. On AArch64 the baseline has the widest vectors already. */
#include "reference/image/resize_passes.h"

#include "format/base/target.h"

#define PASSES(name) name##__baseline
#include "reference/image/resize_passes_tmpl.h"
#undef PASSES

#if defined(__x86_64__)
#define PASSES(name) name##__avx2
FVLM_TARGET_AVX2
#include "reference/image/resize_passes_tmpl.h"
FVLM_TARGET_END
#undef PASSES

#define PASSES(name) name##__avx512
FVLM_TARGET_AVX512
#include "reference/image/resize_passes_tmpl.h"
FVLM_TARGET_END
#endif

const fvlm_resize_passes *fvlm_resize_passes_for(fvlm_cpu cpu)
{
#if defined(__x86_64__)
    if (cpu == FVLM_CPU_AVX2) return &passes__avx2;
    if (cpu == FVLM_CPU_AVX512) return &passes__avx512;
#else
    (void)cpu;
#endif
    return &passes__baseline;
}
