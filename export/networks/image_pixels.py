"""Pictures at the size an image encoder reads, resized inside its graph so that clients need not know that size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from export.preprocess import CLIP_MEAN, CLIP_STD


def small_picture(image: Tensor, size: int) -> Tensor:
    """`image` [B, 3, H, W] at `size` x `size`; exactly the mean of each 2x2 block where H and W are twice that.

    Plain bilinear on purpose: its antialiased sister is not in every engine's set of operators.
    """
    return torch.as_tensor(interpolate(image, size=(size, size), mode="bilinear", align_corners=False))


def clip_pixels(image: Tensor, size: int) -> Tensor:
    """What CLIP's image tower reads: `image` [B, 3, H, W] in [-1, 1] at `size` x `size`, CLIP's mean and spread off."""
    # By way of twice the size: each step is then a mean of neighbours, and nothing is skipped.
    return normalised(avg_pool2d(small_picture(image, 2 * size), 2), CLIP_MEAN, CLIP_STD)


def normalised(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """`image` [B, 3, H, W] in [-1, 1] to 0…1, with a mean and a spread of each channel taken off."""
    offset, spread = (image.new_tensor(values)[:, None, None] for values in (mean, std))
    return (image * 0.5 + 0.5 - offset) / spread
