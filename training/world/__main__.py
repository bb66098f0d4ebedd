"""Writes pictures of the procedural world (`python -m training.world --out DIR`), or one product as users send it."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from training.world.labels import COLOURS, PRODUCTS, Spec, draw_spec
from training.world.picture import plain_photo, render
from training.world.products import MAKERS, make_product
from training.world.sky import Light

log = logging.getLogger(__name__)


def sample_product(path: Path, size: int, product: str, colour: str) -> None:
    """Writes a cut-out (RGBA) at `path`, and `photo.png` in the same folder: the product on a plain background."""
    spec = Spec(22, "studio", "day", "clear", "natural", "white", "plain", product, colour)
    white = Light(side=-1.0, tint=np.ones((3, 1, 1), np.float32), shadow=0.3)
    share = MAKERS[product][2][1]
    planes = make_product(spec, white, size, np.random.default_rng(spec.seed), share=share)
    rows, columns = planes.shape[1:]
    canvas = np.zeros((size, size, 4), np.uint8)
    top, left = int(size * 0.90) - rows, (size - columns) // 2
    canvas[top : top + rows, left : left + columns] = (planes.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas, "RGBA").save(path, optimize=True)
    photo = path.with_name("photo.png")
    Image.fromarray(plain_photo(spec.seed, size, spec, share=share).image).save(photo, optimize=True)
    log.info("%s and %s", path, photo)


def sample_pictures(out: Path, count: int, first_seed: int, size: int) -> None:
    """Writes pictures, product cut-outs and captions, and one contact sheet of them all."""
    out.mkdir(parents=True, exist_ok=True)
    rows, tiles = [], []
    for seed in range(first_seed, first_seed + count):
        picture = render(seed, size)
        Image.fromarray(picture.image).save(out / f"{seed:08d}.png")
        Image.fromarray(picture.product, "RGBA").save(out / f"{seed:08d}.product.png")
        rows.append({"caption": picture.caption, "background": picture.background, **asdict(draw_spec(seed))})
        tiles.append(picture.image)
    (out / "captions.json").write_text(json.dumps(rows, indent=1) + "\n")
    across = max(1, round(count**0.5))
    tiles += [np.full_like(tiles[0], 255)] * (-count % across)
    lines = [np.concatenate(tiles[start : start + across], axis=1) for start in range(0, len(tiles), across)]
    Image.fromarray(np.concatenate(lines, axis=0)).save(out / "sheet.png")
    log.info("%d pictures in %s", count, out)


def main() -> None:
    """Reads the command line and writes the pictures."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sample-product", type=Path)
    parser.add_argument("--product", choices=PRODUCTS, default="perfume")
    parser.add_argument("--colour", choices=list(COLOURS), default="pink")
    arguments = parser.parse_args()
    if arguments.sample_product:
        sample_product(arguments.sample_product, max(arguments.size, 64), arguments.product, arguments.colour)
    if arguments.out:
        sample_pictures(arguments.out, arguments.count, arguments.first_seed, arguments.size)


if __name__ == "__main__":
    main()
