"""Published IP-Adapter files: told from ours, exported with the projector inside; other kinds are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPVisionModelWithProjection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from export import ip_adapters
from export.errors import BadFolderError
from export.models import COMPONENTS
from export.options import ExportOptions
from export.precision import Precisions
from export.rehearsal.recording import RehearsalConfig
from export.run import export_graphs, export_pipelines
from export.source import open_folder
from export.survey import survey
from tests.export import families, tiny

pytestmark = pytest.mark.timeout(tiny.EXPORT_TIMEOUT_S)
NAME = "ip-adapter_sd15.safetensors"
STATES, TOKENS, CLIP, SIDE = 24, 4, 16, 16


def published() -> dict[str, Tensor]:
    """The tensors of a published file for Stable Diffusion 1.5, at reduced width."""
    torch.manual_seed(1)
    tensors = {
        ip_adapters.LINEAR: torch.randn(TOKENS * STATES, CLIP),
        "image_proj.proj.bias": torch.randn(TOKENS * STATES),
        ip_adapters.NORM: torch.ones(STATES) + 0.1 * torch.randn(STATES),
        "image_proj.norm.bias": torch.randn(STATES),
    }
    for number, width in zip((1, 3, 5, 7), (8, 8, 8, 16), strict=True):
        for half in ("k", "v"):
            tensors[f"ip_adapter.{number}.to_{half}_ip.weight"] = torch.randn(width, STATES)
    return {name: value.half() for name, value in tensors.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5 for inpainting with a published IP-Adapter; copy it before changing it."""
    folder = tmp_path_factory.mktemp("published") / "sd15"
    families.write_sd15(folder)
    tiny.write_image_encoders(folder)
    for name in ("image_encoder_uve", "image_projector"):
        shutil.rmtree(folder / name)
    (folder / ip_adapters.FOLDER).mkdir()
    save_file(published(), folder / ip_adapters.FOLDER / NAME)
    return folder


def test_its_denoiser_reads_what_its_projector_makes(folder: Path) -> None:
    sources = open_folder(folder).sources
    assert set(sources) == {
        *("text_encoder_l", "image_encoder_clip", "image_projector", "vae_encoder", "denoiser", "vae_decoder"),
    }
    components = ((COMPONENTS[role], sources[role]) for role in ("image_projector", "denoiser"))
    projector, denoiser = (component.prepare(component.load(source)) for component, source in components)
    assert [spec.name for spec in projector.inputs] == ["clip"]
    assert [spec.name for spec in denoiser.inputs] == [
        *("sample", "mask", "masked_image_latents", "timestep", "encoder_hidden_states"),
        *("image_tokens", "image_scale"),
    ]
    shapes = {spec.name: spec.shape for spec in denoiser.inputs}
    assert shapes["image_tokens"] == projector.outputs[0].shape == (TOKENS, STATES)
    assert shapes["image_scale"] == (1,)
    assert survey(folder, Precisions(), "onnxruntime").problems == ()


def test_its_projector_is_exported_with_parity(folder: Path, tmp_path: Path) -> None:
    options = ExportOptions(Precisions(), tmp_path / "work")
    (report,) = export_graphs([folder], tiny.silent, options, names=["image_projector"]).models
    assert report.parity.worst.relative <= 1e-4


@pytest.mark.full
def test_it_is_exported_with_parity_and_reads_clip_alone(folder: Path, tmp_path: Path) -> None:
    options = ExportOptions(Precisions(), engines=True, rehearsal=RehearsalConfig(steps=2))
    export = export_pipelines([folder], tmp_path / "out", lambda name, what: None, options=options)
    assert all(report.parity.worst.relative <= 1e-4 for report in export.models)
    assert export.pictures[0].largest <= 1
    models = json.loads((tmp_path / "out" / "pipeline.json").read_text())["models"]
    assert [spec["name"] for spec in models["image_projector"]["inputs"]] == ["clip"]
    assert "image_encoder_uve" not in models
    assert set(models) == {
        *("text_encoder_l", "image_encoder_clip", "image_projector", "vae_encoder", "denoiser", "vae_decoder"),
    }
    assert all(report.parity.worst_of("real") is not None for report in export.models)
    assert [spec["name"] for spec in models["text_encoder_l"]["outputs"]] == ["hidden_states"]
    names = [spec["name"] for spec in models["denoiser"]["inputs"]]
    assert names[:5] == ["sample", "mask", "masked_image_latents", "timestep", "encoder_hidden_states"]
    assert "text_embeds" not in names
    (profile,) = models["denoiser"]["profiles"]
    assert profile["encoder_hidden_states"] == {"min": [1, 16, 24], "opt": [8, 16, 24], "max": [8, 16, 24]}
    taken = {spec["name"]: spec["shape"] for spec in models["denoiser"]["inputs"]}
    assert taken["image_tokens"] == [TOKENS, STATES]
    assert taken["image_scale"] == [1]
    assert survey(folder, Precisions(), "onnxruntime").problems == ()


