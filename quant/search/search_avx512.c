/* SPDX-License-Identifier: Apache-2.0 */
/* search_avx512.c - search_tmpl.h for AVX-512. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "quant/encode.h"

#define SEARCH_NAME fvlm_encode_group__avx512
/* Both compilers would otherwise keep to 256 bits; each has its own way to be told. */
#ifdef __clang__
#define SEARCH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define SEARCH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#include "quant/search/search_tmpl.h"
#endif
