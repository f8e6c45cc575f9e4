#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a checkpoint folder as people have it on disk is read for what it says, or refused in one line that names
# what it is and what to do. Whatever is read gives the same weights as the plain checkpoint.
. tests/support/tap.sh convert
make_checkpoint=$BUILD/tests/tools/checkpoint
INDEX=model.safetensors.index.json SINGLE=model.safetensors
apple="give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face"
merge="merge it into its base model (peft: merge_and_unload, then save_pretrained) and give the result"
float="give the checkpoint it was made from (BF16, F16 or F32)"

# fresh NAME [CHANGE...]: a good checkpoint in $ck = $dir/NAME, with changes.
fresh() {
    ck=$dir/$1
    shift
    rm -rf "$ck"; mkdir -p "$ck"
    "$make_checkpoint" "$ck" fused bf16 "$@" >"$dir/made" 2>&1 || give_up "no checkpoint: $(cat "$dir/made")"
}

# reads WHAT FOLDER [WARNING]: converts to the weights of the plain checkpoint, with exactly this warning.
reads() {
    local got rc
    got=$("$FVLM" convert "$2" -o "$dir/read.fvlm" --force 2>&1 >/dev/null)
    rc=$?
    "$FVLM" verify "$dir/read.fvlm" --against "$dir/plain.fvlm" >"$dir/verify.out" 2>&1
    same "$1" "$rc $? ${got//"$dir/"/}" "0 0 ${3:+fvlm: warning: $3}"
}

# kind WHAT FOLDER KIND EVIDENCE [ADVICE]
kind() { refuses "$1" 1 "\"$2\" is $3 ($4); ${5:-$apple}" "$2" -o "$dir/x.fvlm"; }

