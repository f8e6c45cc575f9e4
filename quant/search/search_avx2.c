/* SPDX-License-Identifier: Apache-2.0 */
/* search_avx2.c - search_tmpl.h for AVX2. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "quant/encode.h"

#define SEARCH_NAME fvlm_encode_group__avx2
#define SEARCH_TARGET __attribute__((target("avx2")))
#include "quant/search/search_tmpl.h"
#endif
