# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fixtures/pictures for tests/cases/pictures.sh: small pictures, and SUMS, whose lines hold the row that a
picture belongs to, its name, and the MD5 of what Pillow makes of it ("WIDTH HEIGHT\\n", then RGB), as Apple reads it and
as seen (media_seen.py).

    python tests/oracle/make_picture_fixtures.py"""

import hashlib
from pathlib import Path

import media_seen
import numpy as np
from media_pictures import chunk, png, saved, texture
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / "fixtures/pictures"
SIBLINGS = {
    "exif6.jpg": "turned-5-2x3.jpg turned-7-1x40.png turned-8.webp turned-3-palette.png exif-two-values.jpg exif-late.png "
    "profile-packed.png xmp-element.jpg exif-not-tiff.jpg exif-nine.png",
    "transparent.png": "palette-1-one.png palette-4-all-adam7.png gray-2-key-3.png rgb-16-key.png lossy-2x3.webp "
    "animated-18-beside.webp animated-2-beside.webp opaque-alpha.png",
    "gray16.png": "turned-6-gray16-adam7.png gray-16-key-0.png gray-16-deep.png",
    "no-iend.png": "no-end.png no-pixel-checksum.png late-chunk-junk.png",
    "late-text-crc.png": "end-crc.png late-text-crc-twin.png trailing-bytes.png",
}


def main():
    rng = np.random.default_rng(9)
    files = {}
    for part in (media_seen.turned, media_seen.spelled, media_seen.transparent, media_seen.webps, media_seen.rare):
        files.update(part(np.random.default_rng(8)))
    a = texture(rng, 24, 16)
    gray = rng.integers(0, 65536, (16, 24, 1))
    plain = png(a, 8, 2)
    rows = {
        "exif6.jpg": media_seen.with_segments(saved(a, quality=90), media_seen.app1(media_seen.tiff(6))),
        "transparent.png": png(np.dstack([a, rng.integers(0, 256, (16, 24, 1))]), 8, 6),
        "gray16.png": png(gray, 16, 0),
        "no-iend.png": plain[:-12],
        "late-text-crc.png": media_seen.after_pixels(plain, chunk(b"tEXt", b"a\0bcd")[:-4] + bytes(4)),
    }
    files["late-text-crc-twin.png"] = media_seen.after_pixels(plain, chunk(b"zTXt", b"a\0\0bcd")[:-4] + bytes(4))
    OUT.mkdir(exist_ok=True)
    sums = []
    for row, data in rows.items():
        for name in [row, *SIBLINGS[row].split()]:
            path = OUT / name
            path.write_bytes(data if name == row else files[name])
            both = np.asarray(Image.open(path).convert("RGB")), media_seen.seen(path)
            digests = [hashlib.md5(b"%d %d\n" % p.shape[1::-1] + p.tobytes()).hexdigest() for p in both]
            sums.append(" ".join([row, name, *digests]))
    (OUT / "SUMS").write_text("\n".join(sums) + "\n")


main()
