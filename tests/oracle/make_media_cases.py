# SPDX-License-Identifier: Apache-2.0
"""Writes tests/reference/image/image_cases.h and tokenizer_cases.h: small files and texts with what Pillow and `tokenizers`
make of them, for the C tests, which need no Python.

    python tests/oracle/make_media_cases.py"""

import io
import json
import random
import tempfile
import warnings
from pathlib import Path

import media_pictures as pictures
import media_seen
import media_texts as texts
import numpy as np
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = Path(__file__).resolve().parents[1] / "reference"
SIDE = 8
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def literal(data, indent="        "):
    """Bytes as C string literals, a hundred or so characters to a line; no escape can run into what follows."""
    keep = {chr(c) for c in range(32, 127)} - set('"\\?')
    lines, line = [], ""
    for b in data:
        line += chr(b) if chr(b) in keep else f"\\{b:03o}"
        if len(line) > 100:
            lines.append(line)
            line = ""
    return "\n".join(f'{indent}"{line}"' for line in [*lines, line])


def image_cases(rng):
    keep = (
        "png-0-1.png png-0-2.png png-0-4.png png-0-16.png png-0-16-adam7.png png-3-2-trns.png png-3-8-adam7.png png-4-8.png "
        "png-4-16.png png-2-8-adam7.png png-2-16.png png-2-8-trns.png png-6-8.png png-6-16-adam7.png"
    ).split()

    for name, data in pictures.pngs(rng, 11, 7):
        if name in keep:
            yield name, data
    a = pictures.texture(rng, 21, 14)
    for name, options in {
        "444": {"subsampling": 0},
        "420": {"subsampling": 2},
        "420-progressive": {"subsampling": 2, "progressive": True},
        "422-restart": {"subsampling": 1, "restart_marker_blocks": 1},
    }.items():
        yield f"jpeg-{name}.jpg", pictures.saved(a, quality=75, **options)
    yield "jpeg-gray.jpg", pictures.saved(a, "L", quality=75)
    cmyk = pictures.saved(a, "CMYK", quality=75)
    mark = cmyk.find(b"\xff\xee\x00\x0eAdobe")
    yield "jpeg-cmyk.jpg", cmyk
    yield "jpeg-ycck.jpg", cmyk[: mark + 15] + b"\x02" + cmyk[mark + 16 :]

    small = pictures.texture(rng, 11, 7)
    jpeg = pictures.saved(small, quality=75)
    block = {o: media_seen.tiff(o, "<>"[o % 2]) for o in range(1, 9)}
    for o in range(2, 9):
        yield f"jpeg-turned-{o}.jpg", media_seen.with_segments(jpeg, media_seen.app1(block[o]))
    yield "png-turned-5.png", pictures.png(small, 8, 2, pictures.chunk(b"eXIf", block[5]), True)
    yield "png-turned-6-late.png", media_seen.after_pixels(pictures.png(small, 8, 2), pictures.chunk(b"eXIf", block[6]))
    yield "png-turned-8-xmp.png", pictures.png(small, 8, 2, media_seen.itxt(media_seen.XMP_ATTRIBUTE % 8, 1))
    palette = pictures.chunk(b"PLTE", rng.bytes(12)) + pictures.chunk(b"tRNS", b"\xff\0\x80")
    yield "png-palette-alpha.png", pictures.png(rng.integers(0, 4, (7, 11, 1)), 2, 3, palette)
    rgba = np.dstack([small, rng.integers(0, 256, (7, 11), dtype=np.uint8)])
    yield "webp-lossy.webp", media_seen.webp(small, quality=75)
    yield "webp-lossy-alpha.webp", media_seen.webp(rgba, quality=75)
    yield "webp-lossless-alpha.webp", media_seen.webp(rgba, lossless=True, exact=True)
    yield "webp-turned-7.webp", media_seen.webp(small, lossless=True, exif=block[7])
    yield from ((n, b) for n, b in media_seen.webps(rng) if n == "animated-18-beside.webp")


def notes(data, name):
    """What fvlm_pixels.notes must say, from the names of the cases."""
    over_white = any(part in name for part in ("alpha", "-trns", "png-4-", "png-6-", "animated-18"))
    return (
        ("turned" in name) * 1 + over_white * 2 + name.startswith("png-0-16") * 4 + name.startswith("animated") * 8
    )


