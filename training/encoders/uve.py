"""Trains UVE, the unified visual embedding, and its binary code, on all attributes of a picture at once.

One embedding has several softmax tasks, as in Zhai et al. 2019 (Pinterest's unified embedding), and two supervised
contrastive losses (Khosla et al. 2020). The first is on scene and palette, which retrieval compares. The second is on
time and palette, which a style picture has to convey; without it, CLIP represents the time of day better than UVE. The
signs of the binary head have the same losses, with a straight-through gradient (Bengio et al. 2013).
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
from training.data.attributes import ATTRIBUTES, accuracies, attribute_ids, naming_loss
from training.data.pictures import augment, half_size, pictures_to_tensor
from training.data.retrieval import gallery, kinds, precision

log = logging.getLogger(__name__)

STAGE = "uve"
WEIGHTS = (1.0, 1.0, 1.0, 0.3, 0.1)
"""Weights of the attributes: style is place, colours and light, so the product has the least weight."""


class AttributeHeads(nn.Module):
    """One linear classifier per attribute, over the embedding times a learnt scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.heads = nn.ModuleList(nn.Linear(dim, len(names)) for names in ATTRIBUTES.values())

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """Logits [B, classes] in the order of `ATTRIBUTES`, of unit vectors [B, D]."""
        return [head(embedding * self.scale.exp()) for head in self.heads]


class Trainee(nn.Module):
    """UVE with its training heads in one module, for one checkpoint; the heads are not published."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.uve = networks.uve(config)
        self.named, self.named_by_signs = AttributeHeads(config.uve.dim), AttributeHeads(config.uve.dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding and the signs, both unit vectors [B, D]."""
        embedding, logits = self.uve.features(image)
        embedding, logits = embedding.float(), logits.float()
        squashed = torch.tanh(2 * logits)
        signs = squashed + (torch.where(logits > 0, 1.0, -1.0) - squashed).detach()
        return embedding, signs / signs.shape[1] ** 0.5


def contrast(embedding: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss of unit vectors [B, D]; all other pictures of the same group are positives."""
    similarity = embedding @ embedding.T / temperature
    itself = torch.eye(len(groups), dtype=torch.bool, device=embedding.device)
    positive = (groups[:, None] == groups[None]) & ~itself
    log_share = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    count = positive.sum(1)
    paired = count > 0
    return -((log_share * positive).sum(1)[paired] / count[paired]).mean()


def members(names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Indices of the pictures of each kind."""
    order = sorted(set(names))
    return [np.flatnonzero(np.array([name == kind for name in names])) for kind in order]


def train(config: Config) -> UVE:
    """Trains UVE and writes its held-out scores."""
    torch.manual_seed(config.seed)
    device, c = loop.device(), config.uve
    model = Trainee(config)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0.02)
    average = loop.Average(model.uve, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    pictures = shards.load(config, "scene")
    pixels, ids = half_size(pictures) if run.resume() < c.steps else None, attribute_ids(pictures.rows)
    groups = members(kinds(pictures.rows))
    model.train()

    def body(step: int) -> dict[str, float]:
        assert pixels is not None
        rng = loop.generator(config, STAGE, step)
        drawn = rng.choice(len(groups), min(c.groups, len(groups)), replace=False)
        pick = np.concatenate([rng.choice(groups[int(n)], c.per_group) for n in drawn])
        # Half of a batch is balanced over the kinds; the other half has the distribution of the world.
        pick[::2] = rng.integers(len(ids), size=len(pick[::2]))
        target = ids[pick].to(device)
        image = augment(pictures_to_tensor(pixels[pick]), rng).to(device)
        with loop.half_precision():
            embedding, signs = model(image.contiguous(memory_format=torch.channels_last))
        named, by_signs = model.named(embedding), model.named_by_signs(signs)
        scene, palette, time = target[:, 0], target[:, 1], target[:, 2]
        place, look = scene * len(ATTRIBUTES["palette"]) + palette, time * len(ATTRIBUTES["palette"]) + palette
        parts = {
            "naming": naming_loss(named, target, WEIGHTS),
            "place": contrast(embedding, place, c.contrast_temperature),
            "look": 0.5 * contrast(embedding, look, c.contrast_temperature),
            "signs": naming_loss(by_signs, target, WEIGHTS),
            "signs_place": contrast(signs, place, c.contrast_temperature),
            "signs_look": 0.5 * contrast(signs, look, c.contrast_temperature),
        }
        loss = torch.stack(list(parts.values())).sum()
        optimiser.param_groups[0]["lr"] = run.learning_rate(c.steps, c.learning_rate)
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


def held_out(model: UVE, held: shards.PictureSet, gallery_set: shards.PictureSet, top: int = 10) -> dict[str, float]:
    """Precision and hit at `top` for "same scene and same palette", by the floats and by the binary code.

    The inner product of signs orders pictures as their Hamming distance does. `product_share` is the share of the first
    `top` with the same product; with twelve kinds of product, chance gives 0.083.
    """
    query_embeddings, gallery_embeddings = embed(model, held), embed(model, gallery_set)
    scores: dict[str, float] = {}
    for name, queries, candidates in zip(("float", "binary"), query_embeddings, gallery_embeddings, strict=True):
        ranking = precision(queries, candidates, kinds(held.rows), kinds(gallery_set.rows), top)
        scores |= {f"{name}_{key}_at_{top}": value for key, value in ranking.items()}
    scores["binary_over_float"] = scores[f"binary_precision_at_{top}"] / max(scores[f"float_precision_at_{top}"], 1e-9)
    best = functional.normalize(query_embeddings[0], dim=1) @ functional.normalize(gallery_embeddings[0], dim=1).T
    nearest = best.topk(min(top, best.shape[1]), dim=1).indices
    same = [
        [gallery_set.rows[n]["product"] == row["product"] for n in near]
        for row, near in zip(held.rows, nearest.tolist(), strict=True)
    ]
    scores["product_share"] = float(np.mean(same))
    return scores


def load(config: Config) -> UVE:
    """The embedding of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.uve(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
