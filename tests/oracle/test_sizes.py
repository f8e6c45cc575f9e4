# SPDX-License-Identifier: Apache-2.0
"""The full-size 0.5B fits the sizes promised: int8 680 MB, int4 425 MB, int4 with an int4 embedding 356 MB."""

import pytest
from under_test import WORK, checkpoint, fvlm

CASES = {
    "int8": (680e6, ("--type", "int8")),
    "int4": (425e6, ("--type", "int4")),
    "int4 with int4 embedding": (356e6, ("--type", "int4", "--set", "llm.embed.weight=int4")),
}


@pytest.fixture(scope="module")
def model():
    path = WORK / "0.5b-bf16.fvlm"
    fvlm("convert", checkpoint("0.5b", "0.5b"), "-o", path, "--force", "-q", "--type", "bf16")
    yield path
    path.unlink()


@pytest.mark.parametrize("what", CASES)
def test_size(model, what):
    most, options = CASES[what]
    out = WORK / "0.5b-quantized.fvlm"
    fvlm("quant", model, "-o", out, "--force", "-q", *options)
    size = out.stat().st_size
    out.unlink()
    print(f"\n0.5b {what}: {size / 1e6:.1f} MB (at most {most / 1e6:.0f})")
    assert size <= most
