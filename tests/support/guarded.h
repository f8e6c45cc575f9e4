/* SPDX-License-Identifier: Apache-2.0 */
/* guarded.h - memory whose end is followed by a page that may not be touched, so that
 * a kernel that reads or writes one byte too far dies on the spot. */
#ifndef FVLM_TESTS_SUPPORT_GUARDED_H
#define FVLM_TESTS_SUPPORT_GUARDED_H

#include <stddef.h>

/* n_bytes, zeroed, ending at the guard page; all of them live until guarded_free_all. */
void *guarded(size_t n_bytes);
void guarded_free_all(void);

#endif
