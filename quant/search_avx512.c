/* search_avx512.c - search.inc for AVX-512. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "quant/encode.h"

#define SEARCH_NAME fvlm_encode_group__avx512
#define SEARCH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#include "quant/search.inc"
#endif
