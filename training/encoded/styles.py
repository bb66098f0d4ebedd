"""Style pictures for training: embeddings of all training pictures, and the choice of a style picture for each."""

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
    """Embeddings of all training pictures, `uve` [N, Du] and `clip` [N, Dc]; rows have L2 norm 1."""

    uve: Tensor
    clip: Tensor


@torch.no_grad()
def embed(config: Config, pictures: shards.PictureSet, count: int | None = None) -> Embeddings:
    """Runs both image encoders on the first `count` pictures."""
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
    """The embeddings of the training pictures; computed once, which takes a few minutes, and saved."""
    path = config.paths.work / FILE
    if not path.exists():
        log.info("embedding the training pictures")
        embeddings = embed(config, shards.load(config, "scene"))
        staging = path.with_suffix(".tmp.npz")
        np.savez(staging, uve=embeddings.uve.half().numpy(), clip=embeddings.clip.half().numpy())
        staging.rename(path)
    stored = np.load(path)
    return Embeddings(torch.from_numpy(stored["uve"]).float(), torch.from_numpy(stored["clip"]).float())


class Partners:
    """Chooses style pictures: a picture with the same palette and time of day as another, of any scene.

    This choice defines style. Scene and product of the style picture do not help to predict the sample, so the adapter
    learns to ignore them.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        self._specs = specs
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, spec in enumerate(specs):
            groups[spec.palette, spec.time if says(spec)["time"] else ""].append(index)
        self._groups = {key: np.array(members) for key, members in groups.items()}

    def of(self, index: int, rng: np.random.Generator, itself: float = 0.25) -> int:
        """A style picture for the picture `index`; with probability `itself`, the picture itself, as for IP-Adapter."""
        if rng.random() < itself:
            return index
        spec = self._specs[index]
        group = self._groups[spec.palette, spec.time if says(spec)["time"] else ""]
        return int(group[int(rng.integers(len(group)))])


def conditions(
    embeddings: Embeddings, partners: Partners, picks: NDArray[Any], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Style embeddings of a batch: UVE [B, Du], CLIP [B, Dc], scale [B, 1].

    30 % of the samples have one of the two encoders alone, so that each can convey style; 15 % have no style picture.
    """
    chosen = torch.tensor([partners.of(int(index), rng) for index in picks])
    tower, clip = embeddings.uve[chosen], embeddings.clip[chosen]
    kind = torch.from_numpy(rng.random(len(picks)))[:, None]
    tower, clip = torch.where(kind < 0.15, 0.0, tower), torch.where((kind > 0.15) & (kind < 0.3), 0.0, clip)
    scale = torch.from_numpy((rng.random((len(picks), 1)) > 0.15).astype(np.float32))
    return tower.to(loop.device()), clip.to(loop.device()), scale.to(loop.device())
