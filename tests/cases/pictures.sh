#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: pictures are read as people see them, with --picture apple as Pillow's convert("RGB") reads them; what cannot be
# read is refused by name before memory or time is spent. tests/fixtures/pictures/SUMS holds what Pillow makes of each.
. tests/support/tap.sh pictures
m=$dir/tiny.fvlm pictures=tests/fixtures/pictures pixels=$BUILD/tests/tools/pixels
"$FVLM" convert "$tiny/fused" -o "$m" -q || give_up "convert for pictures"

while read -r row name apple seen; do
    [ "$row" = "$name" ] && what="" || what="sibling: "
    for how in apple seen; do
        got=$("$pixels" $how "$pictures/$name" | md5sum | cut -d' ' -f1)
        same "[$row] $what$name, $how: Pillow's pixels" "$got" "${!how}"
    done
done <"$pictures/SUMS"

# notes PICTURE [OPTION...]: what run prints about how the picture was read.
notes() { "$FVLM" run "$m" "$@" what --max-tokens 1 2>&1 >/dev/null </dev/null | sed -n 's/^picture  *//p'; }
same "[exif6.jpg] run says so" "$(notes "$pictures/exif6.jpg")" "turned as its orientation tag says"
same "[transparent.png] run says so" "$(notes "$pictures/transparent.png")" "transparent parts over white"
same "[gray16.png] run says so" "$(notes "$pictures/gray16.png")" "16-bit gray scaled to 8 bits"
same "[exif6.jpg] nothing to say with --picture apple" "$(notes "$pictures/exif6.jpg" --picture apple)" ""
same "[transparent.png] sibling: nothing to say about opaque alpha" "$(notes "$pictures/opaque-alpha.png")" ""
same "[exif6.jpg] --json says so" "$("$FVLM" run "$m" "$pictures/exif6.jpg" what --max-tokens 1 --json | grep -c 'turned as its')" 1

# refused NAME MESSAGE FILE: exit 1, that one line.
refused() {
    local got
    got=$("$FVLM" run "$m" "$3" what 2>&1 </dev/null)
    same "$1" "$? ${got//"$dir/"/}" "1 fvlm: $2"
}

