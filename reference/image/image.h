/* SPDX-License-Identifier: Apache-2.0 */
/* image.h - from an image file to the pixels FastVLM was trained on: decoded, padded black to a square, resized as
 * Pillow's BICUBIC does, divided by 255.
 *
 * Every step equals Pillow's, bit for bit where the JPEG decoder is the same version. FVLM_PICTURE_APPLE is upstream's
 * (Apple's predict.py: PIL.Image.open(f).convert("RGB"), expand2square, CLIPImageProcessor). FVLM_PICTURE_SEEN is, in
 * Python (exactly: tests/oracle/media_seen.py),
 *   image = ImageOps.exif_transpose(Image.open(f))              16-bit samples keep their high byte
 *   white = Image.new("RGBA", image.size, "white")
 *   image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
 * and then as upstream. */
#ifndef FVLM_REFERENCE_IMAGE_IMAGE_H
#define FVLM_REFERENCE_IMAGE_IMAGE_H

#include "format/base/stop.h"

/* What a file's bytes mean. */
typedef enum {
    FVLM_PICTURE_SEEN, /* as a person sees it: turned as EXIF says, transparency over white, 16 bits scaled to 8 */
    FVLM_PICTURE_APPLE /* as Apple's predict.py: exactly Pillow's Image.open(file).convert("RGB") */
} fvlm_picture;

/* "apple" or "seen"; NULL is "seen", and so is any other text. */
fvlm_picture fvlm_picture_named(const char *text);

typedef struct {
    uint32_t side; /* pixels a side of the result */
    fvlm_picture picture;
    const char *cpu; /* as fvlm_cpu_select (format/base/cpu.h) takes it; NULL: the best. The values do not differ */
    const fvlm_stop *stop; /* polled every few milliseconds; NULL: never stop */
} fvlm_pixels_options;

/* What the user should know about how a picture was read: bits of fvlm_pixels.notes. */
enum {
    FVLM_PIXELS_TURNED = 1,     /* by its orientation tag */
    FVLM_PIXELS_OVER_WHITE = 2, /* some of it was transparent */
    FVLM_PIXELS_GRAY16 = 4,     /* gray of 16 bits, which upstream would clip */
    FVLM_PIXELS_FIRST = 8       /* the first picture of an animation */
};

/* One phrase for each bit, joined by "; ". The longest takes FVLM_PIXELS_NOTES_CHARS. Returns out. */
enum { FVLM_PIXELS_NOTES_CHARS = 200 };
const char *fvlm_pixels_describe_notes(unsigned notes, char out[FVLM_PIXELS_NOTES_CHARS]);

typedef struct {
    uint32_t side;
    float *values; /* [side, side, 3], 0..1; owned */
    unsigned notes;
} fvlm_pixels;

/* Reads a JPEG, PNG or WebP file, a pipe, or "-" (standard input). Rows are resized as they are decoded: the image
 * itself is not held whole (unless it must be turned, is an interlaced PNG or a WebP), and a thin strip costs no more
 * than its own pixels. In tiles.c. Refuses sizes over the limits of formats.h. On failure *out is empty. Safe from several threads.
 */
fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, const fvlm_pixels_options *o, fvlm_err *err);
void fvlm_pixels_free(fvlm_pixels *p);

#endif
