# SPDX-License-Identifier: Apache-2.0
"""What `fvlm export` writes of models on Llama is what the executor computes with, with SentencePiece and with byte-level
BPE, plain and scaled rotary embeddings, no biases or those of q, k, v and o, floats and quantized: transformers' blocks, logits
and greedy ids within a relative L2 of 2e-5, onnxruntime's logits within 1e-3, gguf's values bit for bit after undoing its order of
q and k, llama.cpp's 32 greedy ids where it is installed. Converting an export gives the model back."""

import io
import json
import shutil
from dataclasses import replace

import make_checkpoint
import media_texts
import numpy as np
import onnx_session
import pytest
import sentencepiece
import test_llama
import torch
from dump_activations import dump
from fvlm.reader import Fvlm
from onnx_session import relative_l2
from preprocess import IMAGE, read_pixels
from test_export import gguf_name, gguf_values, llama_greedy
from test_export_onnx import Onnx
from test_llama_tokens import make as make_tokenizer
from test_parity import BOUND, convert, hold
from transformers import AutoTokenizer, FastVlmForConditionalGeneration
from under_test import WORK, activations, fvlm, picture

QUESTION = "What are these? Count them, in 2 words."
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
FORMS = {  # tokenizer, config
    "pieces": ("pieces", {}),
    "pieces, linear": ("pieces", dict(rope_scaling={"type": "linear", "factor": 4.0})),
    "bpe, llama3": ("llama 3", dict(head_dim=64, attention_bias=True, rope_theta=5e5, rope_scaling=LLAMA3)),
    "bpe, smollm2": ("smollm2", dict(tie_word_embeddings=True)),
}  # fmt: skip
CASES = [(form, "float") for form in FORMS] + [("pieces", "int8"), ("pieces, linear", "int4"), ("bpe, llama3", "int4")]


def pieces_model():
    """As Llama 2's: BPE with bytes, no rules, every space kept."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(media_texts.SENTENCES * 3 + media_texts.source_lines(300)), model_writer=out, minloglevel=2, num_threads=1,
        model_type="bpe", vocab_size=900, hard_vocab_limit=False, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.9995,
    )  # fmt: skip
    return out.getvalue()


class Processor:
    """A SentencePiece model as the part of a Tokenizer that test_llama.Llava uses: ids begin with <s>."""

    def __init__(self, data):
        self.model = sentencepiece.SentencePieceProcessor(model_proto=data)

    def encode(self, text):
        return type("Encoding", (), {"ids": [self.model.bos_id(), *self.model.encode(text)]})

    def decode(self, ids):
        return self.model.decode(ids)


class Case:
    """A checkpoint and what convert and quant make of it."""

    def __init__(self, form):
        kind, extra = FORMS[form]
        self.form, self.pieces = form, kind == "pieces"
        name = "export-llama-" + "".join(c for c in form if c.isalnum())
        config = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 3,
                  "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "head_dim": None} | extra  # fmt: skip
        if self.pieces:
            data = pieces_model()
            self.tokenizer = Processor(data)
            config |= {"vocab_size": self.tokenizer.model.vocab_size(), "bos_token_id": 1, "eos_token_id": 2}
            spec = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": True,
                    "added_tokens_decoder": {str(i): {"content": t, "special": True} for i, t in enumerate(("<unk>", "<s>", "</s>"))}}  # fmt: skip
        else:
            self.tokenizer = test_llama.with_bos(make_tokenizer(kind, 1, ignore_merges=kind == "llama 3"), "<|begin|>")
            bos, eos = (self.tokenizer.token_to_id(t) for t in ("<|begin|>", "<|end|>"))
            config |= {"vocab_size": self.tokenizer.get_vocab_size(), "bos_token_id": bos, "eos_token_id": eos}
            spec = {}
        size = replace(make_checkpoint.SIZES["small"], hidden=96)
        llm = test_llama.random_llama(config)
        if config["tie_word_embeddings"]:
            del llm["lm_head.weight"]
        self.config = config
        saver = type("Saver", (), {"save": lambda _, path: None})() if self.pieces else self.tokenizer
        self.folder = test_llama.write_folder(WORK / name, size, llm, saver, spec, config)
        if self.pieces:
            (self.folder / "tokenizer.model").write_bytes(data)
        self.file = {"float": convert(self.folder, name)}
        for t in (t for f, t in CASES if f == form and t != "float"):
            self.file[t] = WORK / f"{name}-{t}.fvlm"
            fvlm("quant", self.file["float"], "--type", t, "-o", self.file[t], "--force", "-q")

    def model(self, folder):
        """PyTorch's, on the folder's tensors and config, with our tokenizer."""
        m = test_llama.load(folder, "v1", ends=False, tokenizer=self.tokenizer)
        m.config["adds_bos"] = True
        return m


@pytest.fixture(scope="module")
def cases():
    WORK.mkdir(parents=True, exist_ok=True)
    return {form: Case(form) for form in FORMS}


def export(model, to, *options):
    out = WORK / f"export-llama-{to}"
    shutil.rmtree(out, ignore_errors=True)
    return out, json.loads(fvlm("export", model, "--to", to, "-o", out, "--json", "-v", *options))


@pytest.mark.parametrize("form, kind", CASES)
def test_apple_names(cases, form, kind):
    case = cases[form]
    folder, _ = export(case.file[kind], "safetensors")
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "llava_llama" and config["architectures"] == ["LlavaLlamaForCausalLM"] and config["conv_mode"] == "v1"
    hold(f"export, {form}, {kind}", dump(case.model(folder), picture(WORK / "picture.png"), QUESTION, n_new=32), case.file[kind])


@pytest.mark.parametrize("form, kind", CASES)
def test_transformers(cases, form, kind):
    """FastVlmForConditionalGeneration on a Llama; its tokenizer and its chat template make the ids of fvlm's prompt."""
    case = cases[form]
    folder, _ = export(case.file[kind], "safetensors", "--naming", "transformers")
    model, found = FastVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"] and not found["mismatched_keys"], found
    model.eval()
    reference = case.model(case.folder)
    ids = reference.prompt_ids(QUESTION)
    pixels = torch.as_tensor(np.asarray(read_pixels(picture(WORK / "picture.png"), reference.image_size)))
    pixels = pixels.reshape(1, 3, reference.image_size, -1)
    got, _ = activations(case.file[kind], pixels[0].permute(1, 2, 0).numpy(), ids, 1)
    at, token = ids.index(IMAGE), model.config.image_token_id
    whole = [*ids[:at], *[token] * model.config.image_seq_length, *ids[at + 1 :]]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole]), pixel_values=pixels).logits[0, -1].numpy()
    want = got["logits"][-1]
    error = relative_l2(logits[: len(want)], want)
    print(f"\ntransformers, {form}, {kind}: logits {error:.1e}")
    assert error <= BOUND
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == test_llama.PROMPTS["v1"]("<image>\n" + QUESTION)
    texts = ["A  b\n c", " 12345 circles", "naïve café", "日本", *media_texts.SENTENCES[:40]]
    texts = [t.lstrip() for t in texts]  # transformers' Metaspace drops one space at the beginning, sentencepiece does not
    assert [tokenizer(t).input_ids for t in texts] == [case.tokenizer.encode(t).ids for t in texts]
    assert case.pieces or tokenizer(text).input_ids == [token if i == IMAGE else i for i in ids]


