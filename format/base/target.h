/* SPDX-License-Identifier: Apache-2.0 */
/* target.h - the one way to compile code for an instruction set beyond the baseline. There are no compiler flags per
 * file; only the functions between the two marks may use the instructions:
 *
 *   #include <math.h>             system headers come first
 *   FVLM_TARGET_AVX2
 *   #include "..._tmpl.h"         a template with all its helpers
 *   FVLM_TARGET_END
 *
 * Callers check the CPU first. AVX512 means F, BW, DQ, VL and VNNI, in full 512-bit vectors: both compilers prefer
 * 256 bits unless told otherwise, each in its own way. */
#ifndef FVLM_FORMAT_BASE_TARGET_H
#define FVLM_FORMAT_BASE_TARGET_H

#define FVLM_TARGET_PRAGMA(...) _Pragma(#__VA_ARGS__)

#if defined(__clang__)
#define FVLM_TARGET_PUSH(a) FVLM_TARGET_PRAGMA(clang attribute push(__attribute__((a)), apply_to = function))
#define FVLM_TARGET_POP FVLM_TARGET_PRAGMA(clang attribute pop)
/* Older clangs take one attribute per push. */
#define FVLM_TARGET_BEGIN(features, bits) FVLM_TARGET_PUSH(target(features)) FVLM_TARGET_PUSH(min_vector_width(bits))
#define FVLM_TARGET_AVX2 FVLM_TARGET_BEGIN("avx2,fma,f16c", 256)
#define FVLM_TARGET_AVX512 FVLM_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c", 512)
#define FVLM_TARGET_DOTPROD FVLM_TARGET_BEGIN("dotprod", 128)
#define FVLM_TARGET_END FVLM_TARGET_POP FVLM_TARGET_POP
#else
#define FVLM_TARGET_BEGIN(features) FVLM_TARGET_PRAGMA(GCC push_options) FVLM_TARGET_PRAGMA(GCC target(features))
#define FVLM_TARGET_AVX2 FVLM_TARGET_BEGIN("avx2,fma,f16c")
#define FVLM_TARGET_AVX512                                                                                             \
    FVLM_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,prefer-vector-width=512")
#define FVLM_TARGET_DOTPROD FVLM_TARGET_BEGIN("arch=armv8.2-a+dotprod")
#define FVLM_TARGET_END FVLM_TARGET_PRAGMA(GCC pop_options)
#endif

#endif
