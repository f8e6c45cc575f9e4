# SPDX-License-Identifier: Apache-2.0
"""Packs the linear layers of a checkpoint as MLX, GPTQModel and AutoAWQ do, and unpacks them with those packages' own
functions. Of GPTQModel and AutoAWQ only single functions are taken from their files: importing the packages needs much
more than is installed."""

import ast
import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import torch
from safetensors.torch import load_file, save_file


def file_of(package, path):
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / path


def functions_of(path, *names):
    """These functions of a file, methods too, by name."""
    tree = ast.parse(path.read_text())
    found = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in names}
    space = {"t": torch, "torch": torch}
    future = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module(future + [found[n] for n in names], []), str(path), "exec"), space)
    return SimpleNamespace(**{n: space[n] for n in names})


GPTQ = functions_of(file_of("gptqmodel", "nn_modules/qlinear/__init__.py"), "_torch_right_shift", "_torch_left_shift",
                    "dequantize_weight", "_dequantize_from_codes", "_init_wf_unsqueeze_buffers")  # fmt: skip
AWQ = importlib.util.spec_from_file_location("packing", file_of("awq", "utils/packing_utils.py"))
awq = importlib.util.module_from_spec(AWQ)
AWQ.loader.exec_module(awq)


def mlx_array(x):
    return mx.array(x.to(torch.float32).numpy())


def torch_of(x, dtype=None):
    if x.dtype == mx.uint32:
        return torch.from_numpy(np.array(x).view(np.int32)).view(torch.uint32)
    if x.dtype == mx.uint8:
        return torch.from_numpy(np.array(x))
    return torch.from_numpy(np.array(x.astype(mx.float32))).to(dtype)


DTYPES = {torch.float32: mx.float32, torch.float16: mx.float16, torch.bfloat16: mx.bfloat16}


def pack_mlx(name, w, bits=4, group_size=64, mode="affine", dtype=torch.bfloat16):
    """{name: tensor}, and what MLX unpacks from them, in f32."""
    x = mlx_array(w).astype(DTYPES[dtype])
    if mode != "affine":
        q, s = mx.quantize(x, group_size=group_size, bits=bits, mode=mode)
        want = mx.dequantize(q, s, group_size=group_size, bits=bits, mode=mode, dtype=mx.float32)
        return {f"{name}.weight": torch_of(q), f"{name}.scales": torch_of(s)}, np.array(want)
    q, s, b = mx.quantize(x, group_size=group_size, bits=bits)
    want = mx.dequantize(q, s.astype(mx.float32), b.astype(mx.float32), group_size=group_size, bits=bits)
    parts = {"weight": torch_of(q), "scales": torch_of(s, dtype), "biases": torch_of(b, dtype)}
    return {f"{name}.{k}": v for k, v in parts.items()}, np.array(want)


def bit_stream(codes, bits):
    """[n, lines] of integers to [words, lines]: along the first axis, the lowest bit first."""
    planes = ((codes[:, None, :].astype(np.uint32) >> np.arange(bits, dtype=np.uint32)[:, None]) & 1).reshape(-1, codes.shape[1])
    words = planes.reshape(-1, 32, codes.shape[1]).astype(np.uint64) << np.arange(32, dtype=np.uint64)[:, None]
    return words.sum(axis=1).astype(np.uint32).view(np.int32)


def round_columns(w, bits, group, g_idx, sym, dtype):
    """Codes [in, out], scales and zero points [groups, out] of rounding to nearest."""
    x = w.to(torch.float32).numpy().T
    n_groups, most = int(g_idx.max()) + 1, 2**bits - 1
    scales, zeros = np.zeros((n_groups, x.shape[1]), np.float32), np.zeros((n_groups, x.shape[1]), np.int64)
    for g in range(n_groups):
        part = x[g_idx == g]
        low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
        if sym:
            scales[g], zeros[g] = 2 * np.maximum(-low, high) / most, 2 ** (bits - 1)
        else:
            scales[g] = (high - low) / most
            zeros[g] = np.clip(np.rint(-low / scales[g]), 1, most)
    scales = torch.from_numpy(scales).to(dtype)
    codes = np.clip(np.rint(x / scales.to(torch.float32).numpy()[g_idx]) + zeros[g_idx], 0, most).astype(np.int64)
    return codes, scales, zeros


