# SPDX-License-Identifier: Apache-2.0
"""In f32, fvlm computes what PyTorch computes from the same checkpoint: every block's output within a relative L2 of
2e-5, and the same greedy answer. PyTorch is timm's FastViT, transformers' Qwen2 (apple.py); fvlm is `fvlm convert` and
the executor, observed by tests/tools/activations.c; `fvlm verify --against-activations` must then find the same."""

import csv
import gc
import json
import os
import shutil
from contextlib import contextmanager

import apple
import numpy as np
import pytest
from dump_activations import dump
from preprocess import read_pixels
from safetensors.torch import save_file
from under_test import TINY, WORK, activations, checkpoint, fvlm, picture

BOUND = 2e-5
QUESTION = "What are these? Count them, and name their colours."


def convert(folder, name, *options):
    model = WORK / f"{name}.fvlm"
    fvlm("convert", folder, "-o", model, "--force", "-q", *options)
    return model


def hold(what, tensors, model):
    """The file's every block against PyTorch's, on the same pixels and ids."""
    want = {name: t.numpy() for name, t in tensors.items()}
    greedy, ids = want.pop("greedy").tolist(), want.pop("input_ids").tolist()
    got, answer = activations(model, want.pop("pixels"), ids, len(greedy))
    assert got.keys() == want.keys(), f"blocks differ: {got.keys() ^ want.keys()}"
    error = {}
    for name, x in want.items():
        assert got[name].shape == x.shape, f"{name}: {got[name].shape}, PyTorch {x.shape}"
        error[name] = np.linalg.norm((got[name] - x).astype(np.float64)) / np.linalg.norm(x.astype(np.float64))
    worst = max(error, key=error.get)
    print(f"\n{what}: {len(error)} blocks, worst {error[worst]:.1e} at {worst}, vision.final {error['vision.final']:.1e}, "
          f"projector {error['projector']:.1e}, logits {error['logits']:.1e}; {len(greedy)} greedy ids")  # fmt: skip
    too_far = {name: e for name, e in error.items() if not e <= BOUND}
    assert not too_far, f"beyond {BOUND}: {too_far}"
    assert answer == greedy
    return error


def hold_verify(tensors, model, error):
    """`fvlm verify` measures the same distances from the same file."""
    path = WORK / "activations.safetensors"
    save_file(tensors, path)
    report = json.loads(fvlm("verify", model, "--against-activations", path, "--act", "f32", "--json"))
    assert report["ok"]
    found = {block["name"]: block["relative_l2"] for block in report["activations"][0]["blocks"]}
    assert found == pytest.approx(error, rel=1e-3)


def parity(what, folder, side=None, options=(), verify=True):
    image = picture(WORK / "picture.png")
    model = apple.load(folder)
    tensors = dump(model, image, QUESTION, side, n_new=32)
    del model
    gc.collect()
    file = convert(folder, what, *options)
    error = hold(what, tensors, file)
    if verify:
        hold_verify(tensors, file, error)
    file.unlink()


@contextmanager
def passing(name, size, **changes):
    """A checkpoint for one test, removed after it: these take up to 4 GB."""
    folder = checkpoint(name, size, **changes)
    yield folder
    shutil.rmtree(folder)


def test_small():
    """Every kind of block, quickly."""
    parity("small", checkpoint("small", "small"))


def test_small_train_time():
    parity("small-train-time", checkpoint("small-train-time", "small", train_time=True))


def test_train_time_tower_of_full_size():
    """timm runs branches and BatchNorm of all 44 blocks; fvlm has fused them."""
    with passing("train-time", "0.5b", train_time=True, layers=1) as folder:
        parity("train-time", folder, side=512)


def test_full_size():
    """The 0.5B at its own 1024 pixels."""
    parity("0.5b", checkpoint("0.5b", "0.5b"), options=("--type", "f32"))


def test_sharded_1_5b():
    """In two shards; eight layers of 28, all with FVLM_FULL=1."""
    layers = 28 if os.environ.get("FVLM_FULL") else 8
    with passing("1.5b", "1.5b", max_shard=10**9, layers=layers) as folder:
        parity("1.5b-sharded", folder, side=256, verify=False)


def test_untied_7b():
    """Full widths, two layers: 28 heads on 4, an output head of its own, 22 added tokens."""
    with passing("7b", "7b", layers=2, depths=(1, 1, 1, 1, 1)) as folder:
        parity("7b-2-layers", folder, side=256, verify=False)


needs_tiny = pytest.mark.skipif(not (TINY / "fused/config.json").exists(), reason="tests/fixtures/tiny is not there")


@needs_tiny
@pytest.mark.parametrize("form", ["unfused", "fused"])
def test_trained_model(form):
    """The model that ships, with its branches and as PyTorch fused it."""
    picture = sorted((TINY / "heldout").glob("*.png"))[0]
    tensors = dump(apple.load(TINY / form), picture, "What is at the top right?")
    file = convert(TINY / form, f"tiny-{form}")
    hold_verify(tensors, file, hold(f"trained, {form}", tensors, file))


@needs_tiny
def test_trained_answers():
    """From picture file to text, 64 ids or to the end: 40 questions about 40 pictures."""
    file = convert(TINY / "unfused", "tiny")
    model = apple.load(TINY / "unfused")
    with (TINY / "heldout/questions.tsv").open(newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    first = {row["picture"]: row for row in reversed(rows) if row["picture"].endswith(".png")}
    asked = [first[name] for name in sorted(first)[:40]]
    assert len(asked) >= 20
    for row in asked:
        path = TINY / "heldout" / row["picture"]
        want = model.greedy(model.prompt_ids(row["question"]), read_pixels(path, model.image_size), 64)
        got = json.loads(fvlm("run", file, path, row["question"], "--max-tokens", 64, "--json"))
        assert got["answer_ids"] == want, f"{row['picture']}: {row['question']}"
        assert got["answer"] == model.tokenizer.decode(want)
    print(f"\n{len(asked)} answers equal")
