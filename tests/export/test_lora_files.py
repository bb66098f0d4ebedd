"""LoRA files: every format to one form, and one sentence for each file that is something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from export.errors import BadFolderError
from export.lora_files import Lora, read_lora
from export.lora_names import original_names
from tests.export import loras

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
SHAPES: dict[str, tuple[int, ...]] = {
    "conv_in": (16, 9, 3, 3),
    "time_embedding.linear_1": (64, 16),
    "down_blocks.0.resnets.0.conv1": (16, 16, 3, 3),
    "down_blocks.1.resnets.0.conv_shortcut": (32, 16, 1, 1),
    f"{ATTENTION}.to_q": (32, 32),
    f"{ATTENTION}.to_out.0": (32, 32),
}


def same(read_back: Lora, expected: Lora) -> bool:
    """Whether two adapters are the same change."""
    assert list(read_back.updates) == sorted(expected.updates)
    return all(
        torch.equal(read_back.updates[name].strength * read_back.updates[name].up, update.strength * update.up)
        and torch.equal(read_back.updates[name].down, update.down)
        for name, update in expected.updates.items()
    )


@pytest.fixture(scope="module")
def lora() -> Lora:
    """An adapter of rank 4 with strength 1/2."""
    return loras.random_lora(SHAPES, rank=4, seed=0)


@pytest.mark.parametrize("prefix", ["unet.", "base_model.model.", "base_model.model.unet.", "diffusion_model.", ""])
def test_peft(prefix: str, lora: Lora, tmp_path: Path) -> None:
    assert same(read_lora(loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES, prefix), SHAPES), lora)


def test_diffusers_with_the_keys_of_old_processors(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_diffusers(tmp_path / "a.safetensors", lora, SHAPES)
    assert f"unet.{ATTENTION}.processor.to_out_lora.down.weight" in load_file(path)
    assert same(read_lora(path, SHAPES), lora)


def test_kohya_with_alpha(lora: Lora, tmp_path: Path) -> None:
    read_back = read_lora(loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES), SHAPES)
    assert same(read_back, lora)
    assert read_back.updates["conv_in"].strength == 0.5
    assert read_back.rank == 4


def test_kohya_with_the_names_of_sdxls_first_code(tmp_path: Path) -> None:
    # SDXL's blocks, at its widths divided by ten.
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(32, 64, 128),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=204,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=64,
        )
    shapes = {
        name: tuple(layer.weight.shape)
        for name, layer in unet.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    }
    names = original_names(shapes)
    assert set(names) == set(shapes)
    assert len(set(names.values())) == len(names)
    # Spot checks against the published SDXL checkpoint's own keys.
    expected = {
        "down_blocks.0.downsamplers.0.conv": "input_blocks.3.0.op",
        "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k": (
            "input_blocks.4.1.transformer_blocks.1.attn2.to_k"
        ),
        "down_blocks.2.resnets.1.conv2": "input_blocks.8.0.out_layers.3",
        "mid_block.resnets.1.time_emb_proj": "middle_block.2.emb_layers.1",
        "mid_block.attentions.0.proj_in": "middle_block.1.proj_in",
        "up_blocks.0.upsamplers.0.conv": "output_blocks.2.2.conv",
        "up_blocks.1.attentions.2.proj_out": "output_blocks.5.1.proj_out",
        "up_blocks.2.resnets.2.conv_shortcut": "output_blocks.8.0.skip_connection",
        "add_embedding.linear_2": "label_emb.0.2",
    }
    assert {name: names[name] for name in expected} == expected
    some = {name: shapes[name] for name in expected}
    lora = loras.random_lora(some, rank=2, seed=1)
    assert same(read_lora(loras.write_kohya(tmp_path / "a.safetensors", lora, some, names), shapes), lora)


def test_text_encoders_are_counted_and_left_out(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    extra = {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(4, 8)}
    save_file(load_file(path) | extra, path)
    read_back = read_lora(path, SHAPES)
    assert same(read_back, lora)
    assert read_back.unserved == 1


STEM = f"unet.{ATTENTION}.to_q"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{STEM}.lora_magnitude_vector": torch.ones(32)}, "is a DoRA"),
        ({f"{STEM}.dora_scale": torch.ones(32)}, "is a DoRA"),
        ({f"{STEM}.hada_w1_a": torch.ones(32, 4)}, "is a LoHa"),
        ({f"{STEM}.lokr_w1": torch.ones(4, 4)}, "is a LoKr"),
        ({f"{STEM}.lora_mid.weight": torch.ones(4, 4, 3, 3)}, "is a LoRA with a Tucker core"),
        ({f"{STEM}.diff": torch.ones(32, 32)}, "is a full difference"),
        ({f"{STEM}.weight": torch.ones(32, 32)}, r"has a key that no LoRA format knows: unet\..*to_q\.weight"),
        ({"unet.conv_mid.lora_A.weight": torch.ones(4, 9)}, "adapts conv_mid, a layer that this denoiser does not"),
        ({"lora_unet_conv_mid.alpha": torch.tensor(1.0)}, "adapts lora_unet_conv_mid, a layer that"),
        ({f"{STEM}.lora_A.weight": torch.ones(4, 33)}, r"to_q is \[32, 32\], which down \[4, 33\] and up \[32, 4\] do"),
        ({f"{STEM}.lora_B.weight": torch.ones(32, 5)}, r"up \[32, 5\] do not fit"),
        ({f"{STEM}.lora_B.weight": torch.full((32, 4), float("nan"))}, "has values that are not finite"),
        ({f"{STEM}.lora_B.weight": None}, "has no up matrix for"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(
    change: dict[str, torch.Tensor | None], message: str, lora: Lora, tmp_path: Path
) -> None:
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = {name: value for name, value in (load_file(path) | change).items() if value is not None}
    save_file(tensors, path)
    with pytest.raises(BadFolderError, match=message) as caught:
        read_lora(path, SHAPES)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_file_of_text_encoders_alone_is_refused(tmp_path: Path) -> None:
    save_file({"text_encoder.x.lora_A.weight": torch.ones(2, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(BadFolderError, match="adapts only text encoders"):
        read_lora(tmp_path / "a.safetensors", SHAPES)


def test_pickles_and_damaged_files_are_refused(lora: Lora, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(BadFolderError, match="is a pickle, which can run code when it is read"):
        read_lora(tmp_path / "a.bin", SHAPES)
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadFolderError, match="is truncated or damaged"):
        read_lora(path, SHAPES)
    with pytest.raises(BadFolderError, match="is missing"):
        read_lora(tmp_path / "b.safetensors", SHAPES)
