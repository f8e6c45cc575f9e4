# SPDX-License-Identifier: Apache-2.0
"""Random cases of every operator that verify/judge knows: shapes, types, attributes and opsets. A case is one node."""

from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

MICROSOFT = "com.microsoft"
F32, F64, I64, I32, U8, I8 = np.float32, np.float64, np.int64, np.int32, np.uint8, np.int8


@dataclass
class Case:
    op: str
    inputs: list  # arrays; None: left out
    attrs: dict = field(default_factory=dict)
    domain: str = ""
    opset: int = 17
    n_outputs: int = 1
    exact: bool = False  # else relative L2 <= 2e-5
    off_by_one: float = 0  # share of quantized outputs that may be one step off, where rounding meets a tie
    constant: tuple = ()  # inputs that are initializers
    beyond_onnxruntime: bool = False  # known to be wrong there: onnx.reference instead


def dims(r, low=1, high=4, most=6):
    return tuple(int(d) for d in r.integers(1, most, r.integers(low, high + 1)))


def real(r, *shape):
    return r.standard_normal(shape).astype(F32)


def whole(r, low, high, shape, dtype=I64):
    return r.integers(low, high, shape).astype(dtype)


def broadcast_pair(r, make):
    """Two arrays whose shapes broadcast."""
    shape = dims(r)
    other = tuple(1 if r.random() < 0.4 else d for d in shape)[int(r.integers(0, len(shape))) :]
    mine = tuple(1 if r.random() < 0.2 else d for d in shape)
    pair = [make(mine), make(other)]
    return pair if r.random() < 0.5 else pair[::-1]


# ---- elementwise ----


def arithmetic(op):
    def case(r):
        kind = r.choice([F32, F32, F32, F64, I64, I32])
        low = 1 if op == "Div" else -9
        make = lambda s: real(r, *s).astype(kind) if kind in (F32, F64) else whole(r, low, 10, s, kind)
        return Case(op, broadcast_pair(r, make), opset=int(r.choice([7, 13, 14, 17])))

    return case


def power(r):
    if r.random() < 0.3:
        return Case("Pow", [whole(r, 1, 5, (3, 4)), whole(r, 0, 4, (4,))], opset=13)
    a, b = broadcast_pair(r, lambda s: np.abs(real(r, *s)) + F32(0.1))
    return Case("Pow", [a, b.astype(r.choice([F32, I64]))], opset=15)


def modulo(r):
    if r.random() < 0.5:
        return Case("Mod", broadcast_pair(r, lambda s: real(r, *s)), {"fmod": 1}, opset=13)
    kind = r.choice([I64, I32, U8])
    make = lambda s: np.where(r.random(s) < 0.5, whole(r, 1, 9, s), whole(r, -9, 0, s) if kind is not U8 else 3).astype(kind)
    return Case("Mod", broadcast_pair(r, make), {"fmod": int(r.integers(0, 2))}, opset=13)


def many(op):
    def case(r):
        kind = F32 if op in ("Sum", "Mean") else r.choice([F32, F64, I64, I32])
        arrays = broadcast_pair(r, lambda s: (3 * real(r, *s)).astype(kind))
        return Case(op, arrays + arrays[: int(r.integers(0, 3))], opset=13)

    return case


def compare(op):
    def case(r):
        kind = r.choice([F32, F64, I64, I32] if op != "Equal" else [F32, I64, I32, np.bool_])
        make = lambda s: whole(r, 0, 3, s, kind)
        return Case(op, broadcast_pair(r, make), opset=16 if "Or" in op else int(r.choice([11, 13, 17])), exact=True)

    return case


def logical(op):
    return lambda r: Case(op, broadcast_pair(r, lambda s: r.random(s) < 0.5), exact=True)


def where(r):
    kind = r.choice([F32, I64, U8])
    x, y = broadcast_pair(r, lambda s: whole(r, 0, 99, s, kind))
    shape = np.broadcast_shapes(x.shape, y.shape)
    return Case("Where", [r.random(shape[int(r.integers(0, len(shape))) :]) < 0.5, x, y], opset=16, exact=True)


def unary(op, opset=13, low=-4.0, high=4.0, kinds=(F32,), domain="", **attrs):
    def case(r):
        x = (low + (high - low) * r.random(dims(r))).astype(r.choice(kinds))
        return Case(op, [x], {k: v(r) for k, v in attrs.items()}, domain, opset)

    return case


def special(op):
    def case(r):
        x = r.choice(np.array([np.nan, np.inf, -np.inf, 1, 0], F32), dims(r))
        attrs = {"detect_negative": int(r.integers(0, 2)), "detect_positive": int(r.integers(0, 2))} if op == "IsInf" else {}
        return Case(op, [x], attrs, exact=True)

    return case


def clip(r):
    if r.random() < 0.3:
        return Case("Clip", [real(r, *dims(r))], {"min": -0.5, "max": 0.7}, opset=6)
    kind = r.choice([F32, F64, I64])
    bound = lambda v: None if r.random() < 0.3 else np.array(v, kind)
    return Case("Clip", [(5 * real(r, *dims(r))).astype(kind), bound(-2), bound(3)], opset=13)


def biased(op):
    def case(r):
        shape = dims(r, 2, 3, 9)
        bias = real(r, shape[-1])
        return Case(op, [real(r, *shape), bias if op == "BiasGelu" or r.random() < 0.5 else None], domain=MICROSOFT)

    return case


def prelu(r):
    shape = dims(r, 2, 4)
    return Case("PRelu", [real(r, *shape), real(r, *(shape[1], *[1] * (len(shape) - 2)))], opset=16)


# ---- shapes and moves ----


