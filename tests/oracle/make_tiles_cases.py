# SPDX-License-Identifier: Apache-2.0
"""Writes tests/reference/tiles_cases.h: what anyres.py makes of small pictures, for the C test, which needs no Python.

    python tests/oracle/make_tiles_cases.py"""

from pathlib import Path

import anyres
import media_pictures
import numpy as np
import torch
import xxhash
from make_media_cases import literal
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / "reference/tiles_cases.h"
SIDE = 8
SIZES = [(8, 16), (16, 8), (16, 16), (24, 8), (8, 24)]
PICTURES = [(24, 10), (10, 24), (17, 17), (40, 3), (3, 40), (1, 1), (9, 16), (50, 20)]
SHAPES = [(1024, 768), (768, 1024), (1000, 1000), (4000, 3000), (3000, 4000), (1920, 1080), (1080, 1920), (333, 1000),
          (1, 1), (1, 10000), (10000, 1), (2047, 2049), (5000, 37), (640, 481), (1023, 3071)]  # fmt: skip
LARGE = [(1024, 2048), (2048, 1024), (2048, 2048), (3072, 1024), (1024, 3072)]  # of LLaVA 1.6, for tiles of 1024
TOKENS = 4  # a side of a square in the splices
MERGES = ["flat", "spatial", "spatial_unpad"]


def c_sizes(sizes):
    return ", ".join(f"{{{w}, {h}}}" for w, h in sizes)


def picture(size):
    """Gradients, so that the file is small."""
    y, x = np.mgrid[: size[1], : size[0]]
    return np.stack([x * 9 + y, y * 11 + 40, (x * y) % 64 * 4], axis=-1).astype(np.uint8)


def hashed(image):
    return xxhash.xxh3_128_hexdigest(np.asarray(image).tobytes())


def pixel_cases():
    for size in PICTURES:
        data = media_pictures.png(picture(size), 8, 2)
        squares, (columns, rows) = anyres.squares(Image.fromarray(picture(size)), SIDE, SIZES)
        text = ",\n        ".join(f'"{hashed(s)}"' for s in squares)
        yield f"    {{{size[0]}, {size[1]}, {columns}, {rows}, {len(data)},\n{literal(data)},\n        {{{text}}}}},"


def splice_cases():
    """The rows' numbers in their order, hashed: square * 16 + row of the square; the newline is 9999."""
    for size in SHAPES:
        chosen = anyres.best_size(size, LARGE)
        columns, rows = chosen[0] // 1024, chosen[1] // 1024
        features = torch.arange((1 + columns * rows) * TOKENS**2).float().view(-1, TOKENS**2, 1)
        found = []
        for merge in MERGES:
            order = anyres.spliced(features, (columns, rows), merge, size, torch.tensor([9999.0]))[:, 0].numpy()
            found.append(f'{{{len(order)}, "{xxhash.xxh3_128_hexdigest(order.astype("<f4").tobytes())}"}}')
        yield f"    {{{size[0]}, {size[1]}, {LARGE.index(chosen)}, {{{', '.join(found)}}}}},"


def header():
    pixels, splices = list(pixel_cases()), list(splice_cases())
    return "\n".join(
        [
            "/* SPDX-License-Identifier: Apache-2.0 */",
            "/* tiles_cases.h - made by tests/oracle/make_tiles_cases.py; do not edit. PNG files, and the XXH3-128 of the RGB",
            " * bytes of the overview and the tiles that Pillow makes of each; the size that LLaVA chooses for pictures, and the",
            " * XXH3-128 of the order of rows, f32, for \"flat\", \"spatial\" and \"spatial_unpad\". */",
            "#ifndef FVLM_TESTS_REFERENCE_TILES_CASES_H",
            "#define FVLM_TESTS_REFERENCE_TILES_CASES_H",
            "",
            "#include <stddef.h>",
            "#include <stdint.h>",
            "",
            f"enum {{ TILES_SIDE = {SIDE}, N_TILES_SIZES = {len(SIZES)}, N_TILES_PICTURES = {len(pixels)},",
            f"       SPLICE_TOKENS = {TOKENS}, N_SPLICE_SIZES = {len(LARGE)}, N_SPLICES = {len(splices)}, N_MERGES = 3 }};",
            "",
            "/* clang-format off */",
            f"static const uint32_t tiles_sizes[N_TILES_SIZES][2] = {{{c_sizes(SIZES)}}};",
            f"static const uint32_t splice_sizes[N_SPLICE_SIZES][2] = {{{c_sizes(LARGE)}}};",
            "",
            "static const struct {",
            "    uint32_t width, height, columns, rows;",
            "    size_t n_bytes;",
            "    const char *bytes, *squares[5];",
            "} tiles_pictures[N_TILES_PICTURES] = {",
            *pixels,
            "};",
            "",
            "static const struct {",
            "    uint32_t width, height, size;",
            "    struct { size_t tokens; const char *order; } merged[N_MERGES];",
            "} splices[N_SPLICES] = {",
            *splices,
            "};",
            "/* clang-format on */",
            "",
            "#endif",
            "",
        ]
    )


if __name__ == "__main__":
    OUT.write_text(header())
