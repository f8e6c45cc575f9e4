#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: 'fvlm completion' and 'fvlm man' print what the commands' tables say: bash completes every command, every
# option and their values; the scripts for zsh and fish are complete and valid; the man page has no warnings.
. tests/support/tap.sh completion
PATH=$(dirname "$FVLM"):$PATH
commands="convert quant export verify run info bench completion"
options_of() { fvlm "$1" --help | sed -nE 's/^  (-[a-z], |    )--([a-z-]+).*/\2/p' | sort | tr '\n' ' '; }

# --- bash: the function is called as bash calls it ---
source <(fvlm completion bash)
complete -p fvlm | grep -q -- '-F _fvlm'; ok "bash: registered" $?
offers() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _fvlm; echo "${COMPREPLY[*]}"; }
same "bash: commands" "$(offers fvlm "")" "$commands --help --version"
same "bash: a command begun" "$(offers fvlm conv)" "convert"
for c in $commands; do
    same "bash: options of $c" "$(offers fvlm "$c" -- | tr ' ' '\n' | sed 's/^--//' | sort | tr '\n' ' ')" "$(options_of "$c")"
done
same "bash: an option begun" "$(offers fvlm run model.fvlm --temp)" "--temperature"
same "bash: values" "$(offers fvlm convert x --type "")" "f32 bf16 f16"
same "bash: values after =" "$(offers fvlm verify x --act = b)" "both"
same "bash: values right after =" "$(offers fvlm verify x --act =)" "f32 int8 both"
same "bash: shells" "$(offers fvlm completion f)" "fish"
touch "$dir/two words.fvlm" "$dir/one.fvlm"
same "bash: files" "$(cd "$dir" && offers fvlm info tw)" "two words.fvlm"
same "bash: files after -o" "$(cd "$dir" && offers fvlm convert x -o on)" "one.fvlm"
same "bash: no files for a number" "$(cd "$dir" && offers fvlm run x --seed o)" ""

# --- zsh and fish ---
for shell in zsh fish; do
    fvlm completion $shell >"$dir/$shell"
    missing=
    for c in $commands; do
        for o in $(options_of "$c"); do grep -q -- "$([ $shell = fish ] && echo "from $c' -l $o\b" || echo "--$o\b")" "$dir/$shell" || missing="$missing $c:$o"; done
    done
    same "$shell: every option of every command" "$missing" ""
    if command -v $shell >/dev/null; then
        $shell -n "$dir/$shell"; ok "$shell: valid" $?
    else
        skip "$shell: valid" "$shell is not installed"
    fi
done
if command -v fish >/dev/null; then
    fish_offers() { fish -c "source '$dir/fish'; complete -C '$1'" | cut -f1 | sort | tr '\n' ' '; }
    same "fish: commands" "$(fish_offers 'fvlm ')" "$(echo $commands | tr ' ' '\n' | sort | tr '\n' ' ')"
    same "fish: values" "$(fish_offers 'fvlm convert --type ')" "bf16 f16 f32 "
    same "fish: an option begun" "$(fish_offers 'fvlm run --temp')" "--temperature "
else
    skip "fish: completes" "fish is not installed"
fi
if command -v zsh >/dev/null; then
    cat >"$dir/type.zsh" <<'END' # a zsh at a pseudo-terminal: type $2, press Tab, wait for $3
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; autoload -U compinit; compinit -u -D; source $1; print lo\\ad"
zpty -r z seen '*load*'
zpty -w z "print rea\\dy"
zpty -r z seen '*ready*'
zpty -w -n z "$2"$'\t'
for i in {1..100}; do
    if zpty -r -t z seen; then text+=$seen; fi
    [[ $text == *${~3}* ]] && exit 0
    sleep 0.1
done
print -r -- "# ${(V)text}"
exit 1
END
    zsh_completes() { zsh -f "$dir/type.zsh" "$dir/zsh" "$1" "$2"; ok "zsh: $1" $?; }
    zsh_completes "fvlm conv" "conv*ert"
    zsh_completes "fvlm run --temp" "--temperature"
    zsh_completes "fvlm convert x --type b" "bf16"
else
    skip "zsh: completes" "zsh is not installed"
fi

# --- the man page ---
fvlm man >"$dir/fvlm.1"
if command -v groff >/dev/null; then
    same "man: no warnings" "$(groff -man -ww -Tascii -P-cbou "$dir/fvlm.1" 2>&1 >"$dir/page")" ""
    missing=
    for c in $commands; do
        for o in $(options_of "$c"); do [ "$o" = help ] || grep -q -- "--$o" "$dir/page" || missing="$missing $c:$o"; done
    done
    same "man: every option" "$missing" ""
else
    skip "man: no warnings" "groff is not installed"
fi
for section in NAME SYNOPSIS COMMANDS EXAMPLES '"EXIT STATUS"' FILES; do grep -qx ".SH $section" "$dir/fvlm.1"; ok "man: has $section" $?; done
