"""Several products in one scene, through the cluster: pixels and boxes of the pictures, compared with what was sent."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import backdrop
from bench.field_load import running_cluster
from bench.figures import Figure, at_most
from training.config import HELD_OUT_SEED
from training.world.picture import plain_photo

Bytes = npt.NDArray[np.uint8]
SCENES, PRODUCTS, SIZE = 24, 3, (400, 320)
_OPTIONS: dict[str, Any] = {"pipeline": "backdrop-fast", "prompt": "on a wooden table", "output_size": SIZE}


def products(command: str) -> list[Figure]:
    """Scenes of three products at their own size, whose boxes overlap at random."""
    pixels = boxes = compared = 0
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + SCENES):
            cutouts = [cutout_of(seed * PRODUCTS + index) for index in range(PRODUCTS)]
            places = boxes_of(cutouts, np.random.default_rng(seed))
            sent = [backdrop.Product(png(rgba), None, box) for rgba, box in zip(cutouts, places, strict=True)]
            first, *others = sent
            task = backdrop.Background(first.product, None, first.placement, others)
            picture = client.generate(task, **_OPTIONS, seed=seed).result().best
            assert picture.receipt is not None, "the task keeps pixels"
            differing, count = difference(np.asarray(picture.image()), cutouts, places)
            pixels += differing + picture.receipt.max_difference
            boxes += sum(each.box != box for each, box in zip(picture.receipt.products, places, strict=True))
            compared += count
    spread = f"{SCENES} scenes of {PRODUCTS} products, {compared} visible pixels"
    return [
        Figure("several products: pixels that differ from the sent ones", pixels, at_most(0), command, spread),
        Figure("several products: boxes that are not as requested", boxes, at_most(0), command, spread),
    ]


def cutout_of(seed: int) -> Bytes:
    """A product alone, as RGBA without empty margins."""
    rgba = plain_photo(seed).product
    rows, columns = np.flatnonzero(rgba[..., 3].any(axis=1)), np.flatnonzero(rgba[..., 3].any(axis=0))
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def boxes_of(cutouts: list[Bytes], rng: np.random.Generator) -> list[backdrop.Box]:
    """A box of its own size for each cut-out, anywhere in the picture."""
    places = []
    for rgba in cutouts:
        height, width = rgba.shape[:2]
        places.append(
            backdrop.Box(int(rng.integers(SIZE[0] - width)), int(rng.integers(SIZE[1] - height)), width, height)
        )
    return places


def difference(picture: Bytes, cutouts: list[Bytes], places: list[backdrop.Box]) -> tuple[int, int]:
    """How many opaque pixels that no later product touches differ from the sent ones, and of how many."""
    free, differing, compared = np.ones(picture.shape[:2], bool), 0, 0
    for rgba, box in reversed(list(zip(cutouts, places, strict=True))):
        target = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        visible = (rgba[..., 3] == 255) & free[target]
        differing += int((picture[target][visible] != rgba[..., :3][visible]).any(axis=-1).sum())
        compared += int(visible.sum())
        free[target] &= rgba[..., 3] == 0
    return differing, compared


def png(rgba: Bytes) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    return buffer.getvalue()
