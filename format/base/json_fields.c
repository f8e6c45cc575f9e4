/* SPDX-License-Identifier: Apache-2.0 */
/* json_fields.c - see json_fields.h. */
#include "format/base/json_fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static void refuse(fvlm_json_fields *f, const char *key, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(4, 5);
static void refuse(fvlm_json_fields *f, const char *key, fvlm_status code, const char *fmt, ...)
{
    char text[400];
    if (f->st) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    f->st = fvlm_fail(f->err, code, f->quoted ? "%s: \"%s\" %s" : "%s.%s %s", f->name, key, text);
}

/* The member, which must be a number; whole if integer is set. NULL once anything has failed. */
static const json_t *number(fvlm_json_fields *f, const char *key, bool integer)
{
    const json_t *v = json_object_get(f->object, key);
    const double real = fabs(json_real_value(v)); /* 0 if it is none */
    if (real == FVLM_JSON_NOT_FINITE)
        refuse(f, key, FVLM_BAD_INPUT, "is NaN, infinite or too large");
    else if (integer && real >= 0x1p63)
        refuse(f, key, FVLM_LIMIT, "is %g, which is too large", json_real_value(v));
    else if (integer ? !json_is_integer(v) : !json_is_number(v))
        refuse(f, key, FVLM_BAD_INPUT, "is %s, expected a %s", fvlm_json_kind(v), integer ? "whole number" : "number");
    return f->st ? NULL : v;
}

void fvlm_json_fields_u32(fvlm_json_fields *f, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    const json_t *v = number(f, key, true);
    if (!v) return;
    const json_int_t i = json_integer_value(v);
    if (i >= (json_int_t)min && i <= (json_int_t)max)
        *out = (uint32_t)i;
    else
        refuse(f, key, i < (json_int_t)min ? FVLM_BAD_INPUT : FVLM_LIMIT,
               "is %" JSON_INTEGER_FORMAT ", expected %" PRIu32 " to %" PRIu32, i, min, max);
}

void fvlm_json_fields_real(fvlm_json_fields *f, const char *key, double min, double max, double *out)
{
    const json_t *v = number(f, key, false);
    if (!v) return;
    const double d = json_number_value(v);
    if (d >= min && d <= max)
        *out = d;
    else
        refuse(f, key, FVLM_BAD_INPUT, "is %g, expected %g to %g", d, min, max);
}

void fvlm_json_fields_bool(fvlm_json_fields *f, const char *key, bool *out)
{
    const json_t *v = json_object_get(f->object, key);
    if (!json_is_boolean(v)) refuse(f, key, FVLM_BAD_INPUT, "is %s, expected true or false", fvlm_json_kind(v));
    if (!f->st) *out = json_is_true(v);
}

const json_t *fvlm_json_fields_child(fvlm_json_fields *f, const char *key, json_type type)
{
    const json_t *v = json_object_get(f->object, key);
    if (!v || json_typeof(v) != type)
        refuse(f, key, FVLM_BAD_INPUT, "is %s, expected %s", fvlm_json_kind(v),
               type == JSON_ARRAY    ? "an array"
               : type == JSON_OBJECT ? "an object"
                                     : "a string");
    return f->st ? NULL : v;
}