def cast(r):
    kinds = [F32, F64, I64, I32, U8, I8, np.float16, np.bool_]
    numbers = {F32: 1, F64: 11, I64: 7, I32: 6, U8: 2, I8: 3, np.float16: 10, np.bool_: 9}
    a, b = r.choice(len(kinds), 2)
    x = (r.random(dims(r)) * 100).astype(kinds[a])
    return Case("Cast", [x], {"to": numbers[kinds[b]]}, opset=int(r.choice([13, 19])), exact=True)


def reshape(r):
    shape = dims(r, 2, 4)
    wanted = [int(np.prod(shape[:2])), *([0] if len(shape) > 2 and shape[1] == shape[2] else []), -1]
    return Case("Reshape", [real(r, *shape), np.array(wanted[:1] + wanted[-1:], I64)], opset=int(r.choice([5, 14])), exact=True)


def flatten(r):
    shape = dims(r)
    return Case("Flatten", [real(r, *shape)], {"axis": int(r.integers(-len(shape), len(shape) + 1))}, exact=True)


def squeeze(r):
    shape = (1, *dims(r, 1, 2), 1)
    if r.random() < 0.3:
        return Case("Squeeze", [real(r, *shape)], {"axes": [0, -1]}, opset=11, exact=True)
    return Case("Squeeze", [real(r, *shape), r.choice([None, 0]) and None or np.array([0, -1], I64)], opset=13, exact=True)


def unsqueeze(r):
    x = real(r, *dims(r, 1, 3))
    axes = [int(r.integers(0, x.ndim + 2)), -1]
    axes = axes if axes[0] != x.ndim + 1 else [0, -1]
    if r.random() < 0.3:
        return Case("Unsqueeze", [x], {"axes": axes}, opset=11, exact=True)
    return Case("Unsqueeze", [x, np.array(axes, I64)], opset=13, exact=True)


def shape_of(r):
    x = real(r, *dims(r))
    return Case("Shape", [x], {"start": int(r.integers(-5, 3)), "end": int(r.integers(-5, 6))}, opset=15, exact=True)


def arange(r):
    kind = r.choice([F32, I64, I32])
    start, step = r.integers(-5, 5), r.choice([1, 2, 3, -1, -2])
    return Case("Range", [np.array(v, kind) for v in (start, start + step * r.integers(0, 6), step)])


def constant_of_shape(r):
    value = r.choice([None, 1])
    attrs = {} if value is None else {"value": np.array([r.integers(0, 9)], r.choice([F32, I64, U8]))}
    return Case("ConstantOfShape", [np.array(dims(r), I64)], attrs, exact=True)


def transpose(r):
    x = r.choice([F32, I64, U8])
    shape = dims(r)
    attrs = {"perm": [int(i) for i in r.permutation(len(shape))]} if r.random() < 0.8 else {}
    return Case("Transpose", [whole(r, 0, 99, shape, x)], attrs, exact=True)


def slices(r):
    shape = dims(r, 1, 4, 9)
    n = int(r.integers(1, len(shape) + 1))
    axes = [int(a) - (len(shape) if r.random() < 0.3 else 0) for a in r.permutation(len(shape))[:n]]
    starts, ends = r.integers(-10, 10, n), r.integers(-12, 12, n)
    if r.random() < 0.2:
        return Case("Slice", [real(r, *shape)], {"starts": starts.tolist(), "ends": ends.tolist(), "axes": axes}, opset=9, exact=True)
    steps = r.choice([1, 2, 3, -1, -2], n)
    last = np.array(steps, I64) if r.random() < 0.7 else None
    return Case("Slice", [real(r, *shape), *(np.array(v, I64) for v in (starts, ends, axes)), last], exact=True)


def concat(r):
    shape = list(dims(r))
    axis = int(r.integers(0, len(shape)))
    parts = [real(r, *[int(r.integers(0, 4)) if i == axis else d for i, d in enumerate(shape)]) for _ in range(r.integers(1, 4))]
    return Case("Concat", parts, {"axis": axis - (len(shape) if r.random() < 0.5 else 0)}, exact=True)


def split(r):
    shape = list(dims(r, 1, 3))
    axis, n = int(r.integers(0, len(shape))), int(r.integers(1, 4))
    lengths = r.integers(1, 4, n)
    shape[axis] = int(lengths.sum())
    how = r.integers(0, 3)
    if how == 0:
        return Case("Split", [real(r, *shape), np.array(lengths, I64)], {"axis": axis}, opset=13, n_outputs=n, exact=True)
    if how == 1:
        return Case("Split", [real(r, *shape)], {"axis": axis, "split": lengths.tolist()}, opset=11, n_outputs=n, exact=True)
    shape[axis] = n * 3
    return Case("Split", [real(r, *shape)], {"axis": axis, "num_outputs": n}, opset=18, n_outputs=n, exact=True)


def expand(r):
    x, y = broadcast_pair(r, lambda s: real(r, *s))
    return Case("Expand", [x, np.array(y.shape, I64)], exact=True)


def tile(r):
    x = real(r, *dims(r, 1, 3))
    return Case("Tile", [x, whole(r, 0, 4, x.ndim)], exact=True)


def pad(r):
    shape = dims(r, 1, 3)
    mode = r.choice(["constant", "edge", "reflect"])
    pads = [int(r.integers(0, d if mode == "reflect" else 4)) for d in shape * 2]
    if r.random() < 0.2:
        return Case("Pad", [real(r, *shape)], {"pads": pads, "mode": mode, "value": 1.5}, opset=10, exact=True)
    if mode == "constant" and r.random() < 0.5:
        pads[0] = -int(r.integers(0, shape[0] + 1))
    return Case("Pad", [real(r, *shape), np.array(pads, I64), np.array(2, F32)], {"mode": mode}, exact=True)


def trilu(r):
    shape = dims(r, 2, 4)
    return Case("Trilu", [real(r, *shape), np.array(r.integers(-6, 7), I64)], {"upper": int(r.integers(0, 2))}, exact=True)


