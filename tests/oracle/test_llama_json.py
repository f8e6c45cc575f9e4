# SPDX-License-Identifier: Apache-2.0
"""Guards: with a tokenizer.json of Llama's form and no tokenizer.model, ids and decoded texts are those of Hugging Face's
`tokenizers` on 21,000 texts and more: trained models of Mistral in each spelling of spaces, the same with ranks that no
SentencePiece model has, and one without byte fallback."""

import functools
import json
import random
import subprocess
import tempfile
from pathlib import Path

import pytest
import sentencepiece
from test_sentencepiece import all_texts, model_bytes, ours
from tokenizers import Tokenizer
from transformers import LlamaTokenizer
from under_test import BUILD

SPACE = "\u2581"
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
DECODER = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
PREPEND = {"type": "Prepend", "prepend": SPACE}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def metaspace(scheme):
    return {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False}}


def normalizer(*steps):
    return {"normalizer": {"type": "Sequence", "normalizers": list(steps)}, "pre_tokenizer": None}


FORMS = {
    "prepend": normalizer(PREPEND, REPLACE),
    "replace": {"normalizer": REPLACE, "pre_tokenizer": None},
    "first": metaspace("first"),
    "always": metaspace("always"),
    "never": metaspace("never"),
}
CASES = {name: {"form": name} for name in FORMS} | {
    "other ranks": {"form": "prepend", "shuffle": True},
    "no bytes": {"form": "first", "bytes": False},
}


@functools.cache
def mistral():
    """tokenizer.json as transformers writes it of Mistral's tokenizer.model."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.model").write_bytes(model_bytes("mistral-v1"))
        return LlamaTokenizer.from_pretrained(folder)._tokenizer.to_str()


def make(folder, form, shuffle=False, bytes=True):
    whole = json.loads(mistral())
    model, r = whole["model"], random.Random(5)
    if shuffle:  # of each piece's spellings only some, and neighbours in rank change places
        model["merges"] = [m for m in model["merges"] if r.random() < 0.9]
        order = sorted(range(len(model["merges"])), key=lambda i: i + r.random() * 2000)
        model["merges"] = [model["merges"][i] for i in order]
    if not bytes:
        model |= {"byte_fallback": False, "unk_token": "<unk>"}
        assert model["fuse_unk"]
    whole |= FORMS[form]
    whole["decoder"] = {"type": "Sequence", "decoders": DECODER + [STRIP] * (form not in ("replace", "never"))}
    whole["added_tokens"] = [
        {"id": i, "content": t, "special": s, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}
        for i, t, s in ((0, "<unk>", True), (1, "<s>", True), (2, "</s>", True), (32000, "<image>", False), (32001, "[PAD]", True))
    ]
    whole["post_processor"] = {
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }  # fmt: skip
    out = folder / "json"
    out.mkdir()
    (out / "tokenizer.json").write_text(json.dumps(whole))
    return out


@functools.cache
def texts():
    r = random.Random(2)
    found = [t.decode("utf-8", "replace") for kind in all_texts().values() for t in kind]
    added = ["<s>", "</s>", "<image>", "[PAD]", "<unk>"]
    words = ["USER:", " ", "  ", SPACE, "Hello", "caf\u00e9", "\u732b", "a b", "\n", "1234", "\U0001f600", "aaaaaa", "ababab"]
    found += ["".join(r.choices(added + words, k=r.randint(1, 8))) for _ in range(2000)]
    found += ["".join(r.choices("ab \u2581theings", k=r.randint(1, 40))) for _ in range(2000)]
    return r.sample(found, 3000)


@pytest.mark.parametrize("case", CASES)
def test_ids_and_texts(case, tmp_path):
    folder = make(tmp_path, **CASES[case])
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    done = subprocess.run([BUILD / "tests/tools/vocabulary", folder, "", "llama"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    (tmp_path / "section").write_bytes(done.stdout)
    assert not done.stderr, done.stderr
    all_of_them = texts()
    expected = theirs.encode_batch(all_of_them, add_special_tokens=False)
    decoded = theirs.decode_batch([e.ids for e in expected], skip_special_tokens=True)
    mine = ours(tmp_path / "section", [t.encode() for t in all_of_them])
    for text, (ids, back), want, want_back in zip(all_of_them, mine, expected, decoded, strict=True):
        assert ids == want.ids, (text, [theirs.id_to_token(i) for i in ids], want.tokens)
        assert back.decode() == want_back, text
    print(f"\n  {case}: {len(all_of_them)} texts, every id and text equal")


@pytest.mark.parametrize("case, by_score, differs", [
    ("prepend", True, None), ("first", True, None), ("never", True, "only the second puts a space before a text"),
    ("first", False, "is before one of a higher score"), ("other ranks", False, "is before one of a higher score"),
    ("no bytes", True, "only the second spells unknown characters in bytes"),
])  # fmt: skip
def test_beside_tokenizer_model(case, by_score, differs, tmp_path):
    """tokenizer.model is used; a tokenizer.json that merges in another order is named. So does transformers 5's own
    conversion, which goes by ids: Mistral's runs of spaces have low ids and the lowest score."""
    folder, data = make(tmp_path, **CASES[case]), model_bytes("mistral-v1")
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["added_tokens"] = whole["added_tokens"][:3]
    if by_score:
        pieces, vocab = sentencepiece.SentencePieceProcessor(model_proto=data), whole["model"]["vocab"]
        whole["model"]["merges"].sort(key=lambda m: -pieces.get_score(vocab["".join(m)]))
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    (folder / "tokenizer.model").write_bytes(data)
    done = subprocess.run([BUILD / "tests/tools/vocabulary", folder, "", "llama"], capture_output=True)
    assert done.returncode == 0 and b'"merges"' not in done.stdout
    said = done.stderr.decode()
    assert (differs in said and "tokenizer.model is used" in said) if differs else not said, said
