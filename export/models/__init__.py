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
    upscaler,
    vae_decoder,
    vae_encoder,
)
from export.models.component import Component

COMPONENTS: dict[str, Component] = {
    component.kind.name: component
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
        upscaler.COMPONENT,
    )
}
"""By the names of `export.layout.KINDS`."""

__all__ = ["COMPONENTS"]
