#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: the tokenizer of a checkpoint is what its files say, however many of them there are: files that agree are read,
# files that disagree are the user's choice, what is not supported is refused by name; no vocabulary and no text takes more
# than linear time; a signal ends loading.
. tests/support/tap.sh convert
tool=$BUILD/tests/tools/vocabulary tokens=$BUILD/tests/tools/tokens
choose="; choose with --tokenizer tokenizer.json or --tokenizer vocab.json (what Apple's predict.py reads)"
alone="; --tokenizer tokenizer.json uses that alone" leave="; --tokenizer vocab.json leaves it out"
regex='(?i:'\''s|'\''t|'\''re|'\''ve|'\''m|'\''ll|'\''d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'

# fresh [FILE...]: the small model's tokenizer in $ck, but for these files; its weights are not there.
fresh() {
    ck=$dir/ck
    rm -rf "$ck"; mkdir "$ck"
    cp "$tiny"/fused/*.json "$tiny/fused/merges.txt" "$ck"
    for f in "$@"; do rm "$ck/$f"; done
}

# weights: for what needs a whole checkpoint.
weights() { cp "$tiny/fused/model.safetensors" "$ck"; }

# token ID TEXT [FLAGS]: one element of added_tokens.
token() {
    printf '{"id": %s, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false, %s}' "$1" "$2" \
        "${3:-"\"normalized\": false, \"special\": true"}"
}
three="$(token 448 '<|endoftext|>'), $(token 449 '<|im_start|>'), $(token 450 '<|im_end|>')"

# newer [SED]: writes tokenizer.json, the tokenizer of the other files, with $added, edited by a sed script.
added=$three
newer() {
    { printf '{"version": "1.0", "truncation": null, "padding": null,\n"added_tokens": [%s],\n' "$added"
      printf '"normalizer": {"type": "NFC"},\n"pre_tokenizer": {"type": "Sequence", "pretokenizers": [\n'
      printf '{"type": "Split", "pattern": {"Regex": "%s"}, "behavior": "Isolated", "invert": false},\n' "$regex"
      printf '{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]},\n'
      printf '"post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},\n'
      printf '"decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},\n'
      printf '"model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",\n'
      printf '"end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,\n"vocab": '
      cat "$tiny/fused/vocab.json"
      printf ',\n"merges": ['
      sed -e 1d -e 's/[\\"]/\\&/g' -e 's/.*/"&"/' "$tiny/fused/merges.txt" | paste -sd, | tr -d '\n'
      printf ']}}\n'; } | sed "${1:-}" >"$ck/tokenizer.json"
}

# reads WHAT [USE]: the tokenizer is that of the plain checkpoint.
reads() {
    same "$1" "$("$tool" "$ck" ${2+"$2"} 2>&1 | cksum)" "$plain"
}

# says WHAT MESSAGE [USE]: it is refused so.
says() {
    same "$1" "$("$tool" "$ck" ${3+"$3"} 2>&1 >/dev/null)" "$2"
}

# ids TEXT: of the section in $dir/section
ids() {
    local n
    n=$(printf '%s' "$1" | wc -c)
    { printf "$(printf '\\x%02x\\x%02x\\0\\0' $((n % 256)) $((n / 256)))"; printf '%s' "$1"; } |
        "$tokens" "$dir/section" 2>/dev/null | cut -f1
}

fresh
"$tool" "$ck" >"$dir/plain.section" || give_up "the plain tokenizer is not read"
plain=$(cksum <"$dir/plain.section")

# ---- two-tokenizers ----

fresh; added="$three, $(token 451 '<obj>')"; newer
says "[two-tokenizers] a tokenizer.json with a token more is the user's choice" \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: added token 451 is \"<obj>\" in the first and missing in the second$choose"
"$tool" "$ck" tokenizer.json >"$dir/section"
same "[two-tokenizers] --tokenizer tokenizer.json: its token is one id" "$(ids 'a <obj>')" "64 220 451"
"$tool" "$ck" vocab.json >"$dir/section"
same "[two-tokenizers] --tokenizer vocab.json: the text is taken apart, as in predict.py" "$(ids 'a <obj>')" "64 220 27 78 65 73 29"
weights
refuses "[two-tokenizers] by convert, in one line" 1 \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: added token 451 is \"<obj>\" in the first and missing in the second$choose" \
    "$ck" -o "$dir/x.fvlm"
