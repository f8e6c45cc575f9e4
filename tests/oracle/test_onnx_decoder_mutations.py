# SPDX-License-Identifier: Apache-2.0
"""No changed decoder or embedding is converted to something else: one random change of a good export, many times; `fvlm
convert` refuses it with one line, or what it writes computes what onnxruntime computes from the changed file, in one pass
and in two with a cache between."""

import json
import os
import shutil
import subprocess

import make_onnx
import numpy as np
import onnx
import onnx_session as ort
import pytest
from onnx_decoder_mutations import mutate
from preprocess import IMAGE, read_pixels
from under_test import FVLM, WORK, activations, picture

BASES = ("ts17", "dynamo18", "dynamo23", "community", "gqa-rope-inside", "community-q4")
COUNT = int(os.environ.get("MUTATIONS", "60"))  # of each base
SEED = int(os.environ.get("MUTATIONS_SEED", "8"))
BOUND = 1e-4  # relative L2: what sums in another order never reach, and every change that matters exceeds
QUESTION = [11, 7, 300, IMAGE, 42, 5, 77, 130, 9]


class Truth:
    """onnxruntime on a folder, of which the vision encoder stays as it is."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.pixels = read_pixels(picture(WORK / "mutations.png"), 256)
        self.vision, self.embed, self.decoder = ort.graphs_of(folder)
        self.image = ort.run(self.vision, {"pixel_values": self.pixels.numpy()})["image_features"]

    def rows(self):
        at = QUESTION.index(IMAGE)
        sides = [ort.run(self.embed, {"input_ids": np.array([part], np.int64)}) for part in (QUESTION[:at], QUESTION[at + 1 :])]
        sides = [next(iter(s.values())) for s in sides]
        return np.concatenate([sides[0], self.image, sides[1]], axis=1)

    def last_logits(self, rows, cut):
        """Of the last position, in one pass (cut 0) or with a cache of the first `cut` positions."""
        caches, n = ort.empty_caches(self.config), rows.shape[1]
        for first, last in ((0, cut), (cut, n)) if cut else ((0, n),):
            feeds = {"inputs_embeds": rows[:, first:last], "attention_mask": np.ones((1, last), np.int64),
                     "position_ids": np.arange(first, last, dtype=np.int64)[None]}  # fmt: skip
            got = ort.run(self.decoder, feeds | caches, threads=1)
            caches = {k.replace("present", "past_key_values"): v for k, v in got.items() if k.startswith("present")}
        return got["logits"][0, -1]


def logits_of(model, pixels):
    blocks, _ = activations(model, pixels[0].permute(1, 2, 0), QUESTION)
    return blocks["logits"][-1]


def judge(folder, truth, what, options=()):
    """'refused', 'equal', or 'void': onnxruntime does not run the file either."""
    model = folder / "changed.fvlm"
    model.unlink(missing_ok=True)
    done = subprocess.run([FVLM, "convert", folder, "-o", model, "-q", *options], capture_output=True, text=True, timeout=60)
    if done.returncode:
        assert done.returncode == 1, f"{what}: exit {done.returncode}\n{done.stderr}"
        assert done.stderr.count("\n") == 1 and not model.exists(), f"{what}: {done.stderr}"
        return "refused"
    try:
        rows = truth.rows()
        want = [truth.last_logits(rows, cut) for cut in (0, 5)]
    except Exception as e:  # noqa: BLE001: whatever onnxruntime throws
        print(f"  accepted, but onnxruntime: {what}: {str(e)[:160]}")
        return "void"
    got = logits_of(model, truth.pixels)
    rows = min(len(got), len(want[0]))
    for x in want:
        error = ort.relative_l2(got[:rows], x[:rows])
        assert error <= BOUND, f"{what}: relative L2 {error:.1e}"
    return "equal"


def mutate_often(base, graph, count):
    source = make_onnx.make(base, WORK / "onnx")
    folder = WORK / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    truth, options = Truth(folder), ("--quantized", "float") if "q4" in base else ()
    assert judge(folder, truth, "unchanged", options) == "equal"
    good, rng = onnx.load(source / graph), np.random.default_rng(SEED)
    counts = {"refused": 0, "equal": 0, "void": 0}
    for _ in range(count):
        model, what = mutate(good, rng)
        onnx.save(model, folder / graph)
        counts[judge(folder, truth, what, options)] += 1
    print(f"\n{base}: {counts}")
    return counts["refused"] / count


@pytest.mark.parametrize("base", BASES)
def test_mutations(base):
    assert mutate_often(base, "decoder_model_merged.onnx", COUNT) > 0.3, "these changes do not change much"


@pytest.mark.parametrize("base", ("ts17", "q4-embedding-asym"))
def test_mutations_of_the_embedding(base):
    mutate_often(base, "embed_tokens.onnx", COUNT // 3)
