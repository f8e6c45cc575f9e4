# SPDX-License-Identifier: Apache-2.0
"""ONNX files of networks that are not FastVLM: timm's, and language models of transformers; and FastVLMs with one thing
changed that no name or shape tells."""

import contextlib
import copy
import io
import json
import warnings

import make_onnx
import timm
import torch
import transformers
from onnx_export import Export
from timm.layers import GELUTanh, LayerNorm2d

TIMM = ("resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto", "efficientnet_lite0", "regnety_002",
        "fastvit_t8", "fastvit_mci0", "mobileone_s0", "edgenext_xx_small", "mobilevit_xxs", "ghostnet_050")  # fmt: skip


def quietly(module, inputs, path, **options):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, str(path), dynamo=False, opset_version=17, **options)
    return path


def timm_network(name, path):
    torch.manual_seed(1)
    module = timm.create_model(name, pretrained=False)
    side = 224 if "224" in name else 256
    return quietly(module, (torch.rand(1, 3, side, side),), path, input_names=["pixel_values"], output_names=["image_features"])


def sizes(config):
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "rms_norm_eps")
    return {n: getattr(config, n) for n in names} | {"vocab_size": config.vocab_size, "pad_token_id": None, "bos_token_id": None,
                                                     "eos_token_id": None, "attn_implementation": "eager"}  # fmt: skip


def language_models(config):
    """(name, make) of small ones as wide and deep as the small FastVLM's."""
    s = sizes(config)
    t = transformers
    return {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**s)),
        "llama-attention-bias": lambda: t.LlamaForCausalLM(t.LlamaConfig(**s, attention_bias=True)),
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**s, head_dim=32)),
        "gemma": lambda: t.GemmaForCausalLM(t.GemmaConfig(**s, head_dim=32)),
        "phi3": lambda: t.Phi3ForCausalLM(t.Phi3Config(**s)),
        "granite": lambda: t.GraniteForCausalLM(t.GraniteConfig(**s, residual_multiplier=0.5, logits_scaling=3.0)),
        "olmo2": lambda: t.Olmo2ForCausalLM(t.Olmo2Config(**s)),
        "starcoder2": lambda: t.Starcoder2ForCausalLM(t.Starcoder2Config(**{k: v for k, v in s.items() if k != "rms_norm_eps"})),
        "stablelm": lambda: t.StableLmForCausalLM(t.StableLmConfig(**{k: v for k, v in s.items() if k != "rms_norm_eps"})),
        "qwen2-relu": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**s, hidden_act="relu")),
        "qwen2-gelu": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**s, hidden_act="gelu")),
        "qwen2-theta-scaled": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(
            **s, rope_parameters={"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0})),
        "qwen2-theta-10000": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(
            **s, rope_parameters={"rope_type": "default", "rope_theta": 1e4})),
        "qwen2-epsilon": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**s | {"rms_norm_eps": 1e-2})),
    }  # fmt: skip


def randomized(llm, rng):
    """Vectors drawn, too: norms of one and biases of zero would hide what is lost."""
    with torch.no_grad():
        for p in llm.parameters():
            if p.ndim == 1:
                p.copy_(torch.randn(p.shape, generator=rng) * 0.3 + 0.5)
    return llm


def language_model(name, folder):
    """The decoder of that kind, beside the small FastVLM's vision encoder and embedding."""
    model = make_onnx.model()
    torch.manual_seed(1)
    make = language_models(model.llm.config)[name]
    model.llm = randomized(make(), torch.Generator().manual_seed(2)).float()
    c, path = model.llm.config, folder / "config.json"
    known = json.loads(path.read_text()) | {"rope_theta": c.rope_parameters["rope_theta"]}
    known["rms_norm_eps"] = getattr(c, "rms_norm_eps", known["rms_norm_eps"])
    path.write_text(json.dumps(known))
    Export(model, opset=17, parts="d").write(folder)


def change(module, kind, make):
    """Puts make(old) in place of every module of that kind."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def scaled(attention):
    attention.scale = attention.scale * 1.25


def without_residual(block):
    block.forward = lambda x: block.layer_scale(block.mlp(block.token_mixer(x)))


def towers():
    """{name: change to the tower}: what a matcher that trusts shapes would take for FastViTHD."""
    from timm.models.fastvit import Attention, RepMixerBlock

    def each(kind, do):
        return lambda m: [do(x) for x in m.tower.modules() if isinstance(x, kind)]

    def epsilon(norm):
        norm.eps = 1e-3

    def dilated(m):
        conv = m.tower.stages[1].blocks[0].mlp.conv.conv
        conv.dilation, conv.padding = (2, 2), (6, 6)

    def unpadded_edges(m):
        conv = m.tower.stages[2].blocks[0].mlp.conv.conv
        conv.padding_mode, conv._reversed_padding_repeated_twice = "reflect", [3, 3, 3, 3]

    return {
        "tanh-gelu": lambda m: change(m.tower, torch.nn.GELU, lambda _: GELUTanh()),
        "tanh-gelu-projector": lambda m: change(m.projector, torch.nn.GELU, lambda _: torch.nn.GELU(approximate="tanh")),
        "relu": lambda m: change(m.tower, torch.nn.GELU, lambda _: torch.nn.ReLU()),
        "silu": lambda m: change(m.tower, torch.nn.GELU, lambda _: torch.nn.SiLU()),
        "hard-sigmoid-gate": lambda m: setattr(m.tower.final_conv.se, "gate", torch.nn.Hardsigmoid()),
        "epsilon": each(LayerNorm2d, epsilon),
        "attention-scale": each(Attention, scaled),
        "no-residual": each(RepMixerBlock, without_residual),
        "dilated": dilated,
        "reflected-edges": unpadded_edges,
        "max-pooled": lambda m: setattr(m.tower.final_conv.se, "add_maxpool", True),
    }


def tower(name, folder):
    model = copy.deepcopy(make_onnx.model())
    towers()[name](model)
    Export(model, opset=17, parts="v", dynamic=False).write(folder)
