/* SPDX-License-Identifier: Apache-2.0 */
/* image.c - what is told of a picture. tiles.c reads it. */
#include "reference/image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fvlm_picture fvlm_picture_named(const char *text)
{
    return text && !strcmp(text, "apple") ? FVLM_PICTURE_APPLE : FVLM_PICTURE_SEEN;
}

const char *fvlm_pixels_describe_notes(unsigned notes, char out[FVLM_PIXELS_NOTES_CHARS])
{
    static const char *const phrases[] = {"turned as its orientation tag says", "transparent parts over white",
                                          "16-bit gray scaled to 8 bits", "the first picture of an animation"};
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (notes & 1u << i)
            n += (size_t)snprintf(out + n, FVLM_PIXELS_NOTES_CHARS - n, "%s%s", n ? "; " : "", phrases[i]);
    return out;
}

void fvlm_pixels_free(fvlm_pixels *p)
{
    free(p->values);
    *p = (fvlm_pixels){0};
}
