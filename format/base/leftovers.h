/* SPDX-License-Identifier: Apache-2.0 */
/* leftovers.h - names that must not outlive the process: temporary files and folders. The normal way out removes them
 * itself; a signal handler that ends the process calls fvlm_leftovers_remove. */
#ifndef FVLM_FORMAT_BASE_LEFTOVERS_H
#define FVLM_FORMAT_BASE_LEFTOVERS_H

#include "format/base/base.h"

/* Lists name, relative to the folder dir (AT_FDCWD: the current one). dir and name must live until it is forgotten.
 * NULL if the list is full; then a signal may leave the name behind. Thread-safe. */
typedef struct fvlm_leftover fvlm_leftover;
fvlm_leftover *fvlm_leftovers_add(int dir, const char *name, bool is_folder);
void fvlm_leftovers_forget(fvlm_leftover *l); /* NULL is fine */

/* Removes what is listed, files before folders. Async-signal-safe. */
void fvlm_leftovers_remove(void);

#endif
