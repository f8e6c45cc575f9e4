# SPDX-License-Identifier: Apache-2.0
"""A FastVLM checkpoint folder in PyTorch: timm's FastViT, the projector, transformers' Qwen2, all in f32.

    model = apple.load(folder)
    ids = model.prompt_ids("What is this?")                  -200 stands for the picture
    new = model.greedy(ids, read_pixels("photo.jpg", model.image_size), 64)

This is what fvlm is held against; nothing here comes from fvlm. Train-time checkpoints stay unfused: timm runs the
branches. Names are mapped by rule, and a tensor missing or left over is an error that lists it.
"""

import json
import os
import re
import sys
import types
from functools import partial
from pathlib import Path

os.environ["TIMM_FUSED_ATTN"] = "0"  # the plain attention: softmax(q k^T) v
# timm imports torchvision, whose compiled half may not fit this torch; only its Python half is needed.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("unused"))

import timm
import tokenizers
import torch
import transformers
from preprocess import IMAGE, read_pixels
from safetensors import safe_open
from timm.layers import LayerNorm2d
from timm.models.fastvit import RepConditionalPosEnc
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

VISION = "model.vision_tower.vision_tower.model."
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<image>\n{}<|im_end|>\n<|im_start|>assistant\n"
)
RENAMES = [
    (r"^patch_embed\.", "stem."), (r"^conv_exp\.", "final_conv."), (r"\.convffn\.", ".mlp."),
    (r"\.lkb_reparam\.", ".reparam_conv."), (r"\.lkb_origin\.", ".large_conv."), (r"\.rbr_conv\.", ".conv_kxk."),
    (r"\.rbr_scale\.", ".conv_scale."), (r"\.rbr_skip\.", ".identity."), (r"\.se\.reduce\.", ".se.fc1."),
    (r"\.se\.expand\.", ".se.fc2."), (r"(\.layer_scale(_\d)?)$", r"\1.gamma"), (r"\.pe\.", ".pos_enc."),
]  # fmt: skip


def timm_names(names):
    """Apple's names of the tower (prefix stripped) -> timm's. The head of the CLIP model has no use: not mapped.

    network[] counts patch embeddings, position convolutions and blocks through; a patch embedding opens a stage."""
    kinds = {}
    for name in names:
        if m := re.match(r"network\.(\d+)\.(proj|reparam_conv|pe|\d+)\.", name):
            kinds[int(m[1])] = "downsample.proj" if m[2] == "proj" else "blocks" if m[2].isdigit() else "pos_emb"
    place, stage = {}, 0
    for n in sorted(kinds):
        stage += kinds[n] == "downsample.proj"
        place[n] = f"stages.{stage}.{kinds[n]}"
    out = {}
    for name in names:
        new = re.sub(r"^network\.(\d+)\.(proj\.)?", lambda m: place[int(m[1])] + ".", name)
        for pattern, text in RENAMES:
            new = re.sub(pattern, text, new)
        if name != "head.proj":
            out[name] = new
    return out


def apple_names(names):
    """timm's names -> Apple's: the other way, for a dump that should speak as the checkpoint does."""
    return {new: old for old, new in timm_names(names).items()}


def read_tensors(folder):
    """Every tensor of the folder's safetensors files in f32 (counters stay integers)."""
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as f:
            for name in f.keys():
                t = f.get_tensor(name)
                tensors[name] = t.float() if t.is_floating_point() else t
    return tensors


def adopt(module, tensors, what):
    """Takes the tensors as the module's own; refuses what is missing or left over."""
    missing, unexpected = module.load_state_dict(tensors, strict=False, assign=True)
    if missing or unexpected:
        raise ValueError(f"{what}: missing {sorted(missing)}, left over {sorted(unexpected)}")
    return module.eval().requires_grad_(False)


def build_tower(tensors):
    """timm's fastvit_mci3, of the widths, depths and mode (fused or train-time) that the tensors have."""
    names = timm_names(tensors)
    tensors = {names[n]: t for n, t in tensors.items() if n in names}
    n_stages = 1 + max(int(n.split(".")[1]) for n in tensors if n.startswith("stages."))
    stages = range(n_stages)
    first = [f"stages.{s}.blocks.0." for s in stages]
    depths = [len({n.split(".")[3] for n in tensors if n.startswith(f"stages.{s}.blocks.")}) for s in stages]
    position = partial(RepConditionalPosEnc, spatial_shape=(7, 7))
    with torch.device("meta"):
        tower = timm.create_model(
            "fastvit_mci3", num_classes=0, inference_mode="stem.0.reparam_conv.weight" in tensors, layers=depths,
            embed_dims=[tensors[f + "mlp.conv.conv.weight"].shape[0] for f in first],
            mlp_ratios=[tensors[f + "mlp.fc1.weight"].shape[0] / tensors[f + "mlp.fc1.weight"].shape[1] for f in first],
            token_mixers=["attention" if f + "token_mixer.qkv.weight" in tensors else "repmixer" for f in first],
            pos_embs=[position if any(n.startswith(f"stages.{s}.pos_emb") for n in tensors) else None for s in stages],
            downsamples=[s > 0 for s in stages], se_downsamples=[False] * n_stages,
            norm_layer=partial(LayerNorm2d, eps=1e-5),
        )  # fmt: skip
    return adopt(tower, tensors, "tower")


