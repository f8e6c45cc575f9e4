/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - how large an image may be. */
#ifndef FVLM_REFERENCE_IMAGE_LIMITS_H
#define FVLM_REFERENCE_IMAGE_LIMITS_H

#include "format/base/base.h"

#define FVLM_IMAGE_MAX_PIXELS 500000000u /* in all; upstream's limit too */
#define FVLM_IMAGE_MAX_SIDE 1000000u     /* libpng's own limit; keeps every table below 100 MB */

/* Refuses a size of zero and one over the limits. */
fvlm_status fvlm_image_check_size(uint64_t width, uint64_t height, fvlm_err *err);

#endif
