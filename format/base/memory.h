/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - how much memory this process has used, in bytes; 0 where the system does not tell (no /proc). */
#ifndef FVLM_FORMAT_BASE_MEMORY_H
#define FVLM_FORMAT_BASE_MEMORY_H

#include <stdint.h>

/* Most memory resident at once, mapped files included (VmHWM). */
uint64_t fvlm_memory_peak_bytes(void);

/* The same without mapped files. The kernel keeps no peak of it: this is the largest value (RssAnon) that any call of
 * this function has seen, so call it where the program holds most. Thread-safe. */
uint64_t fvlm_memory_peak_anonymous_bytes(void);

#endif
