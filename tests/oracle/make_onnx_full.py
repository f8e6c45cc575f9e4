# SPDX-License-Identifier: Apache-2.0
"""ONNX exports of a full-size random checkpoint, each a folder as make_onnx.py's.

    make_onnx_full.py CHECKPOINT FOLDER [NAME ...]

    ts17     TorchScript, fp32, one file each: the decoder is spelled out
    dynamo   vision by torch.export with its weights beside the graph, onnx-community's decoder, fp32
    fp16     halves, of the same sizes as onnx-community's
    q4       MatMulNBits of 4 bits in groups of 32 in the decoder and the vision encoder
"""

import argparse
import functools
import os
import shutil
from pathlib import Path

import apple
import onnx_community
import onnx_rewrite as rewrite
import torch
from make_onnx import BESIDE, DECODER, EMBED, VISION
from onnx_export import Export


@functools.cache
def loaded(checkpoint):
    return apple.load(checkpoint)


def ts17(model, folder, _):
    Export(model, opset=17, resizable=True, side=256).write(folder)


def dynamo(model, folder, ts17):
    Export(model, dynamo=True, opset=18, resizable=True, side=256, parts="v", options=dict(external_data=True)).write(folder)
    os.link(ts17 / EMBED, folder / EMBED)
    onnx_community.write_decoder(model.llm, folder / DECODER, max_positions=32768)


def fp16(model, folder, ts17):
    for graph in (VISION, EMBED):
        rewrite.half(ts17 / graph, folder / graph, keep_io_types=False)
    onnx_community.write_decoder(model.llm, folder / DECODER, half=True, max_positions=32768)


def q4(model, folder, ts17):
    for graph in (VISION, DECODER):
        rewrite.nbits(ts17 / graph, folder / graph)
    os.link(ts17 / EMBED, folder / EMBED)


MADE = {"ts17": (None, ts17), "dynamo": ("ts17", dynamo), "fp16": ("ts17", fp16), "q4": ("ts17", q4)}


def make(name, checkpoint, root):
    folder, (base, write) = Path(root) / name, MADE[name]
    if not folder.exists():
        source = make(base, checkpoint, root) if base else None
        part = folder.with_name(name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        torch.manual_seed(1)
        write(loaded(str(checkpoint)), part, source)
        for file in BESIDE:
            if (Path(checkpoint) / file).exists():
                shutil.copy(Path(checkpoint) / file, part)
        part.rename(folder)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    for name in a.names or MADE:
        print(make(name, a.checkpoint, a.folder), flush=True)
