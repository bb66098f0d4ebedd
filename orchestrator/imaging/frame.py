"""The frame: which pixels of a picture are known, which are to be made, and how its canvas lies in a bucket."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from backdrop.contract.geometry import Rect, Size, nearest_bucket
from orchestrator.arrays import Bytes


class MaskSource(enum.IntEnum):
    """Where a mask came from; the values are those of `backdrop.v1.MaskSource`."""

    REQUEST = 1
    ALPHA = 2
    SEGMENTER = 3


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a receipt says of the known pixels, besides what it measures."""

    box: Rect
    """The rectangle of the canvas that they take."""
    unscaled: bool
    """Whether they are the sent picture's own, not resampled."""
    mask_source: MaskSource


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One canvas at delivery size. Every task is "make these pixels, keep those"; this says which.

    From it follow what the denoiser and the decoder read (`imaging.view`), the compositing (`imaging.finish`) and the
    receipt (`imaging.receipt`).
    """

    known: Bytes
    """[H, W, 3]: the known pixels' colours, anything where nothing is known."""
    make: Bytes
    """[H, W]: 255 = to be made, 0 = known, between = soft edge."""
    bucket: Size
    """The size that the models see."""
    inset: Rect
    """Where the canvas lies in the bucket, in its pixels. The canvas is never distorted: where its aspect ratio is not
    the bucket's, the bucket shows more scene than the canvas, and the surplus is cropped off after decoding."""
    kept: Kept | None
    """None where nothing is known: then there is nothing to write a receipt about."""
    from_known: bool = False
    """Where the noise starts: from pure noise, or from `known` with noise on it (at `Sampling.strength`)."""

    @property
    def size(self) -> Size:
        """The delivery size."""
        return Size(self.make.shape[1], self.make.shape[0])


def frame_of(
    known: Bytes, make: Bytes, kept: Kept | None, buckets: Sequence[Size], *, from_known: bool = False
) -> Frame:
    """A frame in the bucket whose aspect ratio is nearest to the canvas's, the canvas centred in it."""
    canvas = Size(make.shape[1], make.shape[0])
    bucket = nearest_bucket(canvas, buckets)
    scale = min(bucket.width / canvas.width, bucket.height / canvas.height)
    width = min(bucket.width, max(1, round(canvas.width * scale)))
    height = min(bucket.height, max(1, round(canvas.height * scale)))
    inset = Rect((bucket.width - width) // 2, (bucket.height - height) // 2, width, height)
    return Frame(known, make, bucket, inset, kept, from_known)


def blank(size: Size) -> tuple[Bytes, Bytes]:
    """Known pixels and mask of a canvas of which nothing is known."""
    return np.zeros((size.height, size.width, 3), np.uint8), np.full((size.height, size.width), 255, np.uint8)
