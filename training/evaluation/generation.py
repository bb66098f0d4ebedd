"""Generates pictures for the figures, in batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from training.core import loop
from training.evaluation.held_out import Products
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
    """Pictures [N, 3, H, W] in [-1, 1] of product n in the scene of text n, with the exact product pasted over."""
    pictures = []
    for start in range(0, len(texts), batch):
        part = products.take(start, min(batch, len(texts) - start))
        tokens = None if styles is None else styles[start : start + batch]
        # bfloat16 doubles the speed of the loop; its error is far below the resolution of the figures.
        with loop.half_precision():
            latents = pipeline.latents(
                list(texts[start : start + batch]), part.image, part.mask, seed + start, styles=tokens
            )
        picture = pipeline.decode(latents.float(), part.image, part.mask)
        pictures.append(picture * part.mask + part.image * (1 - part.mask))
        log.info("%s: %d of %d pictures", name, min(start + batch, len(texts)), len(texts))
    return torch.cat(pictures)
