/* SPDX-License-Identifier: Apache-2.0 */
/* leftovers.c - see leftovers.h. A fixed table without locks, because a signal handler reads it. */
#include "format/base/leftovers.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

struct fvlm_leftover {
    atomic_bool taken;
    int dir;
    bool is_folder;
    const char *_Atomic name; /* written last, cleared first; NULL: not listed */
};

static fvlm_leftover table[8]; /* a command has at most two at once */

fvlm_leftover *fvlm_leftovers_add(int dir, const char *name, bool is_folder)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        fvlm_leftover *l = &table[i];
        if (atomic_exchange(&l->taken, true)) continue;
        l->dir = dir;
        l->is_folder = is_folder;
        l->name = name;
        return l;
    }
    return NULL;
}

void fvlm_leftovers_forget(fvlm_leftover *l)
{
    if (!l) return;
    l->name = NULL;
    l->taken = false;
}

void fvlm_leftovers_remove(void)
{
    for (int folders = 0; folders < 2; folders++)
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            const char *name = table[i].name;
            if (name && table[i].is_folder == folders) unlinkat(table[i].dir, name, folders ? AT_REMOVEDIR : 0);
        }
}
