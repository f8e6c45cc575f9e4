# SPDX-License-Identifier: Apache-2.0
"""ONNX exports of a full-size random checkpoint, each a folder as make_onnx.py's.

    make_onnx_full.py CHECKPOINT FOLDER [NAME ...]

    ts17     TorchScript, fp32, weights beside the graphs (NAME.onnx_data)
    fp16     the same, halved by onnxruntime's converter, one file each
    q4       MatMulNBits of 4 bits in groups of 32 in the decoder and the vision encoder
    dynamo   torch.export, fp32, weights beside
"""

import argparse
import gc
import shutil
from pathlib import Path

import apple
import onnx
import onnx_community
import onnx_modules
import onnx_rewrite as rewrite
import torch
from make_onnx import BESIDE, DECODER, EMBED, VISION
from onnx_export import Export


def ts17(model, folder):
    onnx_modules.spell_as_apple(model.tower)
    Export(model, opset=17, batched=False, parts="ve").write(folder)
    onnx_community.write_decoder(model.llm, folder / DECODER, max_positions=32768)


def dynamo(model, folder):
    options = dict(external_data=True)
    Export(model, dynamo=True, opset=18, parts="ved", options=options).write(folder)


def beside(path):
    """Moves the weights of a graph into NAME.onnx_data."""
    model = onnx.load(path)
    path.unlink()
    onnx.save(model, path, save_as_external_data=True, location=path.name + "_data", size_threshold=1024)


def fp16(source, folder):
    for graph in (VISION, EMBED, DECODER):
        rewrite.half(source / graph, folder / graph, keep_io_types=False, disable_shape_infer=graph == DECODER)


def q4(source, folder):
    for graph in (VISION, DECODER):
        rewrite.nbits(source / graph, folder / graph)
    shutil.copy(source / EMBED, folder / EMBED)


MADE = {"ts17": (None, ts17), "dynamo": (None, dynamo), "fp16": ("ts17", fp16), "q4": ("ts17", q4)}


def make(name, checkpoint, root):
    folder, (base, write) = Path(root) / name, MADE[name]
    if not folder.exists():
        source = make(base, checkpoint, root) if base else apple.load(checkpoint)
        part = folder.with_name(name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        torch.manual_seed(1)
        write(source, part)
        for file in BESIDE:
            if (Path(checkpoint) / file).exists():
                shutil.copy(Path(checkpoint) / file, part)
        part.rename(folder)
        gc.collect()
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    for name in a.names or MADE:
        print(make(name, a.checkpoint, a.folder), flush=True)
