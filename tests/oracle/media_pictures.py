# SPDX-License-Identifier: Apache-2.0
"""Pictures for test_pixels.py: every kind of PNG and JPEG that Pillow reads, made here, and photographs.

Pillow writes neither interlaced PNG nor most of 16-bit, so PNG has a small writer of its own."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type: samples to a pixel
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(a, bits):
    """[h, w, channels] samples to PNG rows, each with filter 0."""
    rows = a.reshape(a.shape[0], -1)
    if bits == 16:
        data = rows.astype(">u2").view(np.uint8)
    elif bits == 8:
        data = rows.astype(np.uint8)
    else:
        per = 8 // bits
        padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % per))).reshape(len(rows), -1, per).astype(int)
        data = (padded << (8 - bits * (1 + np.arange(per)))).sum(2).astype(np.uint8)
    return b"".join(b"\0" + row.tobytes() for row in data)


def png(a, bits, colour, extra=b"", interlaced=False):
    h, w = a.shape[:2]
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [a[y::dy, x::dx] for x, y, dx, dy in passes]
    data = b"".join(pack_rows(p, bits) for p in parts if p.size)
    head = struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )  # fmt: skip


def texture(rng, w, h, channels=3):
    """Broad shapes, edges and noise: every part of the range, nothing flat."""
    small = rng.integers(0, 256, (max(2, h // 40), max(2, w // 40), 3), dtype=np.uint8)
    broad = np.asarray(Image.fromarray(small).resize((w, h), Image.NEAREST)).astype(int)
    noisy = (broad + rng.integers(-40, 41, (h, w, 3))).clip(0, 255).astype(np.uint8)
    return np.concatenate([noisy, noisy], 2)[:, :, :channels]


def pngs(rng, w=83, h=61):
    """name, bytes of every colour type and depth, plain and interlaced, with and without transparency."""
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for bits in depths:
            a = rng.integers(0, 1 << bits, (h, w, CHANNELS[colour]))
            if colour == 0 and bits == 16:
                a[::2] //= 200  # Pillow clips at 255: keep some of it below
            extra = b""
            if colour == 3:
                extra = chunk(b"PLTE", rng.bytes(3 * max(2, (1 << bits) * 3 // 4)))  # some indices past the end
            for interlaced in (False, True):
                yield f"png-{colour}-{bits}{'-adam7' * interlaced}.png", png(a, bits, colour, extra, interlaced)
            if colour == 3:
                yield f"png-{colour}-{bits}-trns.png", png(a, bits, colour, extra + chunk(b"tRNS", b"\x00\x80"))
            if colour in (0, 2):
                key = struct.pack(">" + "H" * CHANNELS[colour], *a[0, 0])
                yield f"png-{colour}-{bits}-trns.png", png(a, bits, colour, chunk(b"tRNS", key))
    profile = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"Title\0gamma is ignored")
    yield "png-gamma.png", png(texture(rng, 70, 40), 8, 2, profile)


def saved(a, mode="RGB", **options):
    to = io.BytesIO()
    Image.fromarray(a).convert(mode).save(to, "JPEG", **options)
    return to.getvalue()


def jpegs(rng):
    a = texture(rng, 333, 251)
    for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            yield f"jpeg-{name}-{kind}.jpg", saved(a, quality=88, subsampling=sampling, progressive=progressive)
    yield "jpeg-gray.jpg", saved(a, "L", quality=80)
    yield "jpeg-gray-progressive.jpg", saved(a, "L", quality=80, progressive=True)
    cmyk = saved(a, "CMYK", quality=85)
    yield "jpeg-cmyk.jpg", cmyk
    yield "jpeg-cmyk-progressive.jpg", saved(a, "CMYK", quality=85, progressive=True)
    mark = cmyk.find(b"\xff\xee\x00\x0eAdobe")
    assert mark > 0
    yield "jpeg-ycck.jpg", cmyk[: mark + 15] + b"\x02" + cmyk[mark + 16 :]  # the same numbers, read as YCCK
    yield "jpeg-rgb.jpg", saved(a, quality=90, keep_rgb=True)
    yield "jpeg-restart.jpg", saved(a, quality=70, restart_marker_blocks=3)
    yield "jpeg-quality-3.jpg", saved(a, quality=3)
    yield "jpeg-quality-100.jpg", saved(a, quality=100, subsampling=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: not applied
    yield "jpeg-exif-turned.jpg", saved(a, quality=90, exif=exif.tobytes())
    yield "jpeg-trailing-bytes.jpg", saved(a, quality=90) + b"what a camera appends"


SIZES = [
    (1, 1), (1, 9), (9, 1), (2, 3), (17, 16), (63, 64), (64, 64), (65, 63), (255, 257), (300, 1200), (512, 512),
    (640, 480), (1023, 1025), (1024, 1024), (1600, 900), (5000, 300), (300, 5000), (3, 2000),
]  # fmt: skip


def photographs():
    import skimage
    import sklearn

    found = [*Path(skimage.__file__).parent.glob("data/*"), *Path(sklearn.__file__).parent.glob("datasets/images/*")]
    return sorted(f for f in found if f.suffix in (".png", ".jpg", ".jpeg") and is_still(f))


def is_still(path):
    with Image.open(path) as image:
        return image.format in ("PNG", "JPEG")


def write_all(folder):
    """Every picture as a file: the made ones in folder, photographs where they are."""
    rng = np.random.default_rng(7)
    made = list(pngs(rng)) + list(jpegs(rng))
    made += [(f"size-{w}x{h}.png", png(texture(rng, w, h), 8, 2)) for w, h in SIZES]
    for name, data in made:
        (folder / name).write_bytes(data)
    return [folder / name for name, _ in made] + photographs()
