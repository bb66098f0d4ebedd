"""`denoiser`: one row is one sample of one request at its own timestep, with its own conditioning."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from export.errors import BadFolderError
from export.models import vae
from export.models.component import Adapter, Axis, Component, Inputs, Prepared, Size, Source, TensorSpec, rand_mask
from export.models.loading import load_diffusers
from export.networks import image_attention

Unet = Any
"""diffusers' UNet2DConditionModel; untyped because its config is an attribute dictionary."""
FACTOR = 8
LONGEST_PROMPT = 308
"""Tokens of conditioning: room for four chunks of 77."""
IMAGE_ROLES = ("image_encoder_clip", "image_encoder_uve", "image_projector")
"""What makes image tokens of a style picture; a pipeline has all three or none."""


class Denoiser(nn.Module):
    """The row contract around an inpainting UNet with SDXL's text-and-time conditioning.

    Shapes with the batch first: `sample` [B, 4, h, w], `mask` [B, 1, h, w], `masked_image_latents` [B, 4, h, w],
    `timestep` [B, 1], `encoder_hidden_states` [B, T, D], `text_embeds` [B, P], `time_ids` [B, 6]
    → `noise_pred` [B, 4, h, w]. Whether that is noise or v is for `prediction_type` to say.
    A UNet with an IP-Adapter takes `image_tokens` [B, N, D] and `image_scale` [B, 1] as well.
    """

    def __init__(self, unet: Unet) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: torch.Tensor,
        mask: torch.Tensor,
        masked_image_latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor,
        time_ids: torch.Tensor,
        image_tokens: torch.Tensor | None = None,
        image_scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        styled = image_tokens is not None
        predicted: torch.Tensor = self.unet(
            torch.cat([sample, mask, masked_image_latents], dim=1),
            timestep[:, 0],
            # diffusers hands this through to the attention processors untouched.
            (encoder_hidden_states, image_tokens, image_scale) if styled else encoder_hidden_states,
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
            return_dict=False,
        )[0]
        return predicted


def load(source: Source) -> nn.Module:
    """Loads the UNet from its folder, with its IP-Adapter where it has one, in evaluation mode."""
    unet = load_diffusers(UNet2DConditionModel, source.folder)
    return unet if source.adapter is None else styled(unet, source.adapter)


def styled(unet: Unet, adapter: Adapter) -> nn.Module:
    """Puts an IP-Adapter on a UNet, in place, and the number of its image tokens into the UNet's config.

    Raises:
        BadFolderError: if the adapter is not made for this UNet.
    """
    try:
        image_attention.load(image_attention.install(unet), adapter.path.parent)
    except RuntimeError as error:
        # torch's message has a line of heading, then one line for each kind of problem.
        reason = " ".join(str(error).split("\n")[1:2]).strip() or str(error)
        raise BadFolderError(
            f"{adapter.path.parent.name}/{adapter.path.name} is not for this UNet: {reason}"
        ) from error
    unet.register_to_config(image_tokens=adapter.tokens)
    module: nn.Module = unet.eval()
    return module


def widths(unet: Unet) -> tuple[int, int, int]:
    """Channels of the latents, width of the text states, width of the pooled text embedding."""
    config = unet.config
    latents = (config.in_channels - 1) // 2
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return latents, int(config.cross_attention_dim), pooled


def row_specs(latents: int) -> tuple[TensorSpec, ...]:
    """The inputs that every denoiser has: what is denoised, where, and at which timestep."""
    h, w = vae.latent_pixels(FACTOR)
    return (
        TensorSpec("sample", "FP32", (latents, h, w)),
        TensorSpec("mask", "FP32", (1, h, w)),
        TensorSpec("masked_image_latents", "FP32", (latents, h, w)),
        TensorSpec("timestep", "FP32", (1,)),
    )


def row_samples(latents: int, rows: int, size: Size, generator: torch.Generator) -> Inputs:
    """Sample values for `row_specs`."""
    at = (size.height // FACTOR, size.width // FACTOR)
    return (
        torch.randn(rows, latents, *at, generator=generator),
        rand_mask(generator, rows, *at),
        torch.randn(rows, latents, *at, generator=generator),
        # No two rows at the same timestep: that is what the row contract is about.
        torch.linspace(999, 1, rows + 1)[:rows, None].round(),
    )


def prepare(unet: Unet) -> Prepared:
    """Wraps an inpainting UNet for export."""
    latents, states, pooled = widths(unet)
    tokens = unet.config.get("image_tokens")
    style: tuple[TensorSpec, ...] = ()
    if tokens is not None:
        style = (TensorSpec("image_tokens", "FP32", (tokens, states)), TensorSpec("image_scale", "FP32", (1,)))

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        ids = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        text = (
            torch.randn(rows, size.tokens, states, generator=generator),
            torch.randn(rows, pooled, generator=generator),
            ids.repeat(rows, 1),
        )
        found = (*row_samples(latents, rows, size, generator), *text)
        if tokens is None:
            return found
        # Every row its own scale, and one without a style at all, as guidance's unconditional rows are.
        scale = torch.linspace(1.2, 0, rows + 1)[1:, None]
        return (*found, torch.randn(rows, tokens, states, generator=generator), scale)

    return Prepared(
        name="denoiser",
        module=Denoiser(unet).eval(),
        inputs=(
            *row_specs(latents),
            TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), states)),
            TensorSpec("text_embeds", "FP32", (pooled,)),
            TensorSpec("time_ids", "FP32", (6,)),
            *style,
        ),
        outputs=(TensorSpec("noise_pred", "FP32", (latents, *vae.latent_pixels(FACTOR))),),
        sample=sample,
        parameters={"intra_op_threads": "2"},
    )


COMPONENT = Component(
    name="denoiser",
    role="denoiser",
    folder="unet",
    classes=("UNet2DConditionModel",),
    weights="diffusion_pytorch_model.safetensors",
    load=load,
    prepare=prepare,
    needs=("text_encoder_l",),
)
