#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What once went wrong at the command line, in output files and with signals: each row of rows.txt with variants. Every
# check compares with an exact text, an exit code, or the bytes of an undisturbed run.
. tests/support/tap.sh cases
tools=$BUILD/tests/tools
m=$dir/m.fvlm int8=$dir/int8.fvlm photo=$tiny/heldout/000.png count="How many shapes are there?" where="Where is the orange triangle?"
"$FVLM" convert "$tiny/fused" -o "$m" -q && "$FVLM" quant "$m" -o "$int8" -q || give_up "models for it"
work=$dir/work
mkdir "$work"

# says WHAT EXIT MESSAGE ARGUMENT...: the exit code, and stderr as one line without "fvlm: "; "$dir/" is left out.
says() {
    local what=$1 want="$2 fvlm: $3" got
    shift 3
    got=$("$FVLM" "$@" 2>&1 >/dev/null </dev/null); got="$? $got"
    same "$what" "${got//"$dir/"/}" "${want//"$dir/"/}"
}
# left FOLDER: its names, hidden ones too.
left() { find "$1" -mindepth 1 -printf '%P\n' | LC_ALL=C sort | paste -sd' '; }
# controls FILE: how many of its bytes are control characters (C0 without newline and tab, DEL) or begin C1, a
# bidirectional control, a separator or a byte order mark.
controls() { LC_ALL=C grep -caP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf' "$1"; }

# ---- escape-in-config ----

nasty=$'\e]0;owned\a\x7f\xc2\x9b31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf'
json='\u001b]0;owned\u0007\u007f\u009b31m\u202e\u2066\u2028\ufeff'
cp -r "$tiny/fused" "$dir/esc"
sed "s/\"llava_qwen2\"/\"$json\"/g; s/\"LlavaQwen2ForCausalLM\"/\"$json\"/g" "$tiny/fused/config.json" >"$dir/esc/config.json"
"$FVLM" convert "$dir/esc" -o "$dir/esc.fvlm" -q 2>"$work/err"; rc=$?
[ $rc = 1 ] && grep -q owned "$work/err" && [ "$(controls "$work/err")" = 0 ]
ok "[escape-in-config] a model type with an escape sequence, in convert's refusal" $?
for what in convert quant export verify run info bench "convert x -o" "quant $m -o" "info $m --dump x -o"; do
    # shellcheck disable=SC2086
    "$FVLM" $what "$dir/$nasty/x" $([ "$what" = run ] && echo none what) >"$work/out" 2>"$work/err"
    [ -s "$work/err" ] && [ "$(cat "$work/out" "$work/err" >"$work/both"; controls "$work/both")" = 0 ]
    ok "[escape-in-config] sibling: a path with escapes in 'fvlm ${what//"$dir/"/}'" $?
done
"$FVLM" "$nasty" 2>"$work/err"; [ -s "$work/err" ] && [ "$(controls "$work/err")" = 0 ]
ok "[escape-in-config] sibling: a command's name" $?
"$FVLM" quant "$m" "--$nasty" 2>"$work/err"; [ -s "$work/err" ] && [ "$(controls "$work/err")" = 0 ]
ok "[escape-in-config] sibling: an option's name" $?
"$FVLM" quant "$m" --set "$nasty=int8" --dry-run 2>"$work/err"; [ -s "$work/err" ] && [ "$(controls "$work/err")" = 0 ]
ok "[escape-in-config] sibling: a rule of quant" $?
cp "$m" "$dir/$nasty.fvlm"
for what in "info --tensors" "info --json" verify "verify --json" "quant --dry-run" "quant --dry-run --json"; do
    # shellcheck disable=SC2086
    "$FVLM" $what "$dir/$nasty.fvlm" >"$work/out" 2>&1
    [ -s "$work/out" ] && [ "$(controls "$work/out")" = 0 ]; ok "[escape-in-config] sibling: a model's name in 'fvlm $what'" $?
done
# The token "3" becomes the byte of ESC, which has a token, too: the answer is a control character.
cp -r "$tiny/fused" "$dir/answer"
sed 's/"3": 18,/"3": 215,/; s/"ě": 215/"ě": 18/' "$tiny/fused/vocab.json" >"$dir/answer/vocab.json"
"$FVLM" convert "$dir/answer" -o "$dir/answer.fvlm" -q 2>"$work/err" || give_up "a model that answers ESC: $(cat "$work/err")"
[ "$("$FVLM" run "$dir/answer.fvlm" "$photo" "$count" -q | od -An -tx1)" = " 1b 0a" ]
ok "[escape-in-config] sibling: an answer stays raw in a pipe" $?
got=$("$tools/pty" "$FVLM" run "$dir/answer.fvlm" "$photo" "$count" -q); rc=$?
if [ $rc = 77 ]; then skip "[escape-in-config] an answer on a terminal" "no terminals"; else
    same "[escape-in-config] an answer on a terminal is escaped" "$got" '\x1b'
fi

# ---- not-utf8 ----

cafe=$dir/caf$'\xe9'
cp "$photo" "$cafe.png"; cp "$m" "$cafe.fvlm"
shown=caf$'\xef\xbf\xbd'
"$FVLM" run "$m" "$cafe.png" "$count" --json >"$work/out" 2>"$work/err"; rc=$?
[ $rc = 0 ] && grep -q "\"image\": .*/$shown.png\"" "$work/out" && iconv -f utf-8 "$work/out" >/dev/null
ok "[not-utf8] run --json shows a picture's name with U+FFFD" $?
"$FVLM" run "$m" "$photo" $'caf\xe9?' --json >"$work/out" 2>"$work/err"; rc=$?
[ $rc = 0 ] && grep -q "\"prompt\": \"$shown?\"" "$work/out"; ok "[not-utf8] sibling: a prompt" $?
for what in "quant --json -o" "quant -o" "convert --json -o" "convert -o"; do
    source=$m; [[ $what = convert* ]] && source=$tiny/fused
    # shellcheck disable=SC2086
    "$FVLM" ${what% -o} "$source" -o "$work/caf"$'\xe9.fvlm' >"$work/out" 2>"$work/err"; rc=$?
    "$FVLM" verify "$work/caf"$'\xe9.fvlm' -q 2>/dev/null; verified=$?
    [[ $what != *json* ]] || { grep -q "\"file\": .*$shown.fvlm\"" "$work/out" || rc=9; }
    same "[not-utf8] sibling: an output's name in $what: exit code, verify" "$rc $verified" "0 0"
    rm -f "$work/caf"*
done
for what in info "info --json" verify "verify --json" "quant --dry-run --json" "bench --size 64 --runs 1 --json" "run --json"; do
    # shellcheck disable=SC2086
    "$FVLM" $what "$cafe.fvlm" $([[ $what = run* ]] && echo none hello) >"$work/out" 2>"$work/err"
    same "[not-utf8] sibling: a model's name in $what" "$? $(iconv -f utf-8 "$work/out" >/dev/null && echo valid)" "0 valid"
done
for name in $'new\nline' $'ta\tb' 'quo"te' 'back\slash' "ap'ostrophe" ' ' '-dash' $'\xf0\x9f\x98\x80'; do
    rm -rf "$work/odd"; mkdir "$work/odd"
    (cd "$work/odd" && "$FVLM" convert "$OLDPWD/$tiny/fused" -o "./$name.fvlm" --json >../out 2>../err &&
        "$FVLM" verify "./$name.fvlm" --json >>../out 2>>../err && [ "$(ls)" = "$name.fvlm" ] && [ "$(grep -c . ../err)" = 0 ])
    ok "[not-utf8] sibling: a file called $(printf %q "$name")" $?
done

# ---- long-path ----

part=$(printf 'd%.0s' {1..199})
long=$(printf "/$part%.0s" {1..15})
cause=': No such file or directory'
for what in convert quant verify run info bench "convert $tiny/fused -o" "quant $m -o" "info $m --dump llm.norm.weight -o" \
    "verify $m --against" "run $m"; do
    rest=; case $what in run) rest="none what" ;; run*) rest=what ;; esac
    label="sibling: "; [ "$what" = convert ] && label=
    # shellcheck disable=SC2086
    line=$("$FVLM" $what "$long" $rest 2>&1 >/dev/null)
    [[ $line == *"$cause" && $line == *"$part"* && $(wc -l <<<"$line") = 1 ]]
    ok "[long-path] ${label}3 kB in 'fvlm ${what//"$dir/"/}': the cause is there" $?