for use in tokenizer.json vocab.json; do
    "$FVLM" convert "$ck" --tokenizer $use -o "$dir/$use.fvlm" -q &&
        "$FVLM" quant "$dir/$use.fvlm" --type int8 -o "$dir/int8.fvlm" --force -q >"$dir/quant.out" 2>&1
    ok "[two-tokenizers] convert --tokenizer $use" $?
    for model in "$dir/$use.fvlm" "$dir/int8.fvlm"; do
        "$FVLM" verify "$model" --against "$ck" >"$dir/verify.out" 2>&1
        ok "[two-tokenizers] verify --against knows the choice ($use, ${model##*/})" $?
    done
done
[ "$("$FVLM" info "$dir/tokenizer.json.fvlm" | grep -c '4 added tokens')" = 1 ]; ok "[two-tokenizers] info shows the added token" $?
same "[two-tokenizers] a third value of --tokenizer is a usage error" \
    "$("$FVLM" convert "$ck" --tokenizer x -o "$dir/x.fvlm" >"$dir/out" 2>&1; echo $?)" 2

added=$three
fresh; newer; reads "[two-tokenizers] sibling: both agree"
fresh vocab.json merges.txt added_tokens.json; newer; reads "[two-tokenizers] sibling: tokenizer.json and tokenizer_config.json alone"
fresh vocab.json merges.txt added_tokens.json tokenizer_config.json special_tokens_map.json; newer
reads "[two-tokenizers] sibling: tokenizer.json alone"
reads "[two-tokenizers] sibling: and chosen" tokenizer.json
says "[two-tokenizers] sibling: vocab.json is chosen, but is not there" '--tokenizer: the folder has no "vocab.json"; leave the option out' vocab.json
fresh; newer; weights
"$FVLM" convert "$ck" --tokenizer vocab.json -o "$dir/chosen.fvlm" -q && rm "$ck/vocab.json" "$ck/merges.txt" &&
    "$FVLM" verify "$dir/chosen.fvlm" "$ck" >/dev/null
ok "[two-tokenizers] sibling: verify beside a folder that has nothing to choose from" $?
fresh added_tokens.json tokenizer_config.json special_tokens_map.json; newer
reads "[two-tokenizers] sibling: tokenizer.json has the added tokens for vocab.json and merges.txt"
reads "[two-tokenizers] sibling: and with vocab.json chosen" vocab.json
fresh merges.txt; newer; reads "[two-tokenizers] sibling: tokenizer.json has the merges for vocab.json"
fresh tokenizer_config.json; newer; reads "[two-tokenizers] sibling: added_tokens.json and special_tokens_map.json agree with tokenizer.json"
fresh; newer 's/"i s","a n"/["i","s"],["a", "n"]/; s/"merges": \[\(.*\)\]}}/"merges": [\1]}}/'
reads "[two-tokenizers] sibling: merges as pairs and as texts"
fresh; newer 's/"i s","a n"/"a n","i s"/'
says "[two-tokenizers] sibling: two merges change places" \
    "\"tokenizer.json\" and \"merges.txt\" disagree: merge 0 is \"a n\" in the first and \"i s\" in the second$choose"
fresh; newer; printf 'z z\n' >>"$ck/merges.txt"; sed -i 's/"oce": 447/"oce": 447, "zz": 451/' "$ck/vocab.json"
says "[two-tokenizers] sibling: a token more in vocab.json" \
    "\"tokenizer.json\" and \"vocab.json\" disagree: token 451 is missing in the first and \"zz\" in the second$choose"
fresh; newer 's/"sugar": 445, "ce": 446/"sugar": 446, "ce": 445/'
says "[two-tokenizers] sibling: two ids change places" \
    "\"tokenizer.json\" and \"vocab.json\" disagree: token 445 is \"ce\" in the first and \"sugar\" in the second$choose"
fresh; newer '/^"added/s/"special": true/"special": false/'
says "[two-tokenizers] sibling: a flag differs" \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: \"special\" of added token 448 is \"false\" in the first and \"true\" in the second$choose"
fresh; newer '/^"added/s/"normalized": false/"normalized": true/'
says "[two-tokenizers] sibling: how a token is found differs" \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: \"normalized\" of added token 448 is \"true\" in the first and \"false\" in the second$choose"
fresh; newer 's/"normalizer": {"type": "NFC"}/"normalizer": null/'
says "[two-tokenizers] sibling: only one normalizes" \
    "\"tokenizer.json\" and \"vocab.json\" disagree: the normalizer is missing in the first and \"NFC\" in the second$choose"
