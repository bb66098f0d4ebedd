"""Style pictures for training: embeddings of every training picture, and partners that share palette and time alone."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.config import Config
from training.core import loop
from training.data import shards
from training.data.pictures import pictures_to_tensor
from training.encoders import image_encoder, uve
from training.world.captions import says
from training.world.labels import Spec

log = logging.getLogger(__name__)

FILE = "styles.npz"


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of all training pictures: `uve` [N, Du] and `clip` [N, Dc], each row of length 1."""

    uve: Tensor
    clip: Tensor


@torch.no_grad()
def embed(config: Config, pictures: shards.PictureSet, count: int | None = None) -> Embeddings:
    """Runs both image encoders over the first `count` pictures."""
    tower, clip = uve.load(config).to(loop.device()), image_encoder.load(config).to(loop.device())
    rows: tuple[list[Tensor], list[Tensor]] = ([], [])
    for start in range(0, count or len(pictures), 64):
        images = pictures.at(np.arange(start, min(start + 64, count or len(pictures))))[0]
        pixels = pictures_to_tensor(images).to(loop.device())
        with loop.half_precision():
            rows[0].append(tower(pixels)[0].float().cpu())
            rows[1].append(image_encoder.embed(clip, pixels).float().cpu())
    return Embeddings(*(torch.nn.functional.normalize(torch.cat(part), dim=-1) for part in rows))


def load(config: Config) -> Embeddings:
    """The embeddings of the training pictures; made once, which takes a few minutes."""
    path = config.paths.work / FILE
    if not path.exists():
        log.info("embedding the training pictures")
        made = embed(config, shards.load(config, "scene"))
        staging = path.with_suffix(".tmp.npz")
        np.savez(staging, uve=made.uve.half().numpy(), clip=made.clip.half().numpy())
        staging.rename(path)
    stored = np.load(path)
    return Embeddings(torch.from_numpy(stored["uve"]).float(), torch.from_numpy(stored["clip"]).float())


class Partners:
    """Finds style pictures: a picture that shares palette and time of day with another, whatever its scene is.

    What style is, is said by this choice: a partner's scene and product are not taken over because they do not help.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        self._specs = specs
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, spec in enumerate(specs):
            groups[spec.palette, spec.time if says(spec)["time"] else ""].append(index)
        self._groups = {key: np.array(members) for key, members in groups.items()}

    def of(self, index: int, rng: np.random.Generator, itself: float = 0.25) -> int:
        """A style picture for the picture `index`; now and then the picture itself, as IP-Adapter is trained."""
        if rng.random() < itself:
            return index
        spec = self._specs[index]
        group = self._groups[spec.palette, spec.time if says(spec)["time"] else ""]
        return int(group[int(rng.integers(len(group)))])


def conditions(
    embeddings: Embeddings, partners: Partners, picks: NDArray[Any], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Style conditions of a batch: UVE [B, Du], CLIP [B, Dc], scale [B, 1].

    Some samples see one encoder alone, so that each learns to carry style by itself; some see no style picture at all.
    """
    chosen = torch.tensor([partners.of(int(index), rng) for index in picks])
    tower, clip = embeddings.uve[chosen], embeddings.clip[chosen]
    kind = torch.from_numpy(rng.random(len(picks)))[:, None]
    tower, clip = torch.where(kind < 0.15, 0.0, tower), torch.where((kind > 0.15) & (kind < 0.3), 0.0, clip)
    scale = torch.from_numpy((rng.random((len(picks), 1)) > 0.15).astype(np.float32))
    return tower.to(loop.device()), clip.to(loop.device()), scale.to(loop.device())
