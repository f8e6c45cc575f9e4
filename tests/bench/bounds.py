# SPDX-License-Identifier: Apache-2.0
"""What quantization costs the outputs of the small model: the figures behind verify/bounds.c and verify/grade.c.

    python3 tests/bench/bounds.py [build/fvlm]

Over 20 held-out pictures, each with "Describe the image." and general questions, for every type and mode of activations:
relative L2 of the worst block, mean KL, share of positions whose likeliest token agrees, RMS change of the right token's
probability, answers that changed, and the grade.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TINY = Path("tests/fixtures/tiny")
INTEGERS = {b: [f"{b}-{s}-{g}" for s in ("sym", "asym") for g in ("g32", "g64", "g128", "row")] for b in ("int8", "int4")}
TYPES = ["f16", "bf16", "int8", "int4", *itertools.chain.from_iterable(INTEGERS.values())]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout and "verify" in command:
        raise SystemExit(done.stderr)
    return done.stdout


def measure(fvlm, model, source):
    pictures = sorted((TINY / "heldout").glob("*.*g"))[:20]
    images = itertools.chain.from_iterable(("--image", picture) for picture in pictures)
    report = json.loads(run(fvlm, "verify", model, "--against", source, "--json", *images))
    for i, act in enumerate(report["activations"]):
        p = act["predictions"]
        worst = max(block["relative_l2"] for block in act["blocks"])
        parted = sum(answer["parts"][i] is not None for answer in report["answers"])
        yield (act["act"], worst, p["kl_mean"]["value"], p["top1"]["value"], p["dp_rms"]["value"],
               f"{parted}/{len(report['answers'])}", p["compared"], act["grade"]["grade"])


def main():
    fvlm = sys.argv[1] if len(sys.argv) > 1 else "build/fvlm"
    print("type            act   relative L2       KL   top 1  RMS dp  changed positions  grade")
    with tempfile.TemporaryDirectory() as folder:
        source, model = Path(folder) / "source.fvlm", Path(folder) / "model.fvlm"
        run(fvlm, "convert", TINY / "unfused", "-o", source, "-q")
        for name in TYPES:
            if name in ("f16", "bf16"):
                run(fvlm, "convert", TINY / "unfused", "--type", name, "-o", model, "--force", "-q")
            else:
                run(fvlm, "quant", source, "--type", name, "-o", model, "--force", "-q")
            for act, l2, kl, top1, rms, parted, n, grade in measure(fvlm, model, source):
                print(f"{name:15} {act:5} {l2:11.2g} {kl:8.2g} {100 * top1:5.1f} % {100 * rms:5.1f} % {parted:>8} {n:9}  {grade}")


if __name__ == "__main__":
    main()
