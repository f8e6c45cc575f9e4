# SPDX-License-Identifier: Apache-2.0
"""ONNX files that hold another network are refused within a second by the name of what is foreign; FastVLMs with one thing
changed are refused, or computed as onnxruntime computes them. Never is a wrong model written."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import make_onnx
import onnx
import onnx_foreign
import onnx_session
import pytest
from onnx.backend.test.case import node
from preprocess import read_pixels
from under_test import FVLM, TINY, WORK, activations

ROOT = WORK / "onnx-foreign"
DATA = Path(onnx.__file__).parent / "backend/test/data"
OCR = Path(find_spec("rapidocr").submodule_search_locations[0]) / "models"
SECONDS = 1.0
# A node or input by its name and what was expected there, or an operator that no FastVLM has.
FOREIGN = re.compile(r"node \"[^\"]*\" \(\w+\): |is not a part of a FastVLM: |: input \"|: output \"")


def names(folder, pattern):
    """Of the models there; without any, pytest would skip the test."""
    found = sorted(p.stem for p in folder.glob(pattern))
    assert found, folder
    return found


def refusal(source):
    """The one line that a refusal is, and the seconds of processor time it took, which other processes do not change."""
    target = ROOT / f"out-{abs(hash(str(source)))}.fvlm"
    command = ["bash", "-c", 'TIMEFORMAT="%U %S"; time "$@" 2>&1', "timed", FVLM, "convert", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not target.exists(), f"{source} was taken for a FastVLM"
    assert done.returncode == 1, f"{source}: {done.returncode} {done.stdout}"
    assert done.stdout.count("\n") == 1 and done.stdout.startswith("fvlm: "), f"{source}: {done.stdout}"
    return done.stdout.strip(), sum(map(float, done.stderr.split()))


def refused(source):
    text, seconds = refusal(source)
    print(f"\n{seconds:.2f} s: {text}")
    assert seconds <= SECONDS
    assert FOREIGN.search(text), text


@pytest.fixture(autouse=True)
def folder():
    ROOT.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("name", names(DATA / "light", "light_*.onnx"))
def test_networks_of_the_onnx_package(name):
    refused(DATA / f"light/{name}.onnx")


@pytest.mark.parametrize("name", names(OCR, "*.onnx"))
def test_networks_of_rapidocr(name):
    refused(OCR / f"{name}.onnx")


@pytest.mark.parametrize("name", onnx_foreign.TIMM)
def test_networks_of_timm(name):
    refused(onnx_foreign.timm_network(name, ROOT / f"{name}.onnx"))
    (ROOT / f"{name}.onnx").unlink()


def test_every_model_of_the_onnx_package():
    """Single operators, loops, sequences, strings, opaque types: one line each, no crash, no time lost."""
    files = sorted(DATA.rglob("model.onnx"))
    shutil.rmtree(ROOT / "operators", ignore_errors=True)
    (ROOT / "operators").mkdir()
    for case in node.collect_testcases(None):
        files.append(ROOT / f"operators/{case.name}.onnx")
        onnx.save(case.model, files[-1])
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(refusal, files))
    slow = [(f, s) for f, (_, s) in zip(files, found) if s > SECONDS]
    print(f"\n{len(files)} files, the slowest {max(s for _, s in found):.2f} s")
    assert len(files) > 1000 and not slow, slow


def beside(name):
    """A copy of a good export, to put a foreign graph in."""
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(make_onnx.make("ts17", make_onnx.kept(WORK / "onnx")), folder)
    return folder


def refused_or_right(folder, vision_only):
    """Converts; what is written computes what onnxruntime computes from the files."""
    target = ROOT / "near.fvlm"
    target.unlink(missing_ok=True)
    done = subprocess.run([FVLM, "convert", str(folder), "-o", str(target), "-q"], capture_output=True, text=True)
    if done.returncode:
        print(f"\nrefused: {done.stderr.strip()}")
        assert done.returncode == 1 and FOREIGN.search(done.stderr), done.stderr
        return
    model = make_onnx.loaded("fused")
    pixels = read_pixels(sorted((TINY / "heldout").glob("*.png"))[0], 256).numpy()
    ids = model.prompt_ids("What is at the top right?")
    got, _ = activations(target, pixels[0].transpose(1, 2, 0), [] if vision_only else ids)
    graphs = onnx_session.graphs_of(folder)
    if vision_only:
        want, got = onnx_session.run(graphs[0], {"pixel_values": pixels})["image_features"][0], got["projector"]
    else:
        want, got = onnx_session.whole(*graphs, model.config, pixels, ids)[1][-1], got["logits"][-1]
    error = onnx_session.relative_l2(got, want)
    print(f"\nconverted: {error:.1e}")
    assert error <= 2e-5


@pytest.mark.parametrize("name", onnx_foreign.language_models(make_onnx.loaded("fused").llm.config))
def test_other_language_models(name):
    folder = beside(name)
    onnx_foreign.language_model(name, folder)
    refused_or_right(folder, vision_only=False)


@pytest.mark.parametrize("name", onnx_foreign.towers())
def test_changed_towers(name):
    folder = ROOT / f"tower-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    onnx_foreign.tower(name, folder)
    refused_or_right(folder, vision_only=True)
