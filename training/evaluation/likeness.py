"""How far generated pictures are from rendered ones, in CLIP features (kernel inception distance)."""

from __future__ import annotations

import logging

import numpy as np

from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import kid

log = logging.getLogger(__name__)

PIPELINES = ("base", "backdrop", "backdrop-fast", "backdrop-dit")
FEWEST = 80
"""Below so many pictures the distance's own noise is larger than what it tells apart."""


def measure(context: Context) -> list[Figure]:
    """KID of each pipeline's pictures against held-out renders, and of renders against others."""
    if context.count < FEWEST:
        log.warning("KID needs --count %d or more; left as it was measured last", FEWEST)
        return []
    half = len(context.held) // 2
    real = context.features(context.rendered(0, half))
    other = context.features(context.rendered(half, half))
    value, spread = kid(other, real)
    figures = [Figure("KID x 1000, rendered against rendered (floor)", 1000 * abs(value), None, "lower", 1000 * spread)]
    for name in PIPELINES:
        try:
            pictures = context.scenes(name)
        except FileNotFoundError as missing:
            log.warning("%s: left as it was measured last (%s)", name, missing)
            continue
        value, spread = kid(context.features(pictures), real)
        figures.append(Figure(f"KID x 1000 against rendered, {name}", 1000 * value, None, "lower", 1000 * spread))
    log.info("features of %d and %d rendered pictures", half, half)
    assert np.isfinite([figure.value for figure in figures]).all()
    return figures
