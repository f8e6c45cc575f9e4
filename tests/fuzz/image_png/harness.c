/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - see tests/fuzz/image.h. The checksums of the chunks are made right again in most inputs. */
#include <zlib.h>

#define IS_FORMAT(data, size) ((size) >= 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8))
#include "tests/fuzz/image.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const size_t n = LLVMFuzzerMutate(data, size, max_size);
    for (size_t at = 8; seed % 8 && at + 12 <= n;) {
        const size_t length = load_be32(data + at);
        if (length > n - at - 12) break;
        const uint32_t sum = (uint32_t)crc32(0, data + at + 4, (uInt)length + 4);
        for (size_t i = 0; i < 4; i++) data[at + 8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
        at += length + 12;
    }
    return n;
}
