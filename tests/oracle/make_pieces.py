# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fixtures/sentencepiece: two small models that the package sentencepiece trains, and what it makes of some
texts with them. make_pieces.py TEXT, a file of public-domain text (the package's own test/botchan.txt was used)."""

import io
import sys
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2

OUT = Path(__file__).resolve().parent.parent / "fixtures/sentencepiece"
RULES = {
    "\ufb01": "fi", "\u3000": " ", "\t": " ", "\n": " ", "\u2460": "1", "e\u0301": "\u00e9", "\u200b": "", "\u00bd": "1/2", "\uff21": "A",
    "\uff21\uff22": "AB", "\u00a0": " ", "\u0130": "i\u0307", "...": "\u2026",
}  # fmt: skip
TEXTS = [
    "", " ", "  ", "a", "Botchan", " Botchan", "  Red  Shirt  said  nothing. ", "I was the school teacher.", "\ufb01ve \ufb01sh", "\uff21\uff22\uff21 \uff22",
    "x\u3000y\u3000\u3000z", "\u3000lead", "trail\u3000", "caf\u0065\u0301 \u00e9", "\u6f22\u5b57\u3068\u4eee\u540d", "\U0001f600 smile \U0001f600\U0001f600", "\u2581x\u2581\u2581y\u2581", "<s>text</s>",
    "<unk>", "<0x41><0x0A>", "[INST] hi [/INST]", "<sep>", "a<sep>b", "Red Shirt and<sep>Red Shirt", "Red  Shirt", "zero\u200bwidth", "\u200b", "\u200b a", "one\ttwo\nthree\r\n",
    "\n\n\n", "1\u00bd \u2460\u2461", "wait... what....", "\u0130stanbul", "\u0000nul\u0000", "thethethethethe", "aaaaaaaaaaaaaaaa", "QZXJKQZXJK", "\ufffd", "\ufffdx\ufffd", "~^|{}",
]  # fmt: skip
BYTES = [b"\xff", b"a\xffb", b"\xe2\x96", b"\xe2\x96x", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"ok\x80\x80 \xe2", b"\xf4\x90\x80\x80", b"\xe2\x96\x81\xe2"]


def train(lines, **options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, minloglevel=2, num_threads=1, hard_vocab_limit=False, **options
    )
    model = model_pb2.ModelProto.FromString(out.getvalue())
    model.ClearField("self_test_data")
    return model


def main(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()][400:1400]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as rules:
        for a, b in RULES.items():
            rules.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
        rules.flush()
        unigram = train(
            lines, model_type="unigram", vocab_size=220, normalization_rule_tsv=rules.name, user_defined_symbols=["<sep>", "Red Shirt"],
            control_symbols=["[INST]"], character_coverage=0.999,
        )  # fmt: skip
    unigram.normalizer_spec.ClearField("normalization_rule_tsv")
    bpe = train(
        lines, model_type="bpe", vocab_size=460, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=["<sep>"], character_coverage=0.999, allow_whitespace_only_pieces=True,
    )  # fmt: skip
    normal = [p for p in bpe.pieces if p.type == p.NORMAL and len(p.piece) > 2]
    for p in normal[3::9]:
        p.type = p.UNUSED
    OUT.mkdir(exist_ok=True)
    with (OUT / "cases.txt").open("w", encoding="ascii") as cases:
        for name, model in ("unigram", unigram), ("bpe", bpe):
            data = model.SerializeToString()
            (OUT / f"{name}.model").write_bytes(data)
            processor = sentencepiece.SentencePieceProcessor(model_proto=data)
            for t in [t.encode() for t in TEXTS] + BYTES + [line.encode() for line in lines[::60]]:
                ids = processor.encode(t, out_type=int)
                print(name, t.hex() or "-", ",".join(map(str, ids)) or "-", processor.decode(ids).encode().hex() or "-", file=cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text("utf-8-sig"))
