# SPDX-License-Identifier: Apache-2.0
"""A picture as FastVLM takes it, by Apple's predict.py: RGB, padded black to a square, bicubic, divided by 255.
And where it goes: IMAGE stands for it among the prompt's ids."""

import numpy as np
import torch
from PIL import Image

IMAGE = -200


def padded(path):
    """The picture in the middle of a black square."""
    image = Image.open(path).convert("RGB")
    w, h = image.size
    longest = max(w, h)
    square = Image.new("RGB", (longest, longest), (0, 0, 0))
    square.paste(image, ((longest - w) // 2, (longest - h) // 2))
    return square


def read_pixels(path, side):
    """[1, 3, side, side] in 0..1. The product is made in f64 and rounded once, as CLIPImageProcessor does."""
    square = padded(path).resize((side, side), Image.Resampling.BICUBIC)
    values = (np.asarray(square).astype(np.float64) * (1 / 255)).astype(np.float32)
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()
