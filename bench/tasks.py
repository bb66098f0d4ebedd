"""Measures the marks of the tasks and writes them to docs/figures/tasks.json.

usage: python -m bench.tasks [NAME …]

Without names: all but photographic, which needs `make photographic-upscaler`."""

from __future__ import annotations

import functools
import sys

import numpy as np

from backdrop.contract.canvas import MaskSource
from backdrop.contract.finishing import composite
from backdrop.contract.shadows import Shadow, shadowed_canvas
from bench import borders, checks, holes, mixed_tasks, scene_palette, scene_products, tiles, upscaling, whole_pictures
from bench.figures import Figure, at_most
from training.config import HELD_OUT_SEED
from training.world.picture import shadow_pair

AREA = "tasks"
_RENDERS = 200
_LEAST_DIFFERENCE = 0.02
"""Grey levels in the mean: a render whose product hangs over the border has hardly any shadow to compare with."""


def shadow() -> list[Figure]:
    """A contact shadow on the side where the renderer's light does not come from, everything else at its default."""
    ratios, changed = [], 0
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + _RENDERS):
        pair = shadow_pair(seed)
        if not pair.product_mask.any():
            continue
        falls = Shadow(direction=180.0 if pair.side > 0 else 0.0)
        canvas = shadowed_canvas(pair.without, pair.product_mask, MaskSource.REQUEST, falls)
        assert canvas.scene is not None
        picture = composite(canvas.scene, canvas)
        inside = pair.product_mask == 255
        changed += int((picture[inside] != pair.without[inside]).any(axis=-1).sum())
        none = np.abs(pair.without.astype(float) - pair.shaded).mean()
        if none > _LEAST_DIFFERENCE:
            ratios.append(np.abs(picture.astype(float) - pair.shaded).mean() / none)
    name = "shadow: error against the renderer's shadow ÷ that without a shadow, median"
    spread = f"quartiles {np.percentile(ratios, 25):.2f}–{np.percentile(ratios, 75):.2f} of {len(ratios)} renders"
    command = "python -m bench.tasks shadow"
    return [
        Figure(name, round(float(np.median(ratios)), 3), at_most(0.6), command, spread),
        Figure("shadow: product pixels that changed", changed, at_most(0), command, f"{_RENDERS} renders"),
    ]


CHECKS: dict[str, checks.Check] = {
    "shadow": shadow,
    "relight": functools.partial(borders.relight, "python -m bench.tasks relight"),
    "soft": functools.partial(borders.soft, "python -m bench.tasks soft"),
    "palette": functools.partial(scene_palette.palette, "python -m bench.tasks palette"),
    "upscale": upscaling.upscale,
    "photographic": upscaling.photographic,
    "expand": functools.partial(holes.expand, "python -m bench.tasks expand"),
    "fill": functools.partial(holes.fill, "python -m bench.tasks fill"),
    "erase": functools.partial(holes.erase, "python -m bench.tasks erase"),
    "text_to_image": functools.partial(whole_pictures.text_to_image, "python -m bench.tasks text_to_image"),
    "vary": functools.partial(whole_pictures.vary, "python -m bench.tasks vary"),
    "mixed": functools.partial(mixed_tasks.mixed, "python -m bench.tasks mixed"),
    "tiles": functools.partial(tiles.tiles, "python -m bench.tasks tiles"),
    "products": functools.partial(scene_products.products, "python -m bench.tasks products"),
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    default = [name for name in CHECKS if name != "photographic"]
    names = checks.parse_names("python -m bench.tasks", __doc__, [*CHECKS], default)
    return checks.run(AREA, names, CHECKS)


if __name__ == "__main__":
    sys.exit(main())
