"""The frame: a canvas of known pixels and pixels to be made, and how it lies in a scene."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from backdrop.contract.canvas import Canvas
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.tiling import Tiling, tiling_of


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Frame(Canvas):
    """One canvas at delivery size, and where the models see it.

    From it follow what the denoiser and the decoder read (`imaging.view`), the compositing (`contract.finishing`) and
    the receipt (`contract.receipts`).
    """

    tiling: Tiling
    """The scene that the models make, and the tiles in which they see it: one of the scene's size, except for shapes
    that no bucket comes near."""
    inset: Rect
    """Where the canvas lies in the scene, in pixels of the scene. The canvas is never distorted: if its aspect ratio
    differs from the scene's, the scene shows more than the canvas. The surplus is cropped after decoding."""


def frame_of(canvas: Canvas, buckets: Sequence[Size]) -> Frame:
    """A frame whose scene has nearly the canvas's aspect ratio, the canvas centred in it."""
    size, tiling = canvas.size, tiling_of(canvas.size, buckets)
    scene = tiling.scene
    scale = min(scene.width / size.width, scene.height / size.height)
    width = min(scene.width, max(1, round(size.width * scale)))
    height = min(scene.height, max(1, round(size.height * scale)))
    inset = Rect((scene.width - width) // 2, (scene.height - height) // 2, width, height)
    fields = {field.name: getattr(canvas, field.name) for field in dataclasses.fields(Canvas)}
    return Frame(**fields, tiling=tiling, inset=inset)
