"""Palettes, through the cluster: how near a scene's colours come to the requested ones, with the palette and without.

The distance of a scene to a palette is the mean of two means of CIE76 differences: from each pixel to the nearest
colour, and from each colour to the nearest pixels, of which it needs half of an even share. So a scene that shows one
of the colours alone is not near.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

import backdrop
from bench.field_load import running_cluster
from bench.figures import Figure, at_most
from bench.scene_products import cutout_of, png
from training.config import HELD_OUT_SEED

Floats = npt.NDArray[np.float64]
PALETTES = (
    ("#0b3954", "#bfd7ea", "#ff6663"),
    ("#264653", "#2a9d8f", "#e9c46a", "#e76f51"),
    ("#22223b", "#9a8c98", "#f2e9e4"),
    ("#606c38", "#283618", "#fefae0", "#bc6c25"),
    ("#3d348b", "#f7b801", "#f35b04"),
    ("#f8edeb", "#fec5bb", "#d8e2dc"),
)
PROMPTS = ("on a beach", "in a forest", "on a wooden table", "in a city street at night")
_SIZE = (256, 256)
_EVERY = 2


def palette(command: str) -> list[Figure]:
    """Each palette with two prompts: the ratio of the mean distances, and the product's pixels."""
    plain, guided, ratios, changed = [], [], [], 0
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for index, colours in enumerate(PALETTES):
            for turn in range(2):
                seed = HELD_OUT_SEED + 2 * index + turn
                task = backdrop.Background(png(cutout_of(seed)), None, backdrop.Fit(0.25))
                options: dict[str, Any] = {"prompt": PROMPTS[seed % len(PROMPTS)], "seed": seed, "output_size": _SIZE}
                without = client.generate(task, **options).result().best
                best = client.generate(task, **options, palette=list(colours)).result().best
                assert best.receipt is not None, "the task keeps pixels"
                changed += best.receipt.max_difference
                plain.append(distance(scene_of(without), colours))
                guided.append(distance(scene_of(best), colours))
                ratios.append(guided[-1] / plain[-1])
    ratio = float(np.mean(guided) / np.mean(plain))
    spread = (
        f"{np.mean(guided):.1f} ÷ {np.mean(plain):.1f} of CIE76; each {min(ratios):.2f}–{max(ratios):.2f} of"
        f" {len(ratios)} scenes"
    )
    return [
        Figure(
            "palette: distance of the scene to the palette ÷ without it", round(ratio, 3), at_most(0.6), command, spread
        ),
        Figure(
            "palette: largest change of a product's pixel, of 255",
            changed,
            at_most(0),
            command,
            f"{len(ratios)} scenes",
        ),
    ]


def scene_of(picture: backdrop.Picture) -> Floats:
    """The pixels [n, 3] outside the product's box, in L*a*b*."""
    assert picture.receipt is not None, "the task keeps pixels"
    box, pixels = picture.receipt.known_box, lab_of(picture.image())
    outside = np.ones(pixels.shape[:2], bool)
    outside[box.y : box.y + box.height, box.x : box.x + box.width] = False
    return np.asarray(pixels[::_EVERY, ::_EVERY][outside[::_EVERY, ::_EVERY]])


def distance(scene: Floats, colours: tuple[str, ...]) -> float:
    """Of pixels [n, 3] in L*a*b* to a palette, as this module defines it."""
    swatches = Image.new("RGB", (len(colours), 1))
    swatches.putdata([(int(each[1:3], 16), int(each[3:5], 16), int(each[5:7], 16)) for each in colours])
    apart = np.sqrt(np.square(scene[:, None] - lab_of(swatches)).sum(axis=2))
    share = max(1, len(scene) // (2 * len(colours)))
    nearest = np.sort(apart, axis=0)[:share]
    return float((apart.min(axis=1).mean() + nearest.mean()) / 2)


def lab_of(image: Image.Image) -> Floats:
    """An sRGB picture in L*a*b* [H, W, 3], by Little CMS: what measures is not what moved the colours."""
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert converted is not None, "not in place"
    values = np.asarray(converted)
    lightness, others = values[..., :1] * (100 / 255), values[..., 1:].astype(np.int8)
    return np.concatenate([lightness, others.astype(np.float64)], axis=2)
