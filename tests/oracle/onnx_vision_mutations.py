# SPDX-License-Identifier: Apache-2.0
"""One random change of a vision encoder in ONNX, such that it is still a graph: another operator, attribute, constant,
input or order of elements; a node more or one less. What a change does to the numbers is not known here."""

import copy

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

UNARY = ("Relu", "Sigmoid", "Tanh", "Erf", "Sqrt", "Exp", "Neg", "Abs", "Softplus", "HardSigmoid", "LeakyRelu", "Sin",
         "Reciprocal", "HardSwish", "Elu", "Identity", "Ceil")  # fmt: skip
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")
REDUCE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare")
MICROSOFT = ("QuickGelu", "FastGelu", "Gelu")


class Graph:
    """A model whose parts are found by name, with the shapes of all values."""

    def __init__(self, model):
        self.model = copy.deepcopy(model)
        self.graph = self.model.graph
        inferred = shape_inference.infer_shapes(model)
        self.shapes = {i.name: tuple(i.dims) for i in self.graph.initializer}
        for v in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]:
            self.shapes[v.name] = tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
        self.initializers = {i.name: i for i in self.graph.initializer}

    def constants(self):
        """(name, TensorProto) of initializers and Constant nodes."""
        yield from self.initializers.items()
        for n in self.graph.node:
            if n.op_type == "Constant" and n.attribute[0].name == "value":
                yield n.output[0], n.attribute[0].t

    def is_constant(self, name):
        return name in dict(self.constants())

    def used(self):
        return [n for n in self.graph.node if n.op_type != "Constant"]

    def insert(self, rng, value, op, extra=(), **attributes):
        """op(value, extra) is what the users of value get, or one of them."""
        new = value + "_mutant"
        users = [(n, i) for n in self.graph.node for i, x in enumerate(n.input) if x == value]
        if rng.random() < 0.5:
            users = [users[rng.integers(len(users))]]
        for n, i in users:
            n.input[i] = new
        at = next(i for i, n in enumerate(self.graph.node) if value in n.output) + 1
        domain = "com.microsoft" if op in MICROSOFT and op != "Gelu" else ""
        self.graph.node.insert(at, helper.make_node(op, [value, *extra], [new], name=f"mutant_{op}", domain=domain, **attributes))
        if domain and all(o.domain != domain for o in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))

    def scalar(self, x, like=np.float32):
        name = f"mutant_{x}"
        self.graph.initializer.append(numpy_helper.from_array(np.array(x, like), name))
        return name


def pick(rng, items):
    items = list(items)
    return items[rng.integers(len(items))] if items else None


def other_operator(g, rng):
    family = {op: f for f in (UNARY, BINARY, REDUCE) for op in f}
    n = pick(rng, (n for n in g.used() if n.op_type in family and n.op_type != "Identity"))
    if n is None:
        return None
    new = pick(rng, (op for op in family[n.op_type] if op != n.op_type))
    old, n.op_type = n.op_type, new
    return f"{n.name}: {old} -> {new}"


def other_attribute(g, rng):
    n = pick(rng, (n for n in g.used() if n.attribute))
    if n is None:
        return None
    a = pick(rng, n.attribute)
    if a.type == onnx.AttributeProto.INT:
        a.i += int(pick(rng, (-1, 1, 2)))
        what = a.i
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = float(a.f * pick(rng, (0, 0.5, 1.01, 10, 100)))
        what = a.f
    elif a.type == onnx.AttributeProto.INTS and len(a.ints):
        i, j = rng.integers(len(a.ints), size=2)
        if rng.random() < 0.5:
            a.ints[i], a.ints[j] = a.ints[j], a.ints[i]
        else:
            a.ints[i] += int(pick(rng, (-1, 1, 2)))
        what = list(a.ints)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = pick(rng, (b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"tanh", b"none", b"Relu", b"Sigmoid"))
        what = a.s
    else:
        return None
    return f"{n.name} ({n.op_type}): {a.name} = {what}"


def no_attribute(g, rng):
    n = pick(rng, (n for n in g.used() if n.attribute))
    if n is None:
        return None
    i = rng.integers(len(n.attribute))
    name = n.attribute[i].name
    del n.attribute[i]
    return f"{n.name} ({n.op_type}): without {name}"


def other_constant(g, rng):
    name, t = pick(rng, ((name, t) for name, t in g.constants() if np.prod(t.dims) <= 16))
    v = numpy_helper.to_array(t).copy()
    flat = v.reshape(-1)
    if flat.size == 0:
        return None
    i = rng.integers(flat.size)
    old = flat[i]
    if v.dtype.kind == "f":
        flat[i] = old * pick(rng, (1.0003, 1.01, 2, 0.5, -1, 0, 10))
    elif v.dtype.kind in "iu":
        j = rng.integers(flat.size)
        if flat.size > 1 and rng.random() < 0.5:
            flat[i], flat[j] = flat[j], flat[i]
        else:
            flat[i] += pick(rng, (-1, 1, 2))
    else:
        return None
    t.CopyFrom(numpy_helper.from_array(v, t.name))
    return f"constant {name}[{i}]: {old} -> {flat[i]}"


def other_weight(g, rng):
    """Weights may be anything: one that is changed must be changed in the model, too."""
    name, t = pick(rng, ((name, t) for name, t in g.constants() if np.prod(t.dims) > 16))
    v = numpy_helper.to_array(t).copy()
    if v.dtype.kind != "f":
        return None
    axis = rng.integers(v.ndim)
    v = np.roll(v, 1, axis) if rng.random() < 0.5 else (v * np.array(1.5, v.dtype)).astype(v.dtype)
    t.CopyFrom(numpy_helper.from_array(v, t.name))
    return f"weight {name} {list(v.shape)}: another, along {axis}"


