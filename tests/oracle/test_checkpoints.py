# SPDX-License-Identifier: Apache-2.0
"""The random checkpoints have the released ones' inventory: tensors and bytes of FastVLM-0.5B, 1.5B and 7B."""

import make_checkpoint
import pytest
from safetensors import safe_open


@pytest.mark.parametrize(
    "size, count, n_bytes",
    [("0.5b", 924, 1_517_667_520), ("1.5b", 972, 3_818_556_352), ("7b", 972, 15_529_176_000)],
)
def test_inventory(size, count, n_bytes):
    tensors = make_checkpoint.listed(make_checkpoint.SIZES[size]).tensors
    assert len(tensors) == count
    assert sum(t.n_bytes for t in tensors if t.dtype == "BF16") == n_bytes
    assert sum(t.dtype == "I64" for t in tensors) == 44  # one counter a BatchNorm


def test_same_arguments_same_bytes(tmp_path):
    for name in ("a", "b"):
        make_checkpoint.make(tmp_path / name, make_checkpoint.SIZES["small"], max_shard=2_000_000)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert sum(name.endswith(".safetensors") for name in files) > 1
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_what_makes_blocks_matter(tmp_path):
    make_checkpoint.make(tmp_path, make_checkpoint.SIZES["small"], train_time=True)
    with safe_open(tmp_path / "model.safetensors", "pt") as f:
        tensors = {name: f.get_tensor(name).float() for name in f.keys()}
    for name, t in tensors.items():
        assert t.isfinite().all(), name
        if "layer_scale" in name:
            assert t.min() >= 0.1 and t.max() <= 1, name
        if name.endswith(".bias"):
            assert (t != 0).float().mean() > 0.99, name
    variances = [t for name, t in tensors.items() if name.endswith("running_var") and t.numel() >= 64]
    assert all(0.099 < t.min() and 30 < t.max() / t.min() < 101 for t in variances)
