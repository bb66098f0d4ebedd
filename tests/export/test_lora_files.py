"""LoRA files and folders that are something else than they should be: each is refused in one true sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.errors import BadFolderError
from export.lora_files import Lora, read_lora
from export.loras.folder import adapter_files
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
STEM = f"unet.{ATTENTION}.to_q"
FLAT = "lora_unet_" + f"{ATTENTION}.to_q".replace(".", "_")


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


def refusal(path: Path, **options: Any) -> str:
    """The sentence that refuses a file."""
    with pytest.raises(BadFolderError) as caught:
        read_lora(path, SHAPES, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("prefix", ["unet.", "base_model.model.", "base_model.model.unet.", "diffusion_model.", ""])
def test_prefixes(prefix: str, lora: Lora, tmp_path: Path) -> None:
    assert same(read_lora(loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES, prefix), SHAPES), lora)


def test_processors_of_2023(lora: Lora, tmp_path: Path) -> None:
    assert same(read_lora(loras.write_diffusers(tmp_path / "a.safetensors", lora, SHAPES), SHAPES), lora)


def test_alpha_and_rank(lora: Lora, tmp_path: Path) -> None:
    read_back = read_lora(loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES), SHAPES)
    assert same(read_back, lora)
    assert read_back.updates["conv_in"].strength == 0.5
    assert read_back.rank == 4


ALPHA = {"lora_unet_conv_in.alpha": torch.tensor(1.0)}


@pytest.mark.row("lora-alpha")
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_alpha_is_finite(value: str, dtype: torch.dtype, lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    save_file(load_file(path) | {"lora_unet_conv_in.alpha": torch.tensor(float(value), dtype=dtype)}, path)
    assert f"alpha of conv_in is {value}, not a finite number" in refusal(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{STEM}.lora_magnitude_vector": torch.ones(32)}, "is a DoRA"),
        ({f"{STEM}.lora_magnitude_vector.default.weight": torch.ones(32)}, "is a DoRA"),
        ({f"{STEM}.dora_scale": torch.ones(32)}, "is a DoRA"),
        ({f"{STEM}.hada_w1_a": torch.ones(32, 4)}, "is a LoHa"),
        ({f"{STEM}.hada_t1": torch.ones(32, 4)}, "is a LoHa"),
        ({f"{STEM}.lokr_w1": torch.ones(4, 4)}, "is a LoKr"),
        ({f"{STEM}.lokr_w2_a": torch.ones(4, 4)}, "is a LoKr"),
        ({f"{STEM}.lokr_t2": torch.ones(4, 4)}, "is a LoKr"),
        ({f"{STEM}.a1.weight": torch.ones(4, 4)}, "is a GLoRA"),
        ({f"{STEM}.oft_blocks": torch.ones(4, 4)}, "is an OFT"),
        ({f"{STEM}.oft_R.weight": torch.ones(4, 4)}, "is an OFT"),
        ({f"{STEM}.boft_R": torch.ones(4, 4)}, "is an OFT"),
        ({f"{STEM}.ia3_l": torch.ones(4, 4)}, "is an IA3"),
        ({f"{STEM}.vera_lambda_b": torch.ones(4)}, "is a VeRA"),
        ({f"{STEM}.lora_B.bias": torch.ones(32)}, "is a LoRA with biases"),
        ({f"{STEM}.lora_B.default.bias": torch.ones(32)}, "is a LoRA with biases"),
        ({f"{STEM}.lora_up.bias": torch.ones(32)}, "is a LoRA with biases"),
        ({f"{STEM}.bias": torch.ones(32)}, "is a LoRA with biases"),
        ({f"{STEM}.base_layer.weight": torch.ones(32, 32)}, "is a LoRA together with the weights of its model"),
        ({"unet.conv_out.modules_to_save.weight": torch.ones(4, 4)}, "is a LoRA with whole modules"),
        ({"unet.class_embedding.lora_embedding_A": torch.ones(4, 4)}, "is a LoRA of an embedding"),
        ({f"{STEM}.diff": torch.ones(32, 32)}, "is a full difference"),
        ({f"{FLAT}.diff_b": torch.ones(32)}, "is a full difference"),
        ({"lora_unet_down_blocks_0_resnets_0_norm1.w_norm": torch.ones(32)}, "is a difference of norms"),
        ({f"{STEM}.weight": torch.ones(32, 32)}, "has a key that no LoRA format knows: unet."),
        ({"unet.conv_mid.lora_A.weight": torch.ones(4, 9)}, "adapts conv_mid, a layer that this denoiser does not"),
        ({"lora_unet_conv_mid.alpha": torch.tensor(1.0)}, "adapts conv_mid, a layer that"),
        ({f"{STEM}.lora_A.weight": torch.ones(4, 33)}, "to_q is [32, 32], which down [4, 33] and up [32, 4] do"),
        ({f"{STEM}.lora_B.weight": torch.ones(32, 5)}, "up [32, 5] do not fit"),
        ({f"{STEM}.lora_B.weight": torch.ones(128)}, "up [128] do not fit"),
        ({f"{STEM}.lora_A.weight": torch.ones(0, 32)}, "down [0, 32] and up [32, 4] do not fit"),
        ({f"{STEM}.lora_mid.weight": torch.ones(4, 4, 3, 3)}, "down [4, 32, 3, 3] and up [32, 4] do not fit"),
        ({f"{STEM}.lora_mid.weight": torch.ones(4, 3)}, "the Tucker core [4, 3] of"),
        ({f"{STEM}.lora_B.weight": torch.full((32, 4), float("nan"))}, "has values that are not finite"),
        ({f"{STEM}.lora_B.weight": torch.full((32, 4), float("inf"))}, "has values that are not finite"),
        ({f"{STEM}.lora_B.weight": torch.ones(32, 4, dtype=torch.int8)}, "not of floating-point numbers"),
        ({f"{STEM}.lora_B.weight": None}, "has no up matrix for"),
        ({f"{STEM}.lora_A.weight": None}, "has no down matrix for"),
        (
            {f"{STEM}.lora_A.weight": None, f"{STEM}.lora_B.weight": None, f"{STEM}.alpha": torch.ones(())},
            "has no down",
        ),
        ({f"{STEM}.alpha": torch.ones(4)}, "to_q is [4], not one number"),
        ({f"{STEM}.alpha": torch.ones(0)}, "to_q is [0], not one number"),
        ({f"{FLAT}.lora_down.weight": torch.ones(4, 32)}, "twice, in different tensors"),
        ({f"{STEM}.lora_A.style.weight": torch.ones(4, 32)}, "holds several adapters (unnamed, style)"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(
    change: Mapping[str, Tensor | None], message: str, lora: Lora, tmp_path: Path
) -> None:
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = {name: value for name, value in {**load_file(path), **change}.items() if value is not None}
    save_file(tensors, path)
    assert message in refusal(path)


def test_a_lora_of_another_family_is_told_as_such(lora: Lora, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {f"lora_unet_double_blocks_{n}_img_attn_proj.lora_down.weight": torch.ones(4, 8) for n in range(3)}
    save_file(tensors, path, {"modelspec.architecture": "flux-1-dev/lora"})
    assert refusal(path) == (
        "a.safetensors adapts double_blocks_0_img_attn_proj, a layer that this denoiser does not have; nor 2 others of "
        "its 3; it was trained for flux-1-dev/lora."
    )


TEXT = {
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": "text_encoder",
    "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha": "text_encoder",
    "lora_te2_text_projection.lora_down.weight": "text_encoder_2",
    "lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight": "text_encoder_3",
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight": "text_encoder",
    "text_encoder_2.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight": "text_encoder_2",
    "text_encoder_3.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight": "text_encoder_3",
    "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": "text_encoder",
    "text_encoders.clip_g.transformer.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": "text_encoder_2",
    "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight": "text_encoder_3",
    "base_model.model.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": "text_encoder",
    "bundle_emb.style.clip_l": "embeddings",
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": "text_encoder",
    "conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.lora_A.weight": "text_encoder_2",
    # Not a plain LoRA, but also not served.
    "lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a": "text_encoder",
}


@pytest.mark.row("lora-keys")
@pytest.mark.parametrize("key", list(TEXT))
def test_parts_for_text_encoders_are_counted_and_never_left_out_in_silence(
    key: str, lora: Lora, tmp_path: Path
) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    save_file(load_file(path) | {key: torch.ones(4, 8)}, path)
    assert refusal(path) == (
        f"a.safetensors also adapts text encoders, whose adapters are not served: 1 tensors of {TEXT[key]}; "
        "--allow-partial serves it without them."
    )
    read_back = read_lora(path, SHAPES, allow_partial=True)
    assert same(read_back, lora)
    assert read_back.unserved == {TEXT[key]: 1}
    save_file({key: torch.ones(4, 8)}, path)
    assert f"adapts only text encoders (1 tensors of {TEXT[key]})" in refusal(path, allow_partial=True)


def test_the_same_layer_by_two_names_counts_once_if_it_is_the_same(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = load_file(path)
    again = {
        key.replace("lora_unet_conv_in.", "lora_unet_input_blocks_0_0."): value.clone()
        for key, value in tensors.items()
        if key.startswith("lora_unet_conv_in.")
    }
    save_file(tensors | again, path)
    assert same(read_lora(path, SHAPES), lora)


def test_a_file_with_alpha_for_some_layers_alone_is_refused(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = load_file(path)
    del tensors["lora_unet_conv_in.alpha"]
    save_file(tensors, path)
    assert refusal(path) == (
        "a.safetensors has alpha tensors, but none for 1 of its 6 layers, such as conv_in; add them (alpha = rank is "
        "strength 1)."
    )


def test_an_adapter_without_effect_is_refused(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = {key: 0 * value if key.endswith(".alpha") else value for key, value in load_file(path).items()}
    save_file(tensors | ALPHA, path)
    assert {update.strength for update in read_lora(path, SHAPES).updates.values()} == {0.0, 0.25}
    save_file(tensors, path)
    assert "has strength 0 in every layer" in refusal(path)


PLAIN = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["to_q"]}


def peft_folder(folder: Path, lora: Lora, **config: Any) -> Path:
    """A folder of peft's."""
    folder.mkdir(exist_ok=True)
    loras.write_peft(folder / "adapter_model.safetensors", lora, SHAPES, "base_model.model.")
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN | config))
    return folder


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "LOHA"}, "describes LOHA; only plain LoRAs"),
        ({"use_dora": True}, "describes a DoRA (use_dora)"),
        ({"bias": "all"}, "describes a LoRA with biases (bias 'all')"),
        ({"bias": "lora_only"}, "describes a LoRA with biases"),
        ({"lora_bias": True}, "describes a LoRA with biases (lora_bias)"),
        ({"modules_to_save": ["conv_out"]}, "describes a LoRA with whole modules"),
        ({"trainable_token_indices": [1]}, "describes a LoRA with trained tokens"),
        ({"layer_replication": [[0, 1]]}, "describes a LoRA that repeats layers"),
        ({"init_lora_weights": "pissa"}, "describes a LoRA on changed weights (init_lora_weights 'pissa')"),
        ({"init_lora_weights": "olora"}, "describes a LoRA on changed weights"),
        ({"new_method": {"a": 1}}, "has the field new_method, which this export does not know"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan, not a finite number"),
        ({"lora_alpha": float("inf")}, "lora_alpha is inf, not a finite number"),
        ({"lora_alpha": "8"}, "lora_alpha is '8', not a finite number"),
        ({"lora_alpha": None}, "lora_alpha is None, not a finite number"),
        ({"alpha_pattern": {"to_q": float("nan")}}, "alpha_pattern is nan, not a finite number"),
        ({"alpha_pattern": {"to_(q": 1}}, "which is not a regular expression"),
        ({"alpha_pattern": ["to_q"]}, "alpha_pattern is not an object"),
        ({"use_rslora": "yes"}, "use_rslora is 'yes', neither true nor false"),
        ({"r": 0}, "r is 0, not a positive whole number"),
        ({"r": 8}, "says rank 8 for conv_in, whose matrices have rank 4"),
        ({"rank_pattern": {"to_q": 2}}, f"says rank 2 for {ATTENTION}.to_q, whose matrices have rank 4"),
        ({"rank_pattern": {"to_q": 2.5}}, "rank_pattern is 2.5, not a positive whole number"),
    ],
)
def test_configs_of_other_adapters_are_refused(
    config: Mapping[str, Any], message: str, lora: Lora, tmp_path: Path
) -> None:
    assert message in refusal(peft_folder(tmp_path / "style", lora, **config))