done
too=$(printf "/$part%.0s" {1..25})
line=$("$FVLM" info "$too" 2>&1); [[ $line == *': File name too long' ]]; ok "[long-path] sibling: 5 kB" $?
line=$("$FVLM" quant "$m" --set "$(printf 'x%.0s' {1..3000})=q9" --dry-run 2>&1); [[ $line == *'unknown type "q9"; use '* ]]
ok "[long-path] sibling: a rule of 3 kB" $?

# ---- help-full-stdout ----

for what in --help --version help "help quant" "quant --help" man "completion bash" "info $m" "info $m --json" "verify $m" \
    "quant $m --dry-run" "convert $tiny/fused --dry-run" "run $m none hello" "bench $m --size 64 --runs 1"; do
    label="sibling: "; [ "$what" = --help ] || [ "$what" = --version ] && label=
    # shellcheck disable=SC2086
    "$FVLM" $what >/dev/full 2>"$work/err"
    same "[help-full-stdout] ${label}${what//"$dir/"/} to a full disk" "$? $(grep fvlm: "$work/err")" "3 fvlm: standard output: No space left on device"
    # shellcheck disable=SC2086
    "$FVLM" $what >&- 2>"$work/err"
    same "[help-full-stdout] ${label}${what//"$dir/"/} to a closed stdout" "$? $(grep fvlm: "$work/err")" "3 fvlm: standard output: Bad file descriptor"
