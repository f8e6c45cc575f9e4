# SPDX-License-Identifier: Apache-2.0
"""One model as transformers, timm and mlx-vlm save it gives the weights section that Apple's names give, byte for byte;
and transformers' own logits are fvlm's. The modules are real: FastVlmForConditionalGeneration.save_pretrained, timm's
state dicts in train mode and after reparameterize_model. mlx-vlm has no wheel for this machine: what its sanitize()
does to names and shapes is written out in mlx_vlm() below."""

import json
import re
import shutil

import apple
import numpy as np
import pytest
import timm
import torch
from fvlm.reader import Fvlm
from preprocess import IMAGE
from safetensors.torch import load_file, save_file
from timm.utils.model import reparameterize_model
from transformers import FastVlmConfig, FastVlmForConditionalGeneration
from under_test import TINY, WORK, activations, fvlm, picture

SMALL = ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json")
BOUND = 2e-5
UNUSED_ID = 500  # a row of the embedding that the tokenizer does not reach
QUESTION = "Describe the picture."


def folder_of(name):
    folder = WORK / "dialects" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def convert(folder, *options):
    model = folder.with_suffix(".fvlm")
    report = json.loads(fvlm("convert", folder, "-o", model, "--force", "--json", *options))
    return model, report["dialect"]


def stored(model):
    """Names, types, shapes and bytes of every tensor, as they are in the file."""
    f = Fvlm(model)
    data = model.read_bytes()
    return {name: (e._replace(name_at=0, offset=0), data[e.offset : e.offset + e.size]) for name, e in f.entries.items()}


def same(model, want):
    got = stored(model)
    assert len(want) > 80 and got.keys() == want.keys()
    different = [name for name in want if got[name] != want[name]]
    assert not different


def raw(form):
    return load_file(TINY / form / "model.safetensors")


def copy_small(folder):
    for name in SMALL:
        shutil.copy(TINY / "fused" / name, folder)


@pytest.fixture(scope="module", params=["unfused", "fused"])
def form(request):
    return request.param


@pytest.fixture(scope="module")
def apples(form):
    """What Apple's names give, whole and the tower alone."""
    model, dialect = convert_apple(form)
    assert dialect == "apple"
    whole = stored(model)
    return whole, {name: t for name, t in whole.items() if name.startswith("vision.")}


def convert_apple(form):
    folder = folder_of(f"apple-{form}")
    shutil.copytree(TINY / form, folder, dirs_exist_ok=True)
    return convert(folder)


def transformers_model(form):
    """The fixture in transformers' own class, with the types of the file."""
    config = json.loads((TINY / form / "config.json").read_text())
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "rms_norm_eps", "max_position_embeddings", "vocab_size", "eos_token_id", "tie_word_embeddings")  # fmt: skip
    text = {k: config[k] for k in keys} | {
        "model_type": "qwen2",
        "bos_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]},
    }
    args = {"layers": [1, 1, 2, 1, 1], "embed_dims": [16, 32, 64, 128, 256], "inference_mode": form == "fused"}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "do_pooling": True, "global_pool": "avg",
              "hidden_size": 512, "model_args": args}  # fmt: skip
    model = FastVlmForConditionalGeneration(
        FastVlmConfig(text_config=text, vision_config=vision, image_token_index=UNUSED_ID, image_seq_length=16)
    )
    tensors, want = raw(form), model.state_dict().keys()
    tower = {n.removeprefix(apple.VISION): t for n, t in tensors.items() if n.startswith(apple.VISION)}
    names = apple.timm_names(tower)
    state = {f"model.vision_tower.timm_model.{names[n]}": t for n, t in tower.items() if n in names}
    for name, t in tensors.items():
        if m := re.match(r"model\.mm_projector\.([02])\.(.*)", name):
            state[f"model.multi_modal_projector.linear_{1 if m[1] == '0' else 2}.{m[2]}"] = t
        elif not name.startswith(apple.VISION):
            state[re.sub(r"^model\.", "model.language_model.", name)] = t
    state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"]
    assert state.keys() == want
    model.load_state_dict(state, strict=True, assign=True)
    model.tie_weights()
    return model.eval()


def save_transformers(form, name):
    folder = folder_of(f"{name}-{form}")
    model = transformers_model(form)
    model.save_pretrained(folder)
    copy_small(folder)
    side = {"height": 256, "width": 256}
    (folder / "preprocessor_config.json").write_text(json.dumps(
        {"image_processor_type": "CLIPImageProcessor", "do_center_crop": True, "crop_size": side, "do_resize": True,
         "size": {"shortest_edge": 256}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
         "do_normalize": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}))  # fmt: skip
    return folder, model


def test_transformers(form, apples):
    folder, _ = save_transformers(form, "transformers")
    assert any("timm_model" in name for name in load_file(folder / "model.safetensors"))
    model, dialect = convert(folder)
    assert dialect == "transformers"
    same(model, apples[0])
    assert Fvlm(model).config["vision"]["image_size"] == 256


def test_transformers_in_older_names(form, apples):
    """As LLaVAs were saved before version 4.52, by the same renaming that transformers' table has for them."""
    folder, _ = save_transformers(form, "llava")
    old = {}
    for name, t in load_file(folder / "model.safetensors").items():
        name = re.sub(r"^model\.language_model\.", "language_model.model.", name)
        old[re.sub(r"^model\.", "", name)] = t
    save_file(old, folder / "model.safetensors", {"format": "pt"})
    model, dialect = convert(folder)
    assert dialect == "transformers"
    same(model, apples[0])


