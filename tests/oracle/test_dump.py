# SPDX-License-Identifier: Apache-2.0
"""The recording that ships, tests/fixtures/tiny/pytorch.safetensors, is what PyTorch puts out today: the same picture, ids
and answer, every block within what one CPU's sums differ from another's. `make demo` and tests/cli/pytorch.sh compare
fvlm with it."""

import apple
import numpy as np
from dump_activations import dump, provenance
from safetensors import safe_open
from under_test import TINY

BOUND = 5e-6  # a quarter of what fvlm is allowed


def test_recording_is_todays():
    with safe_open(TINY / "pytorch.safetensors", "np") as f:
        about, kept = f.metadata(), {name: f.get_tensor(name) for name in f.keys()}
    side = int(len(kept["pixels"]) ** 0.5)
    model = apple.load(TINY / "unfused")
    now = {name: t.numpy() for name, t in dump(model, TINY / about["image"], about["prompt"], side).items()}
    assert about["sha256"] == provenance(TINY / "unfused", model, about["image"], about["prompt"])["sha256"]
    assert now.keys() == kept.keys()
    for name, x in now.items():
        assert x.shape == kept[name].shape and x.dtype == kept[name].dtype, name
        if name in ("pixels", "input_ids", "greedy"):
            assert (x == kept[name]).all(), name
        else:
            error = np.linalg.norm(x.astype(np.float64) - kept[name]) / np.linalg.norm(x.astype(np.float64))
            assert error <= BOUND, f"{name}: {error}"
