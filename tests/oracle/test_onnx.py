# SPDX-License-Identifier: Apache-2.0
"""From an ONNX export of the small trained model, in each of the forms of make_onnx.py, fvlm computes what onnxruntime
computes from the same file: image features and logits within a relative L2 of 2e-5, or of 2e-3 if the file's floats have
16 bits. Quantized weights are kept bit for bit where their scales allow it; elsewhere the rounding that fvlm reports is the
one measured here. Forms that onnxruntime has spoiled are refused by name."""

import json
import re
import subprocess

import make_onnx
import numpy as np
import onnx
import onnx_rewrite
import onnx_session
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx_session import relative_l2
from preprocess import read_pixels
from fvlm.reader import Fvlm
from under_test import FVLM, TINY, WORK, activations, fvlm

ROOT = make_onnx.kept(WORK / "onnx")
QUESTION = "What is at the top right?"
BOUND, BOUND_16_BITS = 2e-5, 2e-3
SIXTEEN_BITS = re.compile("fp16|half|f16")

REFUSED = {  # name: what the message must tell
    "ts17-ort-all": "weights are arranged for one kind of CPU",
    "dynamo18-ort-all": "weights are arranged for one kind of CPU",
    "ts17-ort-vit": "(SimplifiedLayerNormalization)",  # a fusion of onnxruntime's that changes what the tower computes
}
ACTIVATIONS_ROUNDED = {  # name: the form before it was quantized
    "community-int8": "community", "community-uint8": "community", "ts17-int8-channel": "ts17",
    "qdq-static-tensor": "ts17", "qdq-static-channel": "ts17",
}  # fmt: skip
EXACT = [n for n in make_onnx.VARIANTS if re.fullmatch("q[48]-b(32|64|128)-sym|q4-embedding-sym|community-q4", n)]  # groups of 16 are not ours
QUANTIZED = [n for n in make_onnx.VARIANTS if re.search("^q|community-.*(q4|bnb4|nf4|int8)|int8", n)]


def variant(name):
    return make_onnx.make(name, ROOT)


@pytest.fixture(scope="module")
def question():
    """Pixels [1, 3, 256, 256] and ids of a question."""
    model = make_onnx.loaded("fused")
    pixels = read_pixels(sorted((TINY / "heldout").glob("*.png"))[0], 256).numpy()
    return pixels, model.prompt_ids(QUESTION), model.config


def convert(name, *options):
    target = ROOT / f"{name}.fvlm"
    report = json.loads(fvlm("convert", variant(name), "-o", target, "--force", "--json", *options))
    return target, report


def by_onnxruntime(name, graphs, question):
    """Image features, and logits of the last position; None without a decoder."""
    pixels, ids, config = question
    # onnxruntime's CPU kernels fail on its own fusions of halves; and of a dequantized weight and a MatMul it makes a
    # MatMulNBits that rounds activations to int8
    options = {"level": ort.GraphOptimizationLevel.ORT_DISABLE_ALL} if SIXTEEN_BITS.search(name) or "qdq" in name else {}
    if not graphs[2].exists():
        return onnx_session.run(graphs[0], {"pixel_values": pixels}, **options)["image_features"][0], None
    image, logits = onnx_session.whole(*graphs, config, pixels, ids, **options)
    return image, logits[-1]


def by_fvlm(file, question):
    pixels, ids, _ = question
    got, _ = activations(file, pixels[0].transpose(1, 2, 0), ids if "llm" in Fvlm(file).config else [])
    return got["projector" if "projector" in got else "vision.final"], got["logits"][-1] if "logits" in got else None


def hold(name, got, want):
    bound = BOUND_16_BITS if SIXTEEN_BITS.search(name) else BOUND
    errors = [relative_l2(g, w) for g, w in zip(got, want) if w is not None]
    print(f"\n{name}: image features {errors[0]:.1e}" + (f", logits {errors[1]:.1e}" if len(errors) > 1 else ""))
    assert all(e <= bound for e in errors), f"{name}: {errors}, allowed {bound}"
    assert got[0].shape == want[0].shape


def float_graphs(name):
    """The files that onnxruntime is to run: the variant's own, or their twins whose activations are not rounded."""
    graphs = onnx_session.graphs_of(variant(name))
    if name not in ACTIVATIONS_ROUNDED:
        return graphs
    twins = []
    for graph, base in zip(graphs, onnx_session.graphs_of(variant(ACTIVATIONS_ROUNDED[name]))):
        twin = ROOT / f"twin-{graph.name}"
        if graph.read_bytes() == base.read_bytes():
            twins.append(base)
        else:
            onnx_rewrite.float_twin(base, graph, twin)
            twins.append(twin)
    return twins


