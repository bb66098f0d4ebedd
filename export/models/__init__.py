"""The components an export knows, one file each, in the order a request meets them."""

from __future__ import annotations

from export.models import denoiser, reward, segmenter, text_encoder_g, text_encoder_l, vae_decoder, vae_encoder
from export.models.component import Component

COMPONENTS: dict[str, Component] = {
    component.role: component
    for component in (
        segmenter.COMPONENT,
        text_encoder_l.COMPONENT,
        text_encoder_g.COMPONENT,
        vae_encoder.COMPONENT,
        denoiser.COMPONENT,
        vae_decoder.COMPONENT,
        reward.COMPONENT,
    )
}

__all__ = ["COMPONENTS"]
