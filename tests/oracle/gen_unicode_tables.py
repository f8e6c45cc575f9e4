# SPDX-License-Identifier: Apache-2.0
"""Generates the tables by which reference/tokenizer follows the Unicode versions of Hugging Face `tokenizers`.

    gen_unicode_tables.py            print the C tables
    gen_unicode_tables.py --check    compare them with split.c and unicode.c

newer_letters, newer_numbers (split.c): what the regex engine of `tokenizers` counts as \\p{L} and \\p{N} and Unicode 14,
that of PCRE2 10.42, does not. newer_marks (unicode.c): code points whose NFC differs between `tokenizers` and utf8proc,
found by normalizing every code point with both, alone, decomposed, and between combining marks that move around it.
"""

import ctypes
import ctypes.util
import re
import sys
import unicodedata
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

ROOT = Path(__file__).resolve().parents[2]
CODE_POINTS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]


def matched(pattern):
    """The code points that the regex engine of `tokenizers` matches."""
    split = pre_tokenizers.Split(Regex(pattern + "+"), "removed")
    left = split.pre_tokenize_str("".join(map(chr, CODE_POINTS)))
    return set(CODE_POINTS) - {ord(c) for text, _ in left for c in text}


def newer(category):
    known = {c for c in CODE_POINTS if unicodedata.category(chr(c))[0] == category}
    return matched(rf"\p{{{category}}}") - known


def utf8proc(form):
    lib = ctypes.CDLL(ctypes.util.find_library("utf8proc") or "libutf8proc.so.2")
    function = getattr(lib, f"utf8proc_{form}")
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    return lambda text: ctypes.string_at(function(text.encode())).decode()  # leaks a few MB, once


def newer_marks():
    """Every text is a line: nothing moves or composes across a newline."""
    ours, theirs = utf8proc("NFC"), normalizers.NFC().normalize_str
    chars = [chr(c) for c in CODE_POINTS if c != 10]
    decomposed = utf8proc("NFD")("\n".join(chars)).split("\n")
    found = set()
    for texts in (
        chars,
        decomposed,
        ["a\u0345" + c for c in chars],  # class 240: moves behind every mark
        ["a" + c + "\u0334" for c in chars],  # class 1: moves before every mark
    ):
        text = "\n".join(texts)
        for c, source, a, b in zip(chars, texts, ours(text).split("\n"), theirs(text).split("\n"), strict=True):
            if a != b:
                found |= {ord(c)} | ({ord(source[-1])} if texts is decomposed else set())
    return found


def ranges(code_points):
    out = []
    for c in sorted(code_points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def wrapped(items, start, end, separator):
    lines = [""]
    for item in items:
        if lines[-1] and len(start + lines[-1] + separator + item + end) > 118:
            lines.append("")
        lines[-1] += (separator if lines[-1] else "") + item
    return [start + line + end for line in lines]


def regex_class(name, code_points):
    items = [f"\\\\x{{{a:x}}}" + (f"-\\\\x{{{b:x}}}" if b > a else "") for a, b in ranges(code_points)]
    return "\n".join([f"static const char {name}[] =", *wrapped(items, '    "', '"', "")]) + ";\n"


def pairs(name, code_points):
    items = [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(code_points)]
    return "\n".join([f"static const int32_t {name}[][2] = {{", *wrapped(items, "    ", ",", ", "), "};", ""])


def tables():
    return [
        ("split.c", regex_class("newer_letters", newer("L"))),
        ("split.c", regex_class("newer_numbers", newer("N"))),
        ("unicode.c", pairs("newer_marks", newer_marks())),
    ]


def differing():
    """Names of the tables in the source that are not what this script prints."""
    out = []
    for file, text in tables():
        source = (ROOT / "reference/tokenizer" / file).read_text()
        start = text.split("\n")[0]
        at = source.find(start)
        if at < 0 or re.sub(r"\s", "", source[at : source.find(";", at) + 1]) != re.sub(r"\s", "", text):
            out.append(f"{file}: {start}")
    return out


if __name__ == "__main__":
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"needs a Python that knows Unicode 14.0.0 (3.11), not {unicodedata.unidata_version}")
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(f"differs: {d}" for d in differing()) or 0)
    print("\n".join(text for _, text in tables()), end="")
