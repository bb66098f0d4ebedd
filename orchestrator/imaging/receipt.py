"""The preservation receipt: the finished bytes, decoded again, compared with the known pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

from orchestrator.imaging.frame import Frame, Kept


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far a finished picture is from the known pixels; see `backdrop.v1.PreservationReceipt`."""

    max_difference: int
    compared_pixels: int
    mask_digest: str
    soft: bool
    kept: Kept


def receipt(data: bytes, frame: Frame) -> Receipt | None:
    """Compares a finished picture with its frame wherever nothing was to be made; None where nothing was known."""
    if frame.kept is None:
        return None
    known = frame.make == 0
    delivered = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    difference = np.abs(delivered[known].astype(np.int16) - frame.known[known].astype(np.int16))
    return Receipt(
        max_difference=int(difference.max(initial=0)),
        compared_pixels=int(known.sum()),
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(frame.make).tobytes()).hexdigest(),
        soft=bool(((frame.make > 0) & (frame.make < 255)).any()),
        kept=frame.kept,
    )
