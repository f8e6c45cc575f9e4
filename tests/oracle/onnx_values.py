# SPDX-License-Identifier: Apache-2.0
"""An evaluated graph (tests/tools/onnx_net) beside onnxruntime's values of every intermediate output."""

import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from under_test import BUILD

TOOL = BUILD / "tests/tools/onnx_net"
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}
PAST, NEW = 3, 4


def dims_of(value, side):
    """Concrete dimensions for symbols, by their names and places."""
    dims = []
    for i, d in enumerate(value.type.tensor_type.shape.dim):
        symbol = d.dim_param.lower()
        if d.HasField("dim_value"):
            dims.append(d.dim_value)
        elif value.name == "pixel_values":
            dims.append((1, 3, side, side)[i])
        elif i == 0 and not symbol.startswith("seq"):
            dims.append(1)
        elif value.name == "attention_mask":
            dims.append(PAST + NEW)
        elif value.name.startswith("past"):
            dims.append(PAST if i == 2 else 32)
        else:
            dims.append(NEW)
    return dims


def inputs_of(model, side, rng):
    """Values for onnxruntime, and what the tool is told."""
    stored = {t.name for t in model.graph.initializer}
    feeds, told = {}, []
    for v in model.graph.input:
        if v.name in stored:
            continue
        dims, dtype = dims_of(v, side), TYPES[v.type.tensor_type.elem_type]
        text = f"{v.name}={'x'.join(map(str, dims))}"
        if v.name == "attention_mask":
            feeds[v.name], text = np.ones(dims, dtype), text + ":ones"
        elif v.name == "position_ids":
            feeds[v.name] = np.arange(PAST, PAST + np.prod(dims), dtype=dtype).reshape(dims)
            text += ":" + ",".join(map(str, feeds[v.name].ravel()))
        elif np.issubdtype(dtype, np.floating):
            feeds[v.name] = rng.random(dims).astype(dtype)
        else:
            feeds[v.name] = rng.integers(0, 100, dims).astype(dtype)
        told.append(text)
    return feeds, told


def run_tool(path, told):
    """{name: (shape, kind, numbers)} as the net has them; or the refusal."""
    done = subprocess.run([str(TOOL), str(path), *told], capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip() or f"exit {done.returncode}"
    values = {}
    for line in done.stdout.splitlines():
        name, shape, rest = line.split("\t")
        kind, *numbers = rest.split()
        values[name] = (tuple(int(d) for d in shape[1:-1].split(",") if d), kind, np.array(numbers, float))
    return values, ""


def intermediate(path, feeds):
    """Every value that a node puts out, from onnxruntime without optimization."""
    model = onnx.load(str(path), load_external_data=False)
    own = {o.name for o in model.graph.output}
    names = [o for n in model.graph.node for o in n.output if o and o not in own]
    for name in names:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    probe = Path(path).with_name("." + Path(path).name + ".all")  # beside the external data
    onnx.save(model, str(probe))
    try:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = ort.InferenceSession(str(probe), options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds)))
    finally:
        probe.unlink()


def differences(ours, theirs, types=1e-6):
    """Shapes and constants that are not as onnxruntime has them. Counts of shapes and constants compared."""
    wrong, shapes, constants = [], 0, 0
    for name, (shape, kind, numbers) in ours.items():
        if name not in theirs:
            continue
        y = theirs[name]
        shapes += 1
        if tuple(y.shape) != shape:
            wrong.append(f"{name}: shape {shape}, onnxruntime {y.shape}")
            continue
        if kind not in ("numbers", "uniform"):
            continue
        constants += 1
        x = numbers.reshape(shape) if kind == "numbers" else np.full(shape, numbers[0])
        exact = not np.issubdtype(y.dtype, np.floating)
        near = 2e-3 if y.dtype == np.float16 else types
        same = np.array_equal(x, y.astype(float)) if exact else np.allclose(x, y.astype(float), near, near, True)
        if not same:
            wrong.append(f"{name}: constant {x.ravel()[:4]}, onnxruntime {y.ravel()[:4]}")
    return wrong, shapes, constants


def compare(path, side=256, seed=1):
    model = onnx.load(str(path), load_external_data=False)
    feeds, told = inputs_of(model, side, np.random.default_rng(seed))
    ours, refusal = run_tool(path, told)
    if ours is None:
        return [refusal], 0, 0
    return differences(ours, intermediate(path, feeds))
