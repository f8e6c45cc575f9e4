#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs (cmocka) and scripts, JOBS (2) at a time, and adds up what they report in TAP.
#   tests/run.sh BUILD TEST...     log of each in LOGS (BUILD/logs)/NAME.tap; FVLM is the binary under test
# A test fails, too, if it exits with another code than 0 or has not as many results as it planned.
# Ends in "N passed, N failed, N skipped"; exits 1 if any failed.
set -u
build=$1; shift
logs=${LOGS:-$build/logs}
rm -rf "$logs"; mkdir -p "$logs"
export FVLM="$PWD/$build/fvlm" BUILD="$build" CMOCKA_MESSAGE_OUTPUT=TAP
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

one() {
    name=${1#"$BUILD"/}; name=${name#tests/}; log=$2/${name//\//-}.tap
    case $1 in *.sh) cmd=(bash "$1") ;; *) cmd=("$1") ;; esac
    /usr/bin/time -a -o "$TIMES" -f "%U %S %e $name" timeout "${TEST_SECONDS:-280}" "${cmd[@]}" >"$log" 2>&1
    rc=$?
    if [ $rc != 0 ] && ! grep -q '^not ok' "$log"; then
        echo "not ok - $name ended with exit code $rc" >>"$log"
        return
    fi
    results=$(grep -cE '^(not )?ok ' "$log")
    planned=$(awk -F'[.]+' '/^1[.][.][0-9]+$/ { n += $2 } END { print n + 0 }' "$log")
    [ "$results" = "$planned" ] && [ "$results" -gt 0 ] || echo "not ok - $name planned $planned results and has $results" >>"$log"
}
export -f one
printf '%s\n' "$@" | xargs -P"${JOBS:-2}" -I{} bash -c 'one "$1" "$2"' _ {} "$logs"

passed=$(cat "$logs"/*.tap | grep -E '^ok ' | grep -vc '# SKIP')
skipped=$(cat "$logs"/*.tap | grep -cE '^(not )?ok .*# SKIP')
failed=$(cat "$logs"/*.tap | grep -E '^not ok ' | grep -vc '# SKIP')
grep -HE '^not ok ' "$logs"/*.tap | grep -v '# SKIP'
grep -hE '# SKIP' "$logs"/*.tap
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
