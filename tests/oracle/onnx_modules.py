# SPDX-License-Identifier: Apache-2.0
"""The three modules that people export to ONNX, cut out of an apple.FastVLM, and Apple's spelling of timm's tower."""

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d, SEModule
from timm.models.fastvit import Attention
from transformers.cache_utils import DynamicCache


class Vision(torch.nn.Module):
    """pixel_values [B, 3, H, W] -> image_features [B, H/64 * W/64, hidden], or the tower's features before it."""

    def __init__(self, model, with_projector=True):
        super().__init__()
        self.tower = model.tower
        self.projector = model.projector if with_projector else torch.nn.Identity()

    def forward(self, pixel_values):
        return self.projector(self.tower.forward_features(pixel_values).flatten(2).transpose(1, 2))


class Embed(torch.nn.Module):
    """input_ids [B, S] -> inputs_embeds [B, S, hidden]."""

    def __init__(self, model):
        super().__init__()
        self.embed_tokens = model.llm.model.embed_tokens

    def forward(self, input_ids):
        return self.embed_tokens(input_ids)


class Decoder(torch.nn.Module):
    """One graph for prompt and continuation: inputs_embeds [B, S, hidden], attention_mask [B, P + S], position_ids [B, S]
    and the caches of P positions -> logits [B, S, rows] and the caches of P + S."""

    def __init__(self, model):
        super().__init__()
        self.llm = model.llm

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        keys_of = torch.arange(attention_mask.shape[1])
        seen = keys_of[None, None, :] <= position_ids[:, :, None]  # [B, S, P + S]
        seen = seen & attention_mask[:, None, :].bool()
        lowest = torch.finfo(inputs_embeds.dtype).min
        mask = torch.where(seen, 0.0, lowest).to(inputs_embeds.dtype)[:, None]
        cache = DynamicCache()
        for n in range(len(past) // 2):
            cache.update(past[2 * n], past[2 * n + 1], n)
        out = self.llm(inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids,
                       past_key_values=cache, use_cache=True)  # fmt: skip
        present = [t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)]
        return (out.logits, *present)


def norm_as_apple(self, x):
    """LayerNormChannel of mci.py."""
    u = x.mean(1, keepdim=True)
    s = (x - u).pow(2).mean(1, keepdim=True)
    x = (x - u) / torch.sqrt(s + self.eps)
    return self.weight.unsqueeze(-1).unsqueeze(-1) * x + self.bias.unsqueeze(-1).unsqueeze(-1)


def squeeze_as_apple(self, x):
    """SEBlock of mobileone.py: one pooling window as large as the picture."""
    _, c, h, w = x.size()
    y = F.avg_pool2d(x, kernel_size=[h, w])
    y = torch.sigmoid(self.fc2(F.relu(self.fc1(y))))
    return x * y.view(-1, c, 1, 1)


def spell_as_apple(tower):
    """The same tower with Apple's order of operations where timm's differs."""
    for module in tower.modules():
        if isinstance(module, LayerNorm2d):
            module.forward = norm_as_apple.__get__(module)
        if isinstance(module, SEModule):
            module.forward = squeeze_as_apple.__get__(module)
    return tower


def split_by_slices(tower):
    """Attention that cuts q, k and v out by slices instead of unbinding."""

    def forward(self, x):
        b, c, h, w = x.shape
        rows = self.qkv(x.flatten(2).transpose(-2, -1))
        q, k, v = (rows[..., i * c : (i + 1) * c].reshape(b, h * w, self.num_heads, self.head_dim).transpose(1, 2) for i in range(3))
        x = ((q @ k.transpose(-2, -1)) * self.scale).softmax(-1) @ v
        x = self.proj(x.transpose(1, 2).reshape(b, h * w, c))
        return x.transpose(-2, -1).reshape(b, c, h, w)

    for module in tower.modules():
        if isinstance(module, Attention):
            module.forward = forward.__get__(module)
    return tower
