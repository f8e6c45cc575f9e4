/* search_scalar.c - the definition: search.inc as any machine compiles it. */
#include <math.h>
#include <string.h>

#include "quant/encode.h"

#define SEARCH_NAME fvlm_encode_group__scalar
#define SEARCH_TARGET
#include "quant/search.inc"
