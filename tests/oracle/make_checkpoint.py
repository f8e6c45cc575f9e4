# SPDX-License-Identifier: Apache-2.0
"""Writes a random FastVLM checkpoint folder in Apple's layout: names, shapes, dtypes, config, tokenizer.

    python make_checkpoint.py 0.5b FOLDER                        924 tensors, bf16, 1.5 GB, 20 s
    python make_checkpoint.py 1.5b FOLDER --max-shard-size 1GB   shards and model.safetensors.index.json
    python make_checkpoint.py 7b FOLDER --layers 2               untied head, 22 added tokens
    python make_checkpoint.py small FOLDER --train-time          branches and BatchNorm not yet fused

Every block matters: layer scales lie in 0.1 .. 1, BatchNorm variances span two decades (their gammas make up for
it), no bias is zero, and gains are set so that activations neither vanish nor explode from pixels to logits.
Same arguments, same bytes: every tensor is drawn from the seed and its own name. Memory stays below 200 MB.
"""

import argparse
import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import random_tokenizer

VISION = "model.vision_tower.vision_tower.model."
CHUNK = 1 << 22  # values drawn at a time


@dataclass
class Size:
    dims: tuple = (96, 192, 384, 768, 1536)
    depths: tuple = (2, 12, 24, 4, 2)
    image: int = 1024
    clip: int = 768
    hidden: int = 896
    layers: int = 24
    heads: int = 14
    kv_heads: int = 2
    intermediate: int = 4864
    rows: int = 151936  # of embed_tokens; more than the tokenizer has
    base_ids: int = random_tokenizer.BASE_IDS
    added: tuple = tuple(random_tokenizer.CHAT)
    tied: bool = True


SIZES = {
    "0.5b": Size(),
    "1.5b": Size(hidden=1536, layers=28, heads=12, intermediate=8960),
    "7b": Size(hidden=3584, layers=28, heads=28, kv_heads=4, intermediate=18944, rows=152064,
               added=tuple(random_tokenizer.QWEN25), tied=False),
    "small": Size(dims=(16, 32, 64, 128, 256), depths=(1, 2, 2, 2, 1), image=256, clip=32, hidden=128, layers=2,
                  heads=4, intermediate=320, rows=640, base_ids=600),
}  # fmt: skip


@dataclass
class Tensor:
    name: str
    shape: tuple
    low: float = 0.0  # uniform low .. high, or normal when high is None
    high: float | None = None
    std: float = 1.0
    centre: float = 0.0  # added to the middle tap: the identity that fusion leaves there
    rows: np.ndarray | None = None  # multiplies row n
    like: str | None = None  # draw what this name draws
    dtype: str = "BF16"

    @property
    def n_bytes(self):
        return int(np.prod(self.shape)) * (8 if self.dtype == "I64" else 2)


def rng_of(seed, name):
    return np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))


