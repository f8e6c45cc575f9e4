# SPDX-License-Identifier: Apache-2.0
"""ONNX exports of the small trained model in every form that people publish, each a folder with the configuration and
tokenizer beside the graphs.

    make_onnx.py FOLDER [NAME ...]      all variants, or those of the names given
    make_onnx.py --list

A variant is made from an earlier one where it can be; whatever lies in FOLDER is not made again.
"""

import argparse
import copy
import functools
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import apple
import numpy as np
import onnx_community
import onnx_modules
import onnx_rewrite as rewrite
import torch
from onnx_export import Export

TINY = Path(__file__).resolve().parents[1] / "fixtures/tiny"
GRAPHS = ("vision_encoder.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx")
BESIDE = ("config.json", "generation_config.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json",
          "special_tokens_map.json")  # fmt: skip
VARIANTS = {}
LONGER = ("ts17-static-280", "dynamo18-static-600")  # fixed sizes that a question of 49 positions does not fit


@functools.cache
def loaded(form):
    return apple.load(TINY / form)


def model(form="fused", spelling=None):
    m = copy.deepcopy(loaded(form))
    if spelling:
        spelling(m.tower)
    return m


def variant(name, base=None):
    """Registers make(folder, folder of the base)."""

    def register(make):
        VARIANTS[name] = (base, make)
        return make

    return register


def exported(name, form="fused", spelling=None, **options):
    variant(name)(lambda folder, _: Export(model(form, spelling), **options).write(folder))


def rewritten(name, base, change, graphs=GRAPHS, also=(), **options):
    """`change` of those graphs of the base, the others copied."""

    def make(folder, source):
        for graph in GRAPHS:
            if graph in graphs:
                change(source / graph, folder / graph, **options)
            elif (source / graph).exists():
                shutil.copy(source / graph, folder / graph)
        for f in also:
            f(source, folder)

    variant(name, base)(make)


VISION, EMBED, DECODER = GRAPHS
as_apple, by_slices = onnx_modules.spell_as_apple, onnx_modules.split_by_slices

# Exporter, opset, spelling, shapes.
for opset in (13, 15, 17, 20):
    exported(f"ts{opset}", spelling=as_apple, opset=opset, batched=False)
exported("ts17-static", opset=17, dynamic=False)
exported("ts17-any-size", opset=17, resizable=True, parts="v")
exported("ts14-slices", spelling=by_slices, opset=14, parts="v")
exported("ts17-tower", spelling=as_apple, opset=17, parts="v", projector=False, batched=False)
exported("ts17-unfused", "unfused", opset=17, parts="v")
exported("ts17-train-time", "unfused", opset=17, parts="v",
         options=dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False))  # fmt: skip
exported("ts17-fused-bn-kept", opset=17, parts="v",
         options=dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False))  # fmt: skip
exported("ts17-half", spelling=as_apple, opset=17, half=True, batched=False)
for opset in (18, 21, 23):
    exported(f"dynamo{opset}", dynamo=True, opset=opset)
exported("dynamo18-static", dynamo=True, opset=18, dynamic=False)
exported("ts17-static-280", opset=17, dynamic=False, positions=280)
exported("dynamo18-static-600", dynamo=True, opset=18, dynamic=False, positions=600)
exported("dynamo18-any-size", dynamo=True, opset=18, resizable=True, parts="v")
exported("dynamo18-raw", "unfused", dynamo=True, opset=18, parts="v", options=dict(optimize=False))
exported("dynamo18-unfused", "unfused", dynamo=True, opset=18, parts="v")
if os.environ.get("FVLM_FULL"):  # as long as five others
    exported("dynamo18-half", dynamo=True, opset=18, half=True)


@variant("community", "dynamo18-any-size")
def community(folder, vision):
    """onnx-community's set: vision with free sizes, embedding and decoder with onnxruntime's operators."""
    shutil.copy(vision / VISION, folder / VISION)
    Export(model(), opset=18, parts="e").write(folder)
    onnx_community.write_decoder(model().llm, folder / DECODER)


@variant("gqa-rope-inside", "ts17")
def gqa_rope_inside(folder, base):
    for graph in (VISION, EMBED):
        shutil.copy(base / graph, folder / graph)
    onnx_community.write_decoder(model().llm, folder / DECODER, rope_inside=True, skip_norms=False)


# Half precision by the converter, and onnxruntime's optimizers.
rewritten("ts17-fp16", "ts17", rewrite.half)
rewritten("ts17-fp16-io", "ts17", rewrite.half, keep_io_types=False)
rewritten("community-fp16", "community", rewrite.half, keep_io_types=False)
for level in rewrite.LEVELS:
    rewritten(f"ts17-ort-{level}", "ts17", rewrite.optimized, level=level)
rewritten("dynamo18-ort-all", "dynamo18", rewrite.optimized, level="all")
rewritten("ts17-ort-vit", "ts17", rewrite.transformers_fused, (VISION,), kind="vit", heads=8, hidden=256)
rewritten("ts17-ort-qwen3", "ts17", rewrite.transformers_fused, (DECODER,), kind="qwen3", heads=4, hidden=128)

# Other places for the same numbers.
rewritten("ts17-typed", "ts17", rewrite.typed_fields)
rewritten("ts17-fp16-typed", "ts17-fp16", rewrite.typed_fields)
rewritten("ts17-constants", "ts17", rewrite.constant_nodes)
rewritten("ts17-external", "ts17", rewrite.external)
rewritten("dynamo18-external-each", "dynamo18", rewrite.external, one_file=False)
rewritten("ts17-anonymous", "ts17", rewrite.anonymous)
rewritten("ts17-halves-moved", "ts17", rewrite.halves_moved, (VISION,))
rewritten("qdq-halves-moved", "ts17-halves-moved", rewrite.weight_only_qdq, (VISION,), per="channel")

