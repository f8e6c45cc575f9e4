#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may use whom, checked twice: in every #include of every file, and in the symbols of the object files, where it also
# finds circles of files. Prints each fault with the names of both sides; exits 1 if there is one.
#   tests/deps.sh BUILD     (BUILD holds the objects: `make deps` builds them first)
set -eu
build=${1:-build}

# A room is a folder with all below it, unless a folder below has a row of its own. "commands" are fvlm.c and the files
# cmd_*.c. A room may use itself and what its row names. "public" stands for the public headers of every room.
table='
format/base         -
format              format/base
format/cli          format/base
convert/source      format format/base
convert/vocabulary  convert/source format format/base
convert/graph       convert/source format format/base
convert/upstream    -
convert/export      convert/upstream format format/base
convert             convert/source convert/vocabulary convert/graph convert/upstream format format/base
quant               format format/base
reference/image     format format/base
reference/tokenizer format format/base
reference/ops       format format/base
reference           reference/image reference/tokenizer reference/ops format format/base
verify              public
verify/judge        convert/graph format/base
verify/info         public format/cli
verify/report       public format/cli
commands            public format/cli'

# Everything in format and format/base is public, too, except *_internal.h.
public='convert/convert.h convert/conversion_report.h convert/export/export.h convert/source/safetensors.h convert/graph/graph.h convert/graph/onnx_paths.h quant/quant.h quant/quantization_report.h
reference/reference.h reference/ops/ops.h
reference/bench.h reference/cmd_run.h verify/*.h verify/judge/judge.h verify/info/*.h verify/report/*.h'

# Headers of libraries and of instruction sets, and the only folders that may include them.
owners='
jpeglib.h   reference/image
jerror.h    reference/image
png.h       reference/image
webp/decode.h reference/image
zlib.h      reference/image
utf8proc.h  reference/tokenizer
pcre2.h     reference/tokenizer quant
zstd.h      format
protobuf-c/protobuf-c.h convert/graph convert/vocabulary
onnx.pb-c.h convert/graph
sentencepiece.pb-c.h convert/vocabulary
immintrin.h format/base reference/ops/kernels quant/search
arm_neon.h  format/base reference/ops/kernels
cpuid.h     format/base
sys/auxv.h  format/base'

rooms=$(awk '$1 != "commands" && NF { sub("/.*", "", $1); print $1 }' <<<"$table" | sort -u)
# shellcheck disable=SC2086
sources=$(find fvlm.c $rooms -name '*.c')
faults=$(mktemp)
trap 'rm -f "$faults"' EXIT

# Shared by the programs below: room(file), and uses(a, b): may room a use room b?
# shellcheck disable=SC2016
functions='
BEGIN {
    n_rows = split(table, rows, "\n")
    for (i = 1; i <= n_rows; i++) {
        n = split(rows[i], w, " ")
        if (n) row[w[1]] = 1
        for (k = 2; k <= n; k++) may[w[1], w[k]] = 1
    }
    n_public = split(public, patterns, /[ \n]+/)
    for (i = 1; i <= n_public; i++) { gsub(/\./, "\\.", patterns[i]); gsub(/\*/, "[^/]*", patterns[i]) }
}
function room(file) {
    if (file ~ /(^|\/)(cmd_[a-z_]*|fvlm)\.c$/) return "commands"
    while (sub("/[^/]*$", "", file)) if (file in row) return file
    return "?"
}
function is_public(header,  i) {
    if (header ~ /^format\/(base\/)?[^\/]*\.h$/) return header !~ /_internal\.h$/
    for (i = 1; i <= n_public; i++) if (header ~ ("^" patterns[i] "$")) return 1
    return 0
}'