def build_llm(tensors, config, n_tokens):
    """Qwen2ForCausalLM. As Apple's loader does, rows beyond the tokenizer's ids are cut off."""
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "rms_norm_eps", "max_position_embeddings", "tie_word_embeddings", "eos_token_id")  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    qwen2 = transformers.Qwen2Config(
        **{k: config[k] for k in keys if k in config}, vocab_size=n_tokens, rope_parameters=rope, bos_token_id=None
    )
    qwen2._attn_implementation = "eager"
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in tensors:
            tensors[name] = tensors[name][:n_tokens]
    if qwen2.tie_word_embeddings:  # the stored head is ignored
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    with torch.device("meta"):
        llm = transformers.Qwen2ForCausalLM(qwen2)
    llm.model.rotary_emb = Qwen2RotaryEmbedding(qwen2)
    return adopt(llm, tensors, "language model")


def build_tokenizer(folder):
    """Qwen2's byte-level BPE of vocab.json, merges.txt and added_tokens.json."""
    folder = Path(folder)
    t = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    t.normalizer = tokenizers.normalizers.NFC()
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated")
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, byte_level])
    t.decoder = tokenizers.decoders.ByteLevel()
    added = sorted(json.loads((folder / "added_tokens.json").read_text()).items(), key=lambda x: x[1])
    t.add_special_tokens([tokenizers.AddedToken(text, normalized=False) for text, _ in added])
    for text, i in added:
        if t.token_to_id(text) != i:
            raise ValueError(f"added token {text} has id {i} in the file, {t.token_to_id(text)} here")
    return t


class FastVLM(torch.nn.Module):
    name = "timm and transformers"

    def __init__(self, tower, projector, llm, tokenizer, config):
        super().__init__()
        self.tower, self.projector, self.llm = tower, projector, llm
        self.tokenizer, self.config = tokenizer, config
        self.image_size = int(config["mm_vision_tower"].split("_")[-1])

    def pixels(self, path, side):
        return read_pixels(path, side)

    def prompt_ids(self, question):
        """Ids of the template around the question; each side of <image> is tokenized apart."""
        sides = TEMPLATE.format(question).split("<image>")
        before, after = (self.tokenizer.encode(text, add_special_tokens=False).ids for text in sides)
        return before + [IMAGE] + after

    @torch.no_grad()
    def encode(self, pixels):
        """Rows for the language model, token t = y * width + x. [tokens, hidden]"""
        return self.projector(self.tower.forward_features(pixels).flatten(2).transpose(1, 2))[0]

    @torch.no_grad()
    def embed(self, ids, pixels=None):
        """Embeddings of the ids with the picture's rows in place of -200. [positions, hidden]"""
        at = ids.index(IMAGE) if IMAGE in ids else len(ids)
        look_up = self.llm.model.embed_tokens
        parts = [look_up(torch.tensor(ids[:at]))]
        if at < len(ids):
            parts += [self.encode(pixels), look_up(torch.tensor(ids[at + 1 :]))]
        return torch.cat(parts)

    @torch.no_grad()
    def greedy(self, ids, pixels=None, n=64):
        """At most n new ids, without the one that ends the answer."""
        out = self.llm(inputs_embeds=self.embed(ids, pixels)[None], use_cache=True, logits_to_keep=1)
        answer = []
        while len(answer) < n:
            best = int(out.logits[0, -1].argmax())
            if best == self.config["eos_token_id"]:
                break
            answer.append(best)
            if len(answer) < n:
                out = self.llm(input_ids=torch.tensor([[best]]), past_key_values=out.past_key_values, use_cache=True)
        return answer

    def answer(self, path, question, n=64):
        """The greedy answer to a question about a picture, as text."""
        ids = self.greedy(self.prompt_ids(question), read_pixels(path, self.image_size), n)
        return self.tokenizer.decode(ids)

    def blocks(self):
        """(our name, module) of everything fvlm's observer reports, in the order it runs."""
        yield "vision.stem", self.tower.stem
        for s, stage in enumerate(self.tower.stages):
            if s > 0:
                yield f"vision.stage{s}.downsample", stage.downsample
            if not isinstance(stage.pos_emb, torch.nn.Identity):
                yield f"vision.stage{s}.pos", stage.pos_emb
            for b, block in enumerate(stage.blocks):
                yield f"vision.stage{s}.block{b}", block
        yield "vision.final", self.tower.final_conv
        yield "projector", self.projector
        for n, layer in enumerate(self.llm.model.layers):
            yield f"llm.layer{n}", layer
        yield "llm.norm", self.llm.model.norm
        yield "logits", self.llm.lm_head


def load(folder):
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = read_tensors(folder)
    parts = {"tower": {}, "projector": {}, "llm": {}}
    for name, t in tensors.items():
        part = "tower" if name.startswith(VISION) else "projector" if ".mm_projector." in name else "llm"
        parts[part][name.removeprefix(VISION).removeprefix("model.mm_projector.")] = t
    del tensors
    tower = build_tower(parts["tower"])
    w0, w2 = parts["projector"]["0.weight"], parts["projector"]["2.weight"]
    with torch.device("meta"):
        projector = torch.nn.Sequential(
            torch.nn.Linear(*w0.shape[::-1]), torch.nn.GELU(), torch.nn.Linear(*w2.shape[::-1])
        )
    projector = adopt(projector, parts["projector"], "projector")
    tokenizer = build_tokenizer(folder)
    llm = build_llm(parts["llm"], config, tokenizer.get_vocab_size())
    return FastVLM(tower, projector, llm, tokenizer, config).eval()


if __name__ == "__main__":  # python apple.py FOLDER PHOTO QUESTION
    print(load(sys.argv[1]).answer(sys.argv[2], sys.argv[3]))
