# SPDX-License-Identifier: Apache-2.0
"""Promises: format/SPEC.md suffices to read a file (format/python was written from it), the executor decodes every
type to the same f32 bits as the spec says, and both readers refuse the same damage."""

import json
import os
import struct
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from fvlm import reader as spec_reader

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
FVLM = os.environ.get("FVLM", str(BUILD / "fvlm"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Every type in every layout, random bits."""
    writer = BUILD / "tests/format/container"
    subprocess.run(["make", "-s", f"BUILD={BUILD.relative_to(ROOT)}", str(writer.relative_to(ROOT))], cwd=ROOT, check=True)
    path = tmp_path_factory.mktemp("format") / "sample.fvlm"
    subprocess.run([writer, path], check=True)
    return path


def same_bits(a, b):
    """Equal, the signs of zeros included; a NaN's payload is not promised."""
    bits = lambda x: x.view(np.uint32)
    return a.shape == b.shape and bool(((bits(a) == bits(b)) | (np.isnan(a) & np.isnan(b))).all())


def dump(path, name, to):
    subprocess.run([FVLM, "info", path, "--dump", name, "-o", to, "--force"], check=True)
    return np.load(to)


def test_every_type_decodes_to_the_same_bits(sample, tmp_path):
    f = spec_reader.Fvlm(sample)
    assert len(f.names) == 25 and len({(e.kind, e.bits, e.asym, e.group) for e in f.entries.values()}) == 19
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random scales overflow
        for name in f.names:
            assert same_bits(dump(sample, name, tmp_path / "t.npy"), f.tensor(name)), name
    print(f"\n{len(f.names)} tensors of 19 types: same bits")


@pytest.mark.parametrize("kind", ["fused", "unfused"])
def test_a_model_has_the_tensors_of_section_6(kind, tmp_path):
    path = tmp_path / "model.fvlm"
    subprocess.run([FVLM, "convert", ROOT / "tests/fixtures/tiny" / kind, "-o", path, "-q"], check=True)
    f = spec_reader.Fvlm(path)
    f.check_model()
    order = sorted(f.names, key=lambda name: f.entries[name].offset)
    assert order == [name for name, *_ in spec_reader.demanded(f.config)]
    name = next(iter(f.entries))
    e = f.entries.pop(name)
    f.names = list(f.entries)
    with pytest.raises(ValueError):
        f.check_model()
    f.entries["llm.extra"] = e
    f.names = list(f.entries)
    with pytest.raises(ValueError):
        f.check_model()


@pytest.mark.parametrize("projector", [[], ["projector"]])
def test_a_model_without_a_language_model(projector, tmp_path):
    """Its tensors, its feature bit, and what run puts out as NumPy reads it."""
    whole, path = tmp_path / "whole.fvlm", tmp_path / "tower.fvlm"
    picture = ROOT / "tests/fixtures/tiny/heldout/000.png"
    subprocess.run([FVLM, "convert", ROOT / "tests/fixtures/tiny/fused", "-o", whole, "-q"], check=True)
    subprocess.run([BUILD / "tests/tools/tower", whole, path, *projector], check=True)
    f = spec_reader.Fvlm(path)
    f.check_model()
    assert f.b[16] == 1 and spec_reader.Fvlm(whole).b[16] == 0 and f.tokenizer is None
    assert set(f.config) == {"vision", *projector}
    subprocess.run([FVLM, "run", path, picture, "-q", "-o", tmp_path / "rows.npy"], check=True)
    rows = np.load(tmp_path / "rows.npy")
    assert rows.shape == (16, 128 if projector else 512) and rows.dtype == np.float32
    out = json.loads(subprocess.run([FVLM, "run", path, picture, "--json"], check=True, capture_output=True).stdout)
    assert np.array_equal(np.array(out["embedding"], np.float32), rows)
    assert np.isclose(out["norm"]["all"], np.linalg.norm(rows.astype(np.float64)))
    b = bytearray(path.read_bytes())
    b[16] = 0  # a header that promises a language model
    b[4080:4096] = spec_reader.digest(bytes(b[:4080]))
    path.write_bytes(b)
    with pytest.raises(ValueError, match="config and features"):
        spec_reader.Fvlm(path)


def element(f, name, index):
    """SPEC.md section 4 for one weight, in plain Python numbers: a third opinion."""
    e = f.entries[name]
    raw = bytes(f.b[e.offset:e.offset + e.size])
    shape = list(e[9:9 + e.rank]) + [1, 1, 1]
    n, i, y, x = (list(index) + [0, 0, 0])[:4]
    inputs = shape[1] * shape[2] * shape[3]
    k = (y * shape[3] + x) * shape[1] + i

    def value(code, at):
        return float(struct.unpack_from("<" + code, raw, struct.calcsize(code) * at)[0])

    def bf16(at):
        return struct.unpack("<f", b"\0\0" + raw[2 * at:2 * at + 2])[0]

    if e.kind != 4:
        rows = n * inputs + (i * shape[2] + y) * shape[3] + x
        at = {1: rows, 2: (n // 16 * inputs + k) * 16 + n % 16, 3: (y * shape[3] + x) * shape[0] + n}[e.layout]
        return bf16(at) if e.kind == 3 else value("f" if e.kind == 1 else "e", at)
    group, panels, tile = e.group or inputs, -(-shape[0] // 16), k // 4
    groups = -(-inputs // group)
    if e.bits == 8:
        padded, zero = (inputs + 3) // 4 * 4, 128
        q = raw[n // 16 * 16 * padded + tile * 64 + n % 16 * 4 + k % 4]
    else:
        padded, zero = (inputs + 7) // 8 * 8, 8
        q = raw[n // 16 * 8 * padded + tile // 2 * 64 + n % 16 * 4 + k % 4] >> (4 if tile % 2 else 0) & 15
    scales = (panels * 2 * e.bits * padded + 63) // 64 * 64
    place = (n // 16 * groups + k // group) * 16 + n % 16
    if not e.asym:
        return bf16(scales // 2 + place) * (q - zero)
    offsets = (scales + panels * 16 * groups * 2 + 63) // 64 * 64
    return bf16(scales // 2 + place) * q + bf16(offsets // 2 + place)


def test_single_elements(sample):
    f, rng, n = spec_reader.Fvlm(sample), np.random.default_rng(1), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in f.names:
            t = f.tensor(name)
            for _ in range(200):
                index = tuple(int(rng.integers(d)) for d in t.shape)
                want = np.float32(element(f, name, index))
                assert t[index] == want or (np.isnan(want) and np.isnan(t[index])), (name, index)
                n += 1
    print(f"\n{n} single weights")


def test_damage_is_refused_by_both(sample, tmp_path):
    good, rng, path = sample.read_bytes(), np.random.default_rng(2), tmp_path / "damaged.fvlm"
    places = [*range(0, 48), *range(4080, 4100), 16384, 16384 + 8, len(good) - 1, *rng.integers(0, len(good), 120).tolist()]
    for at in places:
        bad = bytearray(good)
        bad[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        with pytest.raises((ValueError, KeyError)):
            spec_reader.Fvlm(path)
    for size in [0, 1, 4095, 4096, 16384, len(good) - 1, *rng.integers(0, len(good), 20).tolist()]:
        path.write_bytes(good[:size])
        with pytest.raises((ValueError, KeyError)):
            spec_reader.Fvlm(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError):
        spec_reader.Fvlm(path)
    print(f"\n{len(places)} flips, 26 truncations")
