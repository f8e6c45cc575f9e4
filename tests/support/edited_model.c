/* SPDX-License-Identifier: Apache-2.0 */
/* edited_model.c - see edited_model.h. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "format/writer.h"
#include "quant/quant.h"
#include "tests/support/edited_model.h"

static fvlm_status copy_tensor(const fvlm_reader *r, fvlm_writer *w, size_t i, const char *tensor, test_edit edit,
                               void *ctx, fvlm_err *err)
{
    const fvlm_tensor *t = fvlm_reader_tensor(r, i);
    uint8_t *bytes = fvlm_alloc((size_t)t->n_bytes, 1);
    if (!bytes) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    memcpy(bytes, fvlm_reader_bytes(r, t), (size_t)t->n_bytes);
    if (!strcmp(t->name, tensor)) edit(t, bytes, ctx);
    fvlm_status st = fvlm_writer_append(w, i, bytes, (size_t)t->n_bytes, err);
    free(bytes);
    return st;
}

fvlm_status test_edit_model(const char *from, const char *to, const char *tensor, test_edit edit, void *ctx,
                            fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_writer *w = NULL;
    uint64_t n_bytes;
    size_t id, n_text;
    const char *text;
    fvlm_status st = fvlm_reader_open(&r, from, err);
    if (st) return st;
    const size_t n = fvlm_reader_n_tensors(r);
    if (!fvlm_reader_find(r, tensor)) st = fvlm_fail(err, FVLM_BAD_INPUT, "no tensor %s", tensor);
    if (!st) st = fvlm_writer_create(&w, to, true, err);
    for (size_t i = 0; i < n && !st; i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(r, i);
        st = fvlm_writer_declare(w, t->name, t->type, (fvlm_layout)t->layout, t->rank, t->dims, &id, err);
    }
    if (!st) st = fvlm_writer_begin(w, &n_bytes, err);
    for (size_t i = 0; i < n && !st; i++) st = copy_tensor(r, w, i, tensor, edit, ctx, err);
    if (!st) st = fvlm_reader_tokenizer(r, &text, &n_text, err);
    if (!st) st = fvlm_writer_publish(&w, fvlm_reader_meta(r), text, n_text, err);
    fvlm_writer_discard(&w);
    fvlm_reader_close(&r);
    return st;
}

fvlm_status test_quantize(const char *from, const char *to, const char *type, fvlm_err *err)
{
    fvlm_quantization *q;
    const fvlm_quant_options o = {.type = type, .force = true};
    fvlm_status st = fvlm_quantization_plan(&q, from, &o, err);
    if (!st) st = fvlm_quantization_write(q, to, err);
    fvlm_quantization_free(&q);
    return st;
}

bool test_write_picture(const char *path, uint32_t width, uint32_t height)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
    uint8_t *rgb = fvlm_alloc((size_t)width * height, 3);
    for (uint32_t y = 0; rgb && y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *p = rgb + ((size_t)y * width + x) * 3;
            const bool inside = x > width / 4 && x < width / 2 && y > height / 3;
            p[0] = (uint8_t)(inside ? 220 : x * 255 / width);
            p[1] = (uint8_t)(y * 255 / height);
            p[2] = (uint8_t)((x * 7 + y * 13) % 256);
        }
    const bool ok = rgb && png_image_write_to_file(&image, path, 0, rgb, 0, NULL);
    free(rgb);
    return ok;
}
