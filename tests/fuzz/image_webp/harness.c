/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - see tests/fuzz/image.h. The length of the RIFF container is made right again in most inputs. */
#define IS_FORMAT(data, size) ((size) >= 12 && !memcmp((data) + 8, "WEBP", 4))
#include "tests/fuzz/image.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const size_t n = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 && n >= 12)
        for (size_t i = 0; i < 4; i++) data[4 + i] = (uint8_t)((n - 8) >> 8 * i);
    return n;
}
