# SPDX-License-Identifier: Apache-2.0
"""What `fvlm export` writes is what the executor computes with: PyTorch, loading the export alone, gives the same blocks
and logits as fvlm in f32 within a relative L2 of 2e-5, and converting the export gives the model back. The trained model
that ships, as it is and quantized, in Apple's names (apple.py) and as transformers' own FastVLM."""

import json
import os
import shutil

import apple
import numpy as np
import pytest
import torch
from dump_activations import dump
from preprocess import IMAGE, read_pixels
from fvlm.reader import Fvlm
from test_parity import BOUND, QUESTION, hold
from transformers import AutoConfig, AutoTokenizer, FastVlmForConditionalGeneration
from under_test import TINY, WORK, activations, checkpoint, fvlm, picture

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
    new = new.tolist()
    assert new == greedy[: len(new)] and (len(new) == 16 or new[-1] in model.generation_config.eos_token_id)
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


GGUF_NAMES = {
    "llm.embed": "token_embd", "llm.norm": "output_norm", "llm.head": "output", "attn_norm": "attn_norm", "ffn_norm": "ffn_norm",
    "attn.q": "attn_q", "attn.k": "attn_k", "attn.v": "attn_v", "attn.o": "attn_output", "ffn.gate": "ffn_gate",
    "ffn.up": "ffn_up", "ffn.down": "ffn_down",
}  # fmt: skip


def gguf_values(t, shape):
    """The floats of a tensor as the gguf package reads them; its quants know no BF16."""
    import gguf

    if t.tensor_type == gguf.GGMLQuantizationType.BF16:
        found = (np.asarray(t.data).view("<u2").astype("<u4") << 16).view("<f4")
    else:
        found = gguf.quants.dequantize(t.data, t.tensor_type)
    return np.asarray(found, np.float32).reshape(shape)


def gguf_name(name):
    """llm.layer3.attn.q.bias -> blk.3.attn_q.bias"""
    module, end = name.rsplit(".", 1)
    if module.startswith("llm.layer"):
        layer, part = module[len("llm.layer") :].split(".", 1)
        return f"blk.{layer}.{GGUF_NAMES[part]}.{end}"
    return f"{GGUF_NAMES[module]}.{end}"


@pytest.mark.parametrize("kind", TYPES)
def test_gguf(models, kind):
    """The gguf package reads the file; its dequantized weights are those of the specification's reader, bit for bit, and
    so are the tokens. Nothing is rounded: what no type of GGUF holds is F32."""
    gguf = pytest.importorskip("gguf", reason="NOT TESTED: no gguf package")
    path = WORK / f"export-{kind}.gguf"
    report = json.loads(fvlm("export", models[kind], "--to", "gguf", "-o", path, "--force", "--json", "-v"))
    ours, theirs = Fvlm(models[kind]), gguf.GGUFReader(path)
    wanted = {gguf_name(n): n for n in ours.names if n.startswith("llm.")}
    assert {t.name for t in theirs.tensors} == wanted.keys() and not any(t["error"] for t in report["list"])
    types = set()
    for t in theirs.tensors:
        w = ours.tensor(wanted[t.name])
        assert np.array_equal(gguf_values(t, w.shape), w), t.name
        types.add(t.tensor_type.name)
    assert types == {"float": {"BF16", "F32"}, "int8": {"Q8_0", "F32"}, "int8-asym-g32": {"F32"},
                     "int4": {"Q8_0", "Q4_1", "F32"}, "int4-sym-row": {"Q4_0", "F32"}}[kind]  # fmt: skip
    field = lambda key: theirs.get_field(key).contents()
    tokens = list(ours.tokenizer["tokens"]) + [None] * (ours.config["llm"]["vocab"] - len(ours.tokenizer["tokens"]))
    for a in ours.tokenizer["added"]:
        tokens[a["id"]] = a["text"]
    assert field("tokenizer.ggml.tokens") == tokens and field("tokenizer.ggml.merges") == ours.tokenizer["merges"]
    llm = ours.config["llm"]
    assert field("qwen2.block_count") == llm["layers"] and field("qwen2.attention.head_count_kv") == llm["kv_heads"]
    assert field("qwen2.rope.freq_base") == llm["rope_theta"] and field("general.architecture") == "qwen2"


def llama_greedy(path, ids, n):
    """n greedy ids of llama.cpp after these, and its own ids of a text."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="NOT TESTED: no llama-cpp-python")
    f32 = {"type_k": 0, "type_v": 0}  # the caches; f16 by default
    llm = llama_cpp.Llama(str(path), n_ctx=512, n_batch=512, verbose=False, logits_all=False, n_threads=2, **f32)
    llm.reset()
    llm.eval(ids)
    out = []
    for _ in range(n):
        out.append(llm.sample(temp=0.0))
        llm.eval(out[-1:])
    return out, llm.tokenize(b"The picture shows 3 red circles, don't you think?\n\n  Yes.", add_bos=False, special=True)


@pytest.mark.parametrize("kind", ["float", "int4"])
def test_llama_cpp(models, kind):
    """llama.cpp continues a text with the same 32 ids, in f32, and cuts a text into the same tokens."""
    pytest.importorskip("llama_cpp", reason="NOT TESTED: no llama-cpp-python")
    path = WORK / f"export-{kind}-f32.gguf"
    fvlm("export", models[kind], "--to", "gguf", "--type", "f32", "-o", path, "--force", "-q")
    tokenizer = apple.build_tokenizer(TINY / "unfused")
    ids = tokenizer.encode(apple.TEMPLATE.replace("<image>\n", "").format(QUESTION), add_special_tokens=False).ids
    got, cut = llama_greedy(path, ids, 32)
    assert got == activations(models[kind], np.zeros((0, 0, 3)), ids, 32)[1]
    assert cut == tokenizer.encode("The picture shows 3 red circles, don't you think?\n\n  Yes.", add_special_tokens=False).ids


@pytest.mark.skipif(not os.environ.get("FVLM_FULL"), reason="takes minutes and 5 GB: FVLM_FULL=1")
def test_llama_cpp_full_size():
    """The 0.5B in int4: the same 32 ids. In F32, since for Q4_1 llama.cpp quantizes the activations, too."""
    pytest.importorskip("llama_cpp", reason="NOT TESTED: no llama-cpp-python")
    whole, file, path = (WORK / f"export-full{end}" for end in (".fvlm", "-int4.fvlm", ".gguf"))
    folder = checkpoint("0.5b", "0.5b")
    fvlm("convert", folder, "-o", whole, "--force", "-q")
    fvlm("quant", whole, "--type", "int4", "-o", file, "--force", "-q")
    whole.unlink()
    fvlm("export", file, "--to", "gguf", "--type", "f32", "-o", path, "--force", "-q")
    tokenizer = apple.build_tokenizer(folder)
    ids = tokenizer.encode(apple.TEMPLATE.replace("<image>\n", "").format(QUESTION), add_special_tokens=False).ids
    got, _ = llama_greedy(path, ids, 32)
    path.unlink()
    assert got == activations(file, np.zeros((0, 0, 3)), ids, 32)[1]
    file.unlink()
