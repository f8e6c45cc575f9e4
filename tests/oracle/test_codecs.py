# SPDX-License-Identifier: Apache-2.0
"""Promises: what quant encodes, the reader written from format/SPEC.md alone decodes to the same f32 bits as the executor,
for every type; those values are as near to the weights as the file says; and no 4- or 8-bit code is nearer to any weight
than the one chosen."""

import json

import numpy as np
import pytest
from fvlm import reader as spec_reader
from under_test import WORK, checkpoint, fvlm

TYPES = [f"int{b}-{s}-{g}" for b in (8, 4) for s in ("sym", "asym") for g in ("g32", "g64", "g128", "row")]
FLOATS = ["f32", "bf16", "f16"]


@pytest.fixture(scope="module")
def source():
    """A random model in the shapes of the grammar: rows of 16 to 1024 inputs, panels that end short."""
    fvlm("convert", checkpoint("small", "small"), "-o", WORK / "codecs.fvlm", "--force", "-q")
    return WORK / "codecs.fvlm"


def executor(path, name):
    fvlm("info", path, "--dump", name, "-o", WORK / "codecs.npy", "--force")
    return np.load(WORK / "codecs.npy")


def same_bits(a, b):
    return a.shape == b.shape and bool((a.view(np.uint32) == b.view(np.uint32)).all())


def relative(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.sqrt(((x - y) ** 2).sum() / (x**2).sum())


def nearest_codes(f, name, x):
    """Whether moving any code by one, under the stored scales, brings no value nearer (ties and rounding of 1e-6 aside)."""
    e, w = f.entries[name], f.tensor(name).reshape(x.shape[0], -1).astype(np.float64)
    if len(x.shape) == 4:  # groups run over inputs, channel fastest
        x, w = (np.moveaxis(v.reshape(x.shape), 1, -1) for v in (x, w))
    x, w = x.reshape(x.shape[0], -1).astype(np.float64), w.reshape(x.shape[0], -1)
    m, b = f.matrix(e), np.asarray(f.b[e.offset : e.offset + e.size])
    scales = (b[m.scales :][: m.panels * m.groups * 32].view("<u2").astype("<u4") << 16).view("<f4")
    step = np.abs(scales.reshape(m.panels, m.groups, 16).transpose(0, 2, 1).reshape(-1, m.groups)[: m.n])
    step = step.repeat(m.group, 1)[:, : m.k].astype(np.float64)
    group = np.arange(m.k) // m.group
    ends = [np.zeros_like(w), np.zeros_like(w)]  # the least and the largest value a group's codes can reach, as far as used
    for g in range(m.groups):
        part = w[:, group == g]
        ends[0][:, group == g], ends[1][:, group == g] = part.min(1)[:, None], part.max(1)[:, None]
    inside = (x > ends[0]) & (x < ends[1])
    return bool((np.abs(x - w)[inside] <= (step * 0.5 * (1 + 1e-5) + 1e-6 * np.abs(x))[inside]).all())


@pytest.mark.parametrize("type_name", TYPES)
def test_integer_type(source, type_name):
    path = WORK / f"codecs-{type_name}.fvlm"
    report = json.loads(fvlm("quant", source, "--type", type_name, "-o", path, "--force", "--json"))
    error = {t["name"]: t["error"] for t in report["tensors"]}
    f, floats, n, worst = spec_reader.Fvlm(path), spec_reader.Fvlm(source), 0, 0.0
    for name in f.names:
        ours, x = f.tensor(name), floats.tensor(name)
        assert abs(relative(x, ours) - error[name]) <= 1e-8 + 1e-6 * error[name], name
        if f.entries[name].kind == 4:
            assert same_bits(ours, executor(path, name)), name
            assert nearest_codes(f, name, x), name
            worst, n = max(worst, error[name]), n + 1
    path.unlink()
    assert n > 20 and worst < (0.01 if type_name.startswith("int8") else 0.13)
    print(f"\n{type_name}: {n} integer tensors, same bits; largest relative error {worst:.4f}")


@pytest.mark.parametrize("kind", FLOATS)
def test_float_type(source, kind):
    """Taps, vectors and matrices in a float type, beside NumPy's rounding."""
    path = WORK / f"codecs-{kind}.fvlm"
    rules = [f"--set=vision\\..*={kind}", f"--set=llm\\..*norm.*={kind}"]
    fvlm("quant", source, "--type", "int8", *rules, "-o", path, "--force", "-q")
    f, floats, n = spec_reader.Fvlm(path), spec_reader.Fvlm(source), 0
    for name in f.names:
        if name.startswith("vision.") or "norm" in name:
            x = floats.tensor(name)
            if kind == "f16":
                want = x.astype(np.float16).astype(np.float32)
            elif kind == "bf16":
                u = x.view(np.uint32)
                want = ((u + 0x7FFF + (u >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
            else:
                want = x
            assert same_bits(np.ascontiguousarray(want), executor(path, name)), name
            assert same_bits(np.ascontiguousarray(want), np.ascontiguousarray(f.tensor(name))), name
            n += 1
    path.unlink()
    print(f"\n{kind}: {n} tensors as NumPy rounds them")
