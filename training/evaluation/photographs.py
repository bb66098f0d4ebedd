"""Compares the statistics of renders and of made pictures with those of photographs.

usage: python -m training.evaluation.photographs FOLDER [--count N]

The rendered world is all that the models know, so what it lacks, their pictures lack too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from training.core import loop
from training.data.pictures import pictures_to_tensor
from training.evaluation.context import Context
from training.evaluation.detail import finest_octave
from training.evaluation.figures import Figure, update
from training.evaluation.statistics import bootstrap

SIDE, BLOCK, OCTAVES = 256, 8, 5
FLAT = 2 / 127.5
"""Standard deviation of grey in [-1, 1] below which a block has no texture: two levels of 255."""


def grey(pictures: Tensor) -> Tensor:
    """Rec. 601 luma [N, 1, H, W] of pictures [N, 3, H, W]."""
    weights = pictures.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    return (pictures * weights).sum(1, keepdim=True)


def fine_share(pictures: Tensor) -> Tensor:
    """Energy of the two finest octaves over that of the five finest: [N]. Photographs have about as much in each."""
    rest, energies = grey(pictures), []
    for _ in range(OCTAVES):
        energies.append(finest_octave(rest))
        rest = avg_pool2d(rest, 2)
    total = torch.stack(energies).sum(0).clamp(min=1e-9)
    return (energies[0] + energies[1]) / total


def gradient_kurtosis(pictures: Tensor) -> Tensor:
    """Kurtosis of the differences of neighbouring grey values [N]: high for few hard edges between smooth areas."""
    step = grey(pictures).diff(dim=-1).flatten(1)
    spread = (step - step.mean(1, keepdim=True)) ** 2
    return (spread**2).mean(1) / (spread.mean(1) ** 2).clamp(min=1e-12)


def flat_share(pictures: Tensor) -> Tensor:
    """Share of 8 x 8 blocks without texture: [N]."""
    luma = grey(pictures)
    variance = avg_pool2d(luma**2, BLOCK) - avg_pool2d(luma, BLOCK) ** 2
    return (variance.clamp(min=0).sqrt() < FLAT).float().mean((1, 2, 3))


def colour_spread(pictures: Tensor) -> Tensor:
    """Mean standard deviation of red minus green, and of yellow minus blue, within a picture: [N]."""
    red, green, blue = pictures.unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)
    return opponents.flatten(2).std(2).mean(1)


MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "energy of the two finest octaves over five": fine_share,
    "kurtosis of the gradient": gradient_kurtosis,
    "share of blocks without texture": flat_share,
    "spread of colours within a picture": colour_spread,
}


def photographs(folder: Path) -> Tensor:
    """The middle squares of the colour pictures in a folder, at 256 pixels a side: [N, 3, 256, 256] in [-1, 1].

    Raises:
        FileNotFoundError: the folder has none.
    """
    squares = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            continue
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        squares.append(np.asarray(square))
    if not squares:
        raise FileNotFoundError(f"{folder} has no PNG or JPEG files")
    return pictures_to_tensor(np.stack(squares))


def figures(sets: Mapping[str, Tensor]) -> list[Figure]:
    """Every measure of every set of pictures: means over the pictures."""
    rows = []
    for measure, of in MEASURES.items():
        for name, pictures in sets.items():
            values = of(pictures).tolist()
            rows.append(Figure(f"{measure}, {name}", float(np.mean(values)), None, "higher", bootstrap(values)))
    return rows


def main() -> None:
    """Reads the command line, measures, and writes the figures into the file of the models."""
    parser = loop.stage_parser(__doc__)
    parser.prog = "python -m training.evaluation.photographs"
    parser.add_argument("folder", type=Path, help="a folder of photographs, PNG or JPEG, at least 256 pixels a side")
    parser.add_argument("--count", type=int, default=80, help="renders and made pictures (default: %(default)s)")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures/models.json"), help="default: %(default)s")
    arguments = parser.parse_args()
    context = Context(loop.chosen_config(arguments), arguments.count)
    sets = {
        "photographs": photographs(arguments.folder),
        "renders": context.rendered(0, arguments.count),
        "made by backdrop": context.scenes("backdrop"),
    }
    measured = figures(sets)
    for figure in measured:
        print(figure)  # noqa: T201
    update(arguments.figures, measured, f"python -m training.evaluation.photographs FOLDER --count {arguments.count}")


if __name__ == "__main__":
    main()
