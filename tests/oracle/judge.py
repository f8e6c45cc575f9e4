# SPDX-License-Identifier: Apache-2.0
"""Runs verify/judge on ONNX models through build/tests/tools/onnx_judge, with numpy arrays for inputs and outputs."""

import os
import subprocess
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD", "build") / "tests/tools/onnx_judge"
NUMBERS = {ml_dtypes.bfloat16: onnx.TensorProto.BFLOAT16, ml_dtypes.int4: onnx.TensorProto.INT4,
           ml_dtypes.uint4: onnx.TensorProto.UINT4}


class Refused(Exception):
    """The judge's message; code is its exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def _save(path, array):
    """Writes an array; returns what stands behind the input's name: '#16' for types that numpy does not have."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    kind = array.dtype.type
    if kind is ml_dtypes.bfloat16:
        array = array.astype(np.float32)
    elif kind in (ml_dtypes.int4, ml_dtypes.uint4):
        array = array.astype(np.int8 if kind is ml_dtypes.int4 else np.uint8)
    np.save(path, array)
    return f"#{NUMBERS[kind]}" if kind in NUMBERS else ""


def _load(path, type_name):
    array = np.load(path)
    special = {"FLOAT16": np.float16, "BFLOAT16": ml_dtypes.bfloat16, "INT4": ml_dtypes.int4, "UINT4": ml_dtypes.uint4}
    return array.astype(special[type_name]) if type_name in special else array


def run(model, inputs, threads=1, values=False):
    """model: a path, or a ModelProto. Returns {output name: array}, with values=True every value of the graph. Raises
    Refused with the judge's message."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        folder = Path(folder)
        if not isinstance(model, (str, Path)):
            path = folder / "model.onnx"
            path.write_bytes(model.SerializeToString())
            model = path
        arguments = []
        for i, (name, array) in enumerate(inputs.items()):
            file = folder / f"in{i}.npy"
            arguments.append(f"{name}{_save(file, array)}={file}")
        done = subprocess.run([TOOL, model, folder, str(threads), *arguments], capture_output=True, text=True,
                              env={**os.environ, **({"JUDGE_VALUES": "1"} if values else {})}, timeout=1800)
        if done.returncode:
            raise Refused(done.returncode, done.stderr.strip())
        outputs, n = {}, 0
        for line in done.stdout.splitlines():
            what, *rest = line.split(" ", 3 if line.startswith("value") else 2)
            if what == "output":
                outputs[rest[1]] = _load(folder / f"{n}.npy", rest[0])
                n += 1
            elif what == "value":
                outputs[rest[2]] = _load(folder / f"v{rest[0]}.npy", rest[1])
            else:
                run.last = line
        return outputs


run.last = ""


def distance(ours, theirs):
    """Relative L2. Values that are not finite must be the same ones."""
    a, b = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    if a.shape != b.shape:
        return np.inf
    odd = ~(np.isfinite(a) & np.isfinite(b))
    if not np.array_equal(a[odd], b[odd], equal_nan=True):
        return np.inf
    a, b = a[~odd], b[~odd]
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)) if a.size else 0.0


def known_ops():
    """Lines "com.microsoft QuickGelu" or "Conv"."""
    return subprocess.run([TOOL], capture_output=True, text=True).stdout.splitlines()
