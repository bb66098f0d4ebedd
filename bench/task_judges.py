"""What judges made pictures, outside the cluster: scenes, kinds of product, and the segmenter."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from bench.figures import ROOT
from export.networks.segmenter import Segmenter
from training.config import HELD_OUT_SEED, Config
from training.data.pictures import pictures_to_tensor
from training.judges import classifier, product_judge
from training.publish.weights_folder import WeightsFolder
from training.world.labels import Spec, draw_spec
from training.world.picture import empty_scene, render

Bytes = npt.NDArray[np.uint8]
WEIGHTS = ROOT / "training" / "weights" / "backdrop"
SIDE = 256
SHORT_TRAINING = "stage 1 had 9,897 steps on the mixture of tasks, and the adapter of surroundings 1,800, on two cores"
_LEAST = 400
"""Pixels of a product: one that hangs over the border has hardly anything to make or to erase."""


@dataclasses.dataclass(frozen=True)
class Held:
    """A held-out picture, with and without its product: uint8 [256, 256, 3], and the product's mask [256, 256]."""

    seed: int
    spec: Spec
    picture: Bytes
    scene: Bytes
    product: Bytes


def held(count: int, first: int = HELD_OUT_SEED) -> Iterator[Held]:
    """`count` held-out pictures whose products can be seen."""
    seed = first
    while count:
        picture = render(seed)
        if (picture.product_mask > 127).sum() >= _LEAST:
            spec = draw_spec(seed)
            yield Held(seed, spec, picture.image, empty_scene(seed, SIDE, spec), picture.product_mask)
            count -= 1
        seed += 1


class Judges:
    """The networks that judge, loaded once."""

    def __init__(self) -> None:
        config = Config()
        self._scenes, self._kinds = classifier.load(config), product_judge.load(config)
        self._segmenter = WeightsFolder(WEIGHTS).read(Segmenter, "segmenter")

    def scenes(self, pictures: list[Bytes]) -> list[str]:
        """The most likely scene of each picture [256, 256, 3]."""
        return classifier.name(self._scenes, pictures_to_tensor(np.stack(pictures)))["scene"]

    def kind(self, picture: Bytes, place: npt.NDArray[np.bool_]) -> str:
        """The kind of product in a place [H, W] of a picture [H, W, 3], or "none"."""
        if not place.any():
            return product_judge.NONE
        cutout = product_judge.cut(picture, product_judge.square_around(place, 0.15))
        return product_judge.kinds_of(self._kinds, [cutout])[0]

    @torch.no_grad()
    def product_place(self, picture: Bytes) -> npt.NDArray[np.bool_]:
        """Where the segmenter sees a product [H, W]."""
        alpha = self._segmenter(pictures_to_tensor(picture[None]))[0, 0]
        return np.asarray(alpha.numpy() > 0.5)
