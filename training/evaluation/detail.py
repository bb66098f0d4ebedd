"""Fidelity of the autoencoder, its block pattern, and the sharpness of made pictures."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from training.encoders import vae
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap

log = logging.getLogger(__name__)

BLOCK = 8
PIPELINES = ("backdrop", "backdrop-fast", "backdrop-dit")
SHARP = (0.7, 1.1)
"""The range in which made pictures are as sharp as renders: less is blur, more is noise."""
BLURRED = (
    "the decoder blurs: reconstructions of renders have 0.7 of their finest octave (docs/models.md), and four steps"
    " make less detail than twenty"
)


def psnr(decoded: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture [B, 3, H, W] in [-1, 1]: [B]."""
    error = ((decoded.clamp(-1, 1) - real) ** 2).mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp(min=1e-9))


def block_energy(picture: Tensor) -> Tensor:
    """Energy of the differences across block borders over that of all other differences: [B]. 1 without a pattern."""
    ratio = picture.new_zeros(len(picture))
    for axis in (-1, -2):
        energy = (picture.diff(dim=axis) ** 2).movedim(axis, -1).mean((1, 2))
        border = torch.arange(energy.shape[-1]) % BLOCK == BLOCK - 1
        ratio = ratio + energy[:, border].mean(1) / energy[:, ~border].mean(1).clamp(min=1e-9) / 2
    return ratio


def finest_octave(picture: Tensor) -> Tensor:
    """Energy of what the mean over 2x2 pixels takes away: [B]."""
    coarse = interpolate(avg_pool2d(picture, 2), scale_factor=2.0)
    return ((picture - coarse) ** 2).mean((1, 2, 3))


@torch.no_grad()
def autoencoder(context: Context) -> list[Figure]:
    """PSNR and block pattern on held-out renders, without known pixels.

    It measures the published autoencoder, or that of the last checkpoint where none is published.
    """
    published = context.published("backdrop")
    model = context.pipeline("backdrop").vae if published else vae.latest(context.config)
    fidelity: list[float] = []
    pattern: dict[str, list[float]] = {"decoded": [], "rendered": []}
    for start in range(0, context.count, 8):
        real = context.rendered(start, min(8, context.count - start))
        latents = model.encode(real).latent_dist.mean
        decoded = model.decode(latents, image=torch.zeros_like(real), mask=torch.ones_like(real[:, :1])).sample
        fidelity += psnr(decoded, real).tolist()
        pattern["decoded"] += block_energy(decoded).tolist()
        pattern["rendered"] += block_energy(real).tolist()
    mean, blocks = float(np.mean(fidelity)), float(np.mean(pattern["decoded"]) / np.mean(pattern["rendered"]))
    return [
        Figure("autoencoder on held-out renders, PSNR, dB", mean, 33, "higher", bootstrap(fidelity)),
        Figure(
            "autoencoder, energy of block edges over the render's", blocks, 1.1, "lower", bootstrap(pattern["decoded"])
        ),
    ]


@torch.no_grad()
def sharpness(context: Context) -> list[Figure]:
    """Energy of the finest octave of made pictures over that of renders: not below the mark, and not too much."""
    renders = finest_octave(context.rendered(0, context.count))
    figures, highest = [], 0.0
    for name in PIPELINES:
        if not context.published(name):
            log.warning("%s is not published; the last measured figure stays", name)
            continue
        ratio = (finest_octave(context.scenes(name)) / renders.mean()).tolist()
        title = f"finest octave of made pictures over renders', {name}"
        figures.append(Figure(title, float(np.mean(ratio)), SHARP[0], "higher", bootstrap(ratio), BLURRED))
        highest = max(highest, float(np.mean(ratio)))
    title = "finest octave of made pictures over renders', the pipeline with the most"
    return [*figures, Figure(title, highest, SHARP[1], "lower", max(figure.spread for figure in figures))]