fresh tokenizer_config.json; added="$three, $(token 451 '<obj>')"; newer; added=$three
says "[two-tokenizers] sibling: an old added_tokens.json" \
    "\"tokenizer.json\" and \"added_tokens.json\" disagree: added token 451 is \"<obj>\" in the first and missing in the second$choose"
fresh vocab.json merges.txt; added="$three, $(token 451 '<obj>')"; newer; added=$three
says "[two-tokenizers] sibling: an old tokenizer_config.json beside tokenizer.json" \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: added token 451 is \"<obj>\" in the first and missing in the second$alone"
fresh; newer '/^"added/s/<|im_end|>/<|im_End|>/'
says "[two-tokenizers] sibling: another text of an added token" \
    "\"tokenizer.json\" and \"tokenizer_config.json\" disagree: added token 450 is \"<|im_End|>\" in the first and \"<|im_end|>\" in the second$choose"
fresh; newer 's/"ignore_merges": false/"ignore_merges": true/'
says "[two-tokenizers] sibling: only one prefers whole tokens" \
    "\"tokenizer.json\" and \"vocab.json\" disagree: \"ignore_merges\" is \"true\" in the first and \"false\" in the second$choose"
fresh; newer 's/|[\]*p{N}| /|\\\\p{N}{1,3}| /'
case $("$tool" "$ck" 2>&1) in *'disagree: the regex that splits text is '*' in the first and '*"$choose") ok "[two-tokenizers] sibling: two regexes" 0 ;; *) ok "[two-tokenizers] sibling: two regexes" 1 ;; esac
fresh; newer 's/"byte_fallback": false/"byte_fallback": true/'
got=$("$tool" "$ck" 2>&1)
case $got in *'"byte_fallback" is set to true, which is not supported'"$leave") ok "[two-tokenizers] sibling: what is not supported in tokenizer.json can be left out" 0 ;;
*) same "[two-tokenizers] sibling: what is not supported in tokenizer.json can be left out" "$got" "" ;; esac
reads "[two-tokenizers] sibling: and is" vocab.json
sed -i 's/"<|im_end|>"/"<|end|>"/' "$ck/special_tokens_map.json"; rm "$ck/tokenizer.json" "$ck/tokenizer_config.json"
says "[two-tokenizers] sibling: a special token without an id" \
    '"<|end|>" is named as a special token, but is not among the added tokens of "added_tokens.json"'

# What would change ids in tokenizer.json is refused by name: a sed script, then what the message contains.
while IFS=@ read -r what script wanted; do
    fresh vocab.json merges.txt added_tokens.json tokenizer_config.json special_tokens_map.json
    newer "$script"
    got=$("$tool" "$ck" 2>&1)
    case $got in *"$wanted"*) ok "[two-tokenizers] sibling: refused by name: $what" 0 ;; *) same "[two-tokenizers] sibling: refused by name: $what" "$got" "$wanted" ;; esac