def space(op):
    def case(r):
        b = int(r.integers(1, 4))
        n, c, h, w = dims(r, 4, 4)
        x = real(r, n, c * b * b, h, w) if op == "DepthToSpace" else real(r, n, c, h * b, w * b)
        attrs = {"mode": str(r.choice(["DCR", "CRD"]))} if op == "DepthToSpace" else {}
        return Case(op, [x], {"blocksize": b, **attrs}, opset=13, exact=True)

    return case


# ---- indices ----


def gather(r):
    shape = dims(r)
    axis = int(r.integers(0, len(shape)))
    d = shape[axis]
    kind = r.choice([F32, I64, np.float16])
    return Case("Gather", [whole(r, 0, 99, shape, kind), whole(r, -d, d, dims(r, 0, 2), r.choice([I64, I32]))], {"axis": axis},
                exact=True, constant=(0,) if r.random() < 0.5 else ())


def gather_elements(r):
    shape = dims(r)
    axis = int(r.integers(0, len(shape)))
    picks = tuple(int(r.integers(1, 7)) if i == axis else int(r.integers(1, d + 1)) for i, d in enumerate(shape))
    return Case("GatherElements", [real(r, *shape), whole(r, -shape[axis], shape[axis], picks)], {"axis": axis}, exact=True)


def gather_nd(r):
    shape = dims(r, 2, 4)
    batch = int(r.integers(0, 2))
    depth = int(r.integers(1, len(shape) - batch + 1))
    lead = shape[:batch] + dims(r, 1, 2)
    index = np.stack([whole(r, -d, d, lead) for d in shape[batch : batch + depth]], -1)
    return Case("GatherND", [real(r, *shape), index], {"batch_dims": batch}, opset=13, exact=True)


def scatter_elements(r):
    shape = dims(r)
    axis = int(r.integers(0, len(shape)))
    picks = tuple(int(r.integers(1, d + 1)) for d in shape)
    index = np.argsort(r.random(shape), axis=axis)[tuple(slice(0, p) for p in picks)].astype(I64)  # no index twice
    reduction = str(r.choice(["none", "add", "mul", "min", "max"]))
    return Case("ScatterElements", [real(r, *shape), index, real(r, *picks)], {"axis": axis, "reduction": reduction}, opset=18)


def scatter_nd(r):
    shape = dims(r, 1, 3)
    depth = int(r.integers(1, len(shape) + 1))
    n = int(np.prod(shape[:depth]))
    rows = r.permutation(n)[: int(r.integers(1, n + 1))]
    index = np.stack(np.unravel_index(rows, shape[:depth]), -1).astype(I64)
    reduction = str(r.choice(["none", "add", "mul", "min", "max"]))
    return Case("ScatterND", [real(r, *shape), index, real(r, len(rows), *shape[depth:])], {"reduction": reduction}, opset=18)


def non_zero(r):
    return Case("NonZero", [whole(r, 0, 2, dims(r), r.choice([F32, I64, np.bool_]))], exact=True)


def one_hot(r):
    depth = int(r.integers(1, 6))
    x = whole(r, -depth - 1, depth + 1, dims(r, 1, 3))
    return Case("OneHot", [x, np.array([depth], I64), np.array([2, 5], F32)], {"axis": int(r.integers(-x.ndim - 1, x.ndim + 1))}, exact=True)


# ---- convolutions and pools ----


def window(r, n, most_kernel=4, pads=True):
    """Attributes and an input's spatial shape that goes with them."""
    kernel = [int(k) for k in r.integers(1, most_kernel + 1, n)]
    attrs = {"kernel_shape": kernel, "strides": [int(s) for s in r.integers(1, 4, n)]}
    dilations = [int(d) for d in r.integers(1, 3, n)]
    if r.random() < 0.6:
        attrs["dilations"] = dilations
    else:
        dilations = [1] * n
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    how = r.integers(0, 4)
    if how == 0 and pads and dilations == [1] * n:
        attrs["auto_pad"] = str(r.choice(["SAME_UPPER", "SAME_LOWER"]))
    elif how == 1:
        attrs["auto_pad"] = "VALID"
    elif pads:
        attrs["pads"] = [int(r.integers(0, k)) for k in kernel * 2]
    return attrs, [int(k + r.integers(0, 9)) for k in reach]


def conv(op, domain=""):
    def case(r):
        n = int(r.integers(1, 3)) if op == "Conv" else 2
        attrs, space_dims = window(r, n)
        if r.random() < 0.25:
            attrs, space_dims = {"kernel_shape": [1] * n}, [int(d) for d in r.integers(1, 9, n)]
        group = int(r.choice([1, 1, 2, 3]))
        depth = 1 if r.random() < 0.3 else int(r.integers(1, 6))
        filters, batch = group * int(r.integers(1, 4)), int(r.integers(1, 3))
        x, w = real(r, batch, group * depth, *space_dims), real(r, filters, depth, *attrs["kernel_shape"])
        inputs = [x, w, real(r, filters) if r.random() < 0.6 else None]
        attrs["group"] = group
        if op == "FusedConv":
            kind, params = [("Relu", []), ("LeakyRelu", [0.1]), ("Clip", [0.0, 6.0]), ("HardSigmoid", [0.2, 0.5]), ("Tanh", [])][r.integers(0, 5)]
            attrs |= {"activation": kind, **({"activation_params": params} if params else {})}
        return Case(op, inputs, attrs, domain, opset=int(r.choice([11, 17])), constant=(1,) if r.random() < 0.5 else ())

    return case


