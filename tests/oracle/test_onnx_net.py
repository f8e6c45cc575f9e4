# SPDX-License-Identifier: Apache-2.0
"""Promise: evaluating a graph (convert/graph/net.h) gives every value the shape that onnxruntime gives it, and every constant
its elements: over all values of the exports of the small model, and over the onnx package's own test cases of operators, with
their inputs as constants, and with inputs that are unknown until the nodes that are left are computed from them."""

from collections import Counter

import numpy as np
import onnx
import pytest
from make_onnx import VARIANTS, make
from onnx import numpy_helper
from onnx.backend.test.case import node as node_cases
from onnx_values import compare, run_tool
from under_test import WORK

# Forms that the net refuses, and what it says.
REFUSED = {
    "ts17-ort-all": "arranged for one kind of CPU",
    "dynamo18-ort-all": "arranged for one kind of CPU",
    "ts17-ort-vit": "it normalizes 8192 elements together",
}


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_exports(name):
    shapes = constants = 0
    for path in sorted(make(name, WORK / "onnx").glob("*.onnx")):
        wrong, n_shapes, n_constants = compare(path)
        if name in REFUSED and path.name.startswith("vision"):
            assert len(wrong) == 1 and REFUSED[name] in wrong[0], wrong
            continue
        assert not wrong, f"{path}: {len(wrong)} differences, such as {wrong[:5]}"
        shapes, constants = shapes + n_shapes, constants + n_constants
    assert name in REFUSED or shapes > 100
    print(f"{name}: {shapes} shapes, {constants} constants as onnxruntime has them")


def with_constants(case):
    """The case's model with its inputs as initializers, and the outputs that it expects."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    for value, array in zip(model.graph.input, inputs):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
    del model.graph.input[:]
    return model, outputs


# Reasons for which a case may be refused; for every other one the shape must be right, and what is constant computed.
LIMITS = [
    "occurs in no export",
    "opset 0 of ai.onnx",  # training, trees
    "opset 1 of ai.onnx",
    "holds a graph",
    "is not one that can be computed",  # means and deviations of normalizations, masks, integers of activations
    'only mode "constant" for all axes',
    'reduction "',
    "training_mode = 1 is not supported",
    "training mode is not supported",
    "attribute detect_",
    "must come from DynamicQuantizeLinear",
    "scale and zero point must be constants",
]


def is_plain(array):
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiub" and array.dtype.itemsize <= 8


def near(x, y):
    tolerance = 1e-7 if y.dtype.kind in "iub" else 2e-3 if y.dtype == np.float16 else 1e-5
    return np.allclose(x, y.astype(float), tolerance, tolerance * 1e-1, equal_nan=True)


def cases():
    for case in node_cases.collect_testcases(None):
        if case.model is not None and case.data_sets and all(is_plain(a) for d in case.data_sets[0] for a in d):
            yield case


def saved(model):
    folder = WORK / "onnx-net"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "case.onnx"))
    return folder / "case.onnx"


def test_operators_on_constants():
    done, refused = Counter(), Counter()
    wrong = []
    for case in cases():
        model, expected = with_constants(case)
        values, refusal = run_tool(saved(model), [])
        op = model.graph.node[-1].op_type
        if values is None:
            if not any(limit in refusal for limit in LIMITS):
                wrong.append(f"{case.name}: refused: {refusal}")
            refused[op] += 1
            continue
        for out, y in zip(model.graph.output, expected):
            shape, kind, numbers = values[out.name]
            if shape != y.shape:
                wrong.append(f"{case.name}: shape {shape}, expected {y.shape}")
            elif kind == "numbers" and not near(numbers.reshape(shape), y):
                wrong.append(f"{case.name}: {numbers[:6]}, expected {y.ravel()[:6]}")
            done[op if kind == "numbers" else op + " (shape)"] += 1
    print(f"{sum(done.values())} outputs of {len(done)} operators: {dict(sorted(done.items()))}")
    print(f"{sum(refused.values())} cases refused: {dict(sorted(refused.items()))}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:60])
    assert sum(done.values()) > 1000


def test_operators_on_activations():
    """Here shapes come from the inputs, and what the operators became is computed afterwards."""
    done, left = Counter(), Counter()
    wrong = []
    for case in cases():
        inputs, expected = case.data_sets[0]
        if any(a.size > 4096 for a in inputs) or len(inputs) != len(case.model.graph.input):
            continue
        told = []
        for v, a in zip(case.model.graph.input, inputs):
            text = ",".join(repr(float(x)) if a.dtype.kind == "f" else str(int(x)) for x in a.ravel())
            told.append(f"{v.name}={'x'.join(map(str, a.shape))}:{text}")
        op = case.model.graph.node[-1].op_type
        if op == "IsNaN":  # of an activation: false
            continue
        values, refusal = run_tool(saved(case.model), ["probe", *told])
        if values is None:  # a shape that its contents decide, or an operator that is not computed
            left[op] += 1
            continue
        for out, y in zip(case.model.graph.output, expected):
            shape, _, numbers = values[out.name]
            if shape != y.shape or not near(numbers.reshape(shape), y):
                wrong.append(f"{case.name}: {shape} {numbers[:6]}, expected {y.shape} {y.ravel()[:6]}")
            done[op] += 1
    print(f"{sum(done.values())} outputs of {len(done)} operators; {sum(left.values())} cases not computed: {dict(left)}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:60])
    assert sum(done.values()) > 500