def test_every_field_of_pefts_config_is_decided() -> None:
    import dataclasses

    from peft import LoraConfig

    from export.loras.peft_config import IGNORED, READ, REFUSED

    decided = {*READ, *IGNORED, *REFUSED}
    assert {entry.name for entry in dataclasses.fields(LoraConfig)} - decided == set()
    assert len(decided) == len(READ) + len(IGNORED) + len(REFUSED)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"lora_adapter_metadata": "{"}, "lora_adapter_metadata is not readable JSON"),
        ({"lora_adapter_metadata": "[1]"}, "lora_adapter_metadata is not a JSON object"),
        ({"lora_adapter_metadata": '{"unet.lora_alpha": NaN}'}, "lora_alpha is nan, not a finite number"),
        ({"lora_adapter_metadata": '{"unet.r": 8, "unet.lora_alpha": 8}'}, "says rank 8 for conv_in"),
        ({"lora_adapter_metadata": '{"unet.use_dora": true}'}, "describes a DoRA"),
        ({"lora_alpha": "much"}, "lora_alpha is 'much', not a finite number"),
        (
            {"lora_alpha": "16", "lora_adapter_metadata": '{"lora_alpha": 8}'},
            "says strength 2 for conv_in, a.safetensors: metadata says 4; remove one of them",
        ),
        ({"ss_network_args": "{"}, "ss_network_args is not readable JSON"),
        ({"ss_network_args": '{"rs_lora": "True"}'}, "is an rsLoRA by its metadata, but has no alpha for conv_in"),
    ],
)
def test_metadata_that_cannot_be_right_is_refused(
    metadata: Mapping[str, str], message: str, lora: Lora, tmp_path: Path
) -> None:
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    save_file(load_file(path), path, dict(metadata))
    assert message in refusal(path)