def write_images():
    rng = np.random.default_rng(3)
    rows = []
    warnings.filterwarnings("ignore", "Palette images with Transparency")
    for name, data in image_cases(rng):
        apple = Image.open(io.BytesIO(data)).convert("RGB")
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(data)
            seen = Image.fromarray(media_seen.seen(Path(file.name)))
        side = max(seen.size)
        square = Image.new("RGB", (side, side))
        square.paste(seen, ((side - seen.width) // 2, (side - seen.height) // 2))
        small = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        on_its_side = str(seen.size != apple.size).lower()
        rows.append(
            f'    {{"{name}", {apple.width}, {apple.height}, {notes(data, name)}, {on_its_side}, {len(data)},\n{literal(data)},\n'
            f"{literal(apple.tobytes())},\n{literal(seen.tobytes())},\n{literal(small.tobytes())}}},\n"
        )
    (OUT / "image/image_cases.h").write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* image_cases.h - made by tests/oracle/make_media_cases.py; do not edit. Small files, what Pillow's\n"
        ' * convert("RGB") gives for them, what tests/oracle/media_seen.py defines as seen, and that padded black to a square and\n'
        " * resized to IMAGE_SIDE. */\n"
        "#ifndef FVLM_TESTS_REFERENCE_IMAGE_IMAGE_CASES_H\n#define FVLM_TESTS_REFERENCE_IMAGE_IMAGE_CASES_H\n\n#include <stdbool.h>\n#include <stddef.h>\n\n"
        f"enum {{ IMAGE_SIDE = {SIDE}, N_IMAGE_CASES = {len(rows)} }};\n\n"
        "typedef struct {\n    const char *name;\n    unsigned width, height, notes;\n    bool on_its_side;\n    size_t n_bytes;\n"
        "    const char *bytes, *apple, *seen, *small;\n} image_case;\n\n/* clang-format off */\n"
        f"static const image_case image_cases[N_IMAGE_CASES] = {{\n{''.join(rows)}}};\n/* clang-format on */\n\n#endif\n"
    )


def small_tokenizer():
    """A byte-level BPE of 500 tokens with added tokens of every kind."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    t.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator(texts.SENTENCES * 3 + ["a" * 64 + " " * 64 + "the then there"], trainer)
    model = json.loads(t.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    added = [
        ("<|endoftext|>", True, False), ("<|im_start|>", True, False), ("<|im_end|>", True, False),
        ("<|im", False, False), ("<tool>", False, False), ("n\u00e9!", False, True),
    ]  # fmt: skip
    t.add_tokens([AddedToken(text, special=special, normalized=norm) for text, special, norm in added])
    section = {
        "tokens": tokens,
        "merges": [" ".join(m) for m in model["merges"]],
        "added": [
            {"id": t.token_to_id(text), "text": text, "special": special} | ({"normalized": True} if norm else {})
            for text, special, norm in added
        ],
        "pattern": PATTERN,
        "normalizer": "NFC",
    }
    return t, json.dumps(section, ensure_ascii=False, separators=(",", ":")).encode()


def write_tokens():
    r = random.Random(4)
    t, section = small_tokenizer()
    added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im", "<tool>", "ne\u0301!", "n\u00e9!"]
    cases = [s.encode() for s in texts.SENTENCES]
    cases += [texts.mixed(r).encode() for _ in range(120)] + [texts.ill_formed(r) for _ in range(80)]
    cases += [texts.with_added(r, added).encode() for _ in range(40)]
    rows = []
    for case in cases:
        ids = t.encode(case.decode("utf-8", "replace"), add_special_tokens=False).ids
        rows.append(f"    {{{len(case)},\n{literal(case)},\n        {len(ids)}, \"{' '.join(map(str, ids))}\"}},\n")
    (OUT / "tokenizer/tokenizer_cases.h").write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* tokenizer_cases.h - made by tests/oracle/make_media_cases.py; do not edit. A tokenizer section of 500 tokens\n"
        " * and the ids that Hugging Face `tokenizers` gives for texts, ill-formed UTF-8 and added tokens among them. */\n"
        "#ifndef FVLM_TESTS_REFERENCE_TOKENIZER_TOKENIZER_CASES_H\n#define FVLM_TESTS_REFERENCE_TOKENIZER_TOKENIZER_CASES_H\n\n#include <stddef.h>\n\n"
        f"enum {{ N_TOKEN_CASES = {len(rows)}, N_SMALL_TOKENIZER = {len(section)} }};\n\n"
        "typedef struct {\n    size_t n_bytes;\n    const char *text;\n    size_t n_ids;\n    const char *ids; /* in decimal */\n"
        "} token_case;\n\n/* clang-format off */\n"
        f"static const char small_tokenizer[] =\n{literal(section, '    ')};\n\n"
        f"static const token_case token_cases[N_TOKEN_CASES] = {{\n{''.join(rows)}}};\n/* clang-format on */\n\n#endif\n",
        "ascii",
    )


write_images()
write_tokens()
