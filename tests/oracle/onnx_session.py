# SPDX-License-Identifier: Apache-2.0
"""onnxruntime as the oracle: the three graphs of a folder, run one after another as transformers.js does."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from preprocess import IMAGE

ort.set_default_logger_severity(3)
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def session(path, threads=2, level=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if level is not None:
        options.graph_optimization_level = level
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, feeds, outputs=None, **options):
    """{output: array in f32}; only the feeds that the graph has, in its own type of floats."""
    s = session(path, **options)
    inputs = {i.name: i.type for i in s.get_inputs()}
    given = {}
    for name, kind in inputs.items():
        x = feeds[name]
        given[name] = x.astype(FLOATS[kind]) if kind in FLOATS else x
    names = outputs or [o.name for o in s.get_outputs()]
    return {n: x.astype(np.float32) for n, x in zip(names, s.run(names, given))}


def empty_caches(config):
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    shape = (1, config["num_key_value_heads"], 0, dim)
    names = (f"past_key_values.{n}.{what}" for n in range(config["num_hidden_layers"]) for what in ("key", "value"))
    return {name: np.zeros(shape, np.float32) for name in names}


def whole(vision, embed, decoder, config, pixels, ids, **options):
    """pixels [1, 3, H, W], ids with -200 for the picture -> image_features [tokens, hidden], logits [positions, rows]."""
    image = run(vision, {"pixel_values": pixels}, **options)["image_features"]
    at = ids.index(IMAGE)
    sides = [run(embed, {"input_ids": np.array([part], np.int64)})["inputs_embeds"] for part in (ids[:at], ids[at + 1 :])]
    rows = np.concatenate([sides[0], image, sides[1]], axis=1)
    n = rows.shape[1]
    feeds = {"inputs_embeds": rows, "attention_mask": np.ones((1, n), np.int64), "position_ids": np.arange(n, dtype=np.int64)[None]}
    logits = run(decoder, feeds | empty_caches(config), ["logits"], **options)["logits"]
    return image[0], logits[0]


def relative_l2(got, want):
    """Infinite if anything is NaN, which max() over several would leave out."""
    want = want.astype(np.float64)
    error = float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))
    return error if np.isfinite(error) else np.inf


def graphs_of(folder):
    return [Path(folder) / f for f in ("vision_encoder.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx")]
