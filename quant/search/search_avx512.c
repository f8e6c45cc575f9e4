/* SPDX-License-Identifier: Apache-2.0 */
/* search_avx512.c - search_tmpl.h for AVX-512. */
#if defined(__x86_64__)
#include <math.h>

#include "format/base/target.h"
#include "quant/search/search.h"

#define SEARCH_NAME fvlm_encode_group__avx512
FVLM_TARGET_AVX512
#include "quant/search/search_tmpl.h"
FVLM_TARGET_END
#endif
