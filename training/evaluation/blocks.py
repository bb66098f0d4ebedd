"""How much of pictures a linear code of 8x8 blocks keeps, by its number of channels: what latents could hold at least.

`python -m training.evaluation.blocks [--count N]` prints the PSNR of the principal components of held-out renders'
blocks. An autoencoder also uses what surrounds a block, so it can do better with the same number of channels.
"""

from __future__ import annotations

import argparse
import logging

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from training.core import loop
from training.data.pictures import pictures_to_tensor
from training.evaluation import held_out
from training.evaluation.detail import psnr

log = logging.getLogger(__name__)

BLOCK = 8
CHANNELS = (4, 8, 16, 32)


def linear_code(fit: Tensor, pictures: Tensor, channels: int) -> Tensor:
    """PSNR in dB [N] of `pictures` from the principal components of the blocks of `fit`, both [N, 3, H, W]."""
    blocks = pixel_unshuffle(fit, BLOCK).movedim(1, -1).flatten(0, -2)
    mean = blocks.mean(0)
    _, axes = torch.linalg.eigh(torch.cov((blocks - mean).T.double()))
    kept = axes.flip(1)[:, :channels].float()
    values = pixel_unshuffle(pictures, BLOCK).movedim(1, -1)
    decoded = (values - mean) @ kept @ kept.T + mean
    return psnr(torch.nn.functional.pixel_shuffle(decoded.movedim(-1, 1), BLOCK), pictures)


def main() -> None:
    """Reads the command line, renders and prints."""
    loop.start_logging()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=80, help="pictures to fit, and as many to measure (default: 80)")
    count = parser.parse_args().count
    rendered = held_out.pictures(2 * count)
    images = pictures_to_tensor(rendered.at(torch.arange(2 * count).numpy())[0])
    for channels in CHANNELS:
        values = linear_code(images[:count], images[count:], channels)
        log.info("%d channels: %.1f dB", channels, float(values.mean()))


if __name__ == "__main__":
    main()