# Quantized weights.
WHOLE = (VISION, DECODER)
NBITS = ((4, 32, True), (4, 32, False), (4, 16, True), (4, 64, False), (4, 128, True), (8, 32, True), (8, 32, False), (8, 128, True))
for bits, block, symmetric in NBITS:
    name = f"q{bits}-b{block}-{'sym' if symmetric else 'asym'}"
    rewritten(name, "ts17", rewrite.nbits, WHOLE, bits=bits, block=block, symmetric=symmetric)
for kind in ("sym", "asym"):
    options = dict(symmetric=kind == "sym", gather=True)
    rewritten(f"q4-embedding-{kind}", f"q4-b32-{kind}", rewrite.nbits, (EMBED,), **options)
rewritten("q4-qdq-block", "dynamo21", rewrite.nbits, WHOLE, symmetric=True, qdq=True)
rewritten("community-q4", "community", rewrite.nbits, (DECODER,))
rewritten("community-q4f16", "community-fp16", rewrite.nbits, (DECODER,))
rewritten("community-bnb4", "community", rewrite.bnb4, (DECODER,), kind="fp4")
rewritten("community-nf4", "community", rewrite.bnb4, (DECODER,), kind="nf4")
rewritten("community-int8", "community", rewrite.dynamic)
rewritten("community-uint8", "community", rewrite.dynamic, unsigned=True)
rewritten("ts17-int8-channel", "ts17", rewrite.dynamic, per_channel=True)
for per, bits in (("tensor", 8), ("channel", 8), ("block", 8), ("block", 4)):
    base = "dynamo21" if per == "block" else "ts17"
    rewritten(f"qdq-weights-{per}-{bits}", base, rewrite.weight_only_qdq, WHOLE, per=per, bits=bits)
for per in ("tensor", "channel"):
    pixels = np.random.default_rng(3).random((1, 3, 256, 256), np.float32)
    options = dict(feeds={"pixel_values": pixels}, per_channel=per == "channel")
    rewritten(f"qdq-static-{per}", "ts17", rewrite.static, (VISION,), **options)


SUFFIXES = {"": "community", "_fp16": "community-fp16", "_int8": "community-int8", "_quantized": "community-int8", "_uint8": "community-uint8",
            "_q4": "community-q4", "_q4f16": "community-q4f16", "_bnb4": "community-bnb4"}  # fmt: skip
PROCESSOR = {
    "crop_size": {"height": 256, "width": 256}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
    "do_resize": True, "image_mean": [0.0, 0.0, 0.0], "image_processor_type": "CLIPImageProcessor", "image_std": [1.0, 1.0, 1.0],
    "processor_class": "LlavaProcessor", "resample": 3, "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256},
}  # fmt: skip


def make_community(root):
    """Everything side by side as onnx-community/FastVLM-0.5B-ONNX has it: graphs with suffixes in onnx/, a tokenizer.json and
    neither vocab.json nor merges.txt."""
    folder = Path(root) / "onnx-community"
    if folder.exists():
        return folder
    part = folder.with_name("onnx-community.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "onnx").mkdir(parents=True)
    for suffix, name in SUFFIXES.items():
        for graph in GRAPHS:
            shutil.copy(make(name, root) / graph, part / "onnx" / graph.replace(".onnx", suffix + ".onnx"))
    config = json.loads((TINY / "fused/config.json").read_text())
    config["transformers.js_config"] = {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}}
    image = max(json.loads((TINY / "fused/added_tokens.json").read_text()).values()) + 1
    config["image_token_index"] = image
    (part / "config.json").write_text(json.dumps(config, indent=2))
    (part / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2))
    processor = {"image_token": "<image>", "num_additional_image_tokens": 0, "patch_size": 64, "processor_class": "LlavaProcessor"}
    (part / "processor_config.json").write_text(json.dumps(processor, indent=2))
    for file in ("generation_config.json", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(TINY / "fused" / file, part)
    loaded("fused").tokenizer.save(str(part / "tokenizer.json"))
    part.rename(folder)
    return folder


def kept(root):
    """The folder, emptied if these sources have changed since it was filled."""
    here = Path(__file__).resolve().parent
    sources = sorted(here.glob("onnx_*.py")) + [here / "make_onnx.py", here / "requirements.txt"]
    key = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    mark = Path(root) / "made"
    if not mark.exists() or mark.read_text() != key:
        shutil.rmtree(root, ignore_errors=True)
        Path(root).mkdir(parents=True)
        mark.write_text(key)
    return Path(root)


def make(name, root):
    """The variant's folder, made if it is not there."""
    folder, (base, write) = Path(root) / name, VARIANTS[name]
    if not folder.exists():
        source = make(base, root) if base else None
        part = folder.with_name(name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        torch.manual_seed(1)
        write(part, source)
        for file in BESIDE:
            shutil.copy(TINY / "fused" / file, part)
        part.rename(folder)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    a = parser.parse_args()
    if a.list or not a.folder:
        sys.exit("\n".join(VARIANTS))
    for name in a.names or VARIANTS:
        print(make_community(a.folder) if name == "onnx-community" else make(name, a.folder), flush=True)
