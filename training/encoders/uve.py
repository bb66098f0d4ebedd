"""Trains UVE, the unified visual embedding, on every facet of a picture at once, with a binary code beside it.

Several softmax tasks over one embedding as in Zhai et al. 2019 (Pinterest's unified embedding), supervised contrasts
(Khosla et al. 2020) of scene with palette, which is what is searched for, and of time with palette, which is what a
style picture is asked for, and the same again on the signs of the binary head, whose gradient passes straight through
(Bengio et al. 2013). With the first contrast alone, pictures of one place draw together whatever their light: time of
day was then better known to CLIP than to UVE.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.networks.uve import UVE
from training.config import Config
from training.core import loop, networks
from training.data import shards
from training.data.attributes import FACETS, accuracies, facet_ids, naming_loss
from training.data.pictures import halves, look_again, pictures_to_tensor
from training.data.retrieval import gallery, kinds, precision

log = logging.getLogger(__name__)

STAGE = "uve"
WEIGHTS = (1.0, 1.0, 1.0, 0.3, 0.1)
"""How much each facet counts: a style is a place, its colours and its light; the product must not decide."""


class Tasks(nn.Module):
    """One linear classifier a facet, over an embedding brought to the scale that a softmax wants."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.heads = nn.ModuleList(nn.Linear(dim, len(names)) for names in FACETS.values())

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """Logits [B, classes] in the order of `FACETS`, of unit vectors [B, D]."""
        return [head(embedding * self.scale.exp()) for head in self.heads]


class Trainee(nn.Module):
    """UVE with the heads that are thrown away, so that one checkpoint holds them all."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.uve = networks.uve(config)
        self.named, self.named_by_signs = Tasks(config.uve.dim), Tasks(config.uve.dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding and the signs, both unit vectors [B, D]."""
        embedding, logits = self.uve.features(image)
        embedding, logits = embedding.float(), logits.float()
        squashed = torch.tanh(2 * logits)
        signs = squashed + (torch.where(logits > 0, 1.0, -1.0) - squashed).detach()
        return embedding, signs / signs.shape[1] ** 0.5


def contrast(embedding: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss of unit vectors [B, D]: every other picture of the same group is a positive."""
    likeness = embedding @ embedding.T / temperature
    itself = torch.eye(len(groups), dtype=torch.bool, device=embedding.device)
    positive = (groups[:, None] == groups[None]) & ~itself
    log_share = likeness - likeness.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    count = positive.sum(1)
    paired = count > 0
    return -((log_share * positive).sum(1)[paired] / count[paired]).mean()


def members(names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Indices of the pictures of every kind."""
    order = sorted(set(names))
    return [np.flatnonzero(np.array([name == kind for name in names])) for kind in order]


def train(config: Config) -> UVE:
    """Trains UVE and records its held-out figures."""
    torch.manual_seed(config.seed)
    device, c = loop.device(), config.uve
    model = Trainee(config)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0.02)
    average = loop.Average(model.uve, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    pictures = shards.load(config, "scene")
    pixels, ids = halves(pictures) if run.resume() < c.steps else None, facet_ids(pictures.rows)
    groups = members(kinds(pictures.rows))
    model.train()

    def body(step: int) -> dict[str, float]:
        assert pixels is not None
        rng = loop.generator(config, STAGE, step)
        drawn = rng.choice(len(groups), min(c.groups, len(groups)), replace=False)
        pick = np.concatenate([rng.choice(groups[int(n)], c.per_group) for n in drawn])
        # Half of a batch is balanced over the kinds, half as the world has them.
        pick[::2] = rng.integers(len(ids), size=len(pick[::2]))
        target = ids[pick].to(device)
        image = look_again(pictures_to_tensor(pixels[pick]), rng).to(device)
        with loop.half_precision():
            embedding, signs = model(image.contiguous(memory_format=torch.channels_last))
        named, by_signs = model.named(embedding), model.named_by_signs(signs)
        scene, palette, time = target[:, 0], target[:, 1], target[:, 2]
        place, look = scene * len(FACETS["palette"]) + palette, time * len(FACETS["palette"]) + palette
        parts = {
            "naming": naming_loss(named, target, WEIGHTS),
            "place": contrast(embedding, place, c.contrast_temperature),
            "look": 0.5 * contrast(embedding, look, c.contrast_temperature),
            "signs": naming_loss(by_signs, target, WEIGHTS),
            "signs_place": contrast(signs, place, c.contrast_temperature),
            "signs_look": 0.5 * contrast(signs, look, c.contrast_temperature),
        }
        loss = torch.stack(list(parts.values())).sum()
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, c.steps, c.learning_rate)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model.uve)
        seen = accuracies(named, target)
        return {**{key: float(part.detach()) for key, part in parts.items()}, "time": seen["time"]}

    run.loop(c.steps, body)
    model.uve.load_state_dict(average.weights)
    uve: UVE = model.uve.cpu().eval()
    scores = held_out(uve, shards.load(config, "held"), gallery(config))
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out retrieval: %s", scores)
    return uve


@torch.no_grad()
def embed(model: UVE, pictures: shards.PictureSet) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] and signs [N, D] (-1 or 1) of all pictures."""
    floats, signs = [], []
    for start in range(0, len(pictures), 64):
        images = pictures.at(np.arange(start, min(start + 64, len(pictures))))[0]
        embedding, binary = model(pictures_to_tensor(images))
        floats.append(embedding)
        signs.append(2 * binary - 1)
    return torch.cat(floats), torch.cat(signs)


def held_out(model: UVE, held: shards.PictureSet, found: shards.PictureSet, top: int = 10) -> dict[str, float]:
    """Precision and hit at `top` of "same scene and same palette", by the floats and by the signs; and the product's.

    The inner product of signs orders pictures as their Hamming distance does. `product` is the share of the first
    `top` that hold the same product: of twelve kinds, 0.083 is what chance gives.
    """
    asked, have = embed(model, held), embed(model, found)
    scores: dict[str, float] = {}
    for name, queries, among in zip(("float", "binary"), asked, have, strict=True):
        found_well = precision(queries, among, kinds(held.rows), kinds(found.rows), top)
        scores |= {f"{name}_{key}_at_{top}": value for key, value in found_well.items()}
    scores["binary_over_float"] = scores[f"binary_precision_at_{top}"] / max(scores[f"float_precision_at_{top}"], 1e-9)
    best = functional.normalize(asked[0], dim=1) @ functional.normalize(have[0], dim=1).T
    nearest = best.topk(min(top, best.shape[1]), dim=1).indices
    same = [
        [found.rows[n]["product"] == row["product"] for n in near]
        for row, near in zip(held.rows, nearest.tolist(), strict=True)
    ]
    scores["product_share"] = float(np.mean(same))
    return scores


def load(config: Config) -> UVE:
    """The trained embedding, as far as it has got."""
    return loop.load_average(config, STAGE, networks.uve(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