def wide_conv(r):
    """Sums of more than 256 products, and the 7x7 and 3x3 depthwise convolutions of FastViTHD."""
    how = r.integers(0, 3)
    if how == 0:
        c = int(r.integers(300, 400))
        return Case("Conv", [real(r, 1, c, 5, 7), real(r, 17, c, 1, 1), real(r, 17)])
    if how == 1:
        return Case("Conv", [real(r, 1, 40, 9, 9), real(r, 5, 40, 3, 3)], {"pads": [1] * 4})
    k = int(r.choice([3, 7]))
    return Case("Conv", [real(r, 1, 6, 20, 23), real(r, 12, 1, k, k), real(r, 12)],
                {"group": 6, "pads": [k // 2] * 4, "strides": [2, 2]})


def pool(op):
    def case(r):
        n = int(r.integers(1, 4))
        attrs, space_dims = window(r, n)
        if op == "AveragePool":
            attrs["count_include_pad"] = int(r.integers(0, 2))
        if "auto_pad" not in attrs:
            attrs["ceil_mode"] = int(r.integers(0, 2))
        return Case(op, [real(r, 2, 3, *space_dims)], attrs, opset=19 if op == "AveragePool" else 12)

    return case


def global_pool(op):
    return lambda r: Case(op, [real(r, *dims(r, 3, 5))])


# ---- matrix products ----


def matmul(r):
    m, k, n = (int(d) for d in r.integers(1, 40, 3))
    a, b = broadcast_pair(r, lambda s: np.zeros(s[-2:]))
    kind = r.choice([F32, F32, F32, F64, I64, I32])
    make = lambda *s: (4 * real(r, *s)).astype(kind)
    x, y = make(*a.shape, m, k), make(*b.shape, k, n)
    how = r.integers(0, 6)
    if how == 0:
        x = make(k)
    if how == 1:
        y = make(k)
    if how == 2:
        k = int(r.integers(260, 700))
        x, y = make(3, 5, k), make(k, n)
    return Case("MatMul", [x, y], opset=13, constant=(1,) if r.random() < 0.5 else ())


def fused_matmul(r):
    m, k, n = (int(d) for d in r.integers(1, 20, 3))
    ta, tb = (int(t) for t in r.integers(0, 2, 2))
    lead = dims(r, 0, 2)
    a, b = real(r, *lead, *((k, m) if ta else (m, k))), real(r, *lead, *((n, k) if tb else (k, n)))
    return Case("FusedMatMul", [a, b], {"transA": ta, "transB": tb, "alpha": float(r.random() + 0.1)}, MICROSOFT)


def gemm(op, domain=""):
    def case(r):
        m, k, n = (int(d) for d in r.integers(1, 30, 3))
        ta, tb = (int(t) for t in r.integers(0, 2, 2))
        c = [None, real(r, n), real(r, m, 1), real(r, m, n), real(r, 1)][r.integers(0, 5)]
        attrs = {"transA": ta, "transB": tb, "alpha": float(r.random() + 0.1), "beta": float(r.random())}
        if op == "FusedGemm":
            attrs["activation"] = str(r.choice(["Relu", "Sigmoid", "Tanh"]))
        return Case(op, [real(r, *((k, m) if ta else (m, k))), real(r, *((n, k) if tb else (k, n))), c], attrs, domain,
                    opset=int(r.choice([11, 13])))

    return case


# ---- normalizations, reductions ----


def softmax(op):
    def case(r):
        shape = dims(r)
        return Case(op, [4 * real(r, *shape)], {"axis": int(r.integers(-len(shape), len(shape)))}, opset=int(r.choice([11, 13])))

    return case


def layer_norm(op, domain="", opset=17):
    def case(r):
        shape = dims(r, 2, 4, 20)
        axis = int(r.integers(1, len(shape))) if op == "LayerNormalization" else len(shape) - 1
        inputs = [real(r, *shape), real(r, *shape[axis:])]
        if op == "LayerNormalization" and r.random() < 0.7:
            inputs.append(real(r, *shape[axis:]))
        return Case(op, inputs, {"axis": axis - (len(shape) if r.random() < 0.5 else 0), "epsilon": float(r.choice([1e-5, 1e-3]))},
                    domain, opset, n_outputs=3 if op == "LayerNormalization" and r.random() < 0.5 else 1)

    return case


def skip_norm(op):
    def case(r):
        b, s, n = int(r.integers(1, 3)), int(r.integers(1, 5)), int(r.integers(2, 40))
        skip = [(b, s, n), (1, s, n), (s, n)][r.integers(0, 3)]
        inputs = [real(r, b, s, n), real(r, *skip), real(r, n)]
        if op == "SkipLayerNormalization":
            inputs.append(real(r, n) if r.random() < 0.7 else None)
        inputs.append(real(r, n) if r.random() < 0.5 else None)
        return Case(op, inputs, {"epsilon": 1e-5}, MICROSOFT, n_outputs=(0, 3) if r.random() < 0.5 else 1)

    return case


def channel_norm(op, opset):
    def case(r):
        shape = dims(r, 3, 4, 7)
        groups = int(r.integers(1, 4))
        if op == "GroupNormalization":
            shape = (shape[0], groups * shape[1], *shape[2:])
        n = groups if op == "GroupNormalization" and opset < 21 else shape[1]
        inputs = [real(r, *shape), real(r, n), real(r, n)]
        if op == "BatchNormalization":
            inputs += [real(r, n), np.abs(real(r, n)) + F32(0.1)]
        attrs = {"num_groups": groups} if op == "GroupNormalization" else {}
        return Case(op, inputs, {"epsilon": 1e-3, **attrs}, opset=opset)

    return case


def reduce(op):
    def case(r):
        shape = dims(r)
        axes = [int(a) - (len(shape) if r.random() < 0.3 else 0) for a in r.permutation(len(shape))[: r.integers(0, len(shape) + 1)]]
        real_only = op in ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean")
        kind = F32 if real_only else r.choice([F32, F32, F64, I64, I32])
        x = (np.abs(2 * real(r, *shape)) + F32(0.5)).astype(kind)
        attrs = {"keepdims": int(r.integers(0, 2))}
        if r.random() < 0.5:
            return Case(op, [x], {**attrs, **({"axes": axes} if axes else {})}, opset=int(r.choice([11, 12])))
        attrs["noop_with_empty_axes"] = int(r.integers(0, 2)) if op in ("ReduceSum", "ReduceMean", "ReduceMax") else 0
        return Case(op, [x, np.array(axes, I64) if axes or r.random() < 0.5 else None], attrs, opset=18)

    return case


def arg(op):
    def case(r):
        shape = dims(r)
        x = whole(r, 0, 4, shape, r.choice([F32, I32]))
        return Case(op, [x], {"axis": int(r.integers(-len(shape), len(shape))), "keepdims": int(r.integers(0, 2)),
                              "select_last_index": int(r.integers(0, 2))}, opset=13, exact=True)

    return case


def cumsum(r):
    shape = dims(r)
    x = (3 * real(r, *shape)).astype(r.choice([F32, I64, I32]))
    return Case("CumSum", [x, np.array(r.integers(-len(shape), len(shape)), I64)],
                {"exclusive": int(r.integers(0, 2)), "reverse": int(r.integers(0, 2))}, opset=14)


def topk(r):
    shape = dims(r, 1, 3, 9)
    axis = int(r.integers(0, len(shape)))
    x = r.permutation(int(np.prod(shape))).reshape(shape).astype(r.choice([F32, I64]))
    return Case("TopK", [x, np.array([r.integers(0, shape[axis] + 1)], I64)], {"axis": axis, "largest": int(r.integers(0, 2))},
                opset=11, n_outputs=2, exact=True)


# ---- quantized ----


def scales(r, shape, how, axis, block):
    """Shape of scales: one, one each of an axis, or one each block."""
    if how == 0:
        return ()
    return (shape[axis],) if how == 1 else tuple(-(-d // block) if i == axis else d for i, d in enumerate(shape))


def quantize(r):
    shape = dims(r, 2, 4, 9)
    how, axis, block = int(r.integers(0, 3)), int(r.integers(0, len(shape))), int(r.choice([2, 3, 4]))
    s = scales(r, shape, how, axis, block)
    kind = r.choice([U8, I8, np.int16, np.uint16, ml_dtypes.int4, ml_dtypes.uint4])
    signed = kind in (I8, np.int16, ml_dtypes.int4)
    zero = whole(r, -3 if signed else 0, 7, s, I32).astype(kind)
    attrs = {} if how == 0 else {"axis": axis, **({"block_size": block} if how == 2 else {})}
    return Case("QuantizeLinear", [3 * real(r, *shape), (r.random(s) * 0.2 + 0.01).astype(F32), zero], attrs, opset=21, exact=True)


def dequantize(r):
    shape = dims(r, 2, 4, 9)
    how, axis, block = int(r.integers(0, 3)), int(r.integers(0, len(shape))), int(r.choice([2, 3, 4]))
    s = scales(r, shape, how, axis, block)
    kind = r.choice([U8, I8, I32, np.int16, ml_dtypes.int4, ml_dtypes.uint4])
    signed = kind not in (U8, ml_dtypes.uint4)
    make = lambda t: whole(r, -8 if signed else 0, 8, t, I32).astype(kind)
    zero = None if kind is I32 or r.random() < 0.3 else make(s)
    attrs = {} if how == 0 else {"axis": axis, **({"block_size": block} if how == 2 else {})}
    return Case("DequantizeLinear", [make(shape), (r.random(s) - 0.5).astype(F32), zero], attrs, opset=21, constant=(0,),
                beyond_onnxruntime=how == 1 and kind in (ml_dtypes.int4, ml_dtypes.uint4))


def dynamic_quantize(r):
    x = real(r, *dims(r, 1, 3, 30)) * F32(r.choice([1e-3, 1, 50]))
    return Case("DynamicQuantizeLinear", [np.abs(x) if r.random() < 0.3 else x], opset=11, n_outputs=3, exact=True)


def matmul_integer(r):
    m, k, n = (int(d) for d in r.integers(1, 40, 3))
    k = int(r.choice([k, 700]))
    lead = dims(r, 0, 2)
    a, b = whole(r, 0, 256, (*lead, m, k), U8), whole(r, -128, 128, (k, n), I8)
    zeros = [np.array(r.integers(0, 256), U8), whole(r, -128, 128, n if r.random() < 0.5 else (), I8)]
    return Case("MatMulInteger", [a, b, *(zeros if r.random() < 0.7 else [None, None])], exact=True, constant=(1, 3))


def matmul_to_float(r):
    m, k, n = (int(d) for d in r.integers(1, 40, 3))
    a, b = whole(r, 0, 256, (m, k), U8), whole(r, -128, 128, (k, n), I8)
    columns = r.random() < 0.5
    return Case("MatMulIntegerToFloat", [a, b, np.array(r.random() + 0.1, F32), (r.random(n if columns else ()) + 0.1).astype(F32),
                                         np.array(r.integers(0, 256), U8), None, real(r, n) if r.random() < 0.5 else None], domain=MICROSOFT)


def dynamic_matmul(r):
    m, k, n = (int(d) for d in r.integers(1, 40, 3))
    return Case("DynamicQuantizeMatMul", [real(r, m, k), whole(r, -128, 128, (k, n), I8), (r.random(n) + 0.1).astype(F32), None,
                                          real(r, n) if r.random() < 0.5 else None], domain=MICROSOFT)


def conv_integer(r):
    attrs, space_dims = window(r, 2)
    if r.random() < 0.3:
        attrs, space_dims = {"kernel_shape": [1, 1]}, [5, 6]
    group, depth = int(r.choice([1, 2])), int(r.choice([1, 3, 300 if attrs["kernel_shape"] == [1, 1] else 4]))
    filters = group * int(r.integers(1, 4))
    x = whole(r, 0, 256, (1, group * depth, *space_dims), U8)
    kind = r.choice([U8, I8])
    w = whole(r, 0, 128, (filters, depth, *attrs["kernel_shape"]), kind)
    zeros = [np.array(r.integers(0, 256), U8), np.array(3, kind)] if r.random() < 0.7 else [None, None]
    return Case("ConvInteger", [x, w, *zeros], {**attrs, "group": group}, exact=True)


def qlinear_conv(r):
    attrs, space_dims = window(r, 2)
    group, depth = int(r.choice([1, 2])), int(r.integers(1, 5))
    filters = group * int(r.integers(1, 4))
    s = lambda *n: (r.random(n) * 0.01 + 0.002).astype(F32)
    x, w = whole(r, 0, 256, (1, group * depth, *space_dims), U8), whole(r, -127, 128, (filters, depth, *attrs["kernel_shape"]), I8)
    each = r.random() < 0.5
    bias = whole(r, -999, 999, filters, I32) if r.random() < 0.5 else None
    return Case("QLinearConv", [x, s(), np.array(120, U8), w, s(filters) if each else s(), np.zeros(filters if each else (), I8),
                                s(), np.array(131, U8), bias], {**attrs, "group": group}, off_by_one=0.02, constant=(3, 4, 5, 8))


def qlinear_matmul(r):
    m, k, n = (int(d) for d in r.integers(1, 40, 3))
    s = lambda *shape: (r.random(shape) * 0.05 + 0.01).astype(F32)
    return Case("QLinearMatMul", [whole(r, 0, 256, (m, k), U8), s(), np.array(120, U8), whole(r, -127, 128, (k, n), I8), s(),
                                  np.array(3, I8), s(), np.array(131, U8)], off_by_one=0.02, constant=(3,))


def nbits(r):
    k, n, bits, block = int(r.integers(1, 150)), int(r.integers(1, 300)), int(r.choice([4, 4, 8, 2])), int(r.choice([16, 32, 64, 128]))
    blocks = -(-k // block)
    w = whole(r, 0, 256, (n, blocks, block * bits // 8), U8)
    zero = [None, whole(r, 0, 256, n * (-(-blocks * bits // 8)), U8), real(r, n * blocks) * 3][r.integers(0, 3 if bits == 4 else 2)]
    return Case("MatMulNBits", [real(r, *dims(r, 1, 2), k), w, real(r, n * blocks), zero, None, real(r, n) if r.random() < 0.3 else None],
                {"K": k, "N": n, "bits": bits, "block_size": block}, MICROSOFT, constant=(1, 2, 3, 5))


def bnb4(r):
    k, n, block = int(r.integers(1, 60)) * 2, int(r.integers(1, 300)), int(r.choice([16, 32, 64]))
    return Case("MatMulBnb4", [real(r, *dims(r, 1, 2), k), whole(r, 0, 256, (n * k + 1) // 2, U8), np.abs(real(r, -(-n * k // block)))],
                {"K": k, "N": n, "block_size": block, "quant_type": int(r.integers(0, 2))}, MICROSOFT, constant=(1, 2))


def gather_quantized(r):
    rows, block = int(r.integers(2, 20)), int(r.choice([16, 32, 64]))
    columns = block * int(r.integers(1, 4)) - int(r.choice([0, 8]))
    kind = r.choice([U8, ml_dtypes.int4, ml_dtypes.uint4])
    bits = int(r.choice([4, 8])) if kind is U8 else 4
    packed = 8 // bits if kind is U8 else 1
    blocks = -(-columns // block)
    low, high = (-8, 8) if kind is ml_dtypes.int4 else (0, 256 if kind is U8 else 16)
    make = lambda *s: whole(r, low, high, s, I32).astype(kind)
    zero = make(rows, -(-blocks // packed)) if r.random() < 0.5 else None
    return Case("GatherBlockQuantized", [make(rows, columns // packed), whole(r, 0, rows, dims(r, 1, 2), r.choice([I64, I32])),
                                         real(r, rows, blocks), zero],
                {"block_size": block, "bits": bits, "gather_axis": 0, "quantize_axis": 1}, MICROSOFT, constant=(0, 2, 3))


# ---- attention ----


def rotary(r):
    n, width, length, batch = int(r.integers(1, 4)), int(r.choice([4, 8, 16])), int(r.integers(1, 6)), int(r.integers(1, 3))
    rotated = width // 2 if r.random() < 0.3 else 0
    table = real(r, 20, (rotated or width) // 2), real(r, 20, (rotated or width) // 2)
    x = real(r, batch, n, length, width) if r.random() < 0.5 else real(r, batch, length, n * width)
    ids = whole(r, 0, 20, (batch, length)) if r.random() < 0.7 else np.array([3], I64)
    attrs = {"interleaved": int(r.integers(0, 2))}
    if rotated or r.random() < 0.5:
        attrs |= {"num_heads": n, "rotary_embedding_dim": rotated}
    return Case("RotaryEmbedding", [x, ids, *table], attrs, MICROSOFT)


def onnx_rotary(r):
    n, width, length, batch = int(r.integers(1, 4)), int(r.choice([4, 8, 16])), int(r.integers(1, 6)), int(r.integers(1, 3))
    rotated = width // 2 if r.random() < 0.3 else 0
    half = (rotated or width) // 2
    ids = whole(r, 0, 20, (batch, length)) if r.random() < 0.6 else None
    lead = (20,) if ids is not None else (batch, length)
    x = real(r, batch, n, length, width) if r.random() < 0.5 else real(r, batch, length, n * width)
    return Case("RotaryEmbedding", [x, real(r, *lead, half), real(r, *lead, half), ids],
                {"interleaved": int(r.integers(0, 2)), "num_heads": n, "rotary_embedding_dim": rotated}, opset=23)


def group_attention(r):
    kv, times, width, batch = int(r.integers(1, 3)), int(r.integers(1, 4)), int(r.choice([8, 16, 32])), 1
    n = kv * times
    past = int(r.choice([0, 0, 3, 7]))
    length = int(r.integers(1, 6)) if past == 0 or r.random() < 0.5 else 1
    total = past + length
    rotate = int(r.integers(0, 2))
    if r.random() < 0.3:
        qkv = [real(r, batch, length, (n + 2 * kv) * width), None, None]
    else:
        qkv = [real(r, batch, length, n * width), real(r, batch, length, kv * width), real(r, batch, length, kv * width)]
    cache = [real(r, batch, kv, past, width), real(r, batch, kv, past, width)]
    tables = [real(r, 32, width // 2), real(r, 32, width // 2)] if rotate else [None, None]
    attrs = {"num_heads": n, "kv_num_heads": kv, "do_rotary": rotate}
    if rotate:
        attrs["rotary_interleaved"] = int(r.integers(0, 2))
    if r.random() < 0.3:
        attrs["scale"] = 0.2
    if r.random() < 0.3:
        attrs["softcap"] = 5.0
    if r.random() < 0.3:
        attrs["local_window_size"] = int(r.integers(1, 6))
    extra = [None, real(r, batch, 1, length, total)] if r.random() < 0.3 else []
    return Case("GroupQueryAttention", [*qkv, *cache, np.array([total - 1], I32), np.array(total, I32), *tables, *extra], attrs,
                MICROSOFT, n_outputs=3)


def multi_head(r):
    n, width, length, batch = int(r.integers(1, 4)), int(r.choice([4, 8])), int(r.integers(1, 6)), int(r.integers(1, 3))
    keys, hidden = int(r.integers(1, 7)), n * width
    how = r.integers(0, 4)
    past, bias, mask, scores = [None, None], None, None, None
    if how == 0:
        qkv, keys = [real(r, batch, length, n, 3, width), None, None], length
    elif how == 1:
        qkv = [real(r, batch, length, hidden), real(r, batch, keys, n, 2, width), None]
    elif how == 2:
        qkv = [real(r, batch, length, hidden), real(r, batch, n, keys, width), real(r, batch, n, keys, width)]
    else:
        qkv = [real(r, batch, length, hidden), real(r, batch, keys, hidden), real(r, batch, keys, hidden)]
        if r.random() < 0.5:
            bias = real(r, 3 * hidden)
        if r.random() < 0.4:
            past = [real(r, batch, n, 3, width), real(r, batch, n, 3, width)]
    total = keys + (3 if past[0] is not None else 0)
    if how == 3 and past[0] is None and r.random() < 0.4:
        mask = whole(r, 0, 2, (batch, total), I32)
        mask[:, 0] = 1  # scores less 10000 lose their digits in f32
    if r.random() < 0.4:
        scores = real(r, int(r.choice([1, batch])), int(r.choice([1, n])), length, total)
    attrs = {"num_heads": n}
    if r.random() < 0.3:
        attrs["scale"] = 0.3
    if r.random() < 0.5 and length == keys:
        attrs["unidirectional"] = 1
    return Case("MultiHeadAttention", [*qkv, bias, mask, scores, *past], attrs, MICROSOFT, n_outputs=3 if past[0] is not None else 1)


def projecting_attention(r):
    n, width, length, batch = int(r.integers(1, 4)), int(r.choice([4, 8])), int(r.integers(1, 6)), int(r.integers(1, 3))
    hidden, inside = n * width, int(r.integers(2, 20))
    past = real(r, 2, batch, n, 3, width) if r.random() < 0.4 else None
    total = length + (3 if past is not None else 0)
    mask = [None, whole(r, 1, total + 1, batch, I32), whole(r, 0, 2, (batch, total), I32), whole(r, 0, 2, (batch, length, total), I32)]
    mask = mask[r.integers(0, 4)] if past is None else None
    if mask is not None and mask.ndim > 1:
        mask[..., 0] = 1
    attrs = {"num_heads": n, "unidirectional": int(r.integers(0, 2))}
    return Case("Attention", [real(r, batch, length, inside), real(r, inside, 3 * hidden), real(r, 3 * hidden), mask, past,
                              real(r, batch, n, length, total) if r.random() < 0.3 else None], attrs, MICROSOFT,
                n_outputs=2 if past is not None else 1, constant=(1, 2))


def onnx_attention(r):
    kv, times, width, value, batch = int(r.integers(1, 3)), int(r.integers(1, 4)), int(r.choice([4, 8])), int(r.choice([4, 8])), int(r.integers(1, 3))
    n, length, keys = kv * times, int(r.integers(1, 6)), int(r.integers(1, 7))
    past = int(r.choice([0, 3]))
    if r.random() < 0.5:
        qkv, attrs = [real(r, batch, n, length, width), real(r, batch, kv, keys, width), real(r, batch, kv, keys, value)], {}
    else:
        qkv = [real(r, batch, length, n * width), real(r, batch, keys, kv * width), real(r, batch, keys, kv * value)]
        attrs = {"q_num_heads": n, "kv_num_heads": kv}
    cache = [real(r, batch, kv, past, width), real(r, batch, kv, past, value)] if past else [None, None]
    total = past + keys
    mask = [None, real(r, length, total), real(r, batch, 1, length, total), r.random((length, total)) < 0.7, r.random((batch, n, length, total)) < 0.7]
    mask = mask[r.integers(0, 5)]
    if r.random() < 0.4:
        attrs["is_causal"] = 1
    if r.random() < 0.3:
        attrs["scale"] = 0.3
    if r.random() < 0.3:
        attrs["softcap"] = 2.0
    return Case("Attention", [*qkv, mask, *cache], attrs, opset=24, n_outputs=3 if past else 1)


FLOATS = (F32, F32, F64)
SIGNED = (F32, F64, I64, I32, I8)
ALPHA = lambda r: float(r.random() + 0.1)

CASES = {
    **{op: arithmetic(op) for op in ("Add", "Sub", "Mul", "Div")},
    "Pow": power, "Mod": modulo, "PRelu": prelu, "Clip": clip,
    **{op: many(op) for op in ("Min", "Max", "Sum", "Mean")},
    **{op: lambda r, op=op: Case(op, broadcast_pair(r, lambda s: whole(r, 0, 99, s, r.choice([I64]))), opset=18, exact=True)
       for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    **{op: compare(op) for op in ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")},
    **{op: logical(op) for op in ("And", "Or", "Xor")},
    "Not": lambda r: Case("Not", [r.random(dims(r)) < 0.5], exact=True),
    "Where": where, "IsNaN": special("IsNaN"), "IsInf": special("IsInf"),
    **{op: unary(op, kinds=SIGNED) for op in ("Abs", "Neg", "Sign")},
    "Relu": unary("Relu", 14, kinds=SIGNED),
    **{op: unary(op, kinds=FLOATS) for op in ("Exp", "Tanh", "Sigmoid", "Floor", "Ceil")},
    **{op: unary(op) for op in ("Erf", "Softsign", "Softplus", "Sinh", "Cosh", "Asinh", "Atan", "Tan")},
    "Round": unary("Round", low=-9, high=9),
    **{op: unary(op, 7, kinds=FLOATS) for op in ("Sin", "Cos")},
    **{op: unary(op, low=0.1, high=9) for op in ("Sqrt", "Log", "Reciprocal")},
    **{op: unary(op, low=-0.9, high=0.9) for op in ("Asin", "Acos", "Atanh")},
    "Acosh": unary("Acosh", low=1.1, high=9),
    "HardSwish": unary("HardSwish", 14), "Mish": unary("Mish", 18),
    "HardSigmoid": unary("HardSigmoid", alpha=ALPHA, beta=ALPHA), "LeakyRelu": unary("LeakyRelu", 16, alpha=ALPHA),
    "Elu": unary("Elu", alpha=ALPHA), "Selu": unary("Selu", alpha=ALPHA, gamma=ALPHA), "Celu": unary("Celu", alpha=ALPHA),
    "ThresholdedRelu": unary("ThresholdedRelu", alpha=ALPHA), "Swish": unary("Swish", 24, alpha=ALPHA),
    "Gelu": unary("Gelu", 20, approximate=lambda r: str(r.choice(["none", "tanh"]))),
    "com.microsoft.Gelu": unary("Gelu", domain=MICROSOFT), "QuickGelu": unary("QuickGelu", domain=MICROSOFT, alpha=ALPHA),
    "BiasGelu": biased("BiasGelu"), "FastGelu": biased("FastGelu"),
    "Cast": cast, "CastLike": lambda r: Case("CastLike", [r.random(dims(r)).astype(F32) * 9, np.zeros(2, r.choice([I64, F64, U8]))], exact=True),
    "Identity": lambda r: Case("Identity", [real(r, *dims(r))], exact=True),
    "Dropout": lambda r: Case("Dropout", [real(r, *dims(r))], opset=int(r.choice([10, 13])), n_outputs=int(r.integers(1, 3)), exact=True),
    "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Shape": shape_of,
    "Size": lambda r: Case("Size", [real(r, *dims(r))], exact=True), "Range": arange, "ConstantOfShape": constant_of_shape,
    "Transpose": transpose, "Slice": slices, "Concat": concat, "Split": split, "Expand": expand, "Tile": tile, "Pad": pad,
    "Trilu": trilu, "DepthToSpace": space("DepthToSpace"), "SpaceToDepth": space("SpaceToDepth"),
    "Gather": gather, "GatherElements": gather_elements, "GatherND": gather_nd, "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd, "NonZero": non_zero, "OneHot": one_hot,
    "Conv": conv("Conv"), "Conv, wide": wide_conv, "FusedConv": conv("FusedConv", MICROSOFT),
    "MaxPool": pool("MaxPool"), "AveragePool": pool("AveragePool"),
    "GlobalMaxPool": global_pool("GlobalMaxPool"), "GlobalAveragePool": global_pool("GlobalAveragePool"),
    "MatMul": matmul, "FusedMatMul": fused_matmul, "Gemm": gemm("Gemm"), "FusedGemm": gemm("FusedGemm", MICROSOFT),
    "Softmax": softmax("Softmax"), "LogSoftmax": softmax("LogSoftmax"),
    "LayerNormalization": layer_norm("LayerNormalization"), "RMSNormalization": layer_norm("RMSNormalization", opset=23),
    "SimplifiedLayerNormalization": layer_norm("SimplifiedLayerNormalization"),
    "SkipLayerNormalization": skip_norm("SkipLayerNormalization"),
    "SkipSimplifiedLayerNormalization": skip_norm("SkipSimplifiedLayerNormalization"),
    "BatchNormalization": channel_norm("BatchNormalization", 15), "InstanceNormalization": channel_norm("InstanceNormalization", 6),
    "GroupNormalization": channel_norm("GroupNormalization", 21),
    **{f"Reduce{op}": reduce(f"Reduce{op}") for op in ("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp")},
    "ArgMax": arg("ArgMax"), "ArgMin": arg("ArgMin"), "CumSum": cumsum, "TopK": topk,
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "DynamicQuantizeLinear": dynamic_quantize,
    "MatMulInteger": matmul_integer, "MatMulIntegerToFloat": matmul_to_float, "DynamicQuantizeMatMul": dynamic_matmul,
    "ConvInteger": conv_integer, "QLinearConv": qlinear_conv, "QLinearMatMul": qlinear_matmul,
    "MatMulNBits": nbits, "MatMulBnb4": bnb4, "GatherBlockQuantized": gather_quantized,
    "com.microsoft.RotaryEmbedding": rotary, "RotaryEmbedding": onnx_rotary, "GroupQueryAttention": group_attention,
    "MultiHeadAttention": multi_head, "com.microsoft.Attention": projecting_attention, "Attention": onnx_attention,
}  # fmt: skip