done
for closed in '<&-' '2>&-' '<&- 2>&-' '<&- >&- 2>&-'; do
    rm -rf "$work/fd"; mkdir "$work/fd"
    eval "\"\$FVLM\" convert \"\$tiny/fused\" -o \"\$work/fd/m.fvlm\" -q $closed"; rc=$?
    same "[help-full-stdout] sibling: convert with $closed writes the same file" \
        "$rc $(cmp "$work/fd/m.fvlm" "$m" 2>&1) $(left "$work/fd")" "0  m.fvlm"
done
"$FVLM" quant "$m" -o "$work/q.fvlm" -q >&-; same "[help-full-stdout] sibling: -q prints nothing, so a closed stdout is no failure" $? 0

# ---- broken-pipe ----

mkfifo "$dir/fifo"
exec 8<>"$dir/fifo" 9>"$dir/fifo" 8>&- # 9: a pipe that nobody reads
for what in "run $m $photo \"$count\" -q" "--help" "quant --help" "completion zsh" man "info $m" "info $m --json" "verify $m" \
    "bench $m --size 64 --runs 2" "run $m none hello --json" "run $m none hello" "quant $m --dry-run" \
    "verify $int8 --against $m --image $photo"; do
    label="sibling: "; [ "$what" = --help ] && label=
    eval "\"\$FVLM\" $what >&9 2>\"\$work/err\""
    same "[broken-pipe] ${label}${what//"$dir/"/}" "$? $(cat "$work/err")" "141 "
done
rm -rf "$work/pipe"; mkdir "$work/pipe"
"$FVLM" convert "$tiny/fused" -o "$work/pipe/m.fvlm" >&9 2>"$work/err"
same "[broken-pipe] sibling: convert ends so, too, with its file complete" "$? $(cat "$work/err") $(cmp "$work/pipe/m.fvlm" "$m") $(left "$work/pipe")" "141   m.fvlm"
exec 9>&-
"$FVLM" info "$m" --tensors 2>"$work/err" | head -1 >/dev/null
same "[broken-pipe] sibling: | head" "$(cat "$work/err")" ""

