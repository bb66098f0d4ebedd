"""Pairs of pictures that differ in nothing but controlled damage, with texts that are and are not true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.data.attributes import facet_ids
from training.data.caption_match import fitting
from training.data.corruption import DEGRADATIONS, VISIBLE, damage, degrade
from training.data.pictures import pictures_to_tensor, product_masks
from training.data.shards import PictureSet
from training.encoders.text_encoders import spec_of
from training.world.captions import background_prompt, full_caption

DEGRADED = 0.4
"""Share of pairs that are degraded as a whole besides."""
SPOILT = 0.25
"""From this strength of degradation on, damage is not asked after: it can no longer be seen for certain."""
UNJUDGED = -1.0


@dataclass(frozen=True)
class Batch:
    """Pictures [2P, ...]: P whole ones, then the same ones damaged; texts [P] of the whole ones."""

    image: Tensor
    mask: Tensor
    intact: Tensor
    """1 where nothing is damaged, 0 where something is, `UNJUDGED` where it cannot be said."""
    places: Tensor
    """[2P, 1, H/8, W/8]: 1 where the damage lies, 0 elsewhere, `UNJUDGED` throughout where it cannot be said."""
    looks: Tensor
    """1 where not degraded, falling to 0 with strength."""
    texts: list[str]
    fits: Tensor
    """[2P, P]: which text is true of which picture."""
    facets: Tensor


def damaged_places(damaged: Tensor, image: Tensor) -> Tensor:
    """Which 8x8 blocks of a picture [1, 3, H, W] were changed visibly: [1, 1, H/8, W/8] of 0 and 1."""
    return (functional.avg_pool2d((damaged - image).abs().mean(1, keepdim=True), 8) > VISIBLE / 2).float()


@dataclass(frozen=True)
class Pair:
    """One whole picture [1, 3, H, W] and the same one damaged."""

    index: int
    good: Tensor
    bad: Tensor
    mask: Tensor
    intact: tuple[float, float]
    places: tuple[Tensor, Tensor]
    looks: float


class Pairs:
    """Draws whole and damaged versions of the same pictures."""

    def __init__(self, pictures: PictureSet, soft: NDArray[np.uint8] | None) -> None:
        """`soft` are the first pictures with their background by way of the autoencoder."""
        self.pictures, self.soft = pictures, soft
        self.facets = facet_ids(pictures.rows)
        scenes = sorted({row["scene"] for row in pictures.rows})
        self.by_scene = [
            np.array([n for n, row in enumerate(pictures.rows) if row["scene"] == scene]) for scene in scenes
        ]

    def make(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` pairs of a few scenes only: captions of the same scene are the ones that are hard to tell apart."""
        chosen = rng.choice(len(self.by_scene), min(4, len(self.by_scene)), replace=False)
        pairs = [self._pair(rng, self.by_scene[int(chosen[n % len(chosen)])], n % 2 == 0) for n in range(count)]
        picks = [pair.index for pair in pairs]
        rows = [self.pictures.rows[index] for index in picks]
        specs = [spec_of(row) for row in rows]
        texts = [background_prompt(spec, rng) if rng.random() < 0.6 else full_caption(spec, rng) for spec in specs]
        fits, looks = fitting(rows, texts, specs), [pair.looks for pair in pairs]
        return Batch(
            image=torch.cat([pair.good for pair in pairs] + [pair.bad for pair in pairs]),
            mask=torch.cat([pair.mask for pair in pairs] * 2),
            intact=torch.tensor([pair.intact for pair in pairs]).T.flatten(),
            places=torch.cat([pair.places[0] for pair in pairs] + [pair.places[1] for pair in pairs]),
            looks=torch.tensor(looks + looks),
            texts=texts,
            fits=torch.cat([fits, fits]),
            facets=self.facets[picks + picks],
        )

    def _pair(self, rng: np.random.Generator, among: NDArray[np.int64], soften: bool) -> Pair:
        index, image, mask = self._whole(rng, among, soften)
        damaged = damage(image, mask, rng)
        broken, seen = (image, UNJUDGED) if damaged is None else (damaged, 0.0)
        where, look, judged = damaged_places(broken, image), 1.0, 1.0
        if rng.random() < DEGRADED:
            strength = float(rng.random())
            kind, again = DEGRADATIONS[int(rng.integers(len(DEGRADATIONS)))], int(rng.integers(2**31))
            image, broken = (degrade(kind, x, strength, np.random.default_rng(again)) for x in (image, broken))
            look = 0.55 - 0.55 * strength
            judged, seen = (UNJUDGED, UNJUDGED) if strength > SPOILT else (judged, seen)
        unknown = torch.full_like(where, UNJUDGED)
        places = (torch.zeros_like(where) if judged == 1 else unknown, where if seen == 0 else unknown)
        return Pair(index, image, broken, mask, (judged, seen), places, look)

    def _whole(self, rng: np.random.Generator, among: NDArray[np.int64], soften: bool) -> tuple[int, Tensor, Tensor]:
        """One of the pictures `among`, perhaps mirrored, and its background mask; a softened one where there is one."""
        soft = self.soft if soften else None
        if soft is not None and (among < len(soft)).any():
            among = among[among < len(soft)]
        index = int(among[int(rng.integers(len(among)))])
        images, masks = self.pictures.at(np.array([index]))
        if soft is not None and index < len(soft):
            images = np.array(soft[index : index + 1])
        image, mask = pictures_to_tensor(images), product_masks(masks)
        return (index, image.flip(-1), mask.flip(-1)) if rng.random() < 0.5 else (index, image, mask)
