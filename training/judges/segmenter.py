"""Trains the segmenter on products in scenes, on plain backgrounds, and pasted into other scenes.

Two kinds of product are left out of training, to measure the segmenter on unseen products.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from export.networks.segmenter import Segmenter
from training.config import Config
from training.core import loop, networks
from training.data import shards
from training.data.cutouts import Paster, empty_scenes
from training.data.pictures import pictures_to_tensor, product_masks
from training.world.labels import UNSEEN_PRODUCTS

log = logging.getLogger(__name__)

STAGE = "segmenter"


def _widest(x: Tensor) -> Tensor:
    """The maximum within two pixels; separable, by rows and then by columns."""
    return functional.max_pool2d(functional.max_pool2d(x, (5, 1), 1, (2, 0)), (1, 5), 1, (0, 2))


def alpha_loss(logits: Tensor, real: Tensor) -> Tensor:
    """Cross-entropy, cross-entropy within two pixels of the border, soft overlap (Milletari et al. 2016), and error."""
    entropy = functional.binary_cross_entropy_with_logits(logits, real, reduction="none")
    predicted = torch.sigmoid(logits)
    overlap = 1 - (2 * (predicted * real).sum((1, 2, 3)) + 1) / (predicted.sum((1, 2, 3)) + real.sum((1, 2, 3)) + 1)
    border = (_widest(real) + _widest(-real)).clamp(0, 1)
    # Confident errors weigh more than their share of the area.
    missed = (predicted - real).abs().square().mean((1, 2, 3)) / real.mean((1, 2, 3)).clamp(min=0.02)
    return 2 * entropy.mean() + overlap.mean() + missed.mean() + (entropy * border).sum() / border.sum().clamp(min=1)


def disturb(image: Tensor, alpha: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random mirroring, zoom, tone, greyscale and noise."""
    size = image.shape[-1]
    if rng.random() < 0.5:
        image, alpha = image.flip(-1), alpha.flip(-1)
    if rng.random() < 0.35:
        # Products come in every size: zoom in on a crop that still has most of the product.
        side = int(rng.integers(size * 5 // 8, size))
        top, left = size - side, int(rng.integers(0, size + 1 - side))
        image = functional.interpolate(image[..., top:, left : left + side], size=(size, size), mode="bilinear")
        alpha = functional.interpolate(alpha[..., top:, left : left + side], size=(size, size), mode="bilinear")
    count = len(image)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (count, 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.15, 0.15, (count, 3, 1, 1)).astype(np.float32))
    grey = torch.from_numpy((rng.random((count, 1, 1, 1)) < 0.1).astype(np.float32))
    noise = 0.04 * float(rng.random()) * torch.randn_like(image)
    image = image + (image.mean(1, keepdim=True) - image) * grey
    return (image * gain + shift + noise).clamp(-1, 1), alpha


def training_indices(pictures: shards.PictureSet) -> NDArray[np.int64]:
    """Indices of the pictures whose product is not among `UNSEEN_PRODUCTS`."""
    return np.array([n for n, row in enumerate(pictures.rows) if row["product"] not in UNSEEN_PRODUCTS], np.int64)


def train(config: Config) -> Segmenter:
    """Trains the segmenter and writes its held-out overlap."""
    torch.manual_seed(config.seed)
    device, rate, steps = loop.device(), config.small.learning_rate, config.small.segmenter_steps
    model: Segmenter = networks.segmenter(config)
    model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    sources = (shards.load(config, "scene"), shards.load(config, "photo"))
    allowed = (training_indices(sources[0]), training_indices(sources[1]))
    paster = Paster(empty_scenes(config, config.small.empty_scenes), sources, allowed)
    count = config.small.segmenter_batch
    model.train()

    def body(step: int) -> dict[str, float]:
        rng = loop.generator(config, STAGE, step)
        images, alphas = paster.batch(rng, count // 2)
        pick = rng.choice(allowed[step % 4 == 3], count - count // 2)
        rendered, masks = sources[step % 4 == 3].at(pick)
        image = torch.cat([images, pictures_to_tensor(rendered)])
        image, alpha = disturb(image, torch.cat([alphas, 1 - product_masks(masks)]), rng)
        image, alpha = image.to(device), alpha.to(device)
        with loop.half_precision():
            logits = model.logits(image.contiguous(memory_format=torch.channels_last)).float()
        loss = alpha_loss(logits, alpha)
        optimiser.param_groups[0]["lr"] = run.learning_rate(steps, rate)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        predicted, real = (logits > 0).detach(), alpha > 0.5
        shares = (predicted & real).sum((1, 2, 3)) / (predicted | real).sum((1, 2, 3)).clamp(min=1)
        half = count // 2
        return {"loss": loss.item(), "pasted": float(shares[:half].mean()), "rendered": float(shares[half:].mean())}

    run.loop(steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    scores = held_out(model, shards.load(config, "held"), shards.load(config, "heldphoto"))
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out overlap (IoU): %s", scores)
    return model


def held_out(model: Segmenter, scenes: shards.PictureSet, photos: shards.PictureSet) -> dict[str, float]:
    """Mean overlap on kinds of product seen in training, in scenes and on plain photos, and on unseen kinds."""
    scores: dict[str, float] = {}
    unseen: list[float] = []
    for name, pictures in (("scenes", scenes), ("photos", photos)):
        each = overlaps(model, pictures)
        new = [row["product"] in UNSEEN_PRODUCTS for row in pictures.rows]
        scores[name] = float(np.mean([score for score, is_new in zip(each, new, strict=True) if not is_new]))
        unseen += [score for score, is_new in zip(each, new, strict=True) if is_new]
    if unseen:
        scores["unseen_products"] = float(np.mean(unseen))
    return scores


@torch.no_grad()
def overlaps(model: Segmenter, held: shards.PictureSet, count: int | None = None) -> list[float]:
    """Intersection over union at alpha 1/2 for each of the first `count` pictures."""
    scores: list[float] = []
    total = len(held) if count is None else min(count, len(held))
    for start in range(0, total, 16):
        images, masks = held.at(np.arange(start, min(start + 16, total)))
        predicted, real = model(pictures_to_tensor(images))[:, 0] > 0.5, torch.from_numpy(masks) > 127
        scores += ((predicted & real).sum((1, 2)) / (predicted | real).sum((1, 2)).clamp(min=1)).tolist()
    return scores


def load(config: Config) -> Segmenter:
    """The segmenter of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.segmenter(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
