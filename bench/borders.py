"""Products' borders, without a cluster: relight against a hard paste, and damaged cut-outs mended against pasted ones.

Both are computed by the contract's own arithmetic, which the cluster's pictures are finished with; the renderer says
what a perfect cut-out would have made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from backdrop.contract.canvas import MaskSource
from backdrop.contract.finishing import composite, encode, finished
from backdrop.contract.geometry import Size
from backdrop.contract.palette import to_lab
from backdrop.contract.parts import OutputFormat
from backdrop.contract.products import FIRST, Product
from backdrop.contract.receipts import receipt
from backdrop.contract.relighting import Relight, relit_canvas
from backdrop.contract.softness import SoftBorder, place_soft, soften
from bench.figures import Figure, at_least, at_most
from training.config import HELD_OUT_SEED
from training.world.picture import CutoutPair, cutout_pair

Bytes = npt.NDArray[np.uint8]
PAIRS, OTHER, DAMAGE, SOFT = 100, 1000, 3, 4
_EDGE = 2
"""Pixels on both sides of a product's edge whose colours are compared."""
_LEAST = 200
"""Opaque pixels: of a product that hangs over the border there is hardly anything to see."""


def relight(command: str) -> list[Figure]:
    """Pasted products, at the task's defaults."""
    ratios, inside, outside, receipts = [], 0, 0, 0
    for pair in pairs(PAIRS):
        pasted, mask = pair.composed, pair.product_mask
        canvas = relit_canvas(pasted, mask, MaskSource.REQUEST, Relight())
        assert canvas.border is not None, "relight has a border"
        picture = finished(pasted, canvas)
        changed = (picture != pasted).any(axis=-1)
        inside += int((changed & (mask == 255) & (shrunk(mask, canvas.border.width) == 255)).sum())
        outside += int((changed & (mask == 0)).sum())
        proof = receipt(encode(picture, OutputFormat.PNG), canvas, pasted)
        assert proof is not None, "the picture is known"
        assert proof.changes is not None, "a band of it may change"
        receipts += int(proof.changes.changed_pixels == changed.sum() and not proof.exact)
        ratios.append(edge_difference(picture, mask) / edge_difference(pasted, mask))
    count = f"{len(ratios)} renders"
    return [
        Figure(
            "relight: colour difference between product border and scene ÷ hard paste's, median",
            round(float(np.median(ratios)), 3),
            at_most(0.7),
            command,
            f"{spread(ratios)} of {count}",
        ),
        Figure("relight: pixels of the product's inside that changed", inside, at_most(0), command, count),
        Figure("relight: pixels of the scene that changed", outside, at_most(0), command, count),
        Figure(
            "relight: receipts that count the changed pixels, and are not exact",
            round(receipts / len(ratios), 3),
            at_least(1.0),
            command,
            count,
        ),
    ]


def soft(command: str) -> list[Figure]:
    """Cut-outs with 3 pixels too much or too little, on another scene, with a soft border of 4 pixels."""
    figures, everything = [], []
    for name, pixels in (("too much", DAMAGE), ("too little", -DAMAGE)):
        ratios = []
        for pair in pairs(PAIRS):
            bad = grown(pair.product_mask, pixels) if pixels > 0 else shrunk(pair.product_mask, -pixels)
            if (bad == 255).sum() < _LEAST:
                continue
            ratios.append(error(pair, bad, SoftBorder(SOFT)) / error(pair, bad, None))
        everything += ratios
        figures.append(_soft_figure(f"{DAMAGE} pixels {name}", ratios, command))
    return [_soft_figure(f"{DAMAGE} pixels too much or too little", everything, command), *figures]


def _soft_figure(damage: str, ratios: list[float], command: str) -> Figure:
    name = f"soft border: error of cut-outs with {damage} ÷ that of pasting them, median"
    return Figure(
        name, round(float(np.median(ratios)), 3), at_most(0.7), command, f"{spread(ratios)} of {len(ratios)} renders"
    )


def pairs(count: int) -> Iterator[CutoutPair]:
    """Held-out products in two scenes each."""
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + count):
        pair = cutout_pair(seed, seed + OTHER)
        if (pair.product_mask == 255).sum() >= _LEAST:
            yield pair


def error(pair: CutoutPair, mask: Bytes, border: SoftBorder | None) -> float:
    """The mean difference, in 8-bit steps, between the picture of a cut-out and that of the perfect one."""
    size = Size(mask.shape[1], mask.shape[0])
    products = soften([Product(FIRST, pair.photo, mask, MaskSource.REQUEST)], border)
    canvas = place_soft(products, (None,), size, border)
    picture = composite(pair.scene, canvas) if border is None else finished(pair.scene, canvas)
    return float(np.abs(picture.astype(np.float64) - pair.composed).mean())


def edge_difference(picture: Bytes, mask: Bytes) -> float:
    """The mean CIE76 difference across a product's edge: of each pixel of its border to the mean scene near it."""
    lab = to_lab(picture.astype(np.float32) / 255)
    scene = (mask == 0) & (grown(mask, _EDGE) > 0)
    border = (mask == 255) & (shrunk(mask, _EDGE) < 255)
    total, weight = np.zeros_like(lab), np.zeros(mask.shape, np.float32)
    for down in range(-2 * _EDGE, 2 * _EDGE + 1):
        for right in range(-2 * _EDGE, 2 * _EDGE + 1):
            near = _moved(scene, down, right)
            total += np.where(near[..., None], _moved(lab, down, right), 0)
            weight += near
    compared = border & (weight > 0)
    means = total[compared] / weight[compared, None]
    return float(np.sqrt(np.square(lab[compared] - means).sum(axis=1)).mean())


def _moved(values: npt.NDArray[Any], down: int, right: int) -> npt.NDArray[Any]:
    """The values [H, W, …] that lie so far from each pixel; 0 outside."""
    reach = 2 * _EDGE
    height, width = values.shape[:2]
    padded = np.pad(values, ((reach, reach), (reach, reach), *((0, 0),) * (values.ndim - 2)))
    return padded[reach + down : reach + down + height, reach + right : reach + right + width]


def grown(mask: Bytes, pixels: int) -> Bytes:
    """A mask that took so many pixels too much on every side."""
    return np.asarray(Image.fromarray(mask).filter(ImageFilter.MaxFilter(2 * pixels + 1)))


def shrunk(mask: Bytes, pixels: int) -> Bytes:
    """A mask that took so many pixels too little on every side."""
    return np.asarray(Image.fromarray(mask).filter(ImageFilter.MinFilter(2 * pixels + 1)))


def spread(values: list[float]) -> str:
    """The quartiles, in words."""
    return f"quartiles {np.percentile(values, 25):.2f}–{np.percentile(values, 75):.2f}"
