#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What pictures cost, honest ones and hostile ones: memory against the bar (3 times the pixels in f32 plus 64 MB) and
# CPU time against an honest picture of the same size and format (bar: 3 times). Exits 1 if anything is over the bar or
# an honest picture is refused. Takes some minutes and 4 GB of memory; other work on the machine does not matter.
#   tests/bench/pictures.sh [BUILD] [honest|jpeg|large|metadata ...]
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
shift || true
tests/oracle/setup.sh "$build/oracle-venv"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$build/oracle-venv/bin/python" tests/bench/pictures.py "$build/tests/tools/pixels" "$folder" "$@"