@pytest.mark.parametrize("name", [n for n in make_onnx.VARIANTS if n not in (*REFUSED, *make_onnx.LONGER)])
def test_same_as_onnxruntime(name, question):
    """Quantized weights are taken as the floats they stand for."""
    file, _ = convert(name, *(["--quantized", "float"] if name in QUANTIZED else []))
    hold(name, by_fvlm(file, question), by_onnxruntime(name, float_graphs(name), question))


@pytest.mark.parametrize("name, base", [("ts17-fp16", "ts17"), ("ts17-fp16-io", "ts17")])
def test_halves_as_floats(name, base, question):
    """Without the rounding of activations, which differs between machines, 2e-5 holds: the weights are those of the file."""
    file, _ = convert(name)
    twins = []
    for graph, wide in zip(onnx_session.graphs_of(variant(name)), onnx_session.graphs_of(variant(base))):
        twins.append(ROOT / f"widened-{graph.name}")
        onnx_rewrite.widened_twin(wide, graph, twins[-1])
    name = name.replace("fp16", "widened")
    hold(name, by_fvlm(file, question), by_onnxruntime(name, twins, question))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    target = ROOT / "refused.fvlm"
    done = subprocess.run([FVLM, "convert", variant(name), "-o", target], capture_output=True, text=True)
    assert done.returncode == 1 and REFUSED[name] in done.stderr and "node \"" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not target.exists()


@pytest.mark.parametrize("suffix", ["fp32", "fp16", "q4", "q4f16", "bnb4", "int8", "quantized", "q8", "uint8"])
def test_community_folder(suffix, question):
    """--variant takes the files that the folder of the variant alone has, and the folder's tokenizer.json."""
    alone = {"fp32": "", "quantized": "_int8", "q8": "_int8"}.get(suffix, "_" + suffix)
    target = ROOT / "community.fvlm"
    fvlm("convert", make_onnx.make_community(ROOT), "--variant", suffix, "-o", target, "--force", "-q")
    want, _ = convert(make_onnx.SUFFIXES[alone])
    got, want = Fvlm(target), Fvlm(want)
    assert got.names == want.names and got.tokenizer == want.tokenizer
    assert [got.entries[n].hash for n in got.names] == [want.entries[n].hash for n in want.names]


def layer_name(text):
    """fvlm's name of a language model's matrix, from the exporter's path to its node; None for others."""
    at = re.search(r"layers[./](\d+)[./](?:self_)?(attn|mlp)[./](\w+?)_proj", text)
    if at:
        return f"llm.layer{at[1]}.{'attn' if at[2] == 'attn' else 'ffn'}.{at[3]}.weight"
    at = re.search(r"/projector\.(\d)/", text)
    return f"projector.{at[1]}.weight" if at else "llm.head.weight" if "lm_head" in text else None


def n_bits_weights(path):
    """{fvlm's name: [N, K] floats} of MatMulNBits, by the operator's formula."""
    model = onnx.load(path)
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        a = {x.name: x.i for x in node.attribute}
        n, k, bits, block = a["N"], a["K"], a["bits"], a["block_size"]
        packed = tensors[node.input[1]].reshape(n, -1)
        q = packed if bits == 8 else np.stack([packed & 15, packed >> 4], axis=2).reshape(n, -1)
        scales = tensors[node.input[2]].reshape(n, -1)
        zero = np.full(scales.shape, 1 << (bits - 1))
        if len(node.input) > 3 and node.input[3]:
            z = tensors[node.input[3]].reshape(n, -1)
            zero = (z if bits == 8 else np.stack([z & 15, z >> 4], axis=2).reshape(n, -1))[:, : scales.shape[1]]
        w = (q.astype(np.int32) - zero.repeat(block, 1)).astype(np.float32) * scales.repeat(block, 1).astype(np.float32)
        name = layer_name(node.name)
        if name:
            yield name, w[:, :k]


