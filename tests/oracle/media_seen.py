# SPDX-License-Identifier: Apache-2.0
"""Pictures whose metadata, transparency or depth make a difference, for test_pixels.py, and the definition of
`--picture seen` in terms of Pillow."""

import io
import struct
import zlib

import media_pictures as media
import numpy as np
from media_pictures import chunk, png, texture
from PIL import Image, ImageOps

ORIENTATION = 0x0112


def keyed_16_bit_rgb(path):
    """The transparent pixels of a 16-bit RGB PNG with tRNS, which Pillow compares after it has dropped 8 of the 16 bits;
    None for any other file. Only for files that media_pictures.png wrote without interlacing."""
    data = path.read_bytes()
    key = data.find(b"tRNS")
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[24:26] != b"\x10\x02" or key < 0:
        return None
    w, h = struct.unpack(">II", data[16:24])
    at = data.index(b"IDAT")
    rows = zlib.decompress(data[at + 4 : at + 4 + struct.unpack(">I", data[at - 4 : at])[0]])
    samples = np.frombuffer(rows, np.uint8).reshape(h, 1 + 6 * w)[:, 1:].copy().view(">u2").reshape(h, w, 3)
    return (samples == struct.unpack(">3H", data[key + 4 : key + 10])).all(2)


def seen(path):
    """THE DEFINITION of --picture seen: Pillow's exif_transpose, 16 bits scaled to 8 by keeping the high byte, Pillow's
    alpha_composite over white. Where Pillow confuses the color that a PNG's tRNS names (16 bits, or fewer than 8), it
    gets the mask that the PNG specification means."""
    with Image.open(path) as image:
        rawmode = image.tile[0][3] if image.format == "PNG" else ""
        mask = keyed_16_bit_rgb(path)
        image.load()
        try:
            turned = ImageOps.exif_transpose(image)
        except (SyntaxError, ValueError, OSError, struct.error):  # broken EXIF
            turned = image.copy()
        if mask is not None:
            alpha = Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))
            alpha.info, alpha.getexif = image.info, image.getexif
            turned = turned.convert("RGB")
            turned.info.pop("transparency", None)
            turned.putalpha(ImageOps.exif_transpose(alpha))
        key = turned.info.get("transparency")
        if turned.mode == "I;16":
            a = np.asarray(turned)
            gray = Image.fromarray((a >> 8).astype(np.uint8))
            if key is not None:
                gray.putalpha(Image.fromarray(np.where(a == key, 0, 255).astype(np.uint8)))
            turned = gray
        elif rawmode in ("L;2", "L;4") and key is not None:
            turned.info["transparency"] = key % 4 * 85 if rawmode == "L;2" else key % 16 * 17
        if turned.mode in ("LA", "RGBA", "PA") or "transparency" in turned.info:
            white = Image.new("RGBA", turned.size, (255, 255, 255, 255))
            turned = Image.alpha_composite(white, turned.convert("RGBA"))
        return np.asarray(turned.convert("RGB"))


def tiff(orientation, endian="<", kind=3, count=1, out_of_line=False, before=()):
    """An EXIF block (a TIFF without an image) with that entry; kind 3 is SHORT, 4 LONG."""
    value = struct.pack(endian + {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}[kind], orientation) * count
    entries = [(0x010F, 2, 4, b"cam\0"), *before, (ORIENTATION, kind, count, value)]
    head = {"<": b"II*\0", ">": b"MM\0*"}[endian] + struct.pack(endian + "I", 8)
    body, tail = struct.pack(endian + "H", len(entries)), b""
    tail_at = 8 + 2 + 12 * len(entries) + 4
    for tag, k, n, v in entries:
        if len(v) > 4 or (out_of_line and tag == ORIENTATION):
            v, tail = struct.pack(endian + "I", tail_at + len(tail)), tail + v
        body += struct.pack(endian + "HHI", tag, k, n) + v.ljust(4, b"\0")
    return head + body + b"\0\0\0\0" + tail


XMP_ATTRIBUTE = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
XMP_ELEMENT = b"<x:xmpmeta>tiff:Orientation <tiff:Orientation>%d</tiff:Orientation></x:xmpmeta>"


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def app1(block):
    return segment(0xE1, b"Exif\0\0" + block)


def xmp_segment(text):
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text)


def raw_profile(block):
    data = b"Exif\0\0" + block
    lines = "\n".join(data.hex()[i : i + 72] for i in range(0, 2 * len(data), 72))
    return f"\nexif\n{len(data):8}\n{lines}\n".encode()


def after_pixels(png_bytes, extra):
    return png_bytes[:-12] + extra + png_bytes[-12:]


def itxt(text, packed):
    data = zlib.compress(text) if packed else text
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([packed, 0]) + b"\0\0" + data)