class Checkpoint:
    """The list of tensors, each with how it is drawn."""

    def __init__(self, size, seed, train_time):
        self.size, self.seed, self.train_time, self.tensors = size, seed, train_time, []

    def normal(self, name, shape, std, **more):
        self.tensors.append(Tensor(name, tuple(shape), std=std, **more))

    def uniform(self, name, shape, low, high, **more):
        self.tensors.append(Tensor(name, tuple(shape), low=low, high=high, **more))

    def biased(self, name, shape, std, bias=0.1, **more):
        self.normal(name + ".weight", shape, std, **more)
        self.normal(name + ".bias", shape[:1], bias)

    def batch_norm(self, name, c, low, high, follows_data=True):
        """Variances 0.1 .. 10. Returns their roots, by which the convolution before it must be scaled so that the
        norm really normalizes (follows_data); a norm on its own takes them into gamma instead."""
        var = np.exp(rng_of(self.seed, name + " variance").uniform(np.log(0.1), np.log(10), c)).astype(np.float32)
        root = np.sqrt(var)
        self.uniform(name + ".weight", (c,), low, high, rows=None if follows_data else root)
        self.normal(name + ".bias", (c,), 0.1)
        self.normal(name + ".running_mean", (c,), 0.2, rows=root if follows_data else None)
        self.tensors.append(Tensor(name + ".running_var", (c,), low=1.0, high=1.0, rows=var))
        self.tensors.append(Tensor(name + ".num_batches_tracked", (), low=1000, high=1000, dtype="I64"))
        return root

    def conv_bn(self, name, shape, std, low=0.7, high=1.3):
        root = self.batch_norm(name + ".bn", shape[0], low, high)
        self.normal(name + ".conv.weight", shape, std, rows=root)

    def mobile_one(self, name, shape, std, skip=None, scale=0.0, bias=0.1):
        """A fused convolution, or its train-time branches; skip = (low, high) of the skip's weight."""
        if not self.train_time:
            return self.biased(name + ".reparam_conv", shape, std, bias)
        self.conv_bn(name + ".rbr_conv.0", shape, std)
        if scale:
            self.conv_bn(name + ".rbr_scale", shape[:2] + (1, 1), scale)
        if skip:
            self.batch_norm(name + ".rbr_skip", shape[0], *skip, follows_data=False)

    def large_kernel(self, name, shape, std):
        if not self.train_time:
            return self.biased(name + ".lkb_reparam", shape, std)
        self.conv_bn(name + ".lkb_origin", shape, std)
        self.conv_bn(name + ".small_conv", shape[:2] + (3, 3), std)

    def ffn(self, name, c):
        self.conv_bn(name + ".conv", (c, 1, 7, 7), 1 / 7)
        self.biased(name + ".fc1", (4 * c, c, 1, 1), 1.2 * c**-0.5, bias=0.2)
        self.biased(name + ".fc2", (c, 4 * c, 1, 1), 1.2 * (4 * c) ** -0.5)

    def rep_mixer_block(self, name, c):
        mixer = name + ".token_mixer"
        if self.train_time:
            self.batch_norm(mixer + ".norm.rbr_skip", c, 0.5, 0.9, follows_data=False)
            self.mobile_one(mixer + ".mixer", (c, 1, 3, 3), 0.12, skip=(0.3, 0.7), scale=0.1)
            self.uniform(mixer + ".layer_scale", (c, 1, 1), 0.1, 1.0)
        else:
            self.biased(mixer + ".reparam_conv", (c, 1, 3, 3), 0.07, centre=0.9)
        self.ffn(name + ".convffn", c)
        self.uniform(name + ".layer_scale", (c, 1, 1), 0.1, 1.0)

    def attention_block(self, name, c):
        self.uniform(name + ".norm.weight", (c,), 0.5, 1.5)
        self.normal(name + ".norm.bias", (c,), 0.1)
        gain = np.repeat(np.array([1.4, 1.4, 1.0], np.float32), c)  # scores of spread 2, so that heads choose
        self.normal(name + ".token_mixer.qkv.weight", (3 * c, c), c**-0.5, rows=gain)
        self.biased(name + ".token_mixer.proj", (c, c), 2 * c**-0.5)
        self.ffn(name + ".convffn", c)
        self.uniform(name + ".layer_scale_1", (c, 1, 1), 0.1, 1.0)
        self.uniform(name + ".layer_scale_2", (c, 1, 1), 0.1, 1.0)

    def position(self, name, c):
        std = 0.05
        if self.train_time:
            self.biased(name + ".pe", (c, 1, 7, 7), std)
        else:
            self.biased(name + ".reparam_conv", (c, 1, 7, 7), std, centre=1.0)

    def tower(self):
        dims, depths = self.size.dims, self.size.depths
        c = dims[0]
        self.mobile_one(VISION + "patch_embed.0", (c, 3, 3, 3), 0.6, bias=0.3)
        self.mobile_one(VISION + "patch_embed.1", (c, 1, 3, 3), 0.4)
        self.mobile_one(VISION + "patch_embed.2", (c, c, 1, 1), 1.4 * c**-0.5, skip=(0.2, 0.5))
        n = 0
        for stage, (c, depth) in enumerate(zip(dims, depths)):
            if stage > 0:
                down = f"{VISION}network.{n}.proj"
                self.large_kernel(down + ".0", (c, 1, 7, 7), 1.2 / 7)
                self.mobile_one(down + ".1", (c, c, 1, 1), 1.3 * c**-0.5, skip=(0.2, 0.5))
                n += 1
            attention = stage >= 3
            if attention:
                self.position(f"{VISION}network.{n}", c)
                n += 1
            for block in range(depth):
                name = f"{VISION}network.{n}.{block}"
                self.attention_block(name, c) if attention else self.rep_mixer_block(name, c)
            n += 1
        c, out = dims[-1], 2 * dims[-1]
        self.mobile_one(VISION + "conv_exp", (out, 1, 3, 3), 0.35, scale=0.3)
        self.biased(VISION + "conv_exp.se.reduce", (out // 16, out, 1, 1), 2 * out**-0.5)
        self.biased(VISION + "conv_exp.se.expand", (out, out // 16, 1, 1), 4 * out**-0.5)
        self.normal(VISION + "head.proj", (out, self.size.clip), out**-0.5)

    def projector(self):
        h, wide = self.size.hidden, 2 * self.size.dims[-1]
        self.biased("model.mm_projector.0", (h, wide), 0.7 * wide**-0.5)
        self.biased("model.mm_projector.2", (h, h), 0.7 * h**-0.5, bias=0.05)

    def llm(self):
        s = self.size
        h, f, kv = s.hidden, s.intermediate, s.kv_heads * (s.hidden // s.heads)
        self.normal("model.embed_tokens.weight", (s.rows, h), 0.12)
        self.normal("lm_head.weight", (s.rows, h), 0.12, like="model.embed_tokens.weight" if s.tied else None)
        # Either sign, so that a tied head does not simply repeat the token it has just seen.
        self.uniform("model.norm.weight", (h,), -2.0, 2.0)
        for n in range(s.layers):
            layer = f"model.layers.{n}."
            self.uniform(layer + "input_layernorm.weight", (h,), 0.5, 1.5)
            self.uniform(layer + "post_attention_layernorm.weight", (h,), 0.5, 1.5)
            self.biased(layer + "self_attn.q_proj", (h, h), 1.3 * h**-0.5, bias=0.3)
            self.biased(layer + "self_attn.k_proj", (kv, h), 1.3 * h**-0.5, bias=1.0)  # Qwen2's are large
            self.biased(layer + "self_attn.v_proj", (kv, h), h**-0.5, bias=0.1)
            self.normal(layer + "self_attn.o_proj.weight", (h, h), h**-0.5)
            self.normal(layer + "mlp.gate_proj.weight", (f, h), h**-0.5)
            self.normal(layer + "mlp.up_proj.weight", (f, h), h**-0.5)
            self.normal(layer + "mlp.down_proj.weight", (h, f), f**-0.5)


def to_bf16(x):
    """Round to nearest, ties to even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def chunks(t, seed):
    """The tensor's bytes, a few rows at a time."""
    if t.dtype == "I64":
        yield np.array(int(t.low), "<i8").tobytes()
        return
    rng = rng_of(seed, t.like or t.name)
    n_rows = t.shape[0]
    row_len = int(np.prod(t.shape[1:]))
    step = max(1, CHUNK // row_len)
    for at in range(0, n_rows, step):
        n = min(step, n_rows - at)
        if t.high is None:
            x = rng.standard_normal((n, row_len), np.float32)
            x *= np.float32(t.std)
        else:
            x = rng.random((n, row_len), np.float32) * np.float32(t.high - t.low) + np.float32(t.low)
        x[:, row_len // 2] += np.float32(t.centre)
        if t.rows is not None:
            x *= t.rows[at : at + n, None]
        yield to_bf16(x).tobytes()


def write_safetensors(path, tensors, seed):
    """As the safetensors library lays a file out: by falling alignment, then name."""
    tensors = sorted(tensors, key=lambda t: (t.dtype != "I64", t.name))
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for t in tensors:
        header[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, at + t.n_bytes]}
        at += t.n_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors:
            for part in chunks(t, seed):
                f.write(part)


def write_weights(folder, tensors, seed, max_shard):
    """One file, or shards filled in the order of the model and an index, as transformers saves them."""
    shards, room = [[]], max_shard
    for t in tensors:
        if shards[-1] and t.n_bytes > room:
            shards.append([])
            room = max_shard
        shards[-1].append(t)
        room -= t.n_bytes
    if len(shards) == 1:
        return write_safetensors(folder / "model.safetensors", tensors, seed)
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, shard in zip(files, shards):
        write_safetensors(folder / file, shard, seed)
    weight_map = {t.name: file for file, shard in zip(files, shards) for t in shard}
    index = {"metadata": {"total_size": sum(t.n_bytes for t in tensors)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def config_of(s):
    """config.json of a released model, every key of it."""
    eos = s.base_ids + s.added.index("<|im_end|>")
    return {
        "_name_or_path": "./llava-v1.5-13b", "architectures": ["LlavaQwen2ForCausalLM"],
        "auto_map": {"AutoConfig": "llava_qwen.LlavaConfig", "AutoModelForCausalLM": "llava_qwen.LlavaQwen2ForCausalLM"},
        "attention_dropout": 0.0, "bos_token_id": s.base_ids, "eos_token_id": eos, "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu", "hidden_size": s.hidden, "image_aspect_ratio": "pad", "image_grid_pinpoints": None,
        "initializer_range": 0.02, "intermediate_size": s.intermediate, "max_position_embeddings": 32768,
        "max_window_layers": 24, "mm_hidden_size": 2 * s.dims[-1], "mm_patch_merge_type": "flat",
        "mm_projector_lr": None, "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False, "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2,
        "mm_vision_tower": f"mobileclip_l_{s.image}", "model_type": "llava_qwen2", "num_attention_heads": s.heads,
        "num_hidden_layers": s.layers, "num_key_value_heads": s.kv_heads, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": s.tied,
        "tokenizer_model_max_length": 8192, "tokenizer_padding_side": "right", "torch_dtype": "bfloat16",
        "transformers_version": "4.39.3", "tune_mm_mlp_adapter": False, "unfreeze_mm_vision_tower": True,
        "use_cache": True, "use_mm_proj": True, "use_sliding_window": False, "vocab_size": s.rows,
    }  # fmt: skip


def listed(size, seed=1, train_time=False):
    """Every tensor of a checkpoint, nothing drawn yet."""
    c = Checkpoint(size, seed, train_time)
    c.tower()
    c.projector()
    c.llm()
    return c


def make(folder, size, seed=1, train_time=False, max_shard=1 << 62):
    """Writes the folder; returns one line about it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    c = listed(size, seed, train_time)
    write_weights(folder, c.tensors, seed, max_shard)
    (folder / "config.json").write_text(json.dumps(config_of(size), indent=2) + "\n")
    generation = {"do_sample": True, "temperature": None, "top_p": None, "transformers_version": "4.39.3"}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    origin = random_tokenizer.write(folder, size.base_ids, list(size.added))
    return f"{folder}: {len(c.tensors)} tensors, {sum(t.n_bytes for t in c.tensors) / 1e9:.2f} GB, {origin}"


def n_bytes(text):
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if text.endswith(unit):
            return int(float(text[:-2]) * factor)
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train-time", action="store_true", help="unfused: branches with BatchNorm")
    parser.add_argument("--max-shard-size", type=n_bytes, default=1 << 62, help="such as 1GB")
    parser.add_argument("--layers", type=int, help="of the language model")
    parser.add_argument("--stage-depth", help="blocks of the five stages, such as 1,1,1,1,1")
    parser.add_argument("--width", help="channels of the five stages, such as 32,64,128,256,512")
    a = parser.parse_args()
    size = SIZES[a.size]
    if a.layers:
        size = replace(size, layers=a.layers)
    if a.stage_depth:
        size = replace(size, depths=tuple(map(int, a.stage_depth.split(","))))
    if a.width:
        size = replace(size, dims=tuple(map(int, a.width.split(","))))
    print(make(a.folder, size, a.seed, a.train_time, a.max_shard_size))


if __name__ == "__main__":
    main()
