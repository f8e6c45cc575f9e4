# SPDX-License-Identifier: Apache-2.0
"""Promise: with a tokenizer.model, ids and decoded texts are those of the package sentencepiece; with tokens added to it, ids
are those of transformers' LlamaTokenizer, legacy or not.

The models are trained ones that packages bring: two unigram models with NFKC rules (sentencepiece's own tests) and Mistral's
BPE with byte fallback, with 3 and with 770 control pieces."""

import functools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import media_texts
import pytest
import sentencepiece
from transformers import LlamaTokenizer
from under_test import BUILD

MISTRAL = {"mistral-v1": "tokenizer.model.v1", "mistral-v7": "mistral_instruct_tokenizer_241114.model.v7"}
UNIGRAM = {"botchan-1000": "test_model.model", "kftt-8000": "test_ja_model.model"}


def model_bytes(name):
    models = Path(sys.prefix) / "models"  # setup.sh downloads them
    if name in MISTRAL:
        (wheel,) = models.glob("mistral_common-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read("mistral_common/data/" + MISTRAL[name])
    (archive,) = models.glob("sentencepiece-*.tar.gz")
    with tarfile.open(archive) as tar:
        (member,) = [m for m in tar.getmembers() if m.name.endswith("/test/" + UNIGRAM[name])]
        return tar.extractfile(member).read()


def section(folder, data, config=None):
    """The folder with a tokenizer, and what fvlm makes of it."""
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(data)
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    done = subprocess.run([BUILD / "tests/tools/vocabulary", folder, "tokenizer.model", "llama"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    out = folder / "section.json"
    out.write_bytes(done.stdout)
    return out


def ours(path, texts):
    done = subprocess.run(
        [BUILD / "tests/tools/tokens", path], input=b"".join(struct.pack("<I", len(t)) + t for t in texts), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = [line.split("\t") for line in done.stdout.decode().split("\n")[:-1]]
    assert len(lines) == len(texts)
    return [([int(i) for i in ids.split()], bytes.fromhex(decoded)) for ids, decoded in lines]


@functools.cache
def all_texts():
    """Every fifth text; all with FVLM_FULL=1."""
    r = random.Random(9)
    found = media_texts.all_texts(["(a)"])
    found.pop("added tokens")
    parts = [" ", "  ", "\u2581", "\t", "\n", "\u3000", "\u00a0", "\u200b", "a", "the", "\ufb01", "\u2460", "\u337f", "\uff76\uff9e", "\u304b\u3099", "<0x41>", "\u0000"]
    found["spaces and compatibility forms"] = ["".join(r.choices(parts, k=r.randint(1, 30))).encode() for _ in range(4000)]
    found["bytes"] = [bytes(r.choices([*range(256), 0xE2, 0x96, 0x81, 0x20, 0xF0], k=r.randint(1, 40))) for _ in range(4000)]
    step = 1 if os.environ.get("FVLM_FULL") else 5
    found["every code point"] = found["every code point"][::4]
    return {kind: texts[::step] for kind, texts in found.items()}


@pytest.mark.parametrize("name", [*UNIGRAM, *MISTRAL])
def test_ids_and_texts(name, tmp_path):
    data = model_bytes(name)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    special = {theirs.id_to_piece(i) for i in range(3)}  # added tokens: no part of an answer's text
    path = section(tmp_path / name, data)
    total = 0
    for kind, texts in all_texts().items():
        texts = [t for t in texts if not any(s.encode() in t for s in special)]  # these become ids in a checkpoint
        expected = theirs.encode(texts, out_type=int, num_threads=2)
        decoded = [t.encode() for t in theirs.decode([[i for i in ids if i > 2] for ids in expected], num_threads=2)]
        for text, ids, back, (our_ids, our_back) in zip(texts, expected, decoded, ours(path, texts), strict=True):
            assert our_ids == ids, (kind, text)
            assert our_back == back, (kind, text)
        total += len(texts)
    print(f"\n  {name}: {theirs.get_piece_size()} pieces, {total} texts, every id and text equal")
    assert total >= (20000 if os.environ.get("FVLM_FULL") else 8000)


@pytest.mark.parametrize("legacy", [True, False])
def test_added_tokens(legacy, tmp_path):
    """Texts between added tokens do not begin with a space here, since transformers 5 adds no prefix to those (4.x did),
    and have no two spaces in a row, which it merges in another order than sentencepiece."""
    config = {
        "tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_bos_token": False, "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]",
        "added_tokens_decoder": {str(i): {"content": t, "special": True} for i, t in enumerate(["<unk>", "<s>", "</s>"])}
        | {"32000": {"content": "<image>", "special": True}, "32001": {"content": "[PAD]", "special": True}},
    }  # fmt: skip
    path = section(tmp_path / "folder", model_bytes("mistral-v1"), config)
    theirs = LlamaTokenizer.from_pretrained(tmp_path / "folder", legacy=legacy)
    r = random.Random(3)
    words = ["USER:", "ASSISTANT:", "Hello", "caf\u00e9 au lait", "\u732b", "a b c", "x\ny", "1234", "\U0001f600"]
    texts = [
        "".join(r.choice([*config["added_tokens_decoder"].values()])["content"] if r.random() < 0.4 else r.choice(words) for _ in range(r.randint(1, 8)))
        for _ in range(2000)
    ]
    for text, (ids, _) in zip(texts, ours(path, [t.encode() for t in texts])):
        assert ids == theirs.encode(text, add_special_tokens=False), text
    shutil.rmtree(tmp_path / "folder")
