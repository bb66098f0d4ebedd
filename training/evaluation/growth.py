"""Whether the denoiser continues the product into the background: what the segmenter sees of it beyond the mask."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from training.encoders.text_encoders import spec_of
from training.evaluation import make
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap
from training.world.captions import full_caption

log = logging.getLogger(__name__)

MARGIN = 4
"""Pixels around the mask that do not count: the segmenter's own border is not surer than that."""


def measure(context: Context) -> list[Figure]:
    """Growth of stage 1 and of stage 2, under captions that name the product, and their ratio."""
    specs = [spec_of(row) for row in context.held.rows[: context.count]]
    texts = [full_caption(spec, np.random.default_rng(spec.seed)) for spec in specs]
    grown = {}
    for name in ("stage1", "backdrop"):
        made = make.generate(context.pipeline(name), context.products, texts, f"growth, {name}")
        grown[name] = growth(context, made)
        log.info("%s: growth %.4f of the product's area", name, np.mean(grown[name]))
    floor = growth(context, context.rendered(0, context.count))
    ratio = float(np.mean(grown["backdrop"]) / np.mean(grown["stage1"]))
    unit = "area beyond the mask over the product's"
    return [
        Figure("growth, stage 2 over stage 1", ratio, 0.5, "lower", _ratio_spread(grown["backdrop"], grown["stage1"])),
        Figure(f"growth, stage 1, {unit}", float(np.mean(grown["stage1"])), None, "lower", bootstrap(grown["stage1"])),
        Figure(
            f"growth, stage 2, {unit}", float(np.mean(grown["backdrop"])), None, "lower", bootstrap(grown["backdrop"])
        ),
        Figure(f"growth, rendered pictures, {unit}", float(np.mean(floor)), None, "lower", bootstrap(floor)),
    ]


@torch.no_grad()
def growth(context: Context, pictures: Tensor, masks: Tensor | None = None) -> list[float]:
    """The segmenter's product area beyond the (slightly widened) product, over the product's area."""
    model = context.pipeline("backdrop").segmenter
    masks = context.products.take(0, len(pictures)).mask if masks is None else masks
    alpha = torch.cat([model(part) for part in torch.split(pictures, 16)])
    product = 1 - masks
    beyond = 1 - max_pool2d(product, 2 * MARGIN + 1, 1, MARGIN).gt(0.5).float()
    return ((alpha * beyond).sum((1, 2, 3)) / product.sum((1, 2, 3)).clamp(min=1)).tolist()


def _ratio_spread(one: list[float], other: list[float], rounds: int = 2000) -> float:
    rng, a, b = np.random.default_rng(0), np.asarray(one), np.asarray(other)
    picks = rng.integers(len(a), size=(rounds, len(a)))
    low, high = np.quantile(a[picks].mean(1) / b[picks].mean(1), (0.025, 0.975))
    return float(high - low) / 2
