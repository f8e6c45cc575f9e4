/* SPDX-License-Identifier: Apache-2.0 */
/* halves.h - which halves of a FastVLM a source has, and a vision tower from another source; private to convert/. */
#ifndef FVLM_CONVERT_HALVES_H
#define FVLM_CONVERT_HALVES_H

#include "convert/names/naming.h"

typedef enum { FVLM_WHOLE, FVLM_TOWER_ALONE } fvlm_halves;

/* Refuses a language model without a tower. Without either half, names/ reports what is missing of the dialect's. */
fvlm_status fvlm_halves_find(fvlm_halves *out, const fvlm_source *src, const fvlm_naming *naming, fvlm_err *err);

/* Takes the tower of another folder, of any dialect, or of an ONNX vision encoder, into src, which has none. A tower
 * whose folder also has a projector must have been trained with a language model of src's width. */
fvlm_status fvlm_halves_add_tower(fvlm_source *src, const char *path, fvlm_err *err);

#endif
