/* SPDX-License-Identifier: Apache-2.0 */
/* png_chunks.h - what a PNG says outside its pixels, found without libpng: opacities, metadata that may follow the
 * pixels, kinds that libpng does not read. Private to reference/image. */
#ifndef FVLM_REFERENCE_IMAGE_PNG_CHUNKS_H
#define FVLM_REFERENCE_IMAGE_PNG_CHUNKS_H

#include <stdbool.h>

#include "format/base/base.h"
#include "reference/image/exif.h"

typedef struct {
    const uint8_t *trns; /* data of tRNS, borrowed; NULL: none */
    size_t n_trns;
    bool animated, cgbi;
    bool cut;                     /* the file ends inside the pixels */
    fvlm_image_metadata metadata; /* in the file or in texts */
    uint8_t *texts[2];            /* malloc'd */
} fvlm_png_chunks;

/* Reads as far as the chunks are well formed; checksums are libpng's matter. EXIF and XMP are found wherever Pillow
 * finds them: eXIf, text "Raw profile type exif", text "XML:com.adobe.xmp"; the last of each kind counts. A compressed
 * text counts up to 1 MB. What cannot be read is left out. Fails only if memory runs out; *out must be freed then, too.
 */
fvlm_status fvlm_png_chunks_find(fvlm_png_chunks *out, const uint8_t *bytes, size_t n_bytes, fvlm_err *err);
void fvlm_png_chunks_free(fvlm_png_chunks *c);

#endif
