"""A product's border in the colours of its scene, and the whole product in the scene's light.

The border: near its edge, a product moves towards the local mean of the scene beside it, most at the edge and less
with each pixel inwards ("light wrap" of compositing; Brinkmann, The Art and Science of Digital Compositing, 2008). It
moves by the difference of local means, so texture stays.

The light: its colour is the scene's shades of grey (Finlayson & Trezzi 2004), and it scales the product's linear values
(von Kries 1902).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from backdrop.contract.arrays import Bytes, blend, strips, tiles_around
from backdrop.contract.canvas import Border

Values = npt.NDArray[np.float32]
Sums = npt.NDArray[np.int64]
_REACH = 1
"""Radius of the local means, as a multiple of the band's width."""
_NORM = 6
"""Of the Minkowski mean: bright pixels count most, which show the light's colour."""
_WHITE = 0.5
"""Minkowski mean of linear values in a scene in plain white light, in which products are photographed."""
_DARKEST, _BRIGHTEST = 0.25, 1.5
"""Bounds of the light: a night scene must not make a product black, nor a bright one burn it out."""


def edge_weight(product: Bytes, width: int) -> Values:
    """How much of a product's [H, W] border each pixel is: 1 at the edge, 0 from `width` pixels inwards.

    Where the edge of the array cuts the product off, there is no border.
    """
    half = width // 2
    blurred = Image.fromarray(product)
    for radius in (half, width - half):
        blurred = blurred.filter(ImageFilter.BoxBlur(radius))
    # A straight edge is 127 of 255 after the blur.
    outside = (255 - np.asarray(blurred).astype(np.float32)) / 127
    return np.asarray(np.minimum(outside, 1) * (product / np.float32(255)), np.float32)


def border_band(product: Bytes, width: int) -> Bytes:
    """The band [H, W] of a product [H, W] that takes on the scene's colours: 255 there, 0 elsewhere."""
    band = np.zeros_like(product)
    for square, around, inner in tiles_around(product.shape, width):
        band[square] = (edge_weight(product[around], width)[inner] > 0) * np.uint8(255)
    return band


def relit(picture: Bytes, border: Border) -> Bytes:
    """A picture [H, W, 3] whose product has taken on light and colours of the scene; only the band changes."""
    result = picture.copy()
    tables = _light_tables(picture, border) if border.light else None
    for square, around, inner in tiles_around(border.product.shape, _REACH * border.width):
        if not border.band[square].any():
            continue
        part, product = picture[around], border.product[around]
        if tables is not None:
            lit = np.stack([tables[channel][part[..., channel]] for channel in range(3)], axis=-1)
            part = blend(product, lit, part)
        moved = _towards_scene(part, product, border)[inner]
        result[square] = np.where(border.band[square][..., None] > 0, moved, picture[square])
    return result


def _towards_scene(part: Bytes, product: Bytes, border: Border) -> Bytes:
    """The picture with its border moved by the difference between the local means of scene and product."""
    weight = edge_weight(product, border.width) * np.float32(border.strength)
    if not weight.any():
        return part
    means, reach = [], _REACH * border.width
    for share in (np.invert(product), product):
        sums = _window_sums(np.dstack([part * share[..., None].astype(np.int64), share]), reach)
        # Where nothing of one side is near, the sums are 0, and so is the difference that counts.
        means.append((sums[..., :3] / np.maximum(sums[..., 3:], 1), sums[..., 3:] > 0))
    (scene, near_scene), (own, near_product) = means
    shift = np.where(near_scene & near_product, scene - own, 0)
    return np.asarray(np.rint(np.clip(part + weight[..., None] * shift, 0, 255)), np.uint8)


def _window_sums(values: Sums, radius: int) -> Sums:
    """The sums [H, W, C] over squares of 2 · radius + 1 pixels; exact, so a tile's are those of the whole."""
    padded = np.pad(values, ((radius + 1, radius), (radius + 1, radius), (0, 0)))
    total, size = padded.cumsum(axis=0).cumsum(axis=1), 2 * radius + 1
    sums = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    return np.asarray(sums, np.int64)


def _light_tables(picture: Bytes, border: Border) -> list[Bytes]:
    """For each channel, what becomes of each of the 256 values in the scene's light."""
    counts = np.zeros((3, 256), np.int64)
    for rows in strips(*border.product.shape):
        scene = picture[rows][border.product[rows] == 0]
        counts += [np.bincount(scene[:, channel], minlength=256) for channel in range(3)]
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    tables = []
    for channel in counts:
        mean = float((channel * linear**_NORM).sum() / max(1, channel.sum())) ** (1 / _NORM)
        gain = float(np.clip(mean / _WHITE, _DARKEST, _BRIGHTEST)) ** border.light if channel.any() else 1.0
        lit = np.clip(linear * gain, 0, 1)
        values = np.where(lit <= 0.0031308, 12.92 * lit, 1.055 * lit ** (1 / 2.4) - 0.055)
        tables.append(np.asarray(np.rint(255 * values), np.uint8))
    return tables
