/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.c - rewrites a checkpoint in Apple's names as another program would have saved it (tests/support/dialect.h):
 *
 *   dialect FROM TO transformers|llava|mlx-vlm|apple-mlx|timm|openclip|mobileclip|apple-tower */
#include <stdio.h>

#include "tests/support/dialect.h"

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: dialect FROM TO DIALECT\n");
        return 2;
    }
    test_dialect_write(argv[1], argv[2], argv[3]);
    return 0;
}
