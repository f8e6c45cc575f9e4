# SPDX-License-Identifier: Apache-2.0
"""Promise: convert/graph reads ONNX files as Python's onnx package does: every node, attribute, declared type and shape,
and the bytes of every tensor, over all models of the libonnx-testdata and onnx packages and the exports that the other tests
have made; and it refuses just those that hold what it says it does not support."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import xxhash
from onnx import AttributeProto, TensorProto, numpy_helper
from onnx.backend.test.case import node as node_cases
from under_test import BUILD, WORK

LISTS = {AttributeProto.FLOATS: "floats", AttributeProto.INTS: "ints", AttributeProto.STRINGS: "strings"}
SCALARS = {AttributeProto.FLOAT: "f", AttributeProto.INT: "i", AttributeProto.STRING: "s", AttributeProto.TENSOR: "t"}
TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 21, 22}  # of tensors that are read
REASONS = {  # what Python finds, and what the refusal says
    "graph": "holds a graph",
    "tensors": "list of tensors",
    "type": "holds a type",
    "sparse attribute": "is a sparse tensor",
    "functions": "local functions",
    "training": "training_info",
    "sparse initializer": "sparse initializer",
    "sequence_type": "is a sequence",
    "map_type": "is a map",
    "optional_type": "is optional",
    "sparse_tensor_type": "is a sparse tensor",
    "opaque_type": "opaque",
    "element type": "which is not supported",
    "strings": "holds strings",
    "rank": "dimensions; at most 8",
    "no outputs": "no outputs",
    "output twice": "is given twice",
    "undefined": "is computed by no node",
    "no import": "does not import",
}


def files():
    """Models of both packages. Newer onnx packages make theirs in memory; those are written down."""
    found = sorted(Path("/usr/share/libonnx-testdata").rglob("*.onnx")) + sorted(Path(onnx.__file__).parent.rglob("*.onnx"))
    found += sorted(WORK.rglob("*.onnx"))
    made = WORK / "onnx-cases"
    made.mkdir(parents=True, exist_ok=True)
    if not any(made.iterdir()):
        for case in node_cases.collect_testcases(None):
            if case.model is not None:
                onnx.save(case.model, made / f"{case.name}.onnx")
    return [f for f in found if made not in f.parents] + sorted(made.glob("*.onnx"))


def tensor(t):
    if t.data_type in (TensorProto.INT4, TensorProto.UINT4):
        values = numpy_helper.to_array(t).astype(np.int8).view(np.uint8).ravel() & 15
        values = np.append(values, np.zeros(len(values) % 2, np.uint8))
        data = (values[0::2] | values[1::2] << 4).tobytes()
    else:
        data = np.ascontiguousarray(numpy_helper.to_array(t)).tobytes()
    return [TensorProto.DataType.Name(t.data_type), list(t.dims), xxhash.xxh3_128_hexdigest(data)]


def number(f):
    return f"{np.float32(f).view(np.uint32):08x}"


def attribute(a):
    """[name, kind, values], as tests/tools/onnx_dump.c prints it."""
    values = list(getattr(a, LISTS[a.type])) if a.type in LISTS else [getattr(a, SCALARS[a.type])]
    if a.type == AttributeProto.TENSOR:
        values = [tensor(v) for v in values]
    elif a.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        values = [number(v) for v in values]
    elif a.type in (AttributeProto.STRING, AttributeProto.STRINGS):
        values = [v.hex() for v in values]
    return [a.name, a.type, values]


def constant(node):
    a = node.attribute[0]
    if a.name == "value":
        return tensor(a.t)
    kind = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}[a.name]
    values = getattr(a, LISTS[a.type]) if a.type in LISTS else getattr(a, SCALARS[a.type])
    return tensor(numpy_helper.from_array(np.array(values, kind)))


def domain(node):
    return "" if node.domain == "ai.onnx" else node.domain


def attribute_reasons(a):
    kinds = {AttributeProto.GRAPH: "graph", AttributeProto.GRAPHS: "graph", AttributeProto.TENSORS: "tensors"}
    kinds |= {AttributeProto.TYPE_PROTO: "type", AttributeProto.TYPE_PROTOS: "type"}
    kinds |= {AttributeProto.SPARSE_TENSOR: "sparse attribute", AttributeProto.SPARSE_TENSORS: "sparse attribute"}
    if a.type in kinds:
        yield kinds[a.type]
    if a.type == AttributeProto.TENSOR and a.t.data_type not in TYPES:
        yield "element type"


def reasons(model):
    """Everything that fvlm may refuse the model for."""
    g = model.graph
    if model.functions:
        yield "functions"
    if model.training_info:
        yield "training"
    if g.sparse_initializer:
        yield "sparse initializer"
    if not g.output:
        yield "no outputs"
    if len({o.name for o in g.output}) < len(g.output):
        yield "output twice"
    for v in [*g.input, *g.output, *g.value_info]:
        kind = v.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            yield kind
        if kind == "tensor_type" and len(v.type.tensor_type.shape.dim) > 8:
            yield "rank"
    for t in g.initializer:
        if t.data_type not in TYPES:
            yield "element type"
    imported = {("" if o.domain == "ai.onnx" else o.domain) for o in model.opset_import}
    defined = {v.name for v in [*g.input, *g.initializer]} | {o for n in g.node for o in n.output} | {""}
    for n in g.node:
        if domain(n) not in imported:
            yield "no import"
        if not set(n.input) <= defined:
            yield "undefined"
        if n.op_type == "Constant" and any(a.name in ("value_string", "value_strings") for a in n.attribute):
            yield "strings"
        for a in n.attribute:
            yield from attribute_reasons(a)


def shape(v):
    t = v.type.tensor_type
    if not t.HasField("shape"):
        return None
    return [d.dim_param if d.dim_param else d.dim_value if d.HasField("dim_value") else -1 for d in t.shape.dim]


def compare(model, dump, count):
    g = model.graph
    tensors = {t.name: tensor(t) for t in g.initializer}
    tensors |= {n.output[0]: constant(n) for n in g.node if n.op_type == "Constant" and not domain(n)}
    nodes = [n for n in g.node if n.op_type != "Constant" or domain(n)]
    want = [[n.name, n.op_type, domain(n), list(n.input), list(n.output), [attribute(a) for a in n.attribute]] for n in nodes]
    if [n[:5] for n in dump["nodes"]] != [n[:5] for n in want]:  # then the file was not in order
        ready = set(tensors) | {v.name for v in g.input} | {""}
        for n in dump["nodes"]:
            assert set(n[3]) <= ready
            ready |= set(n[4])
        count["reordered"] += 1
    assert sorted(map(json.dumps, dump["nodes"])) == sorted(map(json.dumps, want))
    assert dump["inputs"] == [v.name for v in g.input if v.name not in {t.name for t in g.initializer}]
    assert dump["outputs"] == [v.name for v in g.output]
    assert dump["producer"] == " ".join(filter(None, [model.producer_name, model.producer_version]))
    values = dump["values"]
    used = {i for n in nodes for i in n.input} | {o for n in nodes for o in n.output} | set(tensors)
    used |= {v.name for v in [*g.input, *g.output]}
    assert set(values) == used - {""}
    for name, v in values.items():
        assert v["tensor"] == tensors.get(name), name
    declared = {v.name: v for v in [*g.value_info, *g.output, *g.input]}
    for name in set(values) & set(declared):
        v = declared[name]
        assert values[name]["type"] == v.type.tensor_type.elem_type, name
        assert values[name]["shape"] == shape(v), name
        count["declarations"] += 1
    count["nodes"] += len(want)
    count["attributes"] += sum(len(n[5]) for n in want)
    count["tensors"] += len(tensors) + sum(a[1] == AttributeProto.TENSOR for n in want for a in n[5])


def test_graphs_equal_those_of_the_onnx_package():
    paths, count, refused = files(), Counter(), Counter()
    done = subprocess.run([BUILD / "tests/tools/onnx_dump"], input="\n".join(map(str, paths)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines):
        dump, model = json.loads(line), onnx.load(path)
        why = set(reasons(model))
        if "refused" in dump:
            said = [r for r in why if REASONS[r] in dump["refused"]]
            assert said, f"{path}: refused without a reason: {dump['refused']}"
            refused[said[0]] += 1
        else:
            assert not why, f"{path}: accepted, but {why}"
            try:
                compare(model, dump, count)
            except AssertionError as e:
                raise AssertionError(f"{path}: {e}") from e
            count["files"] += 1
    print("\n" + ", ".join(f"{n} {what}" for what, n in count.items()), "equal; refused:", dict(refused))
    assert count["files"] >= 1000 and count["tensors"] >= 1000 and sum(refused.values()) >= 20
