"""Generates pictures for the figures, in batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from training.core import loop
from training.evaluation.held import Products
from training.evaluation.reference import Pipeline

log = logging.getLogger(__name__)


def generate(
    pipeline: Pipeline,
    products: Products,
    texts: Sequence[str],
    name: str,
    *,
    styles: list[Tensor] | None = None,
    seed: int = 0,
    batch: int = 8,
) -> Tensor:
    """Puts product n into the scene of text n; pictures [N, 3, H, W] in [-1, 1] with the product as it was sent."""
    made = []
    for start in range(0, len(texts), batch):
        part = products.take(start, min(batch, len(texts) - start))
        tokens = None if styles is None else styles[start : start + batch]
        # The loop in bfloat16, twice as fast: what it blurs is far below what the figures tell apart.
        with loop.half_precision():
            latents = pipeline.latents(
                list(texts[start : start + batch]), part.image, part.mask, seed + start, styles=tokens
            )
        picture = pipeline.decode(latents.float(), part.image, part.mask)
        made.append(picture * part.mask + part.image * (1 - part.mask))
        log.info("%s: %d of %d pictures", name, min(start + batch, len(texts)), len(texts))
    return torch.cat(made)
