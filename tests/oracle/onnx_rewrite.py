# SPDX-License-Identifier: Apache-2.0
"""What people do to an exported graph before they publish it: half precision, onnxruntime's optimizers, its quantizers.
And what a library may do when it writes one: other places for the same numbers."""

import logging
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers import float16, optimizer

for name in ("onnxruntime.quantization.matmul_nbits_quantizer", "onnxruntime.transformers", "root"):
    logging.getLogger(name).setLevel(logging.ERROR)
logging.getLogger().setLevel(logging.ERROR)
ort.set_default_logger_severity(3)

LEVELS = {
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def half(source, target, keep_io_types=True, **options):
    model = float16.convert_float_to_float16(onnx.load(source), keep_io_types=keep_io_types, **options)
    onnx.save(model, target)


def optimized(source, target, level):
    """The graph that a session of this level would run, saved."""
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(target)
    ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def transformers_fused(source, target, kind, heads, hidden):
    """onnxruntime.transformers.optimizer: fusions written in Python, for `kind` of model."""
    model = optimizer.optimize_model(str(source), model_type=kind, num_heads=heads, hidden_size=hidden, opt_level=0)
    model.save_model_to_file(str(target))


def nbits(source, target, bits=4, block=32, symmetric=True, gather=False, qdq=False, **options):
    """MatMulNBits, and GatherBlockQuantized where the embedding is quantized too; or DequantizeLinear in blocks."""
    form = quantization.QuantFormat.QDQ if qdq else quantization.QuantFormat.QOperator
    quantizer = MatMulNBitsQuantizer(
        onnx.load(source), bits, block, symmetric, quant_format=form, op_types_to_quantize=("Gather",) if gather else ("MatMul",),
        quant_axes=(("MatMul", 0), ("Gather", 1)), **options,
    )  # fmt: skip
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def bnb4(source, target, kind, block=64):
    kinds = {"fp4": MatMulBnb4Quantizer.FP4, "nf4": MatMulBnb4Quantizer.NF4}
    quantizer = MatMulBnb4Quantizer(onnx.load(source), kinds[kind], block)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def dynamic(source, target, unsigned=False, per_channel=False):
    """DynamicQuantizeLinear with MatMulInteger and ConvInteger."""
    kind = quantization.QuantType.QUInt8 if unsigned else quantization.QuantType.QInt8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize_dynamic(source, target, weight_type=kind, per_channel=per_channel,
                                      extra_options={"DefaultTensorType": TensorProto.FLOAT})  # fmt: skip


class OnePicture(quantization.CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter([feeds])

    def get_next(self):
        return next(self.feeds, None)


def static(source, target, feeds, per_channel=False, **options):
    """QuantizeLinear and DequantizeLinear around everything, calibrated with one input."""
    quantization.quantize_static(source, target, OnePicture(feeds), per_channel=per_channel, **options)


def weight_only_qdq(source, target, per, bits=8, block=32):
    """DequantizeLinear on the weights alone: one scale per tensor, per output channel or per block of inputs."""
    model = onnx.load(source)
    graph, stored = model.graph, {t.name: t for t in model.graph.initializer}
    kind = {4: TensorProto.INT4, 8: TensorProto.INT8}[bits]
    top = 2 ** (bits - 1) - 1
    new_nodes = []
    for node in graph.node:
        weight = stored.get(node.input[1]) if node.op_type in ("MatMul", "Gemm", "Conv") and len(node.input) > 1 else None
        conv = node.op_type == "Conv"
        if weight is not None and len(weight.dims) >= 2 and (per != "block" or not conv):
            w = numpy_helper.to_array(weight)
            channel = 0 if conv else 1
            if per == "tensor":
                s, axis = np.abs(w).max() / top, {}
                grid = s
            elif per == "channel":
                s = np.abs(w).max(axis=tuple(a for a in range(w.ndim) if a != channel)) / top
                grid, axis = s.reshape([-1 if a == channel else 1 for a in range(w.ndim)]), {"axis": channel}
            else:
                s = np.abs(w.reshape(-1, block, w.shape[1])).max(axis=1) / top
                grid, axis = np.repeat(s, block, axis=0), {"axis": 0, "block_size": block}
            q = np.clip(np.rint(w / grid), -top - 1, top).astype(np.int8)
            name = weight.name
            tensors = [numpy_helper.from_array(np.asarray(s, np.float32), name + "_scale")]
            if bits == 4:
                low, high = (np.append(q.ravel(), [0] * (q.size % 2)).astype(np.uint8).reshape(-1, 2) & 15).T
                packed = (low | high << 4).tobytes()
                tensors.append(helper.make_tensor(name + "_quantized", kind, q.shape, packed, raw=True))
            else:
                tensors.append(numpy_helper.from_array(q, name + "_quantized"))
            if f"{name}_scale" not in stored:
                graph.initializer.extend(tensors)
                stored[f"{name}_scale"] = tensors[0]
                inputs, outputs = [name + "_quantized", name + "_scale"], [name + "_dequantized"]
                new_nodes.append(helper.make_node("DequantizeLinear", inputs, outputs, name + "_DequantizeLinear", **axis))
            node.input[1] = name + "_dequantized"
        new_nodes.append(node)
    del graph.node[:]
    graph.node.extend(new_nodes)
    used = {name for node in graph.node for name in node.input}
    for t in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(t)
    if per == "block" or bits == 4:
        model.opset_import[0].version, model.ir_version = 21, 10
    onnx.save(model, target)


def halves_moved(source, target):
    """The half of a spelled GELU goes into the weights of the layer that reads it, where that is the only one: onnxsim does so."""
    model = onnx.load(source)
    graph = model.graph
    stored = {t.name: t for t in graph.initializer}
    scalars = {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    moved = 0
    for node in [n for n in graph.node if n.op_type == "Mul"]:
        readers = [n for n in graph.node if node.output[0] in n.input]
        if scalars.get(node.input[1], np.zeros(2)).size != 1 or scalars.get(node.input[1]) != 0.5 or len(readers) != 1:
            continue
        reader = readers[0]
        if reader.op_type not in ("Conv", "MatMul") or reader.input[1] not in stored:
            continue
        half = numpy_helper.to_array(stored[reader.input[1]]) * np.float32(0.5)
        graph.initializer.append(numpy_helper.from_array(half, f"half_{moved}"))
        reader.input[0], reader.input[1] = node.input[0], f"half_{moved}"
        graph.node.remove(node)
        moved += 1
    assert moved, source
    onnx.save(model, target)


def typed_fields(source, target):
    """Every number in float_data, int64_data, int32_data (halves as their bits) instead of raw_data."""
    model = onnx.load(source)

    def moved(t):
        a = numpy_helper.to_array(t)
        values = a.view(np.uint16) if a.dtype == np.float16 else a
        new = TensorProto(name=t.name, data_type=t.data_type, dims=t.dims)
        field = {TensorProto.FLOAT: new.float_data, TensorProto.INT64: new.int64_data, TensorProto.DOUBLE: new.double_data}
        field.get(t.data_type, new.int32_data).extend(values.ravel().tolist())
        t.CopyFrom(new)

    for t in model.graph.initializer:
        moved(t)
    for node in model.graph.node:
        for a in node.attribute:
            if a.type == onnx.AttributeProto.TENSOR:
                moved(a.t)
    onnx.save(model, target)


def constant_nodes(source, target):
    """No initializers: a Constant node for each, as some converters leave them."""
    model = onnx.load(source)
    nodes = [helper.make_node("Constant", [], [t.name], "Constant_" + t.name, value=t) for t in model.graph.initializer]
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)


def external(source, target, one_file=True):
    """Weights beside the graph: in NAME.onnx_data, or in a file each."""
    onnx.save(onnx.load(source), target, save_as_external_data=True, all_tensors_to_one_file=one_file,
              location=target.name + "_data" if one_file else None, size_threshold=256)  # fmt: skip


def anonymous(source, target):
    """Nodes without names, values and weights with names that tell nothing, as minifiers write them."""
    model = onnx.load(source)
    graph = model.graph
    kept = {v.name for v in [*graph.input, *graph.output]}
    names = {"": ""}

    def new(name):
        return name if name in kept else names.setdefault(name, f"t{len(names)}")

    for node in graph.node:
        node.name = ""
        for field in (node.input, node.output):
            values = [new(name) for name in field]
            del field[:]
            field.extend(values)
    for t in graph.initializer:
        t.name = new(t.name)
    del graph.value_info[:]
    onnx.save(model, target)


def dequantized(tensors, name):
    """The floats that NAME_quantized stands for, or None."""
    q = tensors.get(name + "_quantized")
    if q is None:
        return None
    scale = next(tensors[name + s] for s in ("_scale", "_quantized_scale") if name + s in tensors)
    zeros = [tensors[name + s] for s in ("_zero_point", "_quantized_zero_point") if name + s in tensors]
    zero = zeros[0] if zeros else np.zeros_like(scale, np.int8)
    if scale.size > 1 and q.ndim > 1:  # by output channel: the first axis of a kernel, the second of a [K, N] matrix
        shape = [-1 if a == (0 if q.ndim == 4 else 1) else 1 for a in range(q.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((q.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale.astype(np.float32)).reshape(q.shape)


def float_twin(base, quantized, target):
    """The base's graph with the weights that onnxruntime's quantizer left, dequantized: what is computed if only weights
    are rounded, and activations are not."""
    model = onnx.load(base)
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(quantized).graph.initializer}
    n = 0
    for t in model.graph.initializer:
        w = dequantized(tensors, t.name)
        if w is not None:
            t.CopyFrom(numpy_helper.from_array(w.reshape(tuple(t.dims)), t.name))
            n += 1
    assert n, quantized
    onnx.save(model, target)


def widened_twin(base, halves, target):
    """The base's graph with the weights of its FLOAT16 rewrite: what is computed if only weights are rounded. Scalars, such
    as GELU's root of 2, and tables of the rotation stay as they are; fvlm has its own."""
    model = onnx.load(base)
    narrow = {t.name: t for t in onnx.load(halves).graph.initializer if t.data_type == TensorProto.FLOAT16}
    n = 0
    for t in model.graph.initializer:
        if t.data_type == TensorProto.FLOAT and t.dims and t.name in narrow and t.name not in ("cos_cache", "sin_cache"):
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(narrow[t.name]).astype(np.float32), t.name))
            n += 1
    assert n, halves
    onnx.save(model, target)


def cut_at_rounding(source, watched, cut):
    """Two graphs for comparing two interpreters of one that rounds activations, where one ulp can become a whole step:
    `watched` puts out what goes into and comes out of every rounding; `cut` takes the latter as inputs instead. Returns the
    names of either."""
    model = onnx.load(source)
    graph = model.graph
    stored = {t.name: t.data_type for t in graph.initializer}
    rounding = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DynamicQuantizeLinear")]
    given = {v.name for v in graph.input}
    before = [name for name in dict.fromkeys(n.input[0] for n in rounding) if name not in given]
    after = {}
    for n in rounding:
        dynamic = n.op_type[0] == "D"
        kinds = (TensorProto.UINT8, TensorProto.FLOAT, TensorProto.UINT8) if dynamic else (stored[n.input[2]],)
        after |= zip(n.output, kinds)
    values = [helper.make_tensor_value_info(name, kind, None) for name, kind in after.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in before]
    graph.output.extend([*ends, *values])
    onnx.save(model, watched)
    for node in rounding:
        graph.node.remove(node)
    for _ in values:
        graph.output.pop()
    graph.input.extend(values)
    onnx.save(model, cut)
    return before, list(after)
