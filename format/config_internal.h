/* SPDX-License-Identifier: Apache-2.0 */
/* config_internal.h - private to format/: the second half of reading a config. */
#ifndef FVLM_FORMAT_CONFIG_INTERNAL_H
#define FVLM_FORMAT_CONFIG_INTERNAL_H

#include "format/config.h"

/* Checks which sizes divide others and which are equal. Every field is within its own limits. */
fvlm_status fvlm_config_check_sizes(const fvlm_config *c, fvlm_err *err);

#endif
