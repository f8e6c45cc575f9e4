# SPDX-License-Identifier: Apache-2.0
"""Guards: pictures are divided and spliced as LLaVA's anyres does it (anyres.py): the pixels of overview and tiles are
those of Pillow, bit for bit; rows and logits of a small checkpoint are within a relative L2 of 2e-5 of PyTorch's, for
every merge type, and greedy answers are equal; the cases recorded for the C test are what Pillow and PyTorch give."""

import json
import shutil
import subprocess

import anyres
import apple
import make_tiles_cases
import numpy as np
import pytest
import torch
from PIL import Image
from preprocess import IMAGE
from safetensors.torch import load_file, save_file
from under_test import BUILD, WORK, checkpoint, fvlm, picture, run

TOOL = BUILD / "tests/tools/tiles"
BOUND = 2e-5
QUESTION = "What are these? Count them."
SIZES = [(256, 512), (512, 256), (512, 512), (768, 256), (256, 768)]
PICTURES = {"wide": (700, 250), "tall": (180, 640), "flat": (900, 40), "photo": (640, 427)}


def test_recorded_cases():
    assert make_tiles_cases.OUT.read_text() == make_tiles_cases.header()


def divided(path, side, sizes):
    """What the executor makes of a file: ([n, side, side, 3], (columns, rows))."""
    numbers = [str(n) for size in sizes for n in size]
    done = subprocess.run([TOOL, "pixels", path, str(side), *numbers], capture_output=True, check=True).stdout
    head, data = done.split(b"\n", 1)
    return np.frombuffer(data, "<f4").reshape(-1, side, side, 3), tuple(map(int, head.split()))


def test_pixels(tmp_path):
    """Pictures of all shapes, up to thin strips. Pillow 13 orders the passes of some as anyres.resized says."""
    rng = np.random.default_rng(3)
    path, direct, squares = tmp_path / "picture.png", 0, 0
    for _ in range(40):
        w, h = (int(2 ** rng.uniform(0, 10)) for _ in range(2))
        side = int(rng.choice([32, 64]))
        sizes = [tuple(int(n) * side for n in rng.integers(1, 5, 2)) for _ in range(int(rng.integers(1, 7)))]
        image = Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
        image.save(path)
        images, shape = anyres.squares(image, side, sizes)
        want = anyres.pixels(images).permute(0, 2, 3, 1).numpy()
        got, found = divided(path, side, sizes)
        assert found == shape, f"{w}x{h} to {sizes}: {found}, not {shape}"
        np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32), f"{w}x{h} to {sizes}")
        direct += np.array_equal(images[0], image.resize((side, side)))
        squares += len(images)
    print(f"\n{squares} squares of 40 pictures equal; Pillow's one call gives the same overview for {direct} of 40")
    assert direct >= 12


def test_choice_of_sizes():
    """Ties and roundings: against the twin, for sizes of tiles of 1024 as LLaVA 1.6 lists them."""
    rng = np.random.default_rng(4)
    for w, h in [(int(2 ** rng.uniform(0, 12)), int(2 ** rng.uniform(0, 12))) for _ in range(4000)]:
        want = anyres.best_size((w, h), make_tiles_cases.LARGE)
        loop = None
        kept, wasted = 0, float("inf")
        for size in make_tiles_cases.LARGE:  # LLaVA's own way of saying it
            scale = min(size[0] / w, size[1] / h)
            effective = min(int(w * scale) * int(h * scale), w * h)
            waste = size[0] * size[1] - effective
            if effective > kept or (effective == kept and waste < wasted):
                kept, wasted, loop = effective, waste, size
        assert want == loop, (w, h)


class Tiled:
    """The small checkpoint, and its copies in which pictures are divided."""

    def __init__(self):
        self.plain = checkpoint("small", "small")
        self.model = apple.load(self.plain)
        self.newline = torch.randn(self.model.config["hidden_size"], generator=torch.Generator().manual_seed(1)).bfloat16()
        self.ids = self.model.prompt_ids(QUESTION)

    def convert(self, merge):
        folder, file = WORK / f"tiled-{merge}", WORK / f"tiled-{merge}.fvlm"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.plain, folder)
        config = json.loads((folder / "config.json").read_text())
        config |= {"image_aspect_ratio": "anyres", "image_grid_pinpoints": SIZES, "mm_patch_merge_type": merge}
        (folder / "config.json").write_text(json.dumps(config))
        if merge == "spatial_unpad":
            tensors = load_file(folder / "model.safetensors")
            save_file({**tensors, "model.image_newline": self.newline}, folder / "model.safetensors")
        fvlm("convert", folder, "-o", file, "--force", "-q")
        return file

    def rows(self, path, merge, sizes):
        image = Image.open(path).convert("RGB")
        images, shape = anyres.squares(image, self.model.image_size, sizes)
        features = torch.stack([self.model.encode(x[None]) for x in anyres.pixels(images)])
        return anyres.spliced(features, shape, merge, image.size, self.newline.float())

    @torch.no_grad()
    def logits(self, rows, n_new=0):
        """Of the last position of the prompt; and n_new greedy ids, without regard to the end."""
        embed, at = self.model.llm.model.embed_tokens, self.ids.index(IMAGE)
        text = [embed(torch.tensor(x)) for x in (self.ids[:at], self.ids[at + 1 :])]
        out = self.model.llm(inputs_embeds=torch.cat([text[0], rows, text[1]])[None], use_cache=True, logits_to_keep=1)
        first, new = out.logits[0, -1], []
        while len(new) < n_new:
            new.append(int(out.logits[0, -1].argmax()))
            out = self.model.llm(input_ids=torch.tensor([new[-1:]]), past_key_values=out.past_key_values, use_cache=True)
        return first, new


