"""The preservation receipt: the finished bytes, decoded again, compared with the known pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, blend, strips
from backdrop.contract.canvas import Border, Canvas, Kept

LEAST_COMPARED = 0.5
"""Fraction of the known pixels that a receipt must have compared to be exact."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """How far a finished picture is from a plain paste in a band that may change; see `backdrop.v1.BorderChanges`."""

    band_pixels: int
    changed_pixels: int
    max_difference: int
    mean_difference: float
    map: bytes
    """A grey PNG of the picture's size: each pixel's largest difference over its channels."""


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far a finished picture is from the known pixels; see `backdrop.v1.PreservationReceipt`."""

    max_difference: int
    compared_pixels: int
    known_pixels: int
    """Pixels that are known at all: the compared ones, and those of soft edges and of bands that may change."""
    mask_digest: str
    soft: bool
    kept: Kept
    changes: Changes | None = None
    """None where nothing of what was sent may change."""

    @property
    def compared_fraction(self) -> float:
        """Compared ÷ known pixels; 0 if nothing is known."""
        return self.compared_pixels / self.known_pixels if self.known_pixels else 0.0

    @property
    def exact(self) -> bool:
        """Whether nothing differs, over enough of the known pixels: a receipt about little or nothing is not exact."""
        changed = self.changes is not None and self.changes.changed_pixels > 0
        return not changed and self.max_difference == 0 and self.compared_fraction >= LEAST_COMPARED


def receipt(data: bytes, canvas: Canvas, scene: Bytes | None = None) -> Receipt | None:
    """Compares a finished picture with its canvas wherever nothing was to be made; None where nothing was known.

    If a border may change, the picture is compared there with a plain paste on the `scene` [H, W, 3] that it shows.
    """
    if canvas.kept is None:
        return None
    border, difference, compared, soft_pixels, known_pixels = canvas.border, 0, 0, 0, 0
    marks = np.zeros_like(canvas.make) if border else None
    with Image.open(io.BytesIO(data)) as delivered:
        for rows in strips(canvas.size.height, canvas.size.width):
            picture = np.asarray(delivered.crop((0, rows.start, delivered.width, rows.stop)).convert("RGB"))
            make = canvas.make[rows]
            known = make == 0 if border is None else (make == 0) & (border.band[rows] == 0)
            strip = np.abs(picture[known].astype(np.int16) - canvas.known[rows][known].astype(np.int16))
            difference = max(difference, int(strip.max(initial=0)))
            compared += int(known.sum())
            soft_pixels += int(((make > 0) & (make < 255)).sum())
            known_pixels += int(((make if border is None else np.minimum(make, border.make[rows])) < 255).sum())
            if border is not None and marks is not None:
                assert scene is not None, "a border is measured on the scene that the picture shows"
                marks[rows] = _marks(picture, scene[rows], border, rows)
    return Receipt(
        max_difference=difference,
        compared_pixels=compared,
        known_pixels=known_pixels,
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(canvas.make).data).hexdigest(),
        soft=soft_pixels > 0,
        kept=canvas.kept,
        changes=None if border is None or marks is None else _changes(marks, border),
    )


def _marks(picture: Bytes, scene: Bytes, border: Border, rows: slice) -> Bytes:
    """The largest difference over the channels of each pixel of the band, in some rows [h, W]; 0 elsewhere."""
    plain = blend(np.invert(border.make[rows]), border.known[rows], scene)
    differences = np.maximum(picture, plain) - np.minimum(picture, plain)
    return np.where(border.band[rows] > 0, differences.max(axis=-1), 0).astype(np.uint8)


def _changes(marks: Bytes, border: Border) -> Changes:
    buffer, pixels = io.BytesIO(), int(np.count_nonzero(border.band))
    Image.fromarray(marks).save(buffer, "PNG")
    total = int(marks.sum(dtype=np.int64))
    return Changes(
        band_pixels=pixels,
        changed_pixels=int(np.count_nonzero(marks)),
        max_difference=int(marks.max(initial=0)),
        mean_difference=total / pixels if pixels else 0.0,
        map=buffer.getvalue(),
    )
