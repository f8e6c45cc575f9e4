#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The mistakes of a new user: each gives its exit code and exactly one line that says what, where and what to do. The
# table below has the exit code, the arguments and, indented, the message. Nothing is printed to stdout, and no file is
# made.
. tests/support/tap.sh mistakes
fvlm=$(cd "$(dirname "$FVLM")" && pwd)/fvlm
mkdir "$dir/here"
cp -r "$tiny/unfused" "$dir/here/ck"
cp "$tiny/heldout/000.png" "$dir/here/photo.png"
cd "$dir/here" || give_up "a folder"
"$fvlm" convert ck -o model.fvlm -q && "$fvlm" quant model.fvlm -o int8.fvlm -q || give_up "models for it"
mkdir folder ro bin ox gguf
printf 'GGUF\3\0\0\0and so on' >gguf/model.gguf
printf '\10\7\22\7pytorch' >ox/model.onnx
printf 'PK\3\4and so on' >bin/pytorch_model.bin
cp ck/config.json bin/
echo 'a note' >note.txt
: >empty.fvlm
head -c 3000 model.fvlm >cut.fvlm
mkfifo pipe
ln -s nowhere link.fvlm
chmod 555 ro
before=$(find . | LC_ALL=C sort)

while read -r code args; do
    [ -n "$code" ] && [ "$code" != '#' ] || continue
    read -r want
    if [[ $args = *'# user' ]]; then
        [ "$(id -u)" != 0 ] || { skip "fvlm $args" "root may do everything"; continue; }
    fi
    out=$(eval "\"\$fvlm\" $args" 2>&1 >"$dir/stdout" </dev/null); rc=$?
    same "fvlm $args" "$rc $(head -c 100 "$dir/stdout")$out" "$code fvlm: $want"
done <<'END'
2 wibble
  unknown command "wibble"; try 'fvlm --help'
2 qaunt model.fvlm
  unknown command "qaunt", did you mean "quant"?
2 quantize model.fvlm
  unknown command "quantize", did you mean "quant"?
2 --verbose convert ck
  "--verbose" is not an option of fvlm itself; options follow a command: fvlm COMMAND [options]; try 'fvlm --help'
2 model.fvlm photo.png 'What is this?'
  "model.fvlm" is not a command; to ask a model run 'fvlm run MODEL.fvlm IMAGE PROMPT'; try 'fvlm --help'
2 help wibble
  unknown command "wibble"; try 'fvlm --help'
2 convert
  expected CHECKPOINT, got 0 arguments; try 'fvlm convert --help'
2 convert ck
  no output file; give -o FILE, or --dry-run to see the plan
3 convert chk -o new.fvlm
  "chk": No such file or directory; did you mean "ck"?
3 convert CK -o new.fvlm
  "CK": No such file or directory; did you mean "ck"?
3 convert '' -o new.fvlm
  "": No such file or directory
1 convert ck/model.safetensors -o new.fvlm
  "ck/model.safetensors" is a file; give the folder that holds it, with config.json and the tokenizer beside it
1 convert ck/config.json -o new.fvlm
  "ck/config.json" is a file; give the folder that holds it, with config.json and the tokenizer beside it
1 convert model.fvlm -o new.fvlm
  "model.fvlm" is a .fvlm file; convert makes .fvlm files from checkpoint folders; 'fvlm run', 'fvlm quant' and 'fvlm verify' read them
1 convert photo.png -o new.fvlm
  "photo.png" is a picture; 'fvlm run MODEL.fvlm PICTURE PROMPT' reads pictures
1 convert folder -o new.fvlm
  "folder" is an empty folder; give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face
1 convert . -o new.fvlm
  "." is the folder above a checkpoint; give "./ck"
1 convert gguf -o new.fvlm
  "gguf" is GGUF (llama.cpp) ("model.gguf"); give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face
1 convert ox -o new.fvlm
  "ox/model.onnx": holds no graph; is it an ONNX model?
2 convert ox/model.onnx -o new.fvlm --variant q4
  --variant: "ox/model.onnx" is one file; leave the option out
2 convert ck -o new.fvlm --variant q4
  --variant: "ck" has no ONNX files; leave the option out
