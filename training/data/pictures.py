"""From shards to tensors: crops, masks and masked pictures, in the pipeline's conventions.

A mask is 1 where the background is to be made and 0 where the product stays. A masked picture is the picture times the
product's alpha: the part to be made is mid grey, which is 0 in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.shards import PictureSet


def pictures_to_tensor(images: NDArray[Any]) -> Tensor:
    """uint8 [B, H, W, 3] to float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def product_masks(masks: NDArray[Any]) -> Tensor:
    """uint8 product coverage [B, H, W] to the background mask [B, 1, H, W] in [0, 1]."""
    return 1 - torch.from_numpy(np.ascontiguousarray(masks))[:, None].float().div_(255)


def masked_picture(image: Tensor, mask: Tensor) -> Tensor:
    """The picture with mid grey where the background is to be made."""
    return image * (1 - mask)


def pasted(decoded: Tensor, image: Tensor, mask: Tensor) -> NDArray[np.uint8]:
    """Decoded pictures [B, 3, H, W] in [-1, 1] as uint8 [B, H, W, 3], with `image` exactly where `mask` is 0."""
    whole = decoded.clamp(-1, 1) * mask + image * (1 - mask)
    return np.asarray(((whole + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def latent_mask(mask: Tensor) -> Tensor:
    """The pixel mask averaged over 8x8 blocks."""
    return torch.nn.functional.avg_pool2d(mask, 8)


def random_mask(rng: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """A mask [H, W] of one to three boxes and ellipses; in half of the cases inverted."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    shapes = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(0.08, 0.4) * height, rng.uniform(0.08, 0.4) * width
        y, x = np.abs(rows - cy) / ry, np.abs(columns - cx) / rx
        distance = np.maximum(y, x) if rng.random() < 0.5 else np.sqrt(y * y + x * x)
        shapes = np.maximum(shapes, np.clip((1 - distance) * min(ry, rx) + 0.5, 0, 1))
    return shapes if rng.random() < 0.5 else 1 - shapes


def draw_batch(pictures: PictureSet, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, NDArray[Any]]:
    """Random pictures, their background masks and their indices."""
    indices = rng.integers(len(pictures), size=count)
    images, masks = pictures.at(indices)
    return pictures_to_tensor(images), product_masks(masks), indices


def draw_crops(pictures: PictureSet, rng: np.random.Generator, count: int, size: int) -> tuple[Tensor, Tensor]:
    """One random square of `size` pixels, cut from random pictures and their background masks at the same place."""
    height, width = pictures.images[0].shape[1:3]
    top, left = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
    window = slice(top, top + size), slice(left, left + size)
    images, masks = pictures.at(rng.integers(len(pictures), size=count), *window)
    return pictures_to_tensor(images), product_masks(masks)


def half_size(pictures: PictureSet) -> NDArray[np.uint8]:
    """All pictures at half size, in memory: uint8 [N, H/2, W/2, 3], means of 2x2 blocks."""
    count, (height, width) = len(pictures), pictures.images[0].shape[1:3]
    small = np.empty((count, height // 2, width // 2, 3), np.uint8)
    for start in range(0, count, 256):
        images = pictures.at(np.arange(start, min(start + 256, count)))[0].astype(np.uint16)
        total = images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]
        small[start : start + len(images)] = (total + 2) // 4
    return small


def augment(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Small pictures [B, 3, S, S], randomly mirrored, cropped, blurred, and changed a little in tone and noise.

    Generated pictures are softer than rendered ones, hence the blur. The tone changes little, because tone is what
    tells palettes apart.
    """
    size = image.shape[-1]
    if rng.random() < 0.5:
        image = image.flip(-1)
    side = int(rng.integers(round(0.8 * size), size + 1))
    top, left = int(rng.integers(0, size + 1 - side)), int(rng.integers(0, size + 1 - side))
    image = image[..., top : top + side, left : left + side]
    if rng.random() < 0.5:
        soft = int(rng.choice((size // 4, size * 3 // 8, size // 2)))
        image = torch.nn.functional.interpolate(image, size=(soft, soft), mode="area")
    image = torch.nn.functional.interpolate(image, size=(size, size), mode="bilinear")
    gain = torch.from_numpy(rng.uniform(0.95, 1.05, (len(image), 3, 1, 1)).astype(np.float32))
    light = torch.from_numpy(rng.uniform(-0.06, 0.06, (len(image), 1, 1, 1)).astype(np.float32))
    return (image * gain + light + 0.03 * float(rng.random()) * torch.randn_like(image)).clamp(-1, 1)
