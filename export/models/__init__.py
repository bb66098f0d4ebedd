"""The components an export knows, one file each, in the order a request meets them."""

from __future__ import annotations

from export.models import (
    denoiser,
    denoiser_dit,
    image_encoder_clip,
    image_encoder_uve,
    image_projector,
    reward,
    segmenter,
    text_encoder_g,
    text_encoder_l,
    text_encoder_t5,
    vae_decoder,
    vae_encoder,
)
from export.models.component import Component

COMPONENTS: dict[str, Component] = {
    component.name: component
    for component in (
        segmenter.COMPONENT,
        text_encoder_l.COMPONENT,
        text_encoder_g.COMPONENT,
        text_encoder_t5.COMPONENT,
        image_encoder_clip.COMPONENT,
        image_encoder_uve.COMPONENT,
        image_projector.COMPONENT,
        vae_encoder.COMPONENT,
        denoiser.COMPONENT,
        denoiser_dit.COMPONENT,
        vae_decoder.COMPONENT,
        reward.COMPONENT,
    )
}
ALWAYS = ("segmenter", "text_encoder_g", "vae_encoder", "denoiser", "vae_decoder", "reward")
"""Roles without which there is no pipeline; what else one needs, its denoiser says."""

__all__ = ["ALWAYS", "COMPONENTS"]
