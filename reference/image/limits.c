/* SPDX-License-Identifier: Apache-2.0 */
/* limits.c - see limits.h. */
#include "reference/image/limits.h"

#include <inttypes.h>

fvlm_status fvlm_image_check_size(uint64_t width, uint64_t height, fvlm_err *err)
{
    if (!width || !height) return fvlm_fail(err, FVLM_BAD_INPUT, "an image without pixels");
    if (width > FVLM_IMAGE_MAX_SIDE || height > FVLM_IMAGE_MAX_SIDE || height > FVLM_IMAGE_MAX_PIXELS / width)
        return fvlm_fail(err, FVLM_LIMIT, "%" PRIu64 " x %" PRIu64 " pixels: the limits are %u in all and %u on a side",
                         width, height, FVLM_IMAGE_MAX_PIXELS, FVLM_IMAGE_MAX_SIDE);
    return FVLM_OK;
}
