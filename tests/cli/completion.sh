#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: bash completion offers every command and every option, read from the program itself.
. tests/support/tap.sh completion
PATH=$(dirname "$FVLM"):$PATH
# shellcheck source=tests/completion.bash
source tests/completion.bash

offers() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _fvlm; echo "${COMPREPLY[*]}"; }

same "commands" "$(offers fvlm "")" "$(fvlm --help | awk '$1 == "fvlm" && $2 ~ /^[a-z]+$/ { printf "%s ", $2 }')--help --version"
same "a command begun" "$(offers fvlm conv)" "convert"
for command in $(offers fvlm "" | sed 's/ --.*//'); do
    same "options of $command" "$(offers fvlm "$command" -- | tr ' ' '\n' | sort | tr '\n' ' ')" \
        "$(fvlm "$command" --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort | tr '\n' ' ')"
done
same "an option begun" "$(offers fvlm run model.fvlm --temp)" "--temperature"
same "files" "$(offers fvlm info README.m)" "README.md"
