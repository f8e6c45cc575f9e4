/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - private to quant/: the rules of the options, compiled. */
#ifndef FVLM_QUANT_RULES_H
#define FVLM_QUANT_RULES_H

#include "quant/quant.h"

typedef struct fvlm_quant_rules fvlm_quant_rules;

/* Borrows rules. On failure *out is NULL. */
fvlm_status fvlm_quant_rules_create(fvlm_quant_rules **out, const fvlm_quant_rule *rules, size_t n, fvlm_err *err);
void fvlm_quant_rules_destroy(fvlm_quant_rules **r); /* NULL is fine; sets NULL */

/* The last rule that matches name decides: *type becomes its type, or 'keep', and *by its regex. If none matches,
 * *type stays and *by is NULL. */
fvlm_status fvlm_quant_rules_apply(fvlm_quant_rules *r, const char *name, fvlm_type keep, fvlm_type *type,
                                   const char **by, fvlm_err *err);

/* Refuses a rule that has matched nothing so far. */
fvlm_status fvlm_quant_rules_check_used(const fvlm_quant_rules *r, fvlm_err *err);

#endif
