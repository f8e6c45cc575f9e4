# SPDX-License-Identifier: Apache-2.0
"""Packed weights are the floats that MLX, GPTQModel and AutoAWQ unpack, bit for bit, in every form: --quantized float
stores exactly those. Kept codes are exact where bf16 holds the scales; elsewhere the error that fvlm reports is the one
measured here. verify finds the weights of the packed checkpoint in the file."""

import json

import numpy as np
import packed_modules as pm
import pytest
import torch
from fvlm.reader import Fvlm
from safetensors.torch import load_file
from under_test import WORK, checkpoint, fvlm

ROOT = WORK / "packed"


@pytest.fixture(scope="module")
def base():
    return checkpoint("packed-base", "small")


@pytest.fixture(scope="module")
def weights(base):
    return load_file(base / "model.safetensors")


def rows_of(x, shape):
    """The embedding has fewer rows in the file than in the checkpoint."""
    return x[: shape[0]]


def convert(folder, *options):
    target = folder.with_suffix(".fvlm")
    report = json.loads(fvlm("convert", folder, "-o", target, "--force", "--json", "-v", *options))
    origins = {k: v["from"] for k, v in report["origins"].items()}
    return Fvlm(target), origins, report


def module_of(origin):
    """The module that "X.qweight (GPTQ, 4 bits, groups of 128)" is about."""
    return origin.split(" (")[0].rsplit(".", 1)[0]


def check_floats(folder, wanted):
    """Every packed module is in the file, with the floats of 'wanted'."""
    model, origins, report = convert(folder, "--quantized", "float")
    seen = set()
    for name, sources in origins.items():
        if not name.endswith(".weight") or len(sources) != 1 or module_of(sources[0]) not in wanted:
            continue
        module = module_of(sources[0])
        got = model.tensor(name)
        want = rows_of(wanted[module], got.shape)
        assert got.dtype == np.float32 and np.array_equal(got.view(np.uint32), want.view(np.uint32)), module
        seen.add(module)
    assert seen == set(wanted)
    assert report["quantized"] == {"codes_kept": 0, "dequantized": len(wanted)}
    return model


def check_codes(folder, wanted, n_kept, exact):
    """Codes are kept where they can be; their error is the reported one."""
    model, origins, report = convert(folder)
    wrong = total = 0.0
    kept = 0
    for name, sources in origins.items():
        if not name.endswith(".weight") or len(sources) != 1 or module_of(sources[0]) not in wanted:
            continue
        got = model.tensor(name)
        want = rows_of(wanted[module_of(sources[0])], got.shape)
        if model.entries[name].kind != 4:
            assert np.array_equal(got.view(np.uint32), want.view(np.uint32)), name
            continue
        kept += 1
        wrong += np.square(got.astype(np.float64) - want).sum()
        total += np.square(want.astype(np.float64)).sum()
        if exact:
            assert np.array_equal(got, want), name  # but for the sign of zero
    q = report["quantized"]
    assert (q["codes_kept"], q["dequantized"]) == (n_kept, len(wanted) - n_kept) and kept == n_kept
    if not n_kept:
        assert set(q) == {"codes_kept", "dequantized"}
    elif exact:
        assert q["exact"] == n_kept and q["rounding"] == 0
    else:
        # measured against values that are rounded to f32, reported to three digits
        assert q["rounding"] == pytest.approx((wrong / total) ** 0.5, rel=0.006, abs=1e-7)
    return model, report


def pack_all(weights, pack, fits=lambda w: True):
    parts, wanted = {}, {}
    for i, module in enumerate(pm.linear_names(weights)):
        w = weights[module + ".weight"]
        if fits(w):
            new, wanted[module] = pack(i, module, w)
            parts.update(new)
    assert len(wanted) > 5
    return parts, wanted


