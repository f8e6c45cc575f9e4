# SPDX-License-Identifier: Apache-2.0
"""LLaVA's anyres in Pillow and PyTorch: how a picture becomes an overview and tiles, and how their rows follow each other.

Written from what LLaVA's mm_utils.py (select_best_resolution, resize_and_pad_image, divide_to_patches,
process_anyres_image) and llava_arch.py (prepare_inputs_labels_for_multimodal, unpad_image) do; nothing comes from fvlm."""

import math

import numpy as np
import torch
from PIL import Image


def resized(image, size):
    """Pillow's default filter, bicubic. Across first, as Pillow up to 12 always does. Pillow 13 goes down first where the
    height shrinks more (python-pillow#9549), so it is asked for the passes one by one."""
    return image.resize((size[0], image.height)).resize(size)


def best_size(picture, sizes):
    """The size that keeps most of the picture, of several the one that wastes least, of several the first."""

    def rank(size):
        scale = min(size[0] / picture[0], size[1] / picture[1])
        kept = min(int(picture[0] * scale) * int(picture[1] * scale), picture[0] * picture[1])
        return kept, kept - size[0] * size[1]

    return max(sizes, key=rank)


def padded(image, size):
    """The picture as large as fits, in the middle of a black one."""
    across, down = size[0] / image.width, size[1] / image.height
    if across < down:
        new = size[0], min(math.ceil(image.height * across), size[1])
    else:
        new = min(math.ceil(image.width * down), size[0]), size[1]
    out = Image.new("RGB", size, (0, 0, 0))
    out.paste(resized(image, new), ((size[0] - new[0]) // 2, (size[1] - new[1]) // 2))
    return out


def squares(image, side, sizes):
    """[overview, tiles row by row], and the tiles' columns and rows."""
    size = best_size(image.size, sizes)
    whole = padded(image, size)
    tiles = [whole.crop((x, y, x + side, y + side)) for y in range(0, size[1], side) for x in range(0, size[0], side)]
    return [resized(image, (side, side)), *tiles], (size[0] // side, size[1] // side)


def pixels(images):
    """[n, 3, side, side] in 0..1, multiplied by 1/255 in f64 and rounded once, as CLIPImageProcessor does."""
    values = np.stack([np.asarray(image) for image in images]).astype(np.float64) * (1 / 255)
    return torch.from_numpy(values.astype(np.float32)).permute(0, 3, 1, 2).contiguous()


def unpadded(grid, picture):
    """grid [hidden, height, width] without what shows only padding."""
    height, width = grid.shape[1:]
    if picture[0] / picture[1] > width / height:
        padding = (height - int(picture[1] * (width / picture[0]))) // 2
        return grid[:, padding : height - padding]
    padding = (width - int(picture[0] * (height / picture[1]))) // 2
    return grid[:, :, padding : width - padding]


def spliced(features, shape, merge, picture, newline=None):
    """features [squares, tokens, hidden] -> rows [n, hidden] in the order that the language model gets."""
    if merge == "flat":
        return features.flatten(0, 1)
    n = math.isqrt(features.shape[1])
    columns, rows = shape
    grid = features[1:].view(rows, columns, n, n, -1).permute(4, 0, 2, 1, 3).flatten(1, 2).flatten(2, 3)
    if merge == "spatial_unpad":
        grid = unpadded(grid, picture)
        ends = newline[:, None, None].expand(-1, grid.shape[1], 1)
        grid = torch.cat((grid, ends), dim=-1)
    return torch.cat((features[0], grid.flatten(1).T))
