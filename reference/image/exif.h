/* SPDX-License-Identifier: Apache-2.0 */
/* exif.h - the orientation of a picture, from its metadata. Private to reference/image.
 *
 * As Pillow's Image.getexif: the first orientation entry of the EXIF block's first directory counts; where there is
 * none, the first tiff:Orientation of the XMP packet. It may be a number of any
 * type that equals 1 to 8. Broken metadata is ignored. */
#ifndef FVLM_REFERENCE_IMAGE_EXIF_H
#define FVLM_REFERENCE_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *exif, *xmp; /* borrowed; NULL: none */
    size_t n_exif, n_xmp;
} fvlm_image_metadata;

/* 1 to 8: how the rows and columns lie (EXIF 2.32, tag 0x0112). 1 is upright, and what metadata without it means. */
unsigned fvlm_exif_orientation(const fvlm_image_metadata *m);

#endif
