/* SPDX-License-Identifier: Apache-2.0 */
/* plant.c - copies a .fvlm file with one value changed and every checksum right, for tests/cases.
 *
 *   plant FROM TO TENSOR {INDEX | scale INDEX | offset INDEX} VALUE
 *                        INDEX counts in storage order; VALUE is what strtod reads, and so nan or -inf, too */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/edited_model.h"
#include "tests/support/support.h"

typedef struct {
    const char *part; /* "scale", "offset" or NULL */
    size_t at;
    float value;
} planted;

/* A test_edit. */
static void edit(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    const planted *p = ctx;
    fvlm_type type = t->type;
    if (p->part) {
        const fvlm_matrix m = test_matrix(t);
        bytes += *p->part == 's' ? m.scales_at : m.offsets_at;
        type = (fvlm_type){.kind = FVLM_BF16};
    }
    if (type.kind == FVLM_F32)
        fvlm_store_u32(bytes + 4 * p->at, fvlm_f32_bits(p->value));
    else
        fvlm_store_u16(bytes + 2 * p->at,
                       type.kind == FVLM_F16 ? fvlm_f32_to_f16(p->value) : fvlm_f32_to_bf16(p->value));
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    if (argc < 6 || argc > 7) return 2;
    planted p = {.part = argc == 7 ? argv[4] : NULL,
                 .at = (size_t)strtoul(argv[argc - 2], NULL, 10),
                 .value = strtof(argv[argc - 1], NULL)};
    if (test_edit_model(argv[1], argv[2], argv[3], edit, &p, &err) == FVLM_OK) return 0;
    fprintf(stderr, "plant: %s\n", err.msg);
    return 1;
}
