# SPDX-License-Identifier: Apache-2.0
"""Guards: a LLaVA checkpoint on Llama whose only tokenizer is SentencePiece's tokenizer.model goes all the way: convert, info,
quant, run. The prompt's ids are those of transformers' LlamaTokenizer and of the package sentencepiece in LLaVA's v1
template, for each setting of tokenizer_config.json; 40 greedy ids and the answer's text are transformers'."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import make_checkpoint
import pytest
import sentencepiece
from preprocess import IMAGE
from test_llama import PROMPTS, Llava, hold_answer, load, random_llama, write_folder
from test_parity import convert
from test_sentencepiece import model_bytes, ours, section
from transformers import LlamaTokenizer
from under_test import WORK, fvlm, picture

QUESTION = "What are these?\nAnswer in  \u732b words: caf\u00e9 \U0001f600."
SPECIAL = ["<unk>", "<s>", "</s>"]


class Model:
    """tokenizer.model where write_folder expects a tokenizer of the package tokenizers; texts as LLaVA decodes them."""

    def __init__(self, data, prefix):
        self.data = data
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        self.prefix = prefix  # the first space of a text is not its own

    def save(self, path):
        Path(path).with_name("tokenizer.model").write_bytes(self.data)

    def encode(self, text):
        guard = "" if self.prefix else "\n"  # no piece joins it with what follows: without it, there is a prefix
        return self.processor.encode(guard + text)[len(self.processor.encode(guard)):]

    def decode(self, ids):
        text = self.processor.decode([i for i in ids if i > 2])
        first = next((self.processor.id_to_piece(i) for i in ids if i > 2), "")
        return " " + text if not self.prefix and first.startswith("\u2581") else text


class LlavaPieces(Llava):
    """prompt_ids by transformers; each side of the picture is a text of its own, but only the first keeps its <s>."""

    def prompt_ids(self, question):
        chunks = [self.theirs.encode(c) for c in PROMPTS["v1"]("<image>\n" + question).split("<image>")]
        n_bos = int(self.config["adds_bos"])
        assert [c[:n_bos] == [1] * n_bos for c in chunks] == [True, True]
        return chunks[0] + [IMAGE] + chunks[1][n_bos:]


SETTINGS = {
    "as Vicuna's": {"legacy": True},
    "not legacy": {"legacy": False, "add_prefix_space": True},
    "no bos": {"legacy": True, "add_bos_token": False},
    "no prefix": {"legacy": False, "add_prefix_space": False},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_vicuna(setting, tmp_path):
    settings = {"add_bos_token": True, "add_prefix_space": None} | SETTINGS[setting]
    tokenizer = Model(model_bytes("mistral-v1"), settings["add_prefix_space"] is not False)
    config = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 3,
              "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "vocab_size": tokenizer.processor.get_piece_size(),
              "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False}  # fmt: skip
    tokenizer_config = settings | {
        "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "sp_model_kwargs": {},
        "added_tokens_decoder": {str(i): {"content": t, "special": True, "normalized": False} for i, t in enumerate(SPECIAL)},
    }  # fmt: skip
    size = replace(make_checkpoint.SIZES["small"], hidden=96)
    folder = write_folder(WORK / "llama-pieces", size, random_llama(config), tokenizer, tokenizer_config, config)
    assert (folder / "tokenizer.model").exists() and not (folder / "tokenizer.json").exists()
    model = load(folder, "v1", tokenizer=tokenizer, kind=LlavaPieces)
    model.config["adds_bos"] = settings["add_bos_token"]
    model.theirs = LlamaTokenizer.from_pretrained(folder, **settings)
    ids = model.prompt_ids(QUESTION)
    sides = PROMPTS["v1"]("<image>\n" + QUESTION).split("<image>")
    slow = [[1] * settings["add_bos_token"] + tokenizer.encode(sides[0]), tokenizer.encode(sides[1])]
    assert ids == slow[0] + [IMAGE] + slow[1]
    path = section(tmp_path / "alone", tokenizer.data, tokenizer_config)
    for (mine, _), want in zip(ours(path, [s.encode() for s in sides]), slow, strict=True):
        assert ([1] * settings["add_bos_token"] + mine if want is slow[0] else mine) == want

    if setting == "not legacy":  # which changes nothing else here
        return
    file = convert(folder, "llama-pieces")
    info = json.loads(fvlm("info", file, "--json"))
    assert info["tokenizer"]["kind"] == "sentencepiece" and info["tokenizer"]["tokens"] == 32000
    assert info["config"]["llm"].get("bos") == (1 if settings["add_bos_token"] else None)
    hold_answer(model, file, QUESTION, 40, at_least=32)
    small = WORK / "llama-pieces-int4.fvlm"
    fvlm("quant", file, "--type", "int4", "-o", small, "--force", "-q")
    answer = json.loads(fvlm("run", small, picture(WORK / "picture.png"), QUESTION, "--max-tokens", 40, "--json"))
    assert answer["answer"] == tokenizer.decode(answer["answer_ids"]) and answer["tokens"]["prompt"] == len(ids) - 1
    for path in (file, small):
        path.unlink()
    shutil.rmtree(folder)