def other_input(g, rng):
    """One that an earlier value of the same shape has: another residual, a norm of something else."""
    n = pick(rng, (n for n in g.used() if n.input))
    i = rng.integers(len(n.input))
    shape = g.shapes.get(n.input[i])
    earlier = [v.name for v in g.graph.input]
    for m in g.graph.node:
        if m is n or m.name == n.name and list(m.output) == list(n.output):
            break
        earlier += m.output
    earlier += g.initializers
    new = pick(rng, (v for v in earlier if shape and g.shapes.get(v) == shape and v != n.input[i]))
    if new is None:
        return None
    old, n.input[i] = n.input[i], new
    return f"{n.name} ({n.op_type}): input {i}: {old} -> {new}"


def swapped_inputs(g, rng):
    n = pick(rng, (n for n in g.used() if len(n.input) == 2))
    if n is None:
        return None
    n.input[0], n.input[1] = n.input[1], n.input[0]
    return f"{n.name} ({n.op_type}): inputs swapped"


def no_input(g, rng):
    """Without its last one: a bias, a clip's bound."""
    n = pick(rng, (n for n in g.used() if len(n.input) > 2))
    if n is None:
        return None
    old = n.input[-1]
    del n.input[-1]
    return f"{n.name} ({n.op_type}): without {old}"


def no_node(g, rng):
    def same(n):
        return [x for x in n.input if g.shapes.get(x) == g.shapes.get(n.output[0]) and g.shapes.get(x)]

    n = pick(rng, (n for n in g.used() if len(n.output) == 1 and same(n)))
    if n is None:
        return None
    n0, kind, x = n.name, n.op_type, pick(rng, same(n))
    n.op_type, n.domain = "Identity", ""
    del n.input[:], n.attribute[:]
    n.input.append(x)
    return f"{n0} ({kind}): left out, {x} goes through"


def more_node(g, rng):
    v = pick(rng, (o for n in g.used() for o in n.output if g.shapes.get(o) and g.shapes[o][0] and len(g.shapes[o]) > 1))
    users = [n for n in g.graph.node if v in n.input]
    if v is None or not users:
        return None
    shape = g.shapes[v]
    kind = rng.integers(5)
    half = next((t.data_type for _, t in g.constants() if np.prod(t.dims) > 16), 1) == onnx.TensorProto.FLOAT16
    like = np.float16 if half else np.float32
    if kind == 0:
        op = pick(rng, (*UNARY, "QuickGelu"))
        g.insert(rng, v, op)
    elif kind == 1:
        op = pick(rng, ("Add", "Mul", "Sub", "Max", "Min"))
        g.insert(rng, v, op, [g.scalar(pick(rng, (0.001, 0.01, 1.001, 2.0, 0.0, 1.0)), like)])
    elif kind == 2:  # another order of equal dimensions
        pairs = [(i, j) for i in range(len(shape)) for j in range(i) if shape[i] == shape[j] > 1]
        if not pairs:
            return None
        i, j = pick(rng, pairs)
        perm = list(range(len(shape)))
        perm[i], perm[j] = j, i
        op = f"Transpose {perm}"
        g.insert(rng, v, "Transpose", perm=perm)
    elif kind == 3:  # backwards along a dimension
        axis = int(pick(rng, (i for i, d in enumerate(shape) if d > 1)) or 0)
        for name, x in (("b", -1), ("e", -(1 << 40)), ("a", axis), ("s", -1)):
            g.graph.initializer.append(numpy_helper.from_array(np.array([x], np.int64), f"mutant_{name}"))
        op = f"Slice backwards along {axis}"
        g.insert(rng, v, "Slice", ["mutant_b", "mutant_e", "mutant_a", "mutant_s"])
    else:
        op = "Softmax"
        g.insert(rng, v, op, axis=int(rng.integers(len(shape))))
    return f"{op} after {v}"


def turned(g, rng):
    """A Reshape splits or joins in another order, and the Transpose after it restores the shape: heads and channels, or
    q, k, v and heads change places."""
    by_output = {o: n for n in g.graph.node for o in n.output}
    constants = dict(g.constants())
    pairs = []
    for n in g.used():
        r = by_output.get(n.input[0]) if n.op_type == "Transpose" else None
        if r is not None and r.op_type == "Reshape" and r.input[1] in constants:
            pairs.append((r, n))
    if not pairs:
        return None
    r, n = pick(rng, pairs)
    shape = list(g.shapes.get(r.output[0], ()))
    perm = next(a for a in n.attribute if a.name == "perm")
    dims = [i for i, d in enumerate(shape) if d > 1]
    if len(dims) < 2:
        return None
    i, j = (int(x) for x in rng.choice(dims, 2, replace=False))
    new = list(shape)
    new[i], new[j] = new[j], new[i]
    name = r.input[1] + "_mutant"
    g.graph.initializer.append(numpy_helper.from_array(np.array(new, np.int64), name))
    r.input[1] = name
    swap = {i: j, j: i}
    perm.ints[:] = [swap.get(p, p) for p in perm.ints]
    return f"{r.name}: {shape} -> {new}, and {n.name} by {list(perm.ints)}"


CHANGES = (other_operator, other_attribute, no_attribute, other_constant, other_constant, other_weight, other_input, other_input,
           swapped_inputs, no_input, no_node, more_node, more_node, turned)  # fmt: skip


def mutate(model, rng):
    """(model, what was done), or None if the change that was drawn does not apply."""
    g = Graph(model)
    change = pick(rng, CHANGES)
    done = change(g, rng)
    return (g.model, f"{change.__name__}: {done}") if done else None
