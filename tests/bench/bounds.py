# SPDX-License-Identifier: Apache-2.0
"""What quantization costs the outputs of the small model: the figures behind verify/bounds.c.

    python3 tests/bench/bounds.py [build/fvlm]

Worst relative L2 of any block, mean KL and share of positions whose likeliest token agrees, over ten held-out pictures with
two questions each, for every kind of type the worst of its variants.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TINY = Path("tests/fixtures/tiny")
QUESTIONS = ("Describe the picture.", "How many shapes are there?")
INTEGERS = {b: [f"{b}-{s}-{g}" for s in ("sym", "asym") for g in ("g32", "g64", "g128", "row")] for b in ("int8", "int4")}
KINDS = {"f16": ["f16"], "bf16": ["bf16"], **INTEGERS, "preset int8": ["int8"], "preset int4": ["int4"]}


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout and "verify" in command:
        raise SystemExit(done.stderr)
    return done.stdout


def measure(fvlm, model, source, question):
    pictures = sorted((TINY / "heldout").glob("*.*g"))[:10]
    images = itertools.chain.from_iterable(("--image", picture) for picture in pictures)
    report = json.loads(run(fvlm, "verify", model, "--against", source, "--prompt", question, "--json", *images))
    for act in report["activations"]:
        logits = act["logits"]
        worst = max(block["relative_l2"] for block in act["blocks"])
        yield act["act"], (worst, logits["kl_mean"], logits["top1"], logits["positions"])


def main():
    fvlm = sys.argv[1] if len(sys.argv) > 1 else "build/fvlm"
    print(f"{'weights':12} {'activations':12} {'relative L2':>11} {'KL':>9} {'top 1':>6} {'positions':>9}")
    with tempfile.TemporaryDirectory() as folder:
        source, model = Path(folder) / "source.fvlm", Path(folder) / "model.fvlm"
        run(fvlm, "convert", TINY / "unfused", "-o", source, "-q")
        for kind, types in KINDS.items():
            worst = {}
            for name in types:
                if name in ("f16", "bf16"):
                    run(fvlm, "convert", TINY / "unfused", "--type", name, "-o", model, "--force", "-q")
                else:
                    run(fvlm, "quant", source, "--type", name, "-o", model, "--force", "-q")
                for question in QUESTIONS:
                    for act, (l2, kl, top1, n) in measure(fvlm, model, source, question):
                        worst.setdefault(act, []).append((l2, kl, top1, n))
            for act, rows in worst.items():
                l2, kl, top1, n = zip(*rows)
                print(f"{kind:12} {act:12} {max(l2):11.2g} {max(kl):9.2g} {min(top1):6.2f} {sum(n) // len(types):9}")


if __name__ == "__main__":
    main()
