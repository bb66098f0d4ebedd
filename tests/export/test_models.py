"""The wrappers against the stock pipelines' own calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from export import graph, parity
from export.contract import Size
from export.layout import Source
from export.models import COMPONENTS
from export.models.component import ComponentModule, Inputs
from export.networks.image_pixels import clip_pixels
from export.report import check
from tests.export import tiny

SIZE = Size(height=64, width=96, tokens=16)


def wrapped(role: str, folder: Path) -> tuple[Any, ComponentModule, Inputs]:
    """A component's stock module, its wrapper, and inputs of three rows."""
    component = COMPONENTS[role]
    module = component.load(tiny.source(folder, role))
    prepared = component.prepare(module)
    return module, prepared, prepared.sample(3, SIZE, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("role", list(COMPONENTS))
def test_samples_and_outputs_have_the_shapes_that_the_specs_say(role: str, tiny_pipelines: Path) -> None:
    _, prepared, inputs = wrapped(role, tiny_pipelines)
    with torch.inference_mode():
        output = prepared.module(*inputs)
    outputs = (output,) if isinstance(output, torch.Tensor) else output
    for specs, tensors in ((prepared.inputs, inputs), (prepared.outputs, outputs)):
        for spec, tensor in zip(specs, tensors, strict=True):
            assert tensor.shape[0] == 3
            assert tensor.dtype == {"FP32": torch.float32, "INT64": torch.int64}[spec.dtype]
            for dim, size in zip(spec.dims, tensor.shape[1:], strict=True):
                assert dim in (-1, size)


@pytest.mark.parametrize("role", ["text_encoder_l", "text_encoder_g"])
def test_text_encoders_give_the_penultimate_states(role: str, tiny_pipelines: Path) -> None:
    stock, prepared, inputs = wrapped(role, tiny_pipelines)
    with torch.inference_mode():
        expected = stock(*inputs, output_hidden_states=True)
        output = prepared.module(*inputs)
    states = output if role == "text_encoder_l" else output[0]
    assert torch.allclose(states, expected.hidden_states[-2], atol=1e-6)
    if role == "text_encoder_g":
        assert torch.allclose(output[1], expected.text_embeds, atol=1e-6)


def test_vae_encoder_gives_the_scaled_mean(tiny_pipelines: Path) -> None:
    stock, prepared, inputs = wrapped("vae_encoder", tiny_pipelines)
    with torch.inference_mode():
        expected = stock.encode(*inputs).latent_dist.mode() * stock.config.scaling_factor
        assert torch.equal(prepared.module(*inputs), expected)


def test_vae_decoder_equals_the_mask_conditioned_original(tiny_pipelines: Path) -> None:
    stock, prepared, (latents, image, mask) = wrapped("vae_decoder", tiny_pipelines)
    with torch.inference_mode():
        expected = stock.decode(latents / stock.config.scaling_factor, image=image, mask=mask).sample.clamp(-1, 1)
        assert torch.equal(prepared.module(latents, image, mask), expected)
        # The mask matters: with nothing to keep, the decoder's own features come through everywhere.
        assert not torch.equal(prepared.module(latents, image, torch.ones_like(mask)), expected)


def test_clip_image_encoder_gives_the_normalised_embedding(tiny_pipelines: Path) -> None:
    stock, prepared, (image,) = wrapped("image_encoder_clip", tiny_pipelines)
    with torch.inference_mode():
        output = prepared.module(image)
        expected = stock(clip_pixels(image, stock.config.image_size)).image_embeds
    assert torch.allclose(output, expected / expected.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(output.norm(dim=1), torch.ones(3), atol=1e-6)


def test_t5_gives_its_last_states_with_the_padding_attended_to(tiny_pipelines: Path) -> None:
    stock, prepared, (ids,) = wrapped("text_encoder_t5", tiny_pipelines)
    with torch.inference_mode():
        assert torch.allclose(prepared.module(ids), stock(input_ids=ids).last_hidden_state, atol=1e-6)


def test_dit_denoiser_equals_the_transformer(tiny_pipelines: Path) -> None:
    stock, prepared, inputs = wrapped("denoiser_dit", tiny_pipelines)
    sample, mask, masked, timestep, states, text_embeds = inputs
    with torch.inference_mode():
        expected = stock(
            hidden_states=torch.cat([sample, mask, masked], dim=1),
            encoder_hidden_states=states,
            pooled_projections=text_embeds,
            timestep=timestep[:, 0],
        ).sample
        assert torch.equal(prepared.module(*inputs), expected)


def test_a_plain_vae_exports_with_all_three_inputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4),
        norm_num_groups=2,
        latent_channels=4,
        scaling_factor=0.5,
    ).save_pretrained(tmp_path / "vae")
    component = COMPONENTS["vae_decoder"]
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    weights = tmp_path / "vae" / component.kind.weights
    prepared = component.prepare(component.load(Source(component.kind, tmp_path / "vae", config, (weights,))))
    graph.round_weights(prepared.module)
    written = graph.write(prepared, tmp_path / "1" / "model.onnx", {"weights.safetensors": weights})
    # These weights are stored as FP32: what rounding changed is in the graph, the rest still beside it.
    assert 0 < written.referred < written.files
    report = parity.compare(prepared, tmp_path / "1" / "model.onnx", parity.references(prepared, (SIZE,)), rounding=0.0)
    check(report)
    assert report.exact
