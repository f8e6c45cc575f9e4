/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as a .safetensors file: refused with a message, or every promise of the header holds.
 * Built with libFuzzer by tests/fuzz/run.sh; tests/convert/damage.c makes the same checks without it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/safetensors.h"

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) abort();                                                                                     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n_header, covered;
    fvlm_err err = {0};
    fvlm_safetensors f;
    uint8_t first[8] = {0};
    memcpy(first, data, size < 8 ? size : 8);
    fvlm_status st = fvlm_safetensors_length(&n_header, first, size, "m", &err);
    MUST(!st || (err.code == st && err.msg[0]));
    if (st) return 0;
    char *header = malloc((size_t)n_header + 1);
    MUST(header);
    memcpy(header, data + 8, (size_t)n_header);
    st = fvlm_safetensors_parse(&f, header, (size_t)n_header, size, "m", &err);
    MUST(!st || (err.code == st && err.msg[0] && err.offset <= size));
    covered = 8 + n_header;
    for (size_t i = 0; !st && i < f.n_tensors; i++) {
        const fvlm_source_tensor *t = &f.tensors[i];
        MUST(t->offset >= 8 + n_header && t->offset <= size && t->n_bytes <= size - t->offset);
        MUST(t->n_bytes == t->n_elems * fvlm_source_type_bytes(t->type) && t->rank <= FVLM_SOURCE_MAX_RANK);
        MUST(i == 0 || strcmp(f.tensors[i - 1].name, t->name) < 0);
        covered += t->n_bytes;
    }
    MUST(st || covered == size);
    fvlm_safetensors_free(&f);
    free(header);
    return 0;
}