def webp(a, **options):
    to = io.BytesIO()
    Image.fromarray(a).save(to, "WEBP", **options)
    return to.getvalue()


def riff(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def extended(file, flags, *after, size):
    """A simple WebP made an extended one, with those flags and chunks after it."""
    head = riff(b"VP8X", bytes([flags, 0, 0, 0]) + (size[0] - 1).to_bytes(3, "little") + (size[1] - 1).to_bytes(3, "little"))
    body = b"WEBP" + head + file[12:] + b"".join(after)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def turned(rng):
    """Every orientation in every format and kind of pixel."""
    a, rgba = texture(rng, 45, 31), rng.integers(0, 256, (19, 33, 4), dtype=np.uint8)
    palette = chunk(b"PLTE", rng.bytes(48)) + chunk(b"tRNS", bytes(range(0, 160, 10)))
    jpeg, gray = media.saved(a, quality=85, subsampling=2), media.saved(a, "L", progressive=True)
    for o in range(1, 9):
        block = tiff(o, "<>"[o % 2])
        yield f"turned-{o}.jpg", with_segments(jpeg, app1(block))
        yield f"turned-{o}-gray-progressive.jpg", with_segments(gray, app1(block))
        yield f"turned-{o}.png", png(a, 8, 2, chunk(b"eXIf", block))
        yield f"turned-{o}-palette.png", png(rng.integers(0, 16, (9, 14, 1)), 4, 3, palette + chunk(b"eXIf", block))
        yield f"turned-{o}-gray16-adam7.png", png(rng.integers(0, 65536, (9, 14, 1)), 16, 0, chunk(b"eXIf", block), True)
        yield f"turned-{o}.webp", webp(a, quality=70, exif=block)
        yield f"turned-{o}-alpha.webp", webp(rgba, lossless=True, exact=True, exif=b"Exif\0\0" + block)
        for w, h in ((1, 40), (40, 1), (2, 3), (100, 7)):
            yield f"turned-{o}-{w}x{h}.png", png(texture(rng, w, h), 8, 2, chunk(b"eXIf", block))
            yield f"turned-{o}-{w}x{h}.jpg", with_segments(media.saved(texture(rng, w, h)), app1(block))


def spelled(rng):
    """Orientation in every spelling, and what looks like one and is none."""
    jpeg, plain = media.saved(texture(rng, 23, 17)), png(texture(rng, 23, 17), 8, 2)
    blocks = {
        "long": tiff(6, ">", 4), "signed-byte": tiff(6, "<", 6), "signed-short": tiff(6, ">", 8), "ifd": tiff(6, "<", 13),
        "two-values": tiff(6, "<", 3, 2), "three-values": tiff(6, ">", 3, 3), "byte": tiff(6, "<", 1),
        "out-of-line": tiff(6, "<", 3, 4, True), "zero": tiff(0), "nine": tiff(9), "300": tiff(300), "no-value": tiff(6, count=0),
        "first-counts": tiff(6, before=[(ORIENTATION, 3, 1, b"\3\0")]),
        "unknown-type-first": tiff(6, before=[(ORIENTATION, 99, 1, b"\3\0")]),
        "text-first": tiff(6, before=[(ORIENTATION, 2, 2, b"3\0")]),
        "cut-after-entry": tiff(6)[:34], "cut-in-entry": tiff(6)[:29], "cut-in-header": tiff(6)[:7], "not-tiff": b"JUNK" * 9,
        "offset-outside": tiff(6)[:4] + b"\xff\xff\0\0" + tiff(6)[8:], "value-outside": tiff(6, count=999)[:36],
        "odd-order": b"II\0*" + tiff(6)[4:],
    }  # fmt: skip
    for name, block in blocks.items():
        yield f"exif-{name}.jpg", with_segments(jpeg, app1(block))
        yield f"exif-{name}.png", png(texture(rng, 8, 5), 8, 2, chunk(b"eXIf", block))
    six, eight = XMP_ATTRIBUTE % 6, XMP_ELEMENT % 8
    yield "exif-twice-marked.jpg", with_segments(jpeg, app1(b"Exif\0\0" + tiff(6)))
    yield "exif-two-segments.jpg", with_segments(jpeg, app1(tiff(6)), app1(tiff(3)))
    yield "exif-after-frame.jpg", jpeg[: jpeg.index(b"\xff\xc0")] + app1(tiff(6)) + jpeg[jpeg.index(b"\xff\xc0") :]
    yield "exif-junk-before.jpg", jpeg[:2] + b"\xff\xff" + app1(tiff(5)) + jpeg[2:]
    yield "xmp.jpg", with_segments(jpeg, xmp_segment(six))
    yield "xmp-element.jpg", with_segments(jpeg, xmp_segment(eight))
    yield "xmp-last-counts.jpg", with_segments(jpeg, xmp_segment(six), xmp_segment(eight))
    yield "xmp-and-exif.jpg", with_segments(jpeg, xmp_segment(six), app1(tiff(3)))
    yield "xmp-and-exif-without.jpg", with_segments(jpeg, app1(tiff(6)[:8] + bytes(6)), xmp_segment(six))
    yield "xmp-and-exif-byte.jpg", with_segments(jpeg, xmp_segment(six), app1(tiff(3, "<", 1)))
    for packed in (0, 1):
        yield f"xmp-{packed}.png", png(texture(rng, 9, 5), 8, 2, itxt(six, packed))
        yield f"xmp-{packed}-late.png", after_pixels(plain, itxt(eight, packed))
    yield "exif-late.png", after_pixels(plain, chunk(b"eXIf", tiff(6)))
    yield "exif-two.png", png(texture(rng, 9, 5), 8, 2, chunk(b"eXIf", tiff(3)) + chunk(b"eXIf", tiff(6)))
    profile = b"Raw profile type exif\0"
    yield "profile.png", png(texture(rng, 9, 5), 8, 2, chunk(b"tEXt", profile + raw_profile(tiff(6))))
    yield "profile-packed.png", after_pixels(plain, chunk(b"zTXt", profile + b"\0" + zlib.compress(raw_profile(tiff(8)))))
    yield "profile-and-exif.png", png(
        texture(rng, 9, 5), 8, 2, chunk(b"tEXt", profile + raw_profile(tiff(6))) + chunk(b"eXIf", tiff(3))
    )
    a = texture(rng, 21, 12)
    yield "xmp.webp", webp(a, xmp=six)
    yield "xmp-and-exif.webp", webp(a, xmp=six, exif=tiff(3))
    yield "exif-without-flag.webp", extended(webp(a), 0, riff(b"EXIF", tiff(6)), size=(21, 12))


def transparent(rng):
    """Every kind of transparency."""
    for bits in (1, 2, 4, 8):
        n = 1 << bits
        a, colors = rng.integers(0, n, (13, 18, 1)), chunk(b"PLTE", rng.bytes(3 * n))
        short = chunk(b"PLTE", rng.bytes(3 * max(1, n // 2)))
        for name, values in {
            "one": b"\0", "late": b"\xff\0", "half": b"\x80", "all": rng.bytes(n), "opaque": b"\xff" * n,
        }.items():  # fmt: skip
            yield f"palette-{bits}-{name}.png", png(a, bits, 3, colors + chunk(b"tRNS", values))
        yield f"palette-{bits}-all-adam7.png", png(a, bits, 3, colors + chunk(b"tRNS", rng.bytes(n)), True)
        yield f"palette-{bits}-beyond.png", png(a, bits, 3, short + chunk(b"tRNS", rng.bytes(n)))
    for bits in (1, 2, 4, 8, 16):
        a = rng.integers(0, 1 << min(bits, 4), (13, 18, 1)) * (1 if bits < 8 else 255)
        for key in (0, int(a[3, 3, 0]), (1 << bits) - 1, 0x0F0F):
            yield f"gray-{bits}-key-{key}.png", png(a, bits, 0, chunk(b"tRNS", struct.pack(">H", key)))
    rgb = rng.integers(0, 256, (13, 18, 3))
    rgb[::3] = (10, 20, 30)
    yield "rgb-8-key.png", png(rgb, 8, 2, chunk(b"tRNS", struct.pack(">3H", 10, 20, 30)))
    yield "rgb-16-key.png", png(rgb * 257 + 1, 16, 2, chunk(b"tRNS", struct.pack(">3H", *[v * 257 + 1 for v in (10, 20, 30)])))
    yield "rgb-16-key-missed.png", png(rgb * 257 + 1, 16, 2, chunk(b"tRNS", struct.pack(">3H", *[v * 257 for v in (10, 20, 30)])))
    yield "gray-16-deep.png", png(rng.integers(0, 65536, (13, 18, 1)), 16, 0)
    every = np.stack(np.meshgrid(np.arange(256), np.arange(256)), 2)  # every sample with every opacity
    yield "every-opacity-gray.png", png(every, 8, 4)
    yield "every-opacity.png", png(every[:, :, [0, 0, 0, 1]] ^ [0, 85, 170, 0], 8, 6)
    yield "every-opacity-16.png", png(every * 257 - every[::-1] * 0 + 0, 16, 4)
    yield "every-opacity.webp", webp((every[:, :, [0, 0, 0, 1]] ^ [0, 85, 170, 0]).astype(np.uint8), lossless=True, exact=True)
    yield "opaque-alpha.png", png(np.dstack([rgb, np.full((13, 18, 1), 255)]), 8, 6)


def webps(rng):
    a, rgba = texture(rng, 333, 251), rng.integers(0, 256, (40, 61, 4), dtype=np.uint8)
    smooth = np.dstack([texture(rng, 90, 70), np.tile(np.linspace(0, 255, 90).astype(np.uint8), (70, 1))])
    for quality in (0, 30, 80, 100):
        yield f"lossy-{quality}.webp", webp(a, quality=quality)
        yield f"lossy-{quality}-alpha.webp", webp(smooth, quality=quality, alpha_quality=quality)
    for method in (0, 6):
        yield f"lossless-{method}.webp", webp(a, lossless=True, method=method)
        yield f"lossless-{method}-alpha.webp", webp(rgba, lossless=True, method=method, exact=True)
    yield "lossless-palette.webp", webp((a // 128 * 255).astype(np.uint8), lossless=True)
    yield "lossless-flat.webp", webp(np.full((90, 70, 3), 77, np.uint8), lossless=True)
    for w, h in ((1, 1), (1, 50), (50, 1), (2, 3), (3, 2), (15, 17), (16, 16), (200, 9), (9, 200)):
        yield f"lossy-{w}x{h}.webp", webp(texture(rng, w, h), quality=60)
        yield f"lossless-{w}x{h}.webp", webp(texture(rng, w, h), lossless=True)
    yield "extended.webp", extended(webp(texture(rng, 30, 20), quality=60), 0, size=(30, 20))
    yield "alpha-not-announced.webp", extended(webp(rgba, lossless=True, exact=True), 0, size=(61, 40))
    yield "alpha-announced-only.webp", extended(webp(texture(rng, 30, 20), quality=60), 0x10, size=(30, 20))
    yield "trailing-bytes.webp", webp(texture(rng, 30, 20)) + b"what a tool appends"
    yield "unknown-chunk.webp", extended(webp(texture(rng, 30, 20)), 0, riff(b"junk", b"abc"), size=(30, 20))
    frames = [Image.fromarray(texture(rng, 40, 30, 3)) for _ in range(3)]
    for name, options in {"lossy": {"quality": 70}, "lossless": {"lossless": True}}.items():
        to = io.BytesIO()
        frames[0].save(to, "WEBP", save_all=True, append_images=frames[1:], **options)
        yield f"animated-{name}.webp", to.getvalue()
    for flags in (0x02, 0x12):  # the first picture beside the canvas's corner
        body = riff(b"VP8X", bytes([flags, 0, 0, 0, 49, 0, 0, 39, 0, 0])) + riff(b"ANIM", bytes(6))
        for left, top, file in ((2, 3, webp(rgba[:20, :30].copy(), lossless=True, exact=True)), (0, 0, webp(texture(rng, 50, 40)))):
            w, h = (30, 20) if left else (50, 40)
            frame = b"".join(n.to_bytes(3, "little") for n in (left, top, w - 1, h - 1, 100)) + b"\0"
            body += riff(b"ANMF", frame + file[12:])
        yield f"animated-{flags}-beside.webp", b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    yield "animated.png", png(texture(rng, 30, 20), 8, 2, chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", struct.pack(">5I2H2B", 0, 30, 20, 0, 0, 1, 10, 0, 0)))


def rare(rng):
    a = texture(rng, 50, 41)
    cmyk = media.saved(a, "CMYK", quality=85)
    mark = cmyk.find(b"\xff\xee\x00\x0eAdobe")
    yield "cmyk-without-adobe.jpg", cmyk[:mark] + cmyk[mark + 16 :]
    jpeg = media.saved(a, quality=85)
    to = io.BytesIO()
    Image.fromarray(a).save(to, "MPO", save_all=True, append_images=[Image.fromarray(a[::-1].copy())])
    yield "two-pictures.mpo.jpg", to.getvalue()
    yield "icc.jpg", with_segments(jpeg, *[segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 3]) + rng.bytes(65000)) for i in (1, 2, 3)])
    yield "comments.jpg", with_segments(jpeg, *[segment(0xFE, b"x" * 60000)] * 20)
    yield "restart-every-block.jpg", media.saved(a, quality=60, restart_marker_blocks=1)
    plain = png(a, 8, 2)
    yield "no-end.png", plain[:-12]
    yield "late-text-crc.png", after_pixels(plain, chunk(b"tEXt", b"a\0b")[:-4] + bytes(4))
    yield "end-crc.png", plain[:-4] + bytes(4)
    yield "trailing-bytes.png", plain + b"what a tool appends"
    yield "late-chunk-junk.png", plain[:-12] + b"\xff" * 40
    yield "no-pixel-checksum.png", plain[:-16]
    yield "icc-bomb.png", png(a, 8, 2, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 19))))


def write_all(folder):
    rng = np.random.default_rng(8)
    made = [*turned(rng), *spelled(rng), *transparent(rng), *webps(rng), *rare(rng)]
    for name, data in made:
        (folder / name).write_bytes(data)
    return [folder / name for name, _ in made]
