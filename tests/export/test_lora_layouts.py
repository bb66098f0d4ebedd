"""Every layout of a LoRA gives the weights that peft merges; the first codes' names are those diffusers converts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from export.lora_files import read_lora
from export.loras.names import LayerNames, flat
from export.loras.originals import original_names
from tests.export import lora_layouts
from tests.export.lora_layouts import CASES, sd3, sd15, sdxl, shapes_of

ROWS = {
    "lora-strength": ("metadata", "patterns", "peft folder", "config"),
    "rslora": ("rsLoRA",),
    "lora-keys": ("ComfyUI", "single-file", "first code", "inside keys", "three text encoders"),
}
"""The field reports that a layout's name belongs to."""


def cases() -> Iterator[Any]:
    """Every layout, marked with the rows of the field's table that it shows."""
    for name in CASES:
        rows = [row for row, words in ROWS.items() if any(word in name for word in words)]
        yield pytest.param(name, marks=[pytest.mark.row(row) for row in rows])


@pytest.mark.parametrize("name", [*cases()])
def test_strength_is_pefts(name: str, tmp_path: Path) -> None:
    lora, merged, shapes = CASES[name].run(tmp_path)
    assert lora_layouts.relative_difference(lora, merged, shapes) <= 1e-6
    assert bool(lora.unserved) == CASES[name].partial


def test_a_wrong_strength_would_be_seen(tmp_path: Path) -> None:
    lora, merged, shapes = CASES["peft folder"].run(tmp_path)
    assert (
        lora_layouts.relative_difference(lora, {name: 1.001 * value for name, value in merged.items()}, shapes) > 5e-4
    )


@pytest.mark.parametrize("network", [sd15, sdxl])
def test_first_names_of_unets_are_those_that_diffusers_converts(network: Callable[..., Any]) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    with torch.device("meta"):
        unet = network(whole=True)
    names = lora_layouts.single_originals(shapes_of(unet))
    assert set(names) == set(shapes_of(unet))
    assert len(set(names.values())) == len(names)
    checkpoint = {
        f"model.diffusion_model.{original}.{half}": torch.tensor(number)
        for number, original in enumerate(names.values())
        for half in ("weight", "bias")
    }
    converted = convert_ldm_unet_checkpoint(checkpoint, dict(unet.config))
    assert {name: int(converted[f"{name}.weight"]) for name in names} == {
        name: number for number, name in enumerate(names)
    }


@pytest.mark.row("lora-keys")
def test_first_names_of_sd3_are_those_that_diffusers_converts(tmp_path: Path) -> None:
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

    network = sd3()
    shapes = shapes_of(network)
    originals = original_names(shapes)
    assert {name for targets in originals.values() for name, _ in targets} == set(shapes)
    generator, tensors = torch.Generator().manual_seed(0), dict[str, Tensor]()
    checkpoint = {"pos_embed": torch.zeros(1, 4, 16)}
    for number, (original, targets) in enumerate(originals.items()):
        first = targets[0][0]
        width, out, rank = torch.Size(shapes[first][1:]).numel(), len(targets) * shapes[first][0], 2 + number % 3
        down = torch.randn(rank, width, generator=generator)
        up = torch.randn(out, rank, generator=generator)
        stem = f"lora_unet_{flat(original)}"
        tensors |= {f"{stem}.lora_down.weight": down.view(rank, *shapes[first][1:]), f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(1.0)
        checkpoint[f"{original}.weight"] = (up @ down / rank).view(out, *shapes[first][1:])
        checkpoint[f"{original}.bias"] = torch.zeros(out)
    converted = convert_sd3_transformer_checkpoint_to_diffusers(checkpoint)
    lora = read_lora(lora_layouts.save(tmp_path, tensors), shapes)
    expected = {name: converted[f"{name}.weight"] for name in shapes}
    assert lora_layouts.relative_difference(lora, expected, shapes) <= 1e-6


@pytest.mark.parametrize("network", [partial(sd15, whole=True), partial(sdxl, whole=True), sd3])
def test_no_name_means_two_layers(network: Callable[[], Any]) -> None:
    with torch.device("meta"):
        shapes = shapes_of(network())
    names = LayerNames(shapes)
    assert len({flat(name) for name in shapes}) == len(shapes)
    for name in shapes:
        for written in (name, f"lora_unet_{flat(name)}", f"base_model.model.unet._orig_mod.{name}"):
            assert [target.layer for target in names.find(written)] == [name]
    for original, targets in original_names(shapes).items():
        assert [target.layer for target in names.find(f"diffusion_model.{original}")] == [name for name, _ in targets]


def test_a_tucker_core_is_two_convolutions_more(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    down, core, up = (torch.randn(size, generator=generator) for size in ((3, 8, 1, 1), (3, 3, 3, 3), (16, 3, 1, 1)))
    stem = "lora_unet_conv"
    tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_mid.weight": core, f"{stem}.lora_up.weight": up}
    tensors[f"{stem}.alpha"] = torch.tensor(6.0)
    (update,) = read_lora(lora_layouts.save(tmp_path, tensors), {"conv": (16, 8, 3, 3)}).updates.values()
    picture = torch.randn(1, 8, 6, 6, generator=generator)
    expected = 2 * functional.conv2d(functional.conv2d(functional.conv2d(picture, down), core, padding=1), up)
    weight = (update.strength * update.up @ update.down).view(16, 8, 3, 3)
    torch.testing.assert_close(functional.conv2d(picture, weight, padding=1), expected)


def test_joined_projections_of_diffusers(tmp_path: Path) -> None:
    # diffusers' own fusing says how the parts lie in the joined layer.
    network: Any = sd3()
    shapes = shapes_of(network)
    network.fuse_qkv_projections()
    attention = network.transformer_blocks[1].attn
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    merged: dict[str, Tensor] = {}
    for joined, parts in (("to_qkv", ("to_q", "to_k", "to_v")), ("to_added_qkv", ("add_q_proj", "add_k_proj"))):
        layer: nn.Linear = getattr(attention, joined)
        down = torch.randn(2, layer.in_features, generator=generator)
        up = torch.randn(layer.out_features, 2, generator=generator)
        stem = f"transformer.transformer_blocks.1.attn.{joined}"
        tensors |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
        for part in parts:
            own = getattr(attention, part).weight
            (start,) = (
                row
                for row in range(0, layer.out_features, own.shape[0])
                if torch.equal(layer.weight[row : row + own.shape[0]], own)
            )
            merged[f"transformer_blocks.1.attn.{part}"] = (up @ down)[start : start + own.shape[0]]
    lora = read_lora(lora_layouts.save(tmp_path, tensors), shapes)
    assert set(lora.updates) - set(merged) == {"transformer_blocks.1.attn.add_v_proj"}
    for name, expected in merged.items():
        torch.testing.assert_close(lora.updates[name].up @ lora.updates[name].down, expected)


def test_old_keys_are_those_of_old_diffusers(tmp_path: Path) -> None:
    path = lora_layouts.diffusers_2023("unet.", processors=True)(
        lora_layouts.adapt(sdxl(), {"r": 2, "lora_alpha": 2, "target_modules": ["to_out.0"]}), tmp_path
    )
    attention = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    assert f"unet.{attention}.processor.to_out_lora.down.weight" in load_file(path)