# --- bombs: bytes() writes hexadecimal ---
bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"${1// /}")"; }
jpeg() { # MARKER SIDE COMPONENTS SCANS: a JPEG of almost no data
    bytes ffd8ffdb004300; head -c 64 /dev/zero | tr '\0' '\1'
    bytes "ff$1$(printf %04x $((8 + 3 * $3)))08$2$2$(printf %02x "$3")"; for i in $(seq "$3"); do bytes "$(printf %02x "$i")1100"; done
    bytes "ffda$(printf %04x $((6 + 2 * $3)))$(printf %02x "$3")"; for i in $(seq "$3"); do bytes "$(printf %02x "$i")00"; done; bytes 00000000000000
    bytes "$(for ((i = 0; i < $4; i++)); do printf ffda000801%02x00013f000000 $((1 + i % $3)); done)ffd9"
}
small="refused, as no picture of that size is so small"
jpeg ca 55f0 3 0 >"$dir/a.jpg"
refused "[bomb-arithmetic.jpg] refused by name" "\"a.jpg\": JPEG of 22000 x 22000 pixels in $(wc -c <"$dir/a.jpg") bytes: $small" "$dir/a.jpg"
jpeg c9 55f0 3 0 >"$dir/b.jpg"
refused "[bomb-arithmetic.jpg] sibling: in one scan" "\"b.jpg\": JPEG of 22000 x 22000 pixels in $(wc -c <"$dir/b.jpg") bytes: $small" "$dir/b.jpg"
jpeg c2 55f0 3 0 >"$dir/c.jpg"
refused "[bomb-arithmetic.jpg] sibling: Huffman" "\"c.jpg\": damaged JPEG: 22000 x 22000 pixels cannot fit in $(wc -c <"$dir/c.jpg") bytes" "$dir/c.jpg"
{ jpeg ca 55f0 3 0; head -c 3000000 /dev/zero; } >"$dir/d.jpg"
refused "[bomb-arithmetic.jpg] sibling: filled up" "\"d.jpg\": JPEG of 22000 x 22000 pixels in several scans, which takes more than 1 GiB to decode: save it smaller or as a baseline JPEG" "$dir/d.jpg"
{ bytes 52494646; bytes 1a000000; printf WEBPVP8L; bytes 0d0000002fffffff0f0000000000000000; bytes 00; } >"$dir/e.webp"
refused "[bomb-arithmetic.jpg] sibling: WebP" "\"e.webp\": WebP of 16384 x 16384 pixels in 34 bytes: $small" "$dir/e.webp"
jpeg ca 55f0 3 498 >"$dir/f.jpg"
refused "[bomb-498-scans.jpg] refused by name" "\"f.jpg\": JPEG of 22000 x 22000 pixels in $(wc -c <"$dir/f.jpg") bytes: $small" "$dir/f.jpg"
jpeg ca 0bb8 3 498 >"$dir/g.jpg" # 3000 pixels a side: the memory is fair, the scans are not
refused "[bomb-498-scans.jpg] sibling: smaller" "\"g.jpg\": JPEG of 3000 x 3000 pixels in 36 or more scans, which takes too long: save it with fewer scans" "$dir/g.jpg"
jpeg ca 0040 1 600 >"$dir/h.jpg"
refused "[bomb-498-scans.jpg] sibling: tiny, gray" "\"h.jpg\": JPEG of 64 x 64 pixels in 501 or more scans, which takes too long: save it with fewer scans" "$dir/h.jpg"
jpeg ca 0800 1 498 >"$dir/i.jpg"
refused "[bomb-498-scans.jpg] sibling: gray" "\"i.jpg\": JPEG of 2048 x 2048 pixels in 17 or more scans, which takes too long: save it with fewer scans" "$dir/i.jpg"

{ bytes 89504e470d0a1a0a0000000d; printf IHDR; bytes "001e8480000000010800000000 11a88195 00000001"; printf IDAT; } >"$dir/wide.png"
refused "[bomb-arithmetic.jpg] sibling: a PNG row of two million pixels" \
    "\"wide.png\": 2000000 x 1 pixels: the limits are 500000000 in all and 1000000 on a side" "$dir/wide.png"

