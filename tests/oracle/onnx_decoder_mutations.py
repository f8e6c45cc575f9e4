# SPDX-License-Identifier: Apache-2.0
"""One random change of a decoder or an embedding in ONNX: of a node, an attribute, a constant or a wire. mutate(model, rng)
says what it did. Functions return None where the graph has nothing of the kind."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

FAMILIES = [
    ("Add", "Sub", "Mul", "Div"),
    ("Sigmoid", "Tanh", "Relu", "Neg", "Sqrt", "Exp", "Identity", "Reciprocal", "Abs"),
    ("Cos", "Sin", "Neg", "Identity"),
    ("ReduceMean", "ReduceSum", "ReduceMax"),
    ("LessOrEqual", "Less", "GreaterOrEqual", "Greater", "Equal"),
    ("And", "Or"),
    ("SimplifiedLayerNormalization", "RMSNormalization"),
    ("Softmax", "LogSoftmax"),
]
SMALL = 4096  # elements of a constant that may be changed


def name_of(node):
    return f"{node.op_type} {node.name or node.output[0]}"


def change_op(graph, rng):
    nodes = [(n, f) for n in graph.node for f in FAMILIES if n.op_type in f]
    if not nodes:
        return None
    node, family = nodes[rng.integers(len(nodes))]
    old = name_of(node)
    node.op_type = rng.choice([op for op in family if op != node.op_type])
    return f"{old} is now {node.op_type}"


def swap_inputs(graph, rng):
    nodes = [n for n in graph.node if len(n.input) >= 2]
    node = nodes[rng.integers(len(nodes))]
    i, k = rng.choice(len(node.input), 2, replace=False)
    node.input[i], node.input[k] = node.input[k], node.input[i]
    return f"inputs {i} and {k} of {name_of(node)} are swapped"


def rewire(graph, rng):
    """An input becomes another value: one that the same operator reads or makes elsewhere, so that types tend to fit."""
    node = graph.node[rng.integers(len(graph.node))]
    alike = [n for n in graph.node if n.op_type == node.op_type]
    i = rng.integers(len(node.input)) if node.input else 0
    values = [n.input[i] for n in alike if len(n.input) > i] + [o for n in alike for o in n.output] + [v.name for v in graph.input]
    value = rng.choice(values) if node.input else ""
    if node.input:
        node.input[i] = str(value)
    return f"input {i} of {name_of(node)} is now {value}"


def change_attribute(graph, rng):
    nodes = [n for n in graph.node if any(a.type in (1, 2, 6, 7) for a in n.attribute)]
    if not nodes:
        return None
    node = nodes[rng.integers(len(nodes))]
    numbers = [a for a in node.attribute if a.type in (1, 2, 6, 7)]
    a = numbers[rng.integers(len(numbers))]
    old = helper.get_attribute_value(a)
    how = rng.integers(4)
    if how == 0:
        node.attribute.remove(a)
        return f"{name_of(node)} lost {a.name}"
    if a.type == 1:
        a.f = float(a.f * rng.choice([0, 0.5, 1.01, 2, -1]) + rng.choice([0, 0, 1e-3]))
    elif a.type == 2:
        a.i = int(a.i + rng.choice([-2, -1, 1, 2]))
    elif a.type == 7 and len(a.ints):
        k = rng.integers(len(a.ints))
        if how == 1 and len(a.ints) > 1:
            a.ints[:] = rng.permutation(list(a.ints)).tolist()
        else:
            a.ints[k] = int(a.ints[k] + rng.choice([-1, 1]))
    return f"{a.name} of {name_of(node)}: {old} is now {helper.get_attribute_value(a)}"


def changed(array, rng):
    array = array.copy()
    flat = array.reshape(-1)
    if array.dtype == bool:
        flat[rng.integers(flat.size)] ^= True
    elif np.issubdtype(array.dtype, np.integer):
        flat[rng.integers(flat.size)] += rng.choice([-1, 1]).astype(array.dtype)
    elif rng.integers(2):
        flat[rng.integers(flat.size)] *= array.dtype.type(rng.choice([0, 0.5, 1.01, -1, 2]))
    else:
        flat *= array.dtype.type(rng.choice([0.5, 1.01, -1, 2]))
    return array


def change_constant(graph, rng):
    """Of a Constant node or an initializer that is not a weight of a product: those may be anything."""
    products = {i for n in graph.node if n.op_type in ("MatMul", "Gemm", "MatMulNBits") for i in n.input[1:]}
    tensors = [t for t in graph.initializer if t.name not in products]
    tensors += [a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.type == 4]
    tensors = [t for t in tensors if 0 < np.prod(t.dims or [1]) <= SMALL]
    if not tensors:
        return None
    t = tensors[rng.integers(len(tensors))]
    old = numpy_helper.to_array(t)
    new = changed(old, rng)
    t.CopyFrom(numpy_helper.from_array(new, t.name))
    where = np.flatnonzero(old.reshape(-1) != new.reshape(-1))
    return f"constant {t.name}: elements {where[:4]} are now {new.reshape(-1)[where[:4]]}"


def bypass(graph, rng):
    nodes = [n for n in graph.node if n.input and n.input[0]]
    node = nodes[rng.integers(len(nodes))]
    old = name_of(node)
    del node.attribute[:]
    del node.input[1:]
    del node.output[1:]
    node.op_type, node.domain = "Identity", ""
    return f"{old} does nothing"


def insert(graph, rng):
    """A new operator behind a value."""
    node = graph.node[rng.integers(len(graph.node))]
    out = node.output[0]
    op = rng.choice(["Neg", "Tanh", "Relu", "Mul", "Add", "Transpose"])
    node.output[0] = out + "_before"
    inputs = [node.output[0]]
    if op in ("Mul", "Add"):
        graph.initializer.append(numpy_helper.from_array(np.float32(1.01), "new_constant"))
        inputs.append("new_constant")
    k = list(graph.node).index(node) + 1
    graph.node.insert(k, helper.make_node(op, inputs, [out], name="new_node"))
    return f"{op} behind {name_of(node)}"


def swap_weights(graph, rng):
    """Two constants of one shape and type change places."""
    shapes = {}
    for t in graph.initializer:
        shapes.setdefault((t.data_type, tuple(t.dims)), []).append(t)
    groups = [g for g in shapes.values() if len(g) > 1]
    if not groups:
        return None
    group = groups[rng.integers(len(groups))]
    i, k = rng.choice(len(group), 2, replace=False)
    a, b = group[i], group[k]
    a.name, b.name = b.name, a.name
    return f"{a.name} and {b.name} are swapped"


def swap_sources(graph, rng):
    """Two nodes of one operator read each other's first input."""
    groups = {}
    for n in graph.node:
        groups.setdefault(n.op_type, []).append(n)
    groups = [g for g in groups.values() if len(g) > 1 and g[0].input]
    if not groups:
        return None
    group = groups[rng.integers(len(groups))]
    i, k = rng.choice(len(group), 2, replace=False)
    group[i].input[0], group[k].input[0] = group[k].input[0], group[i].input[0]
    return f"{name_of(group[i])} and {name_of(group[k])} read each other's input"


KINDS = [change_op, swap_inputs, rewire, change_attribute, change_constant, change_constant, bypass, insert, swap_weights,
         swap_sources]  # fmt: skip


def mutate(model, rng):
    """A changed copy and what was changed."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    del model.graph.value_info[:]
    what = None
    while what is None:
        what = KINDS[rng.integers(len(KINDS))](model.graph, rng)
    return model, what