@pytest.fixture(scope="module")
def tiled():
    return Tiled()


def distance(got, want):
    d = np.linalg.norm((got - want).astype(np.float64)) / np.linalg.norm(want.astype(np.float64))
    return d if np.isfinite(d) else np.inf


def compare(tiled, what, file, tiles, merge, sizes, names=tuple(PICTURES)):
    worst = {}
    for name in names:
        path = picture(WORK / f"{name}.png", *PICTURES[name])
        with torch.no_grad():
            rows = tiled.rows(path, merge, sizes)
        want, new = tiled.logits(rows, 6)
        out = WORK / "tiles.out"
        n = int(run(TOOL, "logits", file, path, tiles, out, *tiled.ids))
        got = np.fromfile(out, "<f4")
        assert n == len(rows), f"{what}, {name}: {n} rows, PyTorch {len(rows)}"
        found = got[: rows.numel()].reshape(rows.shape), got[rows.numel() :]
        worst[name] = max(distance(found[0], rows.numpy()), distance(found[1], want.numpy()))
        options = ["--tiles", tiles] if tiles else []
        report = json.loads(fvlm("run", file, path, QUESTION, "--picture", "apple", "--max-tokens", 6, "--json", *options))
        ids = report["answer_ids"]
        assert ids == new[: len(ids)] and (len(ids) == 6 or report["ended"])
        assert report["tokens"]["image"] == n == sum(s["tokens"] for s in report["tiles"]["squares"]) + report["tiles"]["newlines"]
    print(f"\n{what}: rows and logits of {len(worst)} pictures, worst {max(worst.values()):.1e}; answers equal")
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("merge", ["flat", "spatial", "spatial_unpad"])
def test_checkpoint(tiled, merge):
    file = tiled.convert(merge)
    compare(tiled, merge, file, "", merge, SIZES)


def test_option(tiled):
    """--tiles makes of a checkpoint without tiles one with that size, merged flat."""
    file = WORK / "untiled.fvlm"
    fvlm("convert", tiled.plain, "-o", file, "--force", "-q")
    compare(tiled, "--tiles 2x2", file, "2x2", "flat", [(512, 512)], ["photo"])
    compare(tiled, "--tiles 1x3", file, "1x3", "flat", [(256, 768)], ["wide"])


def test_verify_option(tiled):
    """verify --tiles measures the rows that PyTorch has for that size: of a quantized model without a language model, the
    error is that of its rows beside PyTorch's."""
    file, eight, path = WORK / "untiled.fvlm", WORK / "untiled-8.fvlm", picture(WORK / "photo.png", *PICTURES["photo"])
    fvlm("convert", tiled.plain, "-o", file, "--force", "-q")
    fvlm("quant", file, "--type", "int8", "-o", eight, "--force", "-q")
    for f in (file, eight):
        subprocess.run([BUILD / "tests/tools/tower", f, f"{f}.part", "projector"], check=True)
    fvlm("run", f"{eight}.part", path, "--tiles", "4x4", "--act", "f32", "--picture", "apple", "-o", WORK / "rows.npy", "--force", "-q")
    with torch.no_grad():
        want = distance(np.load(WORK / "rows.npy"), tiled.rows(path, "flat", [(1024, 1024)]).numpy())
    options = ["--image", path, "--tiles", "4x4", "--act", "f32", "--picture", "apple", "--max-error", 1, "--json"]
    report = json.loads(fvlm("verify", f"{eight}.part", f"{file}.part", *options))
    found = report["activations"][0]["embedding"]
    drawn = report["drawn"]
    print(f"\nverify --tiles 4x4: error {found['relative_l2']:.5e} of {found['rows']} rows, PyTorch and run {want:.5e}")
    assert report["tiles"] == {"columns": 4, "rows": 4} and (drawn, found["rows"]) == (0, 272)
    assert found["relative_l2"] == pytest.approx(want, rel=1e-4)
