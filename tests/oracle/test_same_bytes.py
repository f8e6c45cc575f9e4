# SPDX-License-Identifier: Apache-2.0
"""One answer on every machine: convert and quant write identical files at any number of threads, quant and every block
of the forward pass give identical bits on every instruction set. NEON runs under qemu."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dump_activations import rows_of
from preprocess import IMAGE, read_pixels
from under_test import ROOT, TINY, WORK, activations, checkpoint, fvlm, picture

IDS = [300, 17, IMAGE, 5, 99, 203, 41]
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
ARM64 = ROOT / "build/arm64"
TYPES = {"f32": "f32", "int8": "int8", "int4": "int4", "int4-sym": "int4-sym-g32", "int8-asym": "int8-asym-row"}


@pytest.fixture(scope="module", params=["random", "trained"])
def source(request):
    if request.param == "random":
        return checkpoint("small", "small")
    if not (TINY / "fused/config.json").exists():
        pytest.skip("tests/fixtures/tiny is not there")
    return TINY / "fused"


@pytest.fixture(scope="module")
def pixels():
    return rows_of(read_pixels(picture(WORK / "picture.png"), 256)).numpy()


def made(command, source, name, *options):
    """The bytes of the file that a command writes."""
    out = WORK / name
    fvlm(command, source, "-o", out, "--force", "-q", *options)
    return out.read_bytes()


@pytest.mark.parametrize("options", [("--type", "f32"), ("--type", "bf16"), ()])
def test_convert(source, options):
    one = made("convert", source, "one.fvlm", "--threads", 1, *options)
    assert one == made("convert", source, "two.fvlm", "--threads", 2, *options)


@pytest.mark.parametrize("type_name", ["int8", "int4", "int4-sym-g32", "int8-asym-row"])
def test_quant(source, type_name):
    made("convert", source, "float.fvlm")
    one = made("quant", WORK / "float.fvlm", "one.fvlm", "--type", type_name, "--threads", 1)
    assert one == made("quant", WORK / "float.fvlm", "two.fvlm", "--type", type_name, "--threads", 2)
    assert one == made("quant", WORK / "float.fvlm", "scalar.fvlm", "--type", type_name, "--cpu", "scalar")


@pytest.fixture(scope="module")
def file_of(source):
    """A model file of a type, made once."""
    made("convert", source, "same-f32.fvlm", "--type", "f32")

    def get(type_name):
        path = WORK / f"same-{type_name}.fvlm"
        if type_name != "f32":
            made("quant", WORK / "same-f32.fvlm", path.name, "--type", TYPES[type_name])
        return path

    return get


def can_run(level):
    flags = Path("/proc/cpuinfo").read_text().split()
    return {"scalar": True, "avx2": "avx2" in flags and "fma" in flags, "avx512": "avx512_vnni" in flags}[level]


def differing(a, b):
    return [name for name in a if a[name].tobytes() != b[name].tobytes()]


@pytest.mark.parametrize("act", ["f32", "int8"])
@pytest.mark.parametrize("type_name", TYPES)
def test_instruction_sets(file_of, pixels, type_name, act):
    path = file_of(type_name)
    want, answer = activations(path, pixels, IDS, 8, "scalar", 1, act)
    assert len(want) >= 20
    for level in ("scalar", "avx2", "avx512"):
        if not can_run(level):
            print(f"\nNOT RUN: this machine has no {level}")
            continue
        for threads in (1, 2):
            got, ids = activations(path, pixels, IDS, 8, level, threads, act)
            assert not differing(want, got), f"{level}, {threads} threads"
            assert ids == answer


@pytest.fixture(scope="module")
def arm64_tool():
    """The same tool built for arm64, started through qemu."""
    if not QEMU or not shutil.which("aarch64-linux-gnu-gcc"):
        pytest.skip("no qemu-aarch64 or no aarch64-linux-gnu-gcc: NEON NOT TESTED")
    done = subprocess.run(["make", "arm64"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [QEMU, ARM64 / "tests/tools/activations"]


@pytest.mark.parametrize("act", ["f32", "int8"])
@pytest.mark.parametrize("type_name", ["f32", "int8", "int4"])
def test_neon(file_of, pixels, arm64_tool, type_name, act):
    path = file_of(type_name)
    want, answer = activations(path, pixels, IDS, 2, "", 0, act)
    for level in ("neon", "dotprod"):
        got, ids = activations(path, pixels, IDS, 2, level, 2, act, arm64_tool)
        assert not differing(want, got), level
        assert ids == answer