def test_fields_of_text_encoders_are_not_the_denoisers(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    described = {"text_encoder.r": 2, "text_encoder.lora_alpha": 64, "text_encoder.use_dora": True}
    save_file(load_file(path), path, {"lora_adapter_metadata": json.dumps(described)})
    assert same(read_lora(path, SHAPES), lora)


@pytest.mark.row("rslora")
@pytest.mark.parametrize("network_alpha", [None, "3.0"])
def test_an_rslora_of_kohya_that_may_mean_two_strengths_is_refused(
    network_alpha: str | None, lora: Lora, tmp_path: Path
) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    metadata = {"ss_network_args": json.dumps({"rs_lora": True})}
    save_file(load_file(path), path, metadata | ({"ss_network_alpha": network_alpha} if network_alpha else {}))
    assert "is an rsLoRA by its metadata, and its alpha of conv_in, 2, may be meant for" in refusal(path)


def test_a_file_of_kohya_that_has_lost_its_alphas_is_refused(lora: Lora, tmp_path: Path) -> None:
    path = loras.write_kohya(tmp_path / "a.safetensors", lora, SHAPES)
    tensors = {key: value for key, value in load_file(path).items() if not key.endswith(".alpha")}
    save_file(tensors, path, {"ss_network_dim": "4", "ss_network_alpha": "2.0"})
    assert "was trained with alpha 2 (ss_network_alpha), but has no alpha tensors" in refusal(path)
    save_file(tensors, path, {"ss_network_dim": "4", "ss_network_alpha": "4.0"})
    assert read_lora(path, SHAPES).updates["conv_in"].strength == 1.0


@pytest.mark.row("lora-strength")
def test_alpha_tensors_and_config_have_to_agree(lora: Lora, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "style", lora)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"base_model.model.conv_in.alpha": torch.tensor(8.0)}, path)
    assert read_lora(folder, SHAPES).updates["conv_in"].strength == 2.0
    save_file(tensors | {"base_model.model.conv_in.alpha": torch.tensor(4.0)}, path)
    assert "its alpha tensor says strength 1 for conv_in, style/adapter_config.json says 2" in refusal(folder)


