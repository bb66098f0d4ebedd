"""`denoiser`: one row is one sample of one request at its own timestep, with its own conditioning."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from export.contract import Axis, Size, TensorSpec
from export.errors import BadFolderError
from export.layout import KINDS, Adapter, Source
from export.models import vae
from export.models.component import ON_A_CPU, Component, ComponentModule, Inputs, rand_mask
from export.models.loading import load_diffusers
from export.networks import image_attention

Unet = Any
"""diffusers' UNet2DConditionModel; untyped because its config is an attribute dictionary."""
FACTOR = 8
LONGEST_PROMPT = 308
"""Tokens of conditioning: room for four chunks of 77."""
PICTURE_INPUTS = ("sample", "mask", "masked_image_latents")
"""In the order of the network's channels."""


class Denoiser(nn.Module):
    """The row contract around the UNets of Stable Diffusion and SDXL.

    Shapes with the batch first: `sample` [B, 4, h, w], `timestep` [B, 1], `encoder_hidden_states` [B, T, D]
    → `noise_pred` [B, 4, h, w]; whether that is noise or v is for `prediction_type` to say. By what the UNet is:
    for inpainting `mask` [B, 1, h, w], `masked_image_latents` [B, 4, h, w]; of SDXL `text_embeds` [B, P],
    `time_ids` [B, 6]; with an IP-Adapter `image_tokens` [B, N, D], `image_scale` [B, 1].
    """

    def __init__(self, unet: Unet, names: tuple[str, ...]) -> None:
        """`names` are those of the inputs, in their order."""
        super().__init__()
        self.unet = unet
        self.names = names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        row = dict(zip(self.names, inputs, strict=True))
        states: Any = row["encoder_hidden_states"]
        if "image_tokens" in row:
            # diffusers hands this through to the attention processors untouched.
            states = (states, row["image_tokens"], row["image_scale"])
        predicted: torch.Tensor = self.unet(
            torch.cat([row[name] for name in PICTURE_INPUTS if name in row], dim=1),
            row["timestep"][:, 0],
            states,
            # The UNet joins them with the sizes' sines, which are FP32 in any precision; ONNX joins equal types only.
            added_cond_kwargs={name: row[name].float() for name in ("text_embeds", "time_ids") if name in row},
            return_dict=False,
        )[0]
        return predicted


def load(source: Source) -> nn.Module:
    """Loads the UNet from its folder, with its IP-Adapter where it has one, in evaluation mode."""
    unet = load_diffusers(UNet2DConditionModel, source)
    return unet if source.adapter is None else styled(unet, source.adapter)


def styled(unet: Unet, adapter: Adapter) -> nn.Module:
    """Puts an IP-Adapter on a UNet, in place, and the number of its image tokens into the UNet's config.

    Raises:
        BadFolderError: if the adapter is not made for this UNet.
    """
    try:
        image_attention.load(image_attention.install(unet), adapter.path)
    except RuntimeError as error:
        # torch's message has a line of heading, then one line for each kind of problem.
        reason = " ".join(str(error).split("\n")[1:2]).strip() or str(error)
        raise BadFolderError(
            f"{adapter.path.parent.name}/{adapter.path.name} is not for this UNet: {reason}"
        ) from error
    unet.register_to_config(image_tokens=adapter.tokens)
    module: nn.Module = unet.eval()
    return module


def pooled_width(unet: Unet) -> int | None:
    """Width of the pooled text embedding; None for a UNet of Stable Diffusion 1 or 2, which takes none."""
    config = unet.config
    if config.addition_embed_type != "text_time":
        return None
    return int(config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim)


def row_specs(latents: int, *, inpaints: bool = True) -> tuple[TensorSpec, ...]:
    """The inputs that every denoiser has: what is denoised, at which timestep, and where, unless it is everywhere."""
    h, w = vae.latent_pixels(FACTOR)
    where = (TensorSpec("mask", "FP32", (1, h, w)), TensorSpec("masked_image_latents", "FP32", (latents, h, w)))
    return (
        TensorSpec("sample", "FP32", (latents, h, w)),
        *(where if inpaints else ()),
        TensorSpec("timestep", "FP32", (1,)),
    )


def row_samples(latents: int, rows: int, size: Size, generator: torch.Generator, *, inpaints: bool = True) -> Inputs:
    """Sample values for `row_specs`."""
    at = (size.height // FACTOR, size.width // FACTOR)
    sample = torch.randn(rows, latents, *at, generator=generator)
    # No two rows at the same timestep: the row contract allows each row its own.
    timestep = torch.linspace(999, 1, rows + 1)[:rows, None].round()
    if not inpaints:
        return sample, timestep
    mask = rand_mask(generator, rows, *at)
    return sample, mask, torch.randn(rows, latents, *at, generator=generator), timestep


def prepare(unet: Unet) -> ComponentModule:
    """Wraps a UNet for export."""
    config = unet.config
    latents, states, pooled = int(config.out_channels), int(config.cross_attention_dim), pooled_width(unet)
    inpaints = config.in_channels != latents
    tokens = config.get("image_tokens")
    inputs = [
        *row_specs(latents, inpaints=inpaints),
        TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), states)),
    ]
    if pooled is not None:
        inputs += [TensorSpec("text_embeds", "FP32", (pooled,)), TensorSpec("time_ids", "FP32", (6,))]
    if tokens is not None:
        inputs += [TensorSpec("image_tokens", "FP32", (tokens, states)), TensorSpec("image_scale", "FP32", (1,))]

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        ids = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        inputs = [*row_samples(latents, rows, size, generator, inpaints=inpaints)]
        inputs.append(torch.randn(rows, size.tokens, states, generator=generator))
        if pooled is not None:
            inputs += [torch.randn(rows, pooled, generator=generator), ids.repeat(rows, 1)]
        if tokens is not None:
            # Every row its own scale, and one without a style at all, as guidance's unconditional rows are.
            scale = torch.linspace(1.2, 0, rows + 1)[1:, None]
            inputs += [torch.randn(rows, tokens, states, generator=generator), scale]
        return tuple(inputs)

    return ComponentModule(
        name="denoiser",
        module=Denoiser(unet, tuple(spec.name for spec in inputs)).eval(),
        inputs=tuple(inputs),
        outputs=(TensorSpec("noise_pred", "FP32", (latents, *vae.latent_pixels(FACTOR))),),
        sample=sample,
        parameters=ON_A_CPU,
        instances=2,
    )


COMPONENT = Component(KINDS["denoiser"], load, prepare)
