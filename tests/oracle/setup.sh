#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python that the oracle tests run in: a virtual environment made once and again when the requirements change.
#   tests/oracle/setup.sh [FOLDER]      build/oracle-venv if not said otherwise
set -eu
here=$(dirname "$0")
venv=${1:-build/oracle-venv}
want=$(cat "$here"/requirements*.txt | sha256sum)
[ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && exit 0

echo "making $venv: PyTorch, timm, transformers ..." >&2
rm -rf "$venv"
if ! python3 -m venv "$venv" 2>/dev/null; then
    rm -rf "$venv"
    "$here/../setup.sh" python3-venv
    python3 -m venv "$venv"
fi
"$venv/bin/pip" install -qq -r "$here/requirements.txt"
"$venv/bin/pip" install -qq --no-deps -r "$here/requirements-no-deps.txt"
"$venv/bin/pip" install -qq setuptools wheel
"$venv/bin/pip" download -qq --no-deps --no-build-isolation --no-binary sentencepiece -d "$venv/models" -r "$here/requirements-models.txt"
echo "$want" >"$venv/installed"