# --- kinds that are named ---
cgbi="a PNG rewritten by Xcode for iPhone apps (CgBI); convert it back on a Mac: xcrun pngcrush -revert-iphone-optimizations in.png out.png"
{ bytes 89504e470d0a1a0a00000004; printf CgBI; bytes 5000200600000000; } >"$dir/cgbi.png"
refused "[cgbi-png] named with what to do" "\"cgbi.png\": $cgbi" "$dir/cgbi.png"
names() { # WHAT THEN NAME FORMAT
    printf "$4" >"$dir/$3"
    refused "[cgbi-png] sibling: $3" "\"$3\": $1, not JPEG, PNG or WebP; $2" "$dir/$3"
}
heif="convert it first: heif-convert in.heic out.jpg (on an iPhone: Settings > Camera > Formats > Most Compatible)"
names "an HEIC image" "$heif" a.heic '\0\0\0\30ftypheic\0\0\0\0mif1heic'
names "an HEIC image" "$heif" b.heic '\0\0\0\30ftypmif1\0\0\0\0mif1hevc'
names "an HEIF image" "$heif" c.heif '\0\0\0\30ftypmsf1\0\0\0\0msf1iso8'
names "an AVIF image" "convert it first: avifdec in.avif out.png" d.avif '\0\0\0\30ftypmif1\0\0\0\0miafavis'
names "a video (MP4 or QuickTime)" "take a frame of it first: ffmpeg -i in.mp4 -frames:v 1 out.png" e.mov '\0\0\0\24ftypqt  \0\0\0\0qt  '
names "a TIFF or camera raw image" "convert it first: magick 'in.tif[0]' out.png" f.dng 'II*\0\10\0\0\0'
names "an SVG drawing" "convert it first: rsvg-convert in.svg -o out.png" g.svg '\357\273\277<?xml version="1.0"?>\n<svg/>'
names "a web page" "the download went wrong: get the picture's own address" h.png '<!DOCTYPE html><p>'
names "a GGUF model" "the picture comes after the model: fvlm run MODEL.fvlm PICTURE \"PROMPT\"" i.gguf 'GGUF\3\0\0\0'
mangled="a picture whose bytes were changed as if they were text; get it again in binary mode"
mangles() { # NAME FORMAT
    printf "$2" >"$dir/$1"
    refused "[cgbi-png] sibling: $1" "\"$1\": $mangled" "$dir/$1"
}
mangles ftp-lf.png '\211PNG\n\32\n\0\0\0\rIHDR'
mangles ftp-crlf.png '\211PNG\r\r\n\32\r\n\0\0\0\rIHDR'
mangles seven-bit.png '\tPNG\r\n\32\n\0\0\0\rIHDR'
mangles replaced.png '\357\277\275PNG\r\n\32\n\0\0\0\rIHDR'
mangles replaced.jpg '\357\277\275\357\277\275\357\277\275\357\277\275\0\20JFIF\0'
mangles latin1.png '\302\211PNG\r\n\32\n\0\0\0\rIHDR'
mangles latin1.jpg '\303\277\303\230\303\277\303\240\0\20JFIF\0'
: >"$dir/empty.jpg"
refused "[cgbi-png] sibling: an empty file" "\"empty.jpg\": an empty file" "$dir/empty.jpg"

# --- pipes ---
want=$("$FVLM" run "$m" "$tiny/demo.png" "How many?" -q)
for from in - /dev/stdin /proc/self/fd/0; do
    same "[wrong-arguments] a picture from a pipe: $from" "$(cat "$tiny/demo.png" | "$FVLM" run "$m" $from "How many?" -q)" "$want"
done
same "[wrong-arguments] a picture from a process" "$("$FVLM" run "$m" <(cat "$tiny/demo.png") "How many?" -q)" "$want"
same "[wrong-arguments] sibling: a process that takes its time" "$("$FVLM" run "$m" <(sleep 3.5; cat "$tiny/demo.png") "How many?" -q)" "$want"
same "[wrong-arguments] verify --image -" "$("$FVLM" verify "$m" --against "$m" --image - <"$tiny/demo.png" >/dev/null 2>&1; echo $?)" \
    "$("$FVLM" verify "$m" --against "$m" --image "$tiny/demo.png" >/dev/null 2>&1; echo $?)"
refused "[wrong-arguments] sibling: an empty pipe" "standard input: nothing came; is the command before it right?" -
refused "[wrong-arguments] sibling: an endless one" "\"/dev/zero\": more than 64 MB; save the picture in a file and name that" /dev/zero
mkfifo "$dir/fifo"
refused "[wrong-arguments] sibling: a pipe without a writer" "\"fifo\": a pipe to which nothing writes" "$dir/fifo"

# --- signals: while a pipe is silent, nothing else can end the wait ---
for signal in TERM HUP; do
    mkfifo "$dir/$signal"; exec 8<>"$dir/$signal"
    "$FVLM" run "$m" "$dir/$signal" what >"$dir/out" 2>&1 8>&- & pid=$!
    sleep 0.7; kill -$signal $pid; began=$(date +%s%N); wait $pid 2>/dev/null; took=$((($(date +%s%N) - began) / 1000000))
    [ $took -lt 1000 ] || echo "# $took ms"
    [ $took -lt 1000 ]; ok "[stop-anywhere] $signal ends the wait for a picture" $?
    exec 8>&-
done