# ---- ctrl-c ----

rm "$dir/fifo"; mkfifo "$dir/fifo"
exec 9<>"$dir/fifo"
head -c 65536 /dev/zero >&9 # a pipe that is full and that nobody empties
# blocked WHAT SIGNAL REDIRECTION ARGUMENT...: the command is stuck in a write; the signal ends it.
blocked() {
    local what=$1 signal=$2 to=$3 began
    shift 3
    : >"$work/err"
    if [ "$to" = stdout ]; then env --default-signal=$signal "$FVLM" "$@" >&9 2>"$work/err" & else
        env --default-signal=$signal "$FVLM" "$@" >/dev/null 2>&9 & fi
    local pid=$!
    sleep 0.5
    kill -0 $pid 2>/dev/null; local alive=$?
    began=${EPOCHREALTIME/./}
    kill -$signal $pid
    wait $pid 2>/dev/null; local rc=$?
    local ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    [ $ms -lt 2000 ] || rc="$rc after $ms ms"
    same "$what" "$alive $rc $(cat "$work/err")" "0 $((128 + $(kill -l $signal))) $([ "$to" = stdout ] && echo fvlm: interrupted)"
}
blocked "[ctrl-c] INT while info waits for its reader" INT stdout info "$m"
blocked "[ctrl-c] sibling: TERM while run waits for its reader" TERM stdout run "$m" none hello -q
blocked "[ctrl-c] sibling: HUP while verify waits for its reader" HUP stdout verify "$m"
blocked "[ctrl-c] sibling: INT while --help waits for its reader" INT stdout --help
blocked "[ctrl-c] sibling: INT while quant waits for its reader" INT stdout quant "$m" --dry-run
blocked "[ctrl-c] sibling: TERM while the message itself cannot be written" TERM stderr run "$m" none hello
exec 9>&-
# At 12 moments each, in the first second. Before main() begins a signal ends the program without a line.
for what in convert quant verify run bench dump; do
    case $what in
    convert) args=(convert "$tiny/unfused" -o "$work/int/o" -f) ;;
    quant) args=(quant "$m" --type int4 -o "$work/int/o" -f) ;;
    verify) args=(verify "$int8" --against "$tiny/fused" --image "$photo" --tokens 16) ;;
    run) args=(run "$m" "$photo" "$where") ;;
    bench) args=(bench "$m" --size 256 --runs 50) ;;
    dump) args=(info "$m" --dump llm.embed.weight -o "$work/int/o" -f) ;;
    esac
    rm -rf "$work/int"; mkdir "$work/int"
    began=${EPOCHREALTIME/./}
    TMPDIR=$work/int timeout 1 "$FVLM" "${args[@]}" >/dev/null 2>&1
    took=$((${EPOCHREALTIME/./} - began))
    rm -rf "$work/int"; mkdir "$work/int"
    caught=0 wrong=
    for i in $(seq 1 12); do
        case $((i % 3)) in 0) signal=INT ;; 1) signal=TERM ;; 2) signal=HUP ;; esac
        TMPDIR=$work/int env --default-signal=$signal "$FVLM" "${args[@]}" >/dev/null 2>"$work/err" &
        pid=$!
        sleep "$(printf '%d.%06d' $((took * i / 13 / 1000000)) $((took * i / 13 % 1000000)))"
        kill -$signal $pid 2>/dev/null
        wait $pid 2>/dev/null; rc=$?
        if [ $rc -gt 128 ]; then
            [ $rc = $((128 + $(kill -l $signal))) ] || wrong="$wrong exit $rc after $signal;"
            [ -z "$(cat "$work/err")" ] || [ "$(cat "$work/err")" = "fvlm: interrupted" ] || wrong="$wrong $(cat "$work/err");"
            [ "$(cat "$work/err")" = "fvlm: interrupted" ] && caught=$((caught + 1))
        fi
        [ -z "$(find "$work/int" -mindepth 1 ! -name o)" ] || wrong="$wrong left $(left "$work/int");"
        [ ! -e "$work/int/o" ] || [ $what = dump ] || "$FVLM" verify "$work/int/o" -q 2>/dev/null || wrong="$wrong torn;"
    done
    same "[ctrl-c] $([ $what = convert ] || echo "sibling: ")$what at 12 moments: one line, the signal, nothing left" "$wrong" ""
    case $what in verify | bench) [ $caught -gt 0 ]; ok "[ctrl-c] sibling: $what was interrupted at $caught of them" $? ;; esac
