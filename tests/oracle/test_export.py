# SPDX-License-Identifier: Apache-2.0
"""What `fvlm export` writes is what the executor computes with: PyTorch, loading the export alone, gives the same blocks
and logits as fvlm in f32 within a relative L2 of 2e-5, and converting the export gives the model back. The trained model
that ships, as it is and quantized, in Apple's names (apple.py) and as transformers' own FastVLM."""

import json
import shutil

import apple
import numpy as np
import pytest
import torch
from dump_activations import dump
from preprocess import IMAGE, read_pixels
from spec_reader import Fvlm
from test_parity import BOUND, QUESTION, hold
from transformers import AutoConfig, AutoTokenizer, FastVlmForConditionalGeneration
from under_test import TINY, WORK, activations, fvlm, picture

TYPES = ["float", "int8", "int8-asym-g32", "int4", "int4-sym-row"]


@pytest.fixture(scope="module")
def models():
    """The trained model in each type."""
    WORK.mkdir(parents=True, exist_ok=True)
    out = {t: WORK / f"export-{t}.fvlm" for t in TYPES}
    fvlm("convert", TINY / "unfused", "-o", out["float"], "--force", "-q")
    for t in TYPES[1:]:
        fvlm("quant", out["float"], "--type", t, "-o", out[t], "--force", "-q")
    return out


def export(model, to, *options):
    out = WORK / f"export-{to}"
    shutil.rmtree(out, ignore_errors=True)
    return out, json.loads(fvlm("export", model, "--to", to, "-o", out, "--json", "-v", *options))


@pytest.mark.parametrize("kind", TYPES)
def test_apple_names(models, kind):
    """timm's tower and transformers' Qwen2 on the export: every block."""
    folder, report = export(models[kind], "safetensors")
    assert report["written"] and (report["notes"][0].startswith("54 quantized") if kind != "float" else True)
    image = picture(WORK / "picture.png")
    hold(f"export, {kind}", dump(apple.load(folder), image, QUESTION, n_new=32), models[kind])


@pytest.mark.parametrize("kind", TYPES)
def test_transformers(models, kind):
    """FastVlmForConditionalGeneration loads the folder without a missing or left-over tensor; its logits, its greedy ids
    and its tokenizer's ids are fvlm's."""
    folder, _ = export(models[kind], "safetensors", "--naming", "transformers")
    model, found = FastVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"] and not found["mismatched_keys"], found
    model.eval()
    reference = apple.load(TINY / "unfused")
    pixels = read_pixels(picture(WORK / "picture.png"), reference.image_size)
    ids = reference.prompt_ids(QUESTION)
    pixels = torch.as_tensor(np.asarray(pixels)).reshape(1, 3, reference.image_size, -1)
    got, greedy = activations(models[kind], pixels[0].permute(1, 2, 0).numpy(), ids, 16)
    tokens, at = model.config.image_seq_length, ids.index(IMAGE)
    whole = [*ids[:at], *[model.config.image_token_id] * tokens, *ids[at + 1 :]]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole]), pixel_values=pixels).logits[0, -1].numpy()
        new = model.generate(torch.tensor([whole]), pixel_values=pixels, max_new_tokens=16, do_sample=False)[0, len(whole) :]
    want = got["logits"][-1]
    error = np.linalg.norm((logits[: len(want)] - want).astype(np.float64)) / np.linalg.norm(want.astype(np.float64))
    print(f"\ntransformers, {kind}: logits {error:.1e}")
    assert error <= BOUND
    assert [i for i in new.tolist() if i not in model.generation_config.eos_token_id] == greedy
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == apple.TEMPLATE.format(QUESTION)
    assert tokenizer(text).input_ids == [model.config.image_token_id if i == IMAGE else i for i in ids]
    assert AutoConfig.from_pretrained(folder).text_config.vocab_size == len(want) + 1


@pytest.mark.parametrize("shard", [None, "300KB"])
def test_and_back(models, shard):
    """Converting the export gives the same config, tokenizer and tensors, bit for bit, but for the bias of attn.qkv, which
    is computed again: W n, rounded."""
    folder, report = export(models["float"], "safetensors", *(["--shard-size", shard] if shard else []))
    assert len(report["files"]) == 9 if not shard else len(report["files"]) > 15
    back = WORK / "export-back.fvlm"
    fvlm("convert", folder, "-o", back, "--force", "-q")
    was, now = Fvlm(models["float"]), Fvlm(back)
    assert was.config == now.config and was.tokenizer == now.tokenizer and was.names == now.names
    other = [n for n in was.names if was.entries[n].hash != now.entries[n].hash]
    assert all(n.endswith("attn.qkv.bias") for n in other)
    for name in other:
        a, b = was.tensor(name).astype(np.float64), now.tensor(name).astype(np.float64)
        assert np.linalg.norm(a - b) <= 1e-7 * np.linalg.norm(a)
    print(f"\n{len(was.names) - len(other)} of {len(was.names)} tensors are the same")