def kept_exactly(file, folder, report):
    """How many weights keep their codes; each stands for exactly the same floats."""
    f, n = Fvlm(file), 0
    for graph in onnx_session.graphs_of(folder):
        for tensor, want in n_bits_weights(graph):
            if f.entries[tensor].kind == 4:
                assert (f.tensor(tensor).view(np.uint32) == want.view(np.uint32)).all(), tensor
                n += 1
    quantized = report["quantized"]
    assert n and quantized["exact"] == quantized["codes_kept"] >= n, quantized
    return n


@pytest.mark.parametrize("name", EXACT)
def test_carried_over_bit_for_bit(name):
    file, report = convert(name)
    n = kept_exactly(file, variant(name), report)
    print(f"\n{name}: {n} weights compared, {report['quantized']}")


@pytest.mark.parametrize("name", [n for n in QUANTIZED if re.search("asym|q4f16", n) and "embedding" not in n])
def test_rounding_is_as_reported(name):
    """Where scales and offsets have to be rounded to bf16, the relative RMS of the worst weight is what is reported."""
    file, report = convert(name)
    f, worst = Fvlm(file), {}
    for graph in onnx_session.graphs_of(variant(name)):
        for tensor, want in n_bits_weights(graph):
            if f.entries[tensor].kind == 4:
                worst[tensor] = relative_l2(f.tensor(tensor), want)
    quantized = report["quantized"]
    assert len(worst) == quantized["codes_kept"]
    name_of_worst = max(worst, key=worst.get)
    print(f"\n{name}: {quantized}")
    assert worst[name_of_worst] == pytest.approx(quantized["worst_rounding"], rel=0.01, abs=1e-9)
    assert worst[name_of_worst] <= 2**-7


FOLDED_BY_TORCH = r"vision\.stage\d\.block\d+\.ffn\.dw\.(weight|bias)"
BRANCHES_FOLDED_BY_TORCH = r"vision\.(stem\.\d|final\.dw|stage\d\.(downsample\.(dw|pw)|block\d+\.(mixer|ffn\.dw)))\.(weight|bias)"
SAME = [  # form, checkpoint, tensors that may differ by an ulp or two because the exporter folded BatchNorm in f32
    ("ts17", "fused", FOLDED_BY_TORCH), ("ts17-typed", "fused", FOLDED_BY_TORCH), ("ts17-constants", "fused", FOLDED_BY_TORCH),
    ("ts17-external", "fused", FOLDED_BY_TORCH), ("ts17-anonymous", "fused", FOLDED_BY_TORCH), ("ts17-halves-moved", "fused", FOLDED_BY_TORCH), ("dynamo18", "fused", FOLDED_BY_TORCH),
    ("dynamo23", "fused", FOLDED_BY_TORCH), ("community", "fused", FOLDED_BY_TORCH), ("ts17-ort-extended", "fused", FOLDED_BY_TORCH),
    ("ts17-fused-bn-kept", "fused", None), ("ts17-train-time", "unfused", None), ("dynamo18-raw", "unfused", None),
    *((n, "fused", FOLDED_BY_TORCH) for n in make_onnx.LONGER),
    ("ts17-unfused", "unfused", BRANCHES_FOLDED_BY_TORCH), ("dynamo18-unfused", "unfused", BRANCHES_FOLDED_BY_TORCH),
]  # fmt: skip


@pytest.mark.parametrize("name, form, may_differ", SAME)
def test_same_weights_as_from_safetensors(name, form, may_differ):
    """Byte for byte, except what the exporter itself had rounded, and rows of the embedding that no id reaches."""
    source = ROOT / f"safetensors-{form}.fvlm"
    fvlm("convert", TINY / form, "--type", "f32", "-o", source, "--force", "-q")
    want, got = Fvlm(source), Fvlm(convert(name)[0])
    absent = {n for n in want.names if n.startswith("llm.")} if "llm" not in got.config else set()
    assert set(want.names) - set(got.names) == absent
    differing = []
    for tensor in got.names:
        x, y = want.tensor(tensor), got.tensor(tensor)
        if tensor == "llm.embed.weight":
            x = x[: len(y)]
        assert x.shape == y.shape, tensor
        if (x.view(np.uint32) != y.view(np.uint32)).any():
            differing.append(tensor)
            assert may_differ and re.fullmatch(may_differ, tensor), tensor
            assert np.abs(x - y).max() <= 3e-7 * np.abs(x).max(), tensor
    print(f"\n{name}: {len(got.names) - len(differing)} of {len(got.names)} tensors are the same bytes")


def test_enough():
    assert len([n for n in make_onnx.VARIANTS if n not in REFUSED]) >= 24
