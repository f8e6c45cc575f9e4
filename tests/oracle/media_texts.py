# SPDX-License-Identifier: Apache-2.0
"""Texts for test_tokens.py: what people write, what programmers write, and what breaks tokenizers."""

import random
import sysconfig
import unicodedata
from pathlib import Path

SENTENCES = """\
What is in this picture?
Wie viele rote Kreise sind auf dem Bild? Ärger, Öl, Übermut, Straße.
Qu'est-ce que c'est ? L'été dernier, « à côté » de l'œuvre.
¿Cuántos gatos hay? ¡Qué año tan extraño!
Сколько кошек на картинке? Ёлка, подъезд, съёмка.
Скільки котів на малюнку? Її ґанок.
Πόσες γάτες υπάρχουν στην εικόνα; Ἐν ἀρχῇ ἦν ὁ λόγος.
这张图片里有几只猫？他说：“你好，世界！”
這張圖片裡有幾隻貓？「你好」
この写真には猫が何匹いますか？ｶﾀｶﾅとひらがな、漢字。
이 사진에 고양이가 몇 마리 있습니까? 안녕하세요.
كم عدد القطط في الصورة؟ السَّلَامُ عَلَيْكُمْ ١٢٣
כמה חתולים יש בתמונה? שָׁלוֹם עֲלֵיכֶם
इस चित्र में कितनी बिल्लियाँ हैं? नमस्ते दुनिया १२३
এই ছবিতে কয়টি বিড়াল আছে? কো কৌ
இந்த படத்தில் எத்தனை பூனைகள் உள்ளன? கொ
ఈ చిత్రంలో ఎన్ని పిల్లులు ఉన్నాయి?
ในภาพนี้มีแมวกี่ตัว สวัสดีชาวโลก ๑๒๓
Trong ảnh này có bao nhiêu con mèo? Nguyễn, đường, phở.
Bu resimde kaç kedi var? İstanbul, ığdır, şöyle.
Na obrázku je kolik koček? Příliš žluťoučký kůň úpěl ďábelské ódy.
Ile kotów jest na zdjęciu? Zażółć gęślą jaźń.
Hány macska van a képen? Árvíztűrő tükörfúrógép.
სურათზე რამდენი კატაა? ქართული ენა
Քանի՞ կատու կա նկարում։
በዚህ ሥዕል ውስጥ ስንት ድመቶች አሉ?
ဒီပုံထဲမှာ ကြောင်ဘယ်နှစ်ကောင်ရှိလဲ
តើមានឆ្មាប៉ុន្មាន?
ᚠᛇᚻ᛫ᛒᛦᚦ᛫ᚠᚱᚩᚠᚢᚱ ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ\u180eᠡ
x² + y² = z²; ∑_{i=0}^{∞} 1/2ⁱ ≤ 2 … ½ ¾ ⅷ ㊷ ①②③
naïve café — “quotes” – dash… №5 §12 ©®™ €£¥ ﬁﬂ ﬆ ǆ
I'm, you're, we'll, they've, he'd, she's, can't; I'M YOU'RE WE'LL THEY'VE HE'D SHE'S CAN'T; it'ſ, ’s ’t
""".splitlines()

EMOJI = "😀 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 1️⃣ ❤️ 👩🏿‍🚀 🦙 🫠 ☺︎ 🏴󠁧󠁢󠁳󠁣󠁴󠁿".split(" ")
SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", "\v", "\f"]
JAMO = [*map(chr, range(0x1100, 0x1113)), *map(chr, range(0x1161, 0x1176)), *map(chr, range(0x11A8, 0x11C3)), "가", "각", "힣"]
BASES = "aeiouyAEIOUnNcCsSzZ αωΩ и ا か가क ᄀ"
MARKS = [c for c in map(chr, range(0x300, 0x20000)) if unicodedata.combining(c)]
SCRIPTS = [
    (0x20, 0x7F), (0xA0, 0x180), (0x250, 0x300), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0xE00, 0x1100),
    (0x1E00, 0x2000), (0x2000, 0x2600), (0x3040, 0x3400), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xF900, 0x10000),
    (0x10000, 0x10400), (0x12000, 0x12400), (0x1D400, 0x1D800), (0x1F300, 0x1FB00), (0x20000, 0x2A6E0), (0x2F800, 0x2FA20),
]  # fmt: skip