done
(trap '' INT; exec "$FVLM" quant "$m" -o "$work/nohup.fvlm" -q) & pid=$!
sleep 0.02; kill -INT $pid 2>/dev/null; wait $pid; same "[ctrl-c] sibling: a signal ignored at the start stays ignored" $? 0

# ---- no-hard-links ----

# lacks LABEL CALLS ARGUMENT...: the command works without these system calls and leaves only $work/fs/o.
lacks() {
    local label=$1 calls=$2 rc
    shift 2
    rm -rf "$work/fs"; mkdir "$work/fs"
    # shellcheck disable=SC2086
    "$tools/lacking" $calls -- "$FVLM" "$@" >"$work/out" 2>"$work/err"; rc=$?
    if [ $rc = 77 ]; then skip "[no-hard-links] $label" "no seccomp"; return; fi
    same "[no-hard-links] $label ($calls)" "$rc $(cat "$work/err")$(cmp "$work/fs/o" "$want") $(left "$work/fs")" "0  o"
}
want=$m
lacks "convert without links and RENAME_NOREPLACE" "linkat=EPERM renameat2=EINVAL" convert "$tiny/fused" -o "$work/fs/o" -q
for calls in "linkat=EOPNOTSUPP" "linkat=ENOSYS renameat2=ENOSYS" "linkat=EMLINK renameat2=EINVAL tmpfile=EOPNOTSUPP" \
    "tmpfile=EINVAL" "fsync=EINVAL sync_file_range=EINVAL" "fsync=ENOSYS sync_file_range=ENOSYS tmpfile=EOPNOTSUPP" \
    "fallocate=EOPNOTSUPP" "fallocate=ENOSYS ftruncate=EPERM" "map-shared=ENODEV" "fchmod=EPERM flock=ENOSYS tmpfile=EPERM" \
    "linkat=EPERM renameat2=EINVAL tmpfile=EOPNOTSUPP fsync=EINVAL sync_file_range=ENOSYS fallocate=EOPNOTSUPP ftruncate=EINVAL fchmod=EPERM flock=ENOSYS map-shared=ENODEV"; do
    lacks "sibling: convert" "$calls" convert "$tiny/fused" -o "$work/fs/o" -q
done
want=$int8
lacks "sibling: quant" "linkat=EPERM renameat2=EINVAL" quant "$m" -o "$work/fs/o" -q
lacks "sibling: quant of a model that cannot be mapped" "map-shared=ENODEV" quant "$m" -o "$work/fs/o" -q
"$FVLM" info "$m" --dump llm.norm.weight -o "$work/norm.npy"; want=$work/norm.npy
lacks "sibling: info --dump" "linkat=EPERM renameat2=EINVAL tmpfile=EOPNOTSUPP" info "$m" --dump llm.norm.weight -q -o "$work/fs/o"
# An existing file is neither replaced nor lost, whatever is missing; with --force it is replaced.
for calls in "linkat=EPERM renameat2=EINVAL" "linkat=EPERM renameat2=EINVAL tmpfile=EOPNOTSUPP"; do
    echo old >"$work/old"
    # shellcheck disable=SC2086
    "$tools/lacking" $calls -- "$FVLM" quant "$m" -o "$work/old" -q 2>"$work/err"; rc=$?
    [ $rc = 77 ] || same "[no-hard-links] sibling: an existing file stays ($calls)" "$rc $(cat "$work/old")" "1 old"
    # shellcheck disable=SC2086
    "$tools/lacking" $calls -- "$FVLM" quant "$m" -o "$work/old" -q -f 2>"$work/err"; rc=$?
    [ $rc = 77 ] || same "[no-hard-links] sibling: --force replaces it ($calls)" "$rc $(cmp "$work/old" "$int8")" "0 "
