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

static fvlm_leftover table[320]; /* output_folder.c lists up to 258 */

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

static void remove_listed(const fvlm_leftover *l, bool folders)
{
    const char *name = l->name;
    if (name && l->is_folder == folders) unlinkat(l->dir, name, folders ? AT_REMOVEDIR : 0);
}

/* Folders from the last listed to the first: a subfolder is listed after the one that it is in. */
void fvlm_leftovers_remove(void)
{
    const size_t n = sizeof table / sizeof table[0];
    for (size_t i = 0; i < n; i++) remove_listed(&table[i], false);
    for (size_t i = n; i-- > 0;) remove_listed(&table[i], true);
}
