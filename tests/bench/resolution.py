# SPDX-License-Identifier: Apache-2.0
"""Called by resolution.sh:  resolution.py FVLM FOLDER    FOLDER holds f32.fvlm and int8.fvlm; see there."""

import json
import os
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("unused"))  # as tests/oracle/apple.py

import numpy as np
import onnxruntime
import timm
import torch
from PIL import Image

TEXT = 24  # positions of the prompt, as `fvlm bench` has without a picture


def words(name, default):
    return os.environ.get(name, default).split()


SIDES, TILES, TILE_SIDES = words("SIDES", "256 512 768 1024 1280 1536"), words("TILES", "2x2 4x4"), words("TILE_SIDES", "512 1024")
CONVNEXT_SIDES = words("CONVNEXT_SIDES", "320 512 768 1024 1536")
VIT, RUNS, THREADS = os.environ.get("VIT", "1") == "1", int(os.environ.get("RUNS", "3")), os.environ.get("THREADS", "2")


class Bench:
    def __init__(self, fvlm, folder):
        self.fvlm, self.folder, self.rows = fvlm, folder, []
        self.photo = folder / "photo.jpg"
        rng = np.random.default_rng(1)
        broad = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        broad.resize((4000, 3000), Image.Resampling.BICUBIC).save(self.photo, quality=90)

    def measure(self, model, *options):
        command = [self.fvlm, "bench", self.folder / f"{model}.fvlm", "--threads", THREADS, "--runs", RUNS, "--json", *options]
        return json.loads(subprocess.run([str(c) for c in command], capture_output=True, check=True).stdout)

    def add(self, tower, size, tokens, vision, prefill, ttft):
        self.rows.append((tower, size, tokens, vision * 1e3, prefill * 1e3, ttft * 1e3))
        print(f"{tower:16} {size:>11} {tokens:7} {vision * 1e3:10.1f} {prefill * 1e3:10.1f} {ttft * 1e3:10.1f}", flush=True)

    def fastvithd(self, model):
        for line in self.measure(model, "--image", self.photo, "--size", ",".join(SIDES)):
            self.line(model, line, str(line["size"]))
        for tiles in TILES:
            for side in TILE_SIDES:
                for line in self.measure(model, "--image", self.photo, "--size", side, "--tiles", tiles):
                    self.line(model, line, f"{tiles} of {side}")

    def line(self, model, line, size):
        s = line["seconds"]
        self.add(f"FastViTHD {model}", size, line["image_tokens"], s["vision"], s["prefill"], s["ttft"])

    def foreign(self, tower, model, side, stride, what):
        """A tower of timm; the language model is ours. The picture's own time is FastViTHD's, at its smallest side."""
        tokens = (side // stride) ** 2
        vision = seconds_of(self.folder / "tower.onnx", model, side)
        prefill = self.measure("f32", "--size", 64, "--text", tokens + TEXT - 1)[0]["seconds"]["prefill"]
        image = self.measure("f32", "--image", self.photo, "--size", 64)[0]["seconds"]["image"]
        self.add(tower, what, tokens, vision, prefill, image + vision + prefill)

    def ratios(self):
        base = next((r for r in self.rows if r[:2] == ("FastViTHD f32", "1024")), self.rows[0])
        print(f"\nTimes of {base[0]} at {base[1]}:")
        print(f"{'tower':16} {'size':>11} {'tokens':>7} {'tower':>10} {'prefill':>10} {'TTFT':>10}")
        for row in self.rows:
            shown = " ".join(f"{x / y:10.2f}" for x, y in zip(row[3:], base[3:]))
            print(f"{row[0]:16} {row[1]:>11} {row[2] / base[2]:7.2f} {shown}")


class Features(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.forward_features(x)


def seconds_of(path, model, side):
    """Median of RUNS runs by onnxruntime, after one that warms up."""
    pixels = torch.rand(1, 3, side, side)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Features(model).eval(), (pixels,), path, input_names=["x"], opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(THREADS)
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    path.unlink()
    taken = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        session.run(None, {"x": pixels.numpy()})
        taken.append(time.perf_counter() - started)
    return float(np.median(taken[1:]))


def main():
    bench = Bench(sys.argv[1], Path(sys.argv[2]))
    print(f"{THREADS} threads, median of {RUNS} runs; onnxruntime {onnxruntime.__version__}, timm {timm.__version__}; ms")
    print(f"{'tower':16} {'size':>11} {'tokens':>7} {'tower':>10} {'prefill':>10} {'TTFT':>10}")
    for model in ("f32", "int8"):
        bench.fastvithd(model)
    if VIT:
        vit = timm.create_model("vit_large_patch14_clip_336", pretrained=False, num_classes=0)
        bench.foreign("ViT-L/14", vit, 336, 14, "336")
    if CONVNEXT_SIDES:
        convnext = timm.create_model("convnext_large", pretrained=False, num_classes=0)
    for side in CONVNEXT_SIDES:
        bench.foreign("ConvNeXt-L", convnext, int(side), 32, side)
    print("\nTTFT: for FastViTHD measured from the picture's bytes (a JPEG of 4000 x 3000) to the first token; for the others"
          "\nthe sum of reading the picture, the tower by onnxruntime, and our prefill of as many positions.")
    bench.ratios()


if __name__ == "__main__":
    main()