@pytest.mark.parametrize("form, kind", CASES)
def test_onnx(cases, form, kind):
    case = cases[form]
    folder, _ = export(case.file[kind], "onnx")
    suffix = {"float": "", "int8": "_int8", "int4": "_q4"}[kind]
    graphs = [folder / "onnx" / f"{n}{suffix}.onnx" for n in ("vision_encoder", "embed_tokens", "decoder_model_merged")]
    reference = case.model(case.folder)
    ids = reference.prompt_ids(QUESTION)
    pixels = read_pixels(picture(WORK / "picture.png"), reference.image_size).numpy()
    want, want_ids = activations(case.file[kind], pixels[0].transpose(1, 2, 0), ids, 16)
    m = Onnx(graphs, case.config)
    image = m.vision.run(None, {"pixel_values": pixels})[0]
    at = ids.index(IMAGE)
    logits = m.forward(np.concatenate([m.rows_of(ids[:at]), image, m.rows_of(ids[at + 1 :])], axis=1))
    error = relative_l2(logits[-1], want["logits"][-1])
    print(f"onnxruntime, {form}, {kind}: logits {error:.1e}")
    assert error <= 1e-3
    got_ids = []
    for _ in want_ids:
        got_ids.append(int(logits[-1].argmax()))
        logits = m.forward(m.rows_of(got_ids[-1:]))
    assert got_ids == want_ids


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("naming", ["apple", "transformers"])
def test_and_back(cases, form, naming):
    case = cases[form]
    folder, _ = export(case.file["float"], "safetensors", "--naming", naming)
    back = WORK / "export-llama-back.fvlm"
    fvlm("convert", folder, "-o", back, "--force", "-q")
    was, now = Fvlm(case.file["float"]), Fvlm(back)
    assert was.names == now.names
    extra = int(naming == "transformers")  # the row of <image>, zeros
    assert now.config["llm"].pop("vocab") == was.config["llm"].pop("vocab") + extra and was.config == now.config
    assert [a for a in now.tokenizer.pop("added") if a["text"] != "<image>"] == was.tokenizer.pop("added") and was.tokenizer == now.tokenizer
    rows = ("llm.embed.weight", "llm.head.weight") if extra else ()
    for name in was.names:
        if name in rows:
            assert np.array_equal(now.tensor(name)[:-1], was.tensor(name)) and not now.tensor(name)[-1].any()
        else:
            assert was.entries[name].hash == now.entries[name].hash or name.endswith("attn.qkv.bias"), name
    if case.pieces and naming == "apple":
        a, b = (sentencepiece.SentencePieceProcessor(str(f / "tokenizer.model")) for f in (case.folder, folder))
        texts = [t for kind in media_texts.all_texts(["<s>", "</s>"]).values() for t in kind][::7]
        assert [a.encode(t.decode("utf-8", "replace")) for t in texts] == [b.encode(t.decode("utf-8", "replace")) for t in texts]


