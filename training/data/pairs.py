"""Pairs of a good and a bad version of a picture, with texts that match it and texts that do not.

The bad version is damaged, or both are degraded. Or an early checkpoint of the pipeline made the bad version, and a
late one the good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.data.attributes import NOT_VISIBLE, attribute_ids
from training.data.caption_match import match_table
from training.data.corruption import DEGRADATIONS, VISIBLE, damage, degrade
from training.data.pictures import pictures_to_tensor, product_masks
from training.data.shards import PictureSet, spec_of
from training.world.captions import background_prompt, full_caption

DEGRADED = 0.4
"""Share of pairs of which both pictures are also degraded."""
SPOILT = 0.25
"""Above this strength of degradation the damage may be invisible, so it is not judged."""
UNJUDGED = -1.0
CHECKPOINT_SHARE = 0.25
"""Share of pairs that checkpoints of the pipeline made."""
RECONSTRUCTED_LOOK, LATE_LOOK = 0.85, 0.7
"""The looks of a picture that was encoded and decoded, and of one that a late checkpoint made: they have less detail
than a render, whose look is 1."""
GHOST_LOOK, EARLY_LOOK = 0.45, 0.3
"""The looks of a picture with a ghost, and of one that an early checkpoint made."""
FAULTY = 0.6
"""Pictures with a fault have looks below it."""


@dataclass(frozen=True)
class Batch:
    """Pictures [2P, ...]: P intact ones, then the same ones damaged; texts [P] of the intact ones."""

    image: Tensor
    mask: Tensor
    intact: Tensor
    """[2P]: 1 for an intact picture, 0 for a damaged one, `UNJUDGED` if degradation hides which."""
    places: Tensor
    """[2P, 1, H/8, W/8]: 1 where the damage lies, 0 elsewhere; all `UNJUDGED` if degradation hides it."""
    looks: Tensor
    """[2P]: 1 for a render, lower with lost detail and with faults; below `FAULTY` with a fault."""
    texts: list[str]
    fits: Tensor
    """[2P, P]: 1 where the text matches the picture, 0 where it does not, `UNJUDGED` for pictures of a checkpoint."""
    attributes: Tensor


def damaged_places(damaged: Tensor, image: Tensor) -> Tensor:
    """Which 8x8 blocks of a picture [1, 3, H, W] changed visibly: [1, 1, H/8, W/8] of 0 and 1."""
    return (functional.avg_pool2d((damaged - image).abs().mean(1, keepdim=True), 8) > VISIBLE / 2).float()


@dataclass(frozen=True)
class Pair:
    """One picture [1, 3, H, W] intact (`good`) and damaged (`bad`)."""

    index: int
    good: Tensor
    bad: Tensor
    mask: Tensor
    intact: tuple[float, float]
    places: tuple[Tensor, Tensor]
    looks: tuple[float, float]
    of_checkpoints: bool = False
    """Whether checkpoints of the pipeline made it; nobody knows then what the pictures show."""


class Pairs:
    """Draws intact and damaged versions of the same pictures."""

    def __init__(
        self,
        pictures: PictureSet,
        reconstructed: NDArray[np.uint8] | None,
        checkpoints: NDArray[np.uint8] | None = None,
    ) -> None:
        """`reconstructed` are the first pictures with their background encoded and decoded.

        `checkpoints` are backgrounds of the first products by an early and by a late checkpoint, [2, N, H, W, 3].
        """
        self.pictures, self.reconstructed, self.checkpoints = pictures, reconstructed, checkpoints
        self.attributes = attribute_ids(pictures.rows)
        scenes = sorted({row["scene"] for row in pictures.rows})
        self.by_scene = [
            np.array([n for n, row in enumerate(pictures.rows) if row["scene"] == scene]) for scene in scenes
        ]

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` pairs of at most four scenes: telling captions of the same scene apart is what is hard."""
        chosen = rng.choice(len(self.by_scene), min(4, len(self.by_scene)), replace=False)
        pairs = [self._pair(rng, self.by_scene[int(chosen[n % len(chosen)])], n % 2 == 0) for n in range(count)]
        picks = [pair.index for pair in pairs]
        rows = [self.pictures.rows[index] for index in picks]
        specs = [spec_of(row) for row in rows]
        texts = [background_prompt(spec, rng) if rng.random() < 0.6 else full_caption(spec, rng) for spec in specs]
        told = torch.tensor([not pair.of_checkpoints for pair in pairs])[:, None]
        fits = torch.where(told, match_table(rows, texts, specs), UNJUDGED)
        attributes = torch.where(told, self.attributes[picks], NOT_VISIBLE)
        return Batch(
            image=torch.cat([pair.good for pair in pairs] + [pair.bad for pair in pairs]),
            mask=torch.cat([pair.mask for pair in pairs] * 2),
            intact=torch.tensor([pair.intact for pair in pairs]).T.flatten(),
            places=torch.cat([pair.places[0] for pair in pairs] + [pair.places[1] for pair in pairs]),
            looks=torch.tensor([pair.looks for pair in pairs]).T.flatten(),
            texts=texts,
            fits=torch.cat([fits, fits]),
            attributes=torch.cat([attributes, attributes]),
        )

    def _pair(self, rng: np.random.Generator, among: NDArray[np.int64], from_reconstructed: bool) -> Pair:
        if (
            self.checkpoints is not None
            and (among < len(self.checkpoints[0])).any()
            and rng.random() < CHECKPOINT_SHARE
        ):
            return self._of_checkpoints(rng, among)
        index, image, mask, whole = self._intact(rng, among, from_reconstructed)
        damaged = damage(image, mask, rng)
        damaged_image, seen = (image, UNJUDGED) if damaged is None else (damaged.image, 0.0)
        where, judged = damaged_places(damaged_image, image), 1.0
        looks = (whole, GHOST_LOOK if damaged is not None and damaged.kind == "ghost" else whole)
        if rng.random() < DEGRADED:
            strength = float(rng.random())
            kind, again = DEGRADATIONS[int(rng.integers(len(DEGRADATIONS)))], int(rng.integers(2**31))
            image, damaged_image = (
                degrade(kind, x, strength, np.random.default_rng(again)) for x in (image, damaged_image)
            )
            look = 0.55 - 0.55 * strength
            looks = (look, min(look, looks[1]))
            judged, seen = (UNJUDGED, UNJUDGED) if strength > SPOILT else (judged, seen)
        unknown = torch.full_like(where, UNJUDGED)
        places = (torch.zeros_like(where) if judged == 1 else unknown, where if seen == 0 else unknown)
        return Pair(index, image, damaged_image, mask, (judged, seen), places, looks)

    def _of_checkpoints(self, rng: np.random.Generator, among: NDArray[np.int64]) -> Pair:
        assert self.checkpoints is not None
        among = among[among < len(self.checkpoints[0])]
        index = int(among[int(rng.integers(len(among)))])
        bad, good = (pictures_to_tensor(np.array(side[index : index + 1])) for side in self.checkpoints)
        mask = product_masks(self.pictures.at(np.array([index]))[1])
        if rng.random() < 0.5:
            good, bad, mask = good.flip(-1), bad.flip(-1), mask.flip(-1)
        unknown = torch.full_like(damaged_places(bad, good), UNJUDGED)
        judged, looks = (UNJUDGED, UNJUDGED), (LATE_LOOK, EARLY_LOOK)
        return Pair(index, good, bad, mask, judged, (unknown, unknown), looks, of_checkpoints=True)

    def _intact(
        self, rng: np.random.Generator, among: NDArray[np.int64], from_reconstructed: bool
    ) -> tuple[int, Tensor, Tensor, float]:
        """Index, picture, background mask and look of one of `among`: mirrored half the time.

        It is a reconstructed one if any is available.
        """
        reconstructed = self.reconstructed if from_reconstructed else None
        if reconstructed is not None and (among < len(reconstructed)).any():
            among = among[among < len(reconstructed)]
        index, look = int(among[int(rng.integers(len(among)))]), 1.0
        images, masks = self.pictures.at(np.array([index]))
        if reconstructed is not None and index < len(reconstructed):
            images, look = np.array(reconstructed[index : index + 1]), RECONSTRUCTED_LOOK
        image, mask = pictures_to_tensor(images), product_masks(masks)
        return (index, image.flip(-1), mask.flip(-1), look) if rng.random() < 0.5 else (index, image, mask, look)
