# SPDX-License-Identifier: Apache-2.0
"""Guards: convert makes the same tokenizer of tokenizer.json, of vocab.json + merges.txt + added tokens, and of both, and
its ids are those that Hugging Face's `tokenizers` gives with that tokenizer.json: for five random vocabularies, the small
model's and Qwen2's. What `tokenizers` or transformers would read differently from what the files say is refused."""

import json
import random
import shutil
import struct
import subprocess

import media_texts
import pytest
from random_tokenizer import find_qwen2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from under_test import BUILD, TINY

from test_tokens import PATTERN

N_TEXTS = 20000
CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def convert(folder, use=None):
    """The tokenizer section, or the refusal."""
    done = subprocess.run([BUILD / "tests/tools/vocabulary", folder, *([use] if use else [])], capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode().strip()


def ids(section, texts, where):
    path = where / "section.json"
    path.write_text(json.dumps(section, ensure_ascii=False), "utf-8")
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    done = subprocess.run([BUILD / "tests/tools/tokens", path], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return [[int(i) for i in line.split("\t")[0].split()] for line in done.stdout.decode().split("\n")[:-1]]


def bpe(vocab, merges, nfc=True):
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    if nfc:
        t.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"), byte_level])
    t.decoder = decoders.ByteLevel()
    return t


def trained(seed):
    """A vocabulary learned from some of the texts, its ids shuffled, with added tokens of every kind that is supported."""
    r = random.Random(seed)
    t = bpe({}, [])
    trainer = trainers.BpeTrainer(vocab_size=r.choice([300, 700, 2000, 5000]), min_frequency=1, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    t.train_from_iterator(r.sample(media_texts.SENTENCES, 12) + media_texts.source_lines(500)[seed::5], trainer)
    model = json.loads(t.to_str())["model"]
    numbers = list(range(len(model["vocab"])))
    r.shuffle(numbers)
    vocab = {token: numbers[i] for token, i in model["vocab"].items()}
    t = bpe(vocab, [tuple(m) for m in model["merges"]], nfc=seed != 3)
    more = ["<obj>", "<obj>x", "né", "e\u0301", "  ", "\n\n", "中", "<|", "|>", "the", "\U0001f600", "A\u030a"]
    flags = [AddedToken(c, special=True, normalized=False) for c in CHAT]
    flags += [AddedToken(c, special=r.random() < 0.5, normalized=r.random() < 0.5) for c in r.sample(more, r.randint(0, 8))]
    t.add_tokens([a for a in flags if t.token_to_id(a.content) is None])
    return t


def released(folder):
    vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
    lines = (folder / "merges.txt").read_text("utf-8").split("\n")
    t = bpe(vocab, [tuple(m.split(" ")) for m in lines if m and not m.startswith("#version")])
    added = json.loads((folder / "added_tokens.json").read_text("utf-8"))
    t.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in sorted(added, key=added.get)])
    return t


def cases():
    qwen2 = find_qwen2()
    skip = [] if qwen2 else [pytest.mark.skip("Qwen2's tokenizer files are not at hand")]
    return [
        *(pytest.param(lambda seed=seed: trained(seed), id=f"random {seed}") for seed in range(5)),
        pytest.param(lambda: released(TINY / "fused"), id="tiny"),
        pytest.param(lambda: released(qwen2), id="qwen2", marks=skip),
    ]


def write_parts(t, folder):
    model = json.loads(t.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]), "utf-8")
    keys = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")
    decoder = {i: {k: getattr(a, k) for k in keys} for i, a in t.get_added_tokens_decoder().items()}
    config = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("make", cases())
def test_every_way(make, tmp_path):
    t = make()
    without_nfc = t.normalizer is None
    ways = {name: tmp_path / name for name in ("json", "pairs", "parts", "both", "completed", "no merges")}
    for folder in ways.values():
        folder.mkdir()
        if folder.name != "parts":
            t.save(str(folder / "tokenizer.json"))
    for name in ("parts", "both", "completed", "no merges"):
        write_parts(t, ways[name])
    (ways["completed"] / "tokenizer_config.json").unlink()
    (ways["no merges"] / "merges.txt").unlink()
    older = json.loads(t.to_str())  # as `tokenizers` before 0.20 wrote it
    older["model"]["merges"] = [" ".join(m) for m in older["model"]["merges"]]
    (ways["pairs"] / "tokenizer.json").write_text(json.dumps(older), "utf-8")

    section = convert(ways["json"])
    assert isinstance(section, dict), section
    decoder = t.get_added_tokens_decoder()
    assert {a["id"]: (a["text"], a["special"], a.get("normalized", False)) for a in section["added"]} == {
        i: (a.content, a.special, a.normalized) for i, a in decoder.items()
    }
    for name, folder in ways.items():
        got = convert(folder)
        if without_nfc and name not in ("json", "pairs", "parts"):
            assert '"tokenizer.json" and "vocab.json" disagree: the normalizer is missing in the first' in got
        elif without_nfc and name == "parts":
            assert got == {**section, "normalizer": "NFC"}
        else:
            assert got == section, name
    assert convert(ways["both"], "tokenizer.json") == section
    assert convert(ways["both"], "vocab.json") == {**section, "normalizer": "NFC"}

    texts = [text for kind in media_texts.all_texts([a.content for a in decoder.values()]).values() for text in kind]
    texts = random.Random(1).sample(texts, N_TEXTS)
    theirs = t.encode_batch([text.decode("utf-8", "replace") for text in texts], add_special_tokens=False)
    for text, mine, want in zip(texts, ids(section, texts, tmp_path), theirs, strict=True):
        assert mine == want.ids, text