done
"$tools/lacking" fsync=EIO -- "$FVLM" quant "$m" -o "$work/fs/eio" -q 2>"$work/err"; rc=$?
[ $rc = 77 ] || same "[no-hard-links] sibling: a disk that fails is not a call that is missing" \
    "$rc $(sed "s|$dir/||" "$work/err") $(left "$work/fs" | grep -c eio)" '3 fvlm: "work/fs/eio": cannot write: Input/output error 0'

# ---- threads ----

threads_of() { "$@" --json | sed -n 's/^ *"threads": \([0-9]*\),*/\1/p' | head -1; }
all=$(threads_of "$FVLM" run "$m" none hello)
same "[threads] taskset -c 0 leaves one" "$(threads_of taskset -c "$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')" "$FVLM" run "$m" none hello)" 1
[ "$all" -le "$(nproc)" ]; ok "[threads] as many as this process may use: $all" $?
same "[threads] --threads 96 is capped" "$(threads_of "$FVLM" run "$m" none hello --threads 96)" "$all"
same "[threads] sibling: --threads 0 means all" "$(threads_of "$FVLM" run "$m" none hello --threads 0)" "$all"
same "[threads] sibling: --threads 18446744073709551616" "$(threads_of "$FVLM" run "$m" none hello --threads 18446744073709551616)" "$all"
same "[threads] sibling: bench --threads 9999" "$(threads_of "$FVLM" bench "$m" --size 64 --runs 1 --threads 9999)" "$all"
"$FVLM" run "$m" none hello --threads 96 2>&1 >/dev/null | grep -q ", $all thread"; ok "[threads] sibling: run's figures name the number" $?
says "[threads] sibling: a word" 2 "--threads: \"all\" is not a whole number; try 'fvlm quant --help'" quant "$m" --threads all --dry-run
"$FVLM" quant --help | grep -q -- '--threads N .*default 0: all; more are capped'; ok "[threads] sibling: the help says so" $?

# ---- max-tokens ----

"$FVLM" run "$m" "$photo" "$where" --max-tokens 1 >"$work/out" 2>"$work/err"
same "[max-tokens] a line on stderr" "$(head -1 "$work/err")" "fvlm: the answer was cut after 1 token; --max-tokens N allows more"
"$FVLM" run "$m" "$photo" "$where" 2>&1 >/dev/null | grep -q cut; same "[max-tokens] sibling: none when the answer ended" $? 1
same "[max-tokens] sibling: --json says max-tokens" "$("$FVLM" run "$m" "$photo" "$where" --max-tokens 1 --json 2>&1 | grep '"stopped"')" '  "stopped": "max-tokens",'
same "[max-tokens] sibling: --json says end" "$("$FVLM" run "$m" "$photo" "$where" --json 2>&1 | grep '"stopped"')" '  "stopped": "end",'
same "[max-tokens] sibling: -q prints the answer only" "$("$FVLM" run "$m" "$photo" "$where" --max-tokens 1 -q 2>&1 >/dev/null)" ""
"$FVLM" run "$m" "$photo" "$where" --max-tokens 1 --tokens-only 2>&1 >/dev/null | grep -q 'cut after 1 token'; ok "[max-tokens] sibling: --tokens-only too" $?

# ---- quant-set-biases ----

