/* SPDX-License-Identifier: Apache-2.0 */
/* preprocessor.c - preprocessor_config.json, or its like inside processor_config.json. Upstream's code does not read
 * them: it pads, resizes with Pillow's bicubic filter and divides by 255. Other tools do, so a file that says something
 * else means a model that was trained on other pictures. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "convert/checkpoint_internal.h"

#define BICUBIC 3 /* Pillow's number */

static bool is_on(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return !v || json_is_null(v) || json_is_true(v) || fvlm_config_is_number(v, 1);
}

/* Absent, a number, or an array of it. */
static bool is_all(const json_t *v, double value)
{
    if (!json_is_array(v)) return !v || json_is_null(v) || fvlm_config_is_number(v, value);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!fvlm_config_is_number(json_array_get(v, i), value)) return false;
    return true;
}

/* Absent, the side, or an object of it: {"shortest_edge": 1024}, {"height": 1024, "width": 1024}. */
static bool is_side(const json_t *v, uint32_t side)
{
    const char *key;
    json_t *member;
    if (!json_is_object(v)) return is_all(v, side);
    json_object_foreach((json_t *)v, key, member) if (!is_all(member, side)) return false;
    return true;
}

static fvlm_status check(const json_t *o, const char *file, uint32_t side, fvlm_err *err)
{
    const json_t *factor = json_object_get(o, "rescale_factor");
    char wanted[40];
    const struct {
        const char *key, *wanted;
        bool ok;
    } checks[] = {
        {"image_mean", "0", !is_on(o, "do_normalize") || is_all(json_object_get(o, "image_mean"), 0)},
        {"image_std", "1", !is_on(o, "do_normalize") || is_all(json_object_get(o, "image_std"), 1)},
        {"do_resize", "true", is_on(o, "do_resize")},
        {"do_rescale", "true", is_on(o, "do_rescale")},
        {"rescale_factor", "1/255",
         !factor || json_is_null(factor) || fabs(json_number_value(factor) * 255 - 1) < 1e-6},
        {"resample", "3 (bicubic)", is_all(json_object_get(o, "resample"), BICUBIC)},
        {"size", wanted, is_side(json_object_get(o, "size"), side)},
        {"crop_size", wanted, !is_on(o, "do_center_crop") || is_side(json_object_get(o, "crop_size"), side)},
    };
    snprintf(wanted, sizeof wanted, "the tower's %" PRIu32, side);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i].ok)
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "\"%s\": \"%s\" is not %s, which is all that is supported; if the model was trained with "
                             "Apple's code, remove the file",
                             file, checks[i].key, checks[i].wanted);
    return FVLM_OK;
}

fvlm_status fvlm_preprocessor_check(fvlm_source *src, uint32_t side, fvlm_err *err)
{
    static const char *const files[] = {"preprocessor_config.json", "processor_config.json"};
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < 2 && !st; i++) {
        json_t *json;
        st = fvlm_source_json(&json, src, files[i], FVLM_SOURCE_MAX_CONFIG_BYTES, err);
        if (!st) st = check(i == 0 ? json : json_object_get(json, "image_processor"), files[i], side, err);
        json_decref(json);
    }
    return st;
}
