"""Decode: clean latents to a scene by the mask-conditioned VAE decoder, which blends the seam to the known pixels."""

from __future__ import annotations

from orchestrator.arrays import Floats
from orchestrator.imaging.view import ModelView
from orchestrator.stages.models import Models


async def decode(latents: Floats, view: ModelView, models: Models) -> Floats:
    """Returns the scene [3, H, W] in −1…1, from latents [C, h, w]; its tiles are decoded as rows of one call."""
    cut = view.tiling.cut
    outputs = await models.run("vae_decoder", latents=cut(latents), image=cut(view.known), mask=cut(view.mask))
    return view.tiling.merge(outputs["decoded"])
