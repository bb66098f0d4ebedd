"""The seam error of the mask-conditioned decoder, compared with plain decoding and compositing."""

from __future__ import annotations

import numpy as np
import torch

from training.encoders.vae import border_band
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap


@torch.no_grad()
def measure(context: Context) -> list[Figure]:
    """Mean absolute error on the border band: the conditioned decoder's over that of plain compositing.

    Both decode the same latents of a held-out picture, and the product is pasted over both results. Only the
    conditioned decoder gets the product as an input.
    """
    pipeline, products = context.pipeline("backdrop"), context.products
    errors: dict[str, list[float]] = {"conditioned": [], "plain": []}
    for start in range(0, context.count, 8):
        part = products.take(start, 8)
        image, mask, edge = part.image, part.mask, border_band(part.mask)
        latents = pipeline.vae.encode(image).latent_dist.mean
        conditioned = pipeline.vae.decode(latents, image=image * (1 - mask), mask=mask).sample
        unconditioned = pipeline.vae.decode(latents, image=torch.zeros_like(image), mask=torch.ones_like(mask)).sample
        pasted = unconditioned * mask + image * (1 - mask)
        for name, decoded in (("conditioned", conditioned * mask + image * (1 - mask)), ("plain", pasted)):
            errors[name] += (((decoded - image).abs() * edge).sum((1, 2, 3)) / (3 * edge.sum((1, 2, 3)))).tolist()
    ratio = float(np.mean(errors["conditioned"]) / np.mean(errors["plain"]))
    each = [a / max(b, 1e-6) for a, b in zip(errors["conditioned"], errors["plain"], strict=True)]
    plain, own = (127.5 * float(np.mean(errors[name])) for name in ("plain", "conditioned"))
    why = f"most of the error is texture, which the product does not show: {own:.1f} against {plain:.1f} of 255"
    return [Figure("seam error, conditioned decoder over plain compositing", ratio, 0.6, "lower", bootstrap(each), why)]
