# SPDX-License-Identifier: Apache-2.0
"""Apple's own code, run in f32, behind the part of apple.FastVLM's interface that dump_activations.py uses.

    model = apple_code.load(folder)

There are two forms of it, and either is run as Apple shows. A folder from Hugging Face carries its code, llava_qwen.py:
that is what runs then (trust_remote_code), with prompt and tokenizer as in its model card. Otherwise it is the package
llava of apple/ml-fastvlm, which must be installed, with prompt, tokenizer and pixels as in its predict.py.

Both run with what apple-code-requirements.txt pins, as Apple does. The carried code pools 16 x 16 cells at the end of
the tower, however many there are, and so takes 1024 pixels only; the package takes any multiple of 64.
"""

from pathlib import Path

import torch
from PIL import Image
from preprocess import IMAGE, padded
from transformers import AutoModelForCausalLM, AutoTokenizer


class AppleCode:
    def __init__(self, folder, carried):
        self.llm = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, trust_remote_code=carried).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=carried)
        self.llm.resize_token_embeddings(len(self.tokenizer))  # as Apple's loader does
        self.processor = self.llm.get_vision_tower().image_processor
        self.image_size = self.processor.crop_size["height"]

    def blocks(self):
        """(our name, module) of everything fvlm's observer reports, in the order it runs."""
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
        """At most n new ids, without the one that ends the answer."""
        ids, eos = torch.tensor([ids]), self.llm.config.eos_token_id
        out = self.llm.generate(
            ids, images=pixels, attention_mask=torch.ones_like(ids), do_sample=False, temperature=None, top_p=None,
            max_new_tokens=n, eos_token_id=eos, pad_token_id=self.tokenizer.pad_token_id, use_cache=True,
        )  # fmt: skip
        return [i for i in out[0].tolist() if i != eos]


class Carried(AppleCode):
    """llava_qwen.py in the folder. It has no code that pads a picture: that is ours, and resizing its own."""

    name = "llava_qwen.py of the checkpoint"

    def __init__(self, folder):
        super().__init__(folder, carried=True)

    def pixels(self, path, side):
        if side != self.image_size:
            raise SystemExit(f"the checkpoint's own code takes {self.image_size} pixels only")
        return self.processor(padded(path), return_tensors="pt")["pixel_values"]

    def prompt_ids(self, question):
        chat = [{"role": "user", "content": "<image>\n" + question}]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        before, after = (self.tokenizer(t, add_special_tokens=False).input_ids for t in text.split("<image>", 1))
        return [*before, IMAGE, *after]


class Package(AppleCode):
    """apple/ml-fastvlm, installed."""

    name = "apple/ml-fastvlm"

    def __init__(self, folder):
        import llava.model.language_model.llava_qwen  # noqa: F401  tells transformers of llava_qwen2

        super().__init__(folder, carried=False)

    def pixels(self, path, side):
        from llava.mm_utils import process_images

        self.processor.size, self.processor.crop_size = {"shortest_edge": side}, {"height": side, "width": side}
        return process_images([Image.open(path).convert("RGB")], self.processor, self.llm.config)

    def prompt_ids(self, question):
        from llava.conversation import conv_templates
        from llava.mm_utils import tokenizer_image_token

        conv = conv_templates["qwen_2"].copy()
        conv.append_message(conv.roles[0], "<image>\n" + question)
        conv.append_message(conv.roles[1], None)
        return tokenizer_image_token(conv.get_prompt(), self.tokenizer)


def load(folder):
    return Carried(folder) if (Path(folder) / "llava_qwen.py").exists() else Package(folder)
