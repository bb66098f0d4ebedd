"""The preservation receipt: the finished bytes, decoded again, compared with the known pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

from backdrop.contract.arrays import strips
from backdrop.contract.canvas import Canvas, Kept

LEAST_COMPARED = 0.5
"""Fraction of the known pixels that a receipt must have compared to be exact."""


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far a finished picture is from the known pixels; see `backdrop.v1.PreservationReceipt`."""

    max_difference: int
    compared_pixels: int
    known_pixels: int
    """Pixels that are known at all: the compared ones, and those of soft edges."""
    mask_digest: str
    soft: bool
    kept: Kept

    @property
    def compared_fraction(self) -> float:
        """Compared ÷ known pixels; 0 if nothing is known."""
        return self.compared_pixels / self.known_pixels if self.known_pixels else 0.0

    @property
    def exact(self) -> bool:
        """Whether nothing differs, over enough of the known pixels: a receipt about little or nothing is not exact."""
        return self.max_difference == 0 and self.compared_fraction >= LEAST_COMPARED


def receipt(data: bytes, canvas: Canvas) -> Receipt | None:
    """Compares a finished picture with its canvas wherever nothing was to be made; None where nothing was known."""
    if canvas.kept is None:
        return None
    difference, compared, soft_pixels = 0, 0, 0
    with Image.open(io.BytesIO(data)) as delivered:
        for rows in strips(canvas.size.height, canvas.size.width):
            picture = np.asarray(delivered.crop((0, rows.start, delivered.width, rows.stop)).convert("RGB"))
            make = canvas.make[rows]
            known = make == 0
            strip = np.abs(picture[known].astype(np.int16) - canvas.known[rows][known].astype(np.int16))
            difference = max(difference, int(strip.max(initial=0)))
            compared += int(known.sum())
            soft_pixels += int(((make > 0) & (make < 255)).sum())
    return Receipt(
        max_difference=difference,
        compared_pixels=compared,
        known_pixels=compared + soft_pixels,
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(canvas.make).data).hexdigest(),
        soft=soft_pixels > 0,
        kept=canvas.kept,
    )