1 convert bin -o new.fvlm
  "bin" is pickled PyTorch weights, which fvlm does not read ("pytorch_model.bin"); load them in transformers, save_pretrained(..., safe_serialization=True), and give the result
1 convert gguf/model.gguf -o new.fvlm
  "gguf/model.gguf" is a GGUF file (llama.cpp); give Apple's own checkpoint, in safetensors
1 convert https://huggingface.co/apple/FastVLM-0.5B -o new.fvlm
  "https://huggingface.co/apple/FastVLM-0.5B" is a URL; download it first: hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B
3 convert apple/FastVLM-0.5B -o new.fvlm
  "apple/FastVLM-0.5B": No such file or directory; to download it: hf download apple/FastVLM-0.5B --local-dir FastVLM-0.5B
2 convert ck new.fvlm
  expected CHECKPOINT, got 2 arguments; the output goes after -o; try 'fvlm convert --help'
2 convert ck model.fvlm -o new.fvlm
  expected CHECKPOINT, got 2 arguments; try 'fvlm convert --help'
2 convert ck -o
  --output needs FILE; try 'fvlm convert --help'
2 convert ck -o ''
  --output needs FILE, but it is empty; try 'fvlm convert --help'
2 convert ck -o -
  --output: "-" is not a file name; fvlm does not write to standard output; try 'fvlm convert --help'
2 convert ck -o --force
  --output needs FILE; try 'fvlm convert --help'
2 convert ck -o new.fvlm -o newer.fvlm
  --output is given twice; try 'fvlm convert --help'
1 convert ck -o model.fvlm
  "model.fvlm" exists; --force replaces it
1 convert ck -o folder
  "folder" is a folder; give the name of a file in it
1 convert ck -o folder/
  "folder/" is a folder; give the name of a file in it
1 convert ck -o ck/config.json --force
  "ck/config.json" is a file of the checkpoint itself; write to another name
1 convert ck -o pipe --force
  "pipe" is a device, pipe or socket, not a regular file
1 convert ck -o /dev/null --force
  "/dev/null" is a device, pipe or socket, not a regular file
3 convert ck -o none/new.fvlm
  "none/new.fvlm": cannot open its folder: No such file or directory
3 convert ck -o note.txt/new.fvlm
  "note.txt/new.fvlm": cannot open its folder: Not a directory
3 convert ck -o ro/new.fvlm # user
  "ro/new.fvlm": cannot create it: Permission denied
2 convert ck -o new.fvlm --type int4
  --type: "int4" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result; try 'fvlm convert --help'
2 convert ck -o new.fvlm --type fp16
  --type: "fp16" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result; try 'fvlm convert --help'
2 convert ck -o new.fvlm --dtype bf16
  unknown option "--dtype", did you mean "--type"?; try 'fvlm convert --help'
2 convert ck -o new.fvlm --image photo.png
  unknown option "--image"; try 'fvlm convert --help'
2 convert ck -o new.fvlm --quiet=yes
  --quiet takes no value; try 'fvlm convert --help'
2 quant model.fvlm
  no output file; give -o FILE, or --dry-run to see the plan
1 quant ck -o new.fvlm
  "ck" is a checkpoint folder; convert it first: 'fvlm convert'
1 quant int8.fvlm -o new.fvlm
  "int8.fvlm": quantized already ("llm.embed.weight" is int8-sym-g64); quantize the float file it was made from
1 quant model.fvlm -o model.fvlm
  "model.fvlm" is the input itself; write to another name
1 quant model.fvlm -o model.fvlm --force
  "model.fvlm" is the input itself; write to another name
1 quant model.fvlm -o int8.fvlm
  "int8.fvlm" exists; --force replaces it
2 quant model.fvlm --type q4_0 -o new.fvlm
  --type: "q4_0" is not int8, int4 or {int8,int4}-{sym,asym}-{g32,g64,g128,row}
2 quant model.fvlm --type f16 -o new.fvlm
  f16 is not an integer type; fvlm convert writes float types
2 quant model.fvlm int4 -o new.fvlm
  expected MODEL.fvlm, got 2 arguments; try 'fvlm quant --help'
2 quant model.fvlm --bits 4 -o new.fvlm
  unknown option "--bits"; try 'fvlm quant --help'
2 quant model.fvlm --set llm -o new.fvlm
  --set: "llm" is not REGEX=TYPE; try 'fvlm quant --help'
