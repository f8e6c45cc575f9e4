/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.c - see inputs.h. */
#include "verify/inputs.h"

/* What vision-language models are mostly asked: description, text, numbers, counting, colours, places, objects. */
const char *const fvlm_questions[FVLM_N_QUESTIONS] = {
    "Describe the picture.",
    "What does the text say?",
    "How many shapes are there?",
    "What color is the background?",
    "What number is shown?",
    "Describe the image in detail.",
    "Where is the text?",
    "What objects are in the image?",
    "What color is the text?",
    "What is on the left side of the image?",
    "Is there a person in the image?",
    "Write a short caption for this image.",
    "What is the largest object?",
    "How many circles are there?",
    "Is there a red triangle?",
    "What stands out in this image?",
};

enum { CIRCLE, SQUARE, TRIANGLE, N_SHAPES, N_COLORS = 8, MAX_SHAPES = 4 };

static const uint8_t colors[N_COLORS][3] = {{255, 255, 255}, {200, 30, 30}, {30, 140, 50},  {40, 70, 200},
                                            {240, 200, 40},  {20, 20, 20},  {140, 60, 160}, {240, 130, 30}};

typedef struct {
    unsigned kind, color;
    int64_t x, y, r; /* centre and half width, in 1/256 of the side */
} shape;

/* x, y in the same unit. */
static bool covers(const shape *s, int64_t x, int64_t y)
{
    const int64_t dx = x > s->x ? x - s->x : s->x - x, dy = y - s->y;
    if (s->kind == CIRCLE) return dx * dx + dy * dy <= s->r * s->r;
    if (dy < -s->r || dy > s->r) return false;
    return s->kind == SQUARE ? dx <= s->r : 2 * dx <= dy + s->r; /* the triangle's tip is up */
}

static unsigned draw_lots(uint32_t *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    return (*state >> 16) % n;
}

fvlm_status fvlm_pixels_draw(fvlm_pixels *out, unsigned index, uint32_t side, fvlm_err *err)
{
    uint32_t state = index + 1;
    const unsigned background = index % N_COLORS, n = 1 + index % MAX_SHAPES;
    shape shapes[MAX_SHAPES];
    for (unsigned i = 0; i < n; i++) { /* one in each quarter, and none in the background's colour */
        shapes[i].kind = draw_lots(&state, N_SHAPES);
        shapes[i].color = (background + 1 + draw_lots(&state, N_COLORS - 1)) % N_COLORS;
        shapes[i].r = 24 + (int64_t)draw_lots(&state, 32);
        shapes[i].x = (i % 2 ? 192 : 64) + (int64_t)draw_lots(&state, 16) - 8;
        shapes[i].y = (i < 2 ? 64 : 192) + (int64_t)draw_lots(&state, 16) - 8;
    }
    *out = (fvlm_pixels){.side = side, .values = fvlm_alloc((size_t)side * side * 3, sizeof(float))};
    if (!out->values) return fvlm_fail_nomem(err);
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++) {
            unsigned color = background;
            for (unsigned i = 0; i < n; i++)
                if (covers(&shapes[i], (int64_t)(x * 256 / side), (int64_t)(y * 256 / side))) color = shapes[i].color;
            for (size_t k = 0; k < 3; k++) out->values[(y * side + x) * 3 + k] = (float)colors[color][k] / 255.0f;
        }
    return FVLM_OK;
}
