# SPDX-License-Identifier: Apache-2.0
"""Guards: byte-level BPE that splits text as GPT-2, SmolLM2 and Llama 3 do, with a prefix space, whole words before merges,
or bytes without a token, gives the ids of Hugging Face's `tokenizers` on 24,000 texts and on a sample of all code points; what begins
each text is what transformers puts there."""

import json
import random

import media_texts
import pytest
from test_tokenizer_files import ids
from test_tokens import PATTERN
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from under_test import BUILD, run

LLAMA_3 = PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
N_TEXTS = 4000
SPLITS = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "prefix space": lambda: pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True),
    "smollm2": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]),
    "llama 3": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]),
}  # fmt: skip


def make(name, seed, drop=(), ignore_merges=False):
    r = random.Random(seed)
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = SPLITS[name]()
    alphabet = [c for c in pre_tokenizers.ByteLevel.alphabet() if c not in drop]
    trainer = trainers.BpeTrainer(vocab_size=3000, min_frequency=1, show_progress=False, initial_alphabet=alphabet)
    t.train_from_iterator(r.sample(media_texts.SENTENCES, 12) + media_texts.source_lines(800)[seed::3], trainer)
    model = json.loads(t.to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    if drop:
        assert not any(c in model["vocab"] for c in drop)
    if ignore_merges:  # whole words that the merges do not reach
        merges = [m for m in merges if r.random() < 0.7 or len("".join(m)) < 4]
    t = Tokenizer(models.BPE(vocab=model["vocab"], merges=merges, ignore_merges=ignore_merges))
    t.pre_tokenizer = SPLITS[name]()
    t.decoder = decoders.ByteLevel()
    t.add_tokens([AddedToken(c, special=True, normalized=False) for c in ("<|begin|>", "<|end|>", "<obj>")])
    return t


CASES = {
    "gpt2": dict(name="gpt2", seed=0),
    "gpt2 with a prefix space": dict(name="prefix space", seed=1),
    "smollm2": dict(name="smollm2", seed=2),
    "smollm2, bytes without a token": dict(name="smollm2", seed=0, drop="ÀÁõö÷øùúûüýþÿĀāĂ"),
    "llama 3": dict(name="llama 3", seed=1, ignore_merges=True),
    "llama 3 by its merges": dict(name="llama 3", seed=1),
}


@pytest.mark.parametrize("case", CASES)
def test_ids(case, tmp_path):
    t = make(**CASES[case])
    t.save(str(tmp_path / "tokenizer.json"))
    section = json.loads(run(BUILD / "tests/tools/vocabulary", tmp_path, "", "llama"))
    assert section.get("ignore_merges", False) == CASES[case].get("ignore_merges", False)
    assert section.get("drops_bytes", False) == bool(CASES[case].get("drop"))
    texts = [text for kind in media_texts.all_texts(["<|begin|>", "<|end|>", "<obj>"]).values() for text in kind]
    texts = random.Random(1).sample(texts, N_TEXTS)
    texts += [f"a {chr(c)}1 {chr(c)}{chr(c)} 12{chr(c)}345".encode() for c in range(0, 0x3000, 3) if not 0xD800 <= c < 0xE000]
    texts += [f"x {chr(c)}7{chr(c)}".encode() for c in range(0x3000, 0x110000, 97) if not 0xD800 <= c < 0xE000]
    theirs = t.encode_batch([text.decode("utf-8", "replace") for text in texts], add_special_tokens=False)
    for text, mine, want in zip(texts, ids(section, texts, tmp_path), theirs, strict=True):
        assert mine == want.ids, text