"$FVLM" quant "$m" --type int8 --set 'llm\.layer.*\.attn\..*=int4-sym-g32' --dry-run >"$work/out" 2>"$work/err"; rc=$?
same "[quant-set-biases] a pattern that matches biases, too" "$rc $(grep -c '^llm attention *int4-sym-g32' "$work/out") $(tail -1 "$work/out")" \
    "0 1 --set 'llm\\.layer.*\\.attn\\..*=int4-sym-g32' leaves out 12 tensors that it matches: only matrices take integers"
same "[quant-set-biases] sibling: --json counts them" "$("$FVLM" quant "$m" --set '.*bias|llm\..*=int4' --set 'llm.*=f16' --dry-run --json | tr -d ' \n' | grep -o '"set_does_not_fit":[^]]*')" \
    "\"set_does_not_fit\":[$("$FVLM" info "$m" --tensors | awk '$3 == "rows" && $1 ~ /bias$|^llm\./' | wc -l),0"
says "[quant-set-biases] sibling: biases alone" 2 "rule \".*bias\" matches only vectors and depthwise taps, which cannot be int4-asym-g64; use f32, bf16, f16 or keep" \
    quant "$m" --set '.*bias=int4' --dry-run
says "[quant-set-biases] sibling: nothing" 2 "rule \"none\" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)" \
    quant "$m" --set none=int8 --dry-run
says "[quant-set-biases] sibling: a pattern that backtracks without end" 2 \
    "rule \"(.*)*(.*)*(.*)*x\" cannot be matched with \"vision.final.se.expand.bias\": match limit exceeded; use a simpler one" \
    quant "$m" --set '(.*)*(.*)*(.*)*x=int8' --dry-run
type_of() { "$FVLM" quant "$m" "${@:2}" --dry-run -v | awk -v n="$1" '$1 == n { print $2 }'; }
same "[quant-set-biases] sibling: the last rule that fits decides" \
    "$(type_of llm.layer0.attn.q.bias --set '.*=f16' --set 'llm.*=int4') $(type_of llm.layer0.attn.q.weight --set '.*=f16' --set 'llm.*=int4')" "f16 int4-asym-g64"
same "[quant-set-biases] sibling: keep" "$(type_of llm.norm.weight --set '.*=keep') $(type_of llm.embed.weight --set '.*=keep')" "bf16 bf16"

# ---- wrong-arguments ----

help="; try 'fvlm"
says "[wrong-arguments] -o -" 2 "--output: \"-\" is not a file name; fvlm does not write to standard output$help convert --help'" convert "$tiny/fused" -o -
[ ! -e - ]; ok "[wrong-arguments] sibling: no file called -" $?
says "[wrong-arguments] --size 0" 2 "--size: 0 is out of range, 64 to 4096$help run --help'" run "$m" "$photo" what --size 0
says "[wrong-arguments] --help of an unknown command" 2 "unknown command \"qunat\", did you mean \"quant\"?" qunat --help
says "[wrong-arguments] sibling: help of an unknown command" 2 "unknown command \"wibble\"$help --help'" help wibble
says "[wrong-arguments] picture and prompt swapped" 2 "\"What is this?\" is not a file, but the prompt \"$photo\" is; usage: fvlm run MODEL.fvlm IMAGE [PROMPT]" \
    run "$m" "What is this?" "$photo"
says "[wrong-arguments] sibling: model and picture swapped" 1 "\"$photo\" is a picture, not a .fvlm model; usage: fvlm run MODEL.fvlm IMAGE [PROMPT]" run "$photo" "$m" what
says "[wrong-arguments] an unquoted prompt" 2 "expected MODEL.fvlm IMAGE [PROMPT], got 5 arguments; a prompt of several words goes in quotes$help run --help'" \
    run "$m" "$photo" what is this
says "[wrong-arguments] a folder as model" 1 "\"$tiny/fused\" is a checkpoint folder; convert it first: 'fvlm convert'" run "$tiny/fused" "$photo" what
says "[wrong-arguments] a URL as picture" 1 "\"https://example.org/a.jpg\" is a URL; download it first" run "$m" https://example.org/a.jpg what
says "[wrong-arguments] a URL as model" 1 "\"http://example.org/m.fvlm\" is a URL; download it first" info http://example.org/m.fvlm
says "[wrong-arguments] sibling: a name of the Hub" 3 "\"apple/FastVLM-0.5B\": No such file or directory; to download it: hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B" \
    convert apple/FastVLM-0.5B --dry-run
