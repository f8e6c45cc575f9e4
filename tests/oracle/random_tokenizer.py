# SPDX-License-Identifier: Apache-2.0
"""Tokenizer files for a random checkpoint: Qwen2's own where they are at hand, else made up ones.

The made-up vocabulary is a legal byte-level BPE: the 256 bytes, then every two-byte string, then
three-byte strings, as many as asked for. It splits text like any other; it only means nothing.
"""

import itertools
import json
import shutil
from pathlib import Path

BASE_IDS = 151643  # Qwen2's vocabulary without added tokens
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN25 = CHAT + [
    "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
    "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
]  # fmt: skip
NOT_SPECIAL = set(QWEN25[14:])  # Qwen2.5 decodes these as text


def byte_alphabet():
    """GPT-2's printable stand-in for each byte, in the order of its vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(other))]


def made_up(n_tokens):
    letters = byte_alphabet()
    vocab, merges = list(letters), []
    pairs = [a + b for a, b in itertools.product(letters, letters)]
    for left, right in itertools.chain(itertools.product(letters, letters), itertools.product(pairs, letters)):
        if len(vocab) >= n_tokens:
            break
        vocab.append(left + right)
        merges.append(f"{left} {right}")
    return vocab, merges


def find_qwen2():
    """Qwen2's files in ../shared beside this repository (or beside its folder); None where there are none."""
    for up in Path(__file__).resolve().parents[3:5]:
        folder = up / "shared/data/qwen2-tokenizer"
        if (folder / "merges.txt").exists():
            return folder
    return None


def write(folder, n_base, added):
    """Writes the four files and added_tokens.json; returns a line that says where they came from."""
    ids = {text: n_base + i for i, text in enumerate(added)}
    source = find_qwen2() if n_base == BASE_IDS else None
    if source:
        shutil.copyfile(source / "vocab.json", folder / "vocab.json")
        shutil.copyfile(source / "merges.txt", folder / "merges.txt")
        origin = "Qwen2's tokenizer"
    else:
        vocab, merges = made_up(n_base)
        (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        origin = f"a made-up tokenizer of {n_base} tokens" + ("" if n_base < BASE_IDS else " (Qwen2's is not at hand)")
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    decoder = {str(i): {"content": t, **flags, "special": t not in NOT_SPECIAL} for t, i in ids.items()}
    extra = [t for t in added[1:] if t not in NOT_SPECIAL]
    config = {
        "add_prefix_space": False, "added_tokens_decoder": decoder, "additional_special_tokens": extra,
        "bos_token": None, "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": 8192, "pad_token": "<|endoftext|>", "padding_side": "right",
        "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }  # fmt: skip
    special = {
        "additional_special_tokens": extra,
        "eos_token": {"content": "<|im_end|>", **flags},
        "pad_token": {"content": "<|endoftext|>", **flags},
    }
    for name, value in (
        ("added_tokens.json", ids), ("tokenizer_config.json", config), ("special_tokens_map.json", special)
    ):  # fmt: skip
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    return origin
