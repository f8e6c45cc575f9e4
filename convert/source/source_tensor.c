/* SPDX-License-Identifier: Apache-2.0 */
/* source_tensor.c - see source_tensor.h. */
#include "convert/source/source_tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t n_bytes;
} types[] = {
    [FVLM_SOURCE_F32] = {"F32", 4},
    [FVLM_SOURCE_F16] = {"F16", 2},
    [FVLM_SOURCE_BF16] = {"BF16", 2},
    [FVLM_SOURCE_I64] = {"I64", 8},
    [FVLM_SOURCE_OTHER] = {"F64", 8},
    {"C64", 8},
    {"U64", 8},
    {"I32", 4},
    {"U32", 4},
    {"I16", 2},
    {"U16", 2},
    {"I8", 1},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E4M3FNUZ", 1},
    {"F8_E5M2", 1},
    {"F8_E5M2FNUZ", 1},
    {"F8_E8M0", 1},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

unsigned fvlm_source_type_parse(const char *name)
{
    unsigned type = N_TYPES - 1;
    while (type > 0 && strcmp(name, types[type].name) != 0) type--;
    return type;
}

const char *fvlm_source_type_name(unsigned type)
{
    return type > 0 && type < N_TYPES ? types[type].name : "?";
}

size_t fvlm_source_type_bytes(unsigned type)
{
    return type < N_TYPES ? types[type].n_bytes : 0;
}

const char *fvlm_source_shape_text(const fvlm_source_tensor *t, char out[128])
{
    int n = snprintf(out, 128, "%s [", fvlm_source_type_name(t->type));
    for (unsigned i = 0; i < t->rank && n < 100; i++)
        n += snprintf(out + n, 128 - (size_t)n, i ? ", %" PRIu64 : "%" PRIu64, t->dims[i]);
    snprintf(out + n, 128 - (size_t)n, "]");
    return out;
}

bool fvlm_source_check_shape(const fvlm_source_tensor *t, unsigned rank, const uint64_t *dims, fvlm_err *bad)
{
    if (!t) return false;
    bool fits = t->rank == rank;
    for (unsigned i = 0; i < rank && fits; i++) fits = dims[i] ? t->dims[i] == dims[i] : t->dims[i] > 0;
    if (fits) return true;
    if (!bad->code) {
        char wanted[128], found[128];
        int n = snprintf(wanted, sizeof wanted, "[");
        for (unsigned i = 0; i < rank; i++) {
            const char *comma = i ? ", " : "";
            n += dims[i] ? snprintf(wanted + n, sizeof wanted - (size_t)n, "%s%" PRIu64, comma, dims[i])
                         : snprintf(wanted + n, sizeof wanted - (size_t)n, "%sany", comma);
        }
        fvlm_fail(bad, FVLM_BAD_INPUT, "tensor \"%.200s\" is %s, expected %s]", t->name,
                  fvlm_source_shape_text(t, found), wanted);
    }
    return false;
}
