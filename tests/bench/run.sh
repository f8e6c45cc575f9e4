#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make bench` runs: this CPU's peaks and every operation against them, then a whole pass when there is
# a model to time (MODEL=file.fvlm make bench). The operations are pinned to one CPU: other work disturbs less.
set -u
build=${1:-build}
pin=""
command -v taskset >/dev/null && pin="taskset -c 0"
$pin "$build/tests/bench/kernels" || exit 1
if [ -n "${MODEL:-}" ]; then "$build/fvlm" bench "$MODEL"; fi
