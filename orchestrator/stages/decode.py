"""Decode: clean latents to a scene by the mask-conditioned VAE decoder, which blends the seam to the known pixels."""

from __future__ import annotations

from orchestrator.arrays import Floats
from orchestrator.imaging.view import ModelView
from orchestrator.stages.models import Models


async def decode(latents: Floats, view: ModelView, models: Models) -> Floats:
    """Returns the scene [3, H, W] in −1…1 at the bucket's size, from latents [C, h, w]."""
    outputs = await models.one("vae_decoder", latents=latents, image=view.known, mask=view.mask)
    decoded: Floats = outputs["decoded"]
    return decoded
