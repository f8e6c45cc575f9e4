# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tests/{cli,cases}/*.sh with the name of what is tested. Gives them $tiny (the small model), $dir (a folder that is
# removed at the end), and the checks below, each of which prints one line of TAP. The plan comes last: tests/run.sh
# fails a script whose plan is missing or differs from the number of results.
#   . tests/support/tap.sh run
set -u
tap_name=$1 tap_n=0
# shellcheck disable=SC2034
tiny=${TINY:-tests/fixtures/tiny}
dir=$(mktemp -d)
# A child that a signal ends before it has begun its program runs this, too. There a command, even [, fails unseen ("wait_for:
# No record of process"), so only the shell's own syntax may decide.
trap 'case $BASHPID in "$$") rm -rf "$dir"; echo "1..$tap_n" ;; esac' EXIT

# ok WHAT STATUS: passes if STATUS is 0.
ok() {
    tap_n=$((tap_n + 1))
    if [ "$2" = 0 ]; then echo "ok - $tap_name: $1"; else echo "not ok - $tap_name: $1"; fi
}

# same WHAT GOT WANT: passes if both texts are equal, and prints them if not.
same() {
    [ "$2" = "$3" ]; ok "$1" $?
    [ "$2" = "$3" ] || printf '# got:  %s\n# want: %s\n' "${2//$'\n'/$'\n# '}" "${3//$'\n'/$'\n# '}"
}

# skip WHAT WHY: for what this machine lacks. What the repository holds is never skipped.
skip() {
    tap_n=$((tap_n + 1))
    echo "ok - $tap_name: $1 # SKIP $2"
}

# give_up WHAT: the rest makes no sense without it.
give_up() {
    ok "$1" 1
    exit 1
}

# refuses [WHAT] EXIT MESSAGE ARGUMENT...: `fvlm NAME ARGUMENT...` exits with EXIT, prints "fvlm: MESSAGE" to stderr as
# its only line and nothing to stdout. "$dir/" is left out of both messages.
refuses() {
    local what= code want got rc
    [[ $1 =~ ^[0-9]+$ ]] || { what=$1; shift; }
    code=$1 want=${2//"$dir/"/}
    shift 2
    got=$("$FVLM" "$tap_name" "$@" 2>&1 >"$dir/refused.out" </dev/null)
    rc=$?
    same "refuses ${what:-"with: $want"}" "$rc ${got//"$dir/"/}$(head -c 200 "$dir/refused.out")" "$code fvlm: $want"
    rm -f "$dir/refused.out"
}
