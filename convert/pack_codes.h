/* SPDX-License-Identifier: Apache-2.0 */
/* pack_codes.h - lays out a weight that the source stores as integers already: the same codes, with scales and offsets
 * rounded to bf16. */
#ifndef FVLM_CONVERT_PACK_CODES_H
#define FVLM_CONVERT_PACK_CODES_H

#include "convert/pack.h"

/* Streams the weight of a recipe whose p->weight is its kernel's 'codes'. Sets p->wrong and p->all. */
fvlm_status fvlm_pack_codes(const fvlm_recipe *m, const fvlm_source *src, fvlm_packing *p, const fvlm_sink *sink,
                            atomic_ullong *bytes_done, const fvlm_stop *stop, fvlm_err *err);

#endif
