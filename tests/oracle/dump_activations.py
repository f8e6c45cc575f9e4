# SPDX-License-Identifier: Apache-2.0
"""Writes what every block of FastVLM puts out in PyTorch, for `fvlm verify MODEL --against-activations FILE`.

    python dump_activations.py FOLDER photo.jpg "What is this?" activations.safetensors
    python dump_activations.py --apple-code FOLDER photo.jpg "What is this?" activations.safetensors

FOLDER is a checkpoint in Apple's layout, such as the released FastVLM-0.5B. The first form runs it with timm and
transformers (setup.sh installs them). The second runs Apple's own code, in f32, and executes the Python in FOLDER where
there is some; it wants older versions (apple-code-requirements.txt), so an environment of its own.

The file: every block under fvlm's observer name, f32 [rows, cols], channels last; "pixels" [side * side, 3];
"input_ids" i64, -200 where the picture goes; "greedy" i64, the answer's ids without the one that ends it;
"llm.norm" and "logits" for the last position of the prompt. Its metadata names picture, prompt, the versions of what
computed it, and the SHA-256 of the checkpoint's weights.
"""

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file


def rows_of(x):
    """[1, C, H, W] or [1, T, C] -> [rows, C]."""
    if x.dim() == 4:
        x = x.permute(0, 2, 3, 1)
    return x.reshape(-1, x.shape[-1]).float().contiguous()


class Recorder:
    """Keeps the output of each (name, module) when it runs for the first time."""

    def __init__(self, blocks):
        self.seen = {}
        self.hooks = [module.register_forward_hook(self.hook(name)) for name, module in blocks]

    def hook(self, name):
        def see(_module, inputs, out):
            if name == "llm.layer0":
                self.seen.setdefault("llm.embed", rows_of(inputs[0]))
            x = rows_of(out[0] if isinstance(out, tuple) else out)
            self.seen.setdefault(name, x[-1:].contiguous() if name in ("llm.norm", "logits") else x)

        return see

    def stop(self):
        for hook in self.hooks:
            hook.remove()
        return self.seen


def dump(model, picture, question, side=None, n_new=64):
    """Every tensor of the file."""
    pixels = model.pixels(picture, side or model.image_size)
    ids = model.prompt_ids(question)
    recorder = Recorder(model.blocks())
    greedy = model.greedy(ids, pixels, n_new)
    tensors = recorder.stop()
    tensors["greedy"] = torch.tensor(greedy, dtype=torch.int64)
    tensors["pixels"] = rows_of(pixels)
    tensors["input_ids"] = torch.tensor(ids, dtype=torch.int64)
    return tensors


def provenance(folder, model, picture, question):
    """Where the numbers come from, for the file's metadata."""
    weights = sorted(Path(folder).glob("*.safetensors"))
    return {
        "by": model.name,
        "versions": ", ".join(f"{p} {version(p)}" for p in ("torch", "timm", "transformers", "tokenizers", "pillow")),
        "sha256": ", ".join(f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in weights),
        "image": Path(picture).name,
        "prompt": question,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("question")
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, help="of the square, a multiple of 64; else the checkpoint's own")
    parser.add_argument("--new", type=int, default=64, help="ids of the greedy answer, at most")
    parser.add_argument("--apple-code", action="store_true", help="run Apple's own code, not timm + transformers")
    a = parser.parse_args()
    if a.apple_code:
        import apple_code as code
    else:
        import apple as code
    model = code.load(a.folder)
    tensors = dump(model, a.image, a.question, a.side, a.new)
    about = provenance(a.folder, model, a.image, a.question)
    save_file(tensors, a.output, metadata=about)
    print(json.dumps({**about, "tensors": len(tensors), "greedy": tensors["greedy"].tolist()}))


if __name__ == "__main__":
    main()