def test_tokens_are_those_of_the_paper(folder: Path) -> None:
    sources, tensors = open_folder(folder).sources, {name: value.float() for name, value in published().items()}
    encoder, projector = (COMPONENTS[role] for role in ("image_encoder_clip", "image_projector"))
    picture = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        embeds = encoder.prepare(encoder.load(sources["image_encoder_clip"])).module(picture)
        image_tokens = projector.prepare(projector.load(sources["image_projector"])).module(embeds)
        linear = embeds @ tensors[ip_adapters.LINEAR].T + tensors["image_proj.proj.bias"]
        expected = torch.nn.functional.layer_norm(
            linear.reshape(2, TOKENS, STATES), (STATES,), tensors[ip_adapters.NORM], tensors["image_proj.norm.bias"]
        )
    assert torch.allclose(image_tokens, expected, atol=1e-5)
    assert (embeds.norm(dim=1) - 1).abs().min() > 1e-2, "a published projector reads embeddings as CLIP made them"


@pytest.mark.parametrize("mean", [None, (0.5, 0.4, 0.3)], ids=["clip", "own"])
def test_embeddings_are_those_of_transformers(mean: tuple[float, ...] | None, folder: Path, tmp_path: Path) -> None:
    extractor = {"crop_size": SIDE, "size": SIDE} | ({"image_mean": list(mean)} if mean else {})
    copy = Path(shutil.copytree(folder, tmp_path / "sd15"))
    (copy / "feature_extractor").mkdir()
    (copy / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(extractor))
    opened = open_folder(copy)
    source = opened.sources["image_encoder_clip"]
    assert source.preprocess is not None
    assert opened.conventions["image_preprocess"] == {"resize": SIDE, "crop": SIDE}
    assert opened.conventions["unconditional_image"] == "zeros"
    component = COMPONENTS["image_encoder_clip"]
    prepared = component.prepare(component.load(source))
    assert prepared.inputs[0].shape == (3, SIDE, SIDE)
    photo = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    processor = CLIPImageProcessorPil(**{**extractor, "crop_size": {"height": SIDE, "width": SIDE}})
    stock = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32).eval()
    square = source.preprocess.square(photo.transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
    with torch.inference_mode():
        expected = stock(processor(Image.fromarray(photo), return_tensors="pt").pixel_values).image_embeds
        assert torch.allclose(prepared.module(torch.from_numpy(square)), expected, atol=1e-5)


def test_ours_is_not_taken_for_a_published_one(tiny_pipelines: Path) -> None:
    assert ip_adapters.read_published(tiny_pipelines / "tiny" / ip_adapters.FOLDER / ip_adapters.FILE) is None
    assert not open_folder(tiny_pipelines / "tiny").sources["image_encoder_clip"].unnormalised


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_proj.latents": torch.zeros(1, 16, 8), ip_adapters.LINEAR: None},
            r"Plus, FaceID\); only the plain one",
        ),
        ({ip_adapters.LINEAR: torch.zeros(TOKENS * STATES + 1, CLIP)}, "97 rows, which are no tokens of 24 numbers"),
        ({ip_adapters.LINEAR: torch.zeros(TOKENS * STATES, CLIP + 1)}, "image_projector: clip_dim is 17"),
        ({ip_adapters.NORM: torch.zeros(STATES * 2)}, "image_projector: cross_attention_dim is 48"),
    ],
)
def test_another_kind_is_refused(change: dict[str, Tensor | None], message: str, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "sd15"))
    tensors: dict[str, Tensor | None] = {**load_file(copy / ip_adapters.FOLDER / NAME), **change}
    save_file({n: value for n, value in tensors.items() if value is not None}, copy / ip_adapters.FOLDER / NAME)
    with pytest.raises(BadFolderError, match=message):
        open_folder(copy)


def test_two_files_are_one_too_many(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "sd15"))
    shutil.copy(copy / ip_adapters.FOLDER / NAME, copy / ip_adapters.FOLDER / "ip-adapter-plus_sd15.safetensors")
    with pytest.raises(BadFolderError, match="keep the one that is meant"):
        open_folder(copy)
    shutil.rmtree(copy / ip_adapters.FOLDER)
    (copy / ip_adapters.FOLDER).mkdir()
    with pytest.raises(BadFolderError, match=r"ip_adapter/ip_adapter\.safetensors is missing"):
        open_folder(copy)
