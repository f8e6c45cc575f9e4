"""Writes what every block of FastVLM puts out in PyTorch, for `fvlm verify MODEL --against-activations FILE`.

    python dump_activations.py FOLDER photo.jpg "What is this?" activations.safetensors
    python dump_activations.py --apple-code FOLDER photo.jpg "What is this?" activations.safetensors

FOLDER is a checkpoint in Apple's layout, such as the released FastVLM-0.5B. The first form runs it with timm and
transformers (setup.sh installs them). The second runs Apple's own code, in f32: install apple/ml-fastvlm in an
environment of its own and run this script there; beside that package it needs torch, Pillow and safetensors only.

The file: every block under fvlm's observer name, f32 [rows, cols], channels last; "pixels" [side * side, 3];
"input_ids" i64, -200 where the picture goes; "greedy" i64, the answer's ids without the one that ends it;
"llm.norm" and "logits" for the last position of the prompt.
"""

import argparse
import json
from pathlib import Path

import torch
from preprocess import read_pixels
from safetensors.torch import save_file

IMAGE = -200  # what Apple's code writes where the picture goes


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


class AppleCode:
    """Apple's classes behind the part of apple.FastVLM's interface that dump() uses."""

    def __init__(self, folder):
        from llava.model.language_model.llava_qwen import LlavaQwen2ForCausalLM
        from transformers import AutoTokenizer

        self.llm = LlavaQwen2ForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=False)
        self.llm.resize_token_embeddings(len(self.tokenizer))  # as Apple's loader does
        self.image_size = int(self.llm.config.mm_vision_tower.split("_")[-1])

    def prompt_ids(self, question):
        from llava.conversation import conv_templates
        from llava.mm_utils import tokenizer_image_token

        conv = conv_templates["qwen_2"].copy()
        conv.append_message(conv.roles[0], "<image>\n" + question)
        conv.append_message(conv.roles[1], None)
        return tokenizer_image_token(conv.get_prompt(), self.tokenizer, IMAGE)

    def blocks(self):
        model, stage = self.llm.get_model(), 0
        tower = self.llm.get_vision_tower().vision_tower.model
        yield "vision.stem", tower.patch_embed
        for part in tower.network:
            if isinstance(part, torch.nn.Sequential):
                for b, block in enumerate(part):
                    yield f"vision.stage{stage}.block{b}", block
            elif hasattr(part, "proj"):  # a patch embedding opens a stage
                stage += 1
                yield f"vision.stage{stage}.downsample", part
            else:
                yield f"vision.stage{stage}.pos", part
        yield "vision.final", tower.conv_exp
        yield "projector", model.mm_projector
        for n, layer in enumerate(model.layers):
            yield f"llm.layer{n}", layer
        yield "llm.norm", model.norm
        yield "logits", self.llm.lm_head

    @torch.no_grad()
    def greedy(self, ids, pixels, n):
        eos = self.llm.config.eos_token_id
        out = self.llm.generate(
            torch.tensor([ids]), images=pixels, do_sample=False, temperature=None, top_p=None, max_new_tokens=n,
            eos_token_id=eos, pad_token_id=eos, use_cache=True,
        )  # fmt: skip
        return [i for i in out[0].tolist() if i != eos]


def dump(model, picture, question, side=None, n_new=64):
    """Every tensor of the file."""
    pixels = read_pixels(picture, side or model.image_size)
    ids = model.prompt_ids(question)
    recorder = Recorder(model.blocks())
    greedy = model.greedy(ids, pixels, n_new)
    tensors = recorder.stop()
    tensors["greedy"] = torch.tensor(greedy, dtype=torch.int64)
    tensors["pixels"] = rows_of(pixels)
    tensors["input_ids"] = torch.tensor(ids, dtype=torch.int64)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("question")
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, help="of the square, a multiple of 64; else the checkpoint's own")
    parser.add_argument("--new", type=int, default=64, help="ids of the greedy answer, at most")
    parser.add_argument("--apple-code", action="store_true", help="run apple/ml-fastvlm, not timm + transformers")
    a = parser.parse_args()
    if a.apple_code:
        model = AppleCode(a.folder)
    else:
        import apple

        model = apple.load(a.folder)
    tensors = dump(model, a.image, a.question, a.side, a.new)
    about = {"image": a.image.name, "prompt": a.question, "by": "apple/ml-fastvlm" if a.apple_code else "timm"}
    save_file(tensors, a.output, metadata=about)
    print(json.dumps({**about, "tensors": len(tensors), "greedy": tensors["greedy"].tolist()}))


if __name__ == "__main__":
    main()
