# SPDX-License-Identifier: Apache-2.0
"""Promise: token ids are those of Hugging Face `tokenizers` with the same files, and ids spell the text again.

Runs on Qwen2's own files where ../shared holds them, and on the small model's."""

import json
import struct
import subprocess

import media_texts
import pytest
from random_tokenizer import find_qwen2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from under_test import BUILD, TINY

TOOL = BUILD / "tests/tools/tokens"
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def folders():
    found = {"qwen2": find_qwen2(), "tiny": TINY / "fused"}
    return [
        pytest.param(
            path, id=name, marks=[] if path and (path / "merges.txt").exists() else pytest.mark.skip(f"no {name} tokenizer files")
        )
        for name, path in found.items()
    ]  # fmt: skip


class Pair:
    """The same files as a `tokenizers` object and as the JSON that fvlm reads."""

    def __init__(self, folder, where):
        vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
        merges = [m for m in (folder / "merges.txt").read_text("utf-8").split("\n") if m and not m.startswith("#version")]
        added = json.loads((folder / "added_tokens.json").read_text("utf-8"))
        self.added = sorted(added, key=added.get)
        self.theirs = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in merges]))
        self.theirs.normalizer = normalizers.NFC()
        self.theirs.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])  # fmt: skip
        self.theirs.decoder = decoders.ByteLevel()
        self.theirs.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in self.added])
        assert all(self.theirs.token_to_id(t) == i for t, i in added.items())
        by_id = sorted(vocab, key=vocab.get)
        assert [vocab[t] for t in by_id] == list(range(len(by_id)))
        section = {
            "tokens": by_id,
            "merges": merges,
            "added": [{"id": added[t], "text": t, "special": True} for t in self.added],
            "pattern": PATTERN,
            "normalizer": "NFC",
        }
        self.json = where / "tokenizer.json"
        self.json.write_text(json.dumps(section, ensure_ascii=False), "utf-8")

    def ours(self, texts):
        """ids and the bytes they spell, for each text; and what the tool says about loading."""
        data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
        done = subprocess.run([TOOL, self.json], input=data, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        lines = [line.split("\t") for line in done.stdout.decode().split("\n")[:-1]]
        return [([int(i) for i in ids.split()], bytes.fromhex(spelled)) for ids, spelled in lines], done.stderr.decode()


@pytest.fixture(scope="module", params=folders())
def pair(request, tmp_path_factory):
    return Pair(request.param, tmp_path_factory.mktemp("tokens"))


def test_ids_and_back(pair):
    total = 0
    print()
    for kind, texts in media_texts.all_texts(pair.added).items():
        ours, loading = pair.ours(texts)
        replaced = [t.decode("utf-8", "replace") for t in texts]
        for i in range(0, len(texts), 4096):
            theirs = pair.theirs.encode_batch(replaced[i : i + 4096], add_special_tokens=False)
            for text, expected, (ids, _) in zip(texts[i:], theirs, ours[i:]):
                assert ids == expected.ids, (kind, text)
        for text, (ids, spelled) in zip(replaced, ours):
            if not any(t in text for t in pair.added):  # normalization stops at an added token
                assert spelled.decode() == pair.theirs.normalizer.normalize_str(text), (kind, text)
        print(f"  {len(texts):6} texts, {sum(len(ids) for ids, _ in ours):8} ids: {kind}")
        total += len(texts)
    print(f"  {total:6} texts in all, every id equal; {loading.strip()}")
    assert total >= 20000


def test_llama_cpp_cases(tmp_path):
    """The cases that llama.cpp checks its Qwen2 with: expected ids from another implementation again."""
    folder = find_qwen2()
    if not folder:
        pytest.skip("no Qwen2 tokenizer files in ../shared")
    texts = (folder / "cases.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    expected = [[int(i) for i in line.split()] for line in (folder / "cases.out").read_text().split("\n")]
    assert len(texts) == len(expected) >= 46
    ours, _ = Pair(folder, tmp_path).ours([t.encode() for t in texts])
    for text, (ids, _), want in zip(texts, ours, expected):
        assert ids == want, text
