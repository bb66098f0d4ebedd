"""The preservation receipt: the finished bytes, decoded again, compared with the known pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

from backdrop.contract.arrays import strips
from backdrop.contract.canvas import Canvas, Kept


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far a finished picture is from the known pixels; see `backdrop.v1.PreservationReceipt`."""

    max_difference: int
    compared_pixels: int
    mask_digest: str
    soft: bool
    kept: Kept


def receipt(data: bytes, canvas: Canvas) -> Receipt | None:
    """Compares a finished picture with its canvas wherever nothing was to be made; None where nothing was known."""
    if canvas.kept is None:
        return None
    difference, compared, soft = 0, 0, False
    with Image.open(io.BytesIO(data)) as delivered:
        for rows in strips(canvas.size.height, canvas.size.width):
            picture = np.asarray(delivered.crop((0, rows.start, delivered.width, rows.stop)).convert("RGB"))
            make = canvas.make[rows]
            known = make == 0
            strip = np.abs(picture[known].astype(np.int16) - canvas.known[rows][known].astype(np.int16))
            difference = max(difference, int(strip.max(initial=0)))
            compared += int(known.sum())
            soft = soft or bool(((make > 0) & (make < 255)).any())
    return Receipt(
        max_difference=difference,
        compared_pixels=compared,
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(canvas.make).data).hexdigest(),
        soft=soft,
        kept=canvas.kept,
    )
