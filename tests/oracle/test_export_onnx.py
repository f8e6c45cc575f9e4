# SPDX-License-Identifier: Apache-2.0
"""`fvlm export --to onnx`: onnx.checker accepts the graphs, and onnxruntime, running them as transformers.js does, computes
what fvlm does in f32: image features and logits of the prompt within a relative L2 of 2e-5, and the same 32 greedy tokens,
one by one through the caches. The trained model as it is and quantized in every way that the export spells differently.
Converting the export gives each tensor its bytes back, or the same values where bf16 became FLOAT."""

import shutil

import make_onnx
import numpy as np
import onnx
import onnx_session
import pytest
from fvlm.reader import Fvlm
from onnx_session import relative_l2
from preprocess import IMAGE, read_pixels
from under_test import TINY, WORK, activations, fvlm

BOUND, N_NEW = 2e-5, 32
QUESTION = "Describe the picture."
QUANTIZED = ["int8", "int4", "int4-sym-g32", "int8-asym-g128", "int4-sym-row", "int8-sym-row", "int8-asym-row"]
SUFFIX = {"float": "", "f16": "_fp16"} | {t: "_q4" if t.startswith("int4") else "_int8" for t in QUANTIZED}


@pytest.fixture(scope="module")
def source():
    WORK.mkdir(parents=True, exist_ok=True)
    out = WORK / "export-onnx-float.fvlm"
    fvlm("convert", TINY / "unfused", "-o", out, "--force", "-q")
    return out


def make(source, kind):
    """The model and its export."""
    file, folder = source.with_name(f"export-onnx-{kind}.fvlm"), WORK / f"export-onnx-{kind}"
    if kind == "f16":
        fvlm("convert", TINY / "unfused", "--type", "f16", "-o", file, "--force", "-q")
    elif kind != "float":
        fvlm("quant", source, "--type", kind, "-o", file, "--force", "-q")
    shutil.rmtree(folder, ignore_errors=True)
    fvlm("export", file, "--to", "onnx", "-o", folder, "-q")
    names = ("vision_encoder", "embed_tokens", "decoder_model_merged")
    return file, folder, [folder / "onnx" / f"{n}{SUFFIX[kind]}.onnx" for n in names]


class Onnx:
    """The three graphs in onnxruntime, with caches."""

    def __init__(self, graphs, config):
        self.vision, self.embed, self.decoder = (onnx_session.session(g) for g in graphs)
        self.caches, self.position = onnx_session.empty_caches(config), 0

    def forward(self, rows):
        """Logits of every row; rows [1, n, hidden]."""
        n = rows.shape[1]
        at = np.arange(self.position, self.position + n, dtype=np.int64)[None]
        self.position += n
        feeds = {"inputs_embeds": rows, "position_ids": at, "attention_mask": np.ones((1, self.position), np.int64)}
        out = self.decoder.run(None, feeds | self.caches)
        names = [o.name.replace("present", "past_key_values") for o in self.decoder.get_outputs()]
        self.caches = dict(zip(names[1:], out[1:]))
        return out[0][0]

    def rows_of(self, ids):
        return self.embed.run(None, {"input_ids": np.array([ids], np.int64)})[0]


@pytest.mark.parametrize("kind", SUFFIX)
def test_onnxruntime(source, kind):
    file, folder, graphs = make(source, kind)
    for g in graphs:
        onnx.checker.check_model(str(g), full_check=True)
        model = onnx.load(g)
        assert model.producer_name == "fvlm" and {p.key for p in model.metadata_props} >= {"fvlm.identity", "fvlm.provenance"}
    reference = make_onnx.loaded("fused")
    ids = reference.prompt_ids(QUESTION)
    pixels = read_pixels(sorted((TINY / "heldout").glob("*.png"))[0], reference.image_size).numpy()
    want, want_ids = activations(file, pixels[0].transpose(1, 2, 0), ids, N_NEW)
    m = Onnx(graphs, reference.config)
    image = m.vision.run(None, {"pixel_values": pixels})[0]
    at = ids.index(IMAGE)
    logits = m.forward(np.concatenate([m.rows_of(ids[:at]), image, m.rows_of(ids[at + 1 :])], axis=1))
    errors = relative_l2(image[0], want["projector"]), relative_l2(logits[-1], want["logits"][-1])
    print(f"{kind:16} image {errors[0]:.1e}  logits {errors[1]:.1e}")
    assert max(errors) <= BOUND
    got_ids = []
    for _ in want_ids:
        got_ids.append(int(logits[-1].argmax()))
        logits = m.forward(m.rows_of(got_ids[-1:]))
    assert got_ids == want_ids and len(want_ids) > 4


@pytest.mark.parametrize("kind", SUFFIX)
def test_back(source, kind):
    file, folder, _ = make(source, kind)
    back = file.with_suffix(".back")
    fvlm("convert", folder, "-o", back, "--force", "-q")
    a, b = Fvlm(file), Fvlm(back)
    assert (a.names, a.config, a.tokenizer) == (b.names, b.config, b.tokenizer)
    for name in a.names:
        x, y = a.entries[name], b.entries[name]
        if x.kind == 3:
            assert y.kind == 1 and np.array_equal(a.tensor(name), b.tensor(name)), name
        else:
            assert (x.kind, x.bits, x.asym, x.group, x.hash) == (y.kind, y.bits, y.asym, y.group, y.hash), name


def test_other_sizes(source):
    """Height and width are free: 128 x 192 has 2 x 3 tokens; a batch of two gives what its pictures give alone."""
    _, _, graphs = make(source, "float")
    session = onnx_session.session(graphs[0])
    pixels = np.random.default_rng(1).random((2, 3, 128, 192), np.float32)
    both = session.run(None, {"pixel_values": pixels})[0]
    assert both.shape[:2] == (2, 6)
    assert relative_l2(both[1], session.run(None, {"pixel_values": pixels[1:]})[0][0]) <= 1e-6
