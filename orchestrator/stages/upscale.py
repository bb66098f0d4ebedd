"""Upscale: a picture through the upscaler, in tiles whose seams do not show."""

from __future__ import annotations

import asyncio

import numpy as np

from backdrop.contract.geometry import Rect, Size
from backdrop.contract.upscaling import FACTORS
from orchestrator.arrays import Bytes, Floats
from orchestrator.concurrency import gather
from orchestrator.imaging.finish import resample
from orchestrator.repository import TILE_CORE, UPSCALER, UpscalerSpec
from orchestrator.stages.models import Models

_ROWS = 4
"""Tiles of one call. More would keep other requests waiting; the batcher adds those of others."""


async def enlarged(scene: Bytes, part: Rect, size: Size, models: Models, *, once: bool = False) -> Bytes:
    """A part of a scene [H, W, 3 or 4] at another size: by the upscaler, then by Lanczos where it is still too small.

    Lanczos alone does it where the pipeline has no upscaler, or the part is not to be enlarged. `once`: the picture
    passes the upscaler once at most. A second pass of decoded scenes was measured: no gain at four times the work.
    """
    ratio, spec = max(size.width / part.width, size.height / part.height), models.pipeline.upscaler
    if spec is not None and ratio > 1:
        factor = next((factor for factor in FACTORS if factor >= ratio), FACTORS[-1])
        factor = min(factor, spec.factor) if once else factor
        scene = await upscale(scene[part.y : part.y + part.height, part.x : part.x + part.width], factor, models)
        part = Rect(0, 0, scene.shape[1], scene.shape[0])
    if scene.shape[:2] == (part.height, part.width) == (size.height, size.width):
        return scene
    return await asyncio.to_thread(resample, scene, part, size)


async def upscale(picture: Bytes, factor: int, models: Models) -> Bytes:
    """The picture [H, W, 3 or 4] as [factor · H, factor · W, 3 or 4]; alpha is enlarged as a grey picture."""
    if picture.shape[2] == 4:
        colours = await upscale(picture[..., :3], factor, models)
        alpha = await upscale(picture[..., 3:].repeat(3, axis=2), factor, models)
        return np.dstack([colours, alpha[..., 1]])
    spec = models.pipeline.upscaler
    assert spec is not None, "a pipeline without an upscaler does not serve the task"
    while factor > 1:
        gain = min(factor, spec.factor)
        picture = await _pass(picture, spec, gain, models)
        factor //= gain
    return picture


async def _pass(picture: Bytes, spec: UpscalerSpec, gain: int, models: Models) -> Bytes:
    """The picture [H, W, 3] once through the upscaler, `gain` times as large: at most the upscaler's factor."""
    height, width = picture.shape[:2]
    out = np.empty((gain * height, gain * width, 3), np.uint8)
    # Beyond its border a picture continues with its last pixels: every tile is whole, and all have one shape.
    padding = [(spec.margin, spec.margin + -extent % TILE_CORE) for extent in (height, width)]
    padded = np.pad(picture, (*padding, (0, 0)), "edge")
    for top in range(0, height, TILE_CORE):
        calls = await asyncio.to_thread(_calls, padded[top : top + spec.tile], width, spec)
        outputs = await gather(*(models.run(UPSCALER, image=call) for call in calls))
        rows = np.s_[gain * top : gain * (top + TILE_CORE)]
        await asyncio.to_thread(_put, [output["upscaled"] for output in outputs], out[rows], spec, gain)
    return out


def _calls(padded: Bytes, width: int, spec: UpscalerSpec) -> list[Floats]:
    """The tiles of one strip [T, W, 3] of a padded picture, [N, 3, T, T] in 0…1 for each call."""
    strip = padded.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    tiles = [strip[:, :, left : left + spec.tile] for left in range(0, width, TILE_CORE)]
    return [np.ascontiguousarray(np.stack(tiles[first : first + _ROWS])) for first in range(0, len(tiles), _ROWS)]


def _put(outputs: list[Floats], strip: Bytes, spec: UpscalerSpec, gain: int) -> None:
    """Writes the cores of a strip's tiles [N, 3, S·T, S·T] into the strip of the result."""
    surplus, side = spec.factor // gain, gain * TILE_CORE
    border = spec.factor * spec.margin
    inside = np.s_[:, border : border + spec.factor * TILE_CORE, border : border + spec.factor * TILE_CORE]
    for index, tile in enumerate(tile for output in outputs for tile in output):
        # Where less than the upscaler's own factor is needed, each pixel is the mean of its square.
        core = tile[inside].reshape(3, side, surplus, side, surplus).mean(axis=(2, 4))
        pixels = np.rint(core.clip(0.0, 1.0) * 255.0).astype(np.uint8).transpose(1, 2, 0)
        target = strip[:, index * side : (index + 1) * side]
        target[:] = pixels[: target.shape[0], : target.shape[1]]
