/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - see tests/fuzz/image.h. */
#define IS_FORMAT(data, size) ((size) >= 3 && !memcmp(data, "\xff\xd8\xff", 3))
#include "tests/fuzz/image.h"