def test_the_files_of_folders(lora: Lora, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "style", lora)
    files = adapter_files(folder)
    assert files == adapter_files(folder / "adapter_model.safetensors")
    assert files.config == folder / "adapter_config.json"
    before = files.digest()
    peft_folder(folder, lora, lora_alpha=4)
    assert files.digest() != before, "strength is a part of an adapter"
    # Of another name, peft's file alone in its folder still has its config.
    (folder / "adapter_model.safetensors").rename(folder / "renamed.safetensors")
    renamed = adapter_files(folder / "renamed.safetensors")
    assert renamed.config is not None
    assert adapter_files(folder) == renamed
    (folder / "adapter_config.json").unlink()
    assert adapter_files(folder).weights == (folder / "renamed.safetensors",)
    loras.write_peft(folder / "other.safetensors", lora, SHAPES)
    assert "no single safetensors file; give one of other.safetensors, renamed.safetensors" in refusal(folder)
    peft_folder(folder / "inner", lora)
    assert "no single safetensors file; give one of inner/" in refusal(folder)
    loras.write_peft(folder / "pytorch_lora_weights.safetensors", lora, SHAPES)
    assert same(read_lora(folder, SHAPES), lora)


def test_folders_that_lack_something_are_refused(lora: Lora, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "style", lora)
    (folder / "adapter_config.json").unlink()
    for path in (folder, folder / "adapter_model.safetensors"):
        assert "adapter_config.json" in refusal(path)
    peft_folder(folder, lora)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "style/ holds adapter_model.bin, a pickle" in refusal(folder)
    (folder / "adapter_model.bin").unlink()
    assert "style/adapter_model.safetensors is missing" in refusal(folder)
    index = {"weight_map": {"a": "adapter_model-00001-of-00002.safetensors"}}
    (folder / "adapter_model.safetensors.index.json").write_text(json.dumps(index))
    assert "style/adapter_model-00001-of-00002.safetensors is missing" in refusal(folder)
    (folder / "adapter_model.safetensors.index.json").write_text(json.dumps({"weight_map": ["a"]}))
    assert "style/adapter_model.safetensors.index.json lists no files" in refusal(folder)


def test_pickles_and_damaged_files_are_refused(lora: Lora, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x80\x04.")
    assert "is a pickle, which can run code when it is read" in refusal(tmp_path / "a.bin")
    path = loras.write_peft(tmp_path / "a.safetensors", lora, SHAPES)
    path.write_bytes(path.read_bytes()[:-10])
    assert "is truncated or damaged" in refusal(path)
    assert "is missing" in refusal(tmp_path / "b.safetensors")
    header = json.dumps({"unet.conv_in.alpha": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "a.safetensors is no file that safetensors can read" in refusal(path)
    save_file({}, path)
    assert "adapts nothing" in refusal(path)
