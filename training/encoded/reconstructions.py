"""Rendered pictures as the pipeline delivers them: the background encoded and decoded, the product exact.

Generated backgrounds are softer than rendered ones; the product pasted over them is not. A reward model that never saw
this difference in training would take it for a defect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.config import Config
from training.core import loop
from training.data.array_cache import cached_array
from training.data.pictures import masked_picture, pasted, pictures_to_tensor, product_masks
from training.data.shards import PictureSet
from training.encoders import vae

log = logging.getLogger(__name__)


@torch.no_grad()
def reconstruct(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor, Tensor, Tensor], Tensor],
    pictures: PictureSet,
    count: int,
    batch: int = 8,
) -> NDArray[np.uint8]:
    """The first `count` pictures with their background encoded and decoded: uint8 [N, H, W, 3].

    `encode` turns pictures into latents; `decode` turns latents, masked picture and mask into pictures.
    """
    parts = []
    for start in range(0, min(count, len(pictures)), batch):
        images, masks = pictures.at(np.arange(start, min(start + batch, count, len(pictures))))
        image, mask = pictures_to_tensor(images), product_masks(masks)
        # As in the pipeline, the decoder gets the masked picture.
        soft = decode(encode(image), masked_picture(image, mask), mask).float().cpu()
        parts.append(pasted(soft, image, mask))
        if start % 256 == 0:
            log.info("reconstructed %d of %d", start, count)
    return np.concatenate(parts)


def reconstructions(config: Config, pictures: PictureSet, kind: str, count: int) -> NDArray[np.uint8]:
    """The first `count` pictures of a kind of shard, reconstructed; computed once and saved."""

    def compute() -> NDArray[np.uint8]:
        model, device = vae.load(config).to(loop.device()), loop.device()

        def encode(image: Tensor) -> Tensor:
            with loop.half_precision():
                return torch.as_tensor(model.encode(image.to(device)).latent_dist.mean)

        def decode(latents: Tensor, image: Tensor, mask: Tensor) -> Tensor:
            with loop.half_precision():
                return torch.as_tensor(model.decode(latents, image=image.to(device), mask=mask.to(device)).sample)

        return reconstruct(encode, decode, pictures, count)

    return cached_array(config.paths.work / "shards" / f"soft-{kind}-{count}.npy", compute)