says "[wrong-arguments] a model whose name is nearly there" 3 "\"$dir/int9.fvlm\": No such file or directory; did you mean \"$dir/int8.fvlm\"?" verify "$dir/int9.fvlm"
says "[wrong-arguments] sibling: without its suffix" 3 "\"$dir/int8\": No such file or directory; did you mean \"$dir/int8.fvlm\"?" verify "$dir/int8"
printf 'GGUF\3\0\0\0and more' >"$work/x.gguf"; printf 'PK\3\4and so on' >"$work/x.bin"; printf '\x08\x07\x12\x07pytorch' >"$work/x.onnx"; : >"$work/empty.fvlm"
for kind in "x.gguf a GGUF file" "x.bin a PyTorch or zip file" "x.onnx an ONNX file"; do
    says "[wrong-arguments] sibling: ${kind#* } as model" 1 "\"$work/${kind%% *}\" is ${kind#* }, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'" \
        run "$work/${kind%% *}" "$photo" what
done
says "[wrong-arguments] sibling: an empty file" 1 "\"$work/empty.fvlm\" is empty; was the copy interrupted?" info "$work/empty.fvlm"
says "[wrong-arguments] safetensors as model" 1 "\"$tiny/fused/model.safetensors\" is a safetensors file, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'" \
    quant "$tiny/fused/model.safetensors" --dry-run
says "[wrong-arguments] a prompt that begins with -" 2 "unknown option \"-5\"; an argument that begins with - goes after --$help run --help'" run "$m" none "-5 degrees?"
"$FVLM" run "$m" none -q -- "-5 degrees?" >/dev/null 2>&1; ok "[wrong-arguments] sibling: and works after --" $?
"$FVLM" run -qh | head -1 | grep -q '^usage: fvlm run'; ok "[wrong-arguments] sibling: -qh is help" $?
says "[wrong-arguments] sibling: --help=1" 2 "--help takes no value$help run --help'" run --help=1
says "[wrong-arguments] sibling: --top-p 0" 2 "--top-p: 0 is out of range, 1e-06 to 1$help run --help'" run "$m" none hello --top-p 0
says "[wrong-arguments] sibling: info --dump --json" 2 "--dump writes the tensor to FILE; leave out --json and --tensors" \
    info "$m" --dump llm.norm.weight -o "$work/n" --json
"$FVLM" man | grep -q 'fB\\-h\\fR' && "$FVLM" man | grep -q 'fB\\-\\-version'; ok "[wrong-arguments] sibling: the man page has -h and --version" $?
"$FVLM" quant --help | grep -q keep; ok "[wrong-arguments] sibling: quant --help names keep" $?
"$FVLM" completion bash | grep -A1 "quant --type'" | grep -q int4-sym-g32; ok "[wrong-arguments] sibling: completion knows quant's types" $?
for name in config.json model.safetensors vocab.json merges.txt tokenizer_config.json added_tokens.json; do
    rm -rf "$work/ck"; cp -r "$tiny/fused" "$work/ck"
    says "[wrong-arguments] sibling: convert over its own $name" 1 "\"$work/ck/$name\" is a file of the checkpoint itself; write to another name" \
        convert "$work/ck" -o "$work/ck/$name" --force
done
ln "$work/ck/config.json" "$work/hard"; ln -s ck/vocab.json "$work/soft"
says "[wrong-arguments] sibling: a hard link to one" 1 "\"$work/hard\" is a file of the checkpoint itself; write to another name" convert "$work/ck" -o "$work/hard" --force
says "[wrong-arguments] sibling: a symbolic link to one" 1 "\"$work/soft\" is a file of the checkpoint itself; write to another name" convert "$work/ck" -o "$work/soft" --force
