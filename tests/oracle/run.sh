#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make oracle` runs: fvlm against PyTorch, timm, transformers, onnxruntime, tokenizers and Pillow.
#   tests/oracle/run.sh BUILD [pytest arguments]     such as -k small
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
shift || true
venv=build/oracle-venv
tests/oracle/setup.sh "$venv"
export BUILD=$build FVLM=$PWD/$build/fvlm
quick=$(ls tests/oracle/test_*.py | grep -v -e test_parity -e test_sizes -e test_onnx_full)
# shellcheck disable=SC2086
exec "$venv/bin/python" -m pytest -v -s -p no:cacheprovider --durations=12 $quick \
    tests/oracle/test_sizes.py tests/oracle/test_parity.py tests/oracle/test_onnx_full.py "$@"