done <<'END'
another normalizer@s/{"type": "NFC"}/{"type": "NFKC"}/@only the normalizer NFC, or none, is supported; this one is "NFKC"
a normalizer among others@s/{"type": "NFC"}/{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}/@only the normalizer NFC, or none, is supported; this one is "Sequence"
another regex@s/|[\]*p{N}| /|\\\\p{N}{1,2}| /@only a pre_tokenizer that splits by the regex of Qwen2, Llama 3, GPT-2 or SmolLM2, then ByteLevel, is supported; this one is "Sequence"
a prefix space@s/"add_prefix_space": false, "trim_offsets": false, "use_regex": false}\]/"add_prefix_space": true, "trim_offsets": false, "use_regex": false}]/@only a pre_tokenizer that splits by the regex of
no pre_tokenizer@/^{"type": "Split"/,/^{"type": "ByteLevel"/d;s/^"pre_tokenizer".*/"pre_tokenizer": null,/@only a pre_tokenizer that splits by the regex of Qwen2, Llama 3, GPT-2 or SmolLM2, then ByteLevel, is supported; this one is null
a BOS token@s/"post_processor": {"type": "ByteLevel"/"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]/@only a post_processor that adds no token is supported; this one is "TemplateProcessing"
a BOS token, deeper@s/"post_processor": {"type": "ByteLevel"/"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "RobertaProcessing"}]/@only a post_processor that adds no token is supported; this one is "Sequence"
another decoder@s/"decoder": {"type": "ByteLevel"/"decoder": {"type": "Metaspace"/@only the decoder ByteLevel is supported; this one is "Metaspace"
byte fallback@s/"byte_fallback": false/"byte_fallback": true/@the model's "byte_fallback" is set to true
dropout@s/"dropout": null/"dropout": 0.1/@the model's "dropout" is set to 0.1
a suffix@s/"end_of_word_suffix": ""/"end_of_word_suffix": "<\/w>"/@the model's "end_of_word_suffix" is set to "</w>"
a prefix@s/"continuing_subword_prefix": ""/"continuing_subword_prefix": "##"/@the model's "continuing_subword_prefix" is set to "##"
another model@s/"type": "BPE"/"type": "Unigram"/@the model's "type" is set to "Unigram"
a token that takes spaces@/^"added/s/"lstrip": false/"lstrip": true/@has "lstrip" set, which is not supported
a token that takes spaces after it@/^"added/s/"rstrip": false/"rstrip": true/@has "rstrip" set, which is not supported
a token of whole words@/^"added/s/"single_word": false/"single_word": true/@has "single_word" set, which is not supported
an id that tokenizers would not give@/^"added/s/"id": 450/"id": 460/@the added token "<|im_end|>" has the id 460, but Hugging Face's tokenizers gives it 450, the next free one
added tokens out of order@/^"added/s/"id": 448/"id": 449/;/^"added/s/"id": 449, "content": "<|im_s/"id": 448, "content": "<|im_s/@but Hugging Face's tokenizers gives it 448
END
while IFS=@ read -r what text wanted; do
    fresh added_tokens.json special_tokens_map.json
    sed -i "1s/{/{$text,/" "$ck/tokenizer_config.json"
    says "[two-tokenizers] sibling: refused by name: $what" "\"tokenizer_config.json\": $wanted"
done <<'END'
a BOS token in the config@"add_bos_token": true@"add_bos_token" is set, which is not supported
an EOS token in the config@"add_eos_token": true@"add_eos_token" is set, which is not supported
END
sed -i 's/"add_eos_token": true,//; s/"split_special_tokens": false/"split_special_tokens": true/' "$ck/tokenizer_config.json"
says "[two-tokenizers] sibling: refused by name: special tokens that are not found" \
    '"tokenizer_config.json": "split_special_tokens" is set, which is not supported'
sed -i 's/"Qwen2Tokenizer"/"LlamaTokenizerFast"/; s/"split_special_tokens": true/"split_special_tokens": false/' "$ck/tokenizer_config.json"
says "[two-tokenizers] sibling: refused by name: another class" \
    '"tokenizer_config.json": "tokenizer_class" is "LlamaTokenizerFast"; only Qwen2Tokenizer is supported'
newer; sed -i 's/"LlamaTokenizerFast"/"PreTrainedTokenizerFast"/' "$ck/tokenizer_config.json"
reads "[two-tokenizers] sibling: a class that stands for tokenizer.json"

# ---- text files as other systems write them ----

for file in vocab.json merges.txt added_tokens.json tokenizer_config.json tokenizer.json; do
    fresh; newer; { printf '\357\273\277'; cat "$ck/$file"; } >"$dir/bom"; mv "$dir/bom" "$ck/$file"
    reads "[bom] sibling: $file"
done
fresh tokenizer_config.json; { printf '\357\273\277'; cat "$ck/special_tokens_map.json"; } >"$dir/bom"; mv "$dir/bom" "$ck/special_tokens_map.json"
reads "[bom] sibling: special_tokens_map.json"
fresh; sed -i 's/$/\r/' "$ck"/*.json "$ck/merges.txt"; reads "lines that end in CR LF"
fresh; sed -i 1d "$ck/merges.txt"; reads "merges.txt without its version"
fresh; truncate -s -1 "$ck/merges.txt"; reads "merges.txt without its last line end"
fresh; printf '\n\n' >>"$ck/merges.txt"; reads "merges.txt with empty lines"

# ---- empty-token ----

# The letter "!" moves to 451, which leaves id 0 to the empty token.
fresh; sed -i 's/"!": 0/"": 0, "!": 451/' "$ck/vocab.json"
"$tool" "$ck" >"$dir/section"
same "[empty-token] an empty token at id 0" "$(ids 'Who is it!'),$(ids '')" "$(cp "$dir/section" "$dir/moved"; cp "$dir/plain.section" "$dir/section"; ids 'Who is it!' | sed 's/\b0$/451/'),"
weights; fresh_answer() { "$FVLM" run "$1" "$tiny/demo.png" "What is the price of bread?" --max-tokens 12 2>/dev/null; }
"$FVLM" convert "$ck" -o "$dir/empty.fvlm" -q && "$FVLM" convert "$tiny/fused" -o "$dir/plain.fvlm" -q
same "[empty-token] the model with it answers as before" "$(fresh_answer "$dir/empty.fvlm")" "$(fresh_answer "$dir/plain.fvlm")"
fresh; sed -i 's/"oce": 447/"oce": 447, "": 451/' "$ck/vocab.json"; "$tool" "$ck" >"$dir/section"
same "[empty-token] sibling: at the end" "$(ids 'Who is it!')" "$(cp "$dir/plain.section" "$dir/section"; ids 'Who is it!')"
fresh; sed -i 's/"oce": 447/"oce": 447, " ": 451, "\\n": 452, "\\u4e2d": 453/' "$ck/vocab.json"; "$tool" "$ck" >"$dir/section"
text=$' a\n中'
same "[empty-token] sibling: tokens outside the byte alphabet change no text's ids" "$(ids "$text")" "$(cp "$dir/plain.section" "$dir/section"; ids "$text")"
fresh; sed -i 's/"oce": 447/"oce": 447, "zq": 460/' "$ck/vocab.json"; "$tool" "$ck" >"$dir/section"
same "[empty-token] sibling: ids with holes" "$(ids "a zq<|im_end|>")" "$(cp "$dir/plain.section" "$dir/section"; ids "a zq<|im_end|>")"
fresh; printf '#version: 0.2\n' >"$ck/merges.txt"; "$tool" "$ck" >"$dir/section"
same "[empty-token] sibling: no merges" "$(ids is),$(cp "$dir/plain.section" "$dir/section"; ids is)" "72 82,256"
fresh; : >"$ck/merges.txt"; says "[empty-token] sibling: refused: an empty merges.txt" '"merges.txt" is empty; download it again'
while IFS=@ read -r what file script wanted; do
    fresh tokenizer_config.json special_tokens_map.json; sed -i "$script" "$ck/$file"
    says "[empty-token] sibling: refused: $what" "$wanted"
done <<'END'
an added token without text@added_tokens.json@s/"<|endoftext|>"/""/@the added token 448 has no text
a merge with an empty left side@merges.txt@2s/.*/ s/@"merges.txt": line 2: expected two tokens separated by one space
a merge with an empty right side@merges.txt@2s/.*/s /@"merges.txt": line 2: expected two tokens separated by one space
a token twice@vocab.json@s/"oce": 447/"oce": 447, "ce": 451/@the token "ce" is in the vocabulary twice
an id twice@vocab.json@s/"oce": 447/"oce": 446/@"vocab.json": byte 5135: tokens "ce" and "oce" have the same id 446
an id above 2^31@vocab.json@s/"oce": 447/"oce": 2147483653/@"vocab.json": byte 5135: token "oce" has the id 2147483653, at most 2097151 are allowed
a negative id@vocab.json@s/"oce": 447/"oce": -1/@"vocab.json": byte 5142: expected a whole number, 0 or more, in plain digits
a fraction for an id@vocab.json@s/"oce": 447/"oce": 447.0/@"vocab.json": byte 5142: expected a whole number, 0 or more, in plain digits
no token for a byte@vocab.json@s/"!": 0, //@the vocabulary has no token for the byte 0x21; only byte-level BPE is supported
a merge of no token@merges.txt@2s/.*/zq s/@merge 0, "zq s", uses or makes a token that is not in the vocabulary
an added token in the vocabulary under another id@vocab.json@s/"oce": 447/"oce": 447, "<|im_end|>": 451/@"<|im_end|>" is the token 451 and the added token 450
an added token that spells other bytes@added_tokens.json@s/"<|endoftext|>": 448/"\\u00e9": 165/@the added token "é" is a token of the vocabulary too, where it spells other bytes
END
fresh; newer 's/"i s","a n"/["", "s"],["a", "n"]/; s/"oce": 447/"oce": 447, "": 451/'; rm "$ck/vocab.json"
case $("$tool" "$ck" 2>&1) in *'merge 0, " s": expected two tokens in the letters of byte-level BPE'*) ok "[empty-token] sibling: refused: an empty side in a pair" 0 ;; *) ok "[empty-token] sibling: refused: an empty side in a pair" 1 ;; esac

# ---- colliding-merges ----

# The unit tests build a vocabulary whose merges had one slot in 0.1.0, and 1,000 added tokens that begin alike.
CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD/tests/reference/tokenizer/tokenizer_tables" >"$dir/tables.tap" 2>&1
unit() { grep -q "^ok .* - $2$" "$dir/tables.tap"; ok "$1" $?; }
unit "[colliding-merges] merges made for one slot of the former hash do not crowd" merges_do_not_crowd
unit "[colliding-merges] sibling: 1,000 added tokens that begin alike, in a text that is all beginnings" added_tokens_that_never_end
unit "[colliding-merges] sibling: overlapping added tokens are found as by the plainest search" added_tokens_as_by_plain_search

# long WHAT UNIT: a text of 1 MiB is encoded. What is quadratic takes hours.
long() {
    { printf '\0\0\020\0'; yes "$2" | tr -d '\n' | head -c $((16 * 65536)); } >"$dir/text"
    timeout 100 "$tokens" "$dir/section" <"$dir/text" >"$dir/ids" 2>&1
    same "[colliding-merges] sibling: 1 MiB of $1" "$? $(cut -f2 "$dir/ids" | head -c 20)" "0 $(od -An -tx1 -N10 "$dir/text" -j4 | tr -d ' \n')"
}
cp "$dir/plain.section" "$dir/section"
long "one letter" a
long "digits" 7
long "spaces" " "
long "signs" "!"
long "no spaces" "ofthenightsugarprice"
long "added tokens cut short" "<|im_"
fresh; # 10,000 added tokens, most of them the beginning of others
{ printf '{"<|endoftext|>": 448, "<|im_start|>": 449, "<|im_end|>": 450'
  for ((i = 0; i < 10000; i++)); do printf ',"<%s>%s":%d' $((i % 100)) "${i//?/x}$i" $((i + 451)); done; printf '}\n'; } >"$ck/added_tokens.json"
rm "$ck/tokenizer_config.json" "$ck/special_tokens_map.json"
"$tool" "$ck" >"$dir/section"; ok "[colliding-merges] sibling: 10,000 added tokens are read" $?
long "text with 10,000 added tokens" "<7>x<7>xxx"

# ---- stop-anywhere ----

# Every text of 1 to 4 small letters is a token: 475,254 tokens, 475,228 merges.
fresh; weights
awk -v merges="$ck/merges.txt" -v vocab="$dir/more" 'BEGIN {
    letters = "abcdefghijklmnopqrstuvwxyz"
    for (i = 1; i <= 26; i++) { text[++n] = substr(letters, i, 1) }
    for (from = 1; length(text[from]) < 4; from++)
        for (i = 1; i <= 26; i++) { text[++n] = text[from] substr(letters, i, 1); print text[from], substr(letters, i, 1) >merges }
    printf ",\n" >vocab
    for (i = 27; i <= n; i++) printf "%s\"%s\": %d", (i > 27 ? ",\n" : ""), text[i], 1000 + i >vocab
    print "}" >vocab
}'
{ sed 's/, "[^"]*": 256,.*//' "$ck/vocab.json"; cat "$dir/more"; } >"$dir/all"; mv "$dir/all" "$ck/vocab.json"
got=$("$FVLM" convert "$ck" --dry-run 2>&1)
same "[stop-anywhere] a tokenizer of 475,228 merges is read" "$got" \
    "fvlm: the tokenizer has ids up to 476254, but \"config.json\" says \"vocab_size\" 512; tokenizer and weights do not belong together"
late=0 caught=0 n=0
for signal in TERM INT HUP TERM; do
    for delay in 0.02 0.05 0.09 0.14 0.2 0.27; do
        "$FVLM" convert "$ck" -o "$dir/never.fvlm" >"$dir/out" 2>&1 &
        pid=$!
        sleep $delay
        kill -$signal $pid 2>/dev/null
        began=${EPOCHREALTIME/./}
        wait $pid; rc=$?
        [ $((${EPOCHREALTIME/./} - began)) -lt 3000000 ] || late=$((late + 1))
        [ $rc = 1 ] || [ $rc -gt 128 ] || late=$((late + 1))
        [ $rc -gt 128 ] && caught=$((caught + 1))
        n=$((n + 1))
    done
done
same "[stop-anywhere] sibling: $n signals while it loads end convert" "$late" 0
[ $caught -gt 0 ]; ok "[stop-anywhere] sibling: $caught of them found it at work" $?
unit "[stop-anywhere] sibling: a flag that is set ends reading the section, and encoding" a_set_flag_stops
