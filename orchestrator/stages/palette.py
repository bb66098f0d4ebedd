"""Palette: guidance of a variant's colours, in its predicted latents at every step and in its decoded scene.

The VAE's latents are nearly linear in colour, so the preview's projection and its pseudo-inverse turn a shift of
colours into the least shift of latents. No model is called, and no gradient is needed.
"""

from __future__ import annotations

import numpy as np

from backdrop.contract.palette import colours_of, towards
from orchestrator.arrays import Floats
from orchestrator.imaging.view import ModelView
from orchestrator.repository import PipelineSpec

_OF_LATENTS, _OF_SCENE = 0.3, 0.4
"""The part of the way that colours are moved in each step, and once in the decoded scene."""


class PaletteGuide:
    """Moves the colours of one request's variants towards its palette, wherever pixels are made.

    Args:
        palette: hex colours as the contract reads them.
        pipeline: its preview projects latents to colours.
        view: says where pixels are made.
    """

    def __init__(self, palette: tuple[str, ...], pipeline: PipelineSpec, view: ModelView) -> None:
        self._colours = colours_of(palette)
        self._mask, self._latent_mask = view.mask[0], view.latent_mask[0]
        self._factors = np.array(pipeline.preview_factors, np.float32)
        self._bias = np.array(pipeline.preview_bias, np.float32)
        self._back = np.linalg.pinv(self._factors).astype(np.float32)

    def latents(self, clean: Floats) -> Floats:
        """Predicted clean latents [C, h, w] with their colours moved."""
        rows = np.moveaxis(clean, 0, -1)
        rgb = np.clip(rows @ self._factors + self._bias, 0, 1).astype(np.float32)
        shift = (towards(rgb, self._latent_mask, self._colours, _OF_LATENTS) - rgb) * self._latent_mask[..., None]
        moved: Floats = clean + np.moveaxis(shift @ self._back, -1, 0)
        return moved

    def scene(self, decoded: Floats) -> Floats:
        """A decoded scene [3, H, W] in −1…1 with its colours moved."""
        rgb = (np.clip(np.moveaxis(decoded, 0, -1), -1, 1) + 1) / 2
        moved = towards(np.asarray(rgb, np.float32), self._mask, self._colours, _OF_SCENE)
        return np.ascontiguousarray(np.moveaxis(moved, -1, 0) * 2 - 1)
