"""Decode: clean latents to a scene by the mask-conditioned VAE decoder, which blends the seam and keeps the product."""

from __future__ import annotations

from orchestrator.domain import Floats
from orchestrator.stages.models import Models
from orchestrator.stages.prepare import Prepared


async def decode(latents: Floats, prepared: Prepared, models: Models) -> Floats:
    """Returns the scene [3, H, W] in −1…1 at the bucket's size, from latents [C, h, w]."""
    scene_input = prepared.scene_input
    outputs = await models.one("vae_decoder", latents=latents, image=scene_input.product, mask=scene_input.mask)
    decoded: Floats = outputs["decoded"]
    return decoded
