/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - see config.h. */
#include "format/config.h"

bool fvlm_config_is_eos(const fvlm_config *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id) return true;
    return false;
}
