# SPDX-License-Identifier: Apache-2.0
"""The three graphs of a FastVLM as torch.onnx.export writes them, by either exporter.

    onnx_export.Export(model, dynamo=True, opset=18).write(folder)      vision_encoder, embed_tokens, decoder_model_merged
"""

import contextlib
import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import onnx_modules
import torch

DYNAMIC = torch.export.Dim.DYNAMIC


@dataclass
class Export:
    """One way to export. `parts` are the letters of v(ision), e(mbedding), d(ecoder)."""

    model: torch.nn.Module
    dynamo: bool = False
    opset: int = 17
    dynamic: bool = True  # batch and lengths as symbols; height and width too where `resizable`
    batched: bool = True  # a symbol for the vision encoder's batch, where shapes are dynamic
    resizable: bool = False
    positions: int = 49
    parts: str = "ved"
    projector: bool = True
    half: bool = False
    side: int = 0
    options: dict = field(default_factory=dict)

    def write(self, folder):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        writers = {"v": self.vision, "e": self.embed, "d": self.decoder}
        for part in self.parts:
            writers[part](folder)
        return folder

    def float_type(self):
        return torch.float16 if self.half else torch.float32

    def vision(self, folder):
        dynamic, side = self.dynamic and self.batched, self.side or self.model.image_size
        module = onnx_modules.Vision(self.model, self.projector)
        axes = {0: "batch_size"} | ({2: "height", 3: "width"} if self.resizable else {})
        pixels = torch.rand(2 if dynamic else 1, 3, side, side + 64 if self.resizable else side)
        out = {0: "batch_size"} | ({1: "num_image_tokens"} if self.resizable else {})
        self.export(module, folder / "vision_encoder.onnx", {"pixel_values": (pixels, axes)}, {"image_features": out}, dynamic)

    def embed(self, folder):
        axes = {0: "batch_size", 1: "sequence_length"}
        ids = torch.zeros(2, 5, dtype=torch.int64)
        module = onnx_modules.Embed(self.model)
        self.export(module, folder / "embed_tokens.onnx", {"input_ids": (ids, axes)}, {"inputs_embeds": axes}, True)

    def decoder(self, folder):
        """Static: a prompt of `positions` and no cache, as an accelerator's compiler wants the prompt's graph."""
        config = self.model.llm.config
        heads, dim = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        batch, seen, new = (2, 3, 5) if self.dynamic else (1, 0, self.positions)
        row = {0: "batch_size", 1: "sequence_length"}
        inputs = {
            "inputs_embeds": (torch.randn(batch, new, config.hidden_size), row),
            "attention_mask": (torch.ones(batch, seen + new, dtype=torch.int64), {0: "batch_size", 1: "total_sequence_length"}),
            "position_ids": (torch.arange(seen, seen + new).repeat(batch, 1), row),
        }
        outputs = {"logits": row}
        for n in range(config.num_hidden_layers):
            for what in ("key", "value"):
                if seen:
                    past = torch.randn(batch, heads, seen, dim)
                    inputs[f"past_key_values.{n}.{what}"] = past, {0: "batch_size", 2: "past_sequence_length"}
                outputs[f"present.{n}.{what}"] = {0: "batch_size", 2: "total_sequence_length"}
        self.export(onnx_modules.Decoder(self.model), folder / "decoder_model_merged.onnx", inputs, outputs, self.dynamic)

    def export(self, module, path, inputs, outputs, dynamic):
        """inputs: {name: (example, symbols of its axes)}; outputs: {name: symbols}."""
        module = module.eval()
        if self.half:
            module = module.half()
        examples = [x.to(self.float_type()) if x.is_floating_point() else x for x, _ in inputs.values()]
        keywords = dict(input_names=list(inputs), output_names=list(outputs), opset_version=self.opset, dynamo=self.dynamo)
        if self.dynamo:
            keywords |= dict(external_data=False, verbose=False)
        if dynamic and self.dynamo:
            symbols = [{axis: DYNAMIC for axis in axes} for _, axes in inputs.values()]
            fixed = symbols[:3]
            keywords["dynamic_shapes"] = (*fixed, tuple(symbols[3:])) if len(symbols) > 3 else tuple(fixed)
        elif dynamic:
            keywords["dynamic_axes"] = {name: axes for name, (_, axes) in inputs.items()} | outputs
        keywords |= self.options
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(module, tuple(examples), str(path), **keywords)