def change(**edits):
    """tokenizer.json of the small model with the added token list or the model changed."""

    def edit(t):
        j = json.loads(t.to_str())
        for key, value in edits.items():
            value(j[key]) if callable(value) else j.update({key: value})
        return j

    return edit


def last(**fields):
    return lambda tokens: tokens[-1].update(fields)


ODD = {
    "a gap before an added token": change(added_tokens=last(id=500)),
    "added tokens in another order": change(added_tokens=lambda tokens: tokens.reverse()),
    "an id beyond a hole": change(model=lambda m: m["vocab"].update(zzzzzz=1000)),
    "a byte without a token": change(
        model=lambda m: (m["vocab"].pop("Ġ"), m.update(merges=[x for x in m["merges"] if "Ġ" not in "".join(x)]))
    ),
    "a template that adds a token": change(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [449], "tokens": ["<|im_start|>"]}},
        }
    ),
    "a prefix space": change(pre_tokenizer=lambda p: p["pretokenizers"][1].update(add_prefix_space=True)),
    "ByteLevel with its own regex": change(pre_tokenizer=lambda p: p["pretokenizers"][1].update(use_regex=True)),
    "another regex": change(pre_tokenizer=lambda p: p["pretokenizers"][0].update(pattern={"Regex": r"\p{N}{1,3}|\s+|\S+"})),
    "another normalizer": change(normalizer={"type": "NFKC"}),
}


@pytest.mark.parametrize("name", ODD)
def test_what_changes_ids_is_refused(name, tmp_path):
    """Each makes `tokenizers` give other ids than the plain reading of the file, for some text: seen here."""
    t = released(TINY / "fused")
    plain = json.loads(t.to_str())
    odd = ODD[name](t)
    (tmp_path / "tokenizer.json").write_text(json.dumps(odd), "utf-8")
    assert isinstance(convert(tmp_path), str)
    theirs = Tokenizer.from_str(json.dumps(odd))
    if name == "ByteLevel with its own regex":
        return  # shows only with words and merges that the small model lacks
    said = {a["content"]: a["id"] for a in odd["added_tokens"]}
    words = ["a b", "<|im_end|>12345 \ufb01", " what", *plain["model"]["vocab"]]
    assert any(theirs.encode(w).ids != t.encode(w).ids for w in words) or any(
        theirs.token_to_id(content) != i for content, i in said.items()
    )


HARMLESS = {
    "merges as strings": change(model=lambda m: m.update(merges=[" ".join(x) for x in m["merges"]])),
    "a version line among them": change(
        model=lambda m: m.update(merges=["#version: 0.2"] + [" ".join(x) for x in m["merges"]])
    ),
    "a template of the text alone": change(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {},
        }
    ),
    "a sequence of NFC": change(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}]}),
    "a dropout of 0": change(model=lambda m: m.update(dropout=0.0)),
    "an added token that is in the vocabulary": change(
        model=lambda m: m["vocab"].update({"<|endoftext|>": 448}),
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_is_read(name, tmp_path):
    t = released(TINY / "fused")
    odd = HARMLESS[name](t)
    (tmp_path / "tokenizer.json").write_text(json.dumps(odd), "utf-8")
    section = convert(tmp_path)
    assert isinstance(section, dict), section
    texts = [text for kind in media_texts.all_texts(CHAT).values() for text in kind][::40]
    theirs = Tokenizer.from_str(json.dumps(odd)).encode_batch([x.decode("utf-8", "replace") for x in texts])
    assert ids(section, texts, tmp_path) == [x.ids for x in theirs]


def test_as_transformers_saves_it(tmp_path):
    """AutoTokenizer of the small model, saved again: a newer tokenizer.json, and a config without the added tokens."""
    transformers = pytest.importorskip("transformers")
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(TINY / "fused", old, ignore=shutil.ignore_patterns("model.safetensors"))
    t = transformers.AutoTokenizer.from_pretrained(old)
    t.save_pretrained(new)
    assert (new / "tokenizer.json").exists()
    section = convert(new)
    assert section == convert(old)
    shutil.copy(new / "tokenizer.json", old)
    assert convert(old) == section
    for text in ("What is <|im_end|> this?", "<|im_start|>user\n<image>é e\u0301 ſ's"):
        assert ids(section, [text.encode()], tmp_path) == [t(text).input_ids]
