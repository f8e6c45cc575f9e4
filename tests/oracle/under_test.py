# SPDX-License-Identifier: Apache-2.0
"""fvlm and its tools as the tests call them, and the random checkpoints they are given.

Everything made lies in ORACLE_WORK (build/oracle); checkpoints are kept there from run to run (make_checkpoint.py writes the same
bytes again only when it has changed)."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import make_checkpoint
import numpy as np
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / os.environ.get("BUILD", "build")
FVLM = os.environ.get("FVLM", str(BUILD / "fvlm"))
TINY = ROOT / "tests/fixtures/tiny"
WORK = ROOT / os.environ.get("ORACLE_WORK", "build/oracle")


def run(*command):
    """Standard output; a failure shows standard error."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stderr[-4000:]}"
    return done.stdout


def fvlm(*arguments):
    return run(FVLM, *arguments)


def checkpoint(name, size, train_time=False, max_shard=1 << 62, **changes):
    """A random checkpoint folder; changes are fields of make_checkpoint.Size."""
    folder = WORK / name
    sources = (HERE / "make_checkpoint.py").read_bytes() + (HERE / "random_tokenizer.py").read_bytes()
    key = hashlib.sha256(sources + repr((size, train_time, max_shard, sorted(changes.items()))).encode()).hexdigest()
    mark = folder / "made"
    if not mark.exists() or mark.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        print(make_checkpoint.make(folder, replace(make_checkpoint.SIZES[size], **changes), 1, train_time, max_shard))
        mark.write_text(key)
    return folder


def picture(path, width=700, height=500):
    """A picture with broad gradients, edges and noise, wider than high."""
    rng = np.random.default_rng(5)
    broad = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    draw = ImageDraw.Draw(broad)
    for x, y, r, *colour in rng.integers(0, (width, height, 90, 256, 256, 256), (25, 6)).tolist():
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(colour))
    noisy = np.asarray(broad).astype(np.int16) + rng.integers(-20, 21, (height, width, 1))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return path


def activations(model, pixels, ids, n_new=0, cpu="", threads=0, act="f32", program=()):
    """What tests/tools/activations.c reports: {observer name: [rows, cols]} and n_new greedy ids."""
    out = WORK / "activations"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    np.ascontiguousarray(pixels, "<f4").tofile(out / "pixels")
    tool = program or [BUILD / "tests/tools/activations"]
    text = run(*tool, model, out / "pixels", out, n_new, cpu, threads, act, *ids)
    return {p.stem: np.load(p) for p in out.glob("*.npy")}, [int(line) for line in text.split()]
