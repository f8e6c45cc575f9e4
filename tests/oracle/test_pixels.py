# SPDX-License-Identifier: Apache-2.0
"""Guards: a picture's pixels are those of Pillow, bit for bit: with --picture apple those of Apple's predict.py, with
--picture seen those that media_seen.seen defines; then those of CLIPImageProcessor.

What is compared with what:
  PNG, WebP           Pillow in both conventions, bit for bit (Pillow brings a libwebp of its own)
  JPEG                djpeg of Debian's libjpeg-turbo (the library we link), bit for bit where djpeg writes RGB;
                      Pillow, which brings a libjpeg-turbo of its own: the largest difference is printed, and is 0
                      for 2.1.5 against 3.x
  pad, bicubic, /255  from the same decoded picture, bit for bit, at three sizes
"""

import io
import shutil
import subprocess
import sys
import types

import media_pictures
import media_seen
import numpy as np
import pytest
from PIL import Image, features
from under_test import BUILD

TOOL = BUILD / "tests/tools/pixels"
SIDES = (64, 256, 1024)
pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return media_pictures.write_all(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def every(pictures, tmp_path_factory):
    return pictures + media_seen.write_all(tmp_path_factory.mktemp("seen"))


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def rgb(*arguments):
    size, data = tool(*arguments).split(b"\n", 1)
    w, h = map(int, size.split())
    return np.frombuffer(data, np.uint8).reshape(h, w, 3)


def pillow_rgb(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def expand2square(image):
    """As in Apple's mm_utils.py."""
    w, h = image.size
    if w == h:
        return image
    side = max(w, h)
    square = Image.new("RGB", (side, side), (0, 0, 0))
    square.paste(image, (0, (w - h) // 2) if w > h else ((h - w) // 2, 0))
    return square


def reference(image, side):
    small = expand2square(image).resize((side, side), Image.Resampling.BICUBIC)
    return (np.asarray(small).astype(np.float64) * (1 / 255)).astype(np.float32)


def is_jpeg(path):
    return path.suffix in (".jpg", ".jpeg")


def test_there_are_enough(every):
    print(f"\n{len(every)} pictures: ", end="")
    for suffix in (".jpg", ".png", ".webp"):
        print(sum(p.suffix == suffix for p in every), suffix[1:], end=", ")
    print(f"Pillow's libjpeg-turbo {features.version('libjpeg_turbo')}, libwebp {features.version('webp')}")
    assert len(every) >= 390


@pytest.mark.parametrize("how", ["apple", "seen"])
def test_is_pillows(every, how):
    expected = {"apple": pillow_rgb, "seen": media_seen.seen}[how]
    wrong = []
    for path in every:
        want = expected(path)
        done = subprocess.run([TOOL, how, path], capture_output=True)
        got = rgb(how, path) if done.returncode == 0 else done.stderr.decode()
        if isinstance(got, str) or got.shape != want.shape or (got != want).any():
            wrong.append((path.name, got if isinstance(got, str) else (got.shape, want.shape)))
    assert not wrong, wrong


@pytest.mark.parametrize("how", ["apple", "seen"])
def test_turned_and_resized(every, how):
    """Padding and resizing come after turning."""
    for path in [p for p in every if p.name.startswith("turned")]:
        ours = np.frombuffer(tool("f32", path, 64, how), "<f4").reshape(64, 64, 3)
        expected = reference(Image.fromarray(rgb(how, path)), 64)
        np.testing.assert_array_equal(ours.view(np.uint32), expected.view(np.uint32), path.name)


def test_jpeg_is_pillows(pictures):
    worst = {p.name: int(np.abs(rgb("apple", p).astype(int) - pillow_rgb(p)).max()) for p in pictures if is_jpeg(p)}
    print("\nlargest difference to Pillow's JPEG decoder:", max(worst.values()), worst)
    assert max(worst.values()) == 0, worst


@pytest.mark.skipif(not shutil.which("djpeg"), reason="no djpeg: apt-get install libjpeg-turbo-progs")
def test_jpeg_is_djpegs(pictures):
    compared = 0
    for path in filter(is_jpeg, pictures):
        done = subprocess.run(["djpeg", "-ppm", path], capture_output=True)
        if done.returncode or Image.open(path).mode == "CMYK":
            continue  # djpeg writes no RGB of CMYK
        with Image.open(io.BytesIO(done.stdout)) as image:
            np.testing.assert_array_equal(rgb("apple", path), np.asarray(image.convert("RGB")), path.name)
        compared += 1
    print(f"\n{compared} JPEGs bit for bit as djpeg's")
    assert compared >= 15


@pytest.mark.parametrize("side", SIDES)
def test_pixels(pictures, side):
    for path in pictures:
        ours = np.frombuffer(tool("f32", path, side, "apple"), "<f4").reshape(side, side, 3)
        expected = reference(Image.fromarray(rgb("apple", path)), side)
        np.testing.assert_array_equal(ours.view(np.uint32), expected.view(np.uint32), path.name)


def test_separate_steps(pictures):
    """Padding in bytes, then resizing, gives what the one-pass way gives."""
    for path in pictures[:: max(1, len(pictures) // 12)]:
        expected = expand2square(Image.open(path).convert("RGB")).resize((97, 97), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(rgb("square", path, 97), np.asarray(expected), path.name)


def test_any_size_to_any_size(tmp_path):
    """Horizontal pass first, always. Pillow 13 goes the other way when the height shrinks much more than the width
    (python-pillow#9549), which no square does; so it is asked for the passes one by one."""
    rng = np.random.default_rng(11)
    for _ in range(60):
        w, h, to_w, to_h = (int(2 ** rng.uniform(0, 9.5)) for _ in range(4))
        a = rng.integers(0, 256, (h, w, 3), dtype=np.uint8) if rng.random() < 0.7 else media_pictures.texture(rng, w, h)
        path = tmp_path / "a.png"
        path.write_bytes(media_pictures.png(a, 8, 2))
        across = Image.fromarray(a).resize((to_w, h), Image.Resampling.BICUBIC)
        expected = across.resize((to_w, to_h), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(rgb("resize", path, to_w, to_h), np.asarray(expected), f"{w}x{h} {to_w}x{to_h}")


def test_clip_image_processor(pictures):
    """The whole chain through transformers, with Apple's preprocessor settings."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("unused"))
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 1024}, crop_size={"height": 1024, "width": 1024}, image_mean=[0, 0, 0], image_std=[1, 1, 1]
    )
    for path in [p for p in pictures if not is_jpeg(p)][::6]:
        square = expand2square(Image.open(path).convert("RGB"))
        expected = np.asarray(processor.preprocess(square, return_tensors="np")["pixel_values"][0], np.float32)
        ours = np.frombuffer(tool("f32", path, 1024, "apple"), "<f4").reshape(1024, 1024, 3)
        np.testing.assert_array_equal(ours, expected.transpose(1, 2, 0), path.name)


def pillow_reads(path):
    try:
        pillow_rgb(path)
        return True
    except (OSError, SyntaxError, ValueError):
        return False


@pytest.mark.parametrize("name", ["png-2-8.png", "png-3-4.png", "jpeg-420-baseline.jpg", "jpeg-420-progressive.jpg"])
def test_truncation_is_refused_as_pillow_does(pictures, tmp_path, name):
    data = next(p for p in pictures if p.name == name).read_bytes()
    path = tmp_path / name
    for n in [*range(0, len(data) - 40, max(1, len(data) // 60)), *range(len(data) - 40, len(data))]:
        path.write_bytes(data[:n])
        done = subprocess.run([TOOL, "apple", path], capture_output=True)
        assert (done.returncode == 0) == pillow_reads(path), (n, done)
