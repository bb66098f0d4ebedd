"""Growth: the product area that the segmenter finds outside the product's mask."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from training.data.shards import spec_of
from training.evaluation import generation
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap
from training.world.captions import full_caption

log = logging.getLogger(__name__)

TITLES = {"inpaint": "stage 1", "backdrop": "stage 2", "backdrop-fast": "backdrop-fast"}
"""The pipelines that are measured, by their names in the figures."""
PUBLISHED_IN = {"inpaint": "backdrop"}
FAST_MARK = 0.05
MARGIN = 4
"""Pixels around the mask that do not count, because the segmenter's border is no more precise."""


def measure(context: Context) -> list[Figure]:
    """Growth of stages 1 and 2 with captions that name the product, the ratio of both, and that of few steps."""
    specs = [spec_of(row) for row in context.held.rows[: context.count]]
    texts = [full_caption(spec, np.random.default_rng(spec.seed)) for spec in specs]
    grown = {}
    for name in TITLES:
        if not context.published(PUBLISHED_IN.get(name, name)):
            log.warning("%s is not published; the last measured figure stays", name)
            continue
        pictures = generation.generate(context.pipeline(name), context.products, texts, f"growth, {name}")
        grown[name] = growth(context, pictures)
    one, two = grown["inpaint"], grown["backdrop"]
    ratio = float(np.mean(two) / np.mean(one))
    floor = growth(context, context.rendered(0, context.count))
    why = f"stage 1 alone grows by {np.mean(one):.3f} of the product's area, and renders by {np.mean(floor):.3f}"
    return [
        Figure("growth, stage 2 over stage 1", ratio, 0.5, "lower", _ratio_spread(two, one), why),
        *(
            _figure(TITLES[name], values, FAST_MARK if name == "backdrop-fast" else None)
            for name, values in grown.items()
        ),
        _figure("rendered pictures", floor, None),
    ]


def _figure(title: str, values: list[float], mark: float | None) -> Figure:
    name = f"growth, {title}, area beyond the mask over the product's"
    return Figure(name, float(np.mean(values)), mark, "lower", bootstrap(values))


@torch.no_grad()
def growth(context: Context, pictures: Tensor, masks: Tensor | None = None) -> list[float]:
    """Per picture: the segmenter's area beyond the product and its margin, divided by the product's area."""
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
