# SPDX-License-Identifier: Apache-2.0
"""What pictures cost: see pictures.sh. Makes honest and hostile files and reads each in a process of its own."""
import io
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import zlib

# Starts the processes that are measured: a child begins with the peak memory of the process that it is forked from.
SERVER = """
import json, os, subprocess, sys
for line in sys.stdin:
    p = subprocess.Popen(json.loads(line), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = p.stderr.read().decode(errors="replace").strip()
    _, status, u = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    print(json.dumps([p.returncode, message, u.ru_maxrss * 1024, u.ru_utime + u.ru_stime]), flush=True)
"""
server = subprocess.Popen([sys.executable, "-S", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

from PIL import Image, ImageFile  # noqa: E402: after the server

Image.MAX_IMAGE_PIXELS = None
ImageFile.MAXBLOCK = 1 << 27  # the JPEG encoder wants all of a dense picture at once
PIXELS, FOLDER = sys.argv[1], sys.argv[2]
GROUPS = sys.argv[3:]
SIDE = "1024"
EXIF6 = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def photo(width, height):
    """Looks like a photograph to an encoder: shapes of every size, and grain."""
    noise = Image.effect_noise((width // 64 + 2, height // 64 + 2), 90).resize((width, height), Image.BILINEAR)
    fine = Image.frombytes("L", (width, 64), os.urandom(64 * width)).resize((width, height), Image.NEAREST)
    return Image.merge("RGB", (noise, Image.blend(noise, fine, 0.1), noise.transpose(Image.FLIP_LEFT_RIGHT)))


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, color, rows, interlaced=0, extra=b"", level=6):
    """rows: an iterable of filtered rows, or of runs of them."""
    z = zlib.compressobj(level)
    data = b"".join(z.compress(r) for r in rows) + z.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    plte = chunk(b"PLTE", bytes(range(256)) * 3) if color == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + plte + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def adam7(width, height, n, fill):
    """Rows of all passes, n bytes a pixel."""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        w, h = -(-(width - x0) // dx), -(-(height - y0) // dy)
        for _ in range(h if w > 0 else 0):
            yield b"\0" + fill(w * n)


def flat(width, height, n):
    return (bytes(1 + width * n) for _ in range(height))


def jpeg(marker, width, height, components, scans, fill=b"", restart=0):
    """Of almost no data: every scan but the first refines or repeats one component."""
    dri = b"\xff\xdd\0\x04" + struct.pack(">H", restart) if restart else b""
    out = b"\xff\xd8\xff\xdb\0C\0" + b"\1" * 64 + dri + b"\xff" + bytes([marker])
    out += struct.pack(">HBHHB", 8 + 3 * components, 8, height, width, components)
    out += b"".join(bytes([i + 1, 0x11, 0]) for i in range(components))
    spectral = b"\0\0\0" if marker in (0xC2, 0xCA) else b"\0\x3f\0"
    out += b"\xff\xda" + struct.pack(">HB", 6 + 2 * components, components)
    out += b"".join(bytes([i + 1, 0]) for i in range(components)) + spectral + fill
    for i in range(scans):
        out += b"\xff\xda\0\x08\x01" + bytes([1 + i % components]) + b"\0\x01\x3f\0" + fill
    return out + b"\xff\xd9"


def after_soi(file, segments):
    return file[:2] + segments + file[2:]


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def bombs(small):
    deflated = zlib.compress(bytes(400_000_000), 9)
    profile = b"Raw profile type exif\0"
    base = saved(small, "PNG")
    def with_chunks(chunks): return base[:33] + chunks + base[33:]
    jpg = saved(small, "JPEG")
    yield "zTXt of 400 MB", with_chunks(chunk(b"zTXt", profile + b"\0" + deflated)), base
    yield "1000 zTXt", with_chunks(chunk(b"zTXt", profile + b"\0" + deflated[:50000]) * 1000), base
    yield "iCCP of 400 MB", with_chunks(chunk(b"iCCP", b"x\0\0" + deflated)), base
    yield "tEXt of 60 MB", with_chunks(chunk(b"tEXt", profile + b"\n\n\n" + b"4d" * 30_000_000)), base
    yield "iTXt of 400 MB", with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + deflated)), base
    yield "eXIf of 60 MB", with_chunks(chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(60_000_000))), base
    yield "4 M empty chunks", with_chunks(chunk(b"tEXt", b"") * 4_000_000), base
    yield "IDAT of 1 byte each", one_byte_idat(base), base
    yield "900 EXIF segments", after_soi(jpg, segment(0xE1, b"Exif\0\0" + bytes(65000)) * 900), jpg
    yield "6 M EXIF segments", after_soi(jpg, segment(0xE1, b"Exif\0\0") * 6_000_000), jpg
    yield "60 MB of fill bytes", after_soi(jpg, b"\xff" * 60_000_000), jpg
    yield "60 MB of XMP", after_soi(jpg, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:Orientation" * 4000) * 900), jpg
    webp = saved(small, "WEBP", exif=EXIF6)
    riff = webp + b"JUNK\0\0\0\0" * 7_000_000
    yield "7 M chunks", riff[:4] + struct.pack("<I", len(riff) - 8) + riff[8:], webp


def one_byte_idat(base):
    at = base.index(b"IDAT") - 4
    n = struct.unpack(">I", base[at:at + 4])[0]
    data = base[at + 8:at + 8 + n]
    return base[:at] + b"".join(chunk(b"IDAT", data[i:i + 1]) for i in range(n)) + base[at + 12 + n:]


def honest_cases():
    """Yields (name, file, pixels, None)."""
    for mp, (w, h) in (("12 MP", (4000, 3000)), ("48 MP", (8000, 6000))):
        image = photo(w, h)
        gray = image.getchannel(1)
        kinds = [
            ("JPEG", image, "JPEG", dict(quality=90)),
            ("JPEG progressive", image, "JPEG", dict(quality=90, progressive=True)),
            ("JPEG CMYK", image.convert("CMYK"), "JPEG", dict(quality=90)),
            ("JPEG gray", gray, "JPEG", dict(quality=90)),
        ]
        kinds += [
            ("PNG 8", image, "PNG", dict(compress_level=1)),
            ("PNG 16 gray", Image.frombytes("I;16", (w, h), (os.urandom(w) * 2 + bytes(w * 2)) * (h // 2)), "PNG", dict(compress_level=1)),
            ("PNG palette", image.quantize(64, method=Image.FASTOCTREE), "PNG", dict(compress_level=1)),
            ("WebP lossy", image, "WEBP", dict(quality=80, method=0)),
            ("WebP lossless", image, "WEBP", dict(lossless=True, quality=0, method=0)),
        ]
        for name, im, kind, options in kinds:
            for turn, more in (("", {}), (", turned", {"exif": EXIF6})):
                yield f"{mp} {name}{turn}", saved(im, kind, **options, **more), w * h, None
        grain = os.urandom(512) * (w * 6 // 512 + 1)
        for turn, more in (("", b""), (", turned", chunk(b"eXIf", EXIF6[6:]))):
            yield f"{mp} PNG 8 interlaced{turn}", \
                png(w, h, 8, 2, adam7(w, h, 3, lambda n: grain[:n]), 1, more, 1), w * h, None
            yield f"{mp} PNG 16 RGBA interlaced{turn}", \
                png(w, h, 16, 6, adam7(w, h, 8, lambda n: (grain * 2)[:n]), 1, more, 1), w * h, None
            yield f"{mp} PNG 16 RGB{turn}", png(w, h, 16, 2, (b"\0" + grain[:6 * w] for _ in range(h)), 0, more, 1), w * h, None


def jpeg_cases():
    """Yields (name, file, pixels, file of the honest picture that it is compared with or None)."""
    def gray_jpeg(w, h, **o): return saved(Image.effect_noise((w, h), 60), "JPEG", **o)
    def rgb_jpeg(w, h, **o): return saved(photo(w, h), "JPEG", quality=90, **o)
    honest = rgb_jpeg(3000, 3000, progressive=True)
    yield "arithmetic, 498 scans, 22000 a side", jpeg(0xCA, 22000, 22000, 3, 498), 22000 ** 2, None
    yield "arithmetic, 1 scan, 22000 a side", jpeg(0xC9, 22000, 22000, 3, 0), 22000 ** 2, None
    yield "arithmetic at the limit, 1 scan", jpeg(0xC9, 6600, 6600, 3, 0), 6600 ** 2, rgb_jpeg(6600, 6600)
    yield "arithmetic at the limit, progressive", jpeg(0xCA, 6600, 6600, 3, 80), 6600 ** 2, rgb_jpeg(6600, 6600, progressive=True)
    yield "arithmetic filled up, 10000 a side", jpeg(0xC9, 10000, 10000, 1, 0, bytes(2_000_000)), 10 ** 8, gray_jpeg(10000, 10000)
    yield "80 scans, 3000 a side", jpeg(0xCA, 3000, 3000, 3, 80), 3000 ** 2, honest
    dense = Image.frombytes("RGB", (3000, 3000), os.urandom(27_000_000))
    yield "80 scans with data, 3000 a side", jpeg(0xCA, 3000, 3000, 3, 80, random.Random(7).randbytes(700_000).replace(b"\xff", b"\0")), 3000 ** 2, \
        saved(dense, "JPEG", quality=100, subsampling=0, progressive=True)
    yield "498 scans, 600 a side", jpeg(0xCA, 600, 600, 3, 498), 600 ** 2, rgb_jpeg(600, 600, progressive=True)
    yield "498 scans, 16 a side", jpeg(0xCA, 16, 16, 3, 490), 256, rgb_jpeg(16, 16, progressive=True)
    rst = b"".join(b"\xff" + bytes([0xD0 + i % 8]) for i in range(2_000_000))
    yield "restart storm", jpeg(0xC9, 3000, 3000, 3, 0, rst * 4, 1), 3000 ** 2, rgb_jpeg(3000, 3000)
    yield "restart storm, 60 MB, tiny", jpeg(0xC9, 16, 16, 1, 0, rst * 15, 1), 256, gray_jpeg(16, 16)
    yield "60 MB of data in 1 block", jpeg(0xC9, 8, 8, 1, 0, bytes(60_000_000)), 64, gray_jpeg(8, 8)


def large_cases():
    """Flat ones, and those that are far from square."""
    yield "PNG of 500 MP of zeros", png(25000, 20000, 8, 0, flat(25000, 20000, 1), level=9), 500_000_000, \
        png(25000, 20000, 8, 0, (b"\0" + (os.urandom(64) * 391)[:25000] for _ in range(20000)), level=1)
    yield "PNG 100 MP RGBA zeros, interlaced", png(10000, 10000, 16, 6, adam7(10000, 10000, 8, bytes), 1, level=9), 10 ** 8, \
        png(10000, 10000, 16, 6, adam7(10000, 10000, 8, lambda n: (os.urandom(64) * (n // 64 + 1))[:n]), 1, level=1)
    for w, h in ((1_000_000, 1), (1, 1_000_000), (65000, 1), (1_000_000, 500), (500, 1_000_000)):
        for inter in (0, 1):
            make = (lambda f: png(w, h, 8, 2, adam7(w, h, 3, f), 1, level=1)) if inter else \
                (lambda f: png(w, h, 8, 2, (b"\0" + f(w * 3) for _ in range(h)), level=1))
            yield f"PNG {w} x {h}{', interlaced' if inter else ''}", make(bytes), w * h, make(lambda n: (b"\1\2\7\5" * (n // 4 + 1))[:n])
    for w, h in ((16383, 4000), (8192, 8192), (1, 16383), (16383, 1)):
        blank = saved(Image.new("RGB", (w, h), (9, 9, 9)), "WEBP", lossless=True, method=0)
        other = saved(photo(w, h), "WEBP", lossless=True, quality=0, method=0)
        yield f"WebP lossless flat {w} x {h}", blank, w * h, other


def metadata_cases():
    """Metadata that expands or repeats, in files below 64 MB around one small picture."""
    for name, file, other in bombs(photo(64, 64)):
        yield f"{name}, 64 x 64", file, 64 * 64, other


def read(file):
    """(exit code, message, peak bytes, CPU seconds)"""
    path = os.path.join(FOLDER, "picture")
    with open(path, "wb") as f:
        f.write(file)
    server.stdin.write(json.dumps([PIXELS, "f32", path, SIDE]) + "\n")
    server.stdin.flush()
    result = json.loads(server.stdout.readline())
    os.unlink(path)
    return result


def main():
    code, _, idle, idle_seconds = read(saved(Image.new("RGB", (1, 1)), "PNG"))
    assert code == 0
    groups = {"honest": honest_cases, "jpeg": jpeg_cases, "large": large_cases, "metadata": metadata_cases}
    print(f"a picture of one pixel: {idle / 1e6:.1f} MB, {idle_seconds:.3f} s; taken off below")
    print(f"{'picture':44}{'MP':>8}{'file MB':>9}  {'outcome':9}{'MB':>7}{'of bar':>7}{'CPU s':>8}{'honest':>8}{'ratio':>7}")
    over = 0
    for name, file, pixels, honest in itertools.chain(*(makers() for name, makers in groups.items() if not GROUPS or name in GROUPS)):
        code, message, peak, seconds = read(file)
        outcome = {0: "ok", 1: "refused"}.get(code, f"EXIT {code}")
        other = read(honest) if honest else None
        assert not other or other[0] == 0, other
        peak = max(peak - idle, 0)
        bar = peak / (3 * 12 * pixels + 64e6)
        # Below 20 ms, a process costs more than its picture; no decoder of honest files is faster than 200 MB/s.
        ratio = seconds / max(other[3], idle_seconds + 0.02, len(file) / 200e6) if other else 0
        failed = code not in (0, 1) or bar > 1 or ratio > 3 or (len(file) < 64e6 and not honest and code and "MP " in name[:6])
        over += failed
        print(f"{name:44}{pixels / 1e6:8.2f}{len(file) / 1e6:9.2f}  {outcome:9}{peak / 1e6:7.1f}{bar:7.2f}{seconds:8.2f}"
              + (f"{other[3]:8.2f}{ratio:7.2f}" if other else " " * 15) + ("  OVER" if failed else "")
              + (f"\n    {message}" if code else ""), flush=True)
    print(f"{over} over the bar")
    return 1 if over else 0


sys.exit(main())