SETTINGS = [(b, g) for b in (2, 3, 4, 5, 6, 8) for g in (32, 64, 128)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_mlx_affine_in_every_form(base, weights, dtype):
    """All bits and groups, each module with its own: the outer setting is the first, and applies where none is given."""
    done = set()
    for turn in range(2):
        own = {}

        def pack(i, module, w):
            fit = [s for s in SETTINGS if w.shape[1] % s[1] == 0]
            bits, group = next((s for s in fit if s not in done), fit[i % len(fit)])
            done.add((bits, group))
            if (bits, group) != SETTINGS[0]:
                own[module] = {"bits": bits, "group_size": group}
            return pm.pack_mlx(module, w, bits, group, dtype=dtype)

        parts, wanted = pack_all(weights, pack)
        folder = ROOT / f"mlx-{str(dtype)[6:]}-{turn}"
        pm.write(base, folder, parts, {"quantization": {"bits": 2, "group_size": 32, **own}})
        check_floats(folder, wanted)
        check_codes(folder, wanted, len(wanted), dtype == torch.bfloat16)
    assert done == set(SETTINGS)


@pytest.mark.parametrize("mode, bits, group", [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)])
def test_mlx_floats_of_4_and_8_bits(base, weights, mode, bits, group):
    parts, wanted = pack_all(weights, lambda i, m, w: pm.pack_mlx(m, w, bits, group, mode))
    folder = ROOT / mode
    pm.write(base, folder, parts, {"quantization": {"bits": bits, "group_size": group, "mode": mode}})
    check_floats(folder, wanted)
    check_codes(folder, wanted, len(wanted) if mode == "mxfp4" else 0, True)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq(base, weights, bits):
    rng = np.random.default_rng(bits)
    for group, sym, desc_act, version, dtype in (
        (128, True, False, 1, torch.float16),
        (64, False, True, 1, torch.bfloat16),
        (32, False, False, 2, torch.float32),
        (-1, True, False, 2, torch.bfloat16),
        (16, True, True, 2, torch.float16),
    ):
        fits = lambda w: group == -1 or w.shape[1] % group == 0
        if bits == 2 and version == 1:  # a zero point of 3 is the largest of version 2 alone
            version = 2
        pack = lambda i, m, w: pm.pack_gptq(m, w, bits, group, sym, desc_act, version, dtype, rng)
        parts, wanted = pack_all(weights, pack, fits)
        folder = ROOT / f"gptq-{bits}-{group}-{version}"
        about = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": desc_act}
        if version == 2:
            about["checkpoint_format"] = "gptq_v2"
        pm.write(base, folder, parts, {"quantization_config": about})
        check_floats(folder, wanted)
        model, _ = check_codes(folder, wanted, 0 if desc_act else len(wanted), group == -1)
        if sym and not desc_act:
            types = {e[4:7] for e in model.entries.values() if e.kind == 4}  # bits, asymmetric, layout
            assert {t[0] for t in types} == {8 if bits == 8 else 4} and {t[1] for t in types} == {0}


@pytest.mark.parametrize("group", [32, 64, 128, -1])
def test_awq(base, weights, group):
    fits = lambda w: group == -1 or w.shape[1] % group == 0
    parts, wanted = pack_all(weights, lambda i, m, w: pm.pack_awq(m, w, group), fits)
    folder = ROOT / f"awq-{group}"
    about = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    pm.write(base, folder, parts, {"quantization_config": about})
    check_floats(folder, wanted)
    check_codes(folder, wanted, len(wanted), False)


def test_verify_compares_with_the_packed_checkpoint(base, weights):
    parts, wanted = pack_all(weights, lambda i, m, w: pm.pack_mlx(m, w, 4, 32, dtype=torch.float16))
    folder = ROOT / "verified"
    pm.write(base, folder, parts, {"quantization": {"bits": 4, "group_size": 32}})
    for options in ([], ["--quantized", "float"]):
        convert(folder, *options)
        text = fvlm("verify", folder.with_suffix(".fvlm"), "--against", folder)
        print(text)
        assert "identical to the source, 0 rounded, 0 quantized" in text