def test_transformers_logits(form):
    """The same picture's pixels and the same prompt through FastVlmForConditionalGeneration and through the file."""
    folder, model = save_transformers(form, "logits")
    model = model.float()
    file, _ = convert(folder)
    ids = apple.load(TINY / form).prompt_ids(QUESTION)
    pixels = apple.read_pixels(picture(WORK / "picture.png"), 256)
    expanded = [i for x in ids for i in ([UNUSED_ID] * 16 if x == IMAGE else [x])]
    with torch.no_grad():
        out = model(input_ids=torch.tensor([expanded]), pixel_values=pixels)
    want = out.logits[0, -1, : Fvlm(file).config["llm"]["vocab"]].double().numpy()
    rows = pixels[0].permute(1, 2, 0).reshape(-1, 3).numpy()
    got = activations(file, rows, ids)[0]["logits"][0].astype(np.float64)
    assert got.shape == want.shape
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    print(f"\n{form}: logits differ from FastVlmForConditionalGeneration's by {error:.1e}")
    assert error <= BOUND


def timm_tower(form):
    """timm's own module, whose state dict is saved."""
    tensors = raw(form)
    return apple.build_tower({n.removeprefix(apple.VISION): t for n, t in tensors.items() if n.startswith(apple.VISION)})


def save_timm(folder, tower):
    save_file({n: t.contiguous() for n, t in tower.state_dict().items()}, folder / "model.safetensors")
    pretrained = {"input_size": [3, 256, 256], "mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bicubic"}
    (folder / "config.json").write_text(json.dumps({"architecture": "fastvit_mci3", "pretrained_cfg": pretrained}))


def test_timm(form, apples):
    folder = folder_of(f"timm-{form}")
    save_timm(folder, timm_tower(form))
    model, dialect = convert(folder)
    assert dialect == "timm"
    same(model, apples[1])


def test_timm_reparameterized():
    """Fused by timm in f32: the same numbers in Apple's names give the same file; and the embedding is timm's."""
    tower = reparameterize_model(timm_tower("unfused").float())
    folder, twin = folder_of("timm-reparameterized"), folder_of("timm-reparameterized-apple")
    save_timm(folder, tower)
    state, names = tower.state_dict(), {}
    for name in raw("fused"):
        if name.startswith(apple.VISION):
            names[name.removeprefix(apple.VISION)] = None
    back = apple.apple_names(names)
    save_file({back[n]: t.contiguous() for n, t in state.items()}, twin / "model.safetensors")
    model, dialect = convert(folder)
    other, other_dialect = convert(twin)
    assert (dialect, other_dialect) == ("timm", "apple-tower")
    same(model, stored(other))
    image = picture(WORK / "picture.png")
    fvlm("run", model, image, "-q", "--force", "-o", WORK / "a.npy")
    with torch.no_grad():
        want = tower.forward_features(apple.read_pixels(image, 256)).flatten(2)[0].T.double().numpy()
    got = np.load(WORK / "a.npy").astype(np.float64)
    assert np.linalg.norm(got - want) / np.linalg.norm(want) <= BOUND


def mlx_vlm(tensors):
    """Names and orders of mlx-vlm: kernels [out, height, width, in], layer scales [1, 1, n], no counters."""
    out = {}
    for name, t in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.startswith(apple.VISION):
            name = "vision_tower.vision_model." + name.removeprefix(apple.VISION).replace("patch_embed", "patch_embed.blocks")
            t = t.permute(0, 2, 3, 1) if t.dim() == 4 else t.permute(1, 2, 0) if t.dim() == 3 else t
        elif "mm_projector" in name:
            name = name.removeprefix("model.")
        elif not name.startswith("lm_head"):  # tied: mlx-vlm has none
            name = "language_model." + name
        else:
            continue
        out[name] = t.contiguous()
    return out


def test_mlx_vlm(form, apples):
    folder = folder_of(f"mlx-{form}")
    copy_small(folder)
    shutil.copy(TINY / form / "config.json", folder)
    save_file(mlx_vlm(raw(form)), folder / "model.safetensors", {"format": "mlx"})
    model, dialect = convert(folder)
    assert dialect == "mlx-vlm"
    same(model, apples[0])


def test_apple_mlx_with_a_tower(form, apples):
    """Apple's export to MLX has no tower; timm's and Apple's complete it."""
    folder, tower = folder_of(f"apple-mlx-{form}"), folder_of(f"tower-{form}")
    copy_small(folder)
    shutil.copy(TINY / form / "config.json", folder)
    tensors = {}
    for name, t in raw(form).items():
        if name.startswith("model.mm_projector."):
            tensors[name.replace("model.mm_projector.", "multi_modal_projector.linear_")] = t
        elif not name.startswith(apple.VISION):
            tensors["language_model." + name] = t
    save_file(tensors, folder / "model.safetensors", {"format": "mlx"})
    save_timm(tower, timm_tower(form))
    for source in (tower, TINY / form):
        model, dialect = convert(folder, "--vision", source)
        assert dialect == "apple-mlx"
        same(model, apples[0])


@pytest.mark.parametrize("name", ["fastvit_t8", "fastvit_s12", "fastvit_sa12", "fastvit_mci0", "fastvit_mci2", "fastvit_mci3"])
@pytest.mark.parametrize("fused", [False, True])
def test_relatives(name, fused):
    """timm's other FastViTs compute something else and are refused by name, fused or not; mci3 is FastViTHD's kind."""
    n = 5 if name == "fastvit_mci3" else 4
    small = {"layers": [1] * n, "embed_dims": [16, 32, 64, 128, 256][:n]}
    folder = folder_of(f"{name}-{fused}")
    save_timm(folder, timm.create_model(name, num_classes=8, inference_mode=fused, **small))
    if name == "fastvit_mci3":
        assert convert(folder)[1] == "timm"
    else:
        with pytest.raises(AssertionError, match=r"is a FastViT"):
            convert(folder)