def words(r):
    """One to twelve words, each from one script, with spaces, numbers and signs between."""
    out = []
    for _ in range(r.randint(1, 12)):
        lo, hi = r.choice(SCRIPTS)
        out.append("".join(chr(r.randrange(lo, hi)) for _ in range(r.randint(1, 8))))
        out.append(r.choice([" ", " ", " ", "", ", ", "\n", str(r.randrange(10**6)), "'s ", "!?", " -- "]))
    return "".join(out)


def mixed(r):
    """Short bits of everything: emoji, jamo, marks, white space, contractions."""
    bits = [
        lambda: r.choice(EMOJI),
        lambda: r.choice(SPACES) * r.randint(1, 5),
        lambda: "".join(r.choice(JAMO) for _ in range(r.randint(1, 6))),
        lambda: r.choice(BASES) + "".join(r.choice(MARKS) for _ in range(r.randint(1, 4))),
        lambda: r.choice(["'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "''", "'"]),
        lambda: str(r.randrange(10 ** r.randint(1, 12))),
        lambda: r.choice(["Hello", "world", "the", "image", "FastVLM", "größe", "привет", "图片"]),
        lambda: r.choice(["{", "}();", "==", "->", "/*", "*/", "#!/", "\\n", "<>", "...", "\x00", "\x7f"]),
    ]
    return "".join(r.choice(bits)() for _ in range(r.randint(1, 10)))


def ill_formed(r):
    """Bytes that are almost UTF-8: cut, flipped, overlong, surrogates, beyond U+10FFFF."""
    s = bytearray((r.choice(SENTENCES) + r.choice(EMOJI))[: r.randint(1, 40)].encode())
    for _ in range(r.randint(1, 4)):
        at = r.randrange(len(s) + 1)
        bad = [b"\x80", b"\xff", b"\xc0\xaf", b"\xe0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xe4\xb8"]
        if r.random() < 0.5:
            s[at:at] = r.choice(bad)
        elif len(s) > 1:
            del s[at - 1]
    return bytes(s)


def with_added(r, added):
    """Added tokens inside text, doubled, cut short, with spaces."""
    out = []
    for _ in range(r.randint(1, 6)):
        token = r.choice(added)
        out.append(r.choice([token, token, token[:-1], token[1:], token * 2, " " + token + " ", token.upper()]))
        out.append(r.choice(["", "", "user\n", "a\u0301", "system", r.choice(SENTENCES)[:20]]))
    return "".join(out)


def source_lines(limit):
    """Lines of Python's own library, with their ends."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    lines = []
    for f in files:
        lines += f.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return lines[:: max(1, len(lines) // limit)][:limit]


def every_code_point():
    """All of Unicode but surrogates, 16 to a text, each beside a letter, a sign and a space."""
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["".join(f"x{c}'{c}e {c}1\n" for c in points[i : i + 16]) for i in range(0, len(points), 16)]


def all_texts(added):
    """kind: list of bytes."""
    r = random.Random(20)
    kinds = {
        "sentences": [a + sep + b for a in SENTENCES for sep in ("\n", " ", "") for b in SENTENCES],
        "decomposed": [unicodedata.normalize(form, s) for form in ("NFD", "NFKD") for s in SENTENCES],
        "code": source_lines(8000),
        "words of one script": [words(r) for _ in range(6000)],
        "mixtures": [mixed(r) for _ in range(6000)],
        "spaces": ["".join(r.choice(SPACES) * r.randint(1, 4) for _ in range(r.randint(1, 5))) + "x" * r.randint(0, 1) for _ in range(1500)],
        "base and marks": [b + m + n for m in MARKS for b in r.sample(BASES, 2) for n in ("", "\u0323", "\u0301", "\u0345")],
        "runs of marks": ["".join(r.choices(MARKS, k=r.randint(2, 12))) for _ in range(3000)],
        "added tokens": [with_added(r, added) for _ in range(2000)],
        "every code point": every_code_point(),
        "long": ["a" * 20000, " " * 20000 + "a", "\n \n" * 5000, "ab" * 9999, "é" * 9999, "!" * 9999, "7" * 9999, ""],
    }  # fmt: skip
    out = {kind: [t.encode() for t in texts] for kind, texts in kinds.items()}
    out["ill-formed UTF-8"] = [ill_formed(r) for _ in range(3000)]
    return out
