"""Folders of other families, whole: what they hold, what they become, and that every graph is its module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from export.contract import Size
from export.engines.profiles import profiles_of
from export.models import COMPONENTS
from export.options import ExportOptions
from export.plan import plan_repository
from export.precision import Precisions
from export.rehearsal.recording import RehearsalConfig
from export.run import export_pipelines
from export.source import open_folder
from export.survey import survey
from tests.export import families
from tests.export.tiny import EXPORT_TIMEOUT_S

pytestmark = pytest.mark.timeout(EXPORT_TIMEOUT_S)
SIZE = Size(height=64, width=96, tokens=16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both folders; read only."""
    base = tmp_path_factory.mktemp("families")
    families.write_sd15(base / "sd15")
    families.write_sd3(base / "sd3")
    return {"sd15": base / "sd15", "sd3": base / "sd3"}


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Exports a folder, with parity and shapes for engines; returns the models of its pipeline.json."""
    options = ExportOptions(Precisions(), engines=True, rehearsal=RehearsalConfig(steps=3))
    result = export_pipelines([folder], out, lambda name, what: None, options=options)
    reports = result.models
    assert all(report.parity.worst.relative <= 1e-4 for report in reports)
    models: dict[str, Any] = json.loads((out / "pipeline.json").read_text())["models"]
    assert set(models) == {report.model for report in reports}
    assert {report.parity.worst_of("real") is None for report in reports} == {False}
    (picture,) = result.pictures
    assert picture.largest <= 1
    return models


def names(model: dict[str, Any], kind: str = "inputs") -> list[str]:
    """The names of a model's tensors."""
    return [spec["name"] for spec in model[kind]]


@pytest.mark.full
def test_stable_diffusion_15_is_exported_with_parity(folders: dict[str, Path], tmp_path: Path) -> None:
    models = export(folders["sd15"], tmp_path / "out")
    assert set(models) == {"text_encoder_l", "vae_encoder", "denoiser", "vae_decoder"}
    assert names(models["denoiser"]) == [
        *("sample", "mask", "masked_image_latents", "timestep", "encoder_hidden_states"),
    ]
    assert names(models["text_encoder_l"], "outputs") == ["hidden_states"]
    (profile,) = models["denoiser"]["profiles"]
    assert profile["encoder_hidden_states"] == {"min": [1, 16, 24], "opt": [8, 16, 24], "max": [8, 16, 24]}


def test_stable_diffusion_3_has_its_own_inputs_and_shapes(folders: dict[str, Path]) -> None:
    folder = open_folder(folders["sd3"])
    models = plan_repository([folder]).models
    contracts = {
        name: component.prepare(component.load(models[name].source)).contract
        for name in ("denoiser", "text_encoder_l")
        if (component := COMPONENTS[models[name].source.kind.name])
    }
    sample, *others = contracts["denoiser"].inputs
    assert (sample.name, sample.dims) == ("sample", (16, -1, -1))
    assert [spec.name for spec in others] == ["timestep", "encoder_hidden_states", "text_embeds"]
    assert [spec.name for spec in contracts["text_encoder_l"].outputs] == ["hidden_states", "text_embeds"]
    # CLIP's 16 tokens and T5's 24, one after the other.
    (profile,) = profiles_of(models["denoiser"], contracts["denoiser"])
    assert profile["encoder_hidden_states"]["max"] == [8, 40, 48]


@pytest.mark.full
def test_stable_diffusion_3_is_exported_with_parity(folders: dict[str, Path], tmp_path: Path) -> None:
    models = export(folders["sd3"], tmp_path / "out")
    assert set(models) == {
        *("text_encoder_l", "text_encoder_g", "text_encoder_t5", "vae_encoder", "denoiser", "vae_decoder"),
    }
    assert names(models["denoiser"]) == ["sample", "timestep", "encoder_hidden_states", "text_embeds"]
    assert models["denoiser"]["inputs"][0]["shape"] == [16, -1, -1]
    assert names(models["text_encoder_l"], "outputs") == ["hidden_states", "text_embeds"]
    # CLIP's 16 tokens and T5's 24, one after the other.
    (profile,) = models["denoiser"]["profiles"]
    assert profile["encoder_hidden_states"]["max"] == [8, 40, 48]


def test_stable_diffusion_15_reads_the_last_states(folders: dict[str, Path]) -> None:
    source = open_folder(folders["sd15"]).sources["text_encoder_l"]
    component = COMPONENTS["text_encoder_l"]
    prepared = component.prepare(component.load(source))
    inputs = prepared.sample(3, SIZE, torch.Generator().manual_seed(0))
    stock = CLIPTextModel.from_pretrained(folders["sd15"] / "text_encoder", dtype=torch.float32).eval()
    with torch.inference_mode():
        assert torch.allclose(prepared.module(*inputs), stock(*inputs).last_hidden_state, atol=1e-6)


def test_stable_diffusion_3_reads_penultimate_states_and_the_pooled_embedding(folders: dict[str, Path]) -> None:
    source = open_folder(folders["sd3"]).sources["text_encoder_l"]
    component = COMPONENTS["text_encoder_l"]
    prepared = component.prepare(component.load(source))
    inputs = prepared.sample(3, SIZE, torch.Generator().manual_seed(0))
    stock = CLIPTextModelWithProjection.from_pretrained(folders["sd3"] / "text_encoder", dtype=torch.float32).eval()
    with torch.inference_mode():
        states, pooled = prepared.module(*inputs)
        expected = stock(*inputs, output_hidden_states=True)
    assert torch.allclose(states, expected.hidden_states[-2], atol=1e-6)
    assert torch.allclose(pooled, expected.text_embeds, atol=1e-6)


def test_latents_are_shifted_and_back(folders: dict[str, Path]) -> None:
    sources = open_folder(folders["sd3"]).sources
    stock: Any = AutoencoderKL.from_pretrained(folders["sd3"] / "vae", torch_dtype=torch.float32).eval()
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        mean = stock.encode(image).latent_dist.mode()
        scaled = (mean - stock.config.shift_factor) * stock.config.scaling_factor
        encoder, decoder = (COMPONENTS[role] for role in ("vae_encoder", "vae_decoder"))
        # Near, not equal: our norms take their sums in another order.
        encoded = encoder.prepare(encoder.load(sources["vae_encoder"])).module(image)
        assert torch.allclose(encoded, scaled, atol=1e-5)
        decoded = decoder.prepare(decoder.load(sources["vae_decoder"])).module(scaled, image, image[:, :1])
        assert torch.allclose(decoded, stock.decode(mean).sample.clamp(-1, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "family"),
    [("sd15", "Stable Diffusion, inpainting"), ("sd3", "Stable Diffusion 3, text to image")],
)
def test_inspect_knows_the_family(name: str, family: str, folders: dict[str, Path]) -> None:
    surveyed = survey(folders[name], Precisions(), "onnxruntime")
    assert surveyed.problems == ()
    assert family in surveyed.title
    assert surveyed.serving is not None
    assert surveyed.serving.refused == {"upscale": "it has no upscaler."}
    assert len(surveyed.serving.lacks) == 3
