"""The preservation receipt: the finished bytes, decoded again, compared with the known pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

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
    known = canvas.make == 0
    delivered = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    difference = np.abs(delivered[known].astype(np.int16) - canvas.known[known].astype(np.int16))
    return Receipt(
        max_difference=int(difference.max(initial=0)),
        compared_pixels=int(known.sum()),
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(canvas.make).tobytes()).hexdigest(),
        soft=bool(((canvas.make > 0) & (canvas.make < 255)).any()),
        kept=canvas.kept,
    )