2 quant model.fvlm --set 'llm.embed=int8' -o new.fvlm
  rule "llm.embed" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)
2 quant model.fvlm --set 'llm[=int8' -o new.fvlm
  rule "llm[" is not a regular expression: missing terminating ] for character class at position 4
2 quant model.fvlm -t int4 -o new.fvlm
  unknown option "-t"; an argument that begins with - goes after --; try 'fvlm quant --help'
1 quant empty.fvlm -o new.fvlm
  "empty.fvlm" is empty; was the copy interrupted?
1 quant cut.fvlm -o new.fvlm
  "cut.fvlm": not a .fvlm file (only 3000 bytes)
1 quant note.txt -o new.fvlm
  "note.txt": not a .fvlm file (only 7 bytes)
1 quant pipe -o new.fvlm
  "pipe" is not a regular file
3 quant link.fvlm -o new.fvlm
  "link.fvlm" is a link to a file that does not exist
2 quant model.fvlm folder -o new.fvlm
  expected MODEL.fvlm, got 2 arguments; try 'fvlm quant --help'
2 run
  expected MODEL.fvlm IMAGE [PROMPT], got 0 arguments; try 'fvlm run --help'
2 run model.fvlm
  expected MODEL.fvlm IMAGE [PROMPT], got 1 argument; try 'fvlm run --help'
2 run model.fvlm photo.png
  no PROMPT; give one, or --embedding for the image's embedding
2 run model.fvlm photo.png ''
  the prompt is empty
2 run model.fvlm photo.png What is this?
  expected MODEL.fvlm IMAGE [PROMPT], got 5 arguments; a prompt of several words goes in quotes; try 'fvlm run --help'
2 run model.fvlm 'What is this?' photo.png
  "What is this?" is not a file, but the prompt "photo.png" is; usage: fvlm run MODEL.fvlm IMAGE [PROMPT]
1 run photo.png model.fvlm 'What is this?'
  "photo.png" is a picture, not a .fvlm model; usage: fvlm run MODEL.fvlm IMAGE [PROMPT]
2 run model.fvlm model.fvlm 'What is this?'
  "model.fvlm" is a .fvlm model, not a picture; usage: fvlm run MODEL.fvlm IMAGE [PROMPT]
2 run model.fvlm --image photo.png 'What is this?'
  "--image" is an argument, not an option: fvlm run MODEL.fvlm IMAGE [PROMPT]; try 'fvlm run --help'
2 run model.fvlm photo.png --prompt 'What is this?'
  "--prompt" is an argument, not an option: fvlm run MODEL.fvlm IMAGE [PROMPT]; try 'fvlm run --help'
1 run ck photo.png 'What is this?'
  "ck" is a checkpoint folder; convert it first: 'fvlm convert'
1 run folder photo.png 'What is this?'
  "folder" is a folder; give the .fvlm file in it
1 run ck/model.safetensors photo.png 'What is this?'
  "ck/model.safetensors" is a safetensors file, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'
1 run gguf/model.gguf photo.png 'What is this?'
  "gguf/model.gguf" is a GGUF file, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'
1 run ox/model.onnx photo.png 'What is this?'
  "ox/model.onnx" is an ONNX file, not a .fvlm model; make one of the checkpoint folder with 'fvlm convert'
1 run cut.fvlm photo.png 'What is this?'
  "cut.fvlm": not a .fvlm file (only 3000 bytes)
3 run modle.fvlm photo.png 'What is this?'
  "modle.fvlm": No such file or directory; did you mean "model.fvlm"?
3 run model photo.png 'What is this?'
  "model": No such file or directory; did you mean "model.fvlm"?
3 run model.fvlm foto.png 'What is this?'
  "foto.png": No such file or directory; did you mean "photo.png"?
3 run model.fvlm cat.jpg 'What is this?'
  "cat.jpg": No such file or directory
1 run model.fvlm https://example.org/cat.jpg 'What is this?'
  "https://example.org/cat.jpg" is a URL; download it first
2 run model.fvlm photo.png '-5 degrees?'
  unknown option "-5"; an argument that begins with - goes after --; try 'fvlm run --help'
2 run model.fvlm photo.png hello --size 0
  --size: 0 is out of range, 64 to 4096; try 'fvlm run --help'
