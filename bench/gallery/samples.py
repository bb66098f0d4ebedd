"""Draws the sample pictures of `examples/` that the command line's examples name; `product` and `photo` are apart.

usage: python -m bench.gallery.samples
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from bench.figures import ROOT
from training.config import HELD_OUT_SEED
from training.world.labels import Spec
from training.world.picture import empty_scene, plain_photo, render, shadow_pair

FOLDER = ROOT / "examples"
_MUG = Spec(HELD_OUT_SEED, "mountain", "day", "clear", "natural", "blue", "lake", "mug", "red")
_BEACH = Spec(HELD_OUT_SEED + 1, "beach", "sunset", "clear", "natural", "orange", "palms", "handbag", "blue")
_SHADOW_SEED = HELD_OUT_SEED + 15
_CHANGED, _WIDER = 6, 4
"""Grey levels from which a pixel belongs to the product's shadow, and by how many pixels its mask is widened."""
_SMALL = 128

Bytes = npt.NDArray[np.uint8]


def main() -> None:
    """Writes the samples."""
    picture, place = render(_MUG.seed, spec=_MUG), empty_scene(_BEACH.seed, spec=_BEACH)
    pasted = shadow_pair(_SHADOW_SEED)
    for name, pixels in {
        "picture": picture.image,
        "picture_mask": traces(picture.image, empty_scene(_MUG.seed, spec=_MUG)),
        "place": place,
        "place_mask": region(place.shape[0]),
        "second": cut_out(plain_photo(_BEACH.seed, spec=_BEACH).product),
        "pasted": pasted.without,
        "pasted_mask": pasted.product_mask,
        "small": np.asarray(Image.fromarray(render(_BEACH.seed, spec=_BEACH).image).reduce(256 // _SMALL)),
    }.items():
        Image.fromarray(pixels).save(FOLDER / f"{name}.png", optimize=True)


def traces(picture: Bytes, empty: Bytes) -> Bytes:
    """The mask of all that a product changed in a scene, its shadow included."""
    changed = np.abs(picture.astype(int) - empty).max(axis=-1) > _CHANGED
    mask = Image.fromarray(np.where(changed, 255, 0).astype(np.uint8))
    return np.asarray(mask.filter(ImageFilter.MaxFilter(2 * _WIDER + 1)), np.uint8)


def region(size: int) -> Bytes:
    """An upright ellipse below the middle of a square picture, where a product would stand."""
    rows, columns = np.ogrid[0 : 1 : 1j * size, 0 : 1 : 1j * size]
    inside = ((rows - 0.66) / 0.26) ** 2 + ((columns - 0.5) / 0.24) ** 2 < 1
    return np.where(inside, 255, 0).astype(np.uint8)


def cut_out(rgba: Bytes) -> Bytes:
    """A product alone, without empty margins."""
    rows, columns = np.flatnonzero(rgba[..., 3].any(axis=1)), np.flatnonzero(rgba[..., 3].any(axis=0))
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


if __name__ == "__main__":
    main()