def interleaved(x, heads):
    """llama.cpp's order of the rows of q and k: the two halves of a head take turns."""
    return x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


@pytest.mark.parametrize("form, kind", CASES)
def test_gguf(cases, form, kind):
    gguf = pytest.importorskip("gguf", reason="NOT TESTED: no gguf package")
    case, path = cases[form], WORK / "export-llama.gguf"
    fvlm("export", case.file[kind], "--to", "gguf", "-o", path, "--force", "-q")
    ours, theirs = Fvlm(case.file[kind]), gguf.GGUFReader(path)
    wanted = {gguf_name(n): n for n in ours.names if n.startswith("llm.")}
    scaled = case.config.get("rope_scaling", {}).get("rope_type") == "llama3"
    assert {t.name for t in theirs.tensors} == wanted.keys() | ({"rope_freqs.weight"} if scaled else set())
    types = set()
    for t in theirs.tensors:
        if t.name == "rope_freqs.weight":
            check_rope_factors(np.asarray(t.data), case.config)
            continue
        w = ours.tensor(wanted[t.name])
        heads = {"attn_q": case.config["num_attention_heads"], "attn_k": case.config["num_key_value_heads"]}.get(t.name.split(".")[-2])
        w = interleaved(w, heads) if heads else w
        assert np.array_equal(gguf_values(t, w.shape), w), t.name
        types.add(t.tensor_type.name)
    assert types >= {"float": {"BF16", "F32"}, "int8": {"Q8_0", "F32"}, "int4": {"Q4_1", "F32"}}[kind]
    field = lambda key: theirs.get_field(key).contents()
    assert field("general.architecture") == "llama" and field("tokenizer.ggml.add_bos_token") is True
    assert field("llama.attention.layer_norm_rms_epsilon") == np.float32(1e-5)
    assert field("tokenizer.ggml.bos_token_id") == case.config["bos_token_id"]
    if not case.pieces:
        assert field("tokenizer.ggml.model") == "gpt2" and field("tokenizer.ggml.merges") == ours.tokenizer["merges"]
        assert field("tokenizer.ggml.pre") == {"bpe, llama3": "llama-bpe", "bpe, smollm2": "smollm"}[form]
        return
    m = case.tokenizer.model
    assert field("tokenizer.ggml.model") == "llama"
    assert field("tokenizer.ggml.tokens") == [m.id_to_piece(i) for i in range(m.vocab_size())]
    assert field("tokenizer.ggml.scores") == [m.get_score(i) for i in range(m.vocab_size())]
    kinds = [2 if m.is_unknown(i) else 3 if m.is_control(i) else 6 if m.is_byte(i) else 1 for i in range(m.vocab_size())]
    assert field("tokenizer.ggml.token_type") == kinds


def check_rope_factors(got, config):
    """transformers' frequencies, before and after the scaling."""
    c = test_llama.transformers.LlamaConfig(hidden_size=96, num_attention_heads=3, head_dim=64, rope_parameters=LLAMA3 | {"rope_theta": 5e5})
    scaled = test_llama.LlamaRotaryEmbedding(c).inv_freq.numpy()
    plain = (1.0 / 5e5 ** (torch.arange(0, 64, 2).float() / 64)).numpy()
    assert np.allclose(got, plain / scaled, rtol=3e-7, atol=0) and got[0] == 1 and got[-1] == 8


@pytest.mark.parametrize("form, kind", CASES)
def test_llama_cpp(cases, form, kind):
    """The same 32 greedy ids in f32, and the same ids of texts."""
    pytest.importorskip("llama_cpp", reason="NOT TESTED: no llama-cpp-python")
    case, path = cases[form], WORK / "export-llama-f32.gguf"
    fvlm("export", case.file[kind], "--to", "gguf", "--type", "f32", "-o", path, "--force", "-q")
    prompt = test_llama.PROMPTS["v1"](QUESTION)
    ids = case.tokenizer.encode(prompt).ids
    got, cut = llama_greedy(path, ids, 32)
    assert got == activations(case.file[kind], np.zeros((0, 0, 3)), ids, 32)[1]
    assert cut == case.tokenizer.encode("The picture shows 3 red circles, don't you think?\n\n  Yes.").ids[1:]