def pack_gptq(name, w, bits=4, group=128, sym=True, desc_act=False, version=1, dtype=torch.float16, rng=None):
    n_in = w.shape[1]
    group = n_in if group == -1 else group
    g_idx = np.arange(n_in) // group
    if desc_act:
        g_idx = rng.permutation(g_idx)
    codes, scales, zeros = round_columns(w, bits, group, g_idx, sym, dtype)
    qweight = torch.from_numpy(bit_stream(codes, bits))
    pack_zeros = lambda z: torch.from_numpy(np.ascontiguousarray(bit_stream(z.T, bits).T))
    layer = SimpleNamespace(planar=False, bits=bits, maxq=2**bits - 1, pack_factor=32 // bits, pack_dtype_bits=32,
                            dequant_dtype=torch.int16 if bits == 8 else torch.int8, qweight=qweight,
                            qzeros=pack_zeros(zeros), scales=scales.to(torch.float32), g_idx=torch.from_numpy(g_idx),
                            in_features=n_in, enable_wf_unsqueeze=True, _wf_device=lambda: "cpu",
                            _buffers=("wf_unsqueeze_zero", "wf_unsqueeze_neg_one"))  # fmt: skip
    layer._init_wf_unsqueeze_buffers = lambda: GPTQ._init_wf_unsqueeze_buffers(layer)
    layer._dequantize_from_codes = lambda *a, **k: GPTQ._dequantize_from_codes(layer, *a, **k)
    want = GPTQ.dequantize_weight(layer).numpy().T  # version 2, as GPTQModel has it in memory
    parts = {"qweight": qweight, "qzeros": pack_zeros(zeros - 1 if version == 1 else zeros), "scales": scales,
             "g_idx": torch.from_numpy(g_idx.astype(np.int32))}  # fmt: skip
    return {f"{name}.{k}": v for k, v in parts.items()}, np.ascontiguousarray(want)


def pack_awq(name, w, group=128, dtype=torch.float16):
    n_in = w.shape[1]
    group = n_in if group == -1 else group
    codes, scales, zeros = round_columns(w, 4, group, np.arange(n_in) // group, False, dtype)
    order = np.array(awq.AWQ_ORDER)

    def words(x):
        y = (x.reshape(len(x), -1, 8)[:, :, order].astype(np.uint64) << (4 * np.arange(8, dtype=np.uint64))).sum(-1)
        return torch.from_numpy(y.astype(np.uint32).view(np.int32))

    parts = {"qweight": words(codes), "qzeros": words(zeros), "scales": scales}
    want = awq.dequantize_gemm(parts["qweight"], parts["qzeros"], scales.to(torch.float32), 4, group).numpy().T
    return {f"{name}.{k}": v for k, v in parts.items()}, np.ascontiguousarray(want)


def linear_names(tensors):
    """Modules that quantizers pack."""
    ends = ("_proj.weight", "embed_tokens.weight", "mm_projector.0.weight", "mm_projector.2.weight")
    return sorted(n[: -len(".weight")] for n in tensors if n.endswith(ends) and "vision_tower" not in n)


def write(base, folder, packed, config):
    """The checkpoint in 'base' with these tensors in place of their modules' weights."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    about = json.loads((base / "config.json").read_text())
    tensors = load_file(base / "model.safetensors")
    modules = {n.rsplit(".", 1)[0] for n in packed}
    kept = {n: t for n, t in tensors.items() if not (n.endswith(".weight") and n[: -len(".weight")] in modules)}
    if "lm_head" not in modules and about["tie_word_embeddings"]:
        del kept["lm_head.weight"]
    save_file({**kept, **packed}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**about, **config}))
