/* SPDX-License-Identifier: Apache-2.0 */
/* search.c - see search.h. The definition: search_tmpl.h as any machine compiles it. */
#include <math.h>

#include "quant/search/search.h"

#define SEARCH_NAME fvlm_encode_group__scalar
#include "quant/search/search_tmpl.h"

fvlm_encode_group_fn fvlm_encode_group_for(fvlm_cpu cpu)
{
#if defined(__x86_64__)
    if (cpu == FVLM_CPU_AVX512) return fvlm_encode_group__avx512;
    if (cpu == FVLM_CPU_AVX2) return fvlm_encode_group__avx2;
#endif
    (void)cpu;
    return fvlm_encode_group__scalar;
}
