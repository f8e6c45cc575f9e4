/* SPDX-License-Identifier: Apache-2.0 */
/* formats.c - chooses the decoder of a file. Every image format that fvlm reads is a row of the table. */
#include "reference/image/formats.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC(text) text, sizeof text - 1

static const struct {
    size_t offset;
    const char *magic;
    size_t n_magic;
    fvlm_image_decoder *decode;
} formats[] = {
    {0, MAGIC("\xff\xd8\xff"), fvlm_jpeg_decode},
    {0, MAGIC("\x89PNG\r\n\x1a\n"), fvlm_png_decode},
    {8, MAGIC("WEBP"), fvlm_webp_decode},
};

fvlm_status fvlm_image_decode(const uint8_t *bytes, size_t n_bytes, fvlm_image_job *job, fvlm_err *err)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t at = formats[i].offset, n = formats[i].n_magic;
        if (n_bytes < at + n || memcmp(bytes + at, formats[i].magic, n) != 0) continue;
        fvlm_status st = formats[i].decode(bytes, n_bytes, job, err);
        if (!st) st = fvlm_image_end(job, err);
        free(job->turned);
        job->turned = NULL;
        return st;
    }
    return fvlm_image_refuse_foreign(bytes, n_bytes, err);
}
