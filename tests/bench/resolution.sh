#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What resolution costs: side -> tokens -> tower -> prefill -> time to first token, for the 0.5B's FastViTHD in f32 and
# int8, whole and in tiles, beside ViT-L/14-336 and ConvNeXt-L of timm, which onnxruntime runs in f32 on the same CPU
# with as many threads; and all of them as ratios. Weights are random. Prints figures, judges nothing.
#   tests/bench/resolution.sh [BUILD] [CHECKPOINT_FOLDER]
# Without a folder a random one is made. Run it on a quiet machine; it takes half an hour, 6 GB of memory and of disk.
# Variables: PYTHON (with torch, timm, onnx, onnxruntime, Pillow), SIDES, TILES ("2x2 4x4", "" for none), TILE_SIDES,
# CONVNEXT_SIDES, VIT (1, or 0 to leave it out), RUNS, THREADS.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
folder=${2:-build/oracle/0.5b}
work=$build/resolution
mkdir -p "$work"
if [ -z "${PYTHON:-}" ]; then
    tests/oracle/setup.sh "$build/oracle-venv"
    PYTHON=$build/oracle-venv/bin/python
fi
[ -f "$folder/config.json" ] || "$PYTHON" tests/oracle/make_checkpoint.py 0.5b "$folder"
"$build/fvlm" convert "$folder" -o "$work/f32.fvlm" --type f32 --force -q
"$build/fvlm" quant "$work/f32.fvlm" -o "$work/int8.fvlm" --type int8 --force -q
"$PYTHON" tests/bench/resolution.py "$build/fvlm" "$work"
rm -r "$work"
