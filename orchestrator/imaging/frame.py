"""The frame: a canvas of known pixels and pixels to be made, and how it lies in a bucket."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from backdrop.contract.canvas import Canvas
from backdrop.contract.geometry import Rect, Size, nearest_bucket


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Frame(Canvas):
    """One canvas at delivery size, and where the models see it.

    From it follow what the denoiser and the decoder read (`imaging.view`), the compositing (`contract.finishing`) and
    the receipt (`contract.receipts`).
    """

    bucket: Size
    """The size that the models see."""
    inset: Rect
    """Where the canvas lies in the bucket, in pixels of the bucket. The canvas is never distorted: if its aspect ratio
    differs from the bucket's, the bucket shows more scene than the canvas. The surplus is cropped after decoding."""


def frame_of(canvas: Canvas, buckets: Sequence[Size]) -> Frame:
    """A frame in the bucket whose aspect ratio is nearest to the canvas's, the canvas centred in it."""
    size = canvas.size
    bucket = nearest_bucket(size, buckets)
    scale = min(bucket.width / size.width, bucket.height / size.height)
    width = min(bucket.width, max(1, round(size.width * scale)))
    height = min(bucket.height, max(1, round(size.height * scale)))
    inset = Rect((bucket.width - width) // 2, (bucket.height - height) // 2, width, height)
    fields = {field.name: getattr(canvas, field.name) for field in dataclasses.fields(Canvas)}
    return Frame(**fields, bucket=bucket, inset=inset)
