# SPDX-License-Identifier: Apache-2.0
"""Guards: no silent wrong answer. Vision encoders are changed at random in one place: convert refuses the file, or what
it writes computes what onnxruntime computes from the changed file, to 2e-5; in half precision, which onnxruntime
computes in, to 2e-3."""

import json
import os
import subprocess

import make_onnx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx_session import relative_l2, run
from onnx_vision_mutations import mutate
from preprocess import read_pixels
from under_test import FVLM, TINY, WORK

COUNT = int(os.environ.get("MUTATIONS", 100))  # of each base
BASES = ("ts17", "dynamo18-static", "ts17-train-time", "ts17-unfused", "ts14-slices", "ts17-ort-extended", "ts20", "ts17-half")


def by_onnxruntime(path, pixels):
    """None if the change made no valid graph."""
    try:
        feeds = {"pixel_values": pixels}
        return next(iter(run(path, feeds, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL).values()))
    except Exception as e:  # onnxruntime has no common class of errors
        assert type(e).__module__.startswith(("onnxruntime", "numpy")) or isinstance(e, RuntimeError), e
        return None


def by_fvlm(path, picture):
    """The tokens' features, or the refusal."""
    model = path.with_suffix(".fvlm")
    done = subprocess.run([FVLM, "convert", path, "-o", model, "-f", "-q"], capture_output=True, text=True)
    if done.returncode:
        assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, (done.returncode, done.stderr)
        return done.stderr.strip()
    done = subprocess.run([FVLM, "run", model, picture, "--picture", "apple", "--json"], capture_output=True, text=True)
    if done.returncode:
        assert "finite" in done.stderr, done.stderr
        return done.stderr.strip()
    return np.array(json.loads(done.stdout)["embedding"], np.float32)


@pytest.mark.parametrize("base", BASES)
def test_mutations(base, tmp_path):
    bound = 2e-3 if base.endswith("half") else 2e-5
    model = onnx.load(make_onnx.make(base, WORK / "onnx") / "vision_encoder.onnx")
    picture = TINY / "demo.png"
    pixels = read_pixels(picture, 256).numpy()
    rng = np.random.default_rng(BASES.index(base) + 1000 * int(os.environ.get("MUTATIONS_SEED", 0)))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    original = by_onnxruntime(path, pixels)
    assert relative_l2(by_fvlm(path, picture)[None], original) < bound
    refused = invalid = equal = changed = 0
    wrong = []
    while refused + invalid + equal + changed < COUNT:
        mutant = mutate(model, rng)
        if mutant is None:
            continue
        onnx.save(mutant[0], path)
        got = by_fvlm(path, picture)
        if isinstance(got, str):
            refused += 1
            continue
        want = by_onnxruntime(path, pixels)
        if want is None:
            invalid += 1
            print("accepted, although onnxruntime refuses it:", mutant[1])
        elif got.shape != want.shape[1:] or not relative_l2(got[None], want) < bound:
            wrong.append(f"{mutant[1]}: {relative_l2(got[None], want) if got.shape == want.shape[1:] else want.shape}")
            changed += 1
        else:
            equal += 1
    print(f"\n{base}: {refused} refused, {equal} equal, {invalid} that onnxruntime does not run")
    assert not wrong, "\n".join(wrong)
    assert equal > 0 and refused > COUNT // 3
