"""Trains a classifier of what stands in a place of a picture; evaluation judges made products with it.

It names the kind of product, or none, in a square cut-out, and the product's colour. It is not served and shares no
weights with served models.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.config import Config
from training.core import loop
from training.data import shards
from training.data.cutouts import empty_scenes
from training.data.pictures import augment, pictures_to_tensor
from training.judges.trunk import Trunk, read_weights, write_weights
from training.world.labels import COLOURS, PRODUCTS

log = logging.getLogger(__name__)

STAGE = "product_judge"
SIDE = 64
"""Side of the cut-outs that it sees, in pixels."""
NONE = "none"
KINDS = (*PRODUCTS, NONE)
_IGNORED = -100
_EMPTY_SHARE = 0.15


@dataclass(frozen=True)
class Square:
    """A square in a picture, in pixels; it may reach beyond the picture."""

    top: int
    left: int
    side: int


class ProductJudge(Trunk):
    """A small convolutional network on cut-outs."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__(channels)
        self.body = nn.Sequential(nn.Linear(17 * channels[-1], 128), nn.SiLU(), nn.Dropout(0.1))
        self.kind, self.colour = nn.Linear(128, len(KINDS)), nn.Linear(128, len(COLOURS))

    def forward(self, cutouts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of `KINDS` [B, 13] and of colours [B, 12], of cut-outs [B, 3, 64, 64] in [-1, 1]."""
        x = self.features(cutouts)
        # A silhouette is recognised by what is where.
        body = self.body(torch.cat([functional.adaptive_avg_pool2d(x, 4).flatten(1), x.amax(dim=(2, 3))], dim=1))
        return self.kind(body), self.colour(body)


def square_around(mask: NDArray[np.bool_], margin: float) -> Square:
    """The square around what a mask [H, W] marks, larger than its longer side by `margin` of it.

    Raises:
        ValueError: if the mask marks nothing.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("the mask marks nothing")
    side = round(float(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1) * (1 + margin))
    return Square(int(rows[0] + rows[-1] + 1 - side) // 2, int(columns[0] + columns[-1] + 1 - side) // 2, max(side, 8))


def cut(image: NDArray[np.uint8], square: Square) -> Tensor:
    """The square of a picture [H, W, 3] as [3, 64, 64] in [-1, 1]; beyond the picture its last pixels continue."""
    rows, columns = (np.arange(start, start + square.side) for start in (square.top, square.left))
    inside = image[rows.clip(0, image.shape[0] - 1)[:, None], columns.clip(0, image.shape[1] - 1)]
    return functional.interpolate(pictures_to_tensor(inside[None]), size=(SIDE, SIDE), mode="area")[0]


class Cutouts:
    """Draws training cut-outs: products with a margin of every width, and places where no product is."""

    def __init__(self, config: Config) -> None:
        self._pictures = shards.load(config, "scene")
        self._empty = empty_scenes(config, config.small.empty_scenes)

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cut-outs [B, 3, 64, 64], kinds [B] and colours [B]; the colour of an empty place is ignored."""
        picks = rng.integers(len(self._pictures), size=count)
        images, masks = self._pictures.at(picks)
        cutouts, kinds, colours = [], [], []
        for pick, image, mask in zip(picks, images, masks, strict=True):
            row = self._pictures.rows[int(pick)]
            square = square_around(mask > 127, float(rng.uniform(0, 0.5)))
            jitter = square.side // 12 + 1
            square = Square(
                square.top + int(rng.integers(-jitter, jitter + 1)),
                square.left + int(rng.integers(-jitter, jitter + 1)),
                square.side,
            )
            empty = rng.random() < _EMPTY_SHARE
            source = self._empty[int(rng.integers(len(self._empty)))] if empty else image
            cutouts.append(cut(source, square))
            kinds.append(KINDS.index(NONE if empty else row["product"]))
            colours.append(_IGNORED if empty else list(COLOURS).index(row["colour"]))
        return torch.stack(cutouts), torch.tensor(kinds), torch.tensor(colours)


def train(config: Config) -> ProductJudge:
    """Trains, and writes fp16 weights and the held-out accuracy."""
    torch.manual_seed(config.seed)
    device, small = loop.device(), config.small
    model = ProductJudge(small.classifier_channels).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=small.learning_rate, weight_decay=0.02)
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    cutouts = Cutouts(config)
    model.train()

    def body(step: int) -> dict[str, float]:
        rng = loop.generator(config, STAGE, step)
        image, kinds, colours = (each.to(device) for each in cutouts.batch(rng, small.product_judge_batch))
        with loop.half_precision():
            kind_logits, colour_logits = model(augment(image, rng))
        loss = functional.cross_entropy(kind_logits.float(), kinds)
        if bool((colours != _IGNORED).any()):
            loss = loss + 0.5 * functional.cross_entropy(colour_logits.float(), colours, ignore_index=_IGNORED)
        optimiser.param_groups[0]["lr"] = run.learning_rate(small.product_judge_steps, small.learning_rate)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {"loss": loss.item(), "kind": float((kind_logits.argmax(1) == kinds).float().mean())}

    run.loop(small.product_judge_steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    share = accuracy(model, shards.load(config, "held"))
    folder = config.paths.product_judge
    write_weights(model, folder)
    record = {"channels": small.classifier_channels, "held_out_accuracy": share, "steps": run.step, "seed": config.seed}
    (folder / "config.json").write_text(json.dumps(record, indent=2) + "\n")
    log.info("held-out accuracy on rendered products: %.3f", share)
    return model


@torch.no_grad()
def kinds_of(model: ProductJudge, cutouts: list[Tensor]) -> list[str]:
    """The most likely kind of each cut-out [3, 64, 64]."""
    return [KINDS[n] for n in model(torch.stack(cutouts))[0].argmax(1).tolist()] if cutouts else []


def accuracy(model: ProductJudge, held: shards.PictureSet) -> float:
    """The share of rendered products whose kind it names."""
    images, masks = held.at(np.arange(len(held)))
    seen = [n for n, mask in enumerate(masks) if (mask > 127).any()]
    cutouts = [cut(images[n], square_around(masks[n] > 127, 0.2)) for n in seen]
    pairs = zip(kinds_of(model, cutouts), seen, strict=True)
    return float(np.mean([kind == held.rows[n]["product"] for kind, n in pairs]))


def load(config: Config) -> ProductJudge:
    """The trained judge, from its published weights."""
    folder = config.paths.product_judge
    model = ProductJudge(tuple(json.loads((folder / "config.json").read_text())["channels"]))
    read_weights(model, folder)
    return model


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