2 run model.fvlm photo.png hello --size 500
  image side 500: should be a multiple of 64
2 run model.fvlm photo.png hello --size 512x512
  --size: "512x512" is not a whole number; try 'fvlm run --help'
2 run model.fvlm photo.png hello --max-tokens 0
  --max-tokens: 0 is out of range, 1 to 1000000; try 'fvlm run --help'
2 run model.fvlm photo.png hello --max-tokens many
  --max-tokens: "many" is not a whole number; try 'fvlm run --help'
2 run model.fvlm photo.png hello --temperature hot
  --temperature: "hot" is not a number; try 'fvlm run --help'
2 run model.fvlm photo.png hello --temperature -1
  --temperature: -1 is out of range, 0 to 100; try 'fvlm run --help'
2 run model.fvlm photo.png hello --top-p 2
  --top-p: 2 is out of range, 1e-06 to 1; try 'fvlm run --help'
2 run model.fvlm photo.png hello --seed -1
  --seed: "-1" is not a whole number; try 'fvlm run --help'
2 run model.fvlm photo.png hello --threads -2
  --threads: "-2" is not a whole number; try 'fvlm run --help'
2 run model.fvlm photo.png hello --act int4
  --act: "int4" is not f32 or int8; try 'fvlm run --help'
2 run model.fvlm photo.png hello --cpu gpu
  --cpu: "gpu" is not scalar, avx2, avx512, neon or dotprod; try 'fvlm run --help'
2 run model.fvlm photo.png hello -o answer.txt
  --output and --force are for an embedding; leave out PROMPT
2 run model.fvlm photo.png hello --maxtokens 5
  unknown option "--maxtokens", did you mean "--max-tokens"?; try 'fvlm run --help'
2 run model.fvlm photo.png hello --json --tokens-only
  --json includes the token ids; leave out --tokens-only
2 verify
  expected MODEL.fvlm [SOURCE], got 0 arguments; try 'fvlm verify --help'
1 verify ck
  "ck" is a checkpoint folder; convert it first: 'fvlm convert'
3 verify int8.fvlm --against modle.fvlm
  "modle.fvlm": No such file or directory
1 verify int8.fvlm --against folder
  "folder" is an empty folder; give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face
3 verify int8.fvlm --against model.fvlm --image cat.jpg
  "cat.jpg": No such file or directory
2 verify model.fvlm --force
  unknown option "--force"; try 'fvlm verify --help'
2 info
  expected MODEL.fvlm, got 0 arguments; try 'fvlm info --help'
1 info ck
  "ck" is a checkpoint folder; convert it first: 'fvlm convert'
1 info photo.png
  "photo.png" is a picture, not a .fvlm model; usage: fvlm info MODEL.fvlm
2 info model.fvlm int8.fvlm
  expected MODEL.fvlm, got 2 arguments; try 'fvlm info --help'
2 info model.fvlm --dump llm.norm.weight
  --dump TENSOR and --output FILE must be given together
2 info model.fvlm -o norm.npy
  --dump TENSOR and --output FILE must be given together
1 info model.fvlm --dump llm.nrom.weight -o norm.npy
  "model.fvlm" has no tensor "llm.nrom.weight"; 'fvlm info --tensors' lists them
2 info model.fvlm --dump llm.norm.weight -o norm.npy --json
  --dump writes the tensor to FILE; leave out --json and --tensors
2 bench ck extra
  expected MODEL.fvlm, got 2 arguments; try 'fvlm bench --help'
1 bench ck
  "ck" is a checkpoint folder; convert it first: 'fvlm convert'
2 bench model.fvlm --image none
  --image none: leave out --image to time random pixels
2 bench model.fvlm --size 100
  image side 100: should be a multiple of 64
2 bench model.fvlm --runs 0
  --runs: 0 is out of range, 1 to 1000; try 'fvlm bench --help'
2 bench model.fvlm --threads 1,x
  --threads: "1,x" is not a list of whole numbers such as 1,2; try 'fvlm bench --help'
2 completion
  expected SHELL, got 0 arguments; try 'fvlm completion --help'
2 completion tcsh
  SHELL: "tcsh" is not bash, zsh or fish; try 'fvlm completion --help'
END
same "no file was made" "$(find . | LC_ALL=C sort)" "$before"
