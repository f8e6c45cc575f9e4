# SPDX-License-Identifier: Apache-2.0
"""`pip install ./format/python` installs a package whose README's example runs, that reads what fvlm writes, and that
refuses a file in which a bit was changed, lazily, too."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from under_test import ROOT, TINY, WORK, fvlm

PACKAGE = ROOT / "format/python"


@pytest.fixture(scope="module")
def place():
    """A folder with the installed package, and a quantized model."""
    out = WORK / "package"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copytree(PACKAGE, out / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", out / "site", out / "source"]
    subprocess.run(command, check=True)
    fvlm("convert", TINY / "unfused", "-o", out / "float.fvlm", "-q")
    fvlm("quant", out / "float.fvlm", "--type", "int4", "-o", out / "model.fvlm", "-q")
    return out


def python(place, *arguments):
    """In the folder, with the installed package and not that of the repository."""
    env = {**os.environ, "PYTHONPATH": str(place / "site")}
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=place, env=env, capture_output=True, text=True)


def test_readme(place):
    code = re.search(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)[1]
    (place / "example.py").write_text(code)
    done = python(place, "example.py")
    assert done.returncode == 0, done.stderr
    identity = re.search(r"identity +([0-9a-f]{32})", fvlm("info", place / "model.fvlm"))[1]
    lines = done.stdout.splitlines()
    assert lines[0] == identity and lines[1] == "256 4 448" and len(lines) == 5 + 138
    assert "llm.layer0.ffn.up.weight int4-asym-g64 (384, 128)" in lines
    assert lines[-2] == "(384, 128) (384, 2) 64" and lines[-1].startswith("convert") or "convert" in lines[-1]


def test_command(place):
    done = python(place, "-m", "fvlm", "model.fvlm")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 138
    assert python(place, "-m", "fvlm", "model.fvlm", "llm.norm.weight", "out.npy").returncode == 0
    done = python(place, "-m", "fvlm", "model.fvlm", "llm.norm", "out.npy")
    assert (done.returncode, done.stderr) == (1, 'model.fvlm: no tensor "llm.norm"\n')
    assert python(place, "-m", "fvlm").returncode == 2


def test_damage(place):
    bytes_ = bytearray((place / "model.fvlm").read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    (place / "damaged.fvlm").write_bytes(bytes_)
    whole = "import fvlm\nfvlm.open('damaged.fvlm')"
    lazy = "import fvlm\nf = fvlm.open('damaged.fvlm', verify=False)\nprint(len(f))\nfor n in f: f[n]"
    for code, printed in (whole, ""), (lazy, "138\n"):
        done = python(place, "-c", code)
        assert done.returncode == 1 and done.stdout == printed and re.search(r"ValueError: \S+: hash\n$", done.stderr)
