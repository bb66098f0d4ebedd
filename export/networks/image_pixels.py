"""Pictures at the size an image encoder reads, resized inside its graph so that clients need not know that size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and spread that CLIP's image processor takes off (Radford et al. 2021)."""


def small_picture(image: Tensor, size: int) -> Tensor:
    """`image` [B, 3, H, W] at `size` x `size`; exactly the mean of each 2x2 block where H and W are twice that.

    Plain bilinear on purpose: its antialiased sister is not in every engine's set of operators.
    """
    return torch.as_tensor(interpolate(image, size=(size, size), mode="bilinear", align_corners=False))


def clip_pixels(image: Tensor, size: int) -> Tensor:
    """What CLIP's image tower reads: `image` [B, 3, H, W] in [-1, 1] at `size` x `size`, CLIP's mean and spread off."""
    # By way of twice the size: each step is then a mean of neighbours, and nothing is skipped.
    small = avg_pool2d(small_picture(image, 2 * size), 2)
    mean, std = (image.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (small * 0.5 + 0.5 - mean) / std
