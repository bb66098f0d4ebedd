"""What the suite sends: small pictures whose every pixel counts, and small settings, as real rows cost time."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backdrop import Background, Info, Picture, Pipeline, Receipt, Scores
from tests.pictures import ellipse_mask, encoded, noisy_photo

Bytes = NDArray[np.uint8]

WIDTH, HEIGHT = 96, 64
PHOTO = noisy_photo(WIDTH, HEIGHT)
HARD_MASK = ellipse_mask(WIDTH, HEIGHT)
SOFT_MASK = ellipse_mask(WIDTH, HEIGHT, soft=True)
PRODUCT, MASK = encoded(PHOTO), encoded(HARD_MASK)

TASK = Background(PRODUCT, MASK)
QUICK: dict[str, Any] = {"prompt": "on a table", "steps": 2, "guidance_scale": 1.0}
"""Options of the cheapest whole generation: two rows."""
SLOW: dict[str, Any] = {**QUICK, "steps": 100, "variants": 16}
"""Options of one that lasts long enough to be cut short: 1,600 rows."""


def default_of(info: Info) -> Pipeline:
    """The pipeline that runs when none is named."""
    return next(pipeline for pipeline in info.pipelines if pipeline.name == info.default_pipeline)


def box_of(mask: Bytes) -> tuple[int, int, int, int]:
    """x, y, width, height of what is above zero."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def pixels(picture: Picture) -> Bytes:
    """The picture, decoded: [H, W, 3]."""
    image = picture.image()
    assert image.mode == "RGB"
    return np.asarray(image)


def receipt_of(picture: Picture) -> Receipt:
    """The receipt of a picture of a task that keeps pixels."""
    assert picture.receipt is not None
    return picture.receipt


def scores_of(picture: Picture) -> Scores:
    """The scores of a picture of a pipeline with a reward model."""
    assert picture.scores is not None
    return picture.scores


def digest(mask: Bytes) -> str:
    """Of the mask of what was to be made around a product's mask, as the receipt writes it."""
    return "sha256:" + hashlib.sha256(np.ascontiguousarray(255 - mask).tobytes()).hexdigest()


def rgba(colours: Bytes, alpha: Bytes) -> bytes:
    """A PNG with an alpha channel."""
    return encoded(np.dstack([colours, alpha]))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
