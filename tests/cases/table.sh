#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs tests/cases/*.sh and prints rows.txt beside their results: each row of what once went wrong, its tests and its
# siblings (variants of the same kind). Exits 1 if a test failed, a row has no test or fewer than 3 siblings, or a
# result names no row.
#   tests/cases/table.sh BUILD
set -u
build=${1:-build}
mapfile -t scripts < <(ls tests/cases/*.sh | grep -v /table.sh)
LOGS=$build/logs-cases tests/run.sh "$build" "${scripts[@]}" >"$build/cases.log"
run=$?
awk -v run=$run '
    function bad(what) { wrong[++n_wrong] = what }
    FILENAME ~ /rows.txt$/ {
        if (/^#/ || !NF) next
        row[++n_rows] = $1
        known[$1] = 1
        what = $0; sub(/^[^ ]+ +/, "", what); about[$1] = what
        next
    }
    !/^(not )?ok / { next }
    {
        mark = /# SKIP/ ? "skipped" : /^not/ ? "FAILED" : "ok"
        text = $0; sub(/^(not )?ok( [0-9]+)? - /, "", text)
        if (mark == "FAILED") bad("failed: " text)
        sub(/^[^ ]+: /, "", text)
        sub(/^refuses \[/, "[", text)
        if (text !~ /^\[/) { others++; next }
        name = substr(text, 2, index(text, "]") - 2)
        rest = substr(text, length(name) + 4)
        if (!(name in known)) { bad("no such row in rows.txt: " text); next }
        if (rest ~ /^sibling: /) siblings[name]++; else tests[name]++
        list[name] = list[name] sprintf("    %-8s%s\n", mark, rest)
    }
    END {
        for (i = 1; i <= n_rows; i++) {
            name = row[i]; n_tests += tests[name]; n_siblings += siblings[name]
            printf "%s (%d test%s, %d siblings): %s\n%s", name, tests[name], tests[name] == 1 ? "" : "s", siblings[name], about[name], list[name]
            if (!tests[name]) bad("row without a test: " name)
            else if (siblings[name] < 3) bad("row with fewer than 3 siblings: " name)
        }
        printf "\n%d rows, %d tests, %d siblings, %d results besides\n", n_rows, n_tests, n_siblings, others
        for (i = 1; i <= n_wrong; i++) print wrong[i]
        exit run != 0 || n_wrong > 0
    }' tests/cases/rows.txt "$build"/logs-cases/*.tap
