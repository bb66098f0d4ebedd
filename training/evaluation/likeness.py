"""Kernel inception distance between generated and rendered pictures, in the features of our CLIP image encoder."""

from __future__ import annotations

import logging

import numpy as np

from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import kid

log = logging.getLogger(__name__)

PIPELINES = ("base", "backdrop", "backdrop-fast", "backdrop-dit")
FEWEST = 80
"""With fewer pictures, the noise of the distance is larger than the differences between pipelines."""


def measure(context: Context) -> list[Figure]:
    """KID of each pipeline's pictures to held-out renders, and of renders to other renders."""
    if context.count < FEWEST:
        log.warning("KID needs --count %d or more; the last measured figures stay", FEWEST)
        return []
    held = len(context.held)
    real = context.features(context.rendered(0, held))
    half, subset = held // 2, max(50, min(held, context.count) // 2)
    value, spread = kid(real[:half], real[half:], subset // 2)
    figures = [Figure("KID x 1000, rendered against rendered (floor)", 1000 * abs(value), None, "lower", 1000 * spread)]
    for name in PIPELINES:
        try:
            pictures = context.scenes(name)
        except FileNotFoundError as missing:
            log.warning("%s: the last measured figure stays (%s)", name, missing)
            continue
        value, spread = kid(context.features(pictures), real, subset)
        figures.append(Figure(f"KID x 1000 against rendered, {name}", 1000 * value, None, "lower", 1000 * spread))
    log.info("features of %d rendered pictures, subsets of %d", held, subset)
    assert np.isfinite([figure.value for figure in figures]).all()
    return figures
