/* SPDX-License-Identifier: Apache-2.0 */
/* export_tower.h - private to convert/export: towers that upstream's code can build. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_TOWER_H
#define FVLM_CONVERT_EXPORT_EXPORT_TOWER_H

#include "convert/export/export_names.h"
#include "convert/export/target.h"

/* Refuses, by name, a tower that timm's fastvit_mci3 cannot be told to be. Apple's names hold any. */
fvlm_status fvlm_export_check_tower(const fvlm_export *x, fvlm_export_naming naming, fvlm_err *err);

/* The arguments of timm.create_model("fastvit_mci3"); NULL if out of memory. */
json_t *fvlm_export_timm_args(const fvlm_config *c);

#endif