# index FILE [NAME FILE]...: an index that puts the tensors of the plain checkpoint into FILE, but for those named.
index() {
    local file=$1 name
    shift
    { printf '{"weight_map": {'
      for name in $names; do
          local in=$file i
          for ((i = 1; i < $#; i += 2)); do [ "${!i}" = "$name" ] && { i=$((i + 1)); in=${!i}; }; done
          [ "$in" ] && printf '"%s": "%s",\n' "$name" "$in"
      done | sed '$ s/,$//'
      printf '}}'; } >"$ck/$INDEX"
}

fresh plain; plain=$ck
"$FVLM" convert "$plain" -o "$dir/plain.fvlm" -q || give_up "the plain checkpoint"
names=$(tr '"' '\n' <"$plain/$SINGLE" | grep -aE '^(model|lm_head)\.[a-z0-9_.]+$')
[ "$(wc -l <<<"$names")" -gt 100 ] || give_up "the names of the plain checkpoint"

# --- index-of-one
fresh one; index $SINGLE
reads "[index-of-one] an index that names only model.safetensors" "$ck"
index $SINGLE; sed -i 's/{"weight_map"/{"metadata": {"total_size": 7}, "weight_map"/' "$ck/$INDEX"
reads "[index-of-one] sibling: total_size is wrong, as many writers have it" "$ck"
index $SINGLE model.norm.weight model-00001-of-00002.safetensors
refuses "[index-of-one] the index names another file, too" 1 \
    "\"$ck\" has two sets of weights: $SINGLE, and $INDEX, which names \"model-00001-of-00002.safetensors\" (not in the folder); remove one of them" "$ck" --dry-run
fresh two shards 2; cp "$plain/$SINGLE" "$ck"
refuses "[index-of-one] sibling: a merged file left beside its shards" 1 \
    "\"$ck\" has two sets of weights: $SINGLE, and $INDEX, which names \"model-00001-of-00002.safetensors\"; remove one of them" "$ck" --dry-run
fresh ghost; index $SINGLE; sed -i 's/}}/,"model.ghost": "model.safetensors"}}/' "$ck/$INDEX"
refuses "[index-of-one] sibling: the index lists more than the file holds" 1 \
    "\"$INDEX\" says that tensor \"model.ghost\" is in \"$SINGLE\", but it is not" "$ck" --dry-run
fresh empty-index; echo '{"weight_map": {}}' >"$ck/$INDEX"
refuses "[index-of-one] sibling: an empty index" 1 \
    "\"$ck\" has $SINGLE, but $INDEX lists no tensors; remove the index if it is a leftover" "$ck" --dry-run
fresh sharded shards 3
reads "[index-of-one] sibling: three shards and their index" "$ck"
rm "$ck/model-00002-of-00003.safetensors"
refuses "[index-of-one] sibling: a shard is missing" 1 \
    "\"$INDEX\" names the shard \"model-00002-of-00003.safetensors\", which is not in the folder; download it" "$ck" --dry-run
for end in incomplete part crdownload aria2; do
    touch "$ck/model-00002-of-00003.safetensors.$end"
    refuses "[index-of-one] sibling: a shard is still .$end" 1 \
        "\"$INDEX\" names the shard \"model-00002-of-00003.safetensors\", of which the folder has only \"model-00002-of-00003.safetensors.$end\", an unfinished download; finish it" "$ck" --dry-run
    rm "$ck/model-00002-of-00003.safetensors.$end"
done
for outside in /etc/passwd ../up.safetensors sub/x.safetensors .hidden '..\\up'; do
    fresh outside; rm "$ck/$SINGLE"; index "$outside" ; name=$(sort <<<"$names" | head -1)
    got=$("$FVLM" convert "$ck" --dry-run 2>&1); rc=$?
    [[ $rc = 1 && $got == *"a shard must be a plain file name, in the folder of the index" ]]
    ok "[index-of-one] sibling: an index that points to $outside is refused: $got" $?
done
fresh variant; cp "$ck/$SINGLE" "$ck/model.fp16.safetensors"
reads "[index-of-one] sibling: a variant beside the weights is not used" "$ck" "1 weights file is not used: \"model.fp16.safetensors\""
fresh stray shards 2; cp "$plain/$SINGLE" "$ck/consolidated.safetensors"
reads "[index-of-one] sibling: a stray consolidated file beside shards is not used" "$ck" "1 weights file is not used: \"consolidated.safetensors\""
fresh no-index shards 2; rm "$ck/$INDEX"; cp "$plain/$SINGLE" "$ck"
reads "[index-of-one] sibling: shards without an index beside a single file are not used" "$ck" "2 weights files are not used: \"model-00001-of-00002.safetensors\" and more"
rm "$ck/$SINGLE"
kind "[index-of-one] sibling: shards without their index" "$ck" "a set of shards without $INDEX" '"model-00001-of-00002.safetensors"' "download the index, too"

# --- unlisted-tensor
fresh unlisted add model.extra BF16 4 shards 2; grep -v '"model.extra"' "$ck/$INDEX" | sed -z 's/,\n}}/\n}}/' >"$dir/i"; cp "$dir/i" "$ck/$INDEX"
warning="1 tensor is not used, because \"$INDEX\" does not list it: \"model.extra\" in \"model-00002-of-00002.safetensors\""
reads "[unlisted-tensor] a tensor that the index does not list, and nothing needs" "$ck" "$warning"
"$FVLM" convert "$ck" --dry-run --json -q | tr -d '\n' | grep -qF "\"warnings\": [ \"${warning//\"/\\\"}\"" || "$FVLM" convert "$ck" --dry-run --json -q | grep -qF "${warning//\"/\\\"}"
ok "[unlisted-tensor] the warning is in --json" $?
fresh unlisted add a.first F32 4 add z.last U8 9 shards 3; grep -vE '"(a.first|z.last)"' "$ck/$INDEX" | sed -z 's/,\n}}/\n}}/' >"$dir/i"; cp "$dir/i" "$ck/$INDEX"
reads "[unlisted-tensor] sibling: two, one of a type that holds no weights" "$ck" \
    "2 tensors are not used, because \"$INDEX\" does not list them: \"a.first\" in \"model-00003-of-00003.safetensors\" and more"
fresh needed shards 2; grep -v '"model.norm.weight"' "$ck/$INDEX" >"$dir/i"; cp "$dir/i" "$ck/$INDEX"
refuses "[unlisted-tensor] sibling: one that is needed" 1 \
    "1 tensor is missing: \"model.norm.weight\"; a shard holds it, but the index does not list it: download the index again" "$ck" --dry-run
fresh doubled shards 2; cp "$ck/model-00001-of-00002.safetensors" "$ck/third.safetensors"
sed -i 's/"lm_head.weight": "[^"]*"/"lm_head.weight": "third.safetensors"/' "$ck/$INDEX"
got=$("$FVLM" convert "$ck" --dry-run 2>&1); rc=$?
[[ $rc = 1 && $got == *"is in \"model-00001-of-00002.safetensors\" and in \"third.safetensors\"; download the folder again" ]]
ok "[unlisted-tensor] sibling: one that doubles a name: $got" $?
fresh one; index $SINGLE model.norm.weight ""
refuses "[unlisted-tensor] sibling: the index of a single file leaves out what is needed" 1 \
    "1 tensor is missing: \"model.norm.weight\"; a shard holds it, but the index does not list it: download the index again" "$ck" --dry-run

# --- tied-head-differs
differs='"config.json" says "tie_word_embeddings", but lm_head.weight differs from model.embed_tokens.weight, first in row 0; choose --head own (the stored head) or --head tied (the embedding; transformers before version 5)'
fresh head set lm_head.weight 7 3
refuses "[tied-head-differs] no choice, no file" 1 "$differs" "$ck" -o "$dir/x.fvlm"
for head in own tied; do
    "$FVLM" convert "$ck" -o "$dir/$head.fvlm" --head $head -q
    ok "[tied-head-differs] --head $head writes a file" $?
    "$FVLM" verify "$dir/$head.fvlm" --against "$ck" >/dev/null 2>&1
    ok "[tied-head-differs] verify --against repeats the choice of $head" $?
    "$FVLM" quant "$dir/$head.fvlm" -o "$dir/$head-8.fvlm" --type int8-sym-row -q
    "$FVLM" verify "$dir/$head-8.fvlm" --against "$ck" >/dev/null 2>&1
    ok "[tied-head-differs] sibling: so does verify of the quantized file, $head" $?
    tensors=$("$FVLM" info "$dir/$head.fvlm" --tensors --json | grep -c '"llm.head.weight"')
    same "[tied-head-differs] the file's head with --head $head" "$tensors" "$([ $head = own ] && echo 1 || echo 0)"
done
"$FVLM" verify "$dir/tied.fvlm" --against "$dir/plain.fvlm" >/dev/null 2>&1
ok "[tied-head-differs] --head tied gives the weights of the plain checkpoint" $?
refuses "[tied-head-differs] sibling: another word than own and tied" 2 "--head: \"both\" is not own or tied; try 'fvlm convert --help'" "$ck" --head both --dry-run
fresh head set lm_head.weight 7 3 config '"tie_word_embeddings": true' '"tie_word_embeddings": false'
refuses "[tied-head-differs] sibling: --head tied against config.json" 2 \
    "--head tied: config.json does not tie the head, and lm_head.weight differs from the embedding; leave the option out" "$ck" --head tied --dry-run
"$FVLM" convert "$ck" -o "$dir/untied.fvlm" --head own -q && "$FVLM" verify "$dir/untied.fvlm" --against "$dir/own.fvlm" >/dev/null 2>&1
ok "[tied-head-differs] sibling: --head own where config.json says so, too" $?
fresh head remove lm_head.weight config '"tie_word_embeddings": true' '"tie_word_embeddings": false'
refuses "[tied-head-differs] sibling: not tied, but no head is stored" 1 \
    "1 tensor is missing: \"lm_head.weight\"; config.json says that it is not tied to the embedding: --head tied uses the embedding anyway" "$ck" --dry-run
"$FVLM" convert "$ck" -o "$dir/read.fvlm" --head tied -q --force && "$FVLM" verify "$dir/read.fvlm" --against "$dir/plain.fvlm" >/dev/null 2>&1 &&
    "$FVLM" verify "$dir/read.fvlm" --against "$ck" >/dev/null 2>&1
ok "[tied-head-differs] sibling: then --head tied uses the embedding, and verify agrees" $?
fresh head remove lm_head.weight
refuses "[tied-head-differs] sibling: --head own without a stored head" 2 \
    "--head own: the checkpoint stores no head beside the embedding; leave the option out" "$ck" --head own --dry-run
fresh head retype lm_head.weight F32
reads "[tied-head-differs] sibling: a head of another type with the same values is the embedding" "$ck"
fresh head set lm_head.weight 7 nan
refuses "[tied-head-differs] sibling: a head that is not a number" 1 \
    'tensor "lm_head.weight": element [0, 7] is not a finite number; the file is damaged or the training diverged' "$ck" -o "$dir/x.fvlm"

# --- tied-alias
fresh alias remove model.embed_tokens.weight
reads "[tied-alias] the embedding is stored only as lm_head.weight, config.json ties" "$ck"
fresh alias remove model.embed_tokens.weight note model.embed_tokens.weight lm_head.weight config '"tie_word_embeddings": true, ' ''
reads "[tied-alias] __metadata__ says the alias, config.json nothing" "$ck"
fresh alias remove lm_head.weight note lm_head.weight model.embed_tokens.weight config '"tie_word_embeddings": true' '"tie_word_embeddings": false'
reads "[tied-alias] sibling: __metadata__ says that the head is the embedding" "$ck"
fresh alias remove model.embed_tokens.weight rename model. module.model. rename lm_head module.lm_head note module.model.embed_tokens.weight module.lm_head.weight
reads "[tied-alias] sibling: an alias of wrapped names" "$ck" 'names begin with "module.", stripped'
one=model.layers.1.input_layernorm.weight stray=1234567model.layers.0.input_layernorm.weight
fresh alias rename model. module.model. rename lm_head module.lm_head rename module.$one $stray note module.$one $stray
plain_names=$names names=$(sed "s/^/module./" <<<"$names" | grep -vF "module.$one"); index $SINGLE; names=$plain_names
refuses "[tied-alias] sibling: an alias of an unlisted tensor, whose name is not stripped" 1 "1 tensor is missing: \"$one\"" "$ck" --dry-run
fresh alias remove model.embed_tokens.weight note model.embed_tokens.weight nowhere config '"tie_word_embeddings": true, ' ''
refuses "[tied-alias] sibling: an alias of nothing" 1 '1 tensor is missing: "model.embed_tokens.weight"' "$ck" --dry-run
fresh alias remove model.layers.1.input_layernorm.weight note model.layers.1.input_layernorm.weight model.layers.0.input_layernorm.weight
"$FVLM" convert "$ck" -o "$dir/shared.fvlm" -q; ok "[tied-alias] sibling: layers may share a tensor" $?
fresh alias remove model.embed_tokens.weight note model.embed_tokens.weight model.norm.weight config '"tie_word_embeddings": true, ' ''
refuses "[tied-alias] sibling: an alias of another shape" 1 'tensor "model.norm.weight" is BF16 [32], expected [320, 32]' "$ck" --dry-run

# --- wrapped-names
for prefix in module. _orig_mod. base_model.model. module.base_model.model. model. transformer. a.b.c.; do
    fresh wrapped rename model. "${prefix}model." rename lm_head "${prefix}lm_head"
    label="[wrapped-names] $prefix"
    case $prefix in *.*.*|model.|transformer.) label="[wrapped-names] sibling: $prefix" ;; esac
    reads "$label is stripped" "$ck" "names begin with \"$prefix\", stripped"
done
"$FVLM" info "$dir/read.fvlm" --json | grep -qF '"stripped": "a.b.c."'; ok "[wrapped-names] the file says what was stripped" $?
fresh wrapped rename model. module.model. rename lm_head module.lm_head shards 2
reads "[wrapped-names] sibling: in shards" "$ck" 'names begin with "module.", stripped'
fresh wrapped rename model. module.model.
refuses "[wrapped-names] sibling: the head is not wrapped" 1 \
    'tensor names begin with "module.", but "lm_head.weight" does not; a prefix is stripped only if every name has it' "$ck" --dry-run
fresh wrapped rename model.layers.1. module.model.layers.1.
got=$("$FVLM" convert "$ck" --dry-run 2>&1); rc=$?
[[ $rc = 1 && $got == "fvlm: 12 tensors are missing: "*"; 12 tensors are left over: \"module.model.layers.1."* ]]
ok "[wrapped-names] sibling: one layer is wrapped, refused by name" $?
fresh wrapped rename model.layers.0. model._fsdp_wrapped_module.layers.0.
kind "[wrapped-names] sibling: modules wrapped inside" "$ck" "a training checkpoint whose modules are still wrapped (FSDP)" \
    'tensor "model._fsdp_wrapped_module.layers.0.input_layernorm.weight"' "save a full state dict with save_pretrained and give the result"

fresh wrapped rename model.layers.0. model.layers.0._checkpoint_wrapped_module.
kind "[wrapped-names] sibling: activation checkpointing" "$ck" "a training checkpoint whose modules are still wrapped (FSDP)" \
    'tensor "model.layers.0._checkpoint_wrapped_module.input_layernorm.weight"' "save a full state dict with save_pretrained and give the result"
fresh wrapped rename model.layers. model._orig_mod.layers.
kind "[wrapped-names] sibling: a part was compiled" "$ck" "a checkpoint of which torch.compile wraps a part" \
    'tensor "model._orig_mod.layers.0.input_layernorm.weight"' "save the module that was compiled (its _orig_mod), or remove \"_orig_mod.\" from the names"
fresh wrapped rename model.vision_tower. model.vision_tower._orig_mod.
kind "[wrapped-names] sibling: the tower was compiled" "$ck" "a checkpoint of which torch.compile wraps a part" \
    "tensor \"model.vision_tower._orig_mod.vision_tower.model.conv_exp.reparam_conv.bias\"" "save the module that was compiled (its _orig_mod), or remove \"_orig_mod.\" from the names"
fresh wrapped rename model. _fsdp_wrapped_module.model. rename lm_head _fsdp_wrapped_module.lm_head
reads "[wrapped-names] sibling: FSDP around the whole model" "$ck" 'names begin with "_fsdp_wrapped_module.", stripped'

# --- lfs-pointer, html-download: in every file of a checkpoint
pointer() { printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 1240000000\n' 7; }
# broken ROW FILE KIND ADVICE: what stdin holds, as FILE
broken() {
    fresh broken
    cat >"$ck/$2"
    refuses "$1" 1 "\"$2\" is $3; ${4:-download it again}" "$ck" --dry-run
}
lfs="a Git LFS pointer, not the file itself" html="a web page, not the file itself" login="download it again, logged in if its repository requires it"
broken "[lfs-pointer] model.safetensors" $SINGLE "$lfs" "run 'git lfs pull' in its folder" < <(pointer)
for file in config.json vocab.json merges.txt added_tokens.json generation_config.json; do
    broken "[lfs-pointer] sibling: $file" $file "$lfs" "run 'git lfs pull' in its folder" < <(pointer)
done
fresh broken; rm "$ck/vocab.json" "$ck/merges.txt"; pointer >"$ck/tokenizer.json"
refuses "[lfs-pointer] sibling: tokenizer.json" 1 "\"tokenizer.json\" is $lfs; run 'git lfs pull' in its folder" "$ck" --dry-run
fresh broken shards 2; pointer >"$ck/model-00002-of-00002.safetensors"
refuses "[lfs-pointer] sibling: a shard" 1 "\"model-00002-of-00002.safetensors\" is $lfs; run 'git lfs pull' in its folder" "$ck" --dry-run
pointer >"$ck/$INDEX"
refuses "[lfs-pointer] sibling: the index" 1 "\"$INDEX\" is $lfs; run 'git lfs pull' in its folder" "$ck" --dry-run

fresh broken; printf '# xet version 0\nfilesize = 12\nhash = "ab"\n' >"$ck/$SINGLE"
refuses "[lfs-pointer] sibling: a Xet pointer" 1 "\"$SINGLE\" is a Xet pointer, not the file itself; download it again" "$ck" --dry-run
broken "[html-download] model.safetensors" $SINGLE "$html" "$login" < <(echo '<!doctype html><html>Access denied</html>')
broken "[html-download] sibling: after a byte order mark" $SINGLE "$html" "$login" < <(printf '\xef\xbb\xbf \r\n<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">\n')
broken "[html-download] sibling: the XML of a bucket" $SINGLE "$html" "$login" < <(echo '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')
for file in config.json vocab.json merges.txt; do
    broken "[html-download] sibling: $file" $file "$html" "$login" < <(echo '<html><body>404</body></html>')
done
broken "[html-download] sibling: JSON of an error" $SINGLE "text, not weights: '{\"error\":\"Repository not found\"}'" < <(printf '{"error":"Repository not found"}')
broken "[html-download] sibling: a server's plain answer" $SINGLE "text, not weights: 'Entry not found'" < <(printf 'Entry not found')
fresh broken; echo '{"error":"Invalid credentials in Authorization header"}' >"$ck/config.json"
refuses "[html-download] sibling: an error instead of config.json" 1 \
    "\"config.json\" holds an error message, 'Invalid credentials in Authorization header'; download it again" "$ck" --dry-run
broken "[html-download] sibling: an empty file" $SINGLE "empty" < <(:)
broken "[html-download] sibling: an empty vocabulary" vocab.json "empty" < <(:)
fresh broken; head -c 5000 /dev/zero >"$ck/$SINGLE"
refuses "[html-download] sibling: a file of zeros" 1 "\"$SINGLE\" begins with zeros: the download is incomplete; download it again" "$ck" --dry-run
broken "[html-download] sibling: a zip archive" $SINGLE "a zip archive (PyTorch's .bin and .pth files are zip archives, too)" "give Apple's own checkpoint, in safetensors" < <(printf 'PK\3\4\0\0\0\0\10\0')
broken "[html-download] sibling: gzip that was not undone" config.json "compressed with gzip" "unpack it" < <(printf '{}' | gzip)
broken "[html-download] sibling: GGUF under the wrong name" $SINGLE "a GGUF file (llama.cpp)" "give Apple's own checkpoint, in safetensors" < <(printf 'GGUF\3\0\0\0\0\0\0\0')
broken "[html-download] sibling: a pickle under the wrong name" $SINGLE "a pickled PyTorch checkpoint" "give Apple's own checkpoint, in safetensors" < <(printf '\x80\2}q\0X\5\0\0\0model')

# --- hub-cache
hub=$dir/hub root=$dir/hub/models--apple--FastVLM-0.5B
# cache COMMIT...: a cache with these snapshots
cache() {
    rm -rf "$hub"
    mkdir -p "$root/blobs" "$root/refs" "$hub/.locks"
    local commit f i=0
    for commit; do
        mkdir -p "$root/snapshots/$commit"
        for f in "$plain"/*; do
            i=$((i + 1))
            cp "$f" "$root/blobs/00$i"
            ln -s "../../blobs/00$i" "$root/snapshots/$commit/${f##*/}"
        done
    done
    printf %s "$1" >"$root/refs/main"
}
cache 0123abcd
reads "[hub-cache] the root of a repository" "$root"
reads "[hub-cache] the whole cache, which holds one FastVLM" "$hub"
reads "[hub-cache] its snapshots" "$root/snapshots/"
reads "[hub-cache] sibling: the snapshot itself" "$root/snapshots/0123abcd"
reads "[hub-cache] sibling: the folder above hub/" "$dir"
same "[hub-cache] the report says which snapshot it read" "$("$FVLM" convert "$root" --dry-run | head -1)" "source    $root/snapshots/0123abcd"
"$FVLM" convert "$root" -o "$dir/read.fvlm" -q --force && "$FVLM" verify "$dir/read.fvlm" --against "$hub" >/dev/null 2>&1
ok "[hub-cache] sibling: verify --against a cache" $?
mkdir -p "$hub/models--google--gemma"
reads "[hub-cache] sibling: another model in the cache" "$hub"
cache 0123abcd ffff0000
reads "[hub-cache] sibling: two snapshots, refs/main chooses" "$root"
rm -r "$root/refs"
refuses "[hub-cache] sibling: two snapshots and no refs/main" 1 \
    "\"$root/snapshots\" holds 2 snapshots and no refs/main: \"0123abcd\", \"ffff0000\"; give one of them" "$root" --dry-run
rm -r "$root/snapshots/ffff0000"
reads "[hub-cache] sibling: one snapshot needs no refs/main" "$root"
mkdir "$root/refs"; printf 9999 >"$root/refs/main"
refuses "[hub-cache] sibling: refs/main names a snapshot that is missing" 1 \
    "\"$root/refs/main\" names the snapshot \"9999\", which is missing; download the repository again" "$root" --dry-run
printf ../../../../../etc >"$root/refs/main"
reads "[hub-cache] sibling: refs/main is no commit" "$root"
cache 0123abcd; cp -a "$root" "$hub/models--apple--FastVLM-7B"
refuses "[hub-cache] sibling: two FastVLMs in the cache" 1 \
    "\"$hub\" holds 2 FastVLM repositories: \"models--apple--FastVLM-0.5B\", \"models--apple--FastVLM-7B\"; give one of them" "$hub" --dry-run
rm -rf "$hub"/models--apple*; mkdir "$hub/models--google--gemma"
refuses "[hub-cache] sibling: no FastVLM in the cache" 1 "\"$hub\" is a Hugging Face cache without a FastVLM repository" "$hub" --dry-run
for file in $SINGLE config.json vocab.json; do
    cache 0123abcd; link=$(readlink "$root/snapshots/0123abcd/$file"); rm "$root/snapshots/0123abcd/$link"
    sibling=; [ $file = $SINGLE ] || sibling="sibling: "
    refuses "[hub-cache] ${sibling}the blob of $file is missing" 1 \
        "\"$root/snapshots/0123abcd/$file\" is a link to \"$link\", which is missing; run the download again" "$root" --dry-run
done
cache 0123abcd; link=$(readlink "$root/snapshots/0123abcd/$SINGLE"); mv "$root/snapshots/0123abcd/$link"{,.incomplete}
refuses "[hub-cache] sibling: the blob is still .incomplete" 1 \
    "\"$root/snapshots/0123abcd/$SINGLE\" is a link to \"$link\", which is missing: it is still \".incomplete\"; run the download again" "$root" --dry-run
rm -rf "$hub"

# --- foreign-kinds: folders without weights of ours, by their files
# folder FILE...: a folder with config.json and these files; a name that ends in / is a folder
folder() {
    ck=$dir/foreign
    rm -rf "$ck"; mkdir "$ck"
    local f
    for f; do case $f in */) mkdir -p "$ck/$f" ;; *) mkdir -p "$ck/$(dirname "$f")"; echo x >"$ck/$f" ;; esac; done
}
n_kinds=0
# files KIND EVIDENCE ADVICE FILE...
files() {
    local what=$1 evidence=$2 todo=$3
    shift 3
    folder "$@"
    n_kinds=$((n_kinds + 1))
    kind "[foreign-kinds] $*" "$ck" "$what" "\"$evidence\"" "$todo"
}
unsafe="load them in transformers, save_pretrained(..., safe_serialization=True), and give the result"
files "a LoRA adapter, not a whole model" adapter_config.json "$merge" adapter_config.json adapter_model.safetensors README.md
files "a LoRA adapter, not a whole model" adapter_model.bin "$merge" adapter_model.bin
files "the output of a LoRA training, not a whole model" non_lora_trainables.bin "$merge" config.json non_lora_trainables.bin
files "a variant of the weights" model.fp16.safetensors "if these are the weights, rename it to model.safetensors (the index to $INDEX)" config.json model.fp16.safetensors
files "weights under another name" FastVLM.safetensors "if these are the weights, rename it to model.safetensors" config.json FastVLM.safetensors
files "a checkpoint in Mistral's or Meta's layout" consolidated.safetensors "$apple" consolidated.safetensors params.json tekken.json
files "a checkpoint in Mistral's or Meta's layout" consolidated.00.pth "$apple" consolidated.00.pth tokenizer.model
files "a diffusers pipeline, which generates images" model_index.json "$apple" model_index.json unet/x vae/x text_encoder/model.safetensors
files "an OpenCLIP or MobileCLIP model without its weights in safetensors" open_clip_config.json "download open_clip_model.safetensors, too" open_clip_config.json open_clip_pytorch_model.bin
files "pickled PyTorch weights, which fvlm does not read" pytorch_model.bin "$unsafe" config.json pytorch_model.bin
files "pickled PyTorch weights, which fvlm does not read" pytorch_model-00001-of-00002.bin "$unsafe" config.json pytorch_model-00001-of-00002.bin pytorch_model.bin.index.json
files "pickled PyTorch weights, which fvlm does not read" mobileclip_s0.pth "$unsafe" mobileclip_s0.pth
files "GGUF (llama.cpp)" FastVLM-Q4_K_M.gguf "$apple" FastVLM-Q4_K_M.gguf mmproj-FastVLM.gguf
files "the data of an ONNX export without its .onnx file" model.onnx_data "download that, too" model.onnx_data
files "a Core ML export" fastvithd.mlpackage "$apple" fastvithd.mlpackage/Manifest.json
files "a LiteRT (TensorFlow Lite) export" model.litertlm "$apple" model.litertlm
files "an export for another runtime" llm.mnn "$apple" llm.mnn visual.mnn
files "an export for another runtime" fastvlm.pte "$apple" fastvlm.pte
files "TensorFlow weights" tf_model.h5 "$apple" config.json tf_model.h5
files "Flax weights" flax_model.msgpack "$apple" config.json flax_model.msgpack
files "weights in NumPy's or MLX's .npz" weights.npz "$apple" config.json weights.npz
files "pickled PyTorch weights, which fvlm does not read" last.ckpt "$apple" last.ckpt
files "a DeepSpeed training checkpoint" global_step500 "gather it (zero_to_fp32.py --safe_serialization) and give the result" global_step500/x latest zero_to_fp32.py trainer_state.json
files "the state of a training without its weights in safetensors" optimizer.pt "save the model (save_pretrained) and give the result" optimizer.pt scheduler.pt trainer_state.json
files "a dataset" train.parquet "$apple" train.parquet README.md
files "a dataset" dataset_info.json "$apple" dataset_info.json
files "an archive that is still packed" llava-fastvithd_0.5b_stage3.zip "unpack it and give the folder inside" llava-fastvithd_0.5b_stage3.zip
files "an unfinished download" model.safetensors.incomplete "finish it, or download the folder again" config.json model.safetensors.incomplete
files "an unfinished download" x.crdownload "finish it, or download the folder again" x.crdownload
files "a converted model already" fastvlm.fvlm "'fvlm run', 'fvlm quant' and 'fvlm verify' read .fvlm files" fastvlm.fvlm
folder; refuses "[foreign-kinds] an empty folder" 1 "\"$ck\" is an empty folder; $apple" "$ck" --dry-run
folder README.md; refuses "[foreign-kinds] any folder" 1 "\"$ck\" is not a checkpoint: it has neither config.json nor $SINGLE; $apple" "$ck" --dry-run
folder README.md; cp -r "$plain" "$ck/FastVLM-0.5B"
refuses "[foreign-kinds] the folder above a checkpoint" 1 "\"$ck\" is the folder above a checkpoint; give \"$ck/FastVLM-0.5B\"" "$ck" --dry-run
cp -r "$plain" "$ck/FastVLM-1.5B"
refuses "[foreign-kinds] the folder above two" 1 "\"$ck\" holds 2 checkpoints; give one of them, such as \"$ck/FastVLM-0.5B\"" "$ck" --dry-run
folder; cp "$plain"/*.json "$plain/merges.txt" "$ck"
refuses "[foreign-kinds] everything but the weights" 1 "\"$ck\" has config.json, but no weights: neither $SINGLE nor $INDEX; download them" "$ck" --dry-run

# --- foreign-kinds: by config.json
# config KEY JSON KIND ADVICE [SHOWN]
config() {
    n_kinds=$((n_kinds + 1))
    fresh foreign config '{' "{\"$1\": $2, " config '"model_type": "llava_qwen2", ' "$([ "$1" = model_type ] || echo '"model_type": "llava_qwen2", ')"
    local shown="config.json: \"${5:-$1}\""
    [ "${2:0:1}" = '"' ] && shown+=" is $2"
    kind "[foreign-kinds] config.json: $1 $2" "$ck" "$3" "$shown" "$4"
}
config model_type '"qwen2"' "a Qwen language model without vision" "$apple"
config model_type '"qwen3"' "a Qwen language model without vision" "$apple"
config model_type '"qwen2_vl"' "a Qwen multimodal model, not a FastVLM" "$apple"
config model_type '"llava_next"' "a LLaVA that is not FastVLM" "$apple"
config model_type '"llava_onevision"' "a LLaVA that is not FastVLM" "$apple"
config model_type '"clip"' "a picture encoder that is not a FastViT" "$apple"
config architecture '"vit_base_mci_224"' "a picture encoder that is not a FastViT" "$apple"
config _class_name '"UNet2DConditionModel"' "a part of a diffusers pipeline" "$apple"
config peft_type '"LORA"' "a LoRA adapter, not a whole model" "$merge"
for method in hqq aqlm quanto torchao quark; do
    n_kinds=$((n_kinds + 1))
    fresh foreign config '{' "{\"quantization_config\": {\"quant_method\": \"$method\"}, "
    kind "[foreign-kinds] config.json: quantized by $method" "$ck" "quantized by a method that is not read" "config.json: \"quantization_config.quant_method\" is \"$method\"; MLX, gptq and awq are" "$float"
done
fresh foreign config '{' '{"quantization": {"group_size": 64, "bits": 4}, '
got=$("$FVLM" convert "$ck" --dry-run 2>&1 >"$dir/out")
[[ $got == "fvlm: warning: config.json says that the weights are quantized, but none is packed; they are taken as they are" ]]
ok "[foreign-kinds] the user is told so" $?
fresh foreign config '"mobileclip_l_256"' '"openai/clip-vit-large-patch14-336"'
kind "[foreign-kinds] config.json: LLaVA with CLIP" "$ck" "a LLaVA with another vision tower than FastViTHD" 'config.json: "mm_vision_tower" is "openai/clip-vit-large-patch14-336"'
fresh foreign config '{' '{"quantization_config": null, '
reads "[foreign-kinds] quantization_config: null is no quantization" "$ck"

# --- foreign-kinds: by the names of tensors
T=model.vision_tower.vision_tower.model.
# tensors KIND EVIDENCE ADVICE CHANGE...
tensors() {
    local what=$1 evidence=$2 todo=$3
    shift 3
    n_kinds=$((n_kinds + 1))
    fresh foreign "$@"
    kind "[foreign-kinds] tensors such as $evidence" "$ck" "$what" "tensor \"$evidence\"" "$todo"
}
tensors "LoRA matrices that are not merged" base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight "$merge" add base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight BF16 4
tensors "LoRA matrices that are not merged" model.layers.0.self_attn.q_proj.lora_B.default.weight "$merge" add model.layers.0.self_attn.q_proj.lora_B.default.weight F32 4
tensors "a PEFT model whose adapter is not merged" model.layers.0.self_attn.q_proj.base_layer.weight "$merge" rename model.layers.0.self_attn.q_proj.weight model.layers.0.self_attn.q_proj.base_layer.weight
tensors "a PEFT model whose adapter is not merged" model.mm_projector.0.modules_to_save.default.bias "$merge" rename model.mm_projector.0. model.mm_projector.0.modules_to_save.default. add model.mm_projector.0.original_module.bias BF16 4
tensors "a PEFT model whose adapter is not merged" model.embed_tokens.original_module.weight "$merge" rename model.embed_tokens. model.embed_tokens.original_module.
tensors "weights quantized by bitsandbytes" model.layers.0.mlp.up_proj.weight.quant_map "$float" add model.layers.0.mlp.up_proj.weight.quant_map F32 16
up=model.layers.0.mlp.up_proj
fresh foreign add $up.qweight I32 16 add $up.scales F16 4
refuses "[foreign-kinds] a packed weight beside the float one" 1 "tensors \"$up.qweight\" and \"$up.weight\" are weights of one module" "$ck" --dry-run
fresh foreign add $up.qweight I32 16 add $up.scales F16 4 remove $up.weight
refuses "[foreign-kinds] packed, but config.json does not tell how" 1 "tensor \"$up.qweight\" is packed by GPTQ or AWQ, but \"config.json\" has no \"quantization_config\" with \"quant_method\" gptq or awq: how it is packed is not known" "$ck" --dry-run
tensors "weights in FP8 or another compressed form" model.layers.0.mlp.up_proj.weight_scale_inv "$float" retype model.layers.0.mlp.up_proj.weight F8_E4M3 add model.layers.0.mlp.up_proj.weight_scale_inv F32 1
fresh foreign retype $up.weight U32 add $up.scales F16 4
refuses "[foreign-kinds] packed by MLX, but config.json does not tell how" 1 "tensor \"$up.weight\" is packed, but \"config.json\" is missing, damaged or without \"quantization\": bits and group size are not known" "$ck" --dry-run
tensors "a model with a ViT as vision tower, such as CLIP or SigLIP" model.vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight "$apple" add model.vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight F16 4
tensors "a Qwen-VL" visual.blocks.0.attn.qkv.weight "$apple" add visual.blocks.0.attn.qkv.weight BF16 4
# Names of two dialects: those of the other one are left over.
mixed() { # LEFT_OVER CHANGE...
    local left=$1; n_kinds=$((n_kinds + 1))
    shift
    fresh foreign "$@"
    got=$("$FVLM" convert "$ck" --dry-run 2>&1)
    [[ $got == "fvlm: "*" missing: "*" left over: \"$left"* ]]; ok "[foreign-kinds] some names begin with $left: refused by name" $?
}
mixed v.conv_exp. rename $T v.
mixed image_encoder.model.conv_exp. rename $T image_encoder.model.
mixed visual.trunk.conv_exp. rename $T visual.trunk.
mixed language_model.model.layers.0. rename model.layers. language_model.model.layers.
mixed model.embed_tokens.weight rename $T vision_tower.vision_model.
mixed model.embed_tokens.weight rename $T vision_tower.timm_model.
mixed stages.0.conv_exp. rename $T stages.0.
fresh foreign; for name in $names; do case $name in $T*) printf 'remove %s ' "$name" ;; esac; done >"$dir/changes"
# shellcheck disable=SC2046
fresh foreign $(cat "$dir/changes")
refuses "[foreign-kinds] a language model alone" 1 "\"$ck\" is a language model without a vision tower; give the tower's folder with --vision, such as Apple's own checkpoint of the same size, apple/FastVLM-0.5B on Hugging Face" "$ck" --dry-run
fresh foreign; for name in $names; do case $name in $T*) ;; *) printf 'remove %s ' "$name" ;; esac; done >"$dir/changes"
# shellcheck disable=SC2046
fresh foreign $(cat "$dir/changes")
refuses "[foreign-kinds] a vision tower alone" 1 "\"$ck\" is a vision tower without the language model that its config.json describes; download the rest, or remove config.json to convert the tower alone" "$ck" --dry-run
fresh foreign rename model. some.other. rename lm_head. some.other.head.
refuses "[foreign-kinds] tensors of an unknown kind" 1 \
    "\"$ck\" is not a FastVLM: none of its $(wc -l <<<"$names") tensors has a name of FastVLM's, the first is \"some.other.embed_tokens.weight\"; give Apple's own checkpoint folder" "$ck" --dry-run
fresh foreign; echo '{}' >"$ck/adapter_config.json"
refuses "[foreign-kinds] an adapter beside whole weights" 1 \
    "\"$ck\" has a LoRA adapter (\"adapter_config.json\") beside its weights; merge it (peft: merge_and_unload, then save_pretrained), or remove it" "$ck" --dry-run
mkdir "$plain/onnx"; touch "$plain/pytorch_model.bin" "$plain/x.gguf"
touch "$plain/._model.safetensors"
reads "[foreign-kinds] other exports beside the weights do no harm" "$plain"
rm -r "$plain/._model.safetensors"
rm -r "$plain/onnx" "$plain/pytorch_model.bin" "$plain/x.gguf"

# --- foreign-kinds: what is no folder
given() { refuses "[foreign-kinds] sibling: $1" "$2" "$3" "$4" --dry-run; }
given "a URL" 1 '"https://huggingface.co/apple/FastVLM-0.5B" is a URL; download it first: hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B' https://huggingface.co/apple/FastVLM-0.5B
given "the name of a repository" 3 '"apple/FastVLM-0.5B": No such file or directory; to download it: hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B' apple/FastVLM-0.5B
given "a .fvlm file" 1 "\"$dir/plain.fvlm\" is a .fvlm file; convert makes .fvlm files from checkpoint folders; 'fvlm run', 'fvlm quant' and 'fvlm verify' read them" "$dir/plain.fvlm"
given "model.safetensors itself" 1 "\"$plain/$SINGLE\" is a file; give the folder that holds it, with config.json and the tokenizer beside it" "$plain/$SINGLE"
printf 'PK\3\4....' >"$dir/x.zip"
given "a zip archive" 1 "\"$dir/x.zip\" is a zip archive (PyTorch's .bin and .pth files are zip archives, too); unpack it and give the folder" "$dir/x.zip"
printf 'PK\3\4....' >"$dir/x.pth"
given "a .pth file" 1 "\"$dir/x.pth\" is a pickled PyTorch checkpoint; give Apple's own checkpoint, in safetensors" "$dir/x.pth"
tar -cf "$dir/x.tar" -C "$plain" config.json
given "a tar archive" 1 "\"$dir/x.tar\" is a tar archive; unpack it and give the folder" "$dir/x.tar"
gzip -c "$dir/x.tar" >"$dir/x.tgz"
given "a compressed archive" 1 "\"$dir/x.tgz\" is compressed with gzip; unpack it and give the folder" "$dir/x.tgz"
printf 'GGUF\3\0\0\0' >"$dir/x.gguf"
given "a GGUF file" 1 "\"$dir/x.gguf\" is a GGUF file (llama.cpp); give Apple's own checkpoint, in safetensors" "$dir/x.gguf"
printf '\10\7\22\7pytorch' >"$dir/x.onnx"
given "an ONNX file without a graph" 1 "\"$dir/x.onnx\": holds no graph; is it an ONNX model?" "$dir/x.onnx"
cp "$dir/x.onnx" "$dir/x.onnx_data"
given "the data of an ONNX file" 1 "\"$dir/x.onnx_data\" is the data of an ONNX file; give the .onnx file beside it, or their folder" "$dir/x.onnx_data"
given "a picture" 1 "\"$tiny/demo.png\" is a picture; 'fvlm run MODEL.fvlm PICTURE PROMPT' reads pictures" "$tiny/demo.png"

# --- foreign-kinds: one tensor that does not fit
bf16="cannot hold a weight; $float"
for type in F64 I8 U8 I32 F8_E5M2 BOOL I64; do
    fresh typed retype model.norm.weight $type
    refuses "[foreign-kinds] sibling: a weight of type $type" 1 "tensor \"model.norm.weight\": $type $bf16" "$ck" --dry-run
done
fresh typed add model.extra.mask BOOL 4
refuses "[foreign-kinds] sibling: a mask that nothing needs is left over" 1 '1 tensor is left over: "model.extra.mask"' "$ck" --dry-run
bn=model.vision_tower.vision_tower.model.network.0.0.convffn.conv.bn
for type in F32 BF16 I32; do
    fresh typed retype $bn.num_batches_tracked $type
    reads "[foreign-kinds] sibling: a BatchNorm counter of type $type is dropped" "$ck"
done
fresh rotary add model.layers.0.self_attn.rotary_emb.inv_freq F32 8 add model.layers.1.self_attn.rotary_emb.inv_freq BF16 8
refuses "[foreign-kinds] sibling: rotary frequencies that are not those of rope_theta" 1 \
    'tensor "model.layers.0.self_attn.rotary_emb.inv_freq": element [0] is 0, but "rope_theta" 1e+06 in config.json gives 1; scaled rotary embeddings are not supported' "$ck" --dry-run
changes=()
for i in 0 1 2 3 4 5 6 7; do # 1e6^(-i/8)
    v=$(printf '1 0.177827941 0.0316227766 0.00562341325 0.001 0.000177827941 0.0000316227766 0.00000562341325' | cut -d' ' -f$((i + 1)))
    changes+=(set model.layers.0.self_attn.rotary_emb.inv_freq $i "$v")
done
fresh rotary add model.layers.0.self_attn.rotary_emb.inv_freq BF16 8 "${changes[@]}"
reads "[foreign-kinds] sibling: rotary frequencies that follow from rope_theta are dropped" "$ck"
fresh empty remove model.embed_tokens.weight add model.embed_tokens.weight BF16 0
refuses "[foreign-kinds] sibling: DeepSpeed ZeRO-3 without its weights" 1 \
    "\"$ck\" was saved by DeepSpeed ZeRO-3 without its weights (tensor \"model.embed_tokens.weight\" is empty); gather it (zero_to_fp32.py --safe_serialization) and give the result" "$ck" --dry-run
fresh empty add model.nothing BF16 0
refuses "[foreign-kinds] sibling: a tensor of no elements is left over" 1 '1 tensor is left over: "model.nothing"' "$ck" --dry-run
[ "$n_kinds" -ge 60 ]; ok "[foreign-kinds] $n_kinds kinds in the tables above" $?
[ ! -e "$dir/x.fvlm" ]; ok "[foreign-kinds] nothing is left of what was refused" $?