# --- headers: every file, whatever its suffix ---
# shellcheck disable=SC2086
grep -rnE '^[ \t]*#[ \t]*include' --include='*' fvlm.c $rooms | grep -v '\.md:' |
    awk -v table="$table" -v public="$public" -v owners="$owners" "$functions"'
    BEGIN {
        n = split(owners, lines, "\n")
        for (i = 1; i <= n; i++) { split(lines[i], w, " "); owner[w[1]] = " " substr(lines[i], index(lines[i], " ")) " " }
    }
    {
        split($0, part, ":")
        file = part[1]; place = file ":" part[2]; from = room(file)
        if (match($0, /<[^>]*>/)) {
            header = substr($0, RSTART + 1, RLENGTH - 2)
            if (!(header in owner)) next
            folder = file
            while (sub("/[^/]*$", "", folder)) if (index(owner[header], " " folder " ")) next
            whose = owner[header]; gsub(/ +/, " ", whose); sub(/ $/, "", whose)
            print place ": <" header "> belongs to" whose
        } else if (match($0, /"[^"]*"/)) {
            header = substr($0, RSTART + 1, RLENGTH - 2); to = room(header)
            if (to == "?" || to == "commands") print place ": \"" header "\" is in no room; includes are paths from the top"
            else if (to == from) next
            else if (from == "verify/judge" && to == "convert/graph" && header != "convert/graph/graph.h")
                print place ": verify/judge may read the parsed graph only, not \"" header "\""
            else if (may[from, to] && header !~ /_internal\.h$/) next
            else if (may[from, "public"] && is_public(header)) next
            else print place ": " from " may not include \"" header "\""
        }
    }' >>"$faults"

# --- symbols ---
objects=
for s in $sources; do objects="$objects $build/${s%.c}.o"; done
# shellcheck disable=SC2086
nm -A -P $objects | awk -v build="$build/" -v table="$table" -v public="$public" "$functions"'
    {
        file = substr($1, length(build) + 1); sub(/\.o:$/, ".c", file)
        if ($3 == "U") { user[++n] = file; symbol[n] = $2 } else if ($3 ~ /^[A-TV-Z]$/) definer[$2] = file
    }
    END {
        for (i = 1; i <= n; i++) {
            a = user[i]; b = definer[symbol[i]]
            if (b == "" || a == b) continue
            if ((a, b) in by) { by[a, b] = by[a, b] ", " symbol[i]; continue }
            by[a, b] = symbol[i]
            from = room(a); to = room(b)
            if (from != to && !may[from, to] && !(may[from, "public"] && to != "format/cli" && to != "commands"))
                bad[a, b] = 1
            uses[a] = uses[a] " " b; n_uses[a]++; used_by[b] = used_by[b] " " a; left[a]; left[b]
        }
        for (key in bad) { split(key, w, SUBSEP); print w[1] ": " room(w[1]) " may not use " by[key] " of " w[2] }
        # Takes away the files that use no file that is left; those that remain use each other in circles.
        do {
            again = 0
            for (f in left) if (!n_uses[f]) {
                again = 1; k = split(used_by[f], w, " ")
                for (i = 1; i <= k; i++) n_uses[w[i]]--
                delete left[f]
            }
        } while (again)
        # One message for each circle: follow the uses until a file comes again, name that circle, drop its files.
        for (;;) {
            f = ""
            for (f in left) break
            if (f == "") break
            split("", seen); split("", path); k = 0
            while (!(f in seen)) {
                seen[f] = ++k; path[k] = f; next_file = ""
                m = split(uses[f], w, " ")
                for (i = 1; i <= m; i++) if (w[i] in left) { next_file = w[i]; break }
                if (next_file == "") break
                f = next_file
            }
            if (next_file != "") {
                text = "a circle:"
                for (i = seen[f]; i <= k; i++) {
                    b = i < k ? path[i + 1] : f
                    text = text " " path[i] " uses " by[path[i], b] " of " b (i < k ? ";" : "")
                }
                print text
            }
            for (i = 1; i <= k; i++) delete left[path[i]]
        }
    }' >>"$faults"

# --- names: ar keeps one object of a name ---
# shellcheck disable=SC2086
basename -a $sources | sort | uniq -d | sed 's/$/: two files of this name; rename one/' >>"$faults"

[ ! -s "$faults" ] || { sort "$faults"; exit 1; }
