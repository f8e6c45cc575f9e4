#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a checkpoint whose config.json says "anyres" is run, quantized and verified in tiles, without an option; --tiles
# divides pictures for any model, in `run`, `bench` and `verify`; what each tile gave and cost is told; exact refusals.
. tests/support/tap.sh run
ck=$dir/ck m=$dir/any.fvlm plain=$dir/plain.fvlm picture=$tiny/demo.png question="How many shapes are there?"
mkdir "$ck"
cp "$tiny"/fused/*.json "$tiny/fused/merges.txt" "$ck"
ln -s "$PWD/$tiny/fused/model.safetensors" "$ck/model.safetensors"
sed -i 's/"image_aspect_ratio": "pad"/"image_aspect_ratio": "anyres"/; s/"mm_patch_merge_type": "flat"/"mm_patch_merge_type": "spatial"/
    s/"image_grid_pinpoints": null/"image_grid_pinpoints": [[256, 512], [512, 256], [512, 512]]/' "$ck/config.json"
"$FVLM" convert "$ck" -o "$m" -q && "$FVLM" convert "$tiny/fused" -o "$plain" -q || give_up "convert for tiles"

# tokens MODEL OPTION...: image tokens and the tokens of each square.
tokens() {
    "$FVLM" run "$1" "$picture" "$question" --json --max-tokens 2 "${@:2}" |
        awk '/"squares"/ { in_squares = 1 } /"(image|tokens)": [0-9]+,?$/ && (in_squares || /image/) { gsub(/[^0-9]/, ""); printf "%s ", $0 }'
}
same "a picture is divided as config.json says" "$(tokens "$m")" "48 16 16 16 "
same "--tiles 2x2" "$(tokens "$m" --tiles 2x2)" "80 16 16 16 16 16 "
same "--tiles off" "$(tokens "$m" --tiles off)" "16 "
same "--size makes more tiles of the same picture" "$(tokens "$m" --size 128)" "36 4 4 4 4 4 4 4 4 4 "
same "a model without tiles" "$(tokens "$plain")" "16 "
same "--tiles 1x2 for it" "$(tokens "$plain" --tiles 1x2)" "48 16 16 16 "
same "the first tile stands in the report" "$("$FVLM" run "$plain" "$picture" "$question" --tiles 2x1 2>&1 >/dev/null |
    awk '/^image/ { print $4, $5, $6, $7, $8, $9, $10 } /^ (over|tile)/ { print $1, $(NF - 1), $NF }' | tr '\n' ' ')" \
    "to an overview and 2 x 1 overview 16 tokens tile 16 tokens tile 16 tokens "
ids() { "$FVLM" run "$1" "$picture" "$question" --tokens-only -q "${@:2}"; }
same "off is what a model without tiles does" "$(ids "$m" --tiles off)" "$(ids "$plain")"
same "the same answer with one thread and scalar kernels" "$(ids "$m" --threads 1 --cpu scalar)" "$(ids "$m")"
same "the embedding has a row for each token" "$("$FVLM" run "$m" "$picture" --embedding -q | head -1)" \
    "$picture: 48 x 128, one row for each of 4 x 4 image tokens of the overview, then 2 x 1 tiles"

"$FVLM" quant "$m" --type int8 -o "$dir/int8.fvlm" -q; ok "quant" $?
same "a quantized model has the same tiles" "$(tokens "$dir/int8.fvlm")" "48 16 16 16 "
"$FVLM" verify "$dir/int8.fvlm" "$m" --image "$picture" -q >"$dir/out" 2>&1
ok "verify compares in tiles: $(head -c 200 "$dir/out")" $?
sed -i 's/"spatial"/"flat"/' "$ck/config.json"
same "verify refuses another merge" "$("$FVLM" verify "$m" --against "$ck" --image "$picture" -q 2>&1 | tail -1)" \
    "fvlm: \"$m\" and \"$ck\" are not the same model: tiles.merge is \"spatial\" and \"flat\""

# A model that divides pictures itself, one by an option: the same rows, so the same figures, to the last digit.
"$FVLM" convert "$ck" -o "$dir/flat.fvlm" -q; ok "convert of the flat one" $?
for f in flat plain; do "$FVLM" quant "$dir/$f.fvlm" --type int8 -o "$dir/$f-8.fvlm" -q || ok "quant of $f" 1; done
figures() { # MODEL SOURCE OPTION...: of the whole report, but for names, times and the question's number of tiles
    "$FVLM" verify "$1" "$2" --image "$picture" --act f32 --json "${@:3}" 2>"$dir/err" | sed '/"activations": \[/,$!d; /"\(seconds\|image\)"/d' | sed '/^  "\(model\|against\|seconds\|images\|tiles\)"/d'
}
figures "$dir/flat-8.fvlm" "$dir/flat.fvlm" >"$dir/want"
figures "$dir/plain-8.fvlm" "$dir/plain.fvlm" --tiles 2x1 >"$dir/got"
[ "$(wc -l <"$dir/want")" -gt 100 ] && cmp -s "$dir/want" "$dir/got"; ok "verify --tiles compares what the model's own tiles give" $?
figures "$dir/plain-8.fvlm" "$dir/plain.fvlm" >"$dir/want"
[ "$(wc -l <"$dir/want")" -gt 100 ] && ! cmp -s "$dir/want" "$dir/got"; ok "which differs from an undivided picture" $?
figures "$dir/flat-8.fvlm" "$dir/flat.fvlm" --tiles off >"$dir/got"
cmp -s "$dir/want" "$dir/got"; ok "as --tiles off compares" $?
"$FVLM" verify "$dir/plain-8.fvlm" "$dir/plain.fvlm" --image "$picture" --act f32 --tiles 2x1 2>/dev/null >"$dir/out"
grep -q '^int8 with f32 activations, 1 image in 2 x 1 tiles and [0-9]* drawn pictures$' "$dir/out"; ok "the report tells the tiles" $?
"$BUILD/tests/tools/tower" "$dir/plain.fvlm" "$dir/tower.fvlm" && "$BUILD/tests/tools/tower" "$dir/plain-8.fvlm" "$dir/tower-8.fvlm" &&
    "$FVLM" verify "$dir/tower-8.fvlm" "$dir/tower.fvlm" --image "$picture" --tiles 2x2 --act f32 --json >"$dir/out" 2>&1 &&
    grep -A4 '"columns": 2' "$dir/out" | grep -q '"rows": 2' && tr -d ' \n' <"$dir/out" | grep -qF "\"image\":\"$picture\",\"prompt\":null,\"positions\":80"
ok "of a tower alone every square's rows are compared" $?

"$FVLM" bench "$m" --image "$picture" --runs 1 --json >"$dir/out"; ok "bench" $?
same "bench counts tiles and tokens" "$(grep -oE '"(image_tokens|tiles)": [0-9]+' "$dir/out" | tr '\n' ' ')" '"image_tokens": 48 "tiles": 2 '
same "bench --tiles" "$("$FVLM" bench "$plain" --image "$picture" --runs 1 --tiles 2x2 --json | grep -oE '"(image_tokens|tiles)": [0-9]+' | tr '\n' ' ')" \
    '"image_tokens": 80 "tiles": 4 '

# --- refusals ---
refuses 2 "tiles \"2\": should be columns x rows such as 2x2, each 1 to 64, or \"off\"" "$m" "$picture" what --tiles 2
refuses 2 "tiles \"0x2\": should be columns x rows such as 2x2, each 1 to 64, or \"off\"" "$m" "$picture" what --tiles 0x2
refuses 2 "tiles \"2x65\": should be columns x rows such as 2x2, each 1 to 64, or \"off\"" "$m" "$picture" what --tiles 2x65
refuses 2 "--tiles: \"none\" is no picture; leave the option out" "$m" none what --tiles 2x2
refuses 1 "17 x 16 tiles of 256 pixels make a picture of 4352 x 4096; at most 4096 a side are supported" "$m" "$picture" what --tiles 17x16
refuses 2 "image side 320: the model divides pictures of 256 x 512 pixels, which tiles of that side do not fill; give another size, or the tiles" \
    "$m" "$picture" what --size 320
refuses 1 "the prompt takes 22 positions, the overview and 16 x 16 tiles 4112; the context holds 2048, answer included: take fewer tiles or a smaller size" \
    "$m" "$picture" what --tiles 16x16
tap_name=verify
refuses 2 "tiles \"2\": should be columns x rows such as 2x2, each 1 to 64, or \"off\"" "$dir/plain-8.fvlm" "$plain" --image "$picture" --tiles 2
refuses 2 "--picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error need --image FILE" "$plain" "$m" --tiles 2x2
refuses 1 "17 x 16 tiles of 256 pixels make a picture of 4352 x 4096; at most 4096 a side are supported" "$dir/plain-8.fvlm" "$plain" --image "$picture" --tiles 17x16
tap_name=bench
refuses 2 "--tiles needs --image FILE; random pixels are one square" "$m" --tiles 2x2
refuses 1 "at 256 pixels a side, image and prompt take 4136 positions and the answer 16; the context holds 2048" "$m" --image "$picture" --tiles 16x16
