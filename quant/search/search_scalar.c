/* SPDX-License-Identifier: Apache-2.0 */
/* search_scalar.c - the definition: search_tmpl.h as any machine compiles it. */
#include <math.h>

#include "quant/encode.h"

#define SEARCH_NAME fvlm_encode_group__scalar
#include "quant/search/search_tmpl.h"
